"""The stand-in's pure model: who may do what, and what each statement needs."""

from __future__ import annotations

import pytest

from tests.snowflake_standin import (
    READS,
    Behaviour,
    Fact,
    Model,
    SnowflakeError,
    matrix,
    split_statements,
)
from tests.snowflake_standin.fixtures import producer_sql, rsa_key
from tests.snowflake_standin.names import role

TABLE = "UP_PROD.MARTS.ORDERS"


def produced(**switches: bool) -> Model:
    """A producer with one table, one view, and a role that may use the warehouse alone."""
    model = Model()
    model.behaviour = Behaviour(**switches)
    model.run_script(producer_sql())
    model.run_script("""
        USE ROLE USERADMIN; CREATE ROLE NOBODY;
        USE ROLE SECURITYADMIN; GRANT USAGE ON WAREHOUSE UP_WH TO ROLE NOBODY;
    """)
    run(model, "UP_ROLE", f"CREATE TABLE {TABLE} (id INT)")
    run(model, "UP_ROLE", "CREATE VIEW UP_PROD.MARTS.V AS SELECT * FROM ORDERS")
    return model


@pytest.fixture
def model() -> Model:
    return produced()


def run(model: Model, role: str, *statements: str, secondary: bool = False) -> None:
    session = model.session(role)
    session.warehouse, session.secondary = "UP_WH", secondary
    for statement in statements:
        model.execute_in(session, statement)


def admin(model: Model, script: str) -> None:
    model.run_script(f"USE ROLE SECURITYADMIN; {script}")


def refused(model: Model, role: str, statement: str, errno: int, says: str = "") -> None:
    before = matrix(model, include_admin=True)
    with pytest.raises(SnowflakeError) as caught:
        run(model, role, statement)
    assert caught.value.errno == errno, caught.value
    assert says in str(caught.value)
    assert matrix(model, include_admin=True) == before, "a refused statement changed something"


MISSING, INSUFFICIENT = 2003, 3001


def grants(model: Model, name: str) -> set[tuple[object, object]]:
    rows = model.execute(f"SHOW GRANTS ON {name}").dicts()
    return {(row["privilege"], row["grantee_name"]) for row in rows}


# -- each privilege has the statement that fails without it ---------------------------------

IN_DATABASE = "GRANT USAGE ON DATABASE UP_PROD TO ROLE NOBODY;"
INSIDE = f"{IN_DATABASE} GRANT USAGE ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY;"
SEEN = f"{INSIDE} GRANT REFERENCES ON TABLE {TABLE} TO ROLE NOBODY;"
# What is in a managed access schema is given to roles below its owner.
BELOW = f"{SEEN} GRANT ROLE NOBODY TO ROLE UP_ROLE;"
HIDDEN, SEEN_ONLY, CLOSED = MISSING, INSUFFICIENT, 2043
DB, SCHEMA, NEW = "DATABASE UP_PROD", "SCHEMA UP_PROD.MARTS", "UP_PROD.MARTS.N"


@pytest.mark.parametrize(
    ("before", "grant", "statement", "errno"),
    [
        (INSIDE, f"SELECT ON TABLE {TABLE}", f"SELECT * FROM {TABLE}", HIDDEN),
        (SEEN, f"SELECT ON TABLE {TABLE}", f"SELECT * FROM {TABLE}", SEEN_ONLY),
        (SEEN, f"INSERT ON TABLE {TABLE}", f"INSERT INTO {TABLE} VALUES (1)", SEEN_ONLY),
        (SEEN, f"UPDATE ON TABLE {TABLE}", f"UPDATE {TABLE} SET id = 1", SEEN_ONLY),
        (SEEN, f"DELETE ON TABLE {TABLE}", f"DELETE FROM {TABLE}", SEEN_ONLY),
        (SEEN, f"TRUNCATE ON TABLE {TABLE}", f"TRUNCATE TABLE {TABLE}", SEEN_ONLY),
        (BELOW, f"OWNERSHIP ON TABLE {TABLE}", f"DROP TABLE {TABLE}", SEEN_ONLY),
        (BELOW, f"OWNERSHIP ON TABLE {TABLE}", f"ALTER TABLE {TABLE} ADD x INT", SEEN_ONLY),
        (BELOW, f"OWNERSHIP ON TABLE {TABLE}", f"COMMENT ON TABLE {TABLE} IS 'x'", SEEN_ONLY),
        (INSIDE, f"CREATE TABLE ON {SCHEMA}", f"CREATE TABLE {NEW} (a INT)", SEEN_ONLY),
        (INSIDE, f"CREATE VIEW ON {SCHEMA}", f"CREATE VIEW {NEW} AS SELECT 1 a", SEEN_ONLY),
        (INSIDE, f"CREATE SCHEMA ON {DB}", "CREATE SCHEMA UP_PROD.N", SEEN_ONLY),
        (INSIDE, f"CREATE DATABASE ROLE ON {DB}", "CREATE DATABASE ROLE UP_PROD.N", SEEN_ONLY),
        (INSIDE, f"MODIFY ON {DB}", f"ALTER {DB} SET COMMENT = 'x'", SEEN_ONLY),
        (INSIDE, f"MODIFY ON {SCHEMA}", f"ALTER {SCHEMA} SET COMMENT = 'x'", SEEN_ONLY),
        (INSIDE, f"OWNERSHIP ON {SCHEMA}", f"DROP {SCHEMA}", SEEN_ONLY),
        ("", f"USAGE ON {DB}", f"USE {DB}", CLOSED),
        ("", "OPERATE ON WAREHOUSE UP_WH", "ALTER WAREHOUSE UP_WH SUSPEND", SEEN_ONLY),
        ("", "MODIFY ON WAREHOUSE UP_WH", "ALTER WAREHOUSE UP_WH SET AUTO_SUSPEND = 9", SEEN_ONLY),
        ("", "OWNERSHIP ON WAREHOUSE UP_WH", "DROP WAREHOUSE UP_WH", SEEN_ONLY),
        ("", "MONITOR ON USER UP_SVC", "DESC USER UP_SVC", SEEN_ONLY),
        ("", "OWNERSHIP ON USER UP_SVC", "ALTER USER UP_SVC SET COMMENT = 'x'", SEEN_ONLY),
        ("", "OWNERSHIP ON ROLE UP_READER", "DROP ROLE UP_READER", SEEN_ONLY),
        ("", "OWNERSHIP ON ROLE UP_READER", "GRANT ROLE UP_READER TO ROLE UP_ROLE", SEEN_ONLY),
    ],
)
def test_a_privilege_is_needed_and_is_enough(
    model: Model, before: str, grant: str, statement: str, errno: int
) -> None:
    admin(model, before)
    refused(model, "NOBODY", statement, errno)
    admin(model, f"GRANT {grant} TO ROLE NOBODY {'COPY CURRENT GRANTS' * grant.startswith('OWN')}")
    run(model, "NOBODY", statement)


