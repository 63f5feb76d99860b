"""The registry's storage: a folder or an S3 bucket behind one small interface.

Layout (see README, "Registry"):

    <root>/<project>/<env>/latest/manifest.json             what consumers read
    <root>/<project>/<env>/history/<version>/manifest.json  immutable, every publication
    <root>/<project>/<env>/consumers/<consumer>.json        what each consumer reads of it
    <state>/<project>/<env>/manifest.json                   the member's own full manifest
    <state>/<project>/<env>/deploy.json                     its last deploy, with run_results.json
                                                            and its docs, index.html

A store reads an object with the ETag it had, and writes it on a condition: only if it is still
the one that was read, or only if there is none. That is all the publication protocol needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from dbtmesh import MeshError, sha256

if TYPE_CHECKING:
    from botocore.client import BaseClient

BODY_ATTEMPTS = 3
"""How often a body is asked for again when the connection breaks in its middle, which the S3
client's own retries do not cover."""

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 4, 8, 4
"""Patience with a server that does not answer: together they bound how long a command hangs."""

LOCK_SECONDS = 30
"""How long to wait for others who write to a folder; they need milliseconds."""

REDIRECTED = "the bucket is in another region: set AWS_REGION, or the answer aws_region"
BUCKET = re.compile(r"[A-Za-z0-9._-]{3,63}")
VERSION = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{12}")
"""Of a publication: when it was compiled, and the beginning of its digest."""


def latest_key(project: str, env: str) -> str:
    return f"{project}/{env}/latest/manifest.json"


def version_key(project: str, env: str, version: str) -> str:
    return f"{project}/{env}/history/{version}/manifest.json"


def state_key(project: str, env: str, name: str = "manifest.json") -> str:
    return f"{project}/{env}/{name}"


@dataclass(frozen=True)
class Stored:
    """An object as it was read."""

    body: bytes
    etag: str


class Changed(Exception):
    """The condition of a write did not hold: somebody else wrote first, or the object exists."""


class NotModified(Exception):
    """The object still has the ETag that the reader knows."""


class Store(Protocol):
    """Objects under a root; `key` is a path below it, with `/` between its parts.

    Every method raises MeshError where the store is out of reach, denies access or fails.
    """

    url: str

    def read(self, key: str, *, known: str | None = None) -> Stored | None:
        """The object, or None where there is none. Raises NotModified where its ETag is `known`."""

    def etag(self, key: str) -> str | None:
        """The object's ETag without its body, or None where there is none."""

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        """Writes the object whole where its ETag is still `replaces` (None: where there is none).

        Raises Changed otherwise, and then has written nothing.
        """

    def children(self, prefix: str) -> Iterator[str]:
        """Names directly below `prefix` (empty, or ending in `/`); those of folders end in `/`.

        Not the whole tree: histories grow without bound, and nobody has to walk them.
        """


def open_store(url: str, region: str | None = None) -> Store:
    """The store at `s3://bucket/prefix` or `file:///folder`.

    `region`: of the bucket, unless the environment names one. Raises MeshError for another URL.
    """
    scheme, _, place = url.partition("://")
    if scheme == "s3":
        bucket, _, prefix = place.partition("/")
        if not BUCKET.fullmatch(bucket):
            raise MeshError(f"{url}: {bucket!r} is no name of an S3 bucket")
        return S3Store(url, bucket, prefix.strip("/"), region)
    if scheme == "file" and place.startswith("/"):
        return FolderStore(Path(unquote(place)))
    raise MeshError(
        f"{url!r} is no registry: write s3://bucket/registry or file:///folder/registry"
    )


