"""A member whose databases, schemas and warehouse have the names that they have had for years."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import sqlglot
import yaml

from dbtmesh.config import load_member
from dbtmesh.snowflake import expected, matrix, sqlscript
from dbtmesh.snowflake.account import read_live
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.snowflake.plan import plan
from tests.conftest import Member, Render
from tests.snowflake_members import model_session, scripts_of
from tests.snowflake_standin import Model, SnowflakeError

OLD = {
    "kind": "upstream",
    "project_name": "shop",
    "prod_database": "ANALYTICS",
    "dev_database": "SANDBOX",
    "schemas": "SOURCES,ML.FEATURES,CORE",
    "warehouse": "TRANSFORMING",
    "reads": "LANDING,FIVETRAN.ERP",
}
QUOTED = {
    **OLD,
    "prod_database": '"analytics-prod"',
    "schemas": '"my sources",CORE',
    "warehouse": '"for dbt"',
    "reads": '"Landing".ERP',
}
READER = {"kind": "native", "project_name": "books", "upstreams": "shop:ANALYTICS"}

THERE = """
    USE ROLE SYSADMIN;
    CREATE WAREHOUSE TRANSFORMING; CREATE WAREHOUSE "for dbt";
    CREATE DATABASE LANDING; CREATE SCHEMA LANDING.S; CREATE TABLE LANDING.S.T (ID INT);
    CREATE DATABASE FIVETRAN; CREATE SCHEMA FIVETRAN.ERP; CREATE SCHEMA FIVETRAN.OTHER;
    CREATE VIEW FIVETRAN.ERP.V AS SELECT 1 AS ID; CREATE TABLE FIVETRAN.OTHER.T (ID INT);
    CREATE DATABASE "Landing"; CREATE SCHEMA "Landing".ERP; CREATE TABLE "Landing".ERP.T (ID INT);
