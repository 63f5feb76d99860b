"""What sync writes, proven by dbt: it builds on it, or says what it has understood of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from dbtmesh.checked import prose
from dbtmesh.downstream import sources
from tests.conftest import Member, Render

# The mesh of this module is made once: one worker runs all of it.
pytestmark = pytest.mark.xdist_group("sources")

UPSTREAMS = ("up_real", "up_quoted", "up_hand", "up_none")

# Each model of up_real, and where dbt finds it: file → SQL. `origin` tells a reader what it got.
REAL_MODELS = {
    "plain": "select 'plain' as origin",
    "aliased": "select 'aliased' as origin",
    "elsewhere": "select 'elsewhere' as origin",
    "m_first": "select 'm 1' as origin",
    "m_v2": "select 'm 2' as origin",
    "m_v3": "select 'm 3' as origin",
    "m_v1": "select 'the model m_v1' as origin",
    "dated_v2024-01-01": "select 'dated 2024-01-01' as origin",
    "dated_vyes": "select 'dated yes' as origin",
    "points_v1.5": "select 'points 1.5' as origin",
    "points_v1.10": "select 'points 1.10' as origin",
    "internal": "select 'internal' as origin",
}
REAL_PROPERTIES = """
version: 2
models:
  - name: plain
    config: {access: public}
  - name: aliased
    config: {access: public, alias: Other_Name}
  - name: elsewhere
    config:
      access: public
      schema: Side_Room
      database: "{{ 'Another_DB' if target.type == 'snowflake' else target.database }}"
  - name: m
    latest_version: 2
    config: {access: public}
    columns:
      - {name: origin, data_type: varchar, description: Where it comes from.}
      - {name: Mixed Case, quote: true}
    versions:
      - {v: 1, defined_in: m_first}
      - {v: 2, deprecation_date: 2031-01-01}
      - {v: 3}
  - name: m_v1
    config: {access: public, alias: a_model_called_m_v1}
  - name: dated
    latest_version: "yes"
    config: {access: public}
    versions: [{v: "2024-01-01", config: {alias: dated_first}}, {v: "yes"}]
  - name: points
    latest_version: "1.10"
    config: {access: public}
    versions: [{v: 1.5}, {v: "1.10"}]
  - name: internal
    config: {access: protected}
