"""Defines a store of the registry, and opens the one at a URL: a folder, bucket, container or
account.

A store reads an object together with its ETag, and writes an object on a condition: only if it
still has that ETag, or only if it does not exist. The protocol of publications needs nothing else.
"""

# No `from __future__ import annotations` here: a NamedTuple compiles annotations that are strings,
# which takes longer than all else that a sync with nothing new loads of the library.

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
    """An object as it was read. claimed_in: on Snowflake, the database that holds a consumer's
    record, if neither its name nor its comment shows that it is the consumer's own."""

    body: bytes
    etag: str
    claimed_in: str | None = None


class Changed(Exception):
    """The condition of a write did not hold: somebody else wrote first, or the object exists."""


def contended(store: "Store", key: str) -> MeshError:
    """Returns the error for a write that met `Changed` too often."""
    return MeshError(f"{store.url}/{key} is being written by others again and again: try again")


MOST_REASON = 600
"""How many characters of a server's message are shown."""


def content_type(key: str) -> str:
    """Returns the media type of an object. All but a project's docs are JSON."""
    return "text/html; charset=utf-8" if key.endswith(".html") else "application/json"


class NotModified(Exception):
    """The object still has the ETag that the reader knows."""


class OutOfReach(MeshError):
    """The store does not answer or refuses the sign-in: the fault is not that of one object."""


PATIENCE = frozenset({408, 429})
"""The HTTP statuses for a request that took too long, and for too many requests."""


def is_of_one(status: int) -> bool:
    """Checks whether an HTTP status is about the object that was requested, not the whole store."""
    return 400 <= status < 500 and status not in PATIENCE


class TooLarge(MeshError):
    """An object has more bytes than a reader accepts."""

    def __init__(self, where: object, size: int, most: int) -> None:
        super().__init__(f"{where}: {too_large(size, most)}: have it written again")


class Damaged(MeshError):
    """An object exists, but is not what was written. It still has an ETag, so that it can be
    replaced."""


class Reader(Protocol):
    """Reads objects under a root. `key` is a path below it, with `/` between its parts.

    Every method raises OutOfReach where the store is out of reach, and MeshError where it denies
    access or fails.
    """

    url: str

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        """Returns the object, or None where it does not exist. Raises NotModified where its ETag is
        `known`, TooLarge where it has more than `most` bytes, and Damaged."""


class Store(Reader, Protocol):
    """Reads, writes and lists objects. keeps_own_records: whether each consumer writes its records
    to a place of its own, where nobody else can write."""

    keeps_own_records: bool

    def etag(self, key: str) -> str | None:
        """Returns the object's ETag without reading its body, or None where it does not exist."""

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        """Writes the whole object if its ETag is still `replaces` (for None: if it does not exist).

        Raises Changed otherwise, without having written anything.
        """

    def children(self, prefix: str) -> Iterator[str]:
        """Yields the names directly below `prefix`, in any order; those of folders end in `/`.

        `prefix` is empty or ends in `/`. Names come one at a time, because histories grow without
        bound, and callers need not keep them all.
        """


class Access(NamedTuple):
    """What signing in needs beside the URL.

    aws_region: the bucket's region, unless the environment names one. encryption: the encryption
    that a write to the bucket asks for: AES256, aws:kms or the ARN of a key. member: who signs in
    to Snowflake, and which databases belong to which project. azure_tenant, azure_client,
    google_provider: the identity of GitHub's jobs; people use their own login.
    """

    aws_region: str | None = None
    encryption: str | None = None
    member: Member | None = None
    azure_tenant: str | None = None
    azure_client: str | None = None
    google_provider: str | None = None


class Cloud(NamedTuple):
    """A cloud that can hold a registry.

    extra: the library's extra, which is also the answer to `registry`. folder: the folder of its
    set-up in a member.
    """

    extra: str
    folder: str


CLOUDS = {"s3": Cloud("s3", "aws"), "az": Cloud("azure", "azure"), "gs": Cloud("gcs", "google")}
"""The clouds by the scheme of a registry's URL. The template's own list is in
extensions/derived.py."""
SHAPES = (
    "s3://bucket/registry, az://account/container/registry, gs://bucket/registry, "
    "snowflake://ORG-ACCOUNT or file:///folder/registry"
)


def described(url: str) -> str:
    """Returns the URL of a registry in which nothing was found, with a note where its folder does
    not exist. Missing buckets need none, because their stores raise an error."""
    if not url.startswith("file://"):
        return url
    from pathlib import Path
    from urllib.parse import unquote

    return url if Path(unquote(url[7:])).is_dir() else f"{url}, a folder that does not exist"


def open_store(url: str, access: Access | None = None) -> Store:
    """Opens the store at a URL of one of SHAPES. Raises MeshError for any other URL."""
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
