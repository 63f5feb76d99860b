"""The registry: where it lies, what is in it, and what a store promises, whatever S3 answers."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from dbtmesh.registry import folder as folder_store
from dbtmesh.registry import s3 as s3_store
from dbtmesh.registry.s3 import S3Store
from dbtmesh.registry.store import Access, open_store
from tests import warm
from tests.conftest import Member
from tests.manifests import manifest
from tests.registry_world import (
    LATEST,
    PUBLISH,
    STATE,
    SYNC,
    Place,
    Publish,
    Shim,
    build,
    exporting,
    s3_place,
    writes_on_condition_only,
)
from tests.s3_server import BUCKET, S3, Answer, Proxy, Request, error

pytest_plugins = ("tests.s3_server", "tests.registry_world")

# --- Where it lies ------------------------------------------------------------------------------


def test_the_layout_is_that_of_the_design(up: Member, down: Member, place: Place) -> None:
    said = up.ok(PUBLISH, *place.flags, **place.environment)
    (version,) = place.history()
    assert place.keys() == [f"dbt_up/prod/history/{version}/manifest.json", LATEST]
    assert place.keys("state") == [STATE]
    assert version in said
    assert version.startswith("20260102T030405.678901Z-")
    assert place.get(LATEST) == place.get(f"dbt_up/prod/history/{version}/manifest.json")
    assert place.get(STATE, "state") == manifest()
    down.ok(SYNC, *place.flags, "--upstream", "dbt_up", **place.environment)
    assert (down.path / "state/dbt_up/manifest.json").read_bytes() == place.get(LATEST)


FILE = "file:///mesh/registry"
# what is exported, what is on the command line, and what that means
LOCATIONS: list[tuple[dict[str, str], dict[str, str], tuple[str, str]]] = [
    ({}, {}, ("file://{home}/registry", "local")),
    ({}, {"env": "local"}, ("file://{home}/registry", "local")),
    ({}, {"env": "prod"}, ("s3://mesh/registry", "prod")),
    ({"DBT_MESH_ENV": "prod"}, {}, ("s3://mesh/registry", "prod")),
    ({"DBT_MESH_ENV": "prod"}, {"env": "qa"}, ("s3://mesh/registry", "qa")),
    ({"DBT_MESH_BUCKET": "theirs"}, {}, ("s3://theirs/registry", "prod")),
    ({"DBT_MESH_BUCKET": "theirs"}, {"bucket": "mine"}, ("s3://mine/registry", "prod")),
    ({"DBT_MESH_BUCKET": "theirs", "DBT_MESH_REGISTRY": FILE}, {}, (FILE, "local")),
    ({"DBT_MESH_REGISTRY": FILE}, {"bucket": "mine"}, ("s3://mine/registry", "prod")),
    ({"DBT_MESH_REGISTRY": FILE}, {"env": "prod"}, (FILE, "prod")),
    ({"DBT_MESH_REGISTRY": ""}, {"env": "prod"}, ("s3://mesh/registry", "prod")),
    ({"DBT_MESH_REGISTRY": "s3://b/a/r"}, {}, ("s3://b/a/r", "prod")),
    ({"DBT_MESH_REGISTRY": "s3://b/a/r/"}, {"registry": FILE + "/"}, (FILE, "local")),
    ({}, {"registry": "./shared disk/registry"}, ("file://{here}/shared%20disk/registry", "local")),
    ({}, {"registry": "./registry"}, ("file://{here}/registry", "local")),
    ({}, {"registry": "S3://b/registry"}, ("s3://b/registry", "prod")),
    ({}, {"registry": "Snowflake://ORG-ACC"}, ("snowflake://ORG-ACC", "prod")),
    ({}, {"registry": "FILE:///mesh/registry"}, (FILE, "local")),
]


@pytest.mark.parametrize(("exported", "flags", "expected"), LOCATIONS)
def test_flags_come_before_the_environment_before_mesh_yml(
    exported: dict[str, str],
    flags: dict[str, str],
    expected: tuple[str, str],
    up: Member,
    mesh: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in {**up.environment, **exported}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"bucket": None, "registry": None, "env": None}
    found = mesh.config.locate(mesh.config.load_member(up.path), **{**given, **flags})
    url = expected[0].format(home=up.environment["DBT_MESH_HOME"], here=tmp_path)
    assert (found.url, found.env) == (url, expected[1])
    beside = url if url.startswith("snowflake") else url.rpartition("/")[0]
    assert found.state_url == f"{beside}/state"


@pytest.mark.parametrize(
    "url",
    [
        *("s3://mesh", "s3://mesh/", "s3:///registry", "s3:mesh/registry", "s3://a b/registry"),
        *("http://mesh/registry", "file://host/registry", "file:///", "ftp://mesh/registry"),
        *("acme-mesh", "..", "-", "~/registry", "s3;//mesh/registry", "registry", "a\nb", "S3:x"),
        *("gcs://mesh/registry", "snowflake:ORG-ACC", "snowflake:///ORG-ACC", "az://mesh/registry"),
        *("gs://mesh", "az://acme/mesh/../registry", "gs://mesh/./registry", "s3://mesh/r/.."),
        *("gs://mesh/reg\x01", "s3://mesh/r\n", "file:relative", "C:"),
    ],
)
def test_what_is_no_registry_is_refused(url: str, up: Member, mesh: SimpleNamespace) -> None:
    member = mesh.config.load_member(up.path)
    with pytest.raises(mesh.MeshError) as refused:
        mesh.registry.open_store(
            mesh.config.locate(member, bucket=None, registry=url, env=None).url
        )
    assert "\n" not in str(refused.value)


def test_the_full_manifest_is_not_put_where_it_is_committed(up: Member) -> None:
    build(up, manifest())
    for folder in ("./registry", (up.path / "registry").as_uri(), "./state/x"):
        assert "state/ of a project is committed" in up.refused(PUBLISH, "--registry", folder)
    assert not (up.path / "registry").exists()
    up.ok(PUBLISH, "--registry", "./elsewhere/registry")


def test_commands_find_their_registry(up: Member, down: Member, s3: S3) -> None:
    """Each of the defaults once, from end to end."""
    up.ok(PUBLISH)
    assert (up.path / "../.mesh/registry/dbt_up/local/latest/manifest.json").is_file()
    assert (up.path / "../.mesh/state/dbt_up/local/manifest.json").is_file()
    assert "1 public model" in down.ok(SYNC, "--upstream", "dbt_up")
    qa = ("--env", "qa-1")  # of mesh.yml's bucket
    up.ok(PUBLISH, *qa, **s3.environment())
    assert s3.get("registry/dbt_up/qa-1/latest/manifest.json")
    assert s3.get("state/dbt_up/qa-1/manifest.json") == manifest()
    assert "1 public" in down.ok(SYNC, *qa, "--upstream", "dbt_up", **s3.environment())
    spaces = {"DBT_MESH_REGISTRY": (up.path.parent / "path with spaces/ä#?%41").as_uri()}
    up.ok(PUBLISH, **spaces)
    assert (up.path.parent / "path with spaces/ä#?%41/dbt_up/local/latest/manifest.json").is_file()
    assert "1 public" in down.ok(SYNC, "--upstream", "dbt_up", **spaces)


class Empty(io.BytesIO):
    """A body as the client reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield b""


