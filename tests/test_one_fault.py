"""One bad upstream, record or member among good ones: it is named, and the others are served."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbtmesh import config
from dbtmesh.commands import (
    announce,
    await_upstream,
    check_freshness,
    deploy_state,
    publish_manifest,
    stub_mesh,
    sync_mesh,
    validate_lineage,
)
from dbtmesh.downstream import stub
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.published import read
from dbtmesh.registry import keys
from dbtmesh.registry.store import open_store
from fleet import map as mesh_map
from tests.manifests import manifest
from tests.test_untrusted_commands import FACTS, World, add_edge, run

GOOD, BAD = ("dbt_up", "up_c"), "up_b"
UPSTREAMS = ("dbt_up", BAD, "up_c")


def published(project: str) -> bytes:
    return extract(manifest(project, adapter="snowflake"), project).body


@pytest.fixture(params=[b'{"metadata": 1}', b"[" * 5_000], ids=["no manifest", "too deep"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A reader of three, of which the one in the middle has published something else."""
    made = World(tmp_path)
    reads = ", ".join(f"{{name: {name}, database_prefix: {name.upper()}}}" for name in UPSTREAMS)
    for name, kind, named in (("dbt_down", "native", reads), ("dbt_up", "upstream", "")):
        root = tmp_path / name
        (root / "target").mkdir(parents=True)
        (root / "mesh.yml").write_text(
            FACTS.format(name=name, kind=kind, prefix=name.upper(), upstreams=named)
        )
        (root / "dbt_project.yml").write_text(f"name: {name}\n")
        built = json.loads(manifest(name, adapter="snowflake"))
        if named:
            for upstream in UPSTREAMS:
                add_edge(built, name, upstream)
        (root / "target" / "manifest.json").write_text(json.dumps(built))
        (root / "target" / "run_results.json").write_text("{}")
    made.write({f"registry/{keys.latest(name, 'prod')}": published(name) for name in GOOD})
    made.write({f"registry/{keys.latest(BAD, 'prod')}": request.param})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_MESH_HOME", str(tmp_path / ".mesh"))
        patch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_NAME"):
            patch.delenv(name, raising=False)
        yield made


def command(world: World, main: Any, *words: str, member: str = "dbt_down") -> tuple[int, str]:
    return run(partial(main, [*words], world.folder / member))


def lineage(world: World) -> tuple[int, str]:
    own = str(world.folder / "dbt_down/target/manifest.json")
    return command(world, validate_lineage.main, *world.flags, "--record", "--manifest", own)


def failed_by_name(status: int, text: str) -> None:
    assert status == 1, text
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert BAD in errors[0]
    assert not any(name in errors[0] for name in GOOD)


def test_sync(world: World) -> None:
    failed_by_name(*command(world, sync_mesh.main, *world.flags))
    for name in GOOD:
        assert (world.folder / f"dbt_down/models/_mesh_{name}.yml").exists()
    assert not (world.folder / f"dbt_down/models/_mesh_{BAD}.yml").exists()


def synced_once(world: World) -> None:
    """A reader that has synced all three before the one in the middle published something else."""
    latest = f"registry/{keys.latest(BAD, 'prod')}"
    refused = (world.folder / latest).read_bytes()
    world.write({latest: published(BAD)})
    assert command(world, sync_mesh.main, *world.flags)[0] == 0
    world.write({latest: refused})


def test_a_deploy_goes_on_with_the_last_good_copy(world: World) -> None:
    synced_once(world)
    (world.folder / f"dbt_down/models/_mesh_{BAD}.yml").unlink()
    newer = extract(manifest("up_c", adapter="snowflake", public=2), "up_c").body
    world.write({f"registry/{keys.latest('up_c', 'prod')}": newer})
    status, text = command(world, sync_mesh.main, *world.flags, "--keep-going")
    assert status == 0, text
    note, *others = [line for line in text.splitlines() if "note: " in line]
    assert note.startswith(f"note: {BAD}: the published manifest of {BAD}: ")
    assert "; the last good copy stays (" in note
    assert not others
    for name in UPSTREAMS:
        assert (world.folder / f"dbt_down/models/_mesh_{name}.yml").exists()
    assert "public_1" in (world.folder / "dbt_down/models/_mesh_up_c.yml").read_text()
    outputs = (world.folder / "outputs").read_text().splitlines()
    assert outputs[0].startswith("refused<<")
    assert outputs[1].startswith(f"{BAD}: the published manifest of {BAD}: ")
    assert len(outputs) == 3
    status, text = command(world, sync_mesh.main, *world.flags)
    failed_by_name(status, text)


def test_a_deploy_stops_where_there_is_no_good_copy(world: World) -> None:
    failed_by_name(*command(world, sync_mesh.main, *world.flags, "--keep-going"))
    synced_once(world)
    copy = world.folder / f"dbt_down/state/{BAD}/manifest.json"
    good = copy.read_bytes()
    stand_in = stub.plan(read(good, BAD), f"{BAD.upper()}_LOCAL").interface.body
    for other in (good.replace(b"public_0", b"public_X"), stand_in):
        copy.write_bytes(other)
        failed_by_name(*command(world, sync_mesh.main, *world.flags, "--keep-going"))


