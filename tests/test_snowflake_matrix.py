"""The complete matrix of role × object × privilege, computed from members' SQL."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dbtmesh.config import load_member
from dbtmesh.snowflake import expected, sqlscript
from dbtmesh.snowflake.account import read_live
from dbtmesh.snowflake.names import names_of
from dbtmesh.snowflake.objects import Object
from tests.snowflake_members import (
    HUB,
    model_session,
    render_demo,
    scripts_of,
)
from tests.snowflake_standin import READS, Fact, Model, SnowflakeError, matrix
from tests.snowflake_standin.account import ADMIN_ROLES
from tests.snowflake_standin.fixtures import rsa_key
from tests.snowflake_standin.names import Ref, role
from tests.snowflake_standin.vocabulary import PRIVILEGES

MEMBERS = {"DBT_UP": "DBT_UP_WH", "DBT_DOWN": "DBT_DOWN_WH", "DBT_DOWN_LOOM": "DBT_DOWN_WH"}
SCHEMAS = ("RAW", "STAGING", "MARTS")

PUBLIC_MODEL = "DBT_UP_PROD.MARTS.PUBLIC_ORDERS"
# Public too, but each for one consumer.
NAMED_MODELS = {name: f"DBT_UP_PROD.EXTRA.FOR_{name}" for name in ("DBT_DOWN", "DBT_DOWN_LOOM")}
# What was there before a member's roles were, loaded by somebody else: `ON ALL …` is for that.
LOADED = [("TABLE", "RAW.LOADED"), ("VIEW", "RAW.LOADED_VIEW")]
# What each deploy builds, in EXTRA too, a schema that dbt creates.
BUILT = {
    "DBT_UP": [
        ("TABLE", "RAW.ORDERS"),
        ("VIEW", "STAGING.STG_ORDERS"),
        ("TABLE", "MARTS.PUBLIC_ORDERS"),
        ("TABLE", "MARTS.DAILY_REVENUE"),
        ("VIEW", "EXTRA.PROTECTED_VIEW"),
        ("TABLE", "EXTRA.FOR_DBT_DOWN"),
        ("TABLE", "EXTRA.FOR_DBT_DOWN_LOOM"),
    ],
    "DBT_DOWN": [("TABLE", "MARTS.DOWNSTREAM_ORDERS"), ("VIEW", "MARTS.OVER_UPSTREAM")],
    "DBT_DOWN_LOOM": [("TABLE", "MARTS.DOWNSTREAM_ORDERS"), ("VIEW", "EXTRA.OVER_UPSTREAM")],
}

# Dropping one of these changes nothing that the model can show.
WITHOUT_EFFECT_IN_THE_MODEL = (
    # CREATE DATABASE ROLE gives it; written down, so that a run brings it back after a REVOKE.
    "USAGE ON DATABASE DBT_UP_PROD TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
    # Real accounts may hide a database role's grants from roles that have not got it.
    "USAGE ON DATABASE ROLE DBT_UP_PROD.PUBLIC_READ TO ROLE DBT_UP_ROLE",
    # And with that role comes the right to enter the database.
    "USAGE ON DATABASE DBT_UP_PROD TO ROLE DBT_UP_ROLE",
    # None of the members builds a dynamic table.
    *(
        f"SELECT ON {scope} DYNAMIC TABLES IN DATABASE {prefix}_PROD TO ROLE {prefix}_DEV_ROLE"
        for prefix in MEMBERS
        for scope in ("ALL", "FUTURE")
    ),
)


@pytest.fixture(scope="module")
def scripts(
    render_into: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    members = render_demo(render_into, tmp_path_factory.mktemp("matrix"))
    return {name.upper(): scripts_of(member) for name, member in members.items()}


def set_up(scripts: dict[str, dict[str, str]], *, left_out: str = "", **model: Any) -> Model:
    """An account in which the members are set up, deployed, and have a pull request open.

    left_out: a statement that is not run.
    """
    account = Model(**model)
    for prefix, files in scripts.items():
        for name, text in files.items():
            if left_out:
                text = text.replace(f"{left_out};", "")
            account.run_script(text)
            if "/01_" in name:
                for kind, relation in LOADED:
                    body = "(ID INT)" if kind == "TABLE" else "AS SELECT 1 AS ID"
                    account.execute(f"CREATE {kind} {prefix}_PROD.{relation} {body}", "SYSADMIN")
    for prefix in scripts:
        deploy(account, prefix)
        pull_request(account, prefix)
        rotate(account, prefix)
    return account


def deploy(account: Model, prefix: str) -> None:
    """What a deploy sends, as the service user and its role."""

    def run(sql: str) -> None:
        account.execute(sql, f"{prefix}_ROLE", f"{prefix}_SVC")

    run(f"CREATE SCHEMA IF NOT EXISTS {prefix}_PROD.EXTRA")
    for kind, name in BUILT[prefix]:
        source = PUBLIC_MODEL if name.endswith(".OVER_UPSTREAM") else "(SELECT 1 AS ID)"
        run(f"CREATE OR REPLACE {kind} {prefix}_PROD.{name} AS SELECT * FROM {source} AS S")
    if prefix == "DBT_UP":
        run(f"GRANT SELECT ON {PUBLIC_MODEL} TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ")
        for consumer, model in NAMED_MODELS.items():
            to = f"DATABASE ROLE DBT_UP_PROD.READ_{consumer}"
            run(f"GRANT USAGE ON SCHEMA DBT_UP_PROD.EXTRA TO {to}")
            run(f"GRANT SELECT ON {model} TO {to}")


def pull_request(account: Model, prefix: str) -> None:
    """What a pull request sends: its own schema, and a model that reads prod and the upstream."""
    schema = f"{prefix}_DEV.PR_7"
    for sql in (
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.CHANGED AS SELECT * FROM {PUBLIC_MODEL}",
        f"CREATE VIEW {schema}.DEFERRED AS SELECT * FROM {prefix}_PROD.{BUILT[prefix][-1][1]}",
    ):
        account.execute(sql, f"{prefix}_DEV_ROLE", f"{prefix}_CI_SVC")


def rotate(account: Model, prefix: str) -> None:
    """What a rotation of both users' keys sends, as the one that deploys."""
    for user in (f"{prefix}_SVC", f"{prefix}_CI_SVC"):
        for sql in (
            f"DESC USER {user}",
            f"ALTER USER {user} SET RSA_PUBLIC_KEY_2 = '{rsa_key('rotated').public}'",
            f"ALTER USER {user} UNSET RSA_PUBLIC_KEY_2",
        ):
            account.execute(sql, f"{prefix}_ROLE", f"{prefix}_SVC")


