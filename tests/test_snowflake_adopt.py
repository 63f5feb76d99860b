"""Databases, schemas, roles, users, warehouses and monitors that were there before the project.

The plan shows whose they are and what brings them to where the SQL has them; `apply --adopt` does
it, a second plan is empty, and a teardown gives them back as they were. On the pure model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dbtmesh.snowflake import giveback
from dbtmesh.snowflake.plan import Live, plan
from dbtmesh.snowflake.sqlscript import read_steps
from tests.conftest import Member
from tests.snowflake_members import ACCESS, ACCOUNT, Account, demo_answers
from tests.snowflake_standin import Model, SnowflakeError, matrix
from tests.snowflake_standin.names import Ref

ON = ("--connection", "admin")

# A team that has been there for years: its own role builds, a BI role reads.
YEARS_OLD = """
    USE ROLE USERADMIN;
    CREATE ROLE TRANSFORMER COMMENT = 'builds everything'; CREATE ROLE BI;
    USE ROLE SECURITYADMIN;
    GRANT ROLE TRANSFORMER TO ROLE SYSADMIN; GRANT ROLE BI TO ROLE SYSADMIN;
    USE ROLE SYSADMIN;
    CREATE WAREHOUSE LOADING; GRANT USAGE ON WAREHOUSE LOADING TO ROLE TRANSFORMER;
    CREATE DATABASE DBT_UP_PROD COMMENT = 'since 2019, it''s old';
    GRANT OWNERSHIP ON DATABASE DBT_UP_PROD TO ROLE TRANSFORMER COPY CURRENT GRANTS;
    USE ROLE TRANSFORMER; USE WAREHOUSE LOADING;
    CREATE SCHEMA DBT_UP_PROD.MARTS; CREATE SCHEMA DBT_UP_PROD.LEGACY;
    CREATE TABLE DBT_UP_PROD.MARTS.PUBLIC_ORDERS (ORDER_ID INT);
    CREATE TABLE DBT_UP_PROD.MARTS.OTHER (ID INT);
    CREATE VIEW DBT_UP_PROD.MARTS.SEEN AS SELECT 1 AS ID;
    GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE BI;
    GRANT USAGE ON SCHEMA DBT_UP_PROD.MARTS TO ROLE BI;
    GRANT SELECT ON TABLE DBT_UP_PROD.MARTS.PUBLIC_ORDERS TO ROLE BI;
    USE ROLE ACCOUNTADMIN;
    GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.MARTS TO ROLE BI;
    GRANT OWNERSHIP ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS TO ROLE TRANSFORMER;
