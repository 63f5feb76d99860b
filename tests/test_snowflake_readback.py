"""Every grant and property that SQL files set is read back: a plan after they ran is empty.

On the pure model of an account, without a server: statements in, plan and findings out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from dbtmesh.config import load_member
from dbtmesh.snowflake import expected, report, sqlscript
from dbtmesh.snowflake.account import read_live
from dbtmesh.snowflake.names import PUBLIC, Names, names_of
from dbtmesh.snowflake.objects import Grant, Object, Scope
from dbtmesh.snowflake.plan import Effect, Live, plan
from dbtmesh.snowflake.session import Refused
from tests.conftest import ROOT
from tests.snowflake_members import HUB, demo_answers, model_session, scripts_of
from tests.snowflake_standin import Model

# What was there before: a loader's tables, an auditor's role, a warehouse of theirs.
BEFORE = """
    USE ROLE USERADMIN; CREATE ROLE LOADER; CREATE ROLE AUDITOR;
    USE ROLE SECURITYADMIN; GRANT ROLE LOADER TO ROLE SYSADMIN;
    USE ROLE SYSADMIN;
    CREATE DATABASE LANDING; CREATE SCHEMA LANDING.ERP; CREATE SCHEMA LANDING.CRM;
    CREATE SCHEMA LANDING."Mixed Case";
    CREATE TABLE LANDING.ERP.ORDERS (ID INT); CREATE TABLE LANDING.ERP."Items.Old" (ID INT);
    CREATE VIEW LANDING.CRM.PEOPLE AS SELECT 1 AS ID;
    CREATE WAREHOUSE LOADING;
