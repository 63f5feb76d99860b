"""Defines a store of the registry, and opens the one at a URL: a folder, bucket, container or
account.

A store reads an object with the ETag it had, and writes it on a condition: only if it is still
the one that was read, or only if there is none. That is all the publication protocol needs.
"""

# Annotations are no texts here: a NamedTuple compiles those of its own, which takes longer than all
# else that a sync with nothing new loads of the library.

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dbtmesh import MeshError
from dbtmesh.files import MOST, too_large
from dbtmesh.output.words import shown

if TYPE_CHECKING:
    from dbtmesh.config import Member
else:
    Member = object


class Stored(NamedTuple):
    """An object as it was read. claimed_in: where a record lies, if that does not tell that it is
    its consumer's own."""

    body: bytes
    etag: str
    claimed_in: str | None = None


class Changed(Exception):
    """The condition of a write did not hold: somebody else wrote first, or the object exists."""


def contended(store: "Store", key: str) -> MeshError:
    """For a write that met `Changed` too often."""
    return MeshError(f"{store.url}/{key} is being written by others again and again: try again")


MOST_REASON = 600
"""Characters of a server's message that are shown."""


def content_type(key: str) -> str:
    """Of an object: all but a project's docs are JSON."""
    return "text/html; charset=utf-8" if key.endswith(".html") else "application/json"


class NotModified(Exception):
    """The object still has the ETag that the reader knows."""


class OutOfReach(MeshError):
    """The store does not answer, or lets nobody in: whatever is wrong is not one object's fault."""


PATIENCE = frozenset({408, 429})
"""HTTP's statuses of a request that took too long, and of too many requests."""


def is_of_one(status: int) -> bool:
    """Whether HTTP's status is about the one object that was asked for, and not about all."""
    return 400 <= status < 500 and status not in PATIENCE


class TooLarge(MeshError):
    """An object has more bytes than are read of it: nobody meant it to be read."""

    def __init__(self, where: object, size: int, most: int) -> None:
        super().__init__(f"{where}: {too_large(size, most)}: have it written again")


class Damaged(MeshError):
    """An object is there, and is not what was written. It has an ETag all the same, so that it can
    be replaced."""


class Reader(Protocol):
    """Objects under a root; `key` is a path below it, with `/` between its parts.

    Every method raises OutOfReach where the store is, MeshError where it denies access or fails.
    """

    url: str

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        """The object, or None where there is none. Raises NotModified where its ETag is `known`,
        TooLarge where it has more than `most` bytes, of which none are kept, and Damaged."""


class Store(Reader, Protocol):
    """keeps_own_records: each reader writes its record into a place of its own, and nobody else
    can."""

    keeps_own_records: bool

    def etag(self, key: str) -> str | None:
        """The object's ETag without its body, or None where there is none."""

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        """Writes the object whole where its ETag is still `replaces` (None: where there is none).

        Raises Changed otherwise, and then has written nothing.
        """

    def children(self, prefix: str) -> Iterator[str]:
        """Names directly below `prefix` (empty, or ending in `/`); those of folders end in `/`.

        In any order, one at a time: histories grow without bound, and nobody has to keep them.
        """


class Access(NamedTuple):
    """What signing in needs beside the URL. aws_region: of the bucket, unless the environment names
    one; encryption: what a write to it says, AES256, aws:kms or the ARN of a key. member: who signs
    in to Snowflake, and where the databases are. The others: whom GitHub's jobs sign in as; people
    use their own login."""

    aws_region: str | None = None
    encryption: str | None = None
    member: Member | None = None
    azure_tenant: str | None = None
    azure_client: str | None = None
    google_provider: str | None = None


class Cloud(NamedTuple):
    """extra: of the library, and the answer to `registry`; folder: of its set-up, in a member."""

    extra: str
    folder: str


CLOUDS = {"s3": Cloud("s3", "aws"), "az": Cloud("azure", "azure"), "gs": Cloud("gcs", "google")}
"""By the scheme of the registry's URL. The template's own list is in extensions/derived.py."""
SHAPES = (
    "s3://bucket/registry, az://account/container/registry, gs://bucket/registry, "
    "snowflake://ORG-ACCOUNT or file:///folder/registry"
)


def described(url: str) -> str:
    """The URL of a registry that holds nothing; and, as buckets say of themselves, whether there is
    none at all."""
    if not url.startswith("file://"):
        return url
    from pathlib import Path
    from urllib.parse import unquote

    return url if Path(unquote(url[7:])).is_dir() else f"{url}, a folder that does not exist"


def open_store(url: str, access: Access | None = None) -> Store:
    """The store at one of SHAPES. Raises MeshError for another URL."""
    access = access or Access()
    scheme, _, place = url.partition("://")
    if scheme != "file" and (not place.isprintable() or {".", ".."} & {*place.split("/")}):
        raise MeshError(f"{shown(url)} is not a registry: write {SHAPES}")
    if scheme == "s3":
        from dbtmesh.registry.s3 import S3Store

        return S3Store(url, place, access)
    if scheme == "az":
        from dbtmesh.registry.azure import AzureStore

        return AzureStore(url, place, access)
    if scheme == "gs":
        from dbtmesh.registry.google import GoogleStore

        return GoogleStore(url, place, access)
    if scheme == "snowflake":
        from dbtmesh.registry.snowflake.store import SnowflakeStore

        return SnowflakeStore(url, place, access)
    if scheme == "file" and place.startswith("/"):
        from pathlib import Path
        from urllib.parse import unquote

        from dbtmesh.registry.folder import FolderStore

        return FolderStore(Path(unquote(place)))
    raise MeshError(f"{url!r} is not a registry: write {SHAPES}")