"""


class Team:
    """A member, an account, and the command as its administrator runs it."""

    def __init__(self, member: Member) -> None:
        self.account = Account()
        self.model = self.account.model
        self.desk = self.account.on(member)
        self.path = member.path

    def sql(self, script: str) -> None:
        self.model.run_script(script)

    def access(self, *words: str, status: int = 0) -> str:
        done = self.desk.run(ACCESS, *words, *(() if words[0] == "matrix" else ON))
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        return self.desk.refused(ACCESS, *words, *ON)

    def deploys(self) -> None:
        """What dbt does to build the public model, with the role that deploys."""
        for sql in (
            "CREATE OR REPLACE TABLE DBT_UP_PROD.MARTS.PUBLIC_ORDERS AS SELECT 1 AS ORDER_ID",
            "CREATE SCHEMA IF NOT EXISTS DBT_UP_PROD.EXTRA",
            "CREATE OR REPLACE VIEW DBT_UP_PROD.MARTS.NEW AS SELECT 1 AS ID",
            "CREATE OR REPLACE TABLE DBT_UP_PROD.EXTRA.MORE AS SELECT 1 AS ID",
            "GRANT SELECT ON DBT_UP_PROD.MARTS.PUBLIC_ORDERS "
            "TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
        ):
            self.model.execute(sql, "DBT_UP_ROLE", "DBT_UP_SVC")


@pytest.fixture
def team(render_into: Any, tmp_path_factory: pytest.TempPathFactory) -> Team:
    folder = tmp_path_factory.mktemp("adopt") / "dbt_up"
    return Team(render_into(folder, **demo_answers("dbt_up")))


def owners(model: Model) -> dict[str, str]:
    kinds = ("DATABASE", "SCHEMA", "TABLE", "VIEW", "WAREHOUSE", "ROLE", "USER")
    return {
        str(thing.ref): thing.owner.name[0]
        for kind in kinds
        for thing in model.account.of_kind(kind)
        if thing.owner
    }


# Schemas that the project made in a database that was there: a teardown drops nothing in it.
LEFT = {Ref("SCHEMA", ("DBT_UP_PROD", name)) for name in ("RAW", "STAGING")}


def picture(model: Model) -> tuple[Any, ...]:
    """Everything that there is and who may do what, but for LEFT."""
    things = {
        str(ref): (str(thing.owner), thing.managed_access, dict(thing.properties))
        for ref, thing in model.account.things.items()
        if ref.kind != "ACCOUNT" and ref not in LEFT
    }
    grants = sorted(
        (str(row.on), row.privilege, str(row.to))
        for ref in model.account.things.keys() - LEFT
        for row in model.account.grants_on(ref)
    )
    future = sorted(
        (each.privilege, each.kind, str(each.container), str(each.to))
        for each in model.account.future
    )
    return things, grants, future


def assert_same(after: tuple[Any, ...], before: tuple[Any, ...]) -> None:
    things, was = after[0], before[0]
    changed = {name for name in things.keys() | was.keys() if things.get(name) != was.get(name)}
    assert {name: (was.get(name), things.get(name)) for name in changed} == {}
    for now, then in zip(after[1:], before[1:], strict=True):
        assert [each for each in now if each not in then] == []
        assert [each for each in then if each not in now] == []


def plainly(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without what is the same for Snowflake: a default that is written out, or that is not."""
    defaults = {**DEFAULTS, "AUTO_SUSPEND": 600, "DEFAULT_WAREHOUSE": None}

    def kept(properties: dict[str, Any]) -> dict[str, str]:
        plain = {key: str(value).upper() for key, value in properties.items()}
        return {k: v for k, v in plain.items() if v != str(defaults.get(k, k)).upper()}

    things = {name: (*rest, kept(properties)) for name, (*rest, properties) in found[0].items()}
    return things, *found[1:]


def test_the_plan_shows_whose_it_is_and_what_brings_it_there(team: Team) -> None:
    team.sql(YEARS_OLD)
    before = picture(team.model)
    text = team.access("plan")
    for statement in (
        "GRANT OWNERSHIP ON DATABASE DBT_UP_PROD TO ROLE SYSADMIN COPY CURRENT GRANTS;",
        "GRANT OWNERSHIP ON SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_ROLE COPY CURRENT GRANTS;",
        "ALTER SCHEMA DBT_UP_PROD.MARTS ENABLE MANAGED ACCESS;",
        "GRANT OWNERSHIP ON ALL TABLES IN SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_ROLE "
        "COPY CURRENT GRANTS;",
        "REVOKE OWNERSHIP ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS FROM ROLE TRANSFORMER;",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_DEV_ROLE;",
        "COMMENT ON DATABASE DBT_UP_PROD IS 'since 2019, it''s old [dbt mesh: dbt_up, adopted]';",
    ):
        assert statement in text
    assert "adopt: owner TRANSFORMER → SYSADMIN" in text
    assert "only `apply --adopt` runs them" in text
    said = team.refused("apply", "--yes")
    assert "DATABASE DBT_UP_PROD exists and is not dbt_up's (owner TRANSFORMER" in said
    assert "apply --adopt" in said
    assert picture(team.model) == before
    found = team.access("verify", status=2)
    assert "missing  GRANT OWNERSHIP ON DATABASE DBT_UP_PROD" in found
    assert "apply --adopt" in found


def test_adopting_ends_in_an_empty_plan_and_a_build_that_succeeds(team: Team) -> None:
    team.sql(YEARS_OLD)
    said = team.access("apply", "--adopt", "--yes")
    assert "snowflake/98_give_back.sql records the former state: commit it" in said
    # Nothing shadows the future grant on views any more once TRANSFORMER's is revoked.
    assert "ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_DEV_ROLE" not in said
    assert "Nothing to change" in team.access("plan")
    assert "Nothing to change" in team.access("apply", "--yes")
    team.deploys()
    assert "extra" not in team.access("verify")
    # What others were granted is theirs still, and an auditor reads it.
    assert team.model.can("BI", "SELECT", "DBT_UP_PROD.MARTS.PUBLIC_ORDERS")
    kept = (team.path / "snowflake/05_grants_of_others.sql").read_text()
    assert "GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE BI;" in kept
    assert "GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.MARTS TO ROLE BI;" in kept
    assert "| `BI` |" in team.access("matrix")
    # And people can read what dbt builds, though a future grant on the schema shadows theirs.
    team.model.execute(
        "CREATE TABLE DBT_UP_PROD.MARTS.LATER AS SELECT 1 AS ID", "DBT_UP_ROLE", "DBT_UP_SVC"
    )
    assert team.model.can("DBT_UP_DEV_ROLE", "SELECT", "DBT_UP_PROD.MARTS.LATER")