"""
# The name that a reader uses → what it has to get.
READ = {
    "plain": "plain",
    "aliased": "aliased",
    "elsewhere": "elsewhere",
    "m": "m 2",
    "m_v1": "the model m_v1",
    "m_v2": "m 2",
    "m_v3": "m 3",
    "dated": "dated yes",
    "dated_v2024-01-01": "dated 2024-01-01",
    "dated_vyes": "dated yes",
    "points": "points 1.10",
    "points_v1_5": "points 1.5",
    "points_v1_10": "points 1.10",
}

# Names that YAML 1.1 takes for something else.
NAMES = (
    "yes",
    "no",
    "on",
    "Off",
    "null",
    "1_000",
    "0o17",
    "2024-01-01",
    "1e3",
)
TEXTS = (
    *NAMES,
    "{{ x }} and {% raw %} and {% endraw %} and {# y #}",
    "{{ doc('nothing') }}",
    "{{{% if %}{{ '{' }}",
    r"C:\new\table \\ \" \u0041 \{",
    "it's \"quoted\" 'twice'",
    "- a: b # c",
    "&anchor *alias !!int | > % @ `",
    "one\ntwo\n\n  three\n",
    "carriage\r\nreturn\r",
    "trailing spaces   ",
    "   leading",
    "\ttab\t",
    "📦 ≠ ñ 漢字 \U0001f469\u200d\U0001f52c",
    "line\u2028separator\u2029and\x85next\ufeffmark",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f high \x9f",
    "a " * 2000,
)
VERSIONS = ("yes", "1_000", "2024-01-01", "null")

# How Snowflake relations come out of dbt, by model.
SNOWFLAKE = {
    "plain": "UP_HAND_PROD.MARTS.plain",
    "mixed": "Up_Hand_Prod.Marts.MixedCase",
    "quoted": '"Lower_Db"."Lower Schema"."Mixed.Case"',
    "quoted_identifier": 'UP_HAND_PROD.MARTS."MixedCase"',
    "quoted_schema": 'UP_HAND_PROD."marts".orders',
    "quoted_database": '"up_hand_prod".marts.orders_2',
    "quoted_upper": '"UP_HAND_PROD"."MARTS"."UPPER"',
}


MORE_DATABASES = {
    "up_real": ("ANOTHER_DB",),
    "up_quoted": ("Another_DB",),
    "up_hand": ("OTHER_LOCAL", "Lower_Db", "up_hand_prod"),
}
"""Databases of upstreams that are not called after them, which the reader has to name."""


def node(project: str, name: str, relation: str, **changes: Any) -> dict[str, Any]:
    """A public model as dbt puts it into a manifest, as far as it matters here."""
    version = changes.get("version")
    return {
        "unique_id": f"model.{project}.{name}" + (f".v{version}" if version else ""),
        "resource_type": "model",
        "package_name": project,
        "name": name,
        "alias": name,
        "database": "D",
        "schema": "S",
        "relation_name": relation,
        "access": "public",
        "config": {"materialized": "table"},
        "columns": {},
        **changes,
    }


def manifest(
    project: str, nodes: Iterable[Mapping[str, Any]], adapter: str = "duckdb"
) -> dict[str, Any]:
    return {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "generated_at": "2026-01-01T00:00:00Z",
            "project_name": project,
            "adapter_type": adapter,
        },
        "nodes": {each["unique_id"]: each for each in nodes},
    }


def named(text: str) -> str:
    """The text without what no name may hold."""
    kept = "".join(each for each in text if each.isprintable() and each not in '"\ufffd')
    return kept[:255] or "nothing"


def hand_made() -> list[dict[str, Any]]:
    texts = [
        node(
            "up_hand",
            f"text_{number}",
            f'"UP_HAND_LOCAL"."MARTS"."text_{number}"',
            description=text,
            columns={
                named(text): {"name": named(text), "description": text, "data_type": named(text)}
            },
        )
        for number, text in enumerate(TEXTS)
    ]
    names = [node("up_hand", name, f'"UP_HAND_LOCAL"."MARTS"."{name}"') for name in NAMES]
    versions = [
        node(
            "up_hand",
            "v",
            f'"UP_HAND_LOCAL"."MARTS"."v_v{version}"',
            version=version,
            latest_version=VERSIONS[0],
            deprecation_date="2024-01-01",  # as dbt v2 writes it
        )
        for version in VERSIONS
    ]
    places = [
        node("up_hand", f"place_{database}_{schema}", f'"{database}"."{schema}"."t"')
        for database in ("UP_HAND_LOCAL", "OTHER_LOCAL")
        for schema in ("MARTS", "marts", "other")
    ]
    return [*texts, *names, *versions, *places]


@dataclass(frozen=True)
class Mesh:
    """up_real and up_quoted are dbt projects of the same models, up_hand and up_none are manifests;
    reader reads them all."""

    real: Member
    quoted: Member
    reader: Member
    registry: Path

    def put(self, project: str, env: str, document: Mapping[str, Any]) -> None:
        path = self.registry / project / env / "latest" / "manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def publish(self, member: Member, env: str, target: str) -> None:
        arguments = ("--registry", self.registry.as_uri(), "--env", env)
        built = member.path / target / "manifest.json"
        member.ok("scripts/publish_manifest.py", *arguments, "--manifest", built)

    def sync(self, env: str, *arguments: str, **environment: str) -> str:
        where = ("--registry", self.registry.as_uri(), "--env", env)
        return self.reader.ok("scripts/sync_mesh.py", *where, *arguments, **environment)

    def understood(self, target: str = "target") -> dict[str, dict[str, Any]]:
        """Sources as dbt has understood them, by "upstream.name"."""
        sources = read_manifest(self.reader, target)["sources"].values()
        return {f"{source['source_name']}.{source['name']}": source for source in sources}


def read_manifest(member: Member, target: str = "target") -> dict[str, Any]:
    return dict(json.loads((member.path / target / "manifest.json").read_text()))


@pytest.fixture(scope="module")
def mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    home = tmp_path_factory.mktemp("mesh")
    account = {"snowflake_account": "ORG-ACCOUNT", "starter": False}
    real = render_into(home / "up_real", project_name="up_real", **account)
    (real.path / "models").mkdir()
    (real.path / "models" / "properties.yml").write_text(REAL_PROPERTIES)
    for name, sql in REAL_MODELS.items():
        (real.path / "models" / f"{name}.sql").write_text(sql)
    quoted = render_into(home / "up_quoted", project_name="up_quoted", **account)
    shutil.copytree(real.path / "models", quoted.path / "models")
    with (quoted.path / "dbt_project.yml").open("a") as file:
        file.write("\nquoting: {database: true, schema: true, identifier: true}\n")
    reader = render_into(
        home / "reader",
        kind="native",
        project_name="reader",
        upstreams=",".join(UPSTREAMS),
        **account,
    )
    facts = reader.path / "mesh.yml"
    text = facts.read_text()
    for project, more in MORE_DATABASES.items():
        prefix = f"database_prefix: {project.upper()}\n"
        text = text.replace(prefix, f"{prefix}    databases: [{', '.join(more)}]\n")
    facts.write_text(text)
    for project in UPSTREAMS:
        duckdb.connect(str(home / ".mesh" / f"{project.upper()}_LOCAL.duckdb")).close()
    mesh = Mesh(real, quoted, reader, home / ".mesh" / "registry")
    mesh.put("up_none", "local", manifest("up_none", []))
    mesh.put("up_none", "prod", manifest("up_none", [], "snowflake"))
    mesh.put("up_quoted", "local", manifest("up_quoted", []))
    mesh.put("up_hand", "local", manifest("up_hand", hand_made()))
    snowflake = [node("up_hand", name, relation) for name, relation in SNOWFLAKE.items()]
    mesh.put("up_hand", "prod", manifest("up_hand", snowflake, "snowflake"))
    return mesh


@pytest.fixture(scope="module")
def local(mesh: Mesh) -> Mesh:
    """up_real built and published on DuckDB, and the reader built on it; a model reads each name
    that it may use."""
    mesh.real.dbt("build")
    mesh.publish(mesh.real, "local", "target")
    mesh.sync("local")
    reads = [
        f"select '{name}' as name, origin from {{{{ source('up_real', '{name}') }}}}"
        for name in READ
    ]
    models = mesh.reader.path / "models"
    (models / "everything.sql").write_text("\nunion all\n".join(reads))
    done = mesh.reader.dbt("build", "--show-all-deprecations")
    assert "WARN=0" in done.stdout
    assert "deprecat" not in done.stdout.lower()
    return mesh


def test_each_name_reads_the_model_it_means(local: Mesh) -> None:
    """Aliases, schemas, versions, the latest of them, and a model called as a version would be."""
    database = local.reader.path.parent / ".mesh" / "READER_LOCAL.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute("select name, origin from MARTS.everything").fetchall()
    assert dict(rows) == READ
    offered = {name for name in local.understood() if name.startswith("up_real.")}
    assert offered == {f"up_real.{name}" for name in READ}


def test_columns_and_meta_reach_the_reader(local: Mesh) -> None:
    latest, third = (local.understood()[f"up_real.{name}"] for name in ("m", "m_v3"))
    assert latest["meta"] == {
        "mesh_upstream": "up_real",
        "unique_id": "model.up_real.m.v2",
        "version": 2,
        "latest_version": 2,
        "deprecation_date": "2031-01-01T00:00:00+00:00",
    }
    assert third["meta"]["version"] == 3
    columns = latest["columns"]
    assert columns["origin"]["data_type"] == "varchar"
    assert columns["origin"]["description"] == "Where it comes from."
    assert columns["Mixed Case"]["quote"] is True
    assert columns["Mixed Case"]["data_type"] is None


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_text_comes_back_as_it_was(local: Mesh, number: int) -> None:
    source, text = local.understood()[f"up_hand.text_{number}"], TEXTS[number]
    (column,) = source["columns"].values()
    assert source["description"] == column["description"] == prose(text)
    assert (column["name"], column["data_type"]) == (named(text), named(text))


def test_names_that_yaml_reads_as_other_types(local: Mesh) -> None:
    understood = local.understood()
    for name in NAMES:
        assert understood[f"up_hand.{name}"]["relation_name"] == f'"UP_HAND_LOCAL"."MARTS"."{name}"'
    for version in VERSIONS:
        meta = understood[f"up_hand.v_v{version}"]["meta"]
        assert meta["version"] == version
        assert meta["deprecation_date"] == "2024-01-01T00:00:00+00:00"


def test_several_databases_and_schemas(local: Mesh) -> None:
    understood = local.understood()
    for each in hand_made():
        if each["name"].startswith("place_"):
            assert understood[f"up_hand.{each['name']}"]["relation_name"] == each["relation_name"]


def test_no_public_model(local: Mesh) -> None:
    assert "up_none: 0 public models" in local.sync("local", "--upstream", "up_none", "--offline")
    assert not [name for name in local.understood() if name.startswith("up_none.")]


def stored(relation: str) -> tuple[str, ...]:
    """Where Snowflake keeps what a statement calls `relation`."""
    table = sqlglot.to_table(relation, dialect="snowflake")
    return tuple(part.name for part in normalize_identifiers(table, dialect="snowflake").parts)


def test_snowflake_names_the_same_relations(mesh: Mesh) -> None:
    """The upstreams' dbt and the reader's dbt, all for Snowflake, name the same relations, whatever
    is quoted upstream."""
    parse = ("parse", "--target", "prod", "--target-path", "prod")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda upstream: upstream.dbt(*parse), (mesh.real, mesh.quoted)))
    mesh.publish(mesh.real, "prod", "prod")
    mesh.publish(mesh.quoted, "prod", "prod")
    mesh.sync("prod")
    mesh.reader.dbt(*parse)
    understood = mesh.understood("prod")
    for upstream, project in ((mesh.real, "up_real"), (mesh.quoted, "up_quoted")):
        published = read_manifest(upstream, "prod")["nodes"]
        for name in READ:
            source = understood[f"{project}.{name}"]
            relation = published[source["meta"]["unique_id"]]["relation_name"]
            assert stored(source["relation_name"]) == stored(relation), name
    for name, relation in SNOWFLAKE.items():
        assert stored(understood[f"up_hand.{name}"]["relation_name"]) == stored(relation), name
    assert understood["up_real.aliased"]["identifier"] == "OTHER_NAME"
    assert understood["up_quoted.aliased"]["identifier"] == "Other_Name"


def test_a_model_that_disappeared(local: Mesh) -> None:
    """The file follows, sync says what went away, and dbt names the source that is missing."""
    full = read_manifest(local.real)
    for unique_id in ("model.up_real.plain", "model.up_real.m.v3"):
        del full["nodes"][unique_id]
    full["nodes"]["model.up_real.internal"]["access"] = "public"
    full["nodes"]["model.up_real.internal"]["config"]["access"] = "public"
    local.put("up_real", "changed", full)
    said = local.sync("changed", "--upstream", "up_real")
    assert said.splitlines()[1:] == ["  added: internal", "  removed: m_v3, plain"]
    failed = local.reader.run("dbt", "parse", "--target-path", "changed")
    assert failed.returncode != 0
    assert re.search(r"'up_real\.(plain|m_v3)' which was not found", failed.stdout)
    local.sync("local", "--upstream", "up_real")


def test_a_full_manifest_at_latest(local: Mesh) -> None:
    """Another tool put a manifest there that nobody filtered: its public models are what counts."""
    local.sync("local", "--upstream", "up_real")
    file = local.reader.path / "models" / "_mesh_up_real.yml"
    filtered = file.read_bytes()
    local.put("up_real", "full", read_manifest(local.real))
    local.sync("full", "--upstream", "up_real")
    assert file.read_bytes() == filtered
    assert b"internal" not in filtered


def test_the_same_interface_gives_the_same_bytes(mesh: Mesh) -> None:
    """Whatever order the nodes are in, and however Python hashes."""
    file = mesh.reader.path / "models" / "_mesh_up_hand.yml"
    written = set()
    for seed, order in (("1", 1), ("2", -1), ("3", 1)):
        mesh.put("up_hand", f"run{seed}", manifest("up_hand", hand_made()[::order]))
        file.unlink(missing_ok=True)
        mesh.sync(f"run{seed}", "--upstream", "up_hand", PYTHONHASHSEED=seed)
        written.add(file.read_bytes())
    assert len(written) == 1


@pytest.fixture(scope="module")
def written_back() -> Any:
    """A function that writes a text as sync does, and reads it as dbt does: (as a description,
    which dbt renders as text, and as anything else, which it renders natively)."""
    from dbt.clients.jinja import get_rendered

    def through(text: str) -> tuple[Any, Any]:
        document = {"sources": [{"name": text}]}
        read = yaml.load(sources.to_yaml(document, "up"), yaml.CSafeLoader)
        value = read["sources"][0]["name"]
        return get_rendered(value, {}), get_rendered(value, {}, native=True)

    return through


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NASTY_TEXT = st.text("{}%#- \n\r\t\\\"':raw\x00\x85\u2028\ufeff")


@given(text=ANY_TEXT | NASTY_TEXT)
def test_any_text_comes_back(written_back: Any, text: str) -> None:
    assert written_back(text) == (text, text)
