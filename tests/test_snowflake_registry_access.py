"""Who may do what with a registry in Snowflake: the members' own SQL, on the model.

What the statements of the store are refused, and what the commands that set access up say of it.
"""

from __future__ import annotations

import copy
import json

import pytest

from dbtmesh.config import load_member
from dbtmesh.registry.snowflake import sql
from dbtmesh.registry.snowflake.rows import Mark, packed
from dbtmesh.snowflake.expected import revocation
from dbtmesh.snowflake.files import read_steps
from dbtmesh.snowflake.objects import Grant, Scope
from tests.conftest import Member, Render
from tests.snowflake_members import ACCESS, Account, Desk, demo_answers, scripts_of
from tests.snowflake_standin import Model, SnowflakeError

ON = ("--connection", "admin")
MEMBERS = ("dbt_up", "dbt_down", "dbt_down_loom")
ADDED = {
    "PUBLICATIONS": "(ENV, VERSION, KIND, ATTEMPT, BODY) VALUES ('prod', '1', 'published', 1, 'x')",
    "STATE": "(ENV, NAME, SEQ, WRITE_ID, PART, PARTS, SIZE, DIGEST, BODY) "
    "VALUES ('prod', 'manifest.json', 1, 'a', 0, 1, 1, 'd', 'x')",
    "READS": "(UPSTREAM, ENV, CONSUMER, SEQ, WRITE_ID, PART, PARTS, SIZE, DIGEST, BODY) "
    "VALUES ('dbt_up', 'prod', 'dbt_down', 1, 'a', 0, 1, 1, 'd', 'x')",
}