# A managed access schema keeps its owner as long as others are to own what will be in it.
MANAGED = YEARS_OLD.replace(
    "CREATE SCHEMA DBT_UP_PROD.MARTS;", "CREATE SCHEMA DBT_UP_PROD.MARTS WITH MANAGED ACCESS;"
).replace(
    "GRANT OWNERSHIP ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS TO ROLE TRANSFORMER;",
    "GRANT ROLE BI TO ROLE TRANSFORMER;"
    "GRANT OWNERSHIP ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS TO ROLE BI;",
)


@pytest.mark.parametrize("years_old", [YEARS_OLD, MANAGED], ids=["plain", "managed"])
def test_a_teardown_gives_back_what_was_taken_over(team: Team, years_old: str) -> None:
    team.sql(years_old)
    before = picture(team.model)
    team.access("apply", "--adopt", "--yes")
    said = team.access("teardown", "--yes")
    assert "DROP DATABASE DBT_UP_PROD" not in said
    assert "DROP DATABASE DBT_UP_DEV" in said
    assert_same(picture(team.model), before)
    left = owners(team.model)
    assert {left[str(schema)] for schema in LEFT} == {"TRANSFORMER"}
    assert "GRANT OWNERSHIP ON DATABASE" in team.access("plan")  # as before the adoption


def test_what_was_built_since_goes_to_the_former_owner(team: Team) -> None:
    team.sql(YEARS_OLD)
    team.access("apply", "--adopt", "--yes")
    team.deploys()
    team.access("teardown", "--yes")
    left = owners(team.model)
    inside = {name: owner for name, owner in left.items() if "DBT_UP_PROD" in name}
    del inside["SCHEMA DBT_UP_PROD.PUBLIC"]  # was SYSADMIN's from the start
    assert len(inside) > 8
    assert set(inside.values()) == {"TRANSFORMER"}
    assert not [name for name in left if "DBT_UP_ROLE" in name or "DBT_UP_SVC" in name]


def test_without_the_file_that_tells_how_it_was_nothing_is_torn_down(team: Team) -> None:
    team.sql(YEARS_OLD)
    team.access("apply", "--adopt", "--yes")
    (team.path / "snowflake/98_give_back.sql").unlink()
    before = picture(team.model)
    assert "DATABASE DBT_UP_PROD was taken over by dbt_up" in team.refused("teardown", "--yes")
    assert picture(team.model) == before


def test_an_adoption_that_stops_half_way_goes_on(team: Team) -> None:
    team.sql(YEARS_OLD)
    before = picture(team.model)
    statement = "ALTER SCHEMA DBT_UP_PROD.MARTS ENABLE MANAGED ACCESS"
    real = team.model.execute_in

    def refuse(session: Any, sql: str) -> Any:
        if sql == statement:
            raise SnowflakeError(3001, "42501", "not now")
        return real(session, sql)

    team.model.execute_in = refuse  # type: ignore[method-assign]
    assert "not now" in team.refused("apply", "--adopt", "--yes")
    team.model.execute_in = real  # type: ignore[method-assign]
    team.access("apply", "--adopt", "--yes")
    assert "Nothing to change" in team.access("plan")
    team.access("teardown", "--yes")
    assert_same(picture(team.model), before)


