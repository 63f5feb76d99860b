"""Reads and writes objects in cloud storage with obstore: the common part of Azure and Google."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from dbtmesh import MeshError
from dbtmesh.files import MOST
from dbtmesh.output.words import one_line
from dbtmesh.registry.store import (
    MOST_REASON,
    Changed,
    NotModified,
    OutOfReach,
    Stored,
    TooLarge,
    content_type,
    is_of_one,
)

BODY_ATTEMPTS = 3
"""How many times an object is requested when the connection breaks in the middle of its body."""
WRITE_ATTEMPTS, WRITE_AGAIN_WITHIN = 2, 20
"""How many times, and within how many seconds, a write is sent when its answer got lost. If the
first attempt was stored, the condition of the second fails, and the protocol of publications
compares the content."""

CLIENT: dict[str, Any] = {"connect_timeout": "4s", "timeout": "45s", "user_agent": "dbt-mesh"}
RETRY: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
"""Timeouts and retries for a server that does not answer. Together they limit how long a command
hangs."""

WORDS = r"(?s:<(Message|Details|Code)>(.*?)</\1>)"
STATUS = r"non-2xx status code: ((\d+) [A-Za-z ]+)"
"""Patterns of the text of obstore's errors: the server's own message, and the HTTP status."""


class CloudStore:
    """A store of objects in a container or bucket.

    The clouds differ in how they identify the version of an object. An ETag of this store holds
    what the conditions of both reads and writes need.
    """

    service: str
    container: str
    kind: str
    sign_in: str
    keeps_own_records = False

    def __init__(self, url: str, prefix: str, client: Any) -> None:
        self.url, self.prefix, self._client = url, prefix, client

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _etag(self, meta: Mapping[str, Any]) -> str:
        """Returns the ETag of an object from obstore's metadata of it."""
        return str(meta["e_tag"])

    def _known(self, etag: str) -> str:
        """Returns the part of an ETag that a conditional read compares."""
        return etag

    def _update(self, etag: str) -> dict[str, str]:
        """Returns the version that a conditional write compares. Raises Changed where the ETag
        cannot be one of this store."""
        return {"e_tag": etag}

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        import obstore
        from obstore import exceptions

        options: Any = {"if_none_match": self._known(known)} if known else {}
        for attempt in range(BODY_ATTEMPTS):
            with self._errors(key):
                try:
                    found = obstore.get(self._client, self._key(key), options=options)
                except exceptions.NotModifiedError:
                    raise NotModified from None
                except FileNotFoundError:
                    self._check_container(key)
                    return None
                if (size := int(found.meta["size"])) > most:
                    raise TooLarge(f"{self.url}/{key}", size, most)
                try:
                    body = bytes(found.bytes())
                except exceptions.BaseError:
                    if attempt == BODY_ATTEMPTS - 1:
                        raise
                    continue
                return Stored(body, self._etag(found.meta))
        raise AssertionError("unreachable")

    def etag(self, key: str) -> str | None:
        import obstore

        with self._errors(key):
            try:
                return self._etag(obstore.head(self._client, self._key(key)))
            except FileNotFoundError:
                self._check_container(key)
                return None

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        import obstore
        from obstore import exceptions

        mode: Any = self._update(replaces) if replaces else "create"
        started = time.monotonic()
        with self._errors(key):
            for attempt in range(WRITE_ATTEMPTS):
                try:
                    obstore.put(
                        self._client,
                        self._key(key),
                        body,
                        mode=mode,
                        attributes={"Content-Type": content_type(key)},
                        use_multipart=False,
                    )
                    return
                except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                    raise Changed(key) from None
                except FileNotFoundError:  # the object is gone, or the container does not exist
                    self._check_container(key)
                    raise Changed(key) from None
                except exceptions.GenericError:
                    late = time.monotonic() - started > WRITE_AGAIN_WITHIN
                    if late or attempt == WRITE_ATTEMPTS - 1:
                        raise

    def children(self, prefix: str) -> Iterator[str]:
        import obstore

        whole = self._key(prefix).rstrip("/")
        with self._errors(prefix):
            found = obstore.list_with_delimiter(self._client, whole or None)
        start = len(whole) + 1 if whole else 0
        yield from sorted(
            [f"{folder[start:]}/" for folder in found["common_prefixes"]]
            + [entry["path"][start:] for entry in found["objects"]]
        )

    def _check_container(self, key: str) -> None:
        """Raises OutOfReach where the container is missing: the clouds answer `not found` then too.

        An identity that may read objects but not list them cannot see whether the container exists.
        For it, nothing is raised.
        """
        import obstore
        from obstore import exceptions

        folder = self._key(key).rpartition("/")[0]
        try:
            obstore.list_with_delimiter(self._client, folder or None)
        except exceptions.PermissionDeniedError:
            return
        except (FileNotFoundError, exceptions.BaseError) as error:
            raise OutOfReach(
                f"{self.url}: there is no {self.kind} {self.container}, or you may not list it: "
                f"check the name, or create it. {self._said(error)}"
            ) from None

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turns what obstore raises into one line that says what to do."""
        from obstore import exceptions

        try:
            yield
        except exceptions.BaseError as error:
            where = f"{self.url}/{key}"
            kind: type[MeshError] = OutOfReach
            if isinstance(error, exceptions.PermissionDeniedError):
                kind = MeshError
                advice = "access denied: your identity may not do this, or its key is wrong"
            elif isinstance(error, exceptions.UnauthenticatedError):
                advice = f"{self.service} refuses the sign-in: sign in again ({self.sign_in})"
            else:
                status = re.search(STATUS, str(error))
                kind = MeshError if status and is_of_one(int(status[2])) else OutOfReach
                advice = "failed: check the name and the network, or try again later"
            raise kind(f"{where}: {advice}. {self._said(error)}") from None

    def _said(self, error: Exception) -> str:
        """Returns the reason of an error, and names the server as its source if it answered."""
        answered = re.search(STATUS, str(error)) or re.search(WORDS, str(error))
        return f"{self.service} says: {_reason(error)}" if answered else _reason(error)


def client_options(cloud: str) -> Any:
    """Returns the client's options. <cloud>_ALLOW_HTTP=true allows HTTP without TLS, for tests."""
    return {**CLIENT, "allow_http": os.environ.get(f"{cloud}_ALLOW_HTTP") == "true"}


def is_in_job() -> bool:
    """Checks whether this process is a CI job that may request an OIDC token."""
    from dbtmesh.ci.github import job  # only loaded where such a sign-in is set up

    return job.has_identity()


@contextlib.contextmanager
def opening(url: str) -> Iterator[None]:
    from obstore import exceptions

    try:
        yield
    except (exceptions.BaseError, ValueError) as error:
        raise MeshError(f"{url}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Returns the server's message in one line, or the client's where the server sent none."""
    text = str(error).split("\n\nDebug source")[0]
    said = dict(re.findall(WORDS, text))
    status = re.search(STATUS, text)
    if said:
        words = [said.get("Message", ""), said.get("Details", ""), f"({said.get('Code', '')})"]
        text = " ".join(words)
    elif status:
        text = status[1].strip()
    return one_line(text, MOST_REASON)
