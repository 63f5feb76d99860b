"""Is target/ of the files as they are, and of a run that succeeded? On a project that dbt parsed,
with each engine that is here; and its results, whatever run they are of."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbtmesh import MeshError, sha256
from dbtmesh.artifacts import built_manifest, check, files, results
from tests.conftest import dbt_of
from tests.engines import ALL

FILES = {
    "dbt_project.yml": "name: up\nversion: '1.0'\nprofile: up\nmodel-paths: [models, more]\n",
    "profiles.yml": "up:\n  target: local\n  outputs:\n"
    "    local: {type: duckdb, path: up.duckdb, schema: marts}\n",
    ".dbtignore": "models/ignored/\n",
    "models/a.sql": "select 1 as id  -- the key\n\n",
    "models/windows.sql": "select 1 as id\r\n, 2 as b\r\n",
    "models/spaced.sql": "\n  select   1 as id\n",
    "models/empty.sql": "",
    "models/off.sql": "{{ config(enabled=false) }} select 1 as id",
    "models/ignored/x.sql": "this is no SQL {{",
    "models/models.yml": "models: [{name: a, columns: [{name: id, data_tests: [not_null]}]}]\n",
    "models/use.yml": "exposures: [{name: e, type: dashboard, owner: {name: x}, "
    "depends_on: [ref('a')]}]\n",
    "models/raw.yml": "sources: [{name: raw, tables: [{name: t}]}]\n",
    "models/notes.md": "{% docs key %}The key.{% enddocs %}\n",
    "more/table.py": "def model(dbt, session):\n    return session.sql('select 1 as id')\n",
    "seeds/s.csv": "id,name\n1,x\n",
    "snapshots/snap.sql": "{% snapshot snap %}{{ config(unique_key='id', strategy='check', "
    "check_cols='all', target_schema='s') }} select 1 as id{% endsnapshot %}\n",
    "macros/m.sql": "{% macro m() %}1{% endmacro %}\n",
    "tests/t.sql": "select 1 where false\n",
    "analyses/look.sql": "select 1\n",
}


@pytest.fixture(scope="session", params=ALL)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of every kind of file, as dbt has parsed it."""
    dbt = dbt_of(request.param)
    root = tmp_path_factory.mktemp("parsed") / "up"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    ((status, output),) = dbt.run_all(root, {}, "parse --profiles-dir .")
    assert status == 0, output
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "up"
    shutil.copytree(original, copy)  # with the times of its files
    return copy


def changed(root: Path) -> list[str]:
    path = root / "target" / "manifest.json"
    manifest = built_manifest.decode(path.read_bytes(), "target/manifest.json")
    found, unsure = files.changed(root, manifest, "up", path.stat().st_mtime)
    return [*map(str, found), *(f"{each} unsure" for each in unsure)]