@pytest.mark.parametrize(
    ("privilege", "statement"),
    [
        ("CREATE ROLE", "CREATE ROLE N"),
        ("CREATE USER", "CREATE USER N TYPE = SERVICE"),
        ("CREATE DATABASE", "CREATE DATABASE N"),
        ("CREATE WAREHOUSE", "CREATE WAREHOUSE N"),
        ("CREATE NETWORK POLICY", "CREATE NETWORK POLICY N ALLOWED_IP_LIST = ('10.0.0.0/8')"),
        ("MANAGE WAREHOUSES", "ALTER WAREHOUSE UP_WH SET AUTO_SUSPEND = 9"),
        ("MANAGE GRANTS", "GRANT SELECT ON VIEW UP_PROD.MARTS.V TO ROLE NOBODY"),
    ],
)
def test_global_privileges(model: Model, privilege: str, statement: str) -> None:
    with pytest.raises(SnowflakeError):
        run(model, "NOBODY", statement)
    refused(model, "USERADMIN", "GRANT CREATE DATABASE ON ACCOUNT TO ROLE NOBODY", INSUFFICIENT)
    run(model, "ACCOUNTADMIN", f"GRANT {privilege} ON ACCOUNT TO ROLE NOBODY")
    run(model, "NOBODY", statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("SYSADMIN", "CREATE ROLE N"),
        ("SYSADMIN", "CREATE USER N"),
        ("USERADMIN", "CREATE DATABASE N"),
        ("SECURITYADMIN", "CREATE WAREHOUSE N"),
        ("SYSADMIN", "GRANT ROLE NOBODY TO ROLE SYSADMIN"),
        ("SYSADMIN", "CREATE RESOURCE MONITOR M WITH CREDIT_QUOTA = 4"),
        ("SECURITYADMIN", "CREATE RESOURCE MONITOR M WITH CREDIT_QUOTA = 4"),
        ("SYSADMIN", "ALTER ACCOUNT SET NETWORK_POLICY = P"),
        ("SECURITYADMIN", "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE NOBODY"),
        ("SECURITYADMIN", "ALTER ACCOUNT SET STATEMENT_TIMEOUT_IN_SECONDS = 60"),
        ("UP_ROLE", "ALTER USER UP_SVC SET COMMENT = 'x'"),
        ("UP_ROLE", "ALTER USER UP_SVC SET DEFAULT_SECONDARY_ROLES = ('ALL')"),
        ("UP_ROLE", "GRANT ROLE UP_ROLE TO USER UP_CI_SVC"),
    ],
)
def test_each_admin_role_only_does_its_own(model: Model, role: str, statement: str) -> None:
    refused(model, role, statement, INSUFFICIENT)


def test_admin_roles_inherit_as_in_every_account() -> None:
    model = Model()
    assert {"SYSADMIN", "SECURITYADMIN", "USERADMIN", "PUBLIC"} <= {
        ref.name[0] for ref in model.account.reach(role("ACCOUNTADMIN"))
    }
    assert role("USERADMIN") in model.account.reach(role("SECURITYADMIN"))
    assert role("USERADMIN") not in model.account.reach(role("SYSADMIN"))


# -- reading --------------------------------------------------------------------------------


def test_select_needs_usage_on_database_and_schema(model: Model) -> None:
    admin(model, f"GRANT SELECT ON TABLE {TABLE} TO ROLE NOBODY")
    refused(model, "NOBODY", f"SELECT * FROM {TABLE}", MISSING)
    admin(model, "GRANT USAGE ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY")
    refused(model, "NOBODY", f"SELECT * FROM {TABLE}", MISSING)
    assert not model.can("NOBODY", "SELECT", TABLE)
    admin(model, "GRANT USAGE ON DATABASE UP_PROD TO ROLE NOBODY")
    run(model, "NOBODY", f"SELECT * FROM {TABLE}")
    assert model.can("NOBODY", "SELECT", TABLE)
    assert not model.can("NOBODY", "INSERT", TABLE)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM (SELECT * FROM {0})",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM {0})",
        "WITH a AS (SELECT * FROM {0}) SELECT 1",
        "WITH orders AS (SELECT * FROM {0}) SELECT * FROM orders",
        "SELECT * FROM UP_PROD.MARTS.V UNION ALL SELECT * FROM {0}",
        "SELECT (SELECT MAX(id) FROM {0})",
        "SELECT * FROM UP_PROD.MARTS.V JOIN {0} USING (id)",
        "CREATE TABLE UP_DEV.PR.N AS SELECT * FROM {0}",
        "CREATE VIEW UP_DEV.PR.N AS SELECT * FROM {0}",
        "CREATE TABLE UP_DEV.PR.N CLONE {0}",
        "CREATE TABLE UP_DEV.PR.N LIKE {0}",
        "INSERT INTO UP_DEV.PR.T SELECT * FROM {0}",
        "MERGE INTO UP_DEV.PR.T USING {0} s ON s.id = T.id WHEN MATCHED THEN DELETE",
        "DELETE FROM UP_DEV.PR.T USING {0} s WHERE s.id = T.id",
        "UPDATE UP_DEV.PR.T SET id = s.id FROM {0} s",
    ],
)
def test_every_relation_a_statement_reads_is_checked(model: Model, statement: str) -> None:
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR", "CREATE TABLE UP_DEV.PR.T (id INT)")
    admin(model, f"REVOKE SELECT ON TABLE {TABLE} FROM ROLE UP_DEV_ROLE")
    refused(model, "UP_DEV_ROLE", statement.format(TABLE), MISSING)
    admin(model, f"GRANT SELECT ON TABLE {TABLE} TO ROLE UP_DEV_ROLE")
    run(model, "UP_DEV_ROLE", statement.format(TABLE))


def test_a_cte_hides_a_table_only_where_it_is_in_scope(model: Model) -> None:
    session = model.session("UP_READER")
    session.warehouse, session.database, session.schema = "UP_WH", "UP_PROD", "MARTS"
    model.execute_in(session, "WITH orders AS (SELECT 1 AS id) SELECT * FROM orders")
    for sql in (
        "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders",
        "SELECT * FROM (WITH orders AS (SELECT 1 a) SELECT * FROM orders) JOIN orders USING (a)",
        'WITH "orders" AS (SELECT 1 AS id) SELECT * FROM orders',
    ):
        with pytest.raises(SnowflakeError, match="ORDERS"):
            model.execute_in(session, sql)