def test_only_what_dbt_builds_is_taken_where_that_is_known(team: Team) -> None:
    team.sql(YEARS_OLD)
    target = team.path / "target"
    target.mkdir()
    (target / "manifest.json").write_text(
        '{"nodes": {"model.dbt_up.public_orders": {"resource_type": "model", "package_name": '
        '"dbt_up", "database": "DBT_UP_PROD", "relation_name": "DBT_UP_PROD.MARTS.public_orders"}}}'
    )
    team.access("apply", "--adopt", "--yes")
    found = owners(team.model)
    assert found["TABLE DBT_UP_PROD.MARTS.PUBLIC_ORDERS"] == "DBT_UP_ROLE"
    assert found["TABLE DBT_UP_PROD.MARTS.OTHER"] == "TRANSFORMER"
    assert "Nothing to change" in team.access("plan")


def test_roles_users_and_warehouses_of_the_same_names(team: Team) -> None:
    team.sql(
        """
        USE ROLE USERADMIN; CREATE ROLE DBT_UP_ROLE COMMENT = 'ours for years';
        CREATE USER DBT_UP_SVC TYPE = LEGACY_SERVICE DEFAULT_ROLE = PUBLIC;
        USE ROLE SYSADMIN;
        CREATE WAREHOUSE DBT_UP_WH WAREHOUSE_SIZE = LARGE AUTO_SUSPEND = 900 COMMENT = 'big';
        """
    )
    before = picture(team.model)
    text = team.access("plan")
    assert "adopt: WAREHOUSE_SIZE Large → XSMALL, AUTO_SUSPEND 900 → 60" in text
    assert "WAREHOUSE DBT_UP_WH exists and is not dbt_up's" in team.refused("apply", "--yes")
    team.access("apply", "--adopt", "--yes")
    assert "Nothing to change" in team.access("plan")
    team.access("verify")
    said = team.access("teardown", "--yes")
    for kept in ("ROLE DBT_UP_ROLE", "USER DBT_UP_SVC", "WAREHOUSE DBT_UP_WH"):
        assert f"DROP {kept}" not in said
    after = picture(team.model)
    for things in (before[0], after[0]):  # what was a default is written out now
        for name in ("WAREHOUSE DBT_UP_WH", "USER DBT_UP_SVC"):
            for default in DEFAULTS:
                things[name][2].pop(default, None)
        size = things["WAREHOUSE DBT_UP_WH"][2]["WAREHOUSE_SIZE"]
        things["WAREHOUSE DBT_UP_WH"][2]["WAREHOUSE_SIZE"] = size.upper()
    assert_same(after, before)


DEFAULTS = {
    "AUTO_RESUME": True,
    "STATEMENT_TIMEOUT_IN_SECONDS": 172800,
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": 0,
    "RESOURCE_MONITOR": None,
    "DEFAULT_SECONDARY_ROLES": ("ALL",),
    "COMMENT": "",
}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (
            "USE ROLE SYSADMIN; CREATE WAREHOUSE BI_WH; USE ROLE ACCOUNTADMIN;"
            "CREATE RESOURCE MONITOR DBT_UP_MONITOR WITH CREDIT_QUOTA=500;"
            "ALTER WAREHOUSE BI_WH SET RESOURCE_MONITOR=DBT_UP_MONITOR;",
            "RESOURCE MONITOR DBT_UP_MONITOR exists and is not dbt_up's: it guards BI_WH",
        ),
        (
            "USE ROLE SYSADMIN; CREATE DATABASE DBT_UP_DEV COMMENT = 'dbt mesh: dbt_upper';",
            "DBT_UP_DEV exists and is not dbt_up's: its comment says 'dbt mesh: dbt_upper'",
        ),
    ],
)
def test_what_guards_others_or_is_another_members_cannot_be_had(
    team: Team, sql: str, why: str
) -> None:
    team.sql(sql)
    before = picture(team.model)
    for words in (("plan",), ("apply", "--yes"), ("apply", "--adopt", "--yes"), ("verify",)):
        assert why in team.refused(*words)
    assert picture(team.model) == before


def test_a_monitor_that_guards_nothing_is_taken_over_and_given_back(team: Team) -> None:
    team.sql("USE ROLE ACCOUNTADMIN; CREATE RESOURCE MONITOR DBT_UP_MONITOR WITH CREDIT_QUOTA=500;")
    assert "RESOURCE MONITOR DBT_UP_MONITOR" in team.refused("apply", "--yes")
    team.access("apply", "--adopt", "--yes")
    assert "Nothing to change" in team.access("plan")
    assert "DROP RESOURCE MONITOR" not in team.access("teardown", "--yes")
    monitor = team.model.account.things[Ref("RESOURCE_MONITOR", ("DBT_UP_MONITOR",))]
    assert monitor.properties["CREDIT_QUOTA"] == 500


