"""Publications of upstreams that were taken over, as dbt sees what a sync made of them.

Each lies in the registry as an upstream of its own; one project reads them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dbtmesh.commands import sync_mesh
from dbtmesh.registry import keys
from tests import engines
from tests.manifests import manifest
from tests.test_untrusted_commands import FACTS, World, run

JINJA = "{{ run_query('drop table x') }}{% do run_query('drop table x') %}{# x"
SCRIPT = "<img src=x onerror=alert(1)>"
SQL = 'x"; drop table y; --'
RLO, ZWSP, CYRILLIC = "\u202e", "\u200b", "public_\u043e"


def model(**fields: Any) -> Any:
    def change(document: dict[str, Any], node: dict[str, Any]) -> None:
        node |= fields

    return change


def column(**fields: Any) -> Any:
    def change(document: dict[str, Any], node: dict[str, Any]) -> None:
        node["columns"] = {"a": {"name": "a", **fields}}

    return change


def config(**fields: Any) -> Any:
    def change(document: dict[str, Any], node: dict[str, Any]) -> None:
        node["config"] |= fields

    return change


def relation(parts: str, adapter: str = "snowflake") -> Any:
    """`UP` in it stands for the upstream's database."""

    def change(document: dict[str, Any], node: dict[str, Any]) -> None:
        document["metadata"]["adapter_type"] = adapter
        node["relation_name"] = parts.replace("UP", f"{node['package_name'].upper()}_PROD")

    return change


REFUSED: Mapping[str, Any] = {
    "another_database": relation("SECRET_PROD.MARTS.public_0"),
    "two_statements": relation("UP.MARTS.public_0; drop table y"),
    "quote_in_name": relation('UP.MARTS."x""; drop table y; --"'),
    "subquery": relation("(select 1) x"),
    "jinja_in_name": relation('UP.MARTS."{{ 1 }}"'),
    "newline_in_name": relation('UP.MARTS."a\nb"'),
    "bidi_in_name": relation(f'UP.MARTS."a{RLO}b"'),
    "hidden_in_name": relation(f'UP.MARTS."a{ZWSP}b"'),
    "schema_is_sql": model(schema=SQL),
    "alias_is_sql": model(alias=SQL),
    "version_with_quote": model(version="1'; drop table y; --"),
    "version_is_a_path": model(version="../../../x"),
    "name_is_a_path": model(name="../../x"),
    "name_is_jinja": model(name=JINJA),
    "column_is_sql": model(columns={SQL: {"name": SQL}}),
    "type_is_a_log_command": column(data_type="int\n::error::x"),
    "date_in_year_1": model(deprecation_date="0001-01-01T00:00:00+23:59"),
    "group_is_markup": model(group="[x](https://x)"),
    "consumers_too_deep": model(meta=json.loads("[" * 40 + "]" * 40)),
    "meta_is_a_text": model(meta="x"),
}
TAKEN: Mapping[str, Any] = {
    "description_is_jinja": model(description=JINJA),
    "column_tells_jinja": column(description=JINJA, data_type="varchar(10)"),
    "meta_is_jinja": config(meta={JINJA.strip(): [JINJA, {"a": JINJA}]}),
    "tags_are_jinja": config(tags=[JINJA]),
    "markup": config(tags=[SCRIPT, "a<b>"]),
    "markup_in_prose": column(description=f"less < 5, {SCRIPT}, <!-- x"),
    "markup_as_a_name": model(
        description=SCRIPT, columns={SCRIPT: {"name": SCRIPT}, "a<5": {"name": "a<5"}}
    ),
    "type_is_sql": column(data_type="int); drop table y; --"),
    "description_acts": model(description=f"::error::x\r\n\x1b[2J{RLO}{ZWSP}a"),
    "quoted_name": relation('UP."x y"."1; z"'),
    "built_on_duckdb": relation('UP.MARTS."a; drop table y; --"', "duckdb"),
    "yaml_words": column(description="no", data_type="1_000", meta={"yes": "null", "1.10": "0o7"}),
    "look_alike_column": model(columns={CYRILLIC: {"name": CYRILLIC}}),
    "consumers": config(meta={"consumers": ["dbt_down", JINJA, 1, None, {"a": 1}]}),
    "consumers_is_jinja": config(meta={"consumers": JINJA}),
    "event_time_is_sql": config(event_time="a) or 1=1 --"),
}
NAMES = (*REFUSED, *TAKEN)