@pytest.fixture(scope="module")
def members(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    folder = tmp_path_factory.mktemp("registry-access")
    return {
        name: render_into(
            folder / name, **demo_answers(name) | {"registry": "snowflake", "starter": False}
        )
        for name in MEMBERS
    }


@pytest.fixture
def desks(members: dict[str, Member]) -> dict[str, Desk]:
    """All three, set up on an account."""
    account = Account()
    desks = {name: account.on(member) for name, member in members.items()}
    for desk in desks.values():
        desk.ok(ACCESS, "apply", *ON, "--yes")
    return desks


def as_role(desk: Desk, role: str, statement: str) -> None:
    desk.account.model.execute(
        statement, role, role.replace("_ROLE", "_SVC").replace("DEV_", "CI_")
    )


def as_admin(desk: Desk, statement: str) -> None:
    desk.account.model.execute(statement, "ACCOUNTADMIN")


def denied(desk: Desk, role: str, statement: str) -> None:
    with pytest.raises(SnowflakeError, match=r"Insufficient privileges|not authorized"):
        as_role(desk, role, statement)


def test_a_plan_right_after_is_empty_and_verify_is_clean(desks: dict[str, Desk]) -> None:
    for desk in desks.values():
        assert "Nothing to change" in desk.ok(ACCESS, "plan", *ON)
        said = desk.ok(ACCESS, "verify", *ON)
        # and tries that what was written stays
        assert ".MESH.STATE SET BODY = BODY WHERE FALSE is denied" in said


@pytest.mark.parametrize(
    ("member", "table"),
    [("dbt_up", "PUBLICATIONS"), ("dbt_up", "STATE"), ("dbt_down", "STATE"), ("dbt_down", "READS")],
)
def test_what_was_written_cannot_be_changed(
    desks: dict[str, Desk], member: str, table: str
) -> None:
    desk, role = desks[member], f"{member.upper()}_ROLE"
    schema = f"{member.upper()}_PROD.MESH"
    name = f"{schema}.{table}"
    as_role(desk, role, f"INSERT INTO {name} {ADDED[table]}")
    as_role(desk, role, f"SELECT * FROM {name}")
    for statement in (
        f"UPDATE {name} SET BODY = 'y'",
        f"DELETE FROM {name}",
        f"TRUNCATE TABLE {name}",
        f"DROP TABLE {name}",
        f"ALTER TABLE {name} RENAME TO {schema}.GONE",
        f"CREATE OR REPLACE TABLE {name} (ENV VARCHAR)",
        f"DROP SCHEMA {schema}",
        f"ALTER SCHEMA {schema} DISABLE MANAGED ACCESS",
        f"GRANT DELETE ON TABLE {name} TO ROLE {role}",
        f"GRANT OWNERSHIP ON TABLE {name} TO ROLE {role}",
        f"CREATE TABLE {schema}.MORE (ID INT)",
        f"DROP DATABASE {member.upper()}_PROD",
    ):
        denied(desk, role, statement)
    # pull requests, whose code nobody has reviewed yet, read alone
    people = f"{member.upper()}_DEV_ROLE"
    as_role(desk, people, f"SELECT * FROM {name}")
    denied(desk, people, f"INSERT INTO {name} {ADDED[table]}")


def test_nobody_writes_to_anothers_database_or_sees_its_state(desks: dict[str, Desk]) -> None:
    for role in ("DBT_DOWN_ROLE", "DBT_DOWN_DEV_ROLE"):
        as_role(desks["dbt_down"], role, "SELECT * FROM DBT_UP_PROD.MESH.PUBLISHED")
        for table in ("PUBLICATIONS", "STATE"):
            name = f"DBT_UP_PROD.MESH.{table}"
            denied(desks["dbt_down"], role, f"SELECT * FROM {name}")
            denied(desks["dbt_down"], role, f"INSERT INTO {name} {ADDED[table]}")
    for role in ("DBT_UP_ROLE", "DBT_UP_DEV_ROLE"):
        as_role(desks["dbt_up"], role, "SELECT * FROM DBT_DOWN_PROD.MESH.READS")
        denied(desks["dbt_up"], role, f"INSERT INTO DBT_DOWN_PROD.MESH.READS {ADDED['READS']}")
        denied(desks["dbt_up"], role, "SELECT * FROM DBT_DOWN_PROD.MESH.STATE")
    # what one reads is not for another reader
    denied(desks["dbt_down"], "DBT_DOWN_ROLE", "SELECT * FROM DBT_DOWN_LOOM_PROD.MESH.READS")


# ── Each privilege ────────────────────────────────────────────────────────────────────

OWN = sql.publications("DBT_UP_PROD", own=True)
SEEN = sql.publications("DBT_UP_PROD", own=False)
STATES = {up: sql.state(f"{up}_PROD", "prod", "manifest.json") for up in ("DBT_UP", "DBT_DOWN")}
RECORD = sql.record("DBT_DOWN_PROD", "dbt_up", "prod", "dbt_down")
MARK = Mark("20260102T030405.678901Z-0123456789ab", 1)
BODY = packed(b"{}")
LOOKS = sql.read_records(["DBT_DOWN_PROD"], "dbt_up", "prod", 9)
SENT = {
    "publish": ("DBT_UP_ROLE", sql.keep_version(OWN, "prod", MARK.version, {None: BODY})),
    "put in place": ("DBT_UP_ROLE", sql.put_in_place(OWN, "prod", MARK.version, MARK)),
    "look again": ("DBT_UP_ROLE", sql.standing(OWN, "prod", 2)),
    "withdraw": ("DBT_UP_ROLE", sql.withdraw(OWN, "prod", MARK)),
    "keep state": ("DBT_UP_ROLE", sql.write_counted(STATES["DBT_UP"], BODY, None, "a")),
    "get state": ("DBT_UP_ROLE", sql.read_counted(STATES["DBT_UP"], None, 9)),
    "compare": ("DBT_UP_DEV_ROLE", sql.read_latest(OWN, "prod", sql.OWNER, None, 9)),
    "get state in a PR": ("DBT_UP_DEV_ROLE", sql.read_counted(STATES["DBT_UP"], None, 9)),
    "ask who reads": ("DBT_UP_ROLE", LOOKS),
    "ask who reads in a PR": ("DBT_UP_DEV_ROLE", LOOKS),
    "sync": ("DBT_DOWN_ROLE", sql.read_latest(SEEN, "prod", "READ_DBT_DOWN", None, 9)),
    "sync in a PR": ("DBT_DOWN_DEV_ROLE", sql.read_latest(SEEN, "prod", "R", None, 9)),
    "record": ("DBT_DOWN_ROLE", sql.write_counted(RECORD, BODY, None, "a")),
    "compare the record": ("DBT_DOWN_ROLE", sql.read_counted(RECORD, None, 9)),
    "look at the record": ("DBT_DOWN_DEV_ROLE", sql.read_counted(RECORD, None, 9)),
    "keep its state": ("DBT_DOWN_ROLE", sql.write_counted(STATES["DBT_DOWN"], BODY, None, "a")),
    "get its state": ("DBT_DOWN_ROLE", sql.read_counted(STATES["DBT_DOWN"], None, 9)),
}
"""What the library sends, by whom."""
_UP, _DOWN = "DBT_UP_PROD", "DBT_DOWN_PROD"
NEEDED = {
    f"SELECT ON TABLE {_UP}.MESH.STATE TO ROLE DBT_UP_ROLE": {"keep state", "get state"},
    f"INSERT ON TABLE {_UP}.MESH.STATE TO ROLE DBT_UP_ROLE": {"keep state"},
    f"SELECT ON TABLE {_UP}.MESH.PUBLICATIONS TO ROLE DBT_UP_ROLE": {
        *("publish", "put in place", "look again"),
    },
    f"INSERT ON TABLE {_UP}.MESH.PUBLICATIONS TO ROLE DBT_UP_ROLE": {
        *("publish", "put in place", "withdraw"),
    },
    f"USAGE ON ALL SCHEMAS IN DATABASE {_UP} TO ROLE DBT_UP_DEV_ROLE": {
        *("compare", "get state in a PR"),
    },
    f"SELECT ON ALL TABLES IN DATABASE {_UP} TO ROLE DBT_UP_DEV_ROLE": {
        *("compare", "get state in a PR"),
    },
    f"USAGE ON SCHEMA {_UP}.MESH TO DATABASE ROLE {_UP}.PUBLIC_READ": {"sync", "sync in a PR"},
    f"SELECT ON VIEW {_UP}.MESH.PUBLISHED TO DATABASE ROLE {_UP}.PUBLIC_READ": {
        *("sync", "sync in a PR"),
    },
    f"USAGE ON DATABASE ROLE {_UP}.PUBLIC_READ TO ROLE DBT_DOWN_ROLE": {"sync"},
    f"USAGE ON DATABASE ROLE {_UP}.PUBLIC_READ TO ROLE DBT_DOWN_DEV_ROLE": {"sync in a PR"},
    f"USAGE ON SCHEMA {_DOWN}.MESH TO ROLE DBT_DOWN_ROLE": {
        *("record", "compare the record", "keep its state", "get its state"),
    },
    f"SELECT ON TABLE {_DOWN}.MESH.STATE TO ROLE DBT_DOWN_ROLE": {
        *("keep its state", "get its state"),
    },
    f"INSERT ON TABLE {_DOWN}.MESH.STATE TO ROLE DBT_DOWN_ROLE": {"keep its state"},
    f"SELECT ON TABLE {_DOWN}.MESH.READS TO ROLE DBT_DOWN_ROLE": {"record", "compare the record"},
    f"INSERT ON TABLE {_DOWN}.MESH.READS TO ROLE DBT_DOWN_ROLE": {"record"},
    f"USAGE ON ALL SCHEMAS IN DATABASE {_DOWN} TO ROLE DBT_DOWN_DEV_ROLE": {"look at the record"},
    f"SELECT ON ALL TABLES IN DATABASE {_DOWN} TO ROLE DBT_DOWN_DEV_ROLE": {"look at the record"},
    f"USAGE ON DATABASE {_DOWN} TO DATABASE ROLE {_DOWN}.MESH_READS": {
        *("ask who reads", "ask who reads in a PR"),
    },
    f"USAGE ON SCHEMA {_DOWN}.MESH TO DATABASE ROLE {_DOWN}.MESH_READS": {
        *("ask who reads", "ask who reads in a PR"),
    },
    f"SELECT ON TABLE {_DOWN}.MESH.READS TO DATABASE ROLE {_DOWN}.MESH_READS": {
        *("ask who reads", "ask who reads in a PR"),
    },
    f"USAGE ON DATABASE ROLE {_DOWN}.MESH_READS TO ROLE DBT_UP_ROLE": {"ask who reads"},
    f"USAGE ON DATABASE ROLE {_DOWN}.MESH_READS TO ROLE DBT_UP_DEV_ROLE": {
        "ask who reads in a PR",
    },
    # Its own PUBLIC_READ, which it needs to grant what dbt builds, lets it in already.
    f"USAGE ON SCHEMA {_UP}.MESH TO ROLE DBT_UP_ROLE": set(),
    # Rows, not statements: see test_without_the_role_of_a_reader_its_models_are_not_seen.
    f"USAGE ON DATABASE ROLE {_UP}.READ_DBT_DOWN TO ROLE DBT_DOWN_ROLE": set(),
    f"USAGE ON DATABASE ROLE {_UP}.READ_DBT_DOWN TO ROLE DBT_DOWN_DEV_ROLE": set(),
    # Of what dbt builds (test_snowflake_matrix); CREATE DATABASE ROLE gives the first.
    f"USAGE ON DATABASE {_UP} TO DATABASE ROLE {_UP}.PUBLIC_READ": set(),
    f"USAGE ON DATABASE ROLE {_UP}.PUBLIC_READ TO ROLE DBT_UP_ROLE": set(),
}
"""Each grant on what is the registry's → what is refused without it."""


def _of_the_registry(grant: Grant) -> bool:
    if grant.scope is Scope.ALL:
        return grant.on.kind in ("SCHEMA", "TABLE") and grant.on.name in (_UP, _DOWN)
    things = (grant.on, grant.to)
    names = (".MESH", "PUBLIC_READ", ".READ_", "MESH_READS")
    inside = any(name in thing.name for thing in things for name in names)
    return grant.scope is Scope.ONE and inside and not grant.on.name.endswith("MARTS")


def test_each_privilege_is_needed_for_what_the_library_sends(members: dict[str, Member]) -> None:
    whole = Model()
    steps = [step for member in members.values() for step in read_steps(load_member(member.path))]
    for member in members.values():
        for text in scripts_of(member).values():
            whole.run_script(text)

    def refused(model: Model) -> set[str]:
        found = set()
        for what, (role, statement) in SENT.items():
            try:
                user = role.replace("_DEV_ROLE", "_CI_SVC").replace("_ROLE", "_SVC")
                model.execute(statement.text, role, user)
            except SnowflakeError:
                found.add(what)
        return found

    assert refused(whole) == set()
    grants = {str(grant): grant for step in steps for grant in step.grants}
    mine = {text for text, grant in grants.items() if _of_the_registry(grant)}
    assert {each for each in mine if "LOOM" not in each} == NEEDED.keys()
    for text, without in NEEDED.items():
        model = copy.deepcopy(whole)
        model.execute(revocation(grants[text]))
        assert (text, refused(model)) == (text, without)


@pytest.mark.parametrize(
    "grant",
    [
        "DELETE ON TABLE DBT_UP_PROD.MESH.PUBLICATIONS TO ROLE DBT_UP_ROLE",
        "INSERT ON TABLE DBT_UP_PROD.MESH.PUBLICATIONS TO ROLE DBT_UP_DEV_ROLE",
        # who may enter the schema already, because it reads contracts there
        "SELECT ON TABLE DBT_UP_PROD.MESH.STATE TO ROLE DBT_DOWN_ROLE",
        "SELECT ON TABLE DBT_UP_PROD.MESH.STATE TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
        "CREATE TABLE ON SCHEMA DBT_UP_PROD.MESH TO ROLE DBT_UP_ROLE",
    ],
)
def test_verify_names_a_privilege_too_much_and_takes_it(desks: dict[str, Desk], grant: str) -> None:
    up = desks["dbt_up"]
    as_admin(up, f"GRANT {grant}")
    assert json.loads(up.refused(ACCESS, "verify", *ON, "--json", status=2))["extra"] == [grant]
    up.ok(ACCESS, "verify", *ON, "--fix")
    up.ok(ACCESS, "verify", *ON)


def test_verify_names_who_sees_what_a_reader_reads(desks: dict[str, Desk]) -> None:
    down = desks["dbt_down"]
    as_admin(down, "GRANT DATABASE ROLE DBT_DOWN_PROD.MESH_READS TO ROLE DBT_DOWN_LOOM_ROLE")
    found = json.loads(down.refused(ACCESS, "verify", *ON, "--json", status=2))["extra"]
    assert found == ["USAGE ON DATABASE ROLE DBT_DOWN_PROD.MESH_READS TO ROLE DBT_DOWN_LOOM_ROLE"]
    as_admin(down, "GRANT DATABASE ROLE DBT_DOWN_PROD.MESH_READS TO ROLE DBT_UP_ROLE")
    desks["dbt_up"].ok(ACCESS, "verify", *ON)  # which its upstream was given


def test_what_is_missing_comes_back(desks: dict[str, Desk]) -> None:
    up = desks["dbt_up"]
    as_admin(up, "REVOKE INSERT ON TABLE DBT_UP_PROD.MESH.PUBLICATIONS FROM ROLE DBT_UP_ROLE")
    as_admin(up, "DROP VIEW DBT_UP_PROD.MESH.PUBLISHED")
    missing = json.loads(up.refused(ACCESS, "verify", *ON, "--json", status=2))["missing"]
    assert [line.split(" (")[0] for line in missing] == [
        "CREATE VIEW DBT_UP_PROD.MESH.PUBLISHED",
        "GRANT SELECT, INSERT ON TABLE DBT_UP_PROD.MESH.PUBLICATIONS TO ROLE DBT_UP_ROLE",
        "GRANT SELECT ON VIEW DBT_UP_PROD.MESH.PUBLISHED TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
    ]
    up.ok(ACCESS, "apply", *ON, "--yes")
    up.ok(ACCESS, "verify", *ON)


VIEW = "VIEW DBT_UP_PROD.MESH.PUBLISHED"
MADE_OTHERWISE = {
    "it shows all rows": (
        f"CREATE OR REPLACE SECURE {VIEW} COMMENT = 'dbt mesh: dbt_up' "
        "AS SELECT * FROM DBT_UP_PROD.MESH.PUBLICATIONS",
        "query another → as snowflake/01_create_databases_and_warehouses.sql",
    ),
    "it is not secure": (None, "SECURE FALSE → TRUE"),
}


@pytest.mark.parametrize("how", MADE_OTHERWISE)
def test_a_view_that_is_there_otherwise_is_replaced(desks: dict[str, Desk], how: str) -> None:
    """CREATE … IF NOT EXISTS leaves it as it is: a plan has to see what it says."""
    up = desks["dbt_up"]
    made, said = MADE_OTHERWISE[how]
    model = up.account.model
    shown = f"SHOW VIEWS IN SCHEMA {VIEW.split()[1].rpartition('.')[0]}"
    (before,) = model.execute(shown, "SYSADMIN").dicts()
    (hidden,) = model.execute(shown, "SECURITYADMIN").dicts()
    assert not hidden["text"]
    model.execute(
        made or str(before["text"]).replace("SECURE VIEW IF NOT EXISTS", "OR REPLACE VIEW"),
        "SYSADMIN",
    )
    granted = "SELECT * FROM DBT_UP_PROD.MESH.PUBLISHED"
    as_admin(up, f"GRANT SELECT ON {VIEW} TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ")
    assert said in up.refused(ACCESS, "verify", *ON, status=2)
    assert said in up.ok(ACCESS, "plan", *ON)
    up.ok(ACCESS, "apply", *ON, "--yes")
    (after,) = model.execute(shown, "SYSADMIN").dicts()
    assert (after["is_secure"], "IS_DATABASE_ROLE_IN_SESSION" in str(after["text"])) == (
        "true",
        True,
    )
    as_role(desks["dbt_down"], "DBT_DOWN_ROLE", granted)
    assert "Nothing to change" in up.ok(ACCESS, "plan", *ON)
    up.ok(ACCESS, "verify", *ON)


def test_the_matrix_has_the_registry(members: dict[str, Member]) -> None:
    account = Account()
    rows = {
        (row["role"], row["object"]): row
        for name in ("dbt_up", "dbt_down")
        for row in json.loads(account.on(members[name]).ok(ACCESS, "matrix", "--json"))
    }
    of_up = "`DBT_UP_PROD.MESH.PUBLICATIONS` (table)"
    assert rows["DBT_UP_ROLE", of_up]["privileges"] == "INSERT, SELECT"
    seen = rows["DBT_UP_PROD.PUBLIC_READ", "`DBT_UP_PROD.MESH.PUBLISHED` (view)"]
    assert (seen["who"], seen["privileges"]) == ("other projects", "SELECT")
    reads = rows["DBT_DOWN_PROD.MESH_READS", "`DBT_DOWN_PROD.MESH.READS` (table)"]
    assert (reads["who"], reads["privileges"]) == ("projects that it reads", "SELECT")


def test_an_upstream_comes_first(members: dict[str, Member]) -> None:
    account = Account()
    account.model.run_script(
        "USE ROLE SYSADMIN; CREATE DATABASE DBT_UP_PROD; "
        "CREATE DATABASE ROLE DBT_UP_PROD.PUBLIC_READ;"
    )
    said = account.on(members["dbt_down"]).refused(ACCESS, "apply", *ON, "--yes")
    assert "ROLE DBT_UP_ROLE does not exist yet" in said
    assert "--ask upstream_roles" in said
    assert not [each for each in account.statements if each.sql.startswith("CREATE")]


def test_a_teardown_takes_all_of_it_and_nothing_else(desks: dict[str, Desk]) -> None:
    down = desks["dbt_down"]
    model = down.account.model
    down.ok(ACCESS, "teardown", *ON, "--yes")
    left = {ref.name[0] for ref in model.account.things if ref.name}
    assert "DBT_DOWN_PROD" not in left
    desks["dbt_up"].ok(ACCESS, "verify", *ON)
    desks["dbt_up"].ok(ACCESS, "teardown", *ON, "--yes")
    desks["dbt_down_loom"].ok(ACCESS, "teardown", *ON, "--yes")
    assert not [ref for ref in model.account.things if ref.name and "DBT_" in ref.name[0]]