def test_nobody_else_rotates_keys(scripts: dict[str, dict[str, str]]) -> None:
    account = set_up(scripts)
    new = f"SET RSA_PUBLIC_KEY_2 = '{rsa_key('rotated').public}'"
    for user, others in (
        ("DBT_UP_CI_SVC", "DBT_UP_DEV_ROLE"),
        ("DBT_UP_SVC", "DBT_UP_DEV_ROLE"),
        ("DBT_UP_SVC", "DBT_DOWN_ROLE"),
    ):
        with pytest.raises(SnowflakeError, match=r"Insufficient privileges|not authorized"):
            account.execute(f"ALTER USER {user} {new}", others, "DBT_UP_CI_SVC")
    with pytest.raises(SnowflakeError, match=r"Insufficient privileges|not authorized"):
        account.execute("ALTER USER DBT_UP_CI_SVC SET TYPE = PERSON", "DBT_UP_ROLE", "DBT_UP_SVC")


def expected_facts() -> frozenset[Fact]:
    """The table of the design ("Snowflake access"), written out; nothing of it is read."""
    facts: set[Fact] = set()

    def give(role: str, kind: str, name: str, *privileges: str) -> None:
        facts.update(Fact(role, kind, name, privilege) for privilege in privileges)

    def own(role: str, kind: str, name: str) -> None:
        reads = {READS} if kind in ("TABLE", "VIEW") else set()
        give(role, kind, name, *PRIVILEGES[kind], "OWNERSHIP", *reads)

    for prefix, warehouse in MEMBERS.items():
        deploys, people = f"{prefix}_ROLE", f"{prefix}_DEV_ROLE"
        prod, dev = f"{prefix}_PROD", f"{prefix}_DEV"
        on_warehouse = ("USAGE", "OPERATE") if warehouse == f"{prefix}_WH" else ("USAGE",)
        for who in (deploys, people):
            give(who, "WAREHOUSE", warehouse, *on_warehouse)

        # own _PROD: full for deploys, SELECT for people
        give(deploys, "DATABASE", prod, "USAGE", "CREATE SCHEMA")
        give(people, "DATABASE", prod, "USAGE")
        give(people, "SCHEMA", f"{prod}.PUBLIC", "USAGE")
        for schema in (*SCHEMAS, "EXTRA"):
            own(deploys, "SCHEMA", f"{prod}.{schema}")
            give(people, "SCHEMA", f"{prod}.{schema}", "USAGE")
        for kind, name in BUILT[prefix]:
            own(deploys, kind, f"{prod}.{name}")
        for kind, name in (*LOADED, *BUILT[prefix]):
            give(people, kind, f"{prod}.{name}", "SELECT", READS)

        # own _DEV: nothing for deploys, full for people
        give(people, "DATABASE", dev, "USAGE", "CREATE SCHEMA")
        own(people, "SCHEMA", f"{dev}.PR_7")
        own(people, "TABLE", f"{dev}.PR_7.CHANGED")
        own(people, "VIEW", f"{dev}.PR_7.DEFERRED")

        # upstream _PROD: public models, nothing else
        if prefix != "DBT_UP":
            for who in (deploys, people):
                give(who, "DATABASE", "DBT_UP_PROD", "USAGE")
                give(who, "SCHEMA", "DBT_UP_PROD.MARTS", "USAGE")
                give(who, "TABLE", PUBLIC_MODEL, "SELECT", READS)
                give(who, "SCHEMA", "DBT_UP_PROD.EXTRA", "USAGE")
                give(who, "TABLE", NAMED_MODELS[prefix], "SELECT", READS)
    return frozenset(facts)