def publication(name: str) -> bytes:
    document = json.loads(manifest(name, models=1, adapter="snowflake"))
    (node,) = document["nodes"].values()
    {**REFUSED, **TAKEN}[name](document, node)
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The reader, and what the sync said."""
    world = World(tmp_path_factory.mktemp("hostile"))
    reads = ", ".join(f"{{name: {name}, database_prefix: {name.upper()}}}" for name in NAMES)
    facts = FACTS.format(name="dbt_down", kind="native", prefix="DBT_DOWN", upstreams=reads)
    world.write({"dbt_down/mesh.yml": facts.encode()})
    world.write({f"registry/{keys.latest(name, 'prod')}": publication(name) for name in NAMES})
    before = world.files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_MESH_HOME", str(world.folder / ".mesh"))
        patch.delenv("GITHUB_ACTIONS", raising=False)
        status, text = run(partial(sync_mesh.main, world.flags, world.folder / "dbt_down"))
    assert status == 1
    written = {name for name in world.files() - before if not name.startswith("dbt_down/")}
    assert not written
    return world.folder / "dbt_down", text


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(synced: tuple[Path, str], name: str) -> None:
    root, text = synced
    (line,) = [line for line in text.splitlines() if f"{name}: the published manifest" in line]
    assert line.isprintable()
    assert len(line) < 500
    assert not (root / f"models/_mesh_{name}.yml").exists()
    assert not (root / f"state/{name}").exists()


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_text(synced: tuple[Path, str], name: str) -> None:
    root, text = synced
    assert f"{name}: 1 public model" in text or "consumers" in name, text
    assert (root / f"models/_mesh_{name}.yml").exists()


def test_docs_show_no_elements_of_others(synced: tuple[Path, str]) -> None:
    """dbt's docs page takes descriptions, tags and names for HTML where it shows what it found."""
    root, said = synced
    written = {
        name: (root / f"models/_mesh_{name}.yml").read_text()
        for name in ("markup", "markup_in_prose", "markup_as_a_name")
    }
    assert not [name for name, text in written.items() if re.search(r"<[A-Za-z/!?]", text)]
    assert "&lt;img src=x" in written["markup"]
    assert "less < 5, &lt;img" in written["markup_in_prose"]
    assert "a<5" in written["markup_as_a_name"]
    left_out = [line for line in said.splitlines() if "would show its name as HTML" in line]
    assert [line.count(SCRIPT) for line in left_out] == [1]


def test_dbt_knows_relations_of_these_upstreams_only(synced: tuple[Path, str]) -> None:
    root, _ = synced
    dbt = engines.found(engines.V2)
    if dbt is None:
        pytest.skip("dbt v2 is not here")
    (root / "dbt_project.yml").write_text('name: dbt_down\nversion: "1.0"\nprofile: p\n')
    login = "account: a, user: u, password: p, database: D, schema: S, warehouse: W, role: R"
    (root / "profiles.yml").write_text(
        f"p:\n  target: t\n  outputs:\n    t: {{type: snowflake, {login}, threads: 1}}\n"
    )
    reading = [name for name in TAKEN if name not in ("consumers_is_jinja", "quoted_name")]
    quoted = {"built_on_duckdb": '"A; DROP TABLE Y; --"'}
    for name in reading:
        text = f"select * from {{{{ source('{name}', 'public_0') }}}}"
        (root / f"models/reads_{name}.sql").write_text(text)
    ((status, said),) = dbt.run_all(root, {"DBT_PROFILES_DIR": str(root)}, "compile")
    assert status == 0, said
    document = json.loads((root / "target/manifest.json").read_text())
    allowed = {f"{name.upper()}_PROD" for name in TAKEN}
    for source in document["sources"].values():
        assert source["database"].upper() in allowed
        assert source["relation_name"].split(".")[0].upper() in allowed
    for name in reading:
        compiled = document["nodes"][f"model.dbt_down.reads_{name}"]["compiled_code"]
        table = quoted.get(name, "PUBLIC_0")
        assert compiled.upper() == f"SELECT * FROM {name.upper()}_PROD.MARTS.{table}", compiled
