"""`ref('<project>', '<model>')` in a native member, without a plugin, on every engine.

up is built by one engine and read by a member on each of them; they share its database file.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbtmesh.config import Engine, load_member
from dbtmesh.downstream import freshness, project_text, references
from tests import engines
from tests.conftest import Member, Render, dbt_of
from tests.engines import Dbt

SYNC = "scripts/sync_mesh.py"
MACRO = "macros/_mesh_ref.sql"
UP = {
    "orders.sql": "select 1 as id, 10 as amount, 7 as customer_id",
    "customers_v1.sql": "select 7 as id, 'Ada Lovelace' as full_name, 1 as which",
    "customers_v2.sql": "select 7 as id, 'Ada' as first_name, 2 as which",
    "customers_v3.sql": "select 7 as id, 'A.' as initials, 3 as which",
    "internal.sql": "select 1 as id",
    "events.sql": "select unnest([timestamp '2020-05-01', timestamp '2026-05-01']) as moment",
    "properties.yml": """
version: 2
models:
  - name: orders
    description: Orders of the shop.
    config:
      access: public
      freshness: {build_after: {count: 4, period: hour, updates_on: all}}
    columns: [{name: id, description: Its number.}, {name: amount}, {name: customer_id}]
  - name: events
    config: {access: public, event_time: moment}
    columns: [{name: moment}]
  - name: customers
    latest_version: 2
    config: {access: public}
    columns: [{name: id}]
    versions:
      - {v: 1, deprecation_date: 2030-01-01, columns: [{name: id}, {name: full_name}]}
      - {v: 2, columns: [{name: id}, {name: first_name}]}
      - {v: 3, columns: [{name: id}, {name: initials}]}
""",
}
VERSIONS = """
select 'none' as pinned, which from {{ ref('up', 'customers') }}
union all select '1', which from {{ ref('up', 'customers', v=1) }}
union all select '2', which from {{ ref('up', 'customers', v=2) }}
union all select '3', which from {{ ref('up', 'customers', version=3) }}
"""
PINNED = [("1", 1), ("2", 2), ("3", 3), ("none", 2)]
"""What that gives: 2 is the latest, and 3 is not yet."""
DOWN = {
    "versions.sql": VERSIONS,
    "paid.sql": """
select o.id, c.first_name, old.full_name
from {{ ref('up', 'orders') }} as o
join {{ ref('up', 'customers') }} as c on o.customer_id = c.id
join {{ ref('up', 'customers', v=1) }} as old on o.customer_id = old.id
""",
    # a macro that looks into the relation
    "all_columns.sql": """
select
{%- for column in adapter.get_columns_in_relation(ref('up', 'orders')) %}
    {{ column.name }}{{ ',' if not loop.last }}
{%- else %} 1 as none_known {% endfor %}
from {{ ref('up', 'orders') }}
""",
    "doubled.sql": "select id, amount * 2 as doubled from {{ ref('up', 'orders') }}",
    "named.sql": "select upper(full_name) as name from {{ ref('up', 'customers', version=1) }}",
    "own.sql": "from {{ ref('doubled') }} union all from {{ ref('down', 'doubled') }}",
    # of each the batch, which is all since the first one
    "own_events.sql": "{{ config(event_time='moment') }} from {{ ref('up', 'events') }}",
    "batched.sql": """
{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='moment',
          batch_size='year', begin='2026-01-01') }}
select 'theirs' as whose, moment from {{ ref('up', 'events') }}
union all select 'ours', moment from {{ ref('own_events') }}
""",
    "properties.yml": """
version: 2
models:
  - name: doubled
    columns:
      - name: id
        data_tests:
          - relationships: {arguments: {to: "ref('up', 'orders')", field: id}}
unit_tests:
  - name: doubles
    model: doubled
    given: [{input: "ref('up', 'orders')", rows: [{id: 5, amount: 3}]}]
    expect: {rows: [{id: 5, doubled: 6}]}
  - name: shouts
    model: named
    given: [{input: "ref('up', 'customers', v=1)", rows: [{full_name: x}]}]
    expect: {rows: [{name: X}]}
exposures:
  - name: board
    type: dashboard
    owner: {name: Ada}
    depends_on: ["ref('up', 'orders')", ref('paid')]