def who_is_who(account: Model) -> frozenset[tuple[str, str]]:
    """(user or admin role, account role that it has), of all members."""
    holders = [thing.ref for thing in account.account.of_kind("USER")]
    holders += [ref for ref in ADMIN_ROLES if ref.name == ("SYSADMIN",)]
    return frozenset(
        (holder.name[0], has.name[0])
        for holder in holders
        for has in account.account.reach(holder)
        if has.kind == "ROLE" and has.name[0].startswith("DBT_")
        if holder.name[0] != "STANDIN_ADMIN"
    )


EXPECTED_MEMBERSHIPS = frozenset(
    (holder, f"{prefix}_{kind}")
    for prefix in MEMBERS
    for holder, kind in (
        ("SYSADMIN", "ROLE"),
        ("SYSADMIN", "DEV_ROLE"),
        (f"{prefix}_SVC", "ROLE"),
        (f"{prefix}_CI_SVC", "DEV_ROLE"),
    )
)


@pytest.mark.parametrize("kept", [False, True], ids=["replace drops grants", "replace keeps them"])
@pytest.mark.parametrize("deploys", [1, 2])
def test_the_matrix_is_the_design_and_nothing_else(
    scripts: dict[str, dict[str, str]], kept: bool, deploys: int
) -> None:
    account = set_up(scripts, copy_grants_on_replace=kept)
    for _ in range(deploys - 1):
        for prefix in scripts:
            deploy(account, prefix)
    assert matrix(account) ^ expected_facts() == frozenset()
    assert who_is_who(account) == EXPECTED_MEMBERSHIPS


def test_nothing_is_for_everybody(scripts: dict[str, dict[str, str]]) -> None:
    assert not set_up(scripts).account.grants_to(role("PUBLIC"))


def test_a_second_run_changes_nothing(scripts: dict[str, dict[str, str]]) -> None:
    account = set_up(scripts)
    before = (matrix(account, include_admin=True), copy.deepcopy(properties(account)))
    for files in scripts.values():
        for text in files.values():
            account.run_script(text)
    assert (matrix(account, include_admin=True), properties(account)) == before