def test_a_view_runs_with_the_rights_of_its_owner(model: Model) -> None:
    """The reader needs SELECT on the view alone; its owner needs it on what is behind."""
    run(
        model,
        "UP_ROLE",
        "GRANT SELECT ON VIEW UP_PROD.MARTS.V TO DATABASE ROLE UP_PROD.PUBLIC_READ",
    )
    run(model, "UP_READER", "SELECT * FROM UP_PROD.MARTS.V")
    refused(model, "UP_READER", f"SELECT * FROM {TABLE}", MISSING)
    fact = Fact("UP_READER", "VIEW", "UP_PROD.MARTS.V", READS)
    assert fact in matrix(model)
    # The table goes to another owner: now the view's owner cannot read it any more.
    run(model, "ACCOUNTADMIN", "ALTER SCHEMA UP_PROD.MARTS DISABLE MANAGED ACCESS")
    admin(model, f"GRANT OWNERSHIP ON TABLE {TABLE} TO ROLE NOBODY REVOKE CURRENT GRANTS")
    refused(model, "UP_READER", "SELECT * FROM UP_PROD.MARTS.V", 2037)
    assert fact not in matrix(model)
    assert fact._replace(privilege="SELECT") in matrix(model)


def test_a_view_cannot_be_made_over_what_its_author_cannot_read(model: Model) -> None:
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR")
    admin(model, f"REVOKE SELECT ON TABLE {TABLE} FROM ROLE UP_DEV_ROLE")
    refused(model, "UP_DEV_ROLE", f"CREATE VIEW UP_DEV.PR.V AS SELECT * FROM {TABLE}", MISSING)


def test_a_query_needs_a_warehouse_that_the_role_may_use(model: Model) -> None:
    admin(model, f"{INSIDE} GRANT SELECT ON TABLE {TABLE} TO ROLE NOBODY")
    model.execute("SELECT 1", "NOBODY")
    with pytest.raises(SnowflakeError, match="No active warehouse"):
        model.execute(f"SELECT * FROM {TABLE}", "NOBODY")
    admin(model, "REVOKE USAGE ON WAREHOUSE UP_WH FROM ROLE NOBODY")
    refused(model, "NOBODY", f"SELECT * FROM {TABLE}", 606)
    refused(model, "NOBODY", "USE WAREHOUSE UP_WH", 2043)


def test_whoever_manages_grants_reads_no_data(model: Model) -> None:
    run(model, "SECURITYADMIN", "GRANT USAGE ON WAREHOUSE UP_WH TO ROLE SECURITYADMIN")
    refused(model, "SECURITYADMIN", f"SELECT * FROM {TABLE}", MISSING)
    refused(model, "SECURITYADMIN", f"DROP TABLE {TABLE}", INSUFFICIENT)
    model.execute(f"SHOW GRANTS ON TABLE {TABLE}", "SECURITYADMIN")


def test_information_schema_needs_usage_on_the_database(model: Model) -> None:
    refused(model, "NOBODY", "SELECT * FROM UP_PROD.INFORMATION_SCHEMA.TABLES", MISSING)
    run(model, "UP_READER", "SELECT * FROM UP_PROD.INFORMATION_SCHEMA.TABLES")


def test_account_usage_is_read_through_viewer_roles(model: Model) -> None:
    sql = "SELECT * FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY"
    refused(model, "NOBODY", sql, MISSING)
    run(model, "ACCOUNTADMIN", sql)
    run(model, "ACCOUNTADMIN", "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE NOBODY")
    run(model, "NOBODY", sql)
    refused(model, "NOBODY", "SELECT * FROM SNOWFLAKE.ACCOUNT_USAGE.LOGIN_HISTORY", MISSING)


# -- grants ---------------------------------------------------------------------------------


def test_in_a_managed_schema_only_its_owner_grants(model: Model) -> None:
    admin(model, "GRANT ROLE NOBODY TO ROLE UP_ROLE")
    admin(model, f"GRANT OWNERSHIP ON TABLE {TABLE} TO ROLE NOBODY COPY CURRENT GRANTS; {INSIDE}")
    grant = f"GRANT SELECT ON TABLE {TABLE} TO ROLE UP_READER"
    refused(model, "NOBODY", grant, INSUFFICIENT)
    run(model, "UP_ROLE", grant)
    # In a schema that is not managed, it is the object's owner.
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR", "CREATE TABLE UP_DEV.PR.T (a INT)")
    run(model, "UP_DEV_ROLE", "GRANT SELECT ON UP_DEV.PR.T TO ROLE NOBODY")


def test_managed_access_takes_ownership_and_manage_grants(model: Model) -> None:
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR")
    refused(model, "UP_DEV_ROLE", "ALTER SCHEMA UP_DEV.PR ENABLE MANAGED ACCESS", INSUFFICIENT)


def test_future_grants_of_a_schema_shadow_those_of_its_database(model: Model) -> None:
    run(model, "SYSADMIN", "GRANT USAGE ON DATABASE UP_PROD TO ROLE SECURITYADMIN")
    admin(model, "GRANT SELECT ON FUTURE TABLES IN DATABASE UP_PROD TO ROLE NOBODY")
    run(model, "UP_ROLE", "CREATE TABLE UP_PROD.MARTS.A (a INT)")
    assert ("SELECT", "NOBODY") not in grants(model, "TABLE UP_PROD.MARTS.A")
    assert ("SELECT", "UP_DEV_ROLE") in grants(model, "TABLE UP_PROD.MARTS.A")
    # Another kind of object, and a schema without future grants of its own, are not shadowed.
    run(model, "UP_ROLE", "CREATE SCHEMA UP_PROD.OTHER", "CREATE TABLE UP_PROD.OTHER.A (a INT)")
    assert ("SELECT", "NOBODY") in grants(model, "TABLE UP_PROD.OTHER.A")
    admin(model, "GRANT SELECT ON FUTURE VIEWS IN DATABASE UP_PROD TO ROLE NOBODY")
    revoke = "REVOKE SELECT ON FUTURE VIEWS IN SCHEMA UP_PROD.MARTS FROM ROLE UP_DEV_ROLE"
    run(model, "ACCOUNTADMIN", revoke)
    run(model, "UP_ROLE", "CREATE VIEW UP_PROD.MARTS.W AS SELECT 1 a")
    assert ("SELECT", "NOBODY") in grants(model, "VIEW UP_PROD.MARTS.W")


