"""Whatever JSON lies in the registry or in a pull request: every command ends with 0, 1 or 2 and a
few lines, writes nothing outside its place, and what it wrote names relations of the upstream only.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbtmesh import cli
from dbtmesh.__main__ import COMMANDS
from dbtmesh.commands import update_template
from dbtmesh.manifest.extract import extract
from fleet import map as mesh_map
from fleet import status
from tests.manifests import manifest
from tests.test_output import as_dbt_reads
from tests.test_untrusted_manifest import JSON, PUBLISHED, RECORD, paths, put

VERSION = extract(json.dumps(PUBLISHED).encode(), "dbt_up").version
TOLD = ("--project", "dbt_up", "--version", VERSION, "--digest", "0" * 64, "--timeout", "0")
DATABASES = {"DBT_UP_PROD", "DBT_UP_DEV", "DBT_UP_LOCAL"}

DEPLOY = {
    **{"project": "dbt_down", "env": "prod", "result": "success", "at": "2026-01-01T00:00:00Z"},
    **{"commit": "abc", "run": "https://github.com/a/b/actions/runs/1"},
    "built": {
        **{"at": "2026-01-01T00:00:00Z", "commit": "abc", "run": None, "code": "abc"},
        **{"upstreams": {"dbt_up": {"version": VERSION, "etag": "a"}}, "published": None},
    },
}
NOTE = {
    **{"url": "file:///x", "env": "prod", "pinned": None, "etag": "a", "version": VERSION},
    **{"generated_at": "2026-01-02T03:04:05+00:00", "generator": "0" * 64},
    "written": {"state/dbt_up/manifest.json": "0" * 64},
}

OBJECTS: Mapping[str, Any] = {
    "registry/dbt_up/prod/latest/manifest.json": PUBLISHED,
    f"registry/dbt_up/prod/history/{VERSION}/manifest.json": PUBLISHED,
    "registry/dbt_up/prod/consumers/dbt_down.json": RECORD
    | {"consumer": "dbt_down", "repository": "acme/down", "read_version": VERSION},
    "registry/up_b/prod/consumers/dbt_down.json": RECORD | {"consumer": "dbt_down"},
    "state/dbt_down/prod/deploy.json": DEPLOY,
    "dbt_down/state/dbt_up/manifest.json": PUBLISHED,
    "dbt_down/state/dbt_up/.sync.json": NOTE,
    "dbt_down/target/mesh_inputs.json": {"dbt_up": {"version": VERSION, "etag": "a"}},
}
"""What somebody else may write, below the folder of the world."""

RESULTS = {
    "results": [{"unique_id": "model.dbt_up.m", "status": "success", "message": "no"}],
    "elapsed_time": 1.0,
}
OWN: dict[str, Any] = {}
"""What a pull request may write in its own project."""

MAY_WRITE = re.compile(
    r"(dbt_down|dbt_loom)/(state/(dbt_up/manifest|(dbt_up/)?\.sync)\.json|models/_mesh_dbt_up\.yml"
    r"|macros/_mesh_ref\.sql|target/mesh_inputs\.json)"
    r"|\.mesh/DBT_UP_LOCAL\.duckdb|\.mesh/registry/(\.lock|dbt_up/local/latest/manifest\.json)"
)

FACTS = """
project: {name}
kind: {kind}
database_prefix: {prefix}
github_repository: acme/{name}
upstreams: [{upstreams}]
snowflake: {{account: ORG-ACC, warehouse: W, role: R, service_user: S}}
"""


SQL = """
USE ROLE SYSADMIN;
CREATE DATABASE IF NOT EXISTS {prefix}_PROD;
CREATE SCHEMA IF NOT EXISTS {prefix}_PROD.MARTS;
USE ROLE SECURITYADMIN;
CREATE ROLE IF NOT EXISTS {prefix}_ROLE;
GRANT USAGE ON DATABASE {prefix}_PROD TO ROLE {prefix}_ROLE;
"""


def main_of(command: str) -> Callable[[list[str], Path], int]:
    main: Callable[[list[str], Path], int] = import_module(
        f"dbtmesh.commands.{command.replace('-', '_')}"
    ).main
    return main


@dataclass(frozen=True)
class World:
    folder: Path

    @property
    def flags(self) -> list[str]:
        return ["--registry", (self.folder / "registry").as_uri(), "--env", "prod"]

    def write(self, objects: Mapping[str, Any]) -> None:
        for name, content in objects.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                content if isinstance(content, bytes) else json.dumps(content).encode()
            )

    def files(self) -> set[str]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix() for path in found}

    def commands(self) -> Iterator[tuple[str, Callable[[], int]]]:
        for label, command, words, root in self.started():
            yield label, partial(main_of(command), words, root)
        for form in ("html", "mermaid", "json"):
            yield f"map as {form}", partial(self.draw, form)
        yield "status", self.status

    def started(self) -> Iterator[tuple[str, str, list[str], Path]]:
        """What it is called here, the library's command, its words, and where it runs."""
        up, down, loom = (self.folder / name for name in ("dbt_up", "dbt_down", "dbt_loom"))
        where = self.flags
        own = ["--manifest", str(up / "target" / "manifest.json")]
        read = ["--manifest", str(down / "target" / "manifest.json")]
        key = ["--no-github", "--key-file", str(self.folder / "keys" / "key.p8")]
        lineage, publish = "validate-lineage", "publish-manifest"
        yield "sync", "sync-mesh", where, down
        yield "sync, again", "sync-mesh", [*where, "--max-age", "1"], down
        yield "sync of loom", "sync-mesh", where, loom
        yield "sync of a deploy", "sync-mesh", [*where, "--keep-going"], down
        yield "sync of a version", "sync-mesh", [*where, "--version", VERSION], down
        yield "sync offline", "sync-mesh", ["--offline"], down
        yield "wait", "await-upstream", [*where, *TOLD, "--keep-going"], down
        yield "lineage", lineage, [*where, "--record", "--dry-run", *read], down
        yield "lineage offline", lineage, ["--offline", *read], down
        yield "lineage of a deploy", lineage, [*where, "--keep-going", *read], down
        yield "changed", "deploy-state", ["changed", *where], down
        yield "push", "deploy-state", ["push", "--failed", "--dry-run", *where], down
        yield "gate", publish, ["--check", *own, *where], up
        yield "history", publish, ["--history", *where], up
        yield "rollback", publish, ["--rollback", VERSION, "--dry-run", *where], up
        yield "pull", "deploy-state", ["pull", *where], down
        yield "announce", "announce", ["--dry-run", *where], up
        yield "freshness", "check-freshness", [*where, "--max-age", "1"], down
        yield "stub", "stub-mesh", where, down
        yield "stub offline", "stub-mesh", ["--offline", "--dry-run"], down
        yield "doctor", "doctor", ["--files"], down
        yield "access", "snowflake-access", ["plan", "--offline"], up
        yield "matrix", "snowflake-access", ["matrix", *own], up
        yield "matrix of a reader", "snowflake-access", ["matrix", "--json", *read], down
        yield "key", "keypair-auth", ["status", *key], down
        yield "key to be made", "keypair-auth", ["create", "--dry-run", *key], down
        yield "summary", "run-summary", ["--title", "x"], down
        yield "update", "update-template", [], down

    def draw(self, form: str) -> int:
        return mesh_map.run(
            bucket=None,
            registry=self.flags[1],
            env="prod",
            form=form,
            models=True,
            output=str(self.folder / "drawn"),
        )

    def status(self) -> int:
        mesh = mesh_map.gather(mesh_map.location(None, self.flags[1], "prod"))
        status.of_registry(mesh)
        known = [status.Status(name, project=name) for name in ("dbt_up", "dbt_down")]
        told = [status.with_registry(each, mesh, datetime.now(UTC), 30) for each in known]
        return status.show(told, "v1", as_json=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    upstream = "{name: dbt_up, database_prefix: DBT_UP}"
    for name, kind, reads in (
        ("dbt_up", "upstream", ""),
        ("dbt_down", "native", upstream),
        ("dbt_loom", "loom", upstream),
    ):
        root = made.folder / name
        (root / "target").mkdir(parents=True)
        facts = FACTS.format(name=name, kind=kind, prefix=name.upper(), upstreams=reads)
        (root / "mesh.yml").write_text(facts)
        (root / "dbt_project.yml").write_text(f"name: {name}\n")
        built = json.loads(manifest(name, adapter="snowflake"))
        if reads:
            add_edge(built, name)
        OWN[f"{name}/target/manifest.json"] = built
        (root / "snowflake").mkdir()
        (root / "snowflake" / "01.sql").write_text(SQL.format(prefix=name.upper()))
        OWN[f"{name}/target/run_results.json"] = RESULTS
        OWN[f"{name}/.copier-answers.yml"] = f"_commit: v0.1.0\nproject_name: {name}\n".encode()
    (made.folder / ".mesh").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_MESH_HOME", str(made.folder / ".mesh"))
        patch.setenv("COLUMNS", "200")
        patch.setenv("HOME", str(made.folder))
        patch.setenv("PATH", str(made.folder / "nothing"))
        patch.setattr(update_template, "run", lambda *_: "")
        for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_NAME"):
            patch.delenv(name, raising=False)
        yield made


def add_edge(built: dict[str, Any], project: str, upstream: str = "dbt_up") -> None:
    """A source of the upstream, and a model that reads it."""
    uid, database = f"source.{project}.{upstream}.public_0", f"{upstream.upper()}_PROD"
    built["sources"][uid] = {
        **{"unique_id": uid, "package_name": project, "name": "public_0", "source_name": upstream},
        **{"resource_type": "source", "database": database, "schema": "MARTS"},
        **{"identifier": "public_0", "relation_name": f"{database}.MARTS.public_0"},
    }
    next(iter(built["nodes"].values()))["depends_on"]["nodes"].append(uid)


def run(command: Callable[[], int]) -> tuple[int, str]:
    """Exit status and output. What no command catches is raised: that would be a traceback."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.run(command)
    return int(ended.value.code or 0), out.getvalue() + err.getvalue()


COMMAND = re.compile(r"(?m)^\s*::|##\[")


def check(world: World, objects: Mapping[str, Any]) -> None:
    """Runs all commands against these objects."""
    for name in world.files() - kept(world):
        (world.folder / name).unlink()
    world.write({**OBJECTS, **OWN, **objects})
    before = world.files()
    for name, command in world.commands():
        if name == "doctor" and not any(each.startswith("dbt_down/") for each in objects):
            continue  # it takes long, and looks at nothing else
        status, text = run(command)
        assert status in (0, 1, 2), (name, text)
        lines = text.splitlines()
        assert len(lines) <= (100 if name == "doctor" else 60), (name, text)
        for line in lines:
            assert line.isprintable() or "\t" in line, (name, line)
            assert len(line) < 3_000, (name, line)
        assert not COMMAND.search(text), (name, text)
    written = {name for name in world.files() - before if name != "drawn"}
    assert not [name for name in written if not MAY_WRITE.fullmatch(name)], written
    check_sources(world.folder / "dbt_down" / "models" / "_mesh_dbt_up.yml")


def kept(world: World) -> set[str]:
    """What belongs to the members themselves."""
    return {
        f"{member}/{name}"
        for member in ("dbt_up", "dbt_down", "dbt_loom")
        for name in (*("mesh.yml", "dbt_project.yml", "snowflake/01.sql"),)
    }


def check_sources(path: Path) -> None:
    """Relations of the named databases only, of names that no quote of theirs can end."""
    if not path.exists():
        return
    for source in as_dbt_reads(yaml.safe_load(path.read_text()))["sources"]:
        assert source["database"].upper() in DATABASES
        for name in (source["schema"], *(each.get("identifier", "") for each in source["tables"])):
            assert '"' not in name
            assert name.isprintable()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_whatever_json_lies_there_commands_end_in_good_order(
    world: World, data: st.DataObject
) -> None:
    all_of_it = {**OBJECTS, **OWN}
    name = data.draw(st.sampled_from([*all_of_it]))
    content = all_of_it[name]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([*paths(content)]))
        content = put(content, path, data.draw(JSON))
        if not path:
            break
    check(world, {name: content})


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"metadata": {}, "nodes": {}, "reads": []}'),
    ],
    ids=range(5),
)
def test_what_is_no_object_at_all(world: World, name: str, body: bytes) -> None:
    check(world, {name: body})


def test_as_it_is_all_goes_well(world: World) -> None:
    check(world, {})
    results = {name: run(command) for name, command in world.commands()}
    failed = {name: text for name, (status, text) in results.items() if status == 1}
    assert not failed
    path = world.folder / "dbt_down" / "models" / "_mesh_dbt_up.yml"
    assert "public_0" in path.read_text()


def test_no_command_is_left_out(world: World) -> None:
    """Each is tried here, or in tests/test_untrusted_github.py with whatever GitHub answers."""
    from tests import test_untrusted_github

    here = {command for _, command, _, _ in world.started()}
    assert here | test_untrusted_github.TRIED == COMMANDS.keys()