""",
}
ADDED = """
sources:
  - name: up
    tables:
      - name: events
        config: {freshness: {warn_after: {count: 1, period: day}}, loaded_at_field: moment}
        columns: [{name: moment, data_tests: [not_null]}]
"""
"""What the reader adds to the generated sources."""
FRESH = "source freshness"
WRONG = {
    "'order'": "up publishes no model order to this project (nearest: orders)",
    "'internal'": "up publishes no model internal to this project.",
    "'customers', v=4": "publishes no model customers.v4 to this project (nearest: customers v=3",
    "'ORDERS'": "up publishes no model ORDERS to this project (nearest: orders)",
}
READERS = {"paid", "all_columns", "doubled", "named", "board"}


@dataclass(frozen=True)
class Reader:
    """A native member that is synced and built on a dbt; what its commands ended with.

    refused: of copies of it, by the reference in each that is WRONG. All are tried on the dbt of
    this environment and on v2, and the first on the others: one macro answers them. modified: what
    is, where one model is edited and the upstream publishes one more. below: what is below version
    1 of a model.
    """

    member: Member
    dbt: Dbt
    built: tuple[int, str]
    parsed: tuple[int, str]
    refused: dict[str, tuple[int, str]]
    modified: tuple[int, str]
    below: tuple[int, str]
    fresh: tuple[int, str]

    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(
            (self.member.path / "target/manifest.json").read_bytes()
        )
        return loaded

    def rows(self, relation: str) -> list[Any]:
        home = Path(self.member.environment["DBT_MESH_HOME"])
        with duckdb.connect(str(home / "DOWN_LOCAL.duckdb"), read_only=True) as connection:
            found: list[Any] = connection.execute(f"from {relation}").fetchall()
        return found


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / "models").mkdir(exist_ok=True)
        (folder / "models" / name).write_text(text)


@pytest.fixture(scope="session")
def up(
    render_into: Render, tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]
) -> Member:
    folder = tmp_path_factory.mktemp("references") / "up"
    member = render_into(folder, kind="upstream", project_name="up", starter=False, **quick)
    write(folder, UP)
    member.dbt("build")
    member.ok("scripts/publish_manifest.py")
    return member


def reader_of(up: Member, render_into: Render, folder: Path, dbt: Dbt) -> Member:
    """A native member in a mesh of its own: a copy of what `up` built and published."""
    shutil.copytree(up.path.parent / ".mesh", folder / ".mesh")
    answers = {"kind": "native", "project_name": "down", "upstreams": "up", "starter": False}
    member = render_into(folder / "down", **answers, engine=dbt.engine)
    write(member.path, DOWN)
    (member.path / "mesh_sources").mkdir()
    (member.path / "mesh_sources/up.yml").write_text(ADDED)
    return replace(member, environment={**member.environment, **dbt.environment})


@pytest.fixture(scope="module", params=engines.ALL)
def reader(
    request: pytest.FixtureRequest,
    up: Member,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
) -> Reader:
    dbt = dbt_of(request.param)
    member = reader_of(up, render_into, tmp_path_factory.mktemp("reader"), dbt)
    member.ok(SYNC)
    wrong = []
    references = [*WRONG][: len(WRONG) if dbt.release in (engines.OURS, engines.V2) else 1]
    for number, reference in enumerate(references):
        copy = member.path.with_name(f"wrong_{number}")
        shutil.copytree(member.path, copy, symlinks=True)
        write(copy, {"wrong.sql": f"select * from {{{{ ref('up', {reference}) }}}}"})
        wrong.append(f"parse --project-dir ../{copy.name}")
    later = member.path.with_name("later")
    shutil.copytree(member.path, later, symlinks=True)
    macro = (later / MACRO).read_text()
    (later / MACRO).write_text(macro.replace("|orders|", "|one_more|orders|"))
    assert (later / MACRO).read_text() != macro
    write(later, {"own.sql": DOWN["own.sql"] + "-- edited"})
    state = shlex.quote(str(member.path / "target"))
    modified = f"ls --quiet --select state:modified --state {state} --project-dir ../later"
    below = "ls --quiet --select source:up.customers_v1+"
    # in one folder: each starts with what the one before has parsed
    words = ("parse", below, FRESH, "build --no-partial-parse", modified, *wrong)
    ended = dbt.run_all(member.path, member.environment, *words)
    parsed, lower, fresh, built, found, *answers = ended
    refused = dict(zip(references, answers, strict=True))
    return Reader(member, dbt, built, parsed, refused, found, lower, fresh)


def test_it_builds_with_versions_unit_tests_and_introspection(reader: Reader) -> None:
    status, said = reader.built
    assert status == 0, said
    assert reader.rows("MARTS.paid") == [(1, "Ada", "Ada Lovelace")]
    assert reader.rows("MARTS.all_columns") == [(1, 10, 7)]
    assert reader.rows("MARTS.own") == [(1, 20), (1, 20)]
    assert reader.rows("MARTS.versions order by all") == PINNED


def test_a_microbatch_model_reads_its_batch(reader: Reader) -> None:
    whose = [row[0] for row in reader.rows("MARTS.batched order by all")]
    assert whose == ["ours", "theirs"]


def test_nothing_of_the_upstream_is_built(reader: Reader, up: Member) -> None:
    """Neither in its place, nor under its names in the reader's."""
    results = json.loads((reader.member.path / "target/run_results.json").read_bytes())["results"]
    built = {each["unique_id"] for each in results}
    models = {f"model.down.{name.removesuffix('.sql')}" for name in DOWN if name.endswith(".sql")}
    assert {uid for uid in built if uid.startswith("model.")} == models
    assert {uid.split(".")[1] for uid in built} == {"down"}
    tables = "(select table_name from information_schema.tables where table_schema = 'MARTS')"
    assert {f"model.down.{name}" for (name,) in reader.rows(tables)} == models
    home = Path(reader.member.environment["DBT_MESH_HOME"])
    theirs = "UP_LOCAL.duckdb"
    before = (up.path.parent / ".mesh" / theirs).read_bytes()
    assert (home / theirs).read_bytes() == before