def test_future_grants_take_manage_grants_or_a_managed_schema(model: Model) -> None:
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR")
    grant = "GRANT SELECT ON FUTURE TABLES IN SCHEMA {} TO ROLE NOBODY"
    refused(model, "UP_DEV_ROLE", grant.format("UP_DEV.PR"), INSUFFICIENT)
    run(model, "UP_ROLE", grant.format("UP_PROD.MARTS"))
    refused(model, "SYSADMIN", grant.format("UP_DEV.PR"), MISSING)
    run(model, "SECURITYADMIN", grant.format("UP_DEV.PR"), grant.format("UP_PROD.MARTS"))
    # For a database role whoever manages grants needs USAGE on its database, but not to revoke.
    future = f"SELECT ON FUTURE VIEWS IN SCHEMA UP_PROD.MARTS {{}} {READER}"
    refused(model, "SECURITYADMIN", f"GRANT {future.format('TO')}", MISSING)
    run(model, "ACCOUNTADMIN", f"GRANT {future.format('TO')}")
    run(model, "SECURITYADMIN", f"REVOKE {future.format('FROM')}")
    run(model, "SYSADMIN", "GRANT USAGE ON DATABASE UP_PROD TO ROLE SECURITYADMIN")
    run(model, "SECURITYADMIN", f"GRANT {future.format('TO')}", f"REVOKE {future.format('FROM')}")
    rows = model.execute("SHOW FUTURE GRANTS IN SCHEMA UP_PROD.MARTS").dicts()
    assert {"NOBODY", "UP_DEV_ROLE"} == {row["grantee_name"] for row in rows}
    assert rows[0]["name"] == "UP_PROD.MARTS.<TABLE>"


def test_future_ownership(model: Model) -> None:
    run(model, "UP_ROLE", "CREATE SCHEMA UP_PROD.PLAIN")
    grant = "GRANT OWNERSHIP ON FUTURE TABLES IN {} TO ROLE {}"
    run(model, "ACCOUNTADMIN", *(grant.format("SCHEMA UP_PROD.PLAIN", "NOBODY"),) * 2)
    refused(model, "ACCOUNTADMIN", grant.format("SCHEMA UP_PROD.PLAIN", "UP_DEV_ROLE"), 1008)
    run(model, "UP_ROLE", "CREATE TABLE UP_PROD.PLAIN.A (a INT)")
    assert ("OWNERSHIP", "NOBODY") in grants(model, "TABLE UP_PROD.PLAIN.A")


def test_future_ownership_and_managed_schemas(model: Model) -> None:
    """Of the database it ends there; of the schema it is for a role below its owner, who stays."""
    run(model, "UP_ROLE", "DROP TABLE UP_PROD.MARTS.ORDERS")
    run(
        model,
        "SECURITYADMIN",
        "REVOKE SELECT ON FUTURE TABLES IN SCHEMA UP_PROD.MARTS FROM ROLE UP_DEV_ROLE",
    )
    grant = "GRANT OWNERSHIP ON FUTURE TABLES IN {} TO ROLE NOBODY"
    run(model, "ACCOUNTADMIN", grant.format("DATABASE UP_PROD"))
    run(model, "UP_ROLE", "CREATE TABLE UP_PROD.MARTS.A (a INT)")
    assert ("OWNERSHIP", "UP_ROLE") in grants(model, "TABLE UP_PROD.MARTS.A")
    inside = grant.format("SCHEMA UP_PROD.MARTS")
    refused(model, "ACCOUNTADMIN", inside, 1008)
    run(model, "SECURITYADMIN", "GRANT ROLE NOBODY TO ROLE UP_ROLE")
    run(model, "ACCOUNTADMIN", inside)
    move = "GRANT OWNERSHIP ON SCHEMA UP_PROD.MARTS TO ROLE UP_DEV_ROLE COPY CURRENT GRANTS"
    refused(model, "ACCOUNTADMIN", move, 1008)
    run(model, "ACCOUNTADMIN", inside.replace("GRANT", "REVOKE").replace(" TO ", " FROM "), move)


def test_secondary_roles_add_up_but_do_not_create(model: Model) -> None:
    admin(
        model, "GRANT ROLE UP_ROLE TO USER STANDIN_ADMIN; GRANT ROLE NOBODY TO USER STANDIN_ADMIN"
    )
    sql = f"INSERT INTO {TABLE} SELECT * FROM {TABLE}"
    refused(model, "NOBODY", sql, MISSING)
    run(model, "NOBODY", sql, secondary=True)
    session = model.session("NOBODY")
    model.execute_in(session, "USE SECONDARY ROLES ALL")
    with pytest.raises(SnowflakeError, match="Insufficient"):
        model.execute_in(session, "CREATE TABLE UP_PROD.MARTS.N (a INT)")
    model.execute_in(session, "USE SECONDARY ROLES NONE")
    with pytest.raises(SnowflakeError, match="not authorized"):
        model.execute_in(session, f"DESCRIBE TABLE {TABLE}")


def test_users_have_all_secondary_roles_unless_told_otherwise(model: Model) -> None:
    model.run_script(
        "USE ROLE USERADMIN; CREATE USER PERSON;"
        "CREATE USER ROBOT TYPE = SERVICE DEFAULT_SECONDARY_ROLES = ();"
    )
    assert model.session("PUBLIC", "PERSON").secondary
    assert not model.session("PUBLIC", "ROBOT").secondary


def test_database_roles_stay_in_their_database(model: Model) -> None:
    role = "DATABASE ROLE UP_PROD.PUBLIC_READ"
    for grant in (
        f"USAGE ON WAREHOUSE UP_WH TO {role}",
        f"USAGE ON DATABASE UP_DEV TO {role}",
        "DATABASE ROLE UP_PROD.PUBLIC_READ TO DATABASE ROLE UP_DEV.R",
    ):
        model.run_script("USE ROLE SYSADMIN; CREATE OR REPLACE DATABASE ROLE UP_DEV.R;")
        refused(model, "SECURITYADMIN", f"GRANT {grant}", 1008)
    refused(model, "SECURITYADMIN", "GRANT ROLE NOBODY TO DATABASE ROLE UP_PROD.PUBLIC_READ", 1003)
    run(model, "SYSADMIN", f"GRANT {role} TO USER UP_SVC", f"REVOKE {role} FROM USER UP_SVC")
    model.run_script(
        "USE ROLE SYSADMIN; CREATE DATABASE ROLE UP_PROD.OTHER; USE ROLE SECURITYADMIN;"
        f"GRANT {role} TO DATABASE ROLE UP_PROD.OTHER;"
        "GRANT DATABASE ROLE UP_PROD.OTHER TO ROLE NOBODY"
    )
    assert model.can("NOBODY", "USAGE", "UP_PROD.MARTS")


