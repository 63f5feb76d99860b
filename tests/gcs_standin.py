"""A stand-in for Google Cloud Storage: the part of its XML API that a registry uses, as documented.

No packaged emulator has conditions on generations. This one has PUT with
x-goog-if-generation-match, GET and HEAD with If-None-Match, list-type=2, and bearer tokens that may
read and write below prefixes. It cannot prove Google's own limits (about one write a second to one
object), its sign-in, or the wording of its errors.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import pytest

BUCKET = "mesh"
# token → prefixes that it may read, and those that it may write; `admin` may access everything
RIGHTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "admin": (("",), ("",)),
    "consumer": (("registry/",), ()),
    "pull_request": (("registry/", "state/dbt_up/"), ()),
    "publisher": (("registry/", "state/dbt_up/"), ("registry/dbt_up/", "state/dbt_up/")),
}


@dataclass(frozen=True)
class Gcs:
    """The server, which has one bucket."""

    url: str

    def environment(self, identity: str = "admin", **others: str) -> dict[str, str]:
        """Returns what somebody exports to sign in as `identity`."""
        return {
            "GOOGLE_BASE_URL": self.url,
            "GOOGLE_ALLOW_HTTP": "true",
            "GOOGLE_BEARER_TOKEN": identity,
            **others,
        }


@dataclass
class _Bucket:
    objects: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    generation: int = 1_700_000_000_000_000
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket: _Bucket

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str, message: str, details: str = "") -> None:
        said = f"<Code>{code}</Code><Message>{message}</Message><Details>{details}</Details>"
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error>{said}</Error>".encode()
        self._answer(status, body, Content_Type="application/xml; charset=UTF-8")

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place, _, query = self.path.partition("?")
        name, _, key = urllib.parse.unquote(place.lstrip("/")).partition("/")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in RIGHTS:
            return self._error(401, "AuthenticationRequired", "Authentication required.")
        if name != BUCKET:
            return self._error(404, "NoSuchBucket", "The specified bucket does not exist.")
        asked = dict(urllib.parse.parse_qsl(query))
        wanted = key or asked.get("prefix", "")
        if not wanted.startswith(RIGHTS[token][self.command == "PUT"] or ("\0",)):
            details = f"{token} does not have storage.objects access to the object."
            return self._error(403, "AccessDenied", "Access denied.", details)
        with self.bucket.lock:
            if not key:
                return self._list(asked.get("prefix", ""))
            if self.command == "PUT":
                return self._put(key, body)
            return self._get(key)

    def _put(self, key: str, body: bytes) -> None:
        there = self.bucket.objects.get(key)
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != (there[0] if there else 0):
            message = "At least one of the pre-conditions you specified did not hold."
            return self._error(412, "PreconditionFailed", message)
        self.bucket.generation += 1
        self.bucket.objects[key] = (self.bucket.generation, body)
        self._described(200, b"", key)

    def _get(self, key: str) -> None:
        there = self.bucket.objects.get(key)
        if there is None:
            return self._error(404, "NoSuchKey", "The specified key does not exist.")
        if self.headers.get("If-None-Match") == _tag(there):
            return self._described(304, b"", key)
        self._described(200, there[1], key)

    def _described(self, status: int, body: bytes, key: str) -> None:
        there = self.bucket.objects[key]
        self._answer(
            status,
            body,
            ETag=_tag(there),
            x_goog_generation=str(there[0]),
            Last_Modified=formatdate(usegmt=True),
        )

    def _list(self, prefix: str) -> None:
        found, folders = [], set()
        for key, there in sorted(self.bucket.objects.items()):
            if key.startswith(prefix):
                rest = key[len(prefix) :]
                if "/" in rest:
                    folders.add(prefix + rest.partition("/")[0] + "/")
                else:
                    found.append(
                        f"<Contents><Key>{escape(key)}</Key><Generation>{there[0]}</Generation>"
                        "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                        f"<ETag>{escape(_tag(there))}</ETag><Size>{len(there[1])}</Size></Contents>"
                    )
        common = [
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>"
            for each in sorted(folders)
        ]
        self._answer(
            200, f"<ListBucketResult>{''.join(found + common)}</ListBucketResult>".encode()
        )

    do_GET = do_PUT = do_HEAD = _serve

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _tag(there: tuple[int, bytes]) -> str:
    """Returns an ETag of the content, like Google's for small objects: generations can share it."""
    return f'"{hashlib.md5(there[1]).hexdigest()}"'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Ignores that a client was killed."""


@contextlib.contextmanager
def running() -> Iterator[Gcs]:
    handler = type("Handler", (_Handler,), {"bucket": _Bucket()})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Gcs(f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def gcs() -> Iterator[Gcs]:
    with running() as server:
        yield server