"""


@dataclass
class Setting:
    """A member's names, its SQL with a file of the team's own, and an account where that ran."""

    names: Names
    steps: list[sqlscript.Step]
    model: Model

    def live(self) -> Live:
        return read_live(model_session(self.model), self.steps, self.names)

    def changes(self) -> list[str]:
        return [
            f"{change.step.statement}: {change.what}" for change in plan(self.steps, self.live())
        ]

    def extra(self) -> list[str]:
        wanted = expected.expected(self.steps, {})
        return [str(grant) for grant in expected.excess(wanted, self.live(), self.names)]


@pytest.fixture(scope="module")
def up(render_into: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Names, dict[str, str]]:
    member = render_into(tmp_path_factory.mktemp("read") / "dbt_up", **demo_answers("dbt_up"))
    return names_of(load_member(member.path)), scripts_of(member)


def setting(up: tuple[Names, dict[str, str]], sql: str, *, run: bool = True) -> Setting:
    names, scripts = up
    scripts = {**scripts, "snowflake/05_own.sql": sql}
    model = Model()
    model.run_script(BEFORE)
    if run:
        for text in scripts.values():
            model.run_script(text)
    return Setting(names, sqlscript.read_steps(scripts), model)


# One statement of each form that the grammar takes.
OWN = [
    "GRANT USAGE ON DATABASE LANDING TO ROLE DBT_UP_ROLE",
    "GRANT USAGE ON SCHEMA LANDING.ERP TO ROLE DBT_UP_ROLE",
    "GRANT SELECT ON ALL TABLES IN SCHEMA LANDING.ERP TO ROLE DBT_UP_ROLE",
    "GRANT SELECT ON FUTURE TABLES IN SCHEMA LANDING.ERP TO ROLE DBT_UP_ROLE",
    "GRANT SELECT ON ALL TABLES IN DATABASE LANDING TO ROLE DBT_UP_DEV_ROLE",
    "GRANT SELECT ON ALL VIEWS IN DATABASE LANDING TO ROLE DBT_UP_DEV_ROLE",
    "GRANT USAGE ON ALL SCHEMAS IN DATABASE LANDING TO ROLE DBT_UP_ROLE",
    "GRANT USAGE ON FUTURE SCHEMAS IN DATABASE LANDING TO ROLE AUDITOR",
    "GRANT SELECT ON FUTURE DYNAMIC TABLES IN DATABASE LANDING TO ROLE DBT_UP_ROLE",
    "GRANT SELECT ON LANDING.ERP.ORDERS TO ROLE DBT_UP_ROLE",
    'GRANT SELECT, INSERT ON TABLE LANDING.ERP."Items.Old" TO ROLE DBT_UP_ROLE',
    'GRANT USAGE ON SCHEMA LANDING."Mixed Case" TO ROLE DBT_UP_ROLE',
    "GRANT SELECT ON VIEW LANDING.CRM.PEOPLE TO ROLE DBT_UP_ROLE WITH GRANT OPTION",
    "GRANT ALL PRIVILEGES ON SCHEMA LANDING.CRM TO ROLE LOADER",
    "GRANT ALL ON ALL TABLES IN SCHEMA LANDING.ERP TO ROLE LOADER",
    "GRANT USAGE ON WAREHOUSE LOADING TO ROLE DBT_UP_ROLE",
    "GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE LOADER",
    "GRANT USAGE, CREATE TABLE ON SCHEMA DBT_UP_PROD.RAW TO ROLE LOADER",
    "GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.MARTS TO ROLE AUDITOR",
    "GRANT ROLE AUDITOR TO ROLE DBT_UP_DEV_ROLE",
    "GRANT ROLE DBT_UP_DEV_ROLE TO USER STANDIN_ADMIN",
    "GRANT MONITOR ON USER DBT_UP_SVC TO ROLE AUDITOR",
    "GRANT MONITOR USAGE ON ACCOUNT TO ROLE AUDITOR",
    "GRANT USAGE ON SCHEMA LANDING.ERP TO ROLE PUBLIC",
    "GRANT USAGE ON WAREHOUSE LOADING TO ROLE USERADMIN",
    "GRANT OWNERSHIP ON SCHEMA LANDING.CRM TO ROLE LOADER COPY CURRENT GRANTS",
    "GRANT ALL ON FUTURE TABLES IN SCHEMA LANDING.ERP TO ROLE LOADER",
    "GRANT ALL ON ALL SCHEMAS IN DATABASE LANDING TO ROLE LOADER",
    "GRANT SELECT ON FUTURE VIEWS IN SCHEMA LANDING.CRM TO ROLE LOADER WITH GRANT OPTION",
    "GRANT DATABASE ROLE DBT_UP_PROD.PUBLIC_READ TO ROLE AUDITOR",
    "GRANT USAGE ON FUTURE FUNCTIONS IN SCHEMA LANDING.ERP TO ROLE LOADER",
    "ALTER WAREHOUSE LOADING SET AUTO_SUSPEND = 120 COMMENT = 'it''s theirs'",
    "COMMENT ON SCHEMA LANDING.CRM IS 'of the CRM'",
    "REVOKE USAGE ON WAREHOUSE LOADING FROM ROLE AUDITOR",
    "ALTER SCHEMA LANDING.ERP ENABLE MANAGED ACCESS",
]


@pytest.mark.parametrize("sql", OWN)
def test_what_a_team_adds_is_read_back(up: tuple[Names, dict[str, str]], sql: str) -> None:
    text = f"USE ROLE ACCOUNTADMIN;\n{sql};\n"
    ran = setting(up, text)
    assert ran.changes() == []
    assert ran.extra() == []


@pytest.mark.parametrize("sql", [sql for sql in OWN if not sql.startswith("REVOKE")])
def test_and_is_planned_where_it_is_missing(up: tuple[Names, dict[str, str]], sql: str) -> None:
    without = setting(up, "")
    with_it = setting(up, f"USE ROLE ACCOUNTADMIN;\n{sql};\n", run=False)
    with_it.model = without.model
    (change,) = plan(with_it.steps, with_it.live())
    assert change.step.statement == sql
    assert change.effect.is_certain


@pytest.mark.parametrize("role", ["SECURITYADMIN", "USERADMIN", "ACCOUNTADMIN", "LOADER"])
@pytest.mark.parametrize(
    "sql",
    [
        *(sql for sql in OWN if sql.startswith("GRANT ")),
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.MARTS "
        "TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
    ],
)
def test_a_future_grant_that_a_role_may_not_give_has_a_hint(role: str, sql: str) -> None:
    (step,) = sqlscript.read_steps({"snowflake/05_own.sql": f"USE ROLE {role};\n{sql};\n"})
    hint = report.hint(step)
    lacks = {
        "USERADMIN": "a future grant needs MANAGE GRANTS",
        "SECURITYADMIN": "a future grant to a database role needs USAGE on its database",
    }
    to_database_role = " TO DATABASE ROLE " in sql
    if " ON FUTURE " in sql and (role == "USERADMIN" or (role in lacks and to_database_role)):
        assert hint
        assert hint.startswith(f"snowflake/05_own.sql:2: {lacks[role]}, which {role} does not")
        assert f"write `USE ROLE ACCOUNTADMIN;` above it, and `USE ROLE {role};` below" in hint
    else:
        assert hint is None


@pytest.mark.parametrize(
    ("grant", "where"),
    [
        (Grant("OWNERSHIP", Object("MATERIALIZED VIEW", "D.S.V"), PUBLIC), "VIEW D.S.V"),
        (Grant("SELECT", Object("MATERIALIZED VIEW", "D.S.V"), PUBLIC), "MATERIALIZED VIEW D.S.V"),
        (Grant("INSERT", Object("HYBRID TABLE", "D.S.T"), PUBLIC), "TABLE D.S.T"),
        (
            Grant("OWNERSHIP", Object("MATERIALIZED VIEW", "D.S"), PUBLIC, Scope.FUTURE),
            "FUTURE MATERIALIZED VIEWS IN SCHEMA D.S",
        ),
        (
            Grant("OWNERSHIP", Object("HYBRID TABLE", "D"), PUBLIC, Scope.ALL),
            "ALL TABLES IN DATABASE D",
        ),
    ],
)
def test_kinds_that_grant_has_no_word_for(grant: Grant, where: str) -> None:
    assert grant.where == where


@pytest.mark.parametrize("what", ["DATABASE ROLE DBT_UP_PROD.PUBLIC_READ", "ROLE DBT_UP_DEV_ROLE"])
def test_a_role_is_taken_back_by_its_own_statement(
    up: tuple[Names, dict[str, str]], what: str
) -> None:
    """REVOKE USAGE ON [DATABASE] ROLE is refused."""
    model = setting(up, "").model
    model.execute(f"GRANT {what} TO ROLE AUDITOR", "SECURITYADMIN")
    kind, _, name = what.rpartition(" ")
    grant = Grant("USAGE", Object(kind, name), Object("ROLE", "AUDITOR"))
    model.execute(expected.remedy(grant, up[0]), grant.administrator)
    rows = model.execute(f"SHOW GRANTS OF {what}").dicts()
    assert "AUDITOR" not in {row["grantee_name"] for row in rows}


def test_a_later_object_is_covered_by_a_new_plan(up: tuple[Names, dict[str, str]]) -> None:
    ran = setting(
        up,
        "USE ROLE SECURITYADMIN;\n"
        "GRANT SELECT ON ALL TABLES IN SCHEMA LANDING.ERP TO ROLE DBT_UP_ROLE;\n",
    )
    ran.model.execute("CREATE TABLE LANDING.ERP.NEW (ID INT)", "SYSADMIN")
    (change,) = plan(ran.steps, ran.live())
    assert change.effect is Effect.GRANT


@pytest.mark.parametrize(
    "more",
    [
        # a database role has USAGE on its database from the start
        "CREATE DATABASE ROLE IF NOT EXISTS DBT_UP_PROD.EXTRA;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA DBT_UP_PROD.MARTS TO DATABASE ROLE DBT_UP_PROD.EXTRA",
        "CREATE DATABASE ROLE IF NOT EXISTS LANDING.READER;"
        "GRANT SELECT ON FUTURE TABLES IN DATABASE LANDING TO DATABASE ROLE LANDING.READER;"
        "GRANT DATABASE ROLE LANDING.READER TO ROLE DBT_UP_ROLE",
        # what a later statement undoes is not done again and again
        "GRANT SELECT ON LANDING.ERP.ORDERS TO ROLE LOADER;"
        "REVOKE SELECT ON LANDING.ERP.ORDERS FROM ROLE LOADER",
        "REVOKE SELECT ON LANDING.ERP.ORDERS FROM ROLE LOADER;"
        "GRANT SELECT ON LANDING.ERP.ORDERS TO ROLE LOADER",
    ],
)
def test_statements_that_belong_together(up: tuple[Names, dict[str, str]], more: str) -> None:
    text = f"USE ROLE ACCOUNTADMIN;\n{more};\n"
    ran = setting(up, text)
    assert ran.changes() == []
    assert ran.extra() == []


def test_what_a_later_statement_takes_back_is_not_expected(
    up: tuple[Names, dict[str, str]],
) -> None:
    ran = setting(
        up,
        "USE ROLE SECURITYADMIN;\n"
        "REVOKE OPERATE ON WAREHOUSE DBT_UP_WH FROM ROLE DBT_UP_DEV_ROLE;\n",
    )
    grants = expected.expected(ran.steps, {}).grants
    assert not [g for g in grants if g.privilege == "OPERATE" and g.to.name == "DBT_UP_DEV_ROLE"]


def test_tables_that_a_loader_makes_are_no_drift(up: tuple[Names, dict[str, str]]) -> None:
    ran = setting(
        up,
        "USE ROLE SECURITYADMIN;\n"
        "GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE LOADER;\n"
        "GRANT USAGE, CREATE TABLE ON SCHEMA DBT_UP_PROD.RAW TO ROLE LOADER;\n",
    )
    ran.model.run_script(
        "USE ROLE SECURITYADMIN; GRANT ROLE LOADER TO USER STANDIN_ADMIN;"
        "USE ROLE LOADER; CREATE TABLE DBT_UP_PROD.RAW.LOADED (ID INT);"
    )
    assert (ran.changes(), ran.extra()) == ([], [])


def test_policies_and_the_sign_in_of_users_are_read_back(
    render_into: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The hub has a network policy, authentication policies and workload identity."""
    folder = tmp_path_factory.mktemp("hub")
    model = Model()
    for name, prefix in (("dbt_up", "DBT_UP"), ("fin", "FINANCE")):
        other = render_into(
            folder / name, kind="upstream", project_name=name, database_prefix=prefix
        )
        for text in scripts_of(other).values():
            model.run_script(text)
    member = render_into(folder / "hub", **HUB)
    scripts = scripts_of(member)
    for text in scripts.values():
        model.run_script(text)
    hub = Setting(names_of(load_member(member.path)), sqlscript.read_steps(scripts), model)
    uncertain = [c for c in plan(hub.steps, hub.live()) if c.effect.is_certain]
    assert uncertain == []