def properties(account: Model) -> dict[Ref, dict[str, Any]]:
    return {ref: dict(thing.properties) for ref, thing in account.account.things.items()}


def test_dropping_any_grant_breaks_what_must_work(scripts: dict[str, dict[str, str]]) -> None:
    """Each privilege of each GRANT is needed: without it a build fails, or the matrix differs."""
    without_effect = []
    for prefix, files in scripts.items():
        for step in sqlscript.read_steps(files):
            for grant in step.grants:
                others = [g.privilege for g in step.grants if g != grant]
                less = step.statement.replace(
                    ", ".join(g.privilege for g in step.grants), ", ".join(others), 1
                )
                changed = copy.deepcopy(scripts)
                text = changed[prefix][step.file]
                assert step.statement in text
                replacement = f"{less};" if others else ""
                changed[prefix][step.file] = text.replace(f"{step.statement};", replacement)
                try:
                    account = set_up(changed)
                except SnowflakeError:
                    continue
                if (matrix(account), who_is_who(account)) == (
                    expected_facts(),
                    EXPECTED_MEMBERSHIPS,
                ):
                    without_effect.append(str(grant))
    assert sorted(without_effect) == sorted(WITHOUT_EFFECT_IN_THE_MODEL)


def extra_grants() -> list[str]:
    """One statement more, of every kind: each privilege on each of a member's objects to each of
    those who should not have it, memberships and future grants included."""
    found = []
    readers = [f"DATABASE ROLE DBT_UP_PROD.{name}" for name in ("PUBLIC_READ", "READ_DBT_DOWN")]
    strangers = ("ROLE PUBLIC", "ROLE DBT_DOWN_ROLE", *readers)
    own = ("ROLE DBT_UP_ROLE", "ROLE DBT_UP_DEV_ROLE")
    for to in (*strangers, *own):
        database_role = to.startswith("DATABASE ROLE")
        for privilege in sorted(PRIVILEGES["DATABASE"] - {"IMPORTED PRIVILEGES"}):
            found += [f"GRANT {privilege} ON DATABASE DBT_UP_PROD TO {to}"]
            if not database_role:
                found += [f"GRANT {privilege} ON DATABASE DBT_UP_DEV TO {to}"]
        for schema in SCHEMAS:
            for privilege in ("USAGE", "MODIFY", "CREATE TABLE", "CREATE VIEW", "MONITOR"):
                found += [f"GRANT {privilege} ON SCHEMA DBT_UP_PROD.{schema} TO {to}"]
        for kind in ("TABLES", "VIEWS"):
            found += [f"GRANT SELECT ON FUTURE {kind} IN SCHEMA DBT_UP_PROD.RAW TO {to}"]
            found += [f"GRANT INSERT ON FUTURE TABLES IN DATABASE DBT_UP_PROD TO {to}"]
        if not database_role:
            for privilege in ("OPERATE", "MODIFY", "MONITOR"):
                found += [f"GRANT {privilege} ON WAREHOUSE DBT_UP_WH TO {to}"]
    for kind, name in (*LOADED, *BUILT["DBT_UP"]):
        for privilege in sorted(PRIVILEGES[kind]):
            for to in (*readers, "ROLE DBT_UP_DEV_ROLE"):
                found += [f"GRANT {privilege} ON {kind} DBT_UP_PROD.{name} TO {to}"]
    found += [
        "GRANT USAGE ON WAREHOUSE DBT_UP_WH TO ROLE PUBLIC",
        "GRANT ROLE DBT_UP_ROLE TO USER DBT_UP_CI_SVC",
        "GRANT ROLE DBT_UP_DEV_ROLE TO USER DBT_UP_SVC",
        "GRANT ROLE DBT_UP_ROLE TO USER STANDIN_ADMIN",
        "GRANT ROLE DBT_UP_ROLE TO ROLE DBT_UP_DEV_ROLE",
        "GRANT ROLE DBT_UP_DEV_ROLE TO ROLE DBT_UP_ROLE",
        "GRANT ROLE DBT_UP_ROLE TO ROLE DBT_DOWN_ROLE",
        "GRANT ROLE DBT_UP_DEV_ROLE TO ROLE PUBLIC",
        "GRANT ROLE DBT_DOWN_ROLE TO ROLE DBT_UP_ROLE",
        "GRANT ROLE SYSADMIN TO USER DBT_UP_SVC",
        "GRANT DATABASE ROLE DBT_UP_PROD.PUBLIC_READ TO ROLE PUBLIC",
        "GRANT DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE PUBLIC",
        "GRANT DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
    ]
    return found