def test_its_edges_are_lineage_and_go_on_record_with_columns(reader: Reader) -> None:
    assert reader.parsed[0] == 0, reader.parsed[1]
    said = reader.member.ok("scripts/validate_lineage.py", "--record")
    assert "to 1 project, all resolve" in said
    record = Path(reader.member.environment["DBT_MESH_HOME"]) / (
        "registry/up/local/consumers/down.json"
    )
    reads = {each["model"]: each for each in json.loads(record.read_bytes())["reads"]}
    assert reads["model.up.customers.v1"]["columns"] == ["full_name", "id", "which"]
    by = {name.split(".")[2] for name in reads["model.up.orders"]["by"] if "test." not in name}
    assert by == READERS - {"named"}


def test_a_deprecated_version_warns_with_its_date(reader: Reader) -> None:
    for _, said in (reader.built, reader.parsed):
        warned = [line for line in said.splitlines() if "is deprecated on 2030-01-01" in line]
        assert any("up.customers.v1" in line for line in warned), said
        assert said.count("paid reads") == 1, said


def test_what_the_upstream_publishes_more_modifies_no_model(reader: Reader) -> None:
    status, said = reader.modified
    assert status == 0, said
    assert re.findall(r"^down\..*", said, re.MULTILINE) == ["down.own"]


def test_docs_have_the_upstreams_columns_and_descriptions(reader: Reader) -> None:
    source = reader.manifest()["sources"]["source.down.up.orders"]
    assert source["description"] == "Orders of the shop."
    assert source["columns"]["id"]["description"] == "Its number."


def test_how_often_the_upstream_builds_is_told_and_makes_no_freshness_of_it(reader: Reader) -> None:
    config = reader.manifest()["sources"]["source.down.up.orders"]["config"]
    assert config["meta"]["build_after"] == {"count": 4, "period": "hour", "updates_on": "all"}
    assert not any((config.get("freshness") or {}).get("warn_after", {}).values())


def test_what_reads_a_version_is_selected(reader: Reader) -> None:
    status, said = reader.below
    assert status == 0, said
    listed = {line.rpartition(".")[2] for line in said.splitlines() if line.startswith("down.")}
    assert {"paid", "named"} <= listed
    assert not listed & {"doubled", "all_columns"}