def test_roles_are_not_granted_in_circles(model: Model) -> None:
    admin(model, "GRANT ROLE NOBODY TO ROLE UP_READER")
    refused(model, "SECURITYADMIN", "GRANT ROLE UP_READER TO ROLE NOBODY", 3036)


def test_ownership_moves_with_or_without_its_grants(model: Model) -> None:
    view = "UP_PROD.MARTS.V"
    run(model, "UP_ROLE", f"GRANT SELECT ON VIEW {view} TO ROLE UP_READER")
    admin(model, "GRANT ROLE NOBODY TO ROLE UP_ROLE")
    refused(model, "SECURITYADMIN", f"GRANT OWNERSHIP ON VIEW {view} TO ROLE NOBODY", 3041)
    admin(model, f"GRANT OWNERSHIP ON VIEW {view} TO ROLE NOBODY COPY CURRENT GRANTS")
    assert grants(model, f"VIEW {view}") >= {("OWNERSHIP", "NOBODY"), ("SELECT", "UP_READER")}
    admin(model, f"GRANT OWNERSHIP ON VIEW {view} TO ROLE UP_ROLE REVOKE CURRENT GRANTS")
    assert grants(model, f"VIEW {view}") == {("OWNERSHIP", "UP_ROLE")}
    refused(model, "UP_READER", f"GRANT OWNERSHIP ON VIEW {view} TO ROLE NOBODY", MISSING)


def test_grant_option_can_be_passed_on_and_taken_back(model: Model) -> None:
    run(model, "UP_DEV_ROLE", "CREATE SCHEMA UP_DEV.PR", "CREATE TABLE UP_DEV.PR.T (a INT)")
    admin(
        model,
        "GRANT USAGE ON DATABASE UP_DEV TO ROLE NOBODY;"
        "GRANT USAGE ON SCHEMA UP_DEV.PR TO ROLE NOBODY;"
        "GRANT SELECT ON UP_DEV.PR.T TO ROLE NOBODY WITH GRANT OPTION",
    )
    run(model, "NOBODY", "GRANT SELECT ON UP_DEV.PR.T TO ROLE UP_READER")
    refused(model, "NOBODY", "GRANT INSERT ON UP_DEV.PR.T TO ROLE UP_READER", INSUFFICIENT)
    admin(model, "REVOKE GRANT OPTION FOR SELECT ON UP_DEV.PR.T FROM ROLE NOBODY")
    refused(model, "NOBODY", "GRANT SELECT ON UP_DEV.PR.T TO ROLE UP_READER", INSUFFICIENT)
    run(model, "NOBODY", "SELECT * FROM UP_DEV.PR.T")


def test_grants_on_all_objects_and_of_all_privileges(model: Model) -> None:
    run(model, "UP_ROLE", "GRANT SELECT ON ALL TABLES IN SCHEMA UP_PROD.MARTS TO ROLE UP_READER")
    assert ("SELECT", "UP_READER") in grants(model, f"TABLE {TABLE}")
    assert ("SELECT", "UP_READER") not in grants(model, "VIEW UP_PROD.MARTS.V")
    run(model, "UP_ROLE", f"GRANT ALL ON TABLE {TABLE} TO ROLE NOBODY")
    assert {("DELETE", "NOBODY"), ("SELECT", "NOBODY")} <= grants(model, f"TABLE {TABLE}")
    assert ("OWNERSHIP", "NOBODY") not in grants(model, f"TABLE {TABLE}")
    run(model, "UP_ROLE", f"REVOKE ALL PRIVILEGES ON TABLE {TABLE} FROM ROLE NOBODY")
    assert not [g for g in grants(model, f"TABLE {TABLE}") if g[1] == "NOBODY"]
    # Revoking what is not there is no error.
    run(model, "UP_ROLE", f"REVOKE SELECT ON {TABLE} FROM NOBODY")


# -- replacing, cloning, renaming, dropping ---------------------------------------------------

READER = "DATABASE ROLE UP_PROD.PUBLIC_READ"


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize(
    ("clause", "kept"),
    [("", None), ("COPY GRANTS", True), ("IGNORE GRANTS", False)],
)
@pytest.mark.parametrize(
    ("kind", "body"),
    [("TABLE", "(id INT)"), ("VIEW", "AS SELECT 1 AS id"), ("TABLE", "AS SELECT 1 AS id")],
)
def test_create_or_replace_under_both_behaviours(
    copies: bool, clause: str, kept: bool | None, kind: str, body: str
) -> None:
    """BCR-2433: with it grants are copied and future grants are not added, without it reversed."""
    model = produced(copy_grants_on_replace=copies)
    name = TABLE if kind == "TABLE" else "UP_PROD.MARTS.V"
    run(model, "UP_ROLE", f"GRANT SELECT ON {kind} {name} TO {READER}")
    admin(model, f"REVOKE SELECT ON {kind} {name} FROM ROLE UP_DEV_ROLE")
    sql = f"CREATE OR REPLACE {kind} {name} {clause} {body}"
    if clause == "IGNORE GRANTS" and not copies:
        refused(model, "UP_ROLE", sql, 1003)
        return
    run(model, "UP_ROLE", sql)
    expected = copies if kept is None else kept
    assert (("SELECT", "PUBLIC_READ") in grants(model, f"{kind} {name}")) == expected
    assert (("SELECT", "UP_DEV_ROLE") in grants(model, f"{kind} {name}")) != expected


def test_replacing_takes_ownership_and_the_right_to_create(model: Model) -> None:
    admin(model, f"{SEEN} GRANT CREATE TABLE ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY")
    refused(model, "NOBODY", f"CREATE OR REPLACE TABLE {TABLE} (a INT)", INSUFFICIENT)
    refused(model, "UP_ROLE", f"CREATE TABLE {TABLE} (a INT)", 2002)
    refused(model, "UP_ROLE", f"CREATE OR REPLACE VIEW {TABLE} AS SELECT 1 a", 1998)


@pytest.mark.parametrize(("clause", "kept"), [("", False), ("COPY GRANTS", True)])
@pytest.mark.parametrize("copies", [False, True])
def test_a_clone_has_grants_only_when_asked_to(clause: str, kept: bool, copies: bool) -> None:
    model = produced(copy_grants_on_replace=copies)
    run(model, "UP_ROLE", f"GRANT SELECT ON TABLE {TABLE} TO {READER}")
    run(model, "UP_ROLE", f"CREATE TABLE UP_PROD.MARTS.C CLONE {TABLE} {clause}")
    assert (("SELECT", "PUBLIC_READ") in grants(model, "TABLE UP_PROD.MARTS.C")) == kept