def test_an_apply_that_was_interrupted_before_the_monitor_was_set_goes_on(team: Team) -> None:
    team.access("apply", "--yes")
    team.model.execute("ALTER WAREHOUSE DBT_UP_WH UNSET RESOURCE_MONITOR")
    team.access("apply", "--yes")
    assert "Nothing to change" in team.access("plan")


def test_managed_access_and_owners_that_drift_come_back(team: Team) -> None:
    """What is the member's own needs no adoption, unless somebody else owns it."""
    team.access("apply", "--yes")
    team.sql("USE ROLE ACCOUNTADMIN; ALTER SCHEMA DBT_UP_PROD.RAW DISABLE MANAGED ACCESS;")
    assert "MANAGED ACCESS FALSE → TRUE" in team.access("plan")
    team.access("apply", "--yes")
    assert "Nothing to change" in team.access("plan")
    team.sql(
        "USE ROLE SECURITYADMIN;"
        "GRANT OWNERSHIP ON DATABASE DBT_UP_DEV TO ROLE SECURITYADMIN COPY CURRENT GRANTS;"
    )
    assert "owner SECURITYADMIN → SYSADMIN" in team.access("plan")
    team.access("apply", "--yes")
    assert "Nothing to change" in team.access("plan")


def test_text_of_a_comment_stays_text(team: Team) -> None:
    comment = "it''s; DROP DATABASE X; -- \\\\ "
    team.sql(f"USE ROLE SYSADMIN; CREATE DATABASE DBT_UP_DEV COMMENT = '{comment}';")
    before = picture(team.model)
    team.access("apply", "--adopt", "--yes")
    assert "Nothing to change" in team.access("plan")
    team.access("teardown", "--yes")
    assert picture(team.model) == before


# What all of a company reads by, in schemas that the project takes over and beside them.
FOR_ALL = """
    USE ROLE ACCOUNTADMIN;
    GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE PUBLIC;
    GRANT USAGE ON SCHEMA DBT_UP_PROD.MARTS TO ROLE PUBLIC;
    GRANT SELECT ON TABLE DBT_UP_PROD.MARTS.OTHER TO ROLE PUBLIC;
    GRANT SELECT ON VIEW DBT_UP_PROD.MARTS.SEEN TO ROLE PUBLIC;
    GRANT SELECT ON FUTURE VIEWS IN SCHEMA DBT_UP_PROD.MARTS TO ROLE PUBLIC;
    GRANT SELECT ON FUTURE TABLES IN DATABASE DBT_UP_PROD TO ROLE PUBLIC;
"""
BESIDE = """
    CREATE TABLE DBT_UP_PROD.LEGACY.T (ID INT);
    GRANT USAGE ON SCHEMA DBT_UP_PROD.LEGACY TO ROLE PUBLIC;
    GRANT SELECT ON TABLE DBT_UP_PROD.LEGACY.T TO ROLE PUBLIC;
    CREATE DATABASE LANDING; GRANT USAGE ON DATABASE LANDING TO ROLE PUBLIC;
"""
ENDED = [
    line.strip().replace("GRANT", "REVOKE", 1).replace(" TO ROLE", " FROM ROLE")
    for line in FOR_ALL.splitlines()
    if "GRANT" in line
]


def public_grants(model: Model) -> set[str]:
    found = {
        f"{privilege} ON {on}" for on, privilege, to in picture(model)[1] if to == "ROLE PUBLIC"
    }
    future = picture(model)[2]
    return found | {
        f"{each[0]} ON FUTURE {each[1]} IN {each[2]}" for each in future if each[3] == "ROLE PUBLIC"
    }


