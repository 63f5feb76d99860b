"""`make demo` as a workshop attendee runs it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dbtmesh.manifest.extract import extract
from fleet import demo as demos
from fleet import demo_cleanup, demo_snowflake
from fleet.__main__ import main
from fleet.demo_mesh import MEMBERS, Step, locate
from fleet.git import GitError
from tests.conftest import BIN, ROOT
from tests.manifests import manifest
from tests.mesh_world import ENV, public, write
from tests.versions import git
from tests.warm import programs, run


def fleet(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120", **environment}
    return run([sys.executable, "-m", "fleet", *arguments], ROOT, environment, timeout=600)


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
    assert len(steps) == 11


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


def test_every_suggestion_does_what_it_says(
    demo: tuple[Path, dict[str, str], str], tmp_path: Path
) -> None:
    """Typed one after the other, as they stand there; `make` says what it was asked, and where."""
    folder, environment, said = demo
    suggested = said.partition("What to try next, line by line\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("  ") for line in suggested.splitlines()]
    own_length = [line for line in lines if "export" not in line and folder.name not in line]
    assert not [line for line in own_length if len(f"  {line}") > 80]
    script = "".join(f"{line}\necho '::' $?\n" for line in lines if not line.startswith("#"))
    (tmp_path / "make").write_text('#!/bin/sh\necho "make $* in $PWD"\n')
    (tmp_path / "make").chmod(0o755)
    path = os.pathsep.join((str(tmp_path), str(programs()), os.environ["PATH"]))
    activate = "source .venv/bin/activate"  # would put other programs before these
    assert script.startswith(activate)
    done = subprocess.run(
        ["bash"],
        input=script.replace(activate, "true", 1),
        cwd=ROOT,
        env={**os.environ, **environment, "PATH": path, "DBT_USE_COLORS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    typed = [line for line in lines if not line.startswith("#")]
    outputs = re.split(r"^:: (\d+)\n", done.stdout, flags=re.MULTILINE)
    statuses = dict(zip(typed, map(int, outputs[1::2]), strict=True))
    check = next(line for line in typed if "--check" in line)
    assert dict.fromkeys(statuses, 0) | {check: 2} == statuses, done.stdout + done.stderr
    shown = dict(zip(typed, outputs[::2], strict=False))
    assert "country_code" in shown[check]
    for reader in ("dbt_down", "dbt_down_loom"):
        assert f"{reader} reads it" in shown[check]
    publish, sync = typed[-4:-2]
    assert "published 1 public model of dbt_up" in shown[publish]
    assert "dbt_up: 1 public model (" in shown[sync]
    assert [line for line in done.stdout.splitlines() if line.startswith("make ")] == [
        f"make {target} in {ROOT}" for target in ("demo", "demo-clean")
    ]


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


# ── --clean takes nobody's project away ───────────────────────────────────────────────


def by_a_person(member: Path, **answers: str) -> Path:
    """A project that a person made; not committed."""
    data = [word for pair in answers.items() for word in ("--data", "=".join(pair))]
    flags = ("--trust", "--defaults", "--quiet", "--vcs-ref", "HEAD")
    command = [BIN / "copier", "copy", *flags, *data, ROOT, member]
    run(command, ROOT).check_returncode()
    (member / "models/mine.sql").write_text("select 1 as mine\n")
    return member


def data_of(home: Path, member: str) -> list[Path]:
    """What a member's build and publication leave."""
    paths = [
        home / f"registry/{member}/local/latest/manifest.json",
        home / f"state/{member}/local/manifest.json",
        home / f"{member.upper()}_LOCAL.duckdb",
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return paths


def snapshot(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@pytest.mark.parametrize("versioned", [True, False])
def test_clean_where_the_demo_never_ran_removes_nothing(tmp_path: Path, versioned: bool) -> None:
    mine, home = by_a_person(tmp_path / "d/dbt_up"), tmp_path / "home"
    data_of(home, "dbt_up")
    if versioned:
        git(mine, "init", "--quiet")
    before = snapshot(tmp_path)
    done = fleet("demo", "--clean", "--folder", tmp_path / "d", DBT_MESH_HOME=str(home))
    assert done.returncode == 1
    assert f"kept {mine}" in done.stderr
    assert "removed" not in done.stdout
    assert snapshot(tmp_path) == before

    (tmp_path / "empty").mkdir()
    done = fleet("demo", "--clean", "--folder", tmp_path / "empty", DBT_MESH_HOME=str(home))
    assert done.returncode == 0
    assert "nothing that the demo made" in done.stdout
    assert snapshot(tmp_path) == before | {Path("empty")}


def test_clean_keeps_a_project_that_the_demo_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo ran in the folder of a person's project, and in a home that others use too."""
    mine, home = by_a_person(tmp_path / "d/dbt_up"), tmp_path / "home"
    data_of(home, "dbt_up")
    (home / "registry/.lock").touch()
    before = snapshot(tmp_path)
    monkeypatch.setenv("DBT_MESH_HOME", str(home))
    demos.render(locate(tmp_path / "d"))
    assert re.search(r"dbt_up +kept as it is", capsys.readouterr().out)
    data_of(home, "dbt_down")

    done = fleet("demo", "--clean", "--folder", tmp_path / "d", DBT_MESH_HOME=str(home))
    assert done.returncode == 1
    assert f"kept {mine}" in done.stderr
    assert "dbt_down" not in done.stderr
    assert "removed what the demo made" in done.stdout
    assert snapshot(tmp_path) == before


def test_clean_keeps_what_was_put_under_version_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBT_MESH_HOME", raising=False)
    folder, home = tmp_path / "d", tmp_path / "d/.mesh"
    demos.render(locate(folder))
    for member in MEMBERS:
        data_of(home, member)
    git(folder / "dbt_down", "init", "--quiet")
    for _ in range(2):  # said again, and not taken for a person's after the first time
        done = fleet("demo", "--clean", "--folder", folder)
        assert done.returncode == 1
        assert f"kept {folder}/dbt_down: it is under version control" in done.stderr
        assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
            ".mesh",
            "dbt_down",
        ]
        assert (home / "DBT_DOWN_LOCAL.duckdb").exists()
        assert not (home / "DBT_UP_LOCAL.duckdb").exists()
    # and the folder as one repository
    (folder / "dbt_down/.git").rename(folder / ".git")
    git(folder, "add", "dbt_down")
    assert fleet("demo", "--clean", "--folder", folder).returncode == 1
    assert (folder / "dbt_down/models").exists()


def test_clean_keeps_a_project_that_has_taken_the_place_of_the_demo_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBT_MESH_HOME", raising=False)
    folder = tmp_path / "d"
    demos.render(locate(folder))
    shutil.rmtree(folder / "dbt_up")
    mine = by_a_person(folder / "dbt_up", project_name="dbt_up")
    data_of(folder / ".mesh", "dbt_up")
    before = snapshot(mine)
    done = fleet("demo", "--clean", "--folder", folder)
    assert done.returncode == 1
    assert f"kept {mine}: there is no record that the demo made it" in done.stderr
    assert snapshot(mine) == before
    assert (folder / ".mesh/DBT_UP_LOCAL.duckdb").exists()
    assert not (folder / "dbt_down").exists()


def test_clean_keeps_what_git_cannot_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> str:
        raise GitError("fatal: detected dubious ownership in repository")

    folder = tmp_path / "d"
    demos.render(locate(folder))
    git(tmp_path, "init", "--quiet")  # else there is nothing to ask git about
    monkeypatch.setattr(demo_cleanup, "git", failing)
    assert main(["demo", "--clean", "--folder", str(folder)]) == 1
    assert "dubious ownership" in capsys.readouterr().err
    assert (folder / "dbt_up/mesh.yml").exists()


def test_clean_knows_the_homes_that_the_demo_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        monkeypatch.setenv("DBT_MESH_HOME", str(tmp_path / name))
        demos.render(locate(tmp_path / "d"))
        data_of(tmp_path / name, "dbt_up")
    # a copy of the demo has no say over its members
    shutil.copytree(tmp_path / "d", tmp_path / "copy")
    done = fleet("demo", "--clean", "--folder", tmp_path / "copy", DBT_MESH_HOME="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d/dbt_up/mesh.yml").exists()
    done = fleet("demo", "--clean", "--folder", tmp_path / "d", DBT_MESH_HOME="")
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path) == set()