def test_grants_follow_a_renamed_table_and_end_with_a_dropped_one(model: Model) -> None:
    run(model, "UP_ROLE", f"GRANT SELECT ON TABLE {TABLE} TO {READER}")
    run(model, "UP_ROLE", f"ALTER TABLE {TABLE} RENAME TO UP_PROD.MARTS.RENAMED")
    assert ("SELECT", "PUBLIC_READ") in grants(model, "TABLE UP_PROD.MARTS.RENAMED")
    run(model, "UP_ROLE", "DROP TABLE UP_PROD.MARTS.RENAMED", f"CREATE TABLE {TABLE} (id INT)")
    assert ("SELECT", "PUBLIC_READ") not in grants(model, f"TABLE {TABLE}")


def test_swapped_tables_swap_their_grants(model: Model) -> None:
    run(
        model,
        "UP_ROLE",
        f"GRANT SELECT ON TABLE {TABLE} TO {READER}",
        "CREATE TABLE UP_PROD.MARTS.B (id INT)",
    )
    run(model, "UP_ROLE", f"ALTER TABLE {TABLE} SWAP WITH UP_PROD.MARTS.B")
    assert ("SELECT", "PUBLIC_READ") in grants(model, "TABLE UP_PROD.MARTS.B")
    assert ("SELECT", "PUBLIC_READ") not in grants(model, f"TABLE {TABLE}")


def test_dropping(model: Model) -> None:
    refused(model, "UP_ROLE", "DROP VIEW UP_PROD.MARTS.NONE", MISSING)
    run(model, "UP_ROLE", "DROP VIEW IF EXISTS UP_PROD.MARTS.NONE CASCADE")
    refused(model, "UP_ROLE", "DROP TABLE UP_PROD.MARTS.V", 2203)
    refused(model, "UP_ROLE", "DROP TABLE IF EXISTS NOWHERE.A.B", MISSING)
    run(model, "SYSADMIN", "DROP DATABASE UP_PROD")
    assert not [f for f in matrix(model) if f.object.startswith("UP_PROD")]
    assert not model.execute("SHOW GRANTS TO ROLE UP_READER").dicts()[1:]


def test_what_a_dropped_role_owned_goes_to_the_role_that_dropped_it(model: Model) -> None:
    run(model, "SECURITYADMIN", "DROP ROLE UP_ROLE")
    assert ("OWNERSHIP", "SECURITYADMIN") in grants(model, f"TABLE {TABLE}")


# -- other objects --------------------------------------------------------------------------


def test_resource_monitors_belong_to_accountadmin(model: Model) -> None:
    run(
        model,
        "ACCOUNTADMIN",
        "CREATE RESOURCE MONITOR M WITH CREDIT_QUOTA = 4 FREQUENCY = MONTHLY"
        " START_TIMESTAMP = IMMEDIATELY TRIGGERS ON 50 PERCENT DO NOTIFY"
        " ON 90 PERCENT DO SUSPEND ON 100 PERCENT DO SUSPEND_IMMEDIATE",
    )
    refused(model, "SYSADMIN", "ALTER WAREHOUSE UP_WH SET RESOURCE_MONITOR = M", INSUFFICIENT)
    refused(
        model, "ACCOUNTADMIN", "ALTER WAREHOUSE UP_WH SET RESOURCE_MONITOR = NONE_SUCH", MISSING
    )
    run(model, "ACCOUNTADMIN", "ALTER WAREHOUSE UP_WH SET RESOURCE_MONITOR = M")
    row = model.execute("SHOW RESOURCE MONITORS LIKE 'm'").dicts()[0]
    assert (row["credit_quota"], row["suspend_at"], row["notify_at"]) == ("4.00", "90%", "50%")
    assert model.execute("SHOW WAREHOUSES").dicts()[0]["resource_monitor"] == "M"
    run(
        model,
        "ACCOUNTADMIN",
        "ALTER RESOURCE MONITOR M SET CREDIT_QUOTA = 9 TRIGGERS ON 10 PERCENT DO NOTIFY",
    )
    run(model, "ACCOUNTADMIN", "GRANT MODIFY ON RESOURCE MONITOR M TO ROLE NOBODY")
    run(model, "NOBODY", "ALTER RESOURCE MONITOR M SET CREDIT_QUOTA = 5")
    run(model, "ACCOUNTADMIN", "DROP RESOURCE MONITOR M")
    assert model.execute("SHOW WAREHOUSES").dicts()[0]["resource_monitor"] == "null"


def test_policies_are_attached_before_and_detached_after(model: Model) -> None:
    run(
        model,
        "ACCOUNTADMIN",
        "CREATE NETWORK POLICY P ALLOWED_IP_LIST = ('10.0.0.1')"
        " ALLOWED_NETWORK_RULE_LIST = (SNOWFLAKE.NETWORK_SECURITY.GITHUBACTIONS_GLOBAL)",
        "ALTER USER UP_SVC SET NETWORK_POLICY = P",
        "CREATE SCHEMA UP_DEV.POLICIES",
        "CREATE AUTHENTICATION POLICY UP_DEV.POLICIES.KEYS AUTHENTICATION_METHODS = ('KEYPAIR')",
        "ALTER USER UP_SVC SET AUTHENTICATION POLICY UP_DEV.POLICIES.KEYS",
    )
    refused(model, "ACCOUNTADMIN", "DROP NETWORK POLICY P", 3543)
    refused(model, "ACCOUNTADMIN", "DROP AUTHENTICATION POLICY UP_DEV.POLICIES.KEYS", 3543)
    refused(model, "SYSADMIN", "DROP DATABASE UP_DEV", 3543)
    refused(model, "UP_ROLE", "ALTER USER UP_SVC UNSET AUTHENTICATION POLICY", INSUFFICIENT)
    run(
        model,
        "ACCOUNTADMIN",
        "ALTER USER UP_SVC UNSET NETWORK_POLICY",
        "ALTER USER UP_SVC UNSET AUTHENTICATION POLICY",
        "DROP NETWORK POLICY P",
        "DROP DATABASE UP_DEV",
    )


def test_an_object_that_was_there_before(model: Model) -> None:
    model.add_object("INTEGRATION", "GITHUB")
    refused(model, "SYSADMIN", "GRANT USAGE ON INTEGRATION GITHUB TO ROLE NOBODY", MISSING)
    admin(model, "GRANT USAGE ON INTEGRATION GITHUB TO ROLE NOBODY")
    model.add_object("DATABASE", "THEIRS")
    run(model, "SYSADMIN", "CREATE DATABASE IF NOT EXISTS THEIRS")
    refused(model, "SYSADMIN", "ALTER DATABASE THEIRS SET COMMENT = 'ours now'", 2043)
    refused(model, "SYSADMIN", "CREATE SCHEMA THEIRS.S", MISSING)


