"""stub_mesh.py, a project's own sources: it builds on DuckDB without what a loader brings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbtmesh import MeshError, dbt
from dbtmesh.config import Member as Facts
from dbtmesh.downstream import local_database, own_sources
from dbtmesh.downstream.duckdb_types import ANY, Column
from dbtmesh.downstream.stub import Table
from tests import engines
from tests.conftest import Member, Render, dbt_of
from tests.manifests import manifest, model

STUB = "scripts/stub_mesh.py"
SOURCES = """
sources:
  - name: erp
    database: LANDING
    schema: ERP
    tables:
      - name: ORDERS
        columns:
          - {name: ORDER_ID, data_type: "number(38,0)"}
          - {name: CODE, data_type: varchar}
          - {name: AMOUNT, data_type: "numeric(12,2)"}
          - {name: PAYLOAD, data_type: variant}
      - {name: CUSTOMERS, identifier: CUSTOMERS_V7}
      - {name: NOBODY_READS_IT}
  - name: here
    schema: RAW
    tables: [{name: places, columns: [{name: id, data_type: integer}]}]
"""
MODELS = {
    "_sources.yml": SOURCES,
    "orders.sql": "select ORDER_ID, CODE, AMOUNT from {{ source('erp', 'ORDERS') }}",
    "customers.sql": "select id, name from {{ source('erp', 'CUSTOMERS') }}",
    "places.sql": "select id from {{ source('here', 'places') }}",
    "fresh.sql": "{{ config(materialized='dynamic_table', target_lag='1 hour', "
    "snowflake_warehouse='W') }} select * from {{ ref('orders') }}",
    "clever.sql": "{{ config(tags='snowflake_only') }} select snowflake.cortex.sentiment('x') as s",
    "reads_clever.sql": "select * from {{ ref('clever') }}",
}
BUILD = ("build", "--target", "local", "--exclude", "tag:snowflake_only+")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("release", engines.ALL)
def test_an_upstream_on_loader_tables_builds(render: Render, release: str) -> None:
    dbt = dbt_of(release)
    up = render(kind="upstream", project_name="sales", starter=False, engine=dbt.engine)
    up.environment.update(dbt.environment)
    home = Path(up.environment["DBT_MESH_HOME"])
    write(up.path / "models", MODELS)
    write(
        up.path / "samples/erp",
        {
            "ORDERS.csv": "order_id,code,extra\n7,007,1.5\n8,,\n",
            "CUSTOMERS.csv": "id,name\n1,Ada\n",
        },
    )
    done = up.run(STUB, "--offline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "source erp.CUSTOMERS: 1 stub with 1 row of samples/erp/CUSTOMERS.csv, in "
        f"{home / 'SALES_LOCAL.sources/LANDING.duckdb'}",
        "source erp.ORDERS: 1 stub with 2 rows of samples/erp/ORDERS.csv, in "
        f"{home / 'SALES_LOCAL.sources/LANDING.duckdb'}",
        f"source here.places: 1 stub, empty, in {home / 'SALES_LOCAL.duckdb'}",
    ]
    assert not (up.path / "target").exists()
    up.dbt(*BUILD)
    database = home / "SALES_LOCAL.duckdb"
    # as declared, not as the sample looks: the zeros stay
    assert ask(database, "select * from MARTS.orders order by 1") == [
        (7, "007", None),
        (8, None, None),
    ]
    assert ask(database, "select count(*) from MARTS.fresh") == [(2,)]
    built = {row[0] for row in ask(database, "select table_name from duckdb_tables()")}
    assert not built & {"clever", "reads_clever"}


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return Facts(
        root=tmp_path,
        project="sales",
        kind="upstream",
        publishes=True,
        database_prefix="SALES",
        bucket=None,
        aws_region=None,
        upstreams=(),
    )


def reading(*sources: dict[str, Any], **nodes: dict[str, Any]) -> bytes:
    """The manifest of a project whose model reads all these sources of LANDING.ERP."""
    document: dict[str, Any] = json.loads(manifest("sales", models=0))
    for source in sources:
        uid = f"source.sales.erp.{source['name']}"
        document["sources"][uid] = {
            "unique_id": uid,
            "package_name": "sales",
            "source_name": "erp",
            "resource_type": "source",
            "database": "LANDING",
            "schema": "ERP",
            "identifier": source["name"],
        } | source
    reader = model("sales", "reader")
    reader["depends_on"]["nodes"] = [*document["sources"]]
    document["nodes"] = {reader["unique_id"]: reader} | nodes
    return json.dumps(document).encode()


def columns(**types: str | None) -> dict[str, Any]:
    return {name: {"name": name, "data_type": kind} for name, kind in types.items()}


def test_what_cannot_be_told_is_said(facts: Facts) -> None:
    body = reading(
        {"name": "bare"},
        {"name": "untyped", "columns": columns(id="integer", note=None, shape="no such type")},
    )
    plan = own_sources.plan(body, facts)
    assert plan.notes == (
        "source erp.bare declares no columns, so nothing can read it here: declare them with their "
        "data_type, or commit sample rows as samples/erp/bare.csv",
        "source erp.untyped has types that DuckDB lacks, so text is used: shape (no such type)",
    )
    assert [len(table.columns) for table in plan.tables["LANDING"]] == [1, 3]


STAGED = """
with source as (select * from "LANDING"."ERP"."orders"),
renamed as (
    select Id as order_id, placed, paid_on as paid, cents / 100 as amount, {more} from source
)
select * from renamed
"""


def test_columns_that_nobody_declares_are_those_that_the_models_read(facts: Facts) -> None:
    """Through steps and models that pass them on; a time is known by what is done with it."""
    document = json.loads(reading({"name": "orders", "columns": columns(ID="integer", note=None)}))
    for name in ("stg", "mart", "check"):
        document["nodes"][f"model.sales.{name}"] = model("sales", name) | {
            "relation_name": f'"SALES_LOCAL"."MARTS"."{name}"'
        }
    given = [{"input": "ref('stg')", "rows": [{"order_id": 1, "flag": True, "amount": 1.5}]}]
    uid = "unit_test.sales.mart.t"
    test = {"unique_id": uid, "package_name": "sales", "model": "mart", "given": given}
    document["unit_tests"] = {uid: test}
    compiled = {
        "model.sales.stg": STAGED.format(more="is_open as flag, 'x' as channel"),
        "model.sales.mart": """select date_trunc('day', s.paid) as day, channel, s.placed - interval
            1 day as before from "SALES_LOCAL"."MARTS"."stg" s join other using (customer)""",
        "model.sales.check": "select nothing that parses from",
    }
    plan = own_sources.plan(json.dumps(document).encode(), facts, compiled)
    (table,) = plan.tables["LANDING"]
    assert {column.name: column.type for column in table.columns} == {
        "ID": "BIGINT",
        "note": "VARCHAR",
        "placed": "TIMESTAMP",
        "paid_on": "TIMESTAMP",
        "cents": "DOUBLE",
        "is_open": "BOOLEAN",
    }
    assert (plan.guessed, plan.notes) == (1, ())
    del document["unit_tests"]
    plan = own_sources.plan(json.dumps(document).encode(), facts, compiled)
    kinds = {column.name: column.type for column in plan.tables["LANDING"][0].columns}
    assert kinds["note"] == kinds["is_open"] == ANY


def test_a_column_of_any_type_is_taken_for_whatever_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    anything = table("t", column=Column("c", ANY, "'c_' || i"))
    query = "select c + 1, lower(c), c and true, c->>'a', c::date, c > now() from ERP.t"
    local_database.write_new(path, [anything], 0)
    assert ask(path, query) == []
    local_database.write_new(path, [anything], 2)
    assert ask(path, "select c from ERP.t") == [("c_1",), ("c_2",)]


def test_a_sample_fills_what_is_not_declared(facts: Facts) -> None:
    write(facts.root / "samples/erp", {"s.csv": "id,day\n1,2026-01-02\n"})
    declared = columns(ID="varchar", note=None, amount="number(4,1)")
    plan = own_sources.plan(reading({"name": "s", "columns": declared}), facts)
    (table,) = plan.tables["LANDING"]
    kinds = {column.name: column.type for column in table.columns}
    assert kinds == {"ID": "VARCHAR", "day": "DATE", "note": "VARCHAR", "amount": "DECIMAL(4, 1)"}
    assert table.rows == [("1", "2026-01-02", None, None)]
    assert plan.notes == ("source erp.s has columns without a type, so text is used: note",)


def test_what_needs_no_stand_in(facts: Facts) -> None:
    seed = model("sales", "seeded") | {"unique_id": "seed.sales.seeded", "resource_type": "seed"}
    seed |= {"relation_name": '"sales_local"."raw"."SEEDED"'}
    body = reading(
        {"name": "seeded", "database": "SALES_LOCAL", "schema": "RAW"},
        {"name": "elsewhere", "meta": {"external_location": "data/elsewhere.parquet"}},
        {"name": "synced", "config": {"meta": {"mesh_upstream": "dbt_up"}}},
        {"name": "odd", "database": "../x"},
        **{seed["unique_id"]: seed},
    )
    plan = own_sources.plan(body, facts)
    assert plan.tables == {}
    assert plan.notes == ("source erp.odd gets no stub: its database '../x' needs a quoted name",)


def test_a_sample_that_cannot_be_read_is_named(facts: Facts) -> None:
    write(facts.root / "samples/erp", {"s.csv": ""})
    (facts.root / "samples/erp/s.csv").write_bytes(b"\xff\xfe\x00a,b\n")
    with pytest.raises(MeshError, match=r"^samples/erp/s\.csv: "):
        own_sources.plan(reading({"name": "s"}), facts)


# --- The database ---------------------------------------------------------------------------------

ONE = Column("id", "BIGINT", "i")


def table(name: str, comment: str = "something", column: Column = ONE) -> Table:
    return Table(f"up.{name}", "ERP", name, (column,), comment)


def test_what_is_really_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema ERP; create table ERP.Real as select 7 as real")
    for rows in (1, 2):
        made = local_database.add(path, [table("real"), table("other")], rows)
        assert [each.name for each in made] == ["other"]
        assert ask(path, "select count(*) from ERP.other") == [(rows,)]
    assert ask(path, "select * from ERP.real") == [(7,)]
    assert local_database.really_built(path) == "ERP.Real"


def test_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    local_database.add(path, [table("first")], 1)
    bad = table("second", column=Column("price", "DECIMAL(77, 2)", "i"))
    with pytest.raises(
        MeshError, match=r"no stand-in for up\.second\.price \(DECIMAL\(77, 2\)\): "
    ):
        local_database.add(path, [table("third"), bad], 1)
    assert ask(path, "select table_name from duckdb_tables()") == [("first",)]
    before = path.read_bytes()
    with pytest.raises(MeshError, match="no stand-in for"):
        local_database.write_new(path, [bad], 1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_its_sql_reaches_no_other_file(tmp_path: Path) -> None:
    """Whatever gets into a statement, such as a version that nobody has checked."""
    path, other = tmp_path / "x.duckdb", tmp_path / "other.csv"
    local_database.write_new(path, [table("t", f"x'; copy (select 1) to '{other}'; select '")], 1)
    assert ask(path, "select comment from duckdb_tables()")[0][0].endswith("select '")
    for value in (
        f"(select count(*) from read_csv('{__file__}'))",
        "getenv('HOME')",
        "(select 1 from '/etc/passwd')",
    ):
        hostile = table("t", column=Column("id", "VARCHAR", value))
        with pytest.raises(MeshError, match="no stand-in for"):
            local_database.write_new(path, [hostile], 1)
    for statement in (f"copy ERP.t to '{other}'", "set enable_external_access = true"):
        with pytest.raises(MeshError), local_database._opened(path) as connection:
            connection.execute(statement)
    assert not other.exists()


def test_a_file_that_another_process_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(MeshError) as caught:
            local_database.add(path, [table("t")], 1)
        holder.kill()
    said = str(caught.value)
    assert said.startswith(f"{path} is in use by ")
    assert f"(process {holder.pid})" in said
    assert said.endswith("wait for it, or close it, and run this again")


DEPRECATED = """\
12:00:04  [WARNING][MissingArgumentsPropertyInGenericTestDeprecation]: Deprecated
functionality
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "12:00:01  Running with dbt=1.11.16\n"
            + DEPRECATED
            + "12:00:05  Encountered an error:\n"
            "Compilation Error\n  Model 'model.a.b' (b.sql) depends on a node named 'c' which "
            "was not found\n12:00:05  [WARNING][DeprecationsSummary]: Deprecated functionality\n"
            "Summary of encountered deprecations:\n- Missing: 3 occurrences\nrun with\nparsing.\n",
            "Compilation Error Model 'model.a.b' (b.sql) depends on a node named 'c' which was "
            "not found",
        ),
        (
            "12:00:05  Encountered an error:\nCompilation Error in model q (models/q.sql)\n"
            "  up publishes no model x\n\n  > in macro mesh_ref_unusual (macros/_mesh_ref.sql)\n",
            "Compilation Error in model q (models/q.sql) up publishes no model x",
        ),
        ("error: dbt1005: Found it twice\n  --> models/x.sql\n", None),
        ("12:00:01  Running\nKilled\n", "Running Killed"),
        ("", ""),
    ],
)
def test_why_dbt_failed_and_not_what_else_it_said(said: str, why: str | None) -> None:
    assert dbt.reason(said) == (
        why if why is not None else "error: dbt1005: Found it twice --> models/x.sql"
    )


def test_a_project_without_such_sources_does_not_wait_for_dbt(render: Render) -> None:
    up: Member = render(kind="upstream", starter=False)
    assert up.ok(STUB, "--offline", PATH="") == ""
    write(up.path / "models", {"s.yml": "sources: [}"})
    said = up.refused(STUB, "--offline")
    assert "`dbt parse --target local` failed: " in said
    assert "s.yml" in said


def test_own_sources_need_no_registry(render: Render) -> None:
    member = render(kind="native", upstreams="sales", starter=False)
    (member.path / "models").mkdir(exist_ok=True)
    (member.path / "models/src.yml").write_text(
        "sources:\n  - name: shop\n    tables:\n      - name: orders\n        columns:\n"
        "          - {name: id, data_type: number}\n"
    )
    (member.path / "models/m.sql").write_text("select id from {{ source('shop', 'orders') }}\n")
    done = member.run(STUB)
    assert done.returncode == 1
    assert "no registry for environment prod" in done.stderr
    assert done.stderr.rstrip().endswith("or --env local")
    assert "source shop.orders: 1 stub" in done.stdout
