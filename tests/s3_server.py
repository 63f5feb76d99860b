"""Runs a real S3 server for tests, and a proxy in front of it that fails as networks do.

The server is SeaweedFS, which checks signatures, conditions and permissions.

A pytest plugin: `pytest_plugins = "tests.s3_server"` gives a module the fixtures `s3` and `proxy`.
Tests import its helpers before pytest could rewrite it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest
from botocore.config import Config

WEED = Path(sys.executable).parent / "weed"
BUCKET = "mesh"
# The permissions in the README's bucket policy, for two members. `admin` sets up and inspects.
IDENTITIES = {
    "admin": ["Admin", "Read", "Write", "List"],
    "consumer": [f"Read:{BUCKET}/registry/*"],
    "publisher": [
        f"Read:{BUCKET}/registry/*",
        f"Write:{BUCKET}/registry/dbt_up/*",
        f"Read:{BUCKET}/state/dbt_up/*",
        f"Write:{BUCKET}/state/dbt_up/*",
    ],
}
PORTS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "filer.port"),
    *("filer.port.grpc", "volume.port", "volume.port.grpc", "admin.port", "admin.port.grpc"),
)
STARTS, READY_AFTER = 3, 60
"""How often a server is started, and the seconds that it has to be ready each time."""


@cache
def session() -> Any:
    """Returns a session, in which botocore reads the description of a service only once."""
    return boto3.session.Session()


@dataclass(frozen=True)
class S3:
    """The server, which has a versioned bucket."""

    url: str

    def environment(self, identity: str = "admin", **others: str) -> dict[str, str]:
        """Returns what somebody exports to sign in as `identity`."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": f"{identity}-secret",
            **others,
        }

    def client(self) -> Any:
        """Returns the client of `admin`."""
        return self._client

    @cached_property
    def _client(self) -> Any:
        return session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="admin",
            aws_secret_access_key="admin-secret",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=20),
        )

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys below `prefix/`, without the prefix."""
        return [key.removeprefix(f"{prefix}/") for key in self.stored(f"{prefix}/")]

    def stored(self, prefix: str) -> dict[str, str]:
        """Returns the MD5 of each object whose key begins with the prefix."""
        listed = self.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return {each["Key"]: each["ETag"].strip('"') for each in listed.get("Contents", [])}

    def get(self, key: str) -> bytes:
        body: bytes = self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def put(self, key: str, body: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=key, Body=body)

    def versions(self, key: str) -> int:
        """Counts how often the object has been written."""
        listed = self.client().list_object_versions(Bucket=BUCKET, Prefix=key)
        return len(listed.get("Versions", []))


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[S3]:
    """Runs the server, with its data in `folder`. options: more options of `weed mini`."""
    config = folder / "identities.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": name,
                        "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}],
                        "actions": actions,
                    }
                    for name, actions in IDENTITIES.items()
                ]
            }
        )
    )
    off = ("webdav", "admin.ui", "s3.port.iceberg", "s3.port.lance", "master.telemetry")

    def command(ports: Sequence[int]) -> list[object]:
        return [
            WEED,
            "mini",
            f"-dir={tempfile.mkdtemp(dir=folder, prefix='data')}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={config}",
            *(f"-{name}={port}" for name, port in zip(PORTS, ports, strict=True)),
            *(f"-{name}={'0' if 'port' in name else 'false'}" for name in off),
            *options,
        ]

    @cache
    def server(port: int) -> S3:
        return S3(f"http://127.0.0.1:{port}")

    def prepare(ports: Sequence[int]) -> None:
        client = server(ports[0]).client()
        make_bucket(client, BUCKET)
        client.put_object(Bucket=BUCKET, Key="ready", Body=b"")

    with on_free_ports(len(PORTS), command, prepare, folder) as ports:
        try:
            yield server(ports[0])
        finally:
            for port in ports:  # the server leaves its Unix sockets behind
                for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    path.unlink(missing_ok=True)


def make_bucket(client: Any, name: str) -> None:
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


@contextlib.contextmanager
def on_free_ports(
    count: int,
    command: Callable[[Sequence[int]], Sequence[object]],
    prepare: Callable[[Sequence[int]], object],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sequence[int]]:
    """Runs a server on free ports, and yields them once `prepare` has succeeded.

    Starts it again on others if it ends before that: another process may have taken a port first.
    folder: its current folder, where its log is kept.
    """
    log = folder / "log"
    for _ in range(STARTS):
        ports = free_ports(count)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*map(str, command(ports))],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            if _is_ready(process, partial(prepare, ports)):
                yield ports
                return
        finally:
            process.kill()  # stopping takes seconds, and the data are thrown away
            process.wait()
    raise RuntimeError(f"no server: {log.read_text(errors='replace')}")


def _is_ready(process: subprocess.Popen[bytes], prepare: Callable[[], object]) -> bool:
    """Waits until `prepare` succeeds; False if the process ends before, or it takes too long."""
    deadline = time.monotonic() + READY_AFTER
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            prepare()
            return True
        time.sleep(0.1)
    return False


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


# --- The proxy ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One request that the proxy has seen. number: counts from 1."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """The proxy's response. sent: the bytes of the body after which it resets the connection."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: int | None = None

    def cut(self, sent: int) -> Answer:
        return replace(self, sent=sent)

    def altered(self, body: bytes) -> Answer:
        """Returns another body that looks genuine: without a checksum, with the matching length."""
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.lower().startswith(("x-amz-checksum", "content-length"))
        }
        return Answer(self.status, headers, body)