def test_what_it_adds_to_a_source_is_tested_and_how_fresh_that_is_found(reader: Reader) -> None:
    assert "not_null_up_events_moment" in reader.built[1]
    status, said = reader.fresh
    assert status == 0, said
    found = reader.member.path / "target/sources.json"
    if reader.dbt.engine is Engine.V2:
        assert not found.exists()  # it does nothing yet, and docs/engines.md says so
    else:
        (finding,) = freshness.of_dbt(json.loads(found.read_bytes()))
        assert str(finding).startswith("up: source events is almost stale, says dbt")


def test_what_is_not_published_stops_the_parser_with_the_nearest_names(reader: Reader) -> None:
    assert reader.refused
    for reference, (status, said) in reader.refused.items():
        assert status != 0
        assert WRONG[reference] in said
        assert "scripts/sync_mesh.py" in said
        assert "owners of up" in said


def test_a_loom_member_reads_versions_by_the_same_text(
    up: Member, render_into: Render, tmp_path: Path
) -> None:
    """With the plugin, on dbt Core."""
    shutil.copytree(up.path.parent / ".mesh", tmp_path / ".mesh")
    answers = {"kind": "loom", "project_name": "down", "upstreams": "up", "starter": False}
    member = render_into(tmp_path / "down", **answers)
    write(member.path, {"versions.sql": VERSIONS})
    member.ok(SYNC)
    member.dbt("build")
    with duckdb.connect(str(tmp_path / ".mesh/DOWN_LOCAL.duckdb"), read_only=True) as connection:
        rows = connection.execute("from MARTS.versions order by all").fetchall()
    assert rows == PINNED


# ── What sync writes, and when ────────────────────────────────────────────────────────


@pytest.fixture
def native(up: Member, render_into: Render, tmp_path: Path) -> Member:
    """On dbt Core, with no model yet."""
    core = Dbt(engines.OURS, Path("dbt"))
    member = reader_of(up, render_into, tmp_path, core)
    shutil.rmtree(member.path / "models")
    return member


PACKAGE = "state/up/refs"


def generated(member: Member) -> set[str]:
    return {
        path
        for path in member.files()
        if path in (MACRO, "packages.yml") or path.startswith((PACKAGE, "dbt_packages"))
    }


def test_on_core_only_a_project_with_such_a_reference_pays_for_it(native: Member) -> None:
    write(native.path, {"by_source.sql": "select * from {{ source('up', 'orders') }}"})
    native.ok(SYNC)
    assert generated(native) == set()
    write(native.path, {"by_ref.sql": "select * from {{ ref(\"up\" , 'orders') }}"})
    native.ok(SYNC)
    assert generated(native) == {MACRO}
    (native.path / "models/by_ref.sql").unlink()
    native.ok(SYNC, "--offline")
    assert generated(native) == set()


def test_a_hook_of_the_project_counts_and_blanks_before_the_parenthesis_do(native: Member) -> None:
    project = native.path / "dbt_project.yml"
    text = project.read_text()
    hook = """\non-run-end: ["select count(*) from {{ ref ('up', 'orders') }}"]\n"""
    project.write_text(text + hook)
    native.ok(SYNC)
    assert generated(native) == {MACRO}
    project.write_text(text)
    native.ok(SYNC, "--offline")
    assert generated(native) == set()


def test_a_native_member_that_becomes_loom_keeps_no_macro(native: Member) -> None:
    """It would take `ref` away from dbt-loom, and no sync would write it again."""
    write(native.path, DOWN)
    native.ok(SYNC)
    facts = native.path / "mesh.yml"
    facts.write_text(facts.read_text().replace("kind: native", "kind: loom"))
    done = native.run(SYNC, "--offline")
    assert done.returncode == 0, done.stderr
    assert MACRO not in generated(native)
    assert not (native.path / PACKAGE).exists()
    sources = "models/_mesh_up.yml"
    assert (native.path / sources).exists()  # models may read them
    assert f"read models by ref('up', …) instead of source, then `git rm {sources}`" in done.stderr
    (native.path / sources).unlink()
    assert native.run(SYNC, "--offline").stderr == ""