def test_adding_any_grant_is_found(scripts: dict[str, dict[str, str]], up: tuple[Any, Any]) -> None:
    """`verify` names every grant that is too much, and nothing of a set-up that is right."""
    names, steps = up
    clean = set_up(scripts)
    public = {
        Object("TABLE", PUBLIC_MODEL): None,
        **{
            Object("TABLE", model): frozenset({consumer.lower()})
            for consumer, model in NAMED_MODELS.items()
        },
    }
    wanted = expected.expected(steps, public)

    def excess(account: Model) -> list[str]:
        session = model_session(account)
        live = read_live(session, steps, names)
        return [str(grant) for grant in expected.excess(wanted, live, names)]

    assert excess(clean) == []
    clean.behaviour.container_manage_grants = True
    noticed: list[str] = []
    unnoticed: list[str] = []

    def granted(account: Model) -> object:
        return matrix(account, include_admin=True), [*account.account.future], members(account)

    before = granted(clean)
    for statement in extra_grants():
        account = copy.deepcopy(clean)
        try:
            account.execute(statement)
        except SnowflakeError:
            continue  # Snowflake itself refuses it
        if granted(account) != before:
            found = noticed if len(excess(account)) == 1 else unnoticed
            found.append(statement)
    assert unnoticed == []
    assert len(noticed) > 100


def members(account: Model) -> frozenset[tuple[Ref, Ref]]:
    return frozenset(
        (row.on, row.to)
        for ref in account.account.things
        if ref.kind in ("ROLE", "DATABASE_ROLE")
        for row in account.account.grants_on(ref)
    )


@pytest.fixture(scope="module")
def up(render_into: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any]]:
    member = render_demo(render_into, tmp_path_factory.mktemp("up"))["dbt_up"]
    names = names_of(load_member(member.path))
    return names, sqlscript.read_steps(scripts_of(member))


def test_a_hub_gives_and_takes(render_into: Any, tmp_path: Any) -> None:
    """Publisher and consumer, of two upstreams, with policies: everything runs, twice."""
    finance = render_into(tmp_path / "finance", project_name="finance")
    first = render_into(tmp_path / "dbt_up", project_name="dbt_up")
    hub = render_into(tmp_path / "hub", **HUB)
    account = Model()
    for member in (finance, first, hub, hub):
        for text in scripts_of(member).values():
            account.run_script(text)
    account.execute("CREATE TABLE HUB_PROD.MARTS.M AS SELECT 1 AS A", "HUB_ROLE", "HUB_SVC")
    assert account.can("HUB_ROLE", "USAGE", "FINANCE_PROD.MARTS")
    assert account.can("HUB_DEV_ROLE", "USAGE", "DBT_UP_PROD.MARTS")
    assert not account.can("HUB_ROLE", "USAGE", "FINANCE_PROD.RAW")
    user = account.account.things[Ref("USER", ("HUB_SVC",))]
    assert user.properties["NETWORK_POLICY"] == "HUB_NETWORK_POLICY"
    assert user.policies["AUTHENTICATION_POLICY"].name == ("HUB_PROD", "POLICIES", "SERVICES")
    identity = user.properties["WORKLOAD_IDENTITY"]
    assert identity["SUBJECT"] == "repo:acme/hub:environment:prod"  # type: ignore[index, call-overload]
    account.run_script((hub.path / "snowflake/99_teardown.sql").read_text())
    assert not [ref for ref in account.account.things if ref.name and ref.name[0].startswith("HUB")]
