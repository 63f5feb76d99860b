"""Provides members, registries and faults for the tests of publishing and syncing.

A pytest plugin, as tests/s3_server.py is (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbtmesh import MeshError, config
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.published import read
from dbtmesh.registry import publication
from dbtmesh.registry import store as registry
from dbtmesh.registry.store import Changed, NotModified, Store
from tests import warm
from tests.conftest import Member, Render, program
from tests.manifests import manifest
from tests.s3_server import BUCKET, S3

UPSTREAMS = ("dbt_up", "up_b", "up_c")
PUBLISH = "scripts/publish_manifest.py"
SYNC = "scripts/sync_mesh.py"
LATEST = "dbt_up/prod/latest/manifest.json"
STATE = "dbt_up/prod/manifest.json"


@pytest.fixture(scope="session")
def originals(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    home = tmp_path_factory.mktemp("originals")
    facts = {"starter": False, "registry_bucket": BUCKET}
    members = {
        "dbt_down": render_into(
            home / "dbt_down",
            kind="native",
            project_name="dbt_down",
            upstreams=",".join(UPSTREAMS),
            **facts,
        )
    }
    for name in UPSTREAMS:
        members[name] = render_into(home / name, kind="upstream", project_name=name, **facts)
    return members


def _copy(member: Member, folder: Path) -> Member:
    shutil.copytree(member.path, folder / member.path.name)
    return Member(folder / member.path.name, {"DBT_MESH_HOME": str(folder / ".mesh")})


@pytest.fixture
def up(originals: dict[str, Member], tmp_path: Path) -> Member:
    """The upstream dbt_up, with a manifest to publish."""
    member = _copy(originals["dbt_up"], tmp_path)
    build(member, manifest())
    return member


@pytest.fixture
def down(originals: dict[str, Member], tmp_path: Path) -> Member:
    """A native member that reads dbt_up, up_b and up_c."""
    return _copy(originals["dbt_down"], tmp_path)


def exporting(member: Member, **environment: str) -> Member:
    """Returns the member with these variables exported, too."""
    return replace(member, environment={**member.environment, **environment})


def build(member: Member, body: bytes) -> None:
    """Writes a manifest where dbt would.

    If it is valid, this also writes the files from which dbt would have made it, and the results of
    a run that succeeded.
    """
    target = member.path / "target"
    target.mkdir(exist_ok=True)
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        _lay_out(member.path, json.loads(body))
    (target / "manifest.json").write_bytes(body)


def _lay_out(root: Path, document: dict[str, Any]) -> None:
    nodes = document["nodes"]
    for source in document.get("sources", {}).values():
        path = root / source["original_file_path"]
        path.parent.mkdir(exist_ok=True)
        path.touch(exist_ok=True)
    for folder, kind in (("models", "*.sql"), ("seeds", "*.csv")):
        for path in (root / folder).rglob(kind):
            path.unlink()
    for node in (*nodes.values(), *document["macros"].values()):
        if node["package_name"] != document["metadata"]["project_name"]:
            continue
        text = node.get("raw_code") or node.get("macro_sql") or ""
        described = (node.get("patch_path") or "").partition("://")[2]
        for name, content in ((node["original_file_path"], text), (described, "models: []\n")):
            path = root / name
            if name and not (path.suffix == ".yml" and path.exists()):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
    results = {
        "metadata": {"invocation_id": document["metadata"].get("invocation_id")},
        "results": [{"unique_id": uid, "status": "success"} for uid in nodes],
        "args": {"which": "build"},
    }
    (root / "target" / "run_results.json").write_text(json.dumps(results))


def at(minute: int, **options: object) -> bytes:
    """Returns the manifest of a build of dbt_up that many minutes into a day."""
    when = f"2026-02-03T{minute // 60:02}:{minute % 60:02}:00.000000Z"
    return manifest(generated_at=when, **options)  # type: ignore[arg-type]


def start(member: Member, command: str, *arguments: str, **environment: str) -> Process:
    """Runs a command in the background. KILL ends it like SIGKILL."""
    python, *words = program(command)
    assert python == sys.executable
    return subprocess.Popen(
        [warm.server(warm.COMMANDS).program("python"), *words, *arguments],
        cwd=member.path,
        env={**os.environ, **member.environment, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Place:
    """A registry of one test, which it can inspect without the code under test."""

    url: str
    environment: dict[str, str]
    folder: Path | None = None
    s3: S3 | None = None
    prefix: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--registry", self.url, "--env", "prod")

    def keys(self, root: str = "registry") -> list[str]:
        if self.s3:
            return self.s3.keys(f"{self.prefix}/{root}")
        assert self.folder
        return sorted(
            str(path.relative_to(self.folder / root))
            for path in (self.folder / root).rglob("*")
            if path.is_file() and path.name != ".lock"
        )

    def get(self, key: str, root: str = "registry") -> bytes:
        if self.s3:
            return self.s3.get(f"{self.prefix}/{root}/{key}")
        assert self.folder
        return (self.folder / root / key).read_bytes()

    def put(self, key: str, body: bytes, root: str = "registry") -> None:
        if self.s3:
            self.s3.put(f"{self.prefix}/{root}/{key}", body)
            return
        assert self.folder
        path = self.folder / root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def history(self, project: str = "dbt_up") -> list[str]:
        """Returns the versions of the project, oldest first."""
        start = f"{project}/prod/history/"
        return sorted(
            key.split("/")[3]
            for key in self.keys()
            if key.startswith(start) and key.endswith("/manifest.json")
        )


def folder_place(tmp_path: Path) -> Place:
    folder = tmp_path / "a shared disk"
    return Place((folder / "registry").as_uri(), {}, folder=folder)


def s3_place(s3: S3, url: str | None = None, identity: str = "admin") -> Place:
    """Returns a registry on S3. url: the URL of a proxy to use."""
    prefix = uuid.uuid4().hex
    environment = s3.environment(identity)
    if url:
        environment["AWS_ENDPOINT_URL_S3"] = url
    return Place(f"s3://{BUCKET}/{prefix}/registry", environment, s3=s3, prefix=prefix)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A registry. Each test that uses it runs on both stores."""
    if request.param == "file":
        return folder_place(tmp_path)
    return s3_place(request.getfixturevalue("s3"))


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return folder_place(tmp_path)


