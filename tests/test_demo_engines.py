"""`make demo ENGINE=v2`, and where it takes dbt v2 from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet import dbt_v2
from fleet.errors import FleetError
from tests.conftest import dbt_of
from tests.engines import V2
from tests.test_demo import fleet


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A `dbt` that says it is 2.x, and fails as v2 does without a driver."""
    return fake(
        tmp_path / "bin",
        'case "$1" in --version) echo "dbt-core 2.1.0";; '
        "*) echo 'Failed to load `duckdb` driver from name'; exit 1;; esac",
    )


def fake(folder: Path, script: str) -> Path:
    folder.mkdir()
    path = folder / "dbt"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_it_builds_the_same_mesh_and_the_third_member_reads_by_ref(tmp_path: Path) -> None:
    dbt_of(V2)
    folder = tmp_path / "demo"
    done = fleet("demo", "--engine", "v2", "--folder", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dbt_down_ref.downstream_orders" in done.stdout
    model = (folder / "dbt_down_ref/models/staging/stg_public_orders.sql").read_text()
    assert "ref('dbt_up', 'public_orders')" in model
    assert "plugin" not in (folder / "dbt_down_ref/requirements.txt").read_text()

    done = fleet("demo", "--folder", folder)
    assert done.returncode == 1
    assert "does not run on dbt core: name another folder" in done.stderr

    done = fleet("demo", "--clean", "--engine", "v2", "--folder", folder)
    assert done.returncode == 0, done.stderr
    assert not folder.exists()


def test_without_a_driver_it_says_so_in_one_line(tmp_path: Path, program: Path) -> None:
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = fleet("demo", "--engine", "v2", "--folder", tmp_path / "demo", PATH=path)
    assert done.returncode == 1
    assert "has no DuckDB driver" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_first_dbt_on_path_that_is_2_is_taken(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fake(tmp_path / "one", "echo 'Core:'; echo '  - installed: 1.11.16'")
    broken = fake(tmp_path / "broken", "exit 3")
    folders = [str(each.parent) for each in (one, broken, program)]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    assert dbt_v2.on_path() == program
    monkeypatch.setenv("PATH", str(one.parent))
    assert dbt_v2.on_path() is None


@pytest.mark.parametrize(
    ("said", "is_v2"),
    [
        ("dbt-core 2.0.0-alpha.4", True),
        ("dbt-fusion 2.0.5", True),
        ("dbt 2.0.1", True),
        ("Core:\n  - installed: 1.12.6", False),
        ("dbt-core 1.13.0", False),
        ("", False),
    ],
)
def test_which_programs_are_v2(tmp_path: Path, said: str, is_v2: bool) -> None:
    program = fake(tmp_path / "x", f"printf '%s\\n' '{said}'")
    assert dbt_v2.is_v2(program) is is_v2


def test_where_it_cannot_be_installed_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_v2, "folder", lambda: tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(FleetError, match=r"put a dbt 2.x on PATH, or stay on dbt Core") as raised:
        dbt_v2.make()
    assert "\n" not in str(raised.value)
    assert dbt_v2.own() is None


@pytest.fixture
def without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed but an empty folder, and no program is found."""
    monkeypatch.setattr(dbt_v2, "folder", lambda: tmp_path)
    monkeypatch.setattr(dbt_v2, "_install", lambda home, requirement: home.mkdir(exist_ok=True))
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("without_npm")
def test_without_npm_the_driver_is_left_for_dbt_to_fetch() -> None:
    assert dbt_v2.make() == dbt_v2.own()
    assert not dbt_v2.has_driver("duckdb")


@pytest.mark.usefixtures("without_npm")
def test_npm_that_was_installed_since_brings_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dbt_v2.make()
    monkeypatch.setattr(dbt_v2, "_bring_duckdb", lambda lib: (lib / "libduckdb.so").touch())
    assert dbt_v2.program() == made
    assert dbt_v2.has_driver("duckdb")
