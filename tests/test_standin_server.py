"""The stand-in as a server: sign-in, data, faults, with the real connector."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import snowflake.connector
from snowflake.connector import DatabaseError, SnowflakeConnection
from snowflake.connector.errors import Error, ProgrammingError

from tests.snowflake_standin import ADMIN, PASSWORD, SnowflakeError, Standin, split_statements
from tests.snowflake_standin.fixtures import producer_sql, rsa_key
from tests.snowflake_standin.keys import fingerprint
from tests.snowflake_standin.signin import Request, sign_in

ISSUER = "https://token.actions.githubusercontent.com"


def run(connection: SnowflakeConnection, script: str) -> list[tuple[object, ...]]:
    """Run statements; the rows of the last of them."""
    cursor = connection.cursor()
    for statement in split_statements(script):
        cursor.execute(statement)
    return list(cursor.fetchall())


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with Standin(named_key_pairs=True) as standin, standin.admin_connection() as admin:
        run(admin, producer_sql())
        yield standin


@pytest.fixture
def deployer(standin: Standin) -> Iterator[SnowflakeConnection]:
    """The service user, in a schema of its own."""
    with standin.connect(
        user="UP_SVC",
        private_key=rsa_key().private_der,
        role="UP_ROLE",
        warehouse="UP_WH",
        database="UP_PROD",
    ) as connection:
        run(connection, "CREATE OR REPLACE SCHEMA UP_PROD.SCRATCH; USE SCHEMA UP_PROD.SCRATCH")
        yield connection


def admin(standin: Standin, script: str) -> list[tuple[object, ...]]:
    with standin.admin_connection() as connection:
        return run(connection, script)


# -- sign-in ----------------------------------------------------------------------------------


def test_starts_at_once() -> None:
    begun = time.perf_counter()
    with Standin() as one, Standin() as other:
        assert time.perf_counter() - begun < 2
        assert one.port != other.port
        admin(one, "CREATE DATABASE ONLY_HERE")
        assert not [row for row in admin(other, "SHOW DATABASES") if "ONLY_HERE" in row]


def test_a_registered_key_opens_a_session(deployer: SnowflakeConnection) -> None:
    assert run(
        deployer, "SELECT CURRENT_ROLE(), CURRENT_USER(), CURRENT_WAREHOUSE(), CURRENT_DATABASE()"
    ) == [("UP_ROLE", "UP_SVC", "UP_WH", "UP_PROD")]
    assert run(deployer, "SELECT CURRENT_SECONDARY_ROLES()") == [('{"roles": "", "value": ""}',)]
    assert run(deployer, "SELECT CURRENT_AVAILABLE_ROLES() AS r") == [('["PUBLIC", "UP_ROLE"]',)]
    assert deployer.role == "UP_ROLE"


def test_another_key_is_refused(standin: Standin) -> None:
    with pytest.raises(DatabaseError, match="JWT token is invalid") as caught:
        standin.connect(user="UP_SVC", private_key=rsa_key("stranger").private_der)
    assert caught.value.errno == 390144
    assert not standin.sign_ins[-1].ok


def token(**changes: object) -> str:
    """A key-pair token of the service user, with changes to its claims."""
    now = int(time.time())
    claims = {
        "iss": f"TESTORG-STANDIN.UP_SVC.{fingerprint(rsa_key().public)}",
        "sub": "TESTORG-STANDIN.UP_SVC",
        "iat": now,
        "exp": now + 60,
    }
    return jwt.encode({**claims, **changes}, rsa_key().private_pem, algorithm="RS256")


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({}, True),
        ({"exp": 1}, False),
        ({"sub": "TESTORG-STANDIN.UP_CI_SVC"}, False),
        ({"sub": "OTHER-ACCOUNT.UP_SVC"}, False),
        ({"iss": "TESTORG-STANDIN.UP_SVC.SHA256:AAAA"}, False),
    ],
)
def test_every_part_of_a_token_is_checked(
    standin: Standin, changes: dict[str, object], accepted: bool
) -> None:
    # who signs in is told by the token, not by LOGIN_NAME, which some drivers leave out
    data = {"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": token(**changes)}
    if accepted:
        assert sign_in(standin.model, Request(data)).user == "UP_SVC"
    else:
        with pytest.raises(SnowflakeError, match="JWT token is invalid"):
            sign_in(standin.model, Request(data))


def test_rotation_has_no_moment_without_a_key(standin: Standin) -> None:
    new = rsa_key("rotated")
    admin(
        standin, f"USE ROLE USERADMIN; ALTER USER UP_CI_SVC SET RSA_PUBLIC_KEY_2 = '{new.public}'"
    )
    for key in (rsa_key(), new):
        standin.connect(user="UP_CI_SVC", private_key=key.private_der).close()
    admin(standin, "USE ROLE USERADMIN; ALTER USER UP_CI_SVC UNSET RSA_PUBLIC_KEY_2")
    with pytest.raises(DatabaseError):
        standin.connect(user="UP_CI_SVC", private_key=new.private_der)


def test_a_named_key_pair_signs_in_with_its_role_until_it_expires(standin: Standin) -> None:
    key = rsa_key("named")
    admin(
        standin,
        f"""USE ROLE USERADMIN;
        ALTER USER UP_SVC ADD KEY PAIR CI PUBLIC_KEY = '{key.public}' ROLE_RESTRICTION = 'UP_ROLE'
            DAYS_TO_EXPIRY = 90""",
    )
    signs_in = {"user": "UP_SVC", "private_key": key.private_der}
    standin.connect(**signs_in, role="UP_ROLE").close()
    with pytest.raises(DatabaseError, match="JWT token is invalid"):  # the role is not named
        standin.connect(**signs_in)
    clock = standin.model.clock
    try:
        standin.model.clock = lambda: clock() + 91 * 86_400
        with pytest.raises(DatabaseError):
            standin.connect(**signs_in, role="UP_ROLE")
    finally:
        standin.model.clock = clock
    admin(standin, "USE ROLE USERADMIN; ALTER USER UP_SVC REMOVE KEY PAIR CI")


def test_passwords_are_for_people(standin: Standin) -> None:
    standin.connect(user=ADMIN, password=PASSWORD).close()
    for user in (ADMIN, "UP_SVC", "NO_ONE"):
        with pytest.raises(DatabaseError, match="Incorrect username or password") as caught:
            standin.connect(user=user, password="wrong")
        assert caught.value.errno == 390100


@pytest.mark.parametrize("role", ["UP_DEV_ROLE", "NO_SUCH_ROLE", "ACCOUNTADMIN"])
def test_a_role_must_be_granted(standin: Standin, role: str) -> None:
    with pytest.raises(DatabaseError, match="does not exist or not authorized") as caught:
        standin.connect(user="UP_SVC", private_key=rsa_key().private_der, role=role)
    assert caught.value.errno == 390189


def test_a_disabled_user_is_refused(standin: Standin) -> None:
    admin(standin, "USE ROLE USERADMIN; ALTER USER UP_CI_SVC SET DISABLED = TRUE")
    with pytest.raises(DatabaseError, match="disabled"):
        standin.connect(user="UP_CI_SVC", private_key=rsa_key().private_der)
    admin(standin, "USE ROLE USERADMIN; ALTER USER UP_CI_SVC SET DISABLED = FALSE")


def test_workload_identity_matches_all_but_the_signature(standin: Standin) -> None:
    admin(
        standin,
        f"""USE ROLE USERADMIN;
        CREATE USER WORKLOAD TYPE = SERVICE DEFAULT_ROLE = UP_ROLE DEFAULT_SECONDARY_ROLES = ()
            WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{ISSUER}'
                                 SUBJECT = 'repo:org/repo:environment:prod');
        USE ROLE SECURITYADMIN; GRANT ROLE UP_ROLE TO USER WORKLOAD""",
    )

    def signed_in(subject: str, audience: str = "snowflakecomputing.com", age: int = 0) -> str:
        expires = int(time.time()) + 60 - age
        claims = {"iss": ISSUER, "sub": subject, "aud": audience, "exp": expires}
        token = jwt.encode(claims, rsa_key("github").private_pem, algorithm="RS256")
        data = {"AUTHENTICATOR": "WORKLOAD_IDENTITY", "PROVIDER": "OIDC", "TOKEN": token}
        return sign_in(standin.model, Request(data)).user

    assert signed_in("repo:org/repo:environment:prod") == "WORKLOAD"
    for wrong in (
        ("repo:org/repo:pull_request",),
        ("repo:org/repo:environment:prod", "sts.amazonaws.com"),
        ("repo:org/repo:environment:prod", "snowflakecomputing.com", 300),
    ):
        with pytest.raises(SnowflakeError, match="Workload identity"):
            signed_in(*wrong)


# -- statements -------------------------------------------------------------------------------


def test_errors_carry_snowflakes_numbers(deployer: SnowflakeConnection) -> None:
    with pytest.raises(ProgrammingError) as caught:
        run(deployer, "SELECT * FROM UP_DEV.PUBLIC.T")
    assert (caught.value.errno, caught.value.sqlstate) == (2003, "42S02")
    with pytest.raises(ProgrammingError, match="Insufficient privileges") as caught:
        run(deployer, "CREATE DATABASE X")
    assert (caught.value.errno, caught.value.sqlstate) == (3001, "42501")
    with pytest.raises(ProgrammingError, match="stand-in: unknown statement"):
        run(deployer, "EXECUTE IMMEDIATE 'SELECT 1'")


def test_data(deployer: SnowflakeConnection) -> None:
    run(deployer, "CREATE TABLE t (id INT, name VARCHAR); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    merge = """MERGE INTO t USING (SELECT 2 AS id, 'c' AS name UNION ALL SELECT 3, 'd') s
        ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name
        WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"""
    assert run(deployer, merge) == [(1, 1)]
    assert run(deployer, "SELECT * FROM t ORDER BY id") == [(1, "a"), (2, "c"), (3, "d")]
    assert run(deployer, "INSERT OVERWRITE INTO t SELECT * FROM t WHERE id = 1") == [(1,)]
    assert run(deployer, "SELECT COUNT(*) FROM t") == [(1,)]
    run(deployer, "CREATE TABLE u CLONE t; ALTER TABLE u ADD COLUMN more INT, other DATE")
    assert [row[0] for row in run(deployer, "DESCRIBE TABLE u")] == ["ID", "NAME", "MORE", "OTHER"]
    run(deployer, "ALTER TABLE u SWAP WITH t; TRUNCATE TABLE t; DROP TABLE t")
    assert run(deployer, "SELECT id FROM u") == [(1,)]


def test_bound_values(deployer: SnowflakeConnection) -> None:
    run(deployer, "CREATE TABLE b (id INT, name VARCHAR)")
    cursor = deployer.cursor()
    cursor.executemany("INSERT INTO b VALUES (%s, %s)", [(1, "it's"), (2, None)])
    cursor.execute("SELECT name FROM b WHERE id = %s", (1,))
    assert cursor.fetchall() == [("it's",)]


def test_a_statement_that_fails_on_data_changes_no_access(
    standin: Standin, deployer: SnowflakeConnection
) -> None:
    with pytest.raises(Error):
        run(deployer, "CREATE TABLE broken AS SELECT no_such_column FROM (SELECT 1 AS a)")
    assert not run(deployer, "SHOW TABLES LIKE 'broken'")


def test_transactions(standin: Standin, deployer: SnowflakeConnection) -> None:
    run(deployer, "CREATE TABLE x (id INT); BEGIN; INSERT INTO x VALUES (1); ROLLBACK")
    assert run(deployer, "SELECT COUNT(*) FROM x") == [(0,)]
    run(deployer, "BEGIN; INSERT INTO x VALUES (1); COMMIT; COMMIT")
    # An error inside leaves a session that goes on, and DDL commits.
    run(deployer, "BEGIN; INSERT INTO x VALUES (2)")
    with pytest.raises(Error):
        run(deployer, "INSERT INTO x VALUES ('not a number')")
    run(deployer, "BEGIN; INSERT INTO x VALUES (3); CREATE TABLE y (id INT); ROLLBACK")
    assert run(deployer, "SELECT MAX(id) FROM x") == [(3,)]


def test_temporary_relations_end_with_their_session(
    standin: Standin, deployer: SnowflakeConnection
) -> None:
    with standin.connect(
        user="UP_SVC", private_key=rsa_key().private_der, database="UP_PROD", schema="SCRATCH"
    ) as other:
        run(other, "CREATE TEMPORARY TABLE tt (a INT); INSERT INTO tt VALUES (1)")
        run(other, "CREATE OR REPLACE TEMPORARY VIEW tv AS SELECT * FROM tt")
        assert run(other, "SELECT * FROM tv") == [(1,)]
    assert not run(deployer, "SHOW OBJECTS LIKE 't_'")
    run(deployer, "CREATE TABLE tt (a INT)")


def test_information_schema_shows_what_the_role_sees(
    standin: Standin, deployer: SnowflakeConnection
) -> None:
    run(deployer, "CREATE TABLE t (id INT); CREATE VIEW v AS SELECT id FROM t")
    sql = """SELECT table_name, table_type, table_owner FROM UP_PROD.INFORMATION_SCHEMA.TABLES
        WHERE table_schema = 'SCRATCH' ORDER BY 1"""
    assert run(deployer, sql) == [("T", "BASE TABLE", "UP_ROLE"), ("V", "VIEW", "UP_ROLE")]
    columns = "SELECT column_name FROM UP_PROD.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'V'"
    assert run(deployer, columns) == [("ID",)]
    with standin.connect(
        user="UP_CI_SVC", private_key=rsa_key().private_der, warehouse="UP_WH"
    ) as other:
        assert run(other, sql) == []
        assert run(other, columns) == []


def test_audits_of_account_usage_run_and_are_empty(standin: Standin) -> None:
    sql = """USE WAREHOUSE UP_WH;
        SELECT user_name, COUNT(*) FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY
        WHERE role_name = 'ACCOUNTADMIN' AND start_time > DATEADD(day, -7, CURRENT_TIMESTAMP())
        GROUP BY user_name"""
    assert admin(standin, sql) == []
    with pytest.raises(Error):
        admin(standin, "USE WAREHOUSE UP_WH; SELECT typo FROM SNOWFLAKE.ACCOUNT_USAGE.USERS")


# -- what tests can do to it ------------------------------------------------------------------


def test_statements_are_recorded(standin: Standin, deployer: SnowflakeConnection) -> None:
    before = len(standin.statements)
    run(deployer, "ALTER SESSION SET QUERY_TAG = 'nightly'; SELECT 1")
    with pytest.raises(Error):
        run(deployer, "DROP DATABASE UP_PROD")
    _, good, bad = standin.statements[before:]
    assert (good.user, good.role, good.sql, good.ok) == ("UP_SVC", "UP_ROLE", "SELECT 1", True)
    assert good.query_tag == "nightly"
    assert "Insufficient" in (bad.error or "")


def test_faults(standin: Standin, deployer: SnowflakeConnection) -> None:
    standin.faults.fail("^select 2", nth=2, errno=3001, sqlstate="42501", message="not today")
    run(deployer, "SELECT 2")
    with pytest.raises(ProgrammingError, match="not today"):
        run(deployer, "SELECT 2")
    run(deployer, "SELECT 2")
    standin.faults.drop_connection("^select 3")
    assert run(deployer, "SELECT 3") == [(3,)]  # the connector tries again
    standin.faults.delay("^select 4", 0.2)
    begun = time.perf_counter()
    run(deployer, "SELECT 4")
    assert time.perf_counter() - begun >= 0.2
    standin.faults.clear()


def test_a_named_connection_leads_to_it(standin: Standin, tmp_path: Path) -> None:
    path = tmp_path / "connections.toml"
    path.write_text(standin.connections_toml(demo={"user": ADMIN, "password": PASSWORD}))
    path.chmod(0o600)
    with snowflake.connector.connect(
        connection_name="demo", connections_file_path=path
    ) as connection:
        assert run(connection, "SELECT CURRENT_USER()") == [(ADMIN,)]


def test_a_stopped_server_is_gone() -> None:
    with Standin() as standin:
        connection = standin.connect(
            user=ADMIN, password=PASSWORD, login_timeout=1, network_timeout=1
        )
        standin.stop()
        with pytest.raises(Error):
            connection.cursor().execute("SELECT 1")
        with pytest.raises(Error):
            standin.connect(user=ADMIN, password=PASSWORD, login_timeout=1)


# -- what a registry's tables need ------------------------------------------------------------


def test_a_view_asks_which_database_roles_the_session_has(
    standin: Standin, deployer: SnowflakeConnection
) -> None:
    run(
        deployer,
        """
        CREATE TABLE NAMES (NAME VARCHAR);
        INSERT INTO NAMES VALUES ('PUBLIC_READ'), ('UP_PROD.PUBLIC_READ'), ('NOBODY'), (NULL);
        CREATE SECURE VIEW BY_ROLE AS
            SELECT NAME FROM NAMES WHERE IS_DATABASE_ROLE_IN_SESSION(NAME);
        """,
    )
    asked = "SELECT NAME FROM UP_PROD.SCRATCH.BY_ROLE"
    assert run(deployer, asked) == []
    admin(standin, "GRANT DATABASE ROLE UP_PROD.PUBLIC_READ TO ROLE UP_ROLE")
    assert run(deployer, asked) == [("PUBLIC_READ",)]
    admin(standin, "REVOKE DATABASE ROLE UP_PROD.PUBLIC_READ FROM ROLE UP_ROLE")
    assert run(deployer, asked) == []
    view = "SELECT NAME FROM NAMES WHERE IS_DATABASE_ROLE_IN_SESSION('PUBLIC_READ')"
    with pytest.raises(ProgrammingError, match="something other than a column"):
        run(deployer, f"CREATE VIEW BY_LITERAL AS {view}")


@pytest.mark.parametrize("parallel", [True, False])
def test_inserts_run_side_by_side(parallel: bool) -> None:
    """Each reads what was committed before it began: so both find nothing there yet."""
    once = "INSERT INTO DB.PUBLIC.T SELECT ? WHERE NOT EXISTS (SELECT 1 FROM DB.PUBLIC.T)"
    with Standin(parallel_inserts=parallel) as standin:
        connect = {"user": ADMIN, "password": PASSWORD, "paramstyle": "qmark"}
        with standin.connect(**connect) as one, standin.connect(**connect) as other:
            run(one, "CREATE DATABASE DB; CREATE WAREHOUSE WH; CREATE TABLE DB.PUBLIC.T (ID INT)")
            other.cursor().execute("USE WAREHOUSE WH")
            standin.faults.meanwhile("INSERT", lambda: other.cursor().execute(once, (2,)))
            one.cursor().execute(once, (1,))
            found = run(one, "SELECT ID FROM DB.PUBLIC.T ORDER BY ID")
            assert found == ([(1,), (2,)] if parallel else [(1,)])


def test_a_lost_answer_runs_a_statement_twice() -> None:
    with Standin() as standin, standin.admin_connection() as one:
        run(one, "CREATE DATABASE DB; CREATE WAREHOUSE WH; CREATE TABLE DB.PUBLIC.T (ID INT)")
        standin.faults.lose_answer("INSERT")
        run(one, "INSERT INTO DB.PUBLIC.T VALUES (1)")
        assert run(one, "SELECT ID FROM DB.PUBLIC.T") == [(1,), (1,)]


def test_what_its_data_engine_cannot_hold_is_an_error_and_no_silence() -> None:
    with Standin() as standin, standin.admin_connection() as connection:
        cursor = connection.cursor()
        cursor.execute("USE ROLE SYSADMIN")
        with pytest.raises(ProgrammingError, match="has no database called 'My-db'"):
            cursor.execute('CREATE DATABASE "My-db"')
        cursor.execute("SHOW DATABASES LIKE 'My-db'")
        assert cursor.fetchall() == []