def test_what_clean_cannot_remove_is_said_and_can_be_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DBT_MESH_HOME", raising=False)
    folder = tmp_path / "d"
    demos.render(locate(folder))
    clean = ["demo", "--clean", "--folder", str(folder)]

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path / "models"))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        assert main(clean) == 1
    said = capsys.readouterr()
    assert f"{folder}/dbt_up/models: Permission denied" in said.err
    assert "removed" not in said.out
    marker = folder / demo_cleanup.MARKER
    kept = marker.read_text()
    marker.write_text("[]")
    assert main(clean) == 1
    assert f"{marker} is damaged" in capsys.readouterr().err
    marker.write_text(kept)
    assert main(clean) == 0
    assert snapshot(tmp_path) == set()


def test_clean_on_snowflake_drops_and_removes_what_the_demo_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """dbt_up is a person's, and so is the key of its user; tests/test_demo_snowflake.py has the
    account itself."""
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("DBT_MESH_HOME", str(tmp_path / "home"))
    mine = by_a_person(tmp_path / "d/dbt_up")
    keys = tmp_path / "person/.snowflake/keys"
    keys.mkdir(parents=True)
    (keys / "DBT_UP_SVC.p8").write_text("mine")
    before = snapshot(tmp_path)
    clean = ["demo", "--target", "snowflake", "--connection", "admin", "--clean", "--yes"]
    clean += ["--folder", str(tmp_path / "d")]
    steps: list[Step] = []
    monkeypatch.setattr(demo_snowflake, "execute", lambda _, given: steps.extend(given))
    monkeypatch.setattr(demo_snowflake, "_look", lambda _: ({"account": "ORG-A"}, "admin"))
    monkeypatch.setattr(demo_snowflake, "_counts", lambda _: dict.fromkeys(MEMBERS, (1, 1.0)))

    assert main(clean) == 1
    assert f"kept {mine}" in capsys.readouterr().err
    assert steps == []
    assert snapshot(tmp_path) == before

    demo_snowflake.run(tmp_path / "d", "admin", sure=True)
    (keys / "DBT_DOWN_SVC.p8").write_text("the demo's")
    steps.clear()
    assert main(clean) == 1
    said = capsys.readouterr()
    assert f"kept {mine}" in said.err
    assert "DBT_UP_PROD" not in said.out.partition("This drops")[2]
    assert [step.member for step in steps] == ["dbt_down_loom", "dbt_down"]
    assert all("teardown" in step.command for step in steps)
    assert snapshot(tmp_path) == before