"""


@pytest.mark.parametrize(
    ("answers", "owned"),
    [
        ({"database_prefix": "DBT"}, True),  # DBT_WH
        ({"database_prefix": "DBT", "warehouse": "DBT_UP_WH"}, False),  # of the project DBT_UP
        ({"database_prefix": "DBT", "warehouse": "DBT_UP_WH", "owns_warehouse": True}, True),
        ({"warehouse": "TRANSFORMING"}, False),
        ({"owns_warehouse": False}, False),
    ],
)
def test_whose_the_warehouse_is_does_not_follow_from_its_name(
    render: Render, answers: dict[str, Any], owned: bool
) -> None:
    member = render(kind="upstream", project_name="shop", **answers)
    names = names_of(load_member(member.path))
    assert names.owns_warehouse is owned
    text = "".join(scripts_of(member).values())
    assert ("CREATE WAREHOUSE" in text) is owned
    assert ("CREATE RESOURCE MONITOR" in text) is owned


def test_audits_find_quoted_names_and_end_where_they_end(render: Render) -> None:
    quotes = {"prod_database": '"it\'s"', "dev_database": '"d\'s"', "warehouse": '"w\'s"'}
    member = render(**QUOTED | quotes)
    found = []
    for path in sorted((member.path / "snowflake" / "audit").glob("*.sql")):
        for token in sqlglot.tokenize(path.read_text(), dialect="snowflake"):
            if token.token_type is sqlglot.TokenType.STRING and "'s" in token.text:
                found.append(token.text)
    assert "w's" in found
    assert "it's" in found
    assert any(text.endswith("|it's|d's)") for text in found), found


@dataclass
class Shop:
    member: Member
    names: Names
    steps: list[sqlscript.Step]
    model: Model

    def settled(self) -> tuple[list[str], list[str]]:
        """What a plan would change, and what verify would find too much."""
        live = read_live(model_session(self.model), self.steps, self.names)
        changes = [c.step.statement for c in plan(self.steps, live)]
        wanted = expected.expected(self.steps, {})
        return changes, [str(grant) for grant in expected.excess(wanted, live, self.names)]


def set_up(render_into: Any, tmp_path_factory: pytest.TempPathFactory, **answers: Any) -> Shop:
    folder = tmp_path_factory.mktemp("names") / str(answers["project_name"])
    member = render_into(folder, **answers)
    scripts, model = scripts_of(member), Model()
    model.run_script(THERE)
    for text in scripts.values():
        model.run_script(text)
    steps = sqlscript.read_steps(scripts)
    return Shop(member, names_of(load_member(member.path)), steps, model)


@pytest.fixture(scope="module")
def old(render_into: Any, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return set_up(render_into, tmp_path_factory, **OLD)


@pytest.fixture(scope="module")
def quoted(render_into: Any, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return set_up(render_into, tmp_path_factory, **QUOTED)


def test_set_up_is_complete_and_nothing_is_too_much(old: Shop, quoted: Shop) -> None:
    assert old.settled() == ([], [])
    assert quoted.settled() == ([], [])


def test_models_lie_in_more_schemas_and_databases(old: Shop) -> None:
    model = old.model
    for schema in ("ANALYTICS.SOURCES", "ANALYTICS.CORE", "ML.FEATURES", "ML.EXTRA"):
        model.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}", "SHOP_ROLE", "SHOP_SVC")
        model.execute(f"CREATE OR REPLACE TABLE {schema}.T (ID INT)", "SHOP_ROLE", "SHOP_SVC")
        assert model.can("SHOP_DEV_ROLE", "SELECT", f"{schema}.T")
        assert not model.can("SHOP_DEV_ROLE", "INSERT", f"{schema}.T")
    assert old.settled() == ([], [])


def test_what_a_loader_fills_is_read_and_nothing_else(old: Shop) -> None:
    model = old.model
    for role in ("SHOP_ROLE", "SHOP_DEV_ROLE"):
        for name in ("LANDING.S.T", "FIVETRAN.ERP.V"):
            assert model.can(role, "SELECT", name)
        assert not model.can(role, "SELECT", "FIVETRAN.OTHER.T")
        assert not model.can(role, "INSERT", "LANDING.S.T")
    model.run_script(
        "USE ROLE SYSADMIN; CREATE SCHEMA LANDING.LATER; CREATE TABLE LANDING.LATER.T (ID INT);"
    )
    assert model.can("SHOP_ROLE", "SELECT", "LANDING.LATER.T")
    rows = matrix.matrix(expected.expected(old.steps, {}), old.names)
    loaded = {row["object"] for row in rows if row["role"] == "SHOP_ROLE"}
    assert "every table in `LANDING`, now and later" in loaded


def test_each_grant_on_what_is_read_is_needed(old: Shop) -> None:
    """Without it something that is to be read cannot be, now or later."""
    text = scripts_of(old.member)["snowflake/03_grant_mesh_access.sql"]
    grants = [step for step in old.steps if step.grants and "/03_" in step.file]
    own = [s for s in grants if s.grants[0].to.name in ("SHOP_ROLE", "SHOP_DEV_ROLE")]
    read = [s for s in own if s.grants[0].container.database in ("LANDING", "FIVETRAN")]
    assert len(read) == 26
    for step in read:
        model = Model()
        model.run_script(THERE)
        for name, script in scripts_of(old.member).items():
            less = text.replace(f"{step.statement};", "")
            model.run_script(less if name.endswith("03_grant_mesh_access.sql") else script)
        model.run_script(
            "USE ROLE SYSADMIN; CREATE SCHEMA LANDING.NEW;"
            "CREATE TABLE LANDING.NEW.T (ID INT); CREATE VIEW LANDING.NEW.V AS SELECT 1 AS ID;"
            "CREATE VIEW LANDING.S.V AS SELECT 1 AS ID;"
            "CREATE TABLE FIVETRAN.ERP.T (ID INT); CREATE VIEW FIVETRAN.ERP.W AS SELECT 1 AS ID;"
        )
        names = ["LANDING.S.T", "LANDING.NEW.T", "LANDING.NEW.V", "FIVETRAN.ERP.V"]
        names += ["FIVETRAN.ERP.T", "FIVETRAN.ERP.W"]
        denied = [n for n in names if not model.can(step.grants[0].to.name, "SELECT", n)]
        empty = step.statement in EMPTY
        assert bool(denied) != empty, step.statement


# Of what there was nothing of when the SQL ran.
EMPTY = {
    f"GRANT SELECT ON ALL {kinds} IN {where} TO ROLE {role}"
    for role in ("SHOP_ROLE", "SHOP_DEV_ROLE")
    for kinds, where in (("VIEWS", "DATABASE LANDING"), ("TABLES", "SCHEMA FIVETRAN.ERP"))
}


def test_a_reader_names_the_database_of_its_upstream(
    old: Shop, render_into: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reader = render_into(tmp_path_factory.mktemp("reader") / "books", **READER)
    for text in scripts_of(reader).values():
        old.model.run_script(text)
    names = names_of(load_member(reader.path))
    assert names.upstreams == ("ANALYTICS",)
    old.model.execute(
        "CREATE OR REPLACE TABLE ANALYTICS.CORE.PUB (ID INT)", "SHOP_ROLE", "SHOP_SVC"
    )
    for to in ("PUBLIC_READ", "READ_BOOKS"):
        old.model.execute(
            f"GRANT USAGE ON SCHEMA ANALYTICS.CORE TO DATABASE ROLE ANALYTICS.{to}", "SHOP_ROLE"
        )
        old.model.execute(
            f"GRANT SELECT ON ANALYTICS.CORE.PUB TO DATABASE ROLE ANALYTICS.{to}", "SHOP_ROLE"
        )
    assert old.model.can("BOOKS_ROLE", "SELECT", "ANALYTICS.CORE.PUB")


def test_teardown_takes_off_what_there_is(old: Shop, quoted: Shop) -> None:
    for shop in (old, quoted):
        text = (shop.member.path / "snowflake/99_teardown.sql").read_text()
        model = Model()
        model.run_script(THERE)
        for script in scripts_of(shop.member).values():
            model.run_script(script)
        model.run_script(text)
        left = {str(ref) for ref in model.account.things}
        assert not [name for name in left if "nalytics" in name.lower() or "SHOP" in name]
        assert "DATABASE LANDING" in left


def test_profiles_and_mesh_have_names_as_they_are_stored(old: Shop, quoted: Shop) -> None:
    for shop, database, warehouse in (
        (old, "ANALYTICS", "TRANSFORMING"),
        (quoted, "analytics-prod", "for dbt"),
    ):
        outputs = yaml.safe_load((shop.member.path / "profiles.yml").read_text())["shop"]["outputs"]
        assert outputs["prod"]["database"] == database
        assert outputs["prod"]["schema"] == "CORE"
        assert outputs["prod"]["warehouse"] == warehouse
        assert outputs["ci"]["database"] == "SANDBOX"
        mesh = yaml.safe_load((shop.member.path / "mesh.yml").read_text())
        assert mesh["snowflake"]["prod_database"] == database
    project = yaml.safe_load((quoted.member.path / "dbt_project.yml").read_text())
    assert project["quoting"] == {"database": True, "schema": True}
    assert "quoting" not in yaml.safe_load((old.member.path / "dbt_project.yml").read_text())


def test_pull_requests_cannot_write_what_is_deployed(old: Shop) -> None:
    with pytest.raises(SnowflakeError, match=r"Insufficient privileges|not authorized"):
        old.model.execute("CREATE TABLE ANALYTICS.CORE.X (ID INT)", "SHOP_DEV_ROLE", "SHOP_CI_SVC")