def test_inputs_of_unit_tests_get_a_package_and_lose_it(native: Member) -> None:
    write(native.path, DOWN)
    native.ok(SYNC)
    models = {path.name for path in (native.path / PACKAGE / "models").iterdir()}
    assert models == {"orders.sql", "customers_v1.sql", "customers_v2.sql", "_versions.yml"}
    assert "local: state/up/refs" in (native.path / "packages.yml").read_text()
    link = native.path / "dbt_packages/up"
    assert link.resolve() == (native.path / PACKAGE).resolve()

    properties = native.path / "models/properties.yml"
    text = properties.read_text()
    properties.write_text(text.replace("ref('up', 'customers', v=1)", "ref('named')"))
    native.ok(SYNC)
    models = {path.name for path in (native.path / PACKAGE / "models").iterdir()}
    assert models == {"orders.sql"}

    properties.unlink()
    native.ok(SYNC)
    assert generated(native) == {MACRO}
    assert not link.is_symlink()
    assert not (native.path / PACKAGE).exists()


def test_packages_of_the_teams_own_are_theirs_to_edit(native: Member) -> None:
    write(native.path, DOWN)
    packages = native.path / "packages.yml"
    text = "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n"
    packages.write_text(text)
    done = native.run(SYNC)
    assert done.returncode == 0
    assert "add `- local: state/up/refs` to this project's packages and run `dbt deps`" in (
        done.stderr
    )
    assert packages.read_text() == text
    assert not (native.path / "dbt_packages").exists()  # more than is declared stops dbt 1.12

    packages.write_text(text + "  - local: state/up/refs\n")
    assert native.run(SYNC).stderr == ""


def test_a_package_that_is_not_ours_stays(native: Member) -> None:
    theirs = native.path / "dbt_packages/up/dbt_project.yml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("name: up\n")
    write(native.path, DOWN)
    native.ok(SYNC)
    assert theirs.read_text() == "name: up\n"


def test_a_macro_of_the_teams_own_is_left_to_them(native: Member) -> None:
    write(native.path, {"by_ref.sql": "select * from {{ ref('up', 'orders') }}"})
    own = native.path / "macros/ours.sql"
    own.write_text("{% macro ref() %}{{ return(builtins.ref(*varargs, **kwargs)) }}{% endmacro %}")
    done = native.run(SYNC)
    assert done.returncode == 0
    assert "macros/ours.sql has a macro `ref`" in done.stderr
    assert generated(native) == set()


def test_a_macro_ref_of_a_package_is_said_to_hide_the_upstreams_from_it(native: Member) -> None:
    """dbt Core takes a package's own `ref` for its models, and tells of no way out; v2 ours."""
    package(native.path / "shared", "{{ ref('up', 'orders') }}")
    (native.path / "packages.yml").write_text("packages: [{local: shared}]")
    assert native.run(SYNC).stderr == ""
    own = native.path / "shared/macros/ref.sql"
    own.write_text("{% macro ref() %}{{ return(builtins.ref(*varargs, **kwargs)) }}{% endmacro %}")
    said = native.run(SYNC).stderr
    assert "the package shared has a macro `ref` of its own" in said
    assert "have it read source('<upstream>', …)" in said
    facts = native.path / "mesh.yml"
    facts.write_text(facts.read_text().replace("engine: core", "engine: v2"))
    assert "shared" not in native.run(SYNC).stderr


def test_the_macro_is_written_again_only_where_it_would_be_another(native: Member) -> None:
    write(native.path, {"by_ref.sql": "select * from {{ ref('up', 'orders') }}"})
    native.ok(SYNC)
    path = native.path / MACRO
    before = path.stat().st_mtime_ns
    native.ok(SYNC)
    assert path.stat().st_mtime_ns == before
    path.write_text("edited")
    native.ok(SYNC, "--offline")
    assert "macro ref()" in path.read_text()
    # behind the right first line, as a pull request may bring it: a job of CI reads all of it
    whole = path.read_bytes()
    path.write_bytes(whole + b"{% macro generate_alias_name() %}x{% endmacro %}")
    native.ok(SYNC, GITHUB_ACTIONS="true")
    assert path.read_bytes() == whole


def test_a_reference_to_what_is_not_deprecated_does_not_ask_whether_dbt_executes() -> None:
    """dbt v2 renders each model whose macros do a second time as it parses: a quarter more."""
    text = references.macro_text({"up": None}, Engine.V2)
    ref, others = text.split("{% endmacro %}", 1)
    assert "execute" not in ref
    assert "execute" in others