def edit(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(text.encode())


def touch(name: str, seconds: float = 0) -> Callable[[Path], object]:
    """Gives a file the time of now, or of that many seconds from now, and leaves its content."""

    def change(root: Path) -> None:
        when = time.time() + seconds
        os.utime(root / name, (when, when))

    return change


def remove(name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).unlink()


def add_old(name: str, text: str = "select 1 as id") -> Callable[[Path], object]:
    """Adds a file that is older than the manifest, as `mv` does."""

    def add(root: Path) -> None:
        (root / name).write_text(text)
        os.utime(root / name, (1, 1))

    return add


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda root: None, []),
    "a model's SQL": (edit("models/a.sql", "select 2 as id"), ["models/a.sql changed since"]),
    "a Python model": (edit("more/table.py", "def model():"), ["more/table.py changed since"]),
    "a seed": (edit("seeds/s.csv", "id,name\n2,y\n"), ["seeds/s.csv changed since"]),
    "a test": (edit("tests/t.sql", "select 2 where false"), ["tests/t.sql changed since"]),
    "a snapshot": (
        edit("snapshots/snap.sql", FILES["snapshots/snap.sql"].replace("1 as id", "2 as id")),
        ["snapshots/snap.sql changed since"],
    ),
    "YAML": (edit("models/models.yml", "models: []\n"), ["models/models.yml changed since"]),
    "a macro": (
        edit("macros/m.sql", "{% macro m() %}2{% endmacro %}"),
        ["macros/m.sql changed since"],
    ),
    "docs": (
        edit("models/notes.md", "{% docs key %}!{% enddocs %}"),
        ["models/notes.md changed since"],
    ),
    "the project": (
        edit("dbt_project.yml", FILES["dbt_project.yml"] + "vars: {x: 1}\n"),
        ["dbt_project.yml changed since"],
    ),
    "new YAML": (edit("models/new.yml", "models: []\n"), ["models/new.yml changed since"]),
    "a new macro": (edit("macros/n.sql", ""), ["macros/n.sql changed since"]),
    "a new model": (edit("models/b.sql", "select 1 as id"), ["models/b.sql is new"]),
    "a model that was moved here": (add_old("models/b.sql"), ["models/b.sql is new"]),
    "a seed that was moved here": (add_old("seeds/t.csv", "id\n1\n"), ["seeds/t.csv is new"]),
    "a model is gone": (remove("models/a.sql"), ["models/a.sql is gone"]),
    "a seed is gone": (remove("seeds/s.csv"), ["seeds/s.csv is gone"]),
    "YAML is gone": (remove("models/models.yml"), ["models/models.yml is gone"]),
    "a macro is gone": (remove("macros/m.sql"), ["macros/m.sql is gone"]),
    "docs are gone": (remove("models/notes.md"), ["models/notes.md is gone"]),
    "YAML of an exposure alone is gone": (remove("models/use.yml"), ["models/use.yml is gone"]),
    "YAML of a source alone is gone": (remove("models/raw.yml"), ["models/raw.yml is gone"]),
    # what is no change
    "a model that was touched": (touch("models/a.sql"), []),
    "a seed that was touched": (touch("seeds/s.csv"), []),
    "a model with other line endings": (
        edit("models/windows.sql", FILES["models/windows.sql"].replace("\r\n", "\n")),
        [],
    ),
    "a model with Windows line endings": (
        edit("models/spaced.sql", FILES["models/spaced.sql"].replace("\n", "\r\n")),
        [],
    ),
    "a model with white space around it": (
        edit("models/a.sql", "\nselect 1 as id  -- the key"),
        [],
    ),
    "what dbt ignores": (add_old("models/ignored/y.sql"), []),
    "what dbt does not read": (edit("models/notes.txt", "x"), []),
    "a file beside the project": (edit("README.md", "x"), []),
    # what nobody can tell
    "a time in the future": (
        touch("models/models.yml", seconds=3600),
        ["models/models.yml unsure"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_since_dbt_read_it(root: Path, change: str) -> None:
    edits, expected = CHANGES[change]
    edits(root)
    assert changed(root) == expected


def test_a_model_that_is_replaced_by_an_older_file(root: Path) -> None:
    """Its time says nothing; dbt Core's checksum does. v2's checksums are not documented: there it
    takes a newer file."""
    add_old("models/a.sql", "select 2 as id")(root)
    manifest = json.loads((root / "target/manifest.json").read_bytes())
    core = not manifest["metadata"]["dbt_version"].startswith("2.")
    assert changed(root) == (["models/a.sql changed since"] if core else [])


def test_what_is_missing_or_wrong_is_one_line(root: Path) -> None:
    (root / "dbt_project.yml").write_text("name: [\n")
    with pytest.raises(MeshError, match=r"dbt_project.yml is not valid YAML \(line 2\)"):
        changed(root)
    (root / "dbt_project.yml").unlink()
    with pytest.raises(MeshError, match="is missing: this is not a dbt project"):
        changed(root)
    with pytest.raises(MeshError, match=r"x.json is not a dbt manifest"):
        built_manifest.decode(b"{}", "x.json")


def test_without_a_way_to_read_dbtignore_new_files_are_told_by_their_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pathspec", None)
    assert changed(root) == []
    (root / "models/b.sql").write_text("select 1 as id")
    assert changed(root) == ["models/b.sql changed since"]


# --- Results ------------------------------------------------------------------------------------

RUN, LATER = "run-1", "run-2"
MODELS = ("a", "b")


def a_manifest(invocation: str = RUN, schema: str = "marts") -> built_manifest.Manifest:
    """Of two models and their test, and what else there may be."""

    def node(kind: str, name: str, **facts: Any) -> dict[str, Any]:
        path = f"{kind}s/{name}.sql"
        relation = f'"up"."{schema}"."{name}"' if kind == "model" else None
        return {
            **{"package_name": "up", "resource_type": kind, "original_file_path": path},
            **{"name": name, "relation_name": relation, **facts},
        }

    nodes = {f"model.up.{name}": node("model", name) for name in MODELS}
    tested = {"depends_on": {"nodes": ["model.up.a"]}}
    nodes |= {
        "seed.up.s": node("seed", "s"),
        "test.up.unique_a_id.1234567890": node("test", "unique_a_id", **tested),
        "operation.up.up-on-run-end-0": node("operation", "up-on-run-end-0"),
    }
    body = {"metadata": {"invocation_id": invocation}, "nodes": nodes}
    return built_manifest.decode(json.dumps(body).encode(), "target/manifest.json")


def a_run(which: str = "build", schema: str = "marts", **statuses: str) -> dict[str, Any]:
    """Results by the last part of unique_ids: `a`, `b`, `s`, `test`, `hook`."""
    ids = {
        **{name: f"model.up.{name}" for name in (*MODELS, "gone")},
        **{"s": "seed.up.s", "test": "test.up.unique_a_id.1234567890"},
        "hook": "operation.up.up-on-run-end-0",
    }
    return {
        "metadata": {"invocation_id": RUN, "generated_at": "2026-01-02T03:04:05.678901Z"},
        "args": {"which": which},
        "results": [
            {
                "unique_id": ids[name],
                "status": status,
                "relation_name": f'"up"."{schema}"."{name}"' if name in (*MODELS, "gone") else None,
                "compiled_code": f'select id from "up"."{schema}"."a"' if name == "test" else None,
            }
            for name, status in statuses.items()
        ],
    }


def judged(
    run: dict[str, Any], manifest: built_manifest.Manifest | None = None
) -> results.Judgement:
    read = results.decode(json.dumps(run).encode(), "target/run_results.json")
    return results.judge(read, manifest or a_manifest())


@pytest.mark.parametrize("status", ["error", "skipped", "fail", "runtime error", "partial success"])
@pytest.mark.parametrize("node", ["a", "s", "test", "hook"])
def test_what_did_not_succeed_has_failed(node: str, status: str) -> None:
    found = judged(a_run(b="success", **{node: status}))
    assert list(found.failed.values()) == [status]
    assert found.built == {"model.up.b"}


def test_what_succeeded() -> None:
    found = judged(a_run(a="success", b="no-op", s="success", test="warn", hook="success"))
    assert not found.failed
    assert not found.unknown
    assert {"model.up.a", "model.up.b", "seed.up.s"} <= found.built


def test_a_status_that_nobody_knows_is_said() -> None:
    found = judged(a_run(a="success", b="levitated"))
    assert not found.failed
    assert found.unknown == {"model.up.b": "levitated"}
    assert found.built == {"model.up.a"}


@pytest.mark.parametrize("which", ["compile", "generate", "show", "test", "run-operation"])
def test_commands_that_build_nothing_tell_of_no_table(which: str) -> None:
    assert not judged(a_run(which, a="success")).built


def test_a_failure_counts_until_another_run() -> None:
    """`dbt parse` writes a new manifest and leaves the results: the table is still not there."""
    assert judged(a_run(a="error"), a_manifest(LATER)).failed == {"model.up.a": "error"}


def test_what_was_removed_since_is_nobodys_failure() -> None:
    assert not judged(a_run(a="success", gone="error")).failed


def test_a_run_of_another_target_tells_nothing() -> None:
    elsewhere = a_run(schema="other", a="error", s="error", test="fail")
    assert judged(elsewhere, a_manifest(LATER)).elsewhere
    assert judged(a_run("test", schema="other", test="fail"), a_manifest(LATER)).elsewhere
    # of tests that read what the manifest names
    assert judged(a_run("test", test="fail"), a_manifest(LATER)).failed
    # that has nothing to tell it by
    assert judged(a_run("seed", s="error"), a_manifest(LATER)).failed


def test_a_model_that_lies_elsewhere_since_is_not_that_one() -> None:
    moved = a_run(a="error", b="success")
    moved["results"][0]["relation_name"] = '"up"."before"."a"'
    found = judged(moved, a_manifest(LATER))
    assert not found.failed
    assert found.built == {"model.up.b"}


def test_relations_as_two_engines_write_them() -> None:
    run = a_run(a="error")
    run["results"][0]["relation_name"] = "UP.MARTS.A"
    assert judged(run, a_manifest(LATER)).failed


# --- Packages -------------------------------------------------------------------------------------


MACRO = "{% macro shared() %}1{% endmacro %}"


@pytest.fixture
def with_package(tmp_path: Path) -> Path:
    """A project with an installed package: a macro and a model, as dbt Core records them."""
    package = tmp_path / "dbt_packages" / "shared"
    for name, text in (("macros/m.sql", f"-- head\n{MACRO}\n"), ("models/dim.sql", "select 1")):
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text(text)
    (tmp_path / "dbt_project.yml").write_text("name: up\n")
    (tmp_path / "target").mkdir()
    common = {"package_name": "shared"}
    document = {
        "metadata": {"dbt_version": "1.11.0"},
        "nodes": {
            "model.shared.dim": common
            | {
                **{"resource_type": "model", "original_file_path": "models/dim.sql"},
                "checksum": {"name": "sha256", "checksum": sha256(b"select 1")},
            }
        },
        "macros": {
            "macro.shared.shared": common
            | {"resource_type": "macro", "original_file_path": "macros/m.sql", "macro_sql": MACRO},
            "macro.dbt.ref": {
                **{"package_name": "dbt", "resource_type": "macro"},
                "original_file_path": "macros/ref.sql",
            },
        },
    }
    (tmp_path / "target/manifest.json").write_text(json.dumps(document))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("macros/m.sql", f"-- another head\r\n{MACRO}\r\n", []),  # installed again
        ("models/dim.sql", "select 1\n", []),
        ("macros/m.sql", MACRO.replace("1", "2"), ["macros/m.sql changed since"]),
        ("models/dim.sql", "select 2", ["models/dim.sql changed since"]),
        ("macros/m.sql", None, ["macros/m.sql is gone"]),
    ],
)
def test_a_package_that_was_upgraded(
    with_package: Path, file: str, text: str | None, expected: list[str]
) -> None:
    path = with_package / "dbt_packages/shared" / file
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode())
        touch(f"dbt_packages/shared/{file}", seconds=1)(with_package)
    assert changed(with_package) == [f"dbt_packages/shared/{each}" for each in expected]