def test_what_everybody_has_is_shown_and_stays(team: Team) -> None:
    """It may be what a company reads by: an adoption keeps what others were granted."""
    team.sql(YEARS_OLD + FOR_ALL + BESIDE)
    before, had = picture(team.model), public_grants(team.model)
    for words in (("plan",), ("apply", "--adopt", "--yes"), ("plan",)):
        said = team.access(*words)
        assert [line for line in ENDED if line not in said] == []
        assert "LEGACY" not in said.partition("Everybody has this")[2]
        assert "LANDING" not in said
    assert "Nothing to change" in said
    assert public_grants(team.model) == had
    assert "ROLE PUBLIC" not in (team.path / "snowflake/05_grants_of_others.sql").read_text()
    assert "ROLE PUBLIC" not in (team.path / "snowflake/98_give_back.sql").read_text()
    found = team.access("verify", status=2)
    assert "extra    SELECT ON TABLE DBT_UP_PROD.MARTS.OTHER TO ROLE PUBLIC" in found
    team.access("teardown", "--yes")
    assert_same(picture(team.model), before)


@pytest.mark.parametrize("at_once", [True, False])
def test_what_everybody_has_is_taken_away_by_whoever_asks_for_it(team: Team, at_once: bool) -> None:
    team.sql(YEARS_OLD + FOR_ALL + BESIDE)
    before, had = picture(team.model), public_grants(team.model)
    team.refused("apply", "--revoke-public", "--yes")  # of somebody else's objects
    assert picture(team.model) == before
    adopt = ("apply", "--adopt", "--yes")
    if not at_once:
        team.access(*adopt)
    said = team.access(*(adopt if at_once else ("apply", "--yes")), "--revoke-public")
    assert [line for line in ENDED if line not in said] == []
    left = public_grants(team.model)
    assert left < had
    assert all("LEGACY" in each or "LANDING" in each for each in left), left
    assert team.model.can("BI", "SELECT", "DBT_UP_PROD.MARTS.PUBLIC_ORDERS")
    plan = team.access("plan")
    assert "Nothing to change" in plan
    assert "Everybody has" not in plan
    team.deploys()
    team.access("verify")
    assert not team.model.can("PUBLIC", "SELECT", "DBT_UP_PROD.MARTS.PUBLIC_ORDERS")
    team.sql(  # so that there is as much as before
        "USE ROLE ACCOUNTADMIN; DROP SCHEMA DBT_UP_PROD.EXTRA; DROP VIEW DBT_UP_PROD.MARTS.NEW;"
    )
    team.access("teardown", "--yes")
    assert public_grants(team.model) == had
    assert_same(picture(team.model), before)


def test_what_a_file_of_the_teams_gives_to_everybody_is_meant(team: Team) -> None:
    team.sql(YEARS_OLD + FOR_ALL)
    own = team.path / "snowflake/06_everybody.sql"
    own.write_text(
        FOR_ALL + "GRANT USAGE ON DATABASE DBT_UP_DEV TO ROLE PUBLIC;"
        "GRANT DATABASE ROLE DBT_UP_PROD.PUBLIC_READ TO ROLE PUBLIC;"
    )
    said = team.access("apply", "--adopt", "--revoke-public", "--yes")
    assert "FROM ROLE PUBLIC" not in said
    assert "Everybody has" not in team.access("plan")
    found = team.access("verify")
    assert "note     USAGE ON DATABASE DBT_UP_PROD TO ROLE PUBLIC: everybody has it" in found
    matrix_ = team.access("matrix")
    assert "| `PUBLIC` |  | `DBT_UP_PROD` (database) | USAGE |" in matrix_
    assert "nothing to `PUBLIC`" not in matrix_
    own.unlink()
    assert "extra    USAGE ON DATABASE DBT_UP_DEV TO ROLE PUBLIC" in team.access("verify", status=2)


def test_a_role_and_a_warehouse_that_everybody_has_are_shown(team: Team) -> None:
    team.access("apply", "--yes")
    team.sql(
        "USE ROLE ACCOUNTADMIN; GRANT USAGE ON WAREHOUSE DBT_UP_WH TO ROLE PUBLIC;"
        "GRANT DATABASE ROLE DBT_UP_PROD.PUBLIC_READ TO ROLE PUBLIC;"
        "GRANT ROLE DBT_UP_DEV_ROLE TO ROLE PUBLIC;"
    )
    data = json.loads(team.access("plan", "--json"))
    assert {each["statement"] for each in data if each["flag"] == "--revoke-public"} == {
        "REVOKE USAGE ON WAREHOUSE DBT_UP_WH FROM ROLE PUBLIC",
        "REVOKE DATABASE ROLE DBT_UP_PROD.PUBLIC_READ FROM ROLE PUBLIC",
        "REVOKE ROLE DBT_UP_DEV_ROLE FROM ROLE PUBLIC",
    }
    team.access("apply", "--revoke-public", "--yes")
    assert not (team.path / "snowflake/98_give_back.sql").exists()  # nothing of it was another's
    assert json.loads(team.access("plan", "--json")) == []
    team.access("verify")


