"""What a registry, or a file of a pull request, can cost at most: bytes, objects, time."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbtmesh import MeshError
from dbtmesh.downstream import local_database
from dbtmesh.downstream.duckdb_types import columns
from dbtmesh.downstream.stub import Table
from dbtmesh.files import MOST, read_bounded, read_whole
from dbtmesh.registry import history, keys, records
from dbtmesh.registry.folder import FolderStore
from dbtmesh.registry.store import Store, TooLarge
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.types import TypeChange, type_change
from tests.conftest import Member
from tests.manifests import manifest
from tests.registry_world import LATEST, PUBLISH, SYNC, UPSTREAMS, Place, Publish, s3_place
from tests.s3_server import Answer, Proxy, Request

pytest_plugins = ("tests.s3_server", "tests.registry_world")

HUGE = 2 * 2**30


def sparse(path: Path, size: int = HUGE) -> None:
    """A file of that size, which takes no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "registry")


# ── Bytes ─────────────────────────────────────────────────────────────────────────────


def test_of_a_huge_file_nothing_is_read(tmp_path: Path) -> None:
    sparse(tmp_path / "huge")
    started = time.process_time()
    with pytest.raises(OSError, match=r"2,147,483,648 bytes") as caught:
        read_bounded(tmp_path / "huge")
    assert caught.value.filename == str(tmp_path / "huge")
    assert time.process_time() - started < 0.5
    (tmp_path / "small").write_bytes(b"12345")
    assert read_bounded(tmp_path / "small", 5) == b"12345"
    with pytest.raises(OSError, match="no more than 4"):
        read_bounded(tmp_path / "small", 4)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(OSError, match="not a file"):
            read_bounded(tmp_path / name)
        with pytest.raises(OSError, match="not a file"):
            read_whole(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path)