def test_lineage_of_a_deploy_goes_by_the_last_good_copy(world: World) -> None:
    synced_once(world)
    own = str(world.folder / "dbt_down/target/manifest.json")
    flags = (*world.flags, "--manifest", own, "--record", "--keep-going")
    status, text = command(world, validate_lineage.main, *flags)
    assert status == 0, text
    assert "3 edges to 3 projects, all resolve\n" in text
    assert f"note: the published manifest of {BAD}: " in text
    for name in UPSTREAMS:
        assert (world.folder / "registry" / keys.record(name, "prod", "dbt_down")).exists()
    # who spoils a publication may spoil the place of the record, too
    record = world.folder / "registry" / keys.record(BAD, "prod", "dbt_down")
    record.unlink()
    record.mkdir()
    status, text = command(world, validate_lineage.main, *flags)
    assert status == 0, text
    assert f"note: {BAD}: what is read of it could not be recorded: " in text


def test_a_wait_for_what_is_refused_ends_at_once(world: World) -> None:
    version = extract(manifest(BAD, adapter="snowflake"), BAD).version
    bad = (world.folder / "registry" / keys.latest(BAD, "prod")).read_bytes()
    world.write({f"registry/{keys.publication(BAD, 'prod', version)}": bad})
    told = ("--project", BAD, "--version", version, "--digest", "0" * 64)
    started = time.monotonic()
    failed_by_name(*command(world, await_upstream.main, *world.flags, *told))
    status, text = command(world, await_upstream.main, *world.flags, *told, "--keep-going")
    assert time.monotonic() - started < 5
    assert status == 0, text
    assert text.startswith(f"note: the published manifest of {BAD}: ")
    assert text.endswith("; there is nothing to wait for\n")


def test_stub(world: World) -> None:
    failed_by_name(*command(world, stub_mesh.main, *world.flags))
    made = {path.name for path in (world.folder / ".mesh").glob("*.duckdb")}
    assert made == {f"{name.upper()}_LOCAL.duckdb" for name in GOOD}
    for name in GOOD:
        assert (world.folder / f"dbt_down/models/_mesh_{name}.yml").exists()


def test_lineage(world: World) -> None:
    status, text = lineage(world)
    failed_by_name(status, text)
    for name in GOOD:
        assert (world.folder / "registry" / keys.record(name, "prod", "dbt_down")).exists()
    assert "2 edges to 2 projects, all resolve; 1 edge to up_b cannot be checked" in text


def test_one_record_that_cannot_be_written(world: World) -> None:
    world.write({f"registry/{keys.latest(BAD, 'prod')}": published(BAD)})
    (world.folder / "registry" / keys.record(BAD, "prod", "dbt_down")).mkdir(parents=True)
    failed_by_name(*lineage(world))
    for name in GOOD:
        assert (world.folder / "registry" / keys.record(name, "prod", "dbt_down")).is_file()


def test_freshness(world: World) -> None:
    status, text = command(world, check_freshness.main, *world.flags, "--max-age", "80000")
    failed_by_name(status, text)


def test_freshness_of_data_goes_without_a_record_that_cannot_be_read(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.write({f"registry/{keys.record('dbt_up', 'prod', 'dbt_down')}": b"[" * 5_000})
    member = config.load_member(world.folder / "dbt_down")
    interface = read(published("dbt_up"), "dbt_up")
    store = open_store(world.flags[1])
    assert check_freshness.read_of(store, member, "prod", interface) == {
        ("DBT_UP_PROD", "MARTS", "PUBLIC_0")
    }
    assert capsys.readouterr().err.startswith("note: ")


def test_is_there_anything_to_deploy(world: World) -> None:
    status, text = command(world, deploy_state.main, "changed", *world.flags)
    failed_by_name(status, text)
    noted = json.loads((world.folder / "dbt_down/target/mesh_inputs.json").read_text())
    assert set(noted) == set(GOOD)
    assert "changed" in (world.folder / "outputs").read_text()


def test_a_bad_record_is_a_warning_of_the_gate_and_no_news_are_lost(world: World) -> None:
    read = {"model": "model.dbt_up.public_0", "name": "public_0"}
    record = {"consumer": "one", "repository": "acme/one", "reads": [read]}
    world.write({f"registry/{keys.record('dbt_up', 'prod', 'one')}": record})
    world.write({f"registry/{keys.record('dbt_up', 'prod', 'two')}": b"[" * 5_000})
    own = str(world.folder / "dbt_up/target/manifest.json")
    gate = partial(command, world, publish_manifest.main, member="dbt_up")
    status, text = gate("--check", "--manifest", own, *world.flags)
    assert status == 0, text
    breaking = json.loads(Path(own).read_text())
    del breaking["nodes"]["model.dbt_up.public_0"]
    Path(own).write_text(json.dumps(breaking))
    status, text = gate("--check", "--manifest", own, *world.flags)
    assert status == 2, text
    assert "two.json" in text
    assert "one" in text
    status, text = command(world, announce.main, "--dry-run", *world.flags, member="dbt_up")
    assert status == 0, text
    assert "acme/one" in text
    assert "two.json" in text


def test_the_map_draws_the_others(world: World) -> None:
    draw = partial(
        mesh_map.run,
        bucket=None,
        registry=world.flags[1],
        env="prod",
        form="json",
        models=True,
        output=str(world.folder / "drawn"),
    )
    status, text = run(draw)
    assert status == 0, text
    assert BAD in text
    drawn = json.loads((world.folder / "drawn").read_text())
    assert {each["name"] for each in drawn["projects"]} == set(GOOD)