def test_users(model: Model) -> None:
    key, other = rsa_key("users").public, rsa_key("others").public
    run(model, "USERADMIN", f"ALTER USER UP_SVC SET RSA_PUBLIC_KEY_2 = '{other}'")
    described = {
        str(row["property"]): row["value"] for row in model.execute("DESC USER UP_SVC").dicts()
    }
    assert described["TYPE"] == "SERVICE"
    assert str(described["RSA_PUBLIC_KEY_2_FP"]).startswith("SHA256:")
    assert described["RSA_PUBLIC_KEY_2_FP"] != described["RSA_PUBLIC_KEY_FP"]
    run(model, "USERADMIN", "ALTER USER UP_SVC UNSET RSA_PUBLIC_KEY_2")
    refused(model, "USERADMIN", f"ALTER USER UP_SVC SET RSA_PUBLIC_KEY = '{key[:-20]}'", 3065)
    refused(
        model,
        "USERADMIN",
        f"ALTER USER UP_SVC SET RSA_PUBLIC_KEY = '{rsa_key('short', 1024).public}'",
        3065,
    )
    refused(model, "USERADMIN", "ALTER USER UP_SVC SET PASSWORD = 'x'", 1008)
    refused(
        model,
        "USERADMIN",
        "CREATE USER N TYPE = PERSON WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'i' SUBJECT = 's')",
        1008,
    )
    refused(
        model,
        "USERADMIN",
        "CREATE USER N TYPE = SERVICE WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'i')",
        1008,
    )
    run(model, "USERADMIN", "ALTER USER IF EXISTS NONE_SUCH SET COMMENT = 'x'")
    refused(model, "USERADMIN", "ALTER USER NONE_SUCH SET COMMENT = 'x'", 2043)


def test_named_key_pairs_are_a_switch() -> None:
    first, second = rsa_key("first").public, rsa_key("second").public
    add = (
        f"ALTER USER UP_SVC ADD KEY PAIR CI PUBLIC_KEY = '{first}'"
        " ROLE_RESTRICTION = 'UP_ROLE' DAYS_TO_EXPIRY = 90"
    )
    refused(produced(), "USERADMIN", add, 1003)
    refused(produced(), "USERADMIN", "SHOW USER KEY PAIRS FOR USER UP_SVC", 1003)
    model = produced(named_key_pairs=True)
    refused(model, "UP_ROLE", add, INSUFFICIENT)
    refused(model, "USERADMIN", add.replace("'UP_ROLE'", "'UP_READER'"), MISSING)
    run(model, "USERADMIN", add)
    refused(model, "USERADMIN", add, 1008)
    run(
        model,
        "USERADMIN",
        f"ALTER USER UP_SVC ROTATE KEY PAIR CI PUBLIC_KEY = '{second}'"
        " EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS = 24",
    )
    rows = model.execute("SHOW USER KEY PAIRS FOR USER UP_SVC").dicts()
    assert {str(r["name"]).partition("_ROTATED_")[0] for r in rows} == {"CI"}
    assert [r["status"] for r in rows] == ["ACTIVE", "ACTIVE"]
    assert {r["role_scope"] for r in rows} == {"UP_ROLE"}
    for row in rows:
        run(model, "USERADMIN", f"ALTER USER UP_SVC REMOVE KEY PAIR {row['name']}")
    refused(model, "USERADMIN", "ALTER USER UP_SVC REMOVE KEY PAIR CI", 2043)


def test_if_not_exists_does_not_converge(model: Model) -> None:
    """So a template that relies on it alone is caught by its own tests."""
    run(model, "SYSADMIN", "CREATE WAREHOUSE IF NOT EXISTS UP_WH WITH AUTO_SUSPEND = 999")
    assert model.execute("SHOW WAREHOUSES").dicts()[0]["auto_suspend"] == "60"
    refused(model, "SYSADMIN", "CREATE WAREHOUSE UP_WH", 2002)


def test_use_role_takes_a_granted_role(model: Model) -> None:
    session = model.session("UP_ROLE", "UP_SVC")
    with pytest.raises(SnowflakeError, match="not authorized"):
        model.execute_in(session, "USE ROLE UP_DEV_ROLE")
    model.execute_in(session, "USE ROLE UP_ROLE")


def test_show_lists_what_the_role_may_see(model: Model) -> None:
    refused(model, "NOBODY", "SHOW TABLES IN SCHEMA UP_PROD.MARTS", 2043)
    assert [
        r["name"] for r in model.execute("SHOW OBJECTS IN UP_PROD.MARTS", "UP_ROLE").dicts()
    ] == [
        "ORDERS",
        "V",
    ]
    assert model.execute("SHOW OBJECTS IN UP_PROD.MARTS", "UP_READER").rows == ()
    databases = [r["name"] for r in model.execute("SHOW DATABASES", "UP_READER").dicts()]
    assert databases == ["UP_PROD"]
    rows = model.execute("SHOW TERSE SCHEMAS IN DATABASE UP_PROD LIMIT 10", "UP_ROLE").dicts()
    assert [r["name"] for r in rows] == ["MARTS"]
    # database roles are no secret to who may enter the database
    model.execute("CREATE DATABASE ROLE UP_PROD.OTHER", "SYSADMIN")
    shown = model.execute("SHOW DATABASE ROLES IN DATABASE UP_PROD", "UP_ROLE").dicts()
    assert [r["name"] for r in shown] == ["OTHER", "PUBLIC_READ"]
    refused(model, "NOBODY", "SHOW DATABASE ROLES IN DATABASE UP_PROD", 2043)


def test_show_grants_in_all_its_forms(model: Model) -> None:
    def cells(sql: str, *columns: str) -> set[tuple[object, ...]]:
        return {tuple(row[c] for c in columns) for row in model.execute(sql).dicts()}

    run(model, "UP_ROLE", f"GRANT SELECT ON TABLE {TABLE} TO {READER}")
    assert cells(f"SHOW GRANTS TO {READER}", "privilege", "granted_on", "name") == {
        ("USAGE", "DATABASE", "UP_PROD"),
        ("USAGE", "SCHEMA", "UP_PROD.MARTS"),
        ("SELECT", "TABLE", TABLE),
    }
    assert ("USAGE", "DATABASE_ROLE", "UP_PROD.PUBLIC_READ") in cells(
        "SHOW GRANTS TO ROLE UP_READER", "privilege", "granted_on", "name"
    )
    assert cells(f"SHOW GRANTS OF {READER}", "role", "granted_to", "grantee_name") == {
        ("UP_PROD.PUBLIC_READ", "ROLE", "UP_READER")
    }
    assert cells("SHOW GRANTS TO USER UP_SVC", "role", "granted_to") == {("UP_ROLE", "USER")}
    assert cells("SHOW GRANTS OF ROLE UP_ROLE", "granted_to", "grantee_name") == {
        ("ROLE", "SYSADMIN"),
        ("USER", "UP_SVC"),
    }
    assert ("MANAGE GRANTS", "SECURITYADMIN") in cells(
        "SHOW GRANTS ON ACCOUNT", "privilege", "grantee_name"
    )
    columns = [c.name for c in model.execute(f"SHOW GRANTS ON TABLE {TABLE}").columns]
    assert columns == [
        *("created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name"),
        *("grant_option", "granted_by", "granted_by_role_type"),
    ]