def error(status: int, code: str, message: str = "") -> Answer:
    """An answer as S3 words its errors."""
    says = f"<Code>{code}</Code><Message>{message or code}.</Message>"
    body = f"<?xml version='1.0'?><Error>{says}</Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


Rule = Callable[[Request, Callable[[], Answer]], Answer | None]
"""Takes a request and a function that forwards it. Returns the response, or None to reset the
connection instead."""


def transparent(_: Request, forward: Callable[[], Answer]) -> Answer:
    return forward()


class Server(Protocol):
    """A server for which a proxy can forward requests, whose signatures stay valid."""

    @property
    def url(self) -> str: ...

    def environment(self, identity: str = "admin", **others: str) -> dict[str, str]: ...


@dataclass
class Proxy:
    """A proxy in front of the server. `rule` can be changed at any time."""

    server: Server
    url: str
    rule: Rule = transparent
    requests: list[Request] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def s3(self) -> S3:
        assert isinstance(self.server, S3)
        return self.server

    def environment(self, identity: str = "admin", **others: str) -> dict[str, str]:
        return self.s3.environment(identity, **others) | {"AWS_ENDPOINT_URL_S3": self.url}

    def seen(self) -> list[str]:
        """Returns the requests' methods, in order."""
        return [request.method for request in self.requests]

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | None:
        with self.lock:
            request = Request(len(self.requests) + 1, method, path, headers, body)
            self.requests.append(request)
        started = time.monotonic()
        answered = self.rule(request, lambda: self._forward(request))
        with self.lock:
            self.spans.append((started, time.monotonic()))
        return answered

    def _forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            # the Host header stays the proxy's, because the signature covers it
            connection.putrequest(
                request.method, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            response = connection.getresponse()
            headers = {
                name: value
                for name, value in response.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "date", "server")
            }
            return Answer(response.status, headers, response.read())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.proxy.answer(self.command, self.path, dict(self.headers.items()), body)
        if answer is None:
            self._reset()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        if answer.status != 304:
            length = answer.headers.get("Content-Length")
            self.send_header("Content-Length", length or str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent])
        if answer.sent is not None:
            self.wfile.flush()
            time.sleep(0.2)  # lets what was sent arrive: the reset would discard it
            self._reset()

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # close with a reset, not in good order
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        # closing the socket is not enough, because the handler's own files keep it open
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.connection.fileno())
        os.close(nothing)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Ignores that a client was killed; its test checks the consequences."""


@contextlib.contextmanager
def proxied(in_front_of: Server) -> Iterator[Proxy]:
    """Runs a proxy in front of the server."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    proxy = Proxy(in_front_of, f"http://127.0.0.1:{server.server_address[1]}")
    handler.proxy = proxy  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One server for all tests of a worker; each test uses its own prefix."""
    with running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    with proxied(s3) as each:
        yield each