def test_what_is_worth_a_note_only(root: Path) -> None:
    """Sources that a sync wrote, to the check that compares them with what is published."""
    (root / "models/new.yml").write_text("models: []")
    (note,) = examined(root, apart=["models/new.yml"]).notes
    assert note.startswith("models/new.yml changed since manifest.json was made: run `dbt parse`")
    (root / "models/b.sql").write_text("select 1 as id")
    with pytest.raises(MeshError, match=r"project: models/b.sql is new: run"):
        examined(root, apart=["models/new.yml"])


# --- Both, as commands say it -------------------------------------------------------------------


def examined(root: Path, **flags: Any) -> check.Build:
    path = root / "target" / "manifest.json"
    manifest = built_manifest.decode(path.read_bytes(), "target/manifest.json")
    return check.examine(root, path, manifest, "up", first=["model.up.a"], **flags)


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Path]:
    """built(run, invocation=…): a project without files that has such results."""

    def make(run: dict[str, Any] | bytes | None, invocation: str = RUN) -> Path:
        target = tmp_path / "target"
        target.mkdir(exist_ok=True)
        (tmp_path / "dbt_project.yml").write_text("name: up\n")
        manifest = json.loads(json.dumps({"metadata": {"invocation_id": invocation}, "nodes": {}}))
        for uid in ("model.up.a", "model.up.b", "test.up.unique_a_id.1234567890"):
            kind, name = uid.split(".")[0], uid.split(".")[2]
            path = tmp_path / "models" / f"{name}.sql"
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
            manifest["nodes"][uid] = {
                **{"package_name": "up", "resource_type": kind, "name": name},
                "original_file_path": f"models/{name}.sql",
                "relation_name": f'"up"."marts"."{name}"' if kind == "model" else None,
            }
        (target / "manifest.json").write_text(json.dumps(manifest))
        body = run if isinstance(run, bytes) else json.dumps(run).encode()
        if run is not None:
            (target / "run_results.json").write_bytes(body)
        return tmp_path

    return make


