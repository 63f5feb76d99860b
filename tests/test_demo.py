"""`make demo` as a workshop attendee runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def fleet(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fleet", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], str]:
    """The demo in a folder with spaces and DBT_MESH_HOME elsewhere; what it printed."""
    folder = tmp_path_factory.mktemp("the demo") / "of the mesh"
    environment = {
        "DBT_MESH_HOME": str(tmp_path_factory.mktemp("home") / "of the data"),
        # what an attendee may have exported for other work
        "DBT_MESH_BUCKET": "somebody-elses",
        "DBT_TARGET": "prod",
    }
    done = fleet("demo", "--folder", folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, environment, done.stdout


def test_it_ends_with_equal_rows_in_both_downstreams_and_says_where_things_are(
    demo: tuple[Path, dict[str, str], str],
) -> None:
    folder, environment, said = demo
    counts = dict(re.findall(r"(\w+\.\w+)\s*│\s*(\d+)", said))
    assert int(counts["dbt_up.public_orders"]) > 0
    assert counts["dbt_down.downstream_orders"] == counts["dbt_down_loom.downstream_orders"]
    assert int(counts["dbt_down.downstream_orders"]) > 0
    for place in (str(folder), environment["DBT_MESH_HOME"]):
        assert place in said
    assert "Snowflake" in said
    assert (Path(environment["DBT_MESH_HOME"]) / "DBT_UP_LOCAL.duckdb").exists()
    assert (folder / "mesh.html").exists()


def test_it_shows_each_command_with_its_time(demo: tuple[Path, dict[str, str], str]) -> None:
    steps = re.findall(r"ok (\w+) +([\d.]+) s +(\S.*)", demo[2])
    assert ("dbt_up", "dbt build") in {(member, text) for member, _, text in steps}
    assert len(steps) == 10


def test_run_again_it_keeps_an_edit_and_explains_a_broken_model(
    demo: tuple[Path, dict[str, str], str],
) -> None:
    folder, environment, _ = demo
    model = folder / "dbt_up/models/marts/public_orders.sql"
    good = model.read_text()
    model.write_text(good.replace("discount as numeric(12, 2)", "discount as varchar(9)"))
    done = fleet("demo", "--folder", folder, **environment)
    assert done.returncode == 1
    assert "`dbt build` failed" in done.stderr
    assert "enforced contract" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr

    model.write_text(good)
    done = fleet("demo", "--folder", folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept as it is" in done.stdout


def test_clean_removes_what_the_demo_made_and_no_more(
    demo: tuple[Path, dict[str, str], str],
) -> None:
    folder, environment, _ = demo
    home = Path(environment["DBT_MESH_HOME"])
    (home / "mine.duckdb").write_text("")
    done = fleet("demo", "--clean", "--folder", folder, **environment)
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    assert [path.name for path in home.iterdir()] == ["mine.duckdb"]


def test_help_teaches() -> None:
    assert "DBT_MESH_HOME" in fleet("demo", "--help").stdout
