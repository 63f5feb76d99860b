"""`scripts/snowflake_access.py`, run as people run it, against the stand-in."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlfluff
from snowflake.connector.util_text import split_statements

from dbtmesh.snowflake import plan, sqlscript
from dbtmesh.snowflake.statements import Verb
from tests.conftest import Member, Render
from tests.snowflake_members import (
    ACCESS,
    HUB,
    Account,
    demo_answers,
    render_demo,
    scripts_of,
)
from tests.snowflake_standin import ADMIN, PASSWORD, Laptop, Standin
from tests.snowflake_standin.names import Ref, role

ON = ("--connection", "admin")

# What sqlfluff's Snowflake dialect does not know yet.
UNKNOWN_TO_SQLFLUFF = (
    "ALTER AUTHENTICATION POLICY HUB_PROD.POLICIES.SERVICES SET",
    "ALTER AUTHENTICATION POLICY HUB_PROD.POLICIES.PEOPLE SET",
    "CREATE AUTHENTICATION POLICY IF NOT EXISTS HUB_PROD.POLICIES.PEOPLE",
    "DROP AUTHENTICATION POLICY IF EXISTS ",
    "DROP DATABASE ROLE IF EXISTS ",
    "GRANT MODIFY PROGRAMMATIC AUTHENTICATION METHODS ON USER",
    "GRANT MONITOR, MODIFY PROGRAMMATIC AUTHENTICATION METHODS ON USER",
)


@pytest.fixture(scope="module")
def demo(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    return render_demo(render_into, tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def hub(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    return render_into(tmp_path_factory.mktemp("hub") / "hub", **HUB)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def laptop(standin: Standin, tmp_path: Path) -> Laptop:
    return Laptop(tmp_path / "home", standin)


def on(laptop: Laptop, member: Member) -> Member:
    """A member on a laptop that is connected to the stand-in."""
    return Member(member.path, {**member.environment, **laptop.environment, **laptop.standin.reach})


# ── the SQL ───────────────────────────────────────────────────────────────────────────


def all_sql(*members: Member) -> dict[str, str]:
    return {
        f"{member.path.name}/{file.relative_to(member.path)}": file.read_text()
        for member in members
        for file in sorted(member.path.glob("snowflake/**/*.sql"))
    }


def test_statements_are_the_connectors_and_their_lines_are_right(
    demo: dict[str, Member], hub: Member
) -> None:
    for text in all_sql(*demo.values(), hub).values():
        theirs = [
            statement.strip().rstrip(";").strip()
            for statement, _ in split_statements(io.StringIO(text), remove_comments=True)
        ]
        ours = list(sqlscript.split(text))
        squeezed = [" ".join(statement.split()) for _, _, statement in ours]
        assert squeezed == [" ".join(s.split()) for s in theirs if s]
        for line, _, statement in ours:
            assert text.splitlines()[line - 1].startswith(statement.splitlines()[0])


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT ';'; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        ("-- a; b\nSELECT 1 -- c; d\n;", ["SELECT 1 -- c; d"]),
        ("/* ; */ SELECT $$;$$; ;;", ["SELECT $$;$$"]),
        (
            "SELECT 'it''s; so', 'a\\';b', \"x;\"\"y\";",
            ["SELECT 'it''s; so', 'a\\';b', \"x;\"\"y\""],
        ),
        ("  \n", []),
    ],
)
def test_a_semicolon_does_not_always_end_a_statement(text: str, statements: list[str]) -> None:
    assert [statement for _, _, statement in sqlscript.split(text)] == statements


def test_sqlfluff_parses_everything(demo: dict[str, Member], hub: Member) -> None:
    sql = all_sql(*demo.values(), hub)
    unparsed = []
    statements = [each for text in sql.values() for _, _, each in sqlscript.split(text)]
    # one of those that differ in the member's name alone
    for statement in {
        re.sub(r"(?i)DBT_(UP|DOWN(_LOOM)?)|HUB", "X", s): s for s in statements
    }.values():
        try:
            sqlfluff.parse(f"{statement};", dialect="snowflake")
        except sqlfluff.api.APIParsingError:
            unparsed.append(" ".join(statement.split()))
    for name, text in sql.items():
        assert text.isascii() or "--" in text, name
    assert [
        statement for statement in unparsed if not statement.startswith(UNKNOWN_TO_SQLFLUFF)
    ] == []
    for known in UNKNOWN_TO_SQLFLUFF:
        assert any(statement.startswith(known) for statement in unparsed), known


def test_every_statement_is_understood(demo: dict[str, Member], hub: Member) -> None:
    """So that `plan` can tell whether it changes anything, and `verify` what it gives."""
    for member in (*demo.values(), hub):
        for step in sqlscript.read_steps(scripts_of(member)):
            assert all((step.verb, step.object, step.role, step.why)), step.place
            assert bool(step.grants) == (step.verb is Verb.GRANT), step.place


def test_nothing_is_replaced_and_no_secret_is_written(demo: dict[str, Member], hub: Member) -> None:
    for name, text in all_sql(*demo.values(), hub).items():
        code = re.sub(r"--[^\n]*", "", text).upper()
        assert "OR REPLACE" not in code, name
        assert not re.search(r"PASSWORD\s*=|RSA_PUBLIC_KEY|PRIVATE", code), name


def test_every_statement_runs_under_the_least_role(demo: dict[str, Member], hub: Member) -> None:
    roles = {
        "CREATE ROLE": "USERADMIN",
        "CREATE USER": "USERADMIN",
        "CREATE WAREHOUSE": "SYSADMIN",
        "CREATE DATABASE": "SYSADMIN",
        "CREATE SCHEMA": "SYSADMIN",
        "CREATE DATABASE ROLE": "SYSADMIN",
        "CREATE NETWORK POLICY": "SECURITYADMIN",
        "CREATE RESOURCE MONITOR": "ACCOUNTADMIN",
        "CREATE AUTHENTICATION POLICY": "ACCOUNTADMIN",
    }
    for member in (*demo.values(), hub):
        for step in sqlscript.read_steps(scripts_of(member)):
            if step.verb is Verb.GRANT:
                # The mesh is granted by the owner of the databases; so is what SECURITYADMIN needs.
                by_owner = "/03_" in step.file or step.grants[0].to.name == "SECURITYADMIN"
                assert step.role == ("SYSADMIN" if by_owner else "SECURITYADMIN"), step.place
            if step.verb is Verb.CREATE:
                assert step.object
                assert step.role == roles[f"CREATE {step.object.kind}"], step.place


def test_a_shared_warehouse_is_only_used(demo: dict[str, Member]) -> None:
    loom = "\n".join(
        re.sub(r"--[^\n]*", "", text) for text in all_sql(demo["dbt_down_loom"]).values()
    )
    assert re.findall(r"[^\n]*DBT_DOWN_WH[^\n]*", loom.split("FROM snowflake")[0]) == [
        "  DEFAULT_WAREHOUSE = DBT_DOWN_WH;",
        "  DEFAULT_WAREHOUSE = DBT_DOWN_WH;",
        "GRANT USAGE ON WAREHOUSE DBT_DOWN_WH TO ROLE DBT_DOWN_LOOM_ROLE;",
        "GRANT USAGE ON WAREHOUSE DBT_DOWN_WH TO ROLE DBT_DOWN_LOOM_DEV_ROLE;",
    ]


# ── plan ──────────────────────────────────────────────────────────────────────────────


def test_plan_without_an_account_shows_everything(demo: dict[str, Member]) -> None:
    up = demo["dbt_up"]
    plan = json.loads(up.ok(ACCESS, "plan", "--json"))
    keys = {"file", "line", "role", "verb", "object", "statement", "why", "change", "adopts"}
    assert set(plan[0]) == keys
    assert "USE ROLE" not in {step["statement"][:8] for step in plan}
    text = up.ok(ACCESS, "plan")
    for step in plan:
        assert f"{step['statement']};" in text
    assert f"{len(plan)} statements." in text


def test_plan_of_many_members_grows_with_their_number(demo: dict[str, Member]) -> None:
    """Pure: no more than 12 times the work for 10 times the members; here, of the statements."""
    text = scripts_of(demo["dbt_up"])
    assert len(plan.plan(sqlscript.read_steps(text))) * 10 == len(
        plan.plan(
            step
            for number in range(10)
            for step in sqlscript.read_steps(
                {file: sql.replace("DBT_UP", f"M{number}") for file, sql in text.items()}
            )
        )
    )


# ── apply ─────────────────────────────────────────────────────────────────────────────


def test_from_nothing_to_the_demo_and_back(demo: dict[str, Member], account: Account) -> None:
    """All three in order; then nothing is left to do; teardown leaves what others have."""
    before = set(account.model.account.things)
    for name in demo:
        account.on(demo[name]).ok(ACCESS, "apply", *ON, "--yes")
    for name in demo:
        assert "Nothing to change" in account.on(demo[name]).ok(ACCESS, "plan", *ON)
        account.on(demo[name]).ok(ACCESS, "verify", *ON)
    account.model.run_script(
        "USE ROLE SYSADMIN; CREATE DATABASE DBT_UPSTREAM_PROD; CREATE WAREHOUSE DBT_WH;"
    )
    dropped = account.on(demo["dbt_down"]).ok(ACCESS, "teardown", *ON, "--yes")
    assert "DBT_DOWN_LOOM_ROLE" in dropped  # it shares the warehouse: that is said
    after = set(account.model.account.things)
    assert not {ref for ref in after if ref.name and ref.name[0] == "DBT_DOWN_PROD"}
    assert Ref("DATABASE", ("DBT_DOWN_LOOM_PROD",)) in after
    for name in ("dbt_down_loom", "dbt_up"):
        account.on(demo[name]).ok(ACCESS, "teardown", *ON, "--yes")
    others = {Ref("DATABASE", ("DBT_UPSTREAM_PROD",)), Ref("WAREHOUSE", ("DBT_WH",))}
    others |= {Ref("SCHEMA", ("DBT_UPSTREAM_PROD", "PUBLIC"))}
    assert set(account.model.account.things) == before | others


def test_a_changed_answer_takes_effect(render: Render, account: Account) -> None:
    account.on(render(**demo_answers("dbt_up"))).ok(ACCESS, "apply", *ON, "--yes")
    changed = {"warehouse_size": "SMALL", "monthly_credits": 7, "auto_suspend": 120}
    member = account.on(render(**demo_answers("dbt_up"), **changed))
    plan = json.loads(member.ok(ACCESS, "plan", *ON, "--json"))
    assert [step["change"] for step in plan] == [
        "WAREHOUSE_SIZE X-Small → SMALL, AUTO_SUSPEND 60 → 120",
        "CREDIT_QUOTA 2.00 → 7",
    ]
    member.ok(ACCESS, "apply", *ON, "--yes")
    warehouse = account.model.account.things[Ref("WAREHOUSE", ("DBT_UP_WH",))].properties
    assert (warehouse["WAREHOUSE_SIZE"], warehouse["AUTO_SUSPEND"]) == ("SMALL", 120)
    monitor = account.model.account.things[Ref("RESOURCE_MONITOR", ("DBT_UP_MONITOR",))]
    assert monitor.properties["CREDIT_QUOTA"] == 7
    assert "Nothing to change" in member.ok(ACCESS, "plan", *ON)


def test_apply_stops_at_the_first_failure_and_goes_on_from_there(
    render: Render, account: Account
) -> None:
    member = account.on(render(**demo_answers("dbt_up")))
    file = member.path / "snowflake/02_create_roles_and_users.sql"
    good = file.read_text()
    file.write_text(good.replace("TO USER DBT_UP_SVC;", "TO USER NOBODY_OF_THAT_NAME;"))
    said = member.refused(ACCESS, "apply", *ON, "--yes")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "NOBODY" in text)
    assert f"snowflake/02_create_roles_and_users.sql:{line}:" in said
    assert "NOBODY_OF_THAT_NAME" in said
    assert re.search(r"\d+ of 42 statements done", said)
    file.write_text(good)
    done = member.ok(ACCESS, "apply", *ON, "--yes")
    assert "CREATE WAREHOUSE" not in done
    assert "Nothing to change" in member.ok(ACCESS, "plan", *ON)


def test_round_trips_do_not_grow_with_models(demo: dict[str, Member], account: Account) -> None:
    up = account.on(demo["dbt_up"])
    up.ok(ACCESS, "apply", *ON, "--yes")

    def trips(command: str) -> int:
        before = len(account.statements)
        assert up.run(ACCESS, command, *ON).stderr.count("error") == 0
        return len(account.statements) - before

    def build(numbers: range) -> None:
        for number in numbers:
            for schema in ("RAW", "STAGING", "MARTS"):
                name = f"DBT_UP_PROD.{schema}.T{number}"
                account.model.execute(f"CREATE TABLE {name} (ID INT)", "DBT_UP_ROLE", "DBT_UP_SVC")

    build(range(1))
    few = (trips("plan"), trips("verify"))
    build(range(1, 400))
    assert (trips("plan"), trips("verify")) == few
    assert few[0] < 45


def test_the_roles_statements_run_under_are_enough(
    demo: dict[str, Member], account: Account
) -> None:
    """Somebody with the four admin roles, one at a time, and nothing by inheritance."""
    account.model.add_admin("DBA", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "ACCOUNTADMIN")
    account.user = "DBA"
    account.on(demo["dbt_up"]).ok(ACCESS, "apply", *ON, "--yes")
    roles = {record.role for record in account.statements if record.sql.startswith("CREATE ")}
    assert roles == {"SYSADMIN", "USERADMIN", "ACCOUNTADMIN"}


# ── verify ────────────────────────────────────────────────────────────────────────────


def test_verify_names_each_difference_and_fix_revokes_what_is_its_own(
    demo: dict[str, Member], account: Account
) -> None:
    for name in ("dbt_up", "dbt_down"):
        account.on(demo[name]).ok(ACCESS, "apply", *ON, "--yes")
    up, down = account.on(demo["dbt_up"]), account.on(demo["dbt_down"])
    account.model.execute("CREATE TABLE DBT_UP_PROD.MARTS.T (ID INT)", "DBT_UP_ROLE")
    account.model.run_script(
        """
        USE ROLE ACCOUNTADMIN;
        GRANT SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.RAW
            TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ;
        USE ROLE SECURITYADMIN;
        GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE PUBLIC;
        GRANT INSERT ON TABLE DBT_UP_PROD.MARTS.T TO ROLE DBT_UP_DEV_ROLE;
        GRANT SELECT ON TABLE DBT_UP_PROD.MARTS.T TO ROLE DBT_DOWN_ROLE;
        REVOKE USAGE ON SCHEMA DBT_UP_PROD.STAGING FROM ROLE DBT_UP_DEV_ROLE;
        """
    )
    found = up.refused(ACCESS, "verify", *ON, status=2)
    for extra in (
        "USAGE ON DATABASE DBT_UP_PROD TO ROLE PUBLIC",
        "SELECT ON FUTURE TABLES IN SCHEMA DBT_UP_PROD.RAW "
        "TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
        "INSERT ON TABLE DBT_UP_PROD.MARTS.T TO ROLE DBT_UP_DEV_ROLE",
    ):
        assert f"extra    {extra}" in found
    assert (
        "missing  GRANT USAGE ON ALL SCHEMAS IN DATABASE DBT_UP_PROD TO ROLE DBT_UP_DEV_ROLE"
        in found
    )
    assert "WRONG    DBT_DOWN_ROLE: SELECT * FROM DBT_UP_PROD.MARTS.T LIMIT 0 is allowed" in found

    # What another project holds of it shows there, and is not that project's to revoke.
    elsewhere = down.refused(ACCESS, "verify", *ON, "--fix", status=2)
    assert "extra    SELECT ON TABLE DBT_UP_PROD.MARTS.T TO ROLE DBT_DOWN_ROLE" in elsewhere
    assert "not this project's" in elsewhere

    fixed = json.loads(up.refused(ACCESS, "verify", *ON, "--fix", "--json", status=2))
    assert len(fixed["revoked"]) == 3
    assert fixed["extra"] == []
    account.model.execute("REVOKE SELECT ON DBT_UP_PROD.MARTS.T FROM ROLE DBT_DOWN_ROLE")
    up.ok(ACCESS, "apply", *ON, "--yes")
    for member in (up, down):
        member.ok(ACCESS, "verify", *ON)


def test_verify_tries_what_must_fail(demo: dict[str, Member], account: Account) -> None:
    for name in ("dbt_up", "dbt_down"):
        account.on(demo[name]).ok(ACCESS, "apply", *ON, "--yes")
    for sql in (
        "CREATE TABLE DBT_UP_PROD.RAW.ORDERS AS SELECT 1 AS ID",
        "CREATE TABLE DBT_UP_PROD.MARTS.PUBLIC_ORDERS AS SELECT 1 AS ID",
        "GRANT SELECT ON DBT_UP_PROD.MARTS.PUBLIC_ORDERS TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
    ):
        account.model.execute(sql, "DBT_UP_ROLE", "DBT_UP_SVC")
    tried = json.loads(account.on(demo["dbt_down"]).ok(ACCESS, "verify", *ON, "--json"))["probes"]
    outcomes = {(probe["role"], probe["statement"].split()[3]): probe["outcome"] for probe in tried}
    assert outcomes == {
        (who, table): outcome
        for who in ("DBT_DOWN_ROLE", "DBT_DOWN_DEV_ROLE")
        for table, outcome in (
            ("DBT_UP_PROD.MARTS.PUBLIC_ORDERS", "allowed"),
            ("DBT_UP_PROD.RAW.ORDERS", "denied"),
        )
    }
    account.model.run_script(
        """
        USE ROLE SECURITYADMIN;
        GRANT USAGE ON SCHEMA DBT_UP_PROD.RAW TO ROLE DBT_DOWN_ROLE;
        GRANT SELECT ON TABLE DBT_UP_PROD.RAW.ORDERS TO ROLE DBT_DOWN_ROLE;
        """
    )
    wrong = account.on(demo["dbt_down"]).refused(ACCESS, "verify", *ON, status=2)
    assert (
        "WRONG    DBT_DOWN_ROLE: SELECT * FROM DBT_UP_PROD.RAW.ORDERS LIMIT 0 is allowed" in wrong
    )


# ── what goes wrong ───────────────────────────────────────────────────────────────────


def changed(account: Account | Standin) -> set[Ref]:
    return {ref for ref in account.model.account.things if "DBT_" in "".join(ref.name)}


def test_what_is_somebody_elses_is_left_alone(demo: dict[str, Member], account: Account) -> None:
    """Unless it is taken over: tests/test_snowflake_adopt.py."""
    account.model.execute(
        "CREATE DATABASE DBT_UP_DEV COMMENT = 'Finance, do not touch'", "SYSADMIN"
    )
    before = changed(account)
    up = account.on(demo["dbt_up"])
    for command in ("apply", "teardown"):
        said = up.refused(ACCESS, command, *ON, "--yes")
        assert "DATABASE DBT_UP_DEV exists and is not dbt_up's" in said
        assert "Finance, do not touch" in said
    assert "only `apply --adopt` runs them" in up.ok(ACCESS, "plan", *ON)
    assert "apply --adopt" in up.refused(ACCESS, "verify", *ON, status=2)
    assert changed(account) == before
    account.model.execute("COMMENT ON DATABASE DBT_UP_DEV IS 'dbt mesh: dbt_up'", "SYSADMIN")
    up.ok(ACCESS, "apply", *ON, "--yes")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("dbt_down", "DATABASE ROLE DBT_UP_PROD.PUBLIC_READ does not exist yet"),
        ("dbt_down_loom", "WAREHOUSE DBT_DOWN_WH does not exist yet"),
    ],
)
def test_the_other_project_comes_first(
    demo: dict[str, Member], account: Account, name: str, missing: str
) -> None:
    assert missing in account.on(demo[name]).refused(ACCESS, "apply", *ON, "--yes")
    assert changed(account) == set()


@pytest.mark.parametrize("lacking", ["SECURITYADMIN", "ACCOUNTADMIN", "USERADMIN", "SYSADMIN"])
def test_a_missing_admin_role_is_named_before_anything_is_done(
    demo: dict[str, Member], account: Account, lacking: str
) -> None:
    roles = {
        "SECURITYADMIN": ["SYSADMIN"],
        "ACCOUNTADMIN": ["SECURITYADMIN", "SYSADMIN"],
        # USERADMIN comes with SECURITYADMIN: only an account of somebody else's making lacks it
        "USERADMIN": ["SYSADMIN"],
        "SYSADMIN": ["SECURITYADMIN"],
    }[lacking]
    account.model.add_admin("HELPER", *roles)
    account.user = "HELPER"
    said = account.on(demo["dbt_up"]).refused(ACCESS, "apply", *ON, "--yes")
    assert re.search(r"HELPER \(connection admin\) has no role [A-Z]+ADMIN", said)
    assert "GRANT ROLE" in said
    assert changed(account) == set()


def test_without_a_terminal_nothing_is_done_unasked(
    demo: dict[str, Member], account: Account
) -> None:
    up = account.on(demo["dbt_up"])
    assert "--yes" in up.refused(ACCESS, "apply", *ON)
    assert changed(account) == set()
    up.ok(ACCESS, "apply", *ON, "--yes")
    before = changed(account)
    assert "--yes" in up.refused(ACCESS, "teardown", *ON)
    assert changed(account) == before


def test_connections_that_do_not_work(
    demo: dict[str, Member], laptop: Laptop, standin: Standin, tmp_path: Path
) -> None:
    up = on(laptop, demo["dbt_up"])
    laptop.connection("wrong", user=ADMIN, password="no")
    laptop.connection("elsewhere", user=ADMIN, password=PASSWORD, account="OTHER-ACCOUNT")
    assert "no connection to Snowflake" in up.refused(ACCESS, "apply")
    assert "nosuch" in up.refused(ACCESS, "verify", "--connection", "nosuch")
    assert "ncorrect username or password" in up.refused(ACCESS, "apply", "--connection", "wrong")
    said = up.refused(ACCESS, "apply", "--connection", "elsewhere", "--yes")
    assert "OTHER-ACCOUNT" in said
    assert "TESTORG-STANDIN" in said
    key = tmp_path / "key.p8"
    key.write_text("-----BEGIN PUBLIC KEY-----\n")
    up = Member(
        up.path,
        {**up.environment, "SNOWFLAKE_USER": ADMIN, "SNOWFLAKE_PRIVATE_KEY_PATH": str(key)},
    )
    key.chmod(0o644)
    assert "can be read by others" in up.refused(ACCESS, "verify")
    key.chmod(0o600)
    assert "public key" in up.refused(ACCESS, "verify")
    key.unlink()
    assert "no key file" in up.refused(ACCESS, "verify")
    standin.stop()
    assert changed(standin) == set()


def test_by_the_environment_and_by_a_key(
    demo: dict[str, Member], laptop: Laptop, standin: Standin
) -> None:
    up = on(laptop, demo["dbt_up"])
    laptop.give_keys(ADMIN)
    key = str(laptop.home / ".snowflake/keys" / f"{ADMIN}.p8")
    up.ok(ACCESS, "plan", SNOWFLAKE_USER=ADMIN, SNOWFLAKE_PRIVATE_KEY_PATH=key)
    up.ok(ACCESS, "plan", SNOWFLAKE_USER=ADMIN, SNOWFLAKE_PASSWORD=PASSWORD)
    assert len(standin.sign_ins) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("role", "x; DROP DATABASE y"),
        ("warehouse", '"quoted"'),
        ("service_user", "with space"),
        ("role", "A" * 256),
        ("role", "ROLLE_Ä"),
        ("database_prefix", "lower"),
        ("role", ""),
    ],
)
def test_names_that_are_none_are_refused(
    demo: dict[str, Member], tmp_path: Path, key: str, value: str
) -> None:
    folder = tmp_path / "dbt_up"
    shutil.copytree(demo["dbt_up"].path, folder)
    text = (folder / "mesh.yml").read_text()
    (folder / "mesh.yml").write_text(
        re.sub(rf"(?m)^(\s*){key}: .*$", lambda m: f"{m[1]}{key}: {json.dumps(value)}", text)
    )
    said = Member(folder, {}).refused(ACCESS, "plan")
    assert key in said


def test_sql_of_the_members_own_is_part_of_it(render: Render, account: Account) -> None:
    """A file that a team adds is planned, applied, in the matrix, and no drift."""
    member = account.on(render(**demo_answers("dbt_up")))
    (member.path / "snowflake/05_loader.sql").write_text(
        "USE ROLE USERADMIN;\nCREATE ROLE IF NOT EXISTS LOADER COMMENT = 'dbt mesh: dbt_up';\n"
        "USE ROLE SECURITYADMIN;\n"
        "-- The loader fills RAW.\n"
        "GRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE LOADER;\n"
        "GRANT USAGE, CREATE TABLE ON SCHEMA DBT_UP_PROD.RAW TO ROLE LOADER;\n"
    )
    member.ok(ACCESS, "apply", *ON, "--yes")
    member.ok(ACCESS, "verify", *ON)
    assert "| `LOADER` |  | `DBT_UP_PROD.RAW` (schema) | CREATE TABLE, USAGE |" in member.ok(
        ACCESS, "matrix"
    )
    assert account.model.can("LOADER", "CREATE TABLE", "DBT_UP_PROD.RAW")
    assert role("LOADER") in account.model.account.things
    readers = member.path / "snowflake/06_readers.sql"
    readers.write_text(
        "USE ROLE SECURITYADMIN;\nGRANT USAGE ON DATABASE DBT_UP_PROD TO ROLE NO_SUCH_BI;\n"
    )
    said = member.refused(ACCESS, "apply", *ON, "--yes")
    assert "ROLE NO_SUCH_BI does not exist yet: nothing was changed. Create it, or correct" in said
    assert "upstream_roles" not in said
    readers.unlink()
    (member.path / "snowflake/06_wrong.sql").write_text("SELECT 1;\n")
    assert "snowflake/06_wrong.sql:1: no USE ROLE" in member.refused(ACCESS, "plan")