def test_a_stale_manifest_is_refused_with_the_way_out(root: Path) -> None:
    for number in range(6):
        (root / f"models/b{number}.sql").write_text("select 1 as id")
    with pytest.raises(MeshError) as caught:
        examined(root)
    assert str(caught.value) == (
        "target/manifest.json is older than the project: models/b0.sql is new, models/b1.sql is "
        "new, models/b2.sql is new, models/b3.sql is new and 2 more: run `dbt build` (or `dbt "
        "parse`), or pass --allow-stale"
    )
    notes = examined(root, allow_stale=True).notes
    assert "is older than the project" in notes[0]
    assert notes[0].endswith("allowed (--allow-stale)")


def test_only_parsed_is_a_note(root: Path) -> None:
    build = examined(root)
    assert build.notes == []
    (note,) = build.unsure
    assert note == (
        "target/run_results.json is missing: it is not known whether dbt built the public models"
    )


def test_a_failed_run_is_refused_with_the_way_out(built: Callable[..., Path]) -> None:
    root = built(a_run(b="skipped", a="error", test="fail"))
    with pytest.raises(MeshError) as caught:
        examined(root)
    assert str(caught.value) == (
        "the last run (dbt build, 2026-01-02 03:04 UTC) failed: a (error), test unique_a_id "
        "(fail), b (skipped): run `dbt build` until it succeeds, or pass --allow-failed"
    )
    assert "allowed (--allow-failed)" in examined(root, allow_failed=True).notes[0]