# -- the closed grammar -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "EXECUTE IMMEDIATE $$ DROP DATABASE UP_PROD; $$",
        "CALL SYSTEM$WAIT(1)",
        "CREATE TASK t AS SELECT 1",
        "CREATE OR REPLACE PROCEDURE p() RETURNS INT AS $$ 1 $$",
        "ALTER SESSION SET NO_SUCH_PARAMETER = 1",
        "SET x = 1",
        "SHOW SOMETHING",
        "EXPLAIN SELECT 1",
        "COPY INTO t FROM @s",
        "SELECT * FROM IDENTIFIER('UP_PROD.MARTS.ORDERS')",
        "SELECT * FROM @stage",
        "SELECT * FROM TABLE(MY_FUNCTION(1))",
        "SELECT * FROM TABLE(RESULT_SCAN('x'))",
        "SELECT * FROM LATERAL MY_FUNCTION(1)",
        "SELECT * FROM TABLE('UP_PROD.MARTS.ORDERS')",
        "BEGIN LET x := 1; END",
        "DROP EVERYTHING",
    ],
)
def test_what_the_grammar_does_not_know_is_refused(model: Model, statement: str) -> None:
    with pytest.raises(SnowflakeError, match="stand-in: unknown statement"):
        run(model, "ACCOUNTADMIN", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE USER N TYPE = SERVISE",
        "CREATE USER N RSA_PUBLIC_KEYY = 'x'",
        "CREATE USER N TYPE = SERVICE TYPE = PERSON",
        "CREATE WAREHOUSE N WAREHOUSE_SIZE = TINY",
        "CREATE WAREHOUSE N AUTO_SUSPEND = soon",
        "ALTER WAREHOUSE UP_WH SET INITIALLY_SUSPENDED = TRUE",
        "ALTER WAREHOUSE UP_WH SET",
        "GRANT SELEKT ON TABLE UP_PROD.MARTS.ORDERS TO ROLE NOBODY",
        "GRANT INSERT ON VIEW UP_PROD.MARTS.V TO ROLE NOBODY",
        "GRANT SELECT ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY",
        "GRANT USAGE ON WAREHOUSE UP_WH TO ROLE NOBODY EXTRA",
        "CREATE ROLE IF NOT EXISTS",
        "CREATE OR REPLACE ROLE IF NOT EXISTS N",
        "CREATE AUTHENTICATION POLICY UP_DEV.PUBLIC.P AUTHENTICATION_METHODS = ('KEY_PAIR')",
        "CREATE RESOURCE MONITOR N WITH TRIGGERS ON 50 PERCENT DO NOTHING",
        "DROP ROLE NOBODY CASCADE",
        "GRANT SELECT ON TABLE UP_PROD.MARTS.ORDERS TO SHARE s",
        "SELECT 'never closed",
        'CREATE ROLE "' + "x" * 256 + '"',
    ],
)
def test_typos_are_errors(model: Model, statement: str) -> None:
    with pytest.raises(SnowflakeError):
        run(model, "ACCOUNTADMIN", statement)


def test_scripts_are_split_as_snowflake_reads_them() -> None:
    script = """
        -- a comment; with a semicolon
        CREATE ROLE "a;b" COMMENT = 'it''s; fine';  // another; one
        /* and; a block */
        COMMENT ON ROLE "a;b" IS $$ semi;colon $$;;
        USE ROLE X -- no semicolon at the end
    """
    assert split_statements(script) == [
        "CREATE ROLE \"a;b\" COMMENT = 'it''s; fine'",
        'COMMENT ON ROLE "a;b" IS $$ semi;colon $$',
        "USE ROLE X",
    ]


def test_a_script_stops_at_its_first_failure(model: Model) -> None:
    with pytest.raises(SnowflakeError) as caught:
        model.run_script("USE ROLE USERADMIN; CREATE ROLE A; CREATE DATABASE B; CREATE ROLE C")
    assert caught.value.__notes__ == ["in: CREATE DATABASE B"]
    assert {r["name"] for r in model.execute("SHOW ROLES LIKE '_'").dicts()} == {"A"}


def test_quoted_names_keep_their_case(model: Model) -> None:
    run(model, "UP_ROLE", 'CREATE TABLE UP_PROD.MARTS."Mixed Case" (a INT)')
    run(model, "UP_ROLE", f'GRANT SELECT ON UP_PROD.MARTS."Mixed Case" TO {READER}')
    assert model.can("UP_READER", "SELECT", 'up_prod.marts."Mixed Case"')
    names = {r["name"] for r in model.execute(f"SHOW GRANTS TO {READER}").dicts()}
    assert 'UP_PROD.MARTS."Mixed Case"' in names


def test_the_matrix_is_complete_and_nothing_is_public(model: Model) -> None:
    run(model, "UP_ROLE", f"GRANT SELECT ON {TABLE} TO {READER}")
    facts = matrix(model)
    assert {f for f in facts if f.role == "UP_READER"} == {
        Fact("UP_READER", "WAREHOUSE", "UP_WH", "USAGE"),
        Fact("UP_READER", "DATABASE", "UP_PROD", "USAGE"),
        Fact("UP_READER", "SCHEMA", "UP_PROD.MARTS", "USAGE"),
        Fact("UP_READER", "TABLE", TABLE, "SELECT"),
        Fact("UP_READER", "TABLE", TABLE, READS),
    }
    assert not [f for f in facts if f.role == "PUBLIC"]
    assert Fact("UP_ROLE", "TABLE", TABLE, "OWNERSHIP") in facts
    assert not [f for f in facts if f.role in ("SYSADMIN", "ACCOUNTADMIN")]
    everyone = matrix(model, include_admin=True)
    assert Fact("ACCOUNTADMIN", "TABLE", TABLE, "SELECT") in everyone
    # Roles that everybody has are everybody's privileges.
    admin(model, "GRANT ROLE UP_READER TO ROLE PUBLIC")
    assert Fact("NOBODY", "TABLE", TABLE, READS) in matrix(model)
