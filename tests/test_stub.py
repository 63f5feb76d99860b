"""stub_mesh.py: a downstream builds on a laptop with nothing but what its upstreams publish."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbtmesh.downstream import stub
from dbtmesh.manifest.extract import extract
from tests.conftest import Member, Render
from tests.manifests import manifest, model
from tests.registry_world import Place, Publish, build

pytest_plugins = ("tests.s3_server", "tests.registry_world")
pytestmark = pytest.mark.xdist_group("stub")

STUB = "scripts/stub_mesh.py"

# declared on Snowflake → of the stub
TYPES = {
    "number": "BIGINT",
    "number(38,0)": "BIGINT",
    "integer": "BIGINT",
    "number(12,2)": "DECIMAL(12,2)",
    "number(3,3)": "DECIMAL(3,3)",
    "float": "DOUBLE",
    "decfloat": "DOUBLE",
    "varchar": "VARCHAR",
    "varchar(3)": "VARCHAR",
    "string": "VARCHAR",
    "char varying(20)": "VARCHAR",
    "varchar(20) collate 'de'": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time(9)": "TIME",
    "timestamp": "TIMESTAMP",
    "datetime": "TIMESTAMP",
    "timestamp_ntz(3)": "TIMESTAMP",
    "timestamp_ltz": "TIMESTAMP WITH TIME ZONE",
    "timestamp_tz(9)": "TIMESTAMP WITH TIME ZONE",
    "binary(16)": "BLOB",
    "variant": "JSON",
    "object": "JSON",
    "object(a int, b varchar)": "JSON",
    "array": "JSON",
    "array(number(4,1))": "DECIMAL(4,1)[]",
    "map(varchar, int)": "MAP(VARCHAR, BIGINT)",
    "vector(float, 3)": "FLOAT[]",
    "geography": "VARCHAR",
    "geometry": "VARCHAR",
    "array(varchar(3) not null)": "VARCHAR[]",
    "map(varchar, number(4,1) not null)": "MAP(VARCHAR, DECIMAL(4,1))",
    "object(a int not null)": "JSON",
    "number(2,1)": "DECIMAL(2,1)",
    "number(2,2)": "DECIMAL(2,2)",
    "no such type": "VARCHAR",
}
# of which DuckDB cannot make as many values as there are rows, or which it cannot compare
UNKEYED = (
    *("BOOLEAN", "MAP(VARCHAR, BIGINT)", "MAP(VARCHAR, DECIMAL(4,1))"),
    *("DECIMAL(4,1)[]", "FLOAT[]", "VARCHAR[]"),
)


def on_snowflake(project: str = "dbt_up", **types: str) -> bytes:
    """A manifest of prod, whose public_0 has a column of each type."""
    node = model(project, "public_0", adapter="snowflake")
    column = node["columns"]["column_0"]
    node["columns"] = {
        name: column | {"name": name, "data_type": declared} for name, declared in types.items()
    }
    node |= {"access": "public"}
    return manifest(project, models=0, adapter="snowflake", nodes={node["unique_id"]: node})


def home(member: Member) -> Path:
    return Path(member.environment["DBT_MESH_HOME"])


def ask(member: Member, query: str, prefix: str = "DBT_UP") -> list[tuple[Any, ...]]:
    path = home(member) / f"{prefix}_LOCAL.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def one(down: Member) -> Member:
    """dbt_down, which reads dbt_up only."""
    facts = (down.path / "mesh.yml").read_text()
    for other in ("up_b", "up_c"):
        facts = facts.replace(f"  - name: {other}\n    database_prefix: {other.upper()}\n", "")
    (down.path / "mesh.yml").write_text(facts)
    return down


def test_every_type_of_snowflake_and_rows_that_keep_the_contract(
    one: Member, folder: Place, publish: Publish
) -> None:
    names = {f"c{number}": declared for number, declared in enumerate(TYPES)}
    publish(folder, on_snowflake(**names))
    done = one.run(STUB, *folder.flags, "--rows", "12")
    assert done.returncode == 0, done.stderr
    told = f"has types that DuckDB lacks, so text is used: c{len(TYPES) - 1} (no such type)"
    assert done.stderr.splitlines() == [f"note: dbt_up: public_0 {told}"]
    made = {row[0]: row[1] for row in ask(one, "describe MARTS.PUBLIC_0")}
    assert made == dict(zip(names, TYPES.values(), strict=True))
    assert ask(one, "select count(*) from MARTS.PUBLIC_0") == [(12,)]
    for name, kind in made.items():
        query = f"select count({name}), count(distinct cast({name} as varchar)) from MARTS.PUBLIC_0"
        ((filled, distinct),) = ask(one, query)
        assert filled == 12, kind
        assert distinct == 12 or kind in UNKEYED, kind
    text = next(name for name, declared in names.items() if declared == "varchar(3)")
    assert ask(one, f"select max(length({text})) from MARTS.PUBLIC_0") == [(3,)]
    # empty again, without a word about what is there
    assert "1 stub, empty, of 2026" in one.ok(STUB, *folder.flags)
    assert ask(one, "select count(*) from MARTS.PUBLIC_0") == [(0,)]


def test_columns_that_nobody_promises_are_told() -> None:
    document = json.loads(on_snowflake(id="number"))
    plan = stub.plan(extract(json.dumps(document).encode(), "dbt_up"), "DBT_UP_LOCAL")
    assert plan.notes == ()
    node = document["nodes"]["model.dbt_up.public_0"]
    node["contract"] = node["config"]["contract"] = {"enforced": False}
    plan = stub.plan(extract(json.dumps(document).encode(), "dbt_up"), "DBT_UP_LOCAL")
    (note,) = plan.notes
    assert note.startswith("without an enforced contract: public_0. A column that they do not list")


def test_small_types_hold_what_fits(one: Member, folder: Place, publish: Publish) -> None:
    small = {"a": "number(1,1)", "b": "number(2,2)", "code": "char", "d": "char(2)", "e": "nchar"}
    publish(folder, on_snowflake(**small, f="interval", g="array(interval)"))
    done = one.run(STUB, *folder.flags, "--rows", "100")
    assert done.returncode == 0, done.stderr
    assert (
        "types that DuckDB lacks, so text is used: f (interval), g (array(interval))" in done.stderr
    )
    counted = "select count(distinct a), count(distinct b), count(e) from MARTS.PUBLIC_0"
    assert ask(one, counted) == [(10, 100, 100)]
    lengths = "select max(length(code)), max(length(d)), max(length(e)) from MARTS.PUBLIC_0"
    assert ask(one, lengths) == [(1, 2, 1)]


def test_a_column_that_cannot_be_made_is_named(
    one: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, on_snowflake(a="integer", b="number(77,2)"))
    said = one.refused(STUB, *folder.flags, "--rows", "3")
    assert said.startswith("error: dbt_up: no stand-in for dbt_up.public_0.b (DECIMAL(77, 2)): ")
    assert not list(home(one).glob("*LOCAL*"))


def test_what_was_really_built_stays(one: Member, folder: Place, publish: Publish) -> None:
    publish(folder, on_snowflake(a="integer"))
    path = home(one) / "DBT_UP_LOCAL.duckdb"
    one.ok(STUB, *folder.flags)
    with duckdb.connect(str(path)) as connection:  # as dbt does: another table of that name
        connection.execute("create or replace table MARTS.public_0 as select 7 as real")
    built = path.read_bytes()
    done = one.run(STUB, *folder.flags)
    assert "MARTS.public_0 in" in done.stdout
    assert "was built on this machine: all of it stays as it is" in done.stdout
    assert path.read_bytes() == built
    path.write_bytes(b"something else")
    assert "it stays as it is" in one.refused(STUB, *folder.flags)
    assert path.read_bytes() == b"something else"


def test_a_real_publication_stays_and_replaces_a_stub(
    one: Member, up: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, on_snowflake(a="integer"))
    one.ok(STUB, *folder.flags)
    latest = home(one) / "registry/dbt_up/local/latest/manifest.json"
    assert "DBT_MESH_STUB" in latest.read_text()
    # older than the stub, and another interface: no reason to refuse it
    build(up, manifest().replace(b"DBT_UP_PROD", b"DBT_UP_LOCAL"))
    said = up.ok("scripts/publish_manifest.py", "--env", "local")
    assert "nothing to compare with" in said
    real = latest.read_bytes()
    assert b"DBT_MESH_STUB" not in real
    said = one.refused(STUB, *folder.flags)
    assert "has published something else on this machine" in said
    assert latest.read_bytes() == real
    # of that very publication, though
    one.ok(STUB, "--env", "local")
    assert latest.read_bytes() == real


def test_from_the_committed_copy(one: Member, folder: Place, publish: Publish) -> None:
    version = publish(folder, on_snowflake(a="integer"))
    assert "without --offline" in one.refused(STUB, "--offline")
    one.ok("scripts/sync_mesh.py", *folder.flags)
    for _ in range(2):  # the second time from a copy that names the stubs themselves
        assert f"1 stub, empty, of {version} in" in one.ok(STUB, "--offline")
        assert 'database: "DBT_UP_LOCAL"' in (one.path / "models/_mesh_dbt_up.yml").read_text()
    one.ok("scripts/sync_mesh.py", *folder.flags)
    assert 'database: "DBT_UP_PROD"' in (one.path / "models/_mesh_dbt_up.yml").read_text()


def test_what_cannot_be_stubbed_is_told(one: Member, folder: Place, publish: Publish) -> None:
    assert "has published nothing" in one.refused(STUB, *folder.flags)
    assert "give 0 to 1000" in one.refused(STUB, *folder.flags, "--rows", "-1")
    publish(folder, on_snowflake(a="integer", A="integer"))
    assert "two columns are called A" in one.refused(STUB, *folder.flags)
    assert not list(home(one).glob("*LOCAL*"))
    shown = one.refused(STUB, *folder.flags, "--dry-run")
    assert "two columns are called A" in shown


@pytest.mark.parametrize("kind", ["native", "loom"])
def test_a_downstream_builds_on_stubs(
    render: Render, kind: str, folder: Place, tmp_path: Path, quick: dict[str, str]
) -> None:
    """Models, data tests and unit tests, with rows, from a publication of prod; on either engine:
    a loom member runs on dbt Core."""
    up = render(kind="upstream", **quick)
    up.dbt("parse")
    document = json.loads((up.path / "target/manifest.json").read_bytes())
    node = document["nodes"]["model.dbt_up.public_orders"]
    node |= {"database": "DBT_UP_PROD", "relation_name": "DBT_UP_PROD.MARTS.public_orders"}
    document["metadata"]["adapter_type"] = "snowflake"
    (tmp_path / "prod.json").write_text(json.dumps(document))
    up.ok("scripts/publish_manifest.py", *folder.flags, "--manifest", tmp_path / "prod.json")

    member = render(kind=kind, **(quick if kind == "native" else {}))
    member.ok(STUB, *folder.flags, "--rows", "4")
    member.dbt("build")
    assert "all resolve" in member.ok("scripts/validate_lineage.py")
    prefix = member.path.name.upper()
    assert ask(member, "select count(*) > 0 from MARTS.downstream_orders", prefix) == [(True,)]

    shutil.rmtree(home(member))
    home(member).mkdir()
    member.ok("scripts/sync_mesh.py", *folder.flags)
    member.ok(STUB, "--offline")  # as a pull request's workflow does, from what is committed
    member.dbt("build")