# Names in quotes, a role that others inherit, a user with a password, a warehouse with a
# monitor, and a database in which most schemas are others'.
OTHERS = [f"S{number:02}" for number in range(36)]
BIG = f"""
    USE ROLE USERADMIN;
    CREATE ROLE TRANSFORMER COMMENT = 'builds'; CREATE ROLE LOADER; CREATE ROLE ENGINEER;
    CREATE ROLE "bi@acme.com"; CREATE ROLE ANALYST; CREATE USER ADA;
    CREATE USER DBT_CLOUD TYPE = LEGACY_SERVICE PASSWORD = 'hunter2-hunter2'
      DEFAULT_ROLE = TRANSFORMER COMMENT = 'dbt Cloud';
    USE ROLE SECURITYADMIN;
    GRANT ROLE TRANSFORMER TO ROLE ENGINEER; GRANT ROLE ENGINEER TO ROLE SYSADMIN;
    GRANT ROLE TRANSFORMER TO USER ADA; GRANT ROLE TRANSFORMER TO USER DBT_CLOUD;
    GRANT ROLE LOADER TO ROLE TRANSFORMER;
    USE ROLE ACCOUNTADMIN;
    CREATE RESOURCE MONITOR COMPANY WITH CREDIT_QUOTA = 500;
    CREATE WAREHOUSE "transform wh" WAREHOUSE_SIZE = MEDIUM;
    ALTER WAREHOUSE "transform wh" SET RESOURCE_MONITOR = COMPANY;
    CREATE DATABASE LANDING; CREATE SCHEMA LANDING.ERP; CREATE TABLE LANDING.ERP.T (A INT);
    GRANT USAGE ON DATABASE LANDING TO ROLE TRANSFORMER;
    GRANT USAGE ON SCHEMA LANDING.ERP TO ROLE TRANSFORMER;
    GRANT SELECT ON TABLE LANDING.ERP.T TO ROLE TRANSFORMER;
    CREATE SCHEMA LANDING.OWN; GRANT OWNERSHIP ON SCHEMA LANDING.OWN TO ROLE TRANSFORMER;
    CREATE DATABASE "analytics-prod";
    GRANT USAGE, CREATE SCHEMA ON DATABASE "analytics-prod" TO ROLE LOADER;
    GRANT USAGE ON DATABASE "analytics-prod" TO ROLE "bi@acme.com";
    GRANT USAGE ON DATABASE "analytics-prod" TO ROLE ANALYST;
    GRANT SELECT ON FUTURE TABLES IN DATABASE "analytics-prod" TO ROLE "bi@acme.com";
    USE ROLE LOADER;
    {" ".join(f'CREATE SCHEMA "analytics-prod".{each};' for each in OTHERS)}
    {" ".join(f'GRANT USAGE ON SCHEMA "analytics-prod".{each} TO ROLE ANALYST;' for each in OTHERS)}
    CREATE SCHEMA "analytics-prod"."marts";
    CREATE TABLE "analytics-prod"."marts"."with.dot" (A INT);
    GRANT USAGE ON SCHEMA "analytics-prod"."marts" TO ROLE ANALYST;
    GRANT SELECT ON TABLE "analytics-prod"."marts"."with.dot" TO ROLE ANALYST;
    USE ROLE ACCOUNTADMIN;
    CREATE TABLE "analytics-prod"."marts".THEIRS (A INT);
    GRANT OWNERSHIP ON TABLE "analytics-prod"."marts".THEIRS TO ROLE ENGINEER
      COPY CURRENT GRANTS;
"""