def test_an_upstream_that_was_never_synced_is_said_to_be_unknown(native: Member) -> None:
    facts = native.path / "mesh.yml"
    facts.write_text(
        facts.read_text().replace(
            "upstreams:\n", "upstreams:\n  - name: other\n    database_prefix: OTHER\n"
        )
    )
    member = load_member(native.path)
    text = references.macro_text({"other": None}, Engine.CORE)
    assert "'other': ''" in text
    write(native.path, {"by_ref.sql": "select * from {{ ref('other', 'x') }}"})
    plan = references.plan(member)
    assert b"'other': ''" in plan.files[MACRO]


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("{{ ref('up', 'orders') }}", True),
        ('{{ ref( "up",\n "orders", v=2) }}', True),
        ("{{ builtins.ref('up', 'orders') }}", True),
        ("{% for each in ['orders'] %}{{ ref('up', each) }}{% endfor %}", True),
        ("{{ ref(project, 'orders') }}", True),
        ("{{ ref(var('from'), names[0]) }}", True),
        ("{{ ref(*words) }}", True),
        ("{{ ref('orders') }}", False),
        ("{{ ref(name) }}", False),
        ("{{ ref(name, v=1) }}", False),
        ("{{ ref('upper', 'orders') }}", False),
        ("{{ prefer('up', 'orders') }}", False),
    ],
)
def test_what_counts_as_a_reference(tmp_path: Path, text: str, used: bool) -> None:
    write(tmp_path, {"m.sql": text})
    assert project_text.look(tmp_path, ["up"]).used is used


def test_it_looks_where_dbt_project_yml_says(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("model-paths: [sql]\nmacro-paths: [jinja, more]\n")
    write(tmp_path, {"m.sql": "{{ ref('up', 'orders') }}"})
    assert not project_text.look(tmp_path, ["up"]).used
    (tmp_path / "models").rename(tmp_path / "sql")
    found = project_text.look(tmp_path, ["up"])
    assert found.used
    assert found.macros == "jinja"


def package(folder: Path, text: str) -> None:
    (folder / "macros").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shared\n")
    (folder / "macros/shared.sql").write_text(f"{{% macro shared() %}}{text}{{% endmacro %}}")


def test_packages_count_where_they_lie_and_where_they_are_installed(tmp_path: Path) -> None:
    (tmp_path / "packages.yml").write_text("packages: [{local: ours}, {git: 'https://x/y'}]")
    package(tmp_path / "ours", "{{ ref(of, 'orders') }}")
    assert project_text.look(tmp_path, ["up"]).used
    shutil.rmtree(tmp_path / "ours")
    package(tmp_path / "ours", "{{ ref(of) }}")
    found = project_text.look(tmp_path, ["up"])
    assert (found.used, found.hidden) == (False, True)  # the other one is not installed
    package(tmp_path / "dbt_packages/shared", "{{ ref(of, 'orders') }}")  # not of this mesh
    found = project_text.look(tmp_path, ["up"])
    assert (found.used, found.hidden) == (False, False)
    shutil.rmtree(tmp_path / "dbt_packages")
    package(tmp_path / "dbt_packages/shared", "{{ ref('up', 'orders') }}")
    found = project_text.look(tmp_path, ["up"])
    assert (found.used, found.deaf) == (True, ())


def test_a_macro_stays_while_packages_are_not_installed(native: Member) -> None:
    package(native.path / "dbt_packages/shared", "{{ ref('up', 'orders') }}")
    (native.path / "packages.yml").write_text("packages: [{git: 'https://x/y'}]")
    native.ok(SYNC)
    assert (native.path / MACRO).exists()
    shutil.rmtree(native.path / "dbt_packages")
    native.ok(SYNC)
    assert (native.path / MACRO).exists()
    (native.path / "packages.yml").unlink()
    native.ok(SYNC)
    assert not (native.path / MACRO).exists()


def test_what_dbt_core_looks_up_by_itself_is_an_input_and_arguments_of_tests_are_not(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"properties.yml": DOWN["properties.yml"]})
    found = project_text.look(tmp_path, ["up"])
    assert found.inputs == {("up", "orders", None), ("up", "customers", "1")}
    properties = """
models: [{name: m, data_tests: [{relationships: {to: "ref('up', 'orders')"}}]}]
semantic_models: [{name: s, model: "ref('up', 'events')"}]
"""
    write(tmp_path, {"properties.yml": properties})
    assert project_text.look(tmp_path, ["up"]).inputs == frozenset()
