"""What every store of a registry promises, and what the protocol makes of it: one suite for all.

Each test runs on a folder, on SeaweedFS (S3), on Azurite (Azure), on a stand-in of Google Cloud
Storage and on the stand-in of Snowflake. What only S3 says is tested in test_registry.py, what only
Snowflake says in test_snowflake_registry.py, and what the commands say in test_publish.py and
test_sync_faults.py.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from dbtmesh import MeshError
from dbtmesh.config import load_member, locate
from dbtmesh.files import MOST
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface
from dbtmesh.manifest.published import read
from dbtmesh.registry import keys, publication
from dbtmesh.registry.history import versions
from dbtmesh.registry.store import Access, Changed, NotModified, OutOfReach, Store, open_store
from tests.azurite import ACCOUNT
from tests.manifests import manifest
from tests.registry_world import writes_on_condition_only
from tests.s3_server import Answer, Request, Server, error, proxied
from tests.snowflake_registry import Account, signed_out

pytest_plugins = (
    "tests.s3_server",
    "tests.azurite",
    "tests.gcs_standin",
    "tests.snowflake_registry",
    "tests.registry_world",
)

FOLDER, S3, AZURE, GCS, SNOWFLAKE = "file", "s3", "azure", "gcs", "snowflake"
CLOUDS = (S3, AZURE, GCS)


NOBODY = Access()


@dataclass(frozen=True)
class Ground:
    """Where a store lies. `url`: without the folder in it; `access`: what opens it."""

    name: str
    url: str
    server: Server | Account | None = None
    access: Access = NOBODY

    def fresh(self) -> Ground:
        """Another place on the same server."""
        return replace(self, url=f"{self.url}/{uuid.uuid4().hex}")

    def withdrawn(self) -> set[str]:
        """What readers have seen for a moment, until another one was found to stand beside it."""
        if not isinstance(self.server, Account) or not self.access.member:
            return set()
        return self.server.withdrawn(self.access.member)

    def environment(self, identity: str = "admin", through: str = "") -> dict[str, str]:
        """What somebody exports. through: URL of a proxy."""
        if not self.server:
            return {}
        server = replace(self.server, url=through) if through else self.server  # type: ignore[type-var]
        return server.environment(identity)

    def open(self, root: str = "registry", **environment: str) -> Store:
        os.environ.update(environment or self.environment())
        if self.name == SNOWFLAKE:
            signed_out()
            return open_store(self.url + ("/state" if root == "state" else ""), self.access)
        return open_store(f"{self.url}/{root}")


URLS = {S3: "s3://mesh", AZURE: f"az://{ACCOUNT}/mesh", GCS: "gs://mesh"}


def ground_of(name: str, request: pytest.FixtureRequest) -> Ground:
    if name == FOLDER:
        return Ground(name, (request.getfixturevalue("tmp_path") / "a disk").as_uri())
    if name == SNOWFLAKE:
        account: Account = request.getfixturevalue("snowflake_account")
        return Ground(name, account.url, account, Access(member=account.project("dbt_up")))
    return Ground(name, URLS[name], request.getfixturevalue(name)).fresh()


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test exports is gone after it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(params=(FOLDER, *CLOUDS, SNOWFLAKE))
def ground(request: pytest.FixtureRequest) -> Ground:
    return ground_of(request.param, request)


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Ground:
    """Those that are reached by HTTP."""
    return ground_of(request.param, request)


def built(number: int, **options: Any) -> Interface:
    """The interface of a build of dbt_up: the higher the number, the later it was built."""
    day, second = divmod(number, 86400)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return extract(
        manifest(generated_at=f"2026-02-{day + 1:02}T{clock}.000000Z", **options), "dbt_up"
    )


def agree(_: Interface | None) -> None:
    return None


def latest(store: Store, env: str = "prod") -> Interface:
    stored = store.read(keys.latest("dbt_up", env))
    assert stored
    return read(stored.body, "dbt_up")


# --- What a store promises ----------------------------------------------------------------------


def test_a_write_happens_on_its_condition_only(ground: Ground) -> None:
    writes_on_condition_only(ground.open())


def test_an_etag_of_another_store_is_only_another(ground: Ground) -> None:
    """After a move, readers know those of the store before."""
    store = ground.open()
    key = keys.state("dbt_up", "prod")
    store.write(key, b"1", replaces=None)
    for foreign in ('"0x8DCC"', '"5d41402abc4b2a76b9719d911017c592"', '7:"x"', "0" * 64):
        assert store.read(key, known=foreign)
        with pytest.raises(Changed):
            store.write(key, b"2", replaces=foreign)


def test_back_to_the_same_content_is_another_version(ground: Ground) -> None:
    """Two publications in between: what was read first must not be taken for what is there. A
    folder tells by content, which is what it would replace."""
    if ground.name == FOLDER:
        pytest.skip("a folder's ETag is the digest of the content")
    store = ground.open()
    key = keys.state("dbt_up", "prod")
    store.write(key, b"1", replaces=None)
    first = store.etag(key)
    for body in (b"2", b"1"):
        store.write(key, body, replaces=store.etag(key))
    if ground.name != S3:  # S3's ETag is of the content as well
        with pytest.raises(Changed):
            store.write(key, b"3", replaces=first)


def test_children_are_what_lies_directly_below(ground: Ground) -> None:
    if ground.name == SNOWFLAKE:
        pytest.skip("has no folders but the registry's own: test_snowflake_registry.py")
    store = ground.open()
    assert list(store.children("")) == []
    for key in ("up/prod/a.json", "up/prod/b.json", "up/qa/history/x/c.json", "upper/d.json"):
        store.write(key, b"{}", replaces=None)
    assert sorted(store.children("")) == ["up/", "upper/"]
    assert sorted(store.children("up/")) == ["prod/", "qa/"]
    assert sorted(store.children("up/prod/")) == ["a.json", "b.json"]
    assert list(store.children("none/")) == []


def test_names_and_bodies_come_back_as_they_were(ground: Ground) -> None:
    store = ground.open()
    for name, body in (("ä b.json", b""), ("d" * 100 + ".html", bytes(range(256)) * 5000)):
        key = keys.state("dbt_up", "prod", name)
        store.write(key, body, replaces=None)
        stored = store.read(key)
        assert stored
        assert stored.body == body


# --- The protocol, interrupted ------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """A store whose process dies at the operation with that number: before it, or after it."""

    def __init__(self, store: Store, number: int, when: str, clock: Iterator[int]) -> None:
        self.store, self.url, self.number, self.when, self.clock = (
            store,
            store.url,
            number,
            when,
            clock,
        )
        self.keeps_own_records = store.keeps_own_records

    def _do(self, what: Callable[[], Any]) -> Any:
        turn = next(self.clock)  # one at a time, whatever thread asks
        if turn == self.number and self.when == "before":
            raise Killed
        result = what()
        if turn == self.number:
            raise Killed
        return result

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Any:
        return self._do(lambda: self.store.read(key, known=known, most=most))

    def etag(self, key: str) -> Any:
        return self._do(lambda: self.store.etag(key))

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        self._do(lambda: self.store.write(key, body, replaces=replaces))

    def children(self, prefix: str) -> Iterator[str]:
        return iter(self._do(lambda: list(self.store.children(prefix))))


def publish(store: Store, state: Store, env: str, interface: Interface) -> None:
    publication.publish(store, env, interface, agree)
    publication.keep_state(state, store, env, interface, interface.body)


def test_killed_between_any_two_operations(ground: Ground) -> None:
    store, state = ground.open(), ground.open("state")
    old, new = built(1), built(2)
    for when in ("before", "after"):
        number, killed = 0, True
        while killed:
            number, killed, clock = number + 1, False, itertools.count(1)
            env = f"{when}-{number}"
            publish(store, state, env, old)
            try:
                publish(
                    Dying(store, number, when, clock),
                    Dying(state, number, when, clock),
                    env,
                    new,
                )
            except Killed:
                killed = True
            there = latest(store, env)
            assert there.version in (old.version, new.version)
            assert {old.version, there.version} <= set(versions(store, "dbt_up", env))
            publish(store, state, env, new)
            assert latest(store, env).version == new.version
            assert versions(store, "dbt_up", env) == [old.version, new.version]
            kept = state.read(keys.state("dbt_up", env))
            assert kept
            assert kept.body == new.body
        assert number > 5


def test_an_older_build_joins_the_history_only(ground: Ground) -> None:
    store = ground.open()
    for number in (2, 1):
        publication.publish(store, "prod", built(number), agree)
    assert latest(store).version == built(2).version
    assert len(versions(store, "dbt_up", "prod")) == 2


WORKERS, BUILDS = 8, 1000
ENOUGH = 360
"""Seconds for all of them, in the worst case of a machine that has other work."""


def work(
    place: tuple[str, Access],
    environment: dict[str, str],
    numbers: list[int],
    done: Any,
    seed: int,
) -> None:
    """Publishes builds; dies now and then at an operation that chance chooses."""
    os.environ.update(environment)
    chance = random.Random(seed)
    store = open_store(*place)

    class Mortal(Dying):
        def _do(self, what: Callable[[], Any]) -> Any:
            try:
                return super()._do(what)
            except Killed:
                os.kill(os.getpid(), signal.SIGKILL)

    for number in numbers:
        dies = chance.randrange(1, 6) if chance.random() < 0.05 else 0
        mortal = Mortal(store, dies, chance.choice(["before", "after"]), itertools.count(1))
        while True:
            try:
                publication.publish(mortal, "prod", built(number), agree)
                break
            except MeshError as refused:
                if "again and again" not in str(refused):  # others won
                    raise
        done.value += 1


def test_a_thousand_publications_of_eight_processes_with_kills(ground: Ground) -> None:
    """None is lost, torn, or replaced by an older one."""
    store = ground.open()
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "dbtmesh.gate.compare", "snowflake.connector"])
    shares = [list(range(worker, BUILDS, WORKERS)) for worker in range(WORKERS)]
    counters = [processes.Value("i", 0, lock=False) for _ in shares]
    kills, stop, seen = 0, threading.Event(), []

    def watch() -> None:
        # its half a minute, of the stand-in of Snowflake, is long enough for as many looks
        while not stop.wait(0.5 if ground.name == SNOWFLAKE else 0.1):
            with contextlib.suppress(AssertionError):  # nothing yet
                seen.append(latest(store).version)

    def run(worker: int) -> Any:
        rest = shares[worker][counters[worker].value :]
        process = processes.Process(
            target=work,
            args=(
                (store.url, ground.access),
                ground.environment(),
                rest,
                counters[worker],
                worker * 1000 + kills,
            ),
        )
        process.start()
        return process

    watcher = threading.Thread(target=watch)
    watcher.start()
    running = [run(worker) for worker in range(WORKERS)]
    deadline = time.monotonic() + ENOUGH
    try:
        while any(process.is_alive() or process.exitcode for process in running):
            assert time.monotonic() < deadline, [counter.value for counter in counters]
            for worker, process in enumerate(running):
                if process.exitcode:
                    assert process.exitcode == -signal.SIGKILL
                    kills += 1
                    running[worker] = run(worker)
            time.sleep(0.02)
    finally:
        stop.set()
        watcher.join()
        for process in running:
            process.kill()
    assert kills > 5
    assert versions(store, "dbt_up", "prod") == [built(number).version for number in range(BUILDS)]
    assert latest(store).version == built(BUILDS - 1).version
    back = {before for before, after in itertools.pairwise(seen) if after < before}
    assert back <= ground.withdrawn()
    assert len(set(seen)) > 5


# --- What clouds answer, and networks -----------------------------------------------------------

# How each says that there is too much to do.
BUSY = {S3: (503, "SlowDown"), AZURE: (503, "ServerBusy"), GCS: (429, "rateLimitExceeded")}


@contextlib.contextmanager
def behind(cloud: Ground) -> Iterator[tuple[Any, Store, Store]]:
    """A proxy in front of the cloud; the store through it, and past it."""
    assert cloud.server
    assert not isinstance(cloud.server, Account)
    past = cloud.open()
    with proxied(cloud.server) as proxy:
        yield proxy, cloud.open(**cloud.environment(through=proxy.url)), past


Rule = Callable[[Request, Callable[[], Answer]], Answer | None]


def test_a_busy_cloud_is_asked_again(cloud: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    with behind(cloud) as (proxy, store, past):
        for number in (1, 2):  # the second replaces
            proxy.requests.clear()
            refused: list[str] = []

            def rule(
                request: Request, forward: Callable[[], Answer], refused: list[str] = refused
            ) -> Answer:
                if refused.count(str(request)) < 2:
                    refused.append(str(request))
                    return error(*BUSY[cloud.name])
                return forward()

            proxy.rule = rule
            publication.publish(store, "prod", built(number), agree)
            assert len(refused) >= 6
            assert latest(past).version == built(number).version


def test_a_cloud_that_stays_busy_is_told_in_seconds(cloud: Ground) -> None:
    with behind(cloud) as (proxy, store, _):
        proxy.rule = lambda request, forward: error(*BUSY[cloud.name], message="Come back later")
        started = time.monotonic()
        with pytest.raises(OutOfReach, match="later") as refused:
            publication.publish(store, "prod", built(1), agree)
        assert time.monotonic() - started < 20
        assert "\n" not in str(refused.value)


def lose(number: int, what: str) -> Rule:
    """The answer to the write with that number, or the write itself, gets lost."""
    writes: list[Request] = []

    def rule(request: Request, forward: Callable[[], Answer]) -> Answer | None:
        if request.method == "PUT":
            writes.append(request)
            if len(writes) == number:
                if what == "answer":
                    forward()
                return None
        return forward()

    return rule


@pytest.mark.parametrize("what", ["answer", "request"])
def test_a_lost_answer_is_recognised_by_content(what: str, cloud: Ground) -> None:
    with behind(cloud) as (proxy, store, past):
        for number in (1, 2):
            env = f"lost-{number}"
            publication.publish(past, env, built(1), agree)
            proxy.rule = lose(number, what)
            done = publication.publish(store, env, built(2), agree)
            assert done.newer is None
            assert latest(past, env).version == built(2).version == done.version
            assert len(versions(past, "dbt_up", env)) == 2


# What a condition that does not hold is answered with: two writes at once, too.
LOST_RACES = {
    S3: [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")],
    AZURE: [(412, "ConditionNotMet"), (409, "BlobAlreadyExists")],
    GCS: [(412, "PreconditionFailed")],
}


def test_a_lost_race_is_tried_again(cloud: Ground) -> None:
    with behind(cloud) as (proxy, store, past):
        publication.publish(past, "prod", built(1), agree)
        for lap, answer in enumerate(LOST_RACES[cloud.name], start=2):
            refused: list[str] = []

            def rule(
                request: Request,
                forward: Callable[[], Answer],
                refused: list[str] = refused,
                answer: tuple[int, str] = answer,
            ) -> Answer:
                if request.method == "PUT" and "latest" in request.path and len(refused) < 2:
                    refused.append(request.path)
                    return error(*answer)
                return forward()

            proxy.rule = rule
            publication.publish(store, "prod", built(lap), agree)
            assert len(refused) == 2
            assert latest(past).version == built(lap).version


def test_a_broken_download_is_asked_for_again(cloud: Ground) -> None:
    with behind(cloud) as (proxy, store, past):
        past.write("key", b"x" * 5000, replaces=None)
        cut: list[int] = []

        def rule(request: Request, forward: Callable[[], Answer]) -> Answer:
            cut.append(1)
            return forward().cut(1000) if len(cut) <= 2 else forward()

        proxy.rule = rule
        stored = store.read("key")
        assert stored
        assert stored.body == b"x" * 5000


def test_unchanged_is_one_request(cloud: Ground) -> None:
    with behind(cloud) as (proxy, store, past):
        publication.publish(past, "prod", built(1), agree)
        stored = past.read(keys.latest("dbt_up", "prod"))
        assert stored
        with pytest.raises(NotModified):
            store.read(keys.latest("dbt_up", "prod"), known=stored.etag)
        assert len(proxy.requests) == 1


# --- Who may do what, and what is missing -------------------------------------------------------


def test_a_reader_may_not_write(cloud: Ground) -> None:
    """`consumer` reads what is published: below registry/ where the cloud can say so."""
    cloud = replace(cloud, url=URLS[cloud.name])
    name = f"dbt_{uuid.uuid4().hex}"
    cloud.open().write(f"{name}/a", b"1", replaces=None)
    _signed_out()
    reader = cloud.open(**cloud.environment("consumer"))
    stored = reader.read(f"{name}/a")
    assert stored
    for key, replaces in ((f"{name}/a", stored.etag), (f"{name}/b", None)):
        with pytest.raises(MeshError, match="access denied") as refused:
            reader.write(key, b"2", replaces=replaces)
        assert "\n" not in str(refused.value)
    assert reader.read(f"{name}/a") == stored


def _signed_out() -> None:
    boto3.DEFAULT_SESSION = None
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_", "AWS_")):
            del os.environ[name]


MISSING = {
    S3: "s3://no-such-bucket/registry",
    AZURE: f"az://{ACCOUNT}/no-such-container/registry",
    GCS: "gs://no-such-bucket/registry",
}


def test_a_bucket_that_does_not_exist_is_told(cloud: Ground) -> None:
    os.environ.update(cloud.environment())
    store = open_store(MISSING[cloud.name])
    operations: list[Callable[[], Any]] = [lambda: store.read("a")]
    if (
        cloud.name != S3
    ):  # S3 answers HEAD without a body; SeaweedFS makes a bucket that is written to
        operations += [
            lambda: store.write("a", b"", replaces=None),
            lambda: store.etag("a"),
            lambda: list(store.children("")),
        ]
    for operation in operations:
        with pytest.raises(MeshError) as refused:
            operation()
        assert "\n" not in str(refused.value)
        assert "no-such-" in str(refused.value)
        assert "not exist" in str(refused.value) or "there is no" in str(refused.value)


WRONG_SIGN_IN: dict[str, tuple[dict[str, str], str]] = {
    "no Azure credentials": ({}, "az login"),
    "wrong Azure key": ({"AZURE_STORAGE_ACCOUNT_KEY": "d3Jvbmc="}, "denied"),
    "no Google credentials": ({}, "gcloud auth application-default login"),
    "wrong Google token": ({"GOOGLE_BEARER_TOKEN": "nobody"}, "sign in again"),
}


@pytest.mark.parametrize("wrong", WRONG_SIGN_IN)
def test_a_sign_in_that_fails_is_told(
    wrong: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    ground = ground_of(AZURE if "Azure" in wrong else GCS, request)
    exported, expected = WRONG_SIGN_IN[wrong]
    credentials = ("AZURE_STORAGE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN")
    there = {k: v for k, v in ground.environment().items() if k not in credentials}
    _signed_out()
    os.environ.update({**there, **exported, "CLOUDSDK_CONFIG": str(tmp_path)})
    if not exported:
        os.environ["PATH"] = str(tmp_path)
    with pytest.raises(MeshError, match=expected) as refused:
        open_store(f"{ground.url}/registry").read("key")
    assert "\n" not in str(refused.value)


def test_nobody_there_is_told(cloud: Ground) -> None:
    store = cloud.open(**cloud.environment(through="http://127.0.0.1:1"))
    started = time.monotonic()
    operations: list[Callable[[], Any]] = [
        lambda: store.read("a"),
        lambda: store.write("a", b"", replaces=None),
    ]
    for operation in operations:
        with pytest.raises(MeshError, match=r"network|later") as refused:
            operation()
        assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    "url",
    [
        *("az://acc", "az://acc/mesh", "az://Acc/mesh/registry", "az:///mesh/registry"),
        *("gs://mesh", "gs:///registry", "gs://A/registry", "az://acc/me_sh/registry"),
    ],
)
def test_what_is_no_registry_is_refused(url: str, tmp_path: Path) -> None:
    facts = "project: up\nkind: upstream\ndatabase_prefix: UP\n"
    (tmp_path / "mesh.yml").write_text(facts)
    with pytest.raises(MeshError) as refused:
        open_store(locate(load_member(tmp_path), bucket=None, registry=url, env=None).url)
    assert "\n" not in str(refused.value)