@pytest.fixture
def behind(proxy: Proxy, mesh: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A registry on S3 behind the proxy, with five bytes at `key`."""
    place = s3_place(proxy.s3, proxy.url)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    opened: Store = mesh.registry.open_store(place.url)
    opened.write("key", b"12345", replaces=None)
    return opened


def test_of_a_huge_object_nothing_is_read(proxy: Proxy, behind: Store) -> None:
    whole = behind.read("key", most=5)
    assert whole
    assert whole.body == b"12345"
    with pytest.raises(TooLarge, match=r"key: it has 5 bytes, and no more than 4 are read"):
        behind.read("key", most=4)

    def claims(_: Request, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        return replace(answer, headers={**answer.headers, "Content-Length": str(HUGE)})

    proxy.rule = claims
    with pytest.raises(TooLarge, match="2,147,483,648 bytes"):
        behind.read("key")


def test_a_body_that_is_cut_is_still_noticed(proxy: Proxy, behind: Store) -> None:
    proxy.rule = lambda request, forward: forward().altered(b"1234")
    whole = behind.read("key")
    assert whole
    assert whole.body == b"1234"  # what the server means
    proxy.rule = lambda request, forward: forward().cut(3) if request.method == "GET" else forward()
    with pytest.raises(MeshError, match="broken"):
        behind.read("key")


def test_compressed_objects_are_not_unpacked(place: Place, mesh: SimpleNamespace) -> None:
    """A gzip bomb: 10 MB of it would be 10 GB."""
    bomb = gzip.compress(b"0" * 10**6)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.environment.items():
            patch.setenv(name, value)
        store = mesh.registry.open_store(place.url)
        store.write(LATEST, bomb, replaces=None)
        assert store.read(LATEST).body == bomb
        with pytest.raises(MeshError, match="not a whole JSON file"):
            mesh.read(store.read(LATEST).body, "dbt_up")


def test_huge_objects_are_one_members_fault(down: Member, folder: Place, publish: Publish) -> None:
    for project in UPSTREAMS:
        publish(folder, manifest(project), project)
    assert folder.folder
    sparse(folder.folder / "registry" / LATEST)
    said = down.run(SYNC, *folder.flags)
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("error: dbt_up: ")
    assert "2,147,483,648 bytes" in line
    for project in UPSTREAMS[1:]:
        assert (down.path / f"models/_mesh_{project}.yml").exists()


def test_a_huge_publication_of_its_own_is_replaced(up: Member, folder: Place) -> None:
    assert folder.folder
    sparse(folder.folder / "registry" / LATEST, MOST + 1)
    said = up.refused(PUBLISH, *folder.flags)
    assert "with --allow-breaking" in said
    up.ok(PUBLISH, *folder.flags, "--allow-breaking")
    assert len(folder.get(LATEST)) < 100_000


@pytest.mark.parametrize("name", ["deploy.json", "manifest.json"])
def test_a_huge_state_is_one_line(name: str, up: Member, folder: Place) -> None:
    assert folder.folder
    sparse(folder.folder / "state" / "dbt_up" / "prod" / name)
    command = "changed" if name == "deploy.json" else "pull"
    said = up.run("deploy-state", command, *folder.flags)
    assert "2,147,483,648 bytes" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert said.returncode == (0 if command == "changed" else 1)


def test_values_are_bounded_as_bytes_are() -> None:
    """Each value costs a hundred times the bytes that it takes in JSON."""
    from dbtmesh import checked

    body = b'{"metadata":{},"nodes":{},"x":[' + b"1," * (checked.MOST_VALUES + 1) + b"1]}"
    from dbtmesh.manifest.published import read

    with pytest.raises(MeshError, match="values") as caught:
        read(body, "dbt_up")
    assert "\n" not in str(caught.value)


# ── Objects ───────────────────────────────────────────────────────────────────────────


def test_a_million_versions_are_not_kept(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []

    def children(prefix: str) -> Any:
        assert prefix == keys.history("dbt_up", "prod")
        for number in range(1_000_000):
            yield f"20260101T000000.{number:06}Z-0123456789ab/"

    monkeypatch.setattr(store, "children", children)
    kept += history.versions(store, "dbt_up", "prod", 3)
    assert kept == [f"20260101T000000.99999{n}Z-0123456789ab" for n in (7, 8, 9)]
    with pytest.raises(MeshError, match="has no version '20260101T000000'"):
        history.fetch(store, "dbt_up", "prod", "20260101T000000")


def test_a_million_records_are_told_and_not_read(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.dumps({"consumer": "down_0", "reads": [{"model": "model.a.b", "name": "b"}]})
    store.write(keys.record("dbt_up", "prod", "down_0"), record.encode(), replaces=None)
    listed = 0

    def children(_: str) -> Any:
        nonlocal listed
        for number in range(1_000_000):
            listed += 1
            yield f"down_{number}.json"

    monkeypatch.setattr(store, "children", children)
    found, problems = records.recorded(store, "dbt_up", "prod")
    assert [each.consumer for each in found] == ["down_0"]
    assert listed == records.MOST_RECORDS + 1
    (problem,) = problems
    assert "more than 10,000 records" in problem


def test_records_are_bounded_each_and_together(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = [{"model": "model.a.b", "name": "b"}]
    for name in ("one", "two"):
        body = json.dumps({"consumer": name, "reads": reads}).encode()
        store.write(keys.record("dbt_up", "prod", name), body, replaces=None)
    sparse(store.root / keys.record("dbt_up", "prod", "huge"))
    found, problems = records.recorded(store, "dbt_up", "prod")
    assert [each.consumer for each in found] == ["one", "two"]
    (problem,) = problems
    assert "huge.json" in problem
    monkeypatch.setattr(records, "MOST_TOGETHER", 10)
    found, problems = records.recorded(store, "dbt_up", "prod")
    assert not found
    assert len(problems) == 3
    assert all("\n" not in problem for problem in problems)


def test_the_default_bound_is_that_of_a_full_manifest() -> None:
    assert 60 * 10**6 < MOST <= 256 * 2**20


def test_links_are_bounded() -> None:
    """A hundred lines of JSON that stand for a million links."""
    from dbtmesh.manifest import graph

    ends = [f"a{number}" for number in range(3_000)]
    following = {"hub": ends, **{f"s{number}": ["hub"] for number in range(3_000)}}
    started = time.process_time()
    with pytest.raises(ValueError, match="more than 5,000,000 links"):
        graph.nearest(
            [name for name in following if name != "hub"], ends, lambda uid: following.get(uid, [])
        )
    assert time.process_time() - started < 20


@pytest.mark.parametrize("warehouse", Warehouse)
@pytest.mark.parametrize(
    "data_type",
    [
        "decimal(" + "9" * 5_000 + ")",  # more digits than Python makes a number of
        "decimal(\u00b2)",
        "int" + "[]" * 4_900,
        "array(" * 1_600 + "int" + ")" * 1_600,
        "array(" * 60 + "int[]" + ")[]" * 60,
    ],
    ids=["digits", "superscript", "lists", "arrays", "both"],
)
def test_any_type_is_compared_and_has_a_stand_in(data_type: str, warehouse: Warehouse) -> None:
    assert type_change(data_type, "int", warehouse) is TypeChange.CHANGED
    (made,) = columns("a", [{"name": "a", "data_type": data_type}], warehouse).columns
    assert made.type.replace("[]", "") in ("VARCHAR", "BIGINT", "DECIMAL(18, 3)", "JSON")


def test_huge_types_of_very_many_columns_cost_seconds(tmp_path: Path) -> None:
    """As many as a model may have, no two the same; deep ones took DuckDB minutes."""
    deep = "map(varchar," * 60 + "int" + ")" * 60
    wide = "array(object(" + ", ".join(f"f{number} varchar" for number in range(600)) + "))"
    types = [f"{each}{' ' * number}" for each in (deep, wide) for number in range(100)]
    declared = [{"name": f"c{number}", "data_type": types[number % 200]} for number in range(9_999)]
    started = time.process_time()
    made = columns("a", [*declared, {"name": "odd", "data_type": "x" * 9_000}], Warehouse.SNOWFLAKE)
    local_database.write_new(tmp_path / "a.duckdb", [Table("a", "S", "T", made.columns, "v")], 5)
    assert time.process_time() - started < 20
    assert {each.type for each in made.columns} == {"JSON", "VARCHAR"}
    assert max(map(len, made.notes("a"))) < 300


def test_white_space_in_a_type_costs_nothing() -> None:
    started = time.process_time()
    columns("a", [{"name": "a", "data_type": "int" + " " * 9_990}], Warehouse.SNOWFLAKE)
    assert time.process_time() - started < 0.2