CONFLICT = """\
USE ROLE SYSADMIN;
<<<<<<< before updating
CREATE DATABASE A;
=======
CREATE DATABASE B;
>>>>>>> after updating
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (CONFLICT, 2),
        (CONFLICT.replace("\n", "\r\n"), 2),
        ("USE ROLE SYSADMIN;\n-- fine\n||||||| 1234abc\n", 3),
        ("USE ROLE SYSADMIN;\n>>>>>>> theirs\n", 2),
    ],
)
def test_the_marks_of_a_conflict_are_refused(text: str, line: int) -> None:
    with pytest.raises(Exception, match=rf"^snowflake/01\.sql:{line}: .*merge conflict"):
        sqlscript.read_steps({"snowflake/01.sql": text})


def test_what_only_looks_like_one_is_not() -> None:
    text = "USE ROLE SYSADMIN;\n-- ======= the databases =======\nSELECT '\n========\n';\n"
    assert len(sqlscript.read_steps({"01.sql": text})) == 1


@pytest.mark.parametrize(
    ("number", "denied"), [(2003, True), (2043, True), (3001, True), (2140, False), (1003, False)]
)
def test_what_is_taken_for_a_privilege_that_is_missing(number: int, denied: bool) -> None:
    """Error 002140 means an unknown function, never a missing privilege."""
    assert Refused("refused", number).is_denied is denied


def test_words_of_policies_are_those_that_the_documentation_has() -> None:
    """People who come by SSO are challenged only by MFA_POLICY; the rule's name is quoted; and a
    policy that is set on users is not dropped. The stand-in takes other words, too."""
    (folder,) = ROOT.glob("template/*member*/snowflake")
    guards = (folder / "04_cost_and_network_guards.sql.jinja").read_text(encoding="utf-8")
    challenged = "MFA_POLICY = (ENFORCE_MFA_ON_EXTERNAL_AUTHENTICATION = ALL)"
    assert guards.count("MFA_ENROLLMENT = REQUIRED") == guards.count(challenged) == 2
    rule = "SNOWFLAKE.NETWORK_SECURITY.GITHUBACTIONS_GLOBAL"
    assert guards.count(rule) == guards.count(f"('{rule}')") == 1
    teardown = (folder / "99_teardown.sql.jinja").read_text(encoding="utf-8")
    first_drop = teardown.index("DROP AUTHENTICATION POLICY")
    for user in ("{{ service_user }}", "{{ ci_user }}"):
        unset = f"ALTER USER IF EXISTS {user} UNSET AUTHENTICATION POLICY;"
        assert 0 < teardown.index(unset) < first_drop