def test_results_that_cannot_be_read_are_no_success(built: Callable[..., Path]) -> None:
    root = built(b'{"metadata": {}, "results": [{"uni')
    with pytest.raises(MeshError, match="whether the last run succeeded is not known"):
        examined(root)
    assert len(examined(root, allow_failed=True).notes) == 1


def test_what_else_is_worth_knowing(built: Callable[..., Path]) -> None:
    root = built(a_run("compile", a="success", b="success"))
    assert (
        "the last command (dbt compile, 2026-01-02 03:04 UTC) builds nothing"
        in examined(root).unsure[0]
    )
    root = built(a_run(schema="other", a="error"), LATER)
    assert "built other relations (another target?)" in examined(root).unsure[0]
    root = built(a_run(a="success", b="levitated"))
    assert "results with an unknown status: b (levitated)" in examined(root).unsure[0]
    root = built(a_run(a="success", b="success"))
    assert (examined(root).notes, examined(root).unsure) == ([], [])
    run = a_run(a="success")
    run["args"]["empty"] = True
    (note,) = examined(built(run)).unsure
    assert note.endswith("used --empty: the tables that it built have no rows")


def test_what_the_last_run_did_not_build(built: Callable[..., Path]) -> None:
    uids = ["model.up.a", "model.up.b"]
    assert examined(built(a_run("run", a="success"))).unbuilt(uids) == ["model.up.b"]
    # where nothing is known, nothing is said of single models
    assert examined(built(a_run("compile", a="success"))).unbuilt(uids) == []
    assert examined(built(a_run(schema="other", a="success"), LATER)).unbuilt(uids) == []