class FolderStore:
    """Objects as files of a folder; for one machine, or a disk that several share."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = self.root.as_uri()

    def read(self, key: str, *, known: str | None = None) -> Stored | None:
        path = self.root / key
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MeshError(f"cannot read {path}: {error.strerror}") from None
        etag = sha256(body)
        if etag == known:
            raise NotModified
        return Stored(body, etag)

    def etag(self, key: str) -> str | None:
        stored = self.read(key)
        return stored.etag if stored else None

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        from filelock import FileLock, Timeout

        path, lock = self.root / key, self.root / ".lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=LOCK_SECONDS):
                if self.etag(key) != replaces:
                    raise Changed(key)
                write_whole(path, body)
        except Timeout:
            raise MeshError(
                f"{lock} has been held by another process for {LOCK_SECONDS} s: is one stuck?"
            ) from None
        except OSError as error:
            raise MeshError(f"cannot write {path}: {error.strerror}") from None

    def children(self, prefix: str) -> Iterator[str]:
        folder = self.root / prefix
        try:
            entries = sorted(folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise MeshError(f"cannot read {folder}: {error.strerror}") from None
        for entry in entries:
            if not entry.name.startswith("."):  # the lock, and files being written
                yield f"{entry.name}/" if entry.is_dir() else entry.name


class S3Store:
    """Objects of an S3 bucket, or of a server that speaks S3 (AWS_ENDPOINT_URL_S3)."""

    def __init__(self, url: str, bucket: str, prefix: str, region: str | None) -> None:
        self.url, self.bucket, self.prefix, self.region = url, bucket, prefix, region
        self._client = self._connect()

    def _connect(self) -> BaseClient:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        # An environment that names a region (a laptop's profile, a test server) comes first.
        named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent_extra="dbt-mesh",
        )
        try:
            return boto3.client(
                "s3", region_name=named or self.region or "us-east-1", config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise MeshError(f"{self.url}: {_one_line(error)}") from None

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def read(self, key: str, *, known: str | None = None) -> Stored | None:
        from botocore.exceptions import (
            FlexibleChecksumError,
            IncompleteReadError,
            ResponseStreamingError,
        )

        condition = {"IfNoneMatch": known} if known else {}
        for attempt in range(BODY_ATTEMPTS):
            with self._errors(key):
                try:
                    answer = self._client.get_object(
                        Bucket=self.bucket, Key=self._key(key), **condition
                    )
                except self._client.exceptions.ClientError as error:
                    if _code(error) in ("304", "NotModified"):
                        raise NotModified from None
                    if _code(error) in ("404", "NoSuchKey"):
                        return None
                    raise
                try:
                    return Stored(answer["Body"].read(), answer["ETag"])
                except (FlexibleChecksumError, IncompleteReadError, ResponseStreamingError):
                    if attempt == BODY_ATTEMPTS - 1:
                        raise
        raise AssertionError("unreachable")

    def etag(self, key: str) -> str | None:
        with self._errors(key):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except self._client.exceptions.ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    return None
                raise
            return str(answer["ETag"])

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        with self._errors(key):
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=self._key(key),
                    Body=body,
                    ContentType=_content_type(key),
                    **condition,
                )
            except self._client.exceptions.ClientError as error:
                # 409: two conditional writes met; 404: If-Match found nothing, or 412 for short.
                missing = replaces and _code(error) in ("404", "NoSuchKey")
                conflict = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
                if missing or _code(error) in conflict:
                    raise Changed(key) from None
                raise

    def children(self, prefix: str) -> Iterator[str]:
        whole = self._key(prefix)
        with self._errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=whole, Delimiter="/"
            )
            for page in pages:
                folders = (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
                objects = (entry["Key"] for entry in page.get("Contents", ()))
                yield from (key[len(whole) :] for key in (*folders, *objects))

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turns what the S3 client raises into one line that says what to do."""
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self.bucket}/{self._key(key)}"
        try:
            yield
        except ClientError as error:
            raise MeshError(f"{where}: {self._explain(error)}") from None
        except BotoCoreError as error:
            endpoint = self._client.meta.endpoint_url
            raise MeshError(f"{where}: {_explain_connection(error, endpoint)}") from None
        except RecursionError:  # the client follows redirections of S3 that name no region
            raise MeshError(f"{where}: {REDIRECTED}") from None

    def _explain(self, error: Any) -> str:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code == "NoSuchBucket":
            return f"there is no bucket {self.bucket}: check the name, or create it"
        if code in ("403", "AccessDenied", "AllAccessDisabled"):
            return (
                "access denied: your AWS role may not do this (S3 also says so of an object that "
                "does not exist, to roles that may not list the bucket)"
            )
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            return f"AWS refuses the credentials ({code}): sign in again"
        if code in ("301", "PermanentRedirect", "AuthorizationHeaderMalformed"):
            return REDIRECTED
        if isinstance(status, int) and status >= 500:
            return f"the server answers {status} ({code}) again and again: try again later"
        return _one_line(error)


def _explain_connection(error: Exception, endpoint: str) -> str:
    name = type(error).__name__
    if name == "NoCredentialsError":
        return "no AWS credentials: sign in (`aws sso login`), or set AWS_PROFILE"
    if name in ("ConnectTimeoutError", "ReadTimeoutError"):
        return f"no answer from {endpoint} in time: check the network, or try again later"
    if name in ("EndpointConnectionError", "ConnectionClosedError", "ProxyConnectionError"):
        return f"{endpoint} is out of reach: check the network, or try again later"
    if name in ("IncompleteReadError", "ResponseStreamingError", "FlexibleChecksumError"):
        return "the answer arrived broken, again and again: try again later"
    return _one_line(error)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _content_type(key: str) -> str:
    return "text/html; charset=utf-8" if key.endswith(".html") else "application/json"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def write_whole(path: Path, body: bytes) -> None:
    """Replaces a file at once: whoever reads it, or finds it after a crash, sees old or new, whole.

    Raises OSError with the file's name (disk full, no permission); the old file is then untouched.
    """
    try:
        _write_whole(path, body)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(body)
            temporary.flush()
            os.fsync(temporary.fileno())
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def _umask() -> int:
    """The process's umask; mkstemp ignores it, but the file is for everyone who may read it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