@pytest.mark.parametrize(
    ("place", "how", "headers"),
    [
        ("s3://mesh/registry", None, {}),
        ("s3://mesh/registry", "AES256", {"x-amz-server-side-encryption": "AES256"}),
        (
            "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mesh-ap/registry",
            "arn:aws:kms:eu-west-1:123456789012:key/k",
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": (
                    "arn:aws:kms:eu-west-1:123456789012:key/k"
                ),
            },
        ),
    ],
)
def test_a_write_says_what_the_bucket_asks_for(
    monkeypatch: pytest.MonkeyPatch, place: str, how: str | None, headers: dict[str, str]
) -> None:
    """By the request that the S3 client would send: no server here has keys, or access points."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    store = open_store(place, Access("eu-west-1", how))
    assert isinstance(store, S3Store)
    sent: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {"ETag": '"1"'}, Empty())

    store._client.meta.events.register("before-send.s3.PutObject", answer)
    store.write("shop/prod/latest/manifest.json", b"{}", replaces=None)
    (request,) = sent
    said = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
        if name.lower().startswith("x-amz-server-side")
    }
    assert said == headers
    address = urlsplit(request.url)
    assert address.path.endswith("/registry/shop/prod/latest/manifest.json")
    is_access_point = place.startswith("s3://arn:")
    assert ("mesh-ap-123456789012.s3-accesspoint.eu-west-1" in address.netloc) == is_access_point


@pytest.mark.parametrize("flags", [["--env", "../x"], ["--bucket", "b", "--registry", "s3://b/r"]])
def test_flags_that_cannot_be_meant(flags: list[str], up: Member) -> None:
    up.refused(PUBLISH, *flags)


def test_no_registry_at_all(up: Member) -> None:
    facts = (up.path / "mesh.yml").read_text().replace(f"bucket: {BUCKET}", "bucket: null")
    (up.path / "mesh.yml").write_text(facts)
    said = up.refused(PUBLISH, "--env", "prod")
    assert "name one with --registry, $DBT_MESH_REGISTRY, or the answer registry_bucket" in said


# --- What a store promises ----------------------------------------------------------------------


@pytest.fixture
def store(place: Place, mesh: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    return opened(place, mesh, monkeypatch)


def opened(place: Place, mesh: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return mesh.registry.open_store(place.url)


def test_a_write_happens_on_its_condition_only(store: Any) -> None:
    writes_on_condition_only(store)


def test_one_of_many_writers_wins(store: Any, mesh: SimpleNamespace) -> None:
    store.write("key", b"0", replaces=None)

    def write(body: bytes) -> bool:
        try:
            store.write("key", body, replaces=etag)
        except mesh.registry.Changed:
            return False
        return True

    for lap in range(5):
        etag = store.etag("key")
        bodies = [f"{lap} {number}".encode() for number in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, bodies))
        assert won.count(True) == 1
        assert store.read("key").body == bodies[won.index(True)]


def test_a_stuck_lock_is_told(
    folder: Place, mesh: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    store = opened(folder, mesh, monkeypatch)
    store.write("key", b"0", replaces=None)
    monkeypatch.setattr(folder_store, "LOCK_SECONDS", 0.1)
    with (
        FileLock(store.root / ".lock"),
        pytest.raises(mesh.MeshError, match="another process"),
    ):
        store.write("key", b"1", replaces=store.etag("key"))
    assert store.read("key").body == b"0"


# --- What S3 answers, and networks --------------------------------------------------------------


def first(number: int, answer: Answer) -> Callable[[Request, Callable[[], Answer]], Answer]:
    """A rule: the answer to the first requests, before all is well."""
    return lambda request, forward: answer if request.number <= number else forward()


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ServiceUnavailable"])
def test_an_overloaded_server_is_asked_again(
    code: str, up: Member, proxy: Proxy, shim: Shim
) -> None:
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = first(3, error(503 if code != "InternalError" else 500, code))
    up.ok(PUBLISH, *place.flags, **place.environment, **shim.hurried())
    assert len(place.history()) == 1
    assert proxy.seen()[:4] == ["HEAD"] * 4  # the state's ETag is read first


def test_a_server_that_stays_overloaded_is_told_in_seconds(up: Member, proxy: Proxy) -> None:
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = lambda request, forward: error(503, "SlowDown")
    warm.programs()  # which may have to start
    started = time.monotonic()
    assert "503 (SlowDown)" in exporting(up, **place.environment).refused(PUBLISH, *place.flags)
    assert time.monotonic() - started < 15
    assert place.keys() == []


@pytest.mark.parametrize("status", [409, 412, 404])
def test_a_lost_race_is_tried_again(
    status: int, up: Member, proxy: Proxy, shim: Shim, publish: Publish
) -> None:
    """What S3 servers say where a condition fails, or two conditional writes meet."""
    place = s3_place(proxy.s3, proxy.url)
    codes = {409: "ConditionalRequestConflict", 412: "PreconditionFailed", 404: "NoSuchKey"}
    publish(place, manifest())
    build(up, manifest(generated_at="2026-01-03T00:00:00Z"))
    refused: list[str] = []

    def rule(request: Request, forward: Callable[[], Answer]) -> Answer:
        conditional = "If-Match" in request.headers or status != 404
        if request.method == "PUT" and conditional and refused.count(request.path) < 2:
            refused.append(request.path)
            return error(status, codes[status])
        return forward()

    proxy.rule = rule
    if status == 412:  # a version that is refused and is not there is refused by something else
        proxy.rule = lambda request, forward: (
            rule(request, forward) if latest(request) else forward()
        )
    up.ok(PUBLISH, *place.flags, **place.environment, **shim.hurried())
    assert len(refused) >= 2
    assert len(place.history()) == 2
    assert place.get(LATEST) == place.get(
        f"dbt_up/prod/history/{place.history()[-1]}/manifest.json"
    )


def latest(request: Request) -> bool:
    return "/latest/" in request.path


def test_a_broken_download_is_asked_for_again(down: Member, proxy: Proxy, publish: Publish) -> None:
    place = s3_place(proxy.s3, proxy.url)
    publish(place, manifest())
    proxy.requests.clear()
    proxy.rule = lambda request, forward: forward().cut(100) if request.number <= 2 else forward()
    down.ok(SYNC, *place.flags, "--upstream", "dbt_up", **place.environment)
    assert proxy.seen() == ["GET"] * 3
    assert (down.path / "state/dbt_up/manifest.json").read_bytes() == place.get(LATEST)


def test_a_download_that_breaks_always_is_told(
    down: Member, proxy: Proxy, shim: Shim, publish: Publish
) -> None:
    place = s3_place(proxy.s3, proxy.url)
    publish(place, manifest())
    proxy.rule = lambda request, forward: forward().cut(100)
    before = down.files()
    flags = (*place.flags, "--upstream", "dbt_up")
    assert "broken" in exporting(down, **place.environment).refused(SYNC, *flags)
    assert down.files() == before


@pytest.mark.parametrize("hung", ["connect", "answer"])
def test_nobody_answers(
    hung: str, mesh: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    """A host that drops what is sent to it, and a server that accepts and then says nothing."""
    monkeypatch.setattr(s3_store, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(s3_store, "READ_SECONDS", 0.2)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    attempts: list[object] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0 if hung == "connect" else 64)
        address = listening.getsockname()
        filling = [socket.socket() for _ in range(3)] if hung == "connect" else []
        for each in filling:  # Linux drops what does not fit into the queue
            each.setblocking(False)
            each.connect_ex(address)
        store = opened(s3_place(s3, f"http://127.0.0.1:{address[1]}"), mesh, monkeypatch)
        client = store._client.meta
        assert client.config.connect_timeout == client.config.read_timeout == 0.2
        client.events.register("before-send.s3", lambda **sent: attempts.append(sent))
        with pytest.raises(mesh.MeshError, match="no answer from http://127"):
            store.read("key")
        for each in filling:
            each.close()
    monkeypatch.undo()
    assert len(attempts) == s3_store.ATTEMPTS
    assert len(attempts) * max(s3_store.CONNECT_SECONDS, s3_store.READ_SECONDS) < 45


# What is wrong → what is exported, and what the line says.
BROKEN_ACCESS: dict[str, tuple[dict[str, str], str]] = {
    "refused": ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "127.0.0.1:1 is out of reach"),
    "no such host": ({"AWS_ENDPOINT_URL_S3": "http://nowhere.invalid"}, "nowhere.invalid is out"),
    "no URL": ({"AWS_ENDPOINT_URL_S3": "nowhere"}, "nowhere"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "sign in"),
    "half of them": ({"AWS_SECRET_ACCESS_KEY": ""}, "missing: AWS_SECRET_ACCESS_KEY"),
    "no such profile": ({"AWS_PROFILE": "nobody"}, "nobody"),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
    "wrong key": ({"AWS_ACCESS_KEY_ID": "wrong"}, "InvalidAccessKeyId"),
    "may not": (
        {"AWS_ACCESS_KEY_ID": "consumer", "AWS_SECRET_ACCESS_KEY": "consumer-secret"},
        "denied",
    ),
}


@pytest.mark.parametrize("wrong", BROKEN_ACCESS)
def test_access_that_fails_is_told_in_a_line(wrong: str, down: Member, s3: S3, shim: Shim) -> None:
    place = s3_place(s3)
    changes, expected = BROKEN_ACCESS[wrong]
    environment = {**place.environment, **shim.hurried(), **changes}
    before = down.files()
    said = exporting(down, **environment).refused(SYNC, *place.flags, "--upstream", "dbt_up")
    assert expected in said
    assert down.files() == before


def test_a_bucket_that_does_not_exist(up: Member, down: Member, s3: S3) -> None:
    flags = ("--bucket", "no-such-bucket")
    assert "no bucket no-such-bucket" in exporting(up, **s3.environment()).refused(PUBLISH, *flags)
    exporting(down, **s3.environment()).refused(SYNC, *flags, "--upstream", "dbt_up")


def test_a_bucket_in_another_region(up: Member, proxy: Proxy) -> None:
    """The client asks again in the region that S3 names; here none is named."""
    place = s3_place(proxy.s3, proxy.url)
    proxy.rule = lambda request, forward: error(301, "PermanentRedirect")
    assert "region" in exporting(up, **place.environment).refused(PUBLISH, *place.flags)


# --- Who may do what ----------------------------------------------------------------------------


def test_a_consumer_reads_what_is_published_and_nothing_else(
    up: Member, down: Member, s3: S3
) -> None:
    """As the README's bucket policy has it: the publisher writes below its own name."""
    bucket = ("--bucket", BUCKET)
    up.ok(PUBLISH, *bucket, **s3.environment("publisher"))
    consumer = s3.environment("consumer")
    assert "1 public" in down.ok(SYNC, *bucket, "--upstream", "dbt_up", **consumer)
    written = s3.get(f"registry/{LATEST}")
    build(up, manifest(generated_at="2026-01-03T00:00:00Z"))
    assert "access denied" in exporting(up, **consumer).refused(PUBLISH, *bucket)
    assert s3.get(f"registry/{LATEST}") == written
    # the full manifest is its owner's
    state = ("--registry", f"s3://{BUCKET}/state", "--upstream", "dbt_up")
    assert "access denied" in exporting(down, **consumer).refused(SYNC, *state)


def test_a_publisher_cannot_write_as_another_project(originals: dict[str, Member], s3: S3) -> None:
    other = originals["up_b"]
    build(other, manifest("up_b"))
    bucket = ("--bucket", BUCKET)
    assert "access denied" in exporting(other, **s3.environment("publisher")).refused(
        PUBLISH, *bucket
    )
    assert s3.keys("registry/up_b") == []


def test_the_digest_is_that_of_the_bytes(up: Member, folder: Place) -> None:
    """What the design promises to readers who are not ours: SHA-256 with zeros in its own place."""
    up.ok(PUBLISH, *folder.flags)
    body = folder.get(LATEST)
    digest = body.partition(b'"DBT_MESH_DIGEST":"')[2][:64]
    assert hashlib.sha256(body.replace(digest, b"0" * 64)).hexdigest() == digest.decode()