def test_names_in_quotes_and_what_others_inherit(
    render_into: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answers = {
        "kind": "upstream",
        "project_name": "shop",
        "snowflake_account": ACCOUNT,
        "prod_database": '"analytics-prod"',
        "schemas": '"marts"',
        "warehouse": '"transform wh"',
        "owns_warehouse": True,
        "role": "TRANSFORMER",
        "service_user": "DBT_CLOUD",
        "starter": False,
    }
    team = Team(render_into(tmp_path_factory.mktemp("big") / "shop", **answers))
    team.sql(BIG)
    before, facts = plainly(picture(team.model)), matrix(team.model)
    done = team.desk.run(ACCESS, "plan", *ON)
    assert "USER DBT_CLOUD has a password, which no longer works" in done.stderr
    assert "RESOURCE_MONITOR COMPANY → SHOP_MONITOR" in done.stdout
    team.access("apply", "--adopt", "--yes")
    assert "Nothing to change" in team.access("plan")
    team.access("verify")  # what LOADER and ANALYST have beside the project is theirs
    kept = (team.path / "snowflake/05_grants_of_others.sql").read_text()
    for line in (
        'GRANT SELECT ON TABLE "analytics-prod"."marts"."with.dot" TO ROLE ANALYST;',
        "GRANT ROLE TRANSFORMER TO USER ADA;",
        "GRANT ROLE LOADER TO ROLE TRANSFORMER;",  # what the role had elsewhere
        "GRANT SELECT ON TABLE LANDING.ERP.T TO ROLE TRANSFORMER;",
    ):
        assert line in kept
    assert not {fact for fact in facts - matrix(team.model) if fact.role != "LOADER"}
    team.access("teardown", "--yes")
    assert_same(plainly(picture(team.model)), before)
    # and what has gone since is not granted on again
    team.access("apply", "--adopt", "--yes")
    team.sql('USE ROLE ACCOUNTADMIN; DROP TABLE "analytics-prod"."marts"."with.dot";')
    assert "Nothing to change" in team.access("plan")


@pytest.mark.parametrize(
    ("statement", "before", "undone"),
    [
        (
            "ALTER USER U SET AUTHENTICATION POLICY A.B.NEW FORCE",
            {"AUTHENTICATION POLICY": 'A."b".OLD'},
            'ALTER USER U SET AUTHENTICATION POLICY A."b".OLD FORCE',
        ),
        (
            "ALTER USER U SET AUTHENTICATION POLICY A.B.NEW FORCE",
            {"AUTHENTICATION POLICY": ""},
            "ALTER USER U UNSET AUTHENTICATION POLICY",
        ),
        (
            "ALTER USER U SET WORKLOAD_IDENTITY = (TYPE = OIDC SUBJECT = 'b')",
            {"WORKLOAD_IDENTITY": "(TYPE = OIDC SUBJECT = 'a:b')"},
            "ALTER USER U SET WORKLOAD_IDENTITY = (TYPE = OIDC SUBJECT = 'a:b')",
        ),
        (
            "ALTER NETWORK POLICY N SET ALLOWED_IP_LIST = ('192.0.2.7')",
            {"ALLOWED_IP_LIST": "192.0.2.1,192.0.2.0/24"},
            "ALTER NETWORK POLICY N SET ALLOWED_IP_LIST = ('192.0.2.1', '192.0.2.0/24')",
        ),
        (
            "ALTER AUTHENTICATION POLICY A.B.P SET AUTHENTICATION_METHODS = ('KEYPAIR')",
            {"AUTHENTICATION_METHODS": "[PASSWORD, SAML]"},
            "ALTER AUTHENTICATION POLICY A.B.P SET AUTHENTICATION_METHODS = ('PASSWORD', 'SAML')",
        ),
        (
            "ALTER USER U SET DEFAULT_SECONDARY_ROLES = ()",
            {"default_secondary_roles": '["ALL"]'},
            "ALTER USER U SET DEFAULT_SECONDARY_ROLES = ('ALL')",
        ),
        (
            "ALTER WAREHOUSE W SET RESOURCE_MONITOR = N",
            {"resource_monitor": "Our monitor"},
            'ALTER WAREHOUSE W SET RESOURCE_MONITOR = "Our monitor"',
        ),
    ],
)
def test_what_was_set_is_set_again(statement: str, before: dict[str, str], undone: str) -> None:
    """As SHOW and DESC print a value, and as ALTER takes it."""
    (step,) = read_steps({"x.sql": f"USE ROLE ACCOUNTADMIN;\n{statement};"})
    assert step.object
    live = Live({step.object: before}, frozenset(), {})
    changes = [replace(change, adopts=True) for change in plan([step], live)]
    (back,) = read_steps({"y.sql": giveback.give_back(changes, frozenset(), live, [])})
    assert back.statement == undone