@pytest.fixture(scope="session")
def mesh() -> SimpleNamespace:
    """Modules and functions of the library that the tests of publishing and syncing use."""
    return SimpleNamespace(
        config=config,
        extract=extract,
        read=read,
        publication=publication,
        registry=registry,
        MeshError=MeshError,
    )


Publish = Callable[..., str]


@pytest.fixture(scope="session")
def publish(mesh: SimpleNamespace) -> Publish:
    """publish(place, manifest, project="dbt_up") → version.

    It does what the command does in a tenth of the time, for tests of what comes afterwards.
    """

    def publish(place: Place, body: bytes, project: str = "dbt_up") -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in place.environment.items():
                patch.setenv(name, value)
            if place.s3:  # without the proxy
                patch.setenv("AWS_ENDPOINT_URL_S3", place.s3.url)
            store = mesh.registry.open_store(place.url)
            state = mesh.registry.open_store(place.url.rpartition("/")[0] + "/state")
            built = mesh.extract(body, project)
            mesh.publication.publish(store, "prod", built, lambda current: None)
            mesh.publication.keep_state(state, store, "prod", built, body)
        version: str = built.version
        return version

    return publish


@pytest.fixture(scope="session")
def shimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH. With it, Python first runs the code in $MESH_SHIM."""
    folder = tmp_path_factory.mktemp("shim")
    (folder / "sitecustomize.py").write_text("import os\nexec(os.environ['MESH_SHIM'])\n")
    return folder


@dataclass(frozen=True)
class Shim:
    """Simulates faults of the machine by environment variables of a command."""

    folder: Path

    def __call__(self, code: str) -> dict[str, str]:
        # No bytecode: a fault must not leave a broken file in the library that all tests share.
        return {
            "PYTHONPATH": str(self.folder),
            "MESH_SHIM": code,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def hurried(self) -> dict[str, str]:
        """Returns variables that skip the waiting between attempts."""
        return self("import time; time.sleep = lambda seconds: None")

    def at_call(self, name: str, number: int, do: str) -> dict[str, str]:
        """Returns variables for a fault at the call `number` of a function of `os`.

        do: `kill before`, `kill after`, or an error such as ENOSPC.
        """
        return self(
            f"""
import errno, os
real, calls = os.{name}, []
def shim(*arguments, **options):
    calls.append(arguments)
    if len(calls) == {number} and {do!r} == "kill before":
        os.kill(os.getpid(), 9)
    if len(calls) == {number} and not {do!r}.startswith("kill"):
        code = getattr(errno, {do!r})
        raise OSError(code, os.strerror(code))
    result = real(*arguments, **options)
    if len(calls) == {number}:
        os.kill(os.getpid(), 9)
    return result
os.{name} = shim
"""
        )


@pytest.fixture
def shim(shimmed: Path) -> Shim:
    return Shim(shimmed)


def writes_on_condition_only(store: Store) -> None:
    """Checks what every store promises about reads and writes. store: an empty one."""
    assert store.read(STATE) is None
    assert store.etag(STATE) is None
    for nothing in ('"nothing"', '1:"nothing"'):
        with pytest.raises(Changed):
            store.write(STATE, b"0", replaces=nothing)
    assert store.read(STATE) is None
    store.write(STATE, b"1", replaces=None)
    first = store.read(STATE)
    assert first
    assert (first.body, first.etag) == (b"1", store.etag(STATE))
    with pytest.raises(Changed):
        store.write(STATE, b"2", replaces=None)
    store.write(STATE, b"2", replaces=first.etag)
    with pytest.raises(Changed):
        store.write(STATE, b"3", replaces=first.etag)
    second = store.read(STATE, known=first.etag)
    assert second
    assert second.body == b"2"
    with pytest.raises(NotModified):
        store.read(STATE, known=second.etag)