def test_a_folder_that_it_cannot_write_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", Path("/proc/nowhere")):
        for flags in ((), ("--clean",)):
            done = fleet("demo", "--folder", folder, *flags)
            assert "Traceback" not in done.stderr
            assert done.returncode == (0 if flags else 1)
            assert len(done.stderr.splitlines()) == (0 if flags else 1), done.stderr
            assert flags or f"cannot write in {folder}: " in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_map_for_which_there_is_no_room_is_one_line(tmp_path: Path) -> None:
    models = [public("up", f"model_{number}", ["id"]) for number in range(500)]
    nodes = {model["unique_id"]: model for model in models}
    body = extract(manifest("up", models=0, nodes=nodes), "up").body
    write(tmp_path, "up", "latest/manifest.json", body)
    command = f"{sys.executable} -m fleet map --registry {tmp_path} --env {ENV} --output -"
    for reader, status, said in (("> /dev/full", 1, 1), ("| true; exit ${PIPESTATUS[0]}", 0, 0)):
        done = subprocess.run(
            ["bash", "-c", f"{command} {reader}"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
        assert len(done.stderr.splitlines()) == said, done.stderr
        assert "No space left" in done.stderr or not said


def test_help_teaches() -> None:
    said = fleet("demo", "--help").stdout
    assert "DBT_MESH_HOME" in said
    assert said.startswith("usage: python -m fleet demo ")


def test_a_path_that_seeds_are_not_read_from_is_one_line(tmp_path: Path) -> None:
    done = fleet("demo", "--folder", tmp_path / "o'brien/demo")
    assert done.returncode == 1
    assert "whose path has an apostrophe: name another folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "o'brien").exists()
