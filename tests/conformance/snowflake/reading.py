"""Creates the objects of a run, and asks who may read and change them."""

from __future__ import annotations

from tests.conformance.script import See
from tests.conformance.snowflake.script import (
    PLAIN,
    SCHEMA,
    Question,
    Step,
    T,
    V,
    refused,
    rows,
    set_up,
)
from tests.snowflake_standin.sources import Rule

START: tuple[Step, ...] = (
    *set_up(
        "USERADMIN", *(f"CREATE ROLE {{p}}_{name}" for name in ("OWN", "READ", "NONE", "DELE"))
    ),
    *set_up(
        "USERADMIN",
        "CREATE USER {p}_SVC TYPE = SERVICE DEFAULT_SECONDARY_ROLES = () RSA_PUBLIC_KEY = '{key1}'",
        "CREATE USER {p}_PERSON TYPE = PERSON",
    ),
    *set_up(
        "SYSADMIN",
        "CREATE WAREHOUSE {p}_WH WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 "
        "INITIALLY_SUSPENDED = TRUE STATEMENT_TIMEOUT_IN_SECONDS = 60",
    ),
    Question(
        "monitor-by-sysadmin",
        Rule.MONITORS,
        "SYSADMIN",
        "CREATE RESOURCE MONITOR {p}_RM2 WITH CREDIT_QUOTA = 1",
        See.REFUSED,
    ),
    *set_up(
        "ACCOUNTADMIN",
        "CREATE RESOURCE MONITOR {p}_RM WITH CREDIT_QUOTA = 1 TRIGGERS ON 90 PERCENT DO "
        "SUSPEND_IMMEDIATE",
    ),
    refused(
        "monitor-assigned-by-owner",
        Rule.MONITORS,
        "SYSADMIN",
        "ALTER WAREHOUSE {p}_WH SET RESOURCE_MONITOR = {p}_RM",
    ),
    Question(
        "monitor-assigned",
        Rule.MONITORS,
        "ACCOUNTADMIN",
        "ALTER WAREHOUSE {p}_WH SET RESOURCE_MONITOR = {p}_RM",
    ),
    *set_up(
        "SYSADMIN",
        "CREATE DATABASE {p}_DB",
        "CREATE DATABASE {p}_DB2",
        "CREATE SCHEMA {p}_DB.MANAGED WITH MANAGED ACCESS",
        "CREATE SCHEMA {p}_DB.PLAIN",
        "CREATE DATABASE ROLE {p}_DB.R1",
        "CREATE DATABASE ROLE {p}_DB.R2",
        "CREATE DATABASE ROLE {p}_DB2.R3",
    ),
    *set_up(
        "SECURITYADMIN",
        "GRANT ROLE {p}_OWN TO ROLE SYSADMIN",
        "GRANT ROLE {p}_DELE TO ROLE SYSADMIN",
        *(f"GRANT ROLE {{p}}_{name} TO USER {{me}}" for name in ("OWN", "READ", "NONE", "DELE")),
        "GRANT ROLE {p}_OWN TO USER {p}_SVC",
        *(
            f"GRANT USAGE ON WAREHOUSE {{p}}_WH TO ROLE {{p}}_{name}"
            for name in ("OWN", "READ", "DELE")
        ),
        "GRANT USAGE, CREATE SCHEMA ON DATABASE {p}_DB TO ROLE {p}_OWN",
        f"GRANT OWNERSHIP ON SCHEMA {SCHEMA} TO ROLE {{p}}_OWN COPY CURRENT GRANTS",
        f"GRANT OWNERSHIP ON SCHEMA {PLAIN} TO ROLE {{p}}_OWN COPY CURRENT GRANTS",
    ),
    *set_up(
        "OWN",
        "USE WAREHOUSE {p}_WH",
        f"CREATE TABLE {T} (ID INT)",
        f"CREATE TABLE {PLAIN}.T (ID INT)",
        f"CREATE VIEW {V} AS SELECT ID FROM {T}",
        f"CREATE SECURE VIEW {SCHEMA}.SV AS SELECT ID FROM {T}",
    ),
)


READING: tuple[Step, ...] = (
    Question("read-nothing-granted", Rule.USAGE_OPENS, "READ", f"SELECT * FROM {T}"),
    *set_up("SECURITYADMIN", f"GRANT SELECT ON TABLE {T} TO ROLE {{p}}_READ"),
    Question("read-no-database", Rule.USAGE_OPENS, "READ", f"SELECT * FROM {T}"),
    *set_up("SECURITYADMIN", "GRANT USAGE ON DATABASE {p}_DB TO ROLE {p}_READ"),
    Question("read-no-schema", Rule.USAGE_OPENS, "READ", f"SELECT * FROM {T}"),
    *set_up("SECURITYADMIN", f"GRANT USAGE ON SCHEMA {SCHEMA} TO ROLE {{p}}_READ"),
    Question("read-all-granted", Rule.USAGE_OPENS, "READ", f"SELECT * FROM {T}"),
    Question("hidden-select", Rule.HIDDEN_IS_MISSING, "NONE", f"SELECT * FROM {T}"),
    Question("hidden-database", Rule.HIDDEN_IS_MISSING, "NONE", "USE DATABASE {p}_DB"),
    Question("hidden-describe", Rule.HIDDEN_IS_MISSING, "NONE", f"DESCRIBE TABLE {T}"),
    Question("hidden-drop", Rule.HIDDEN_IS_MISSING, "NONE", f"DROP TABLE {T}"),
    Question("hidden-show", Rule.HIDDEN_IS_MISSING, "NONE", f"SHOW TABLES IN SCHEMA {SCHEMA}"),
    Question("hidden-replace", Rule.HIDDEN_IS_MISSING, "NONE", f"CREATE TABLE {T} (ID INT)"),
    Question("no-such-table", Rule.HIDDEN_IS_MISSING, "READ", f"SELECT * FROM {SCHEMA}.NO_SUCH"),
    *(
        Question(f"denied-{name}", Rule.PRIVILEGE_NEEDED, "READ", sql)
        for name, sql in {
            "insert": f"INSERT INTO {T} VALUES (1)",
            "update": f"UPDATE {T} SET ID = 1",
            "delete": f"DELETE FROM {T}",
            "truncate": f"TRUNCATE TABLE {T}",
            "drop": f"DROP TABLE {T}",
            "alter": f"ALTER TABLE {T} ADD COLUMN B INT",
            "create-table": f"CREATE TABLE {SCHEMA}.N (A INT)",
            "create-view": f"CREATE VIEW {SCHEMA}.N AS SELECT 1 AS A",
            "create-schema": "CREATE SCHEMA {p}_DB.N",
            "create-database": "CREATE DATABASE {p}_X",
            "create-role": "CREATE ROLE {p}_X",
            "create-user": "CREATE USER {p}_X TYPE = SERVICE",
            "create-warehouse": "CREATE WAREHOUSE {p}_X INITIALLY_SUSPENDED = TRUE",
            "suspend": "ALTER WAREHOUSE {p}_WH SUSPEND",
            "resize": "ALTER WAREHOUSE {p}_WH SET AUTO_SUSPEND = 61",
            "alter-schema": f"ALTER SCHEMA {SCHEMA} SET COMMENT = 'x'",
        }.items()
    ),
    Question("useradmin-no-database", Rule.ADMIN_ROLES, "USERADMIN", "CREATE DATABASE {p}_X"),
    Question("sysadmin-no-role", Rule.ADMIN_ROLES, "SYSADMIN", "CREATE ROLE {p}_X"),
    Question(
        "sysadmin-no-grant-of-roles",
        Rule.ADMIN_ROLES,
        "SYSADMIN",
        "GRANT ROLE {p}_READ TO ROLE {p}_NONE",
    ),
    Question(
        "securityadmin-reads-nothing", Rule.ADMIN_ROLES, "SECURITYADMIN", f"SELECT * FROM {T}"
    ),
    Question(
        "securityadmin-no-database", Rule.ADMIN_ROLES, "SECURITYADMIN", "CREATE DATABASE {p}_X"
    ),
    Question("unknown-function", Rule.UNKNOWN_FUNCTION, "READ", "SELECT {p}_NO_SUCH(1)"),
    Question(
        "temporary-table",
        Rule.TEMPORARY,
        "READ",
        f"CREATE TEMPORARY TABLE {SCHEMA}.{{p}}_TMP (A INT)",
    ),
    rows(
        "information-schema",
        Rule.INFORMATION_SCHEMA,
        "READ",
        "SELECT TABLE_NAME, TABLE_TYPE FROM {p}_DB.INFORMATION_SCHEMA.TABLES "
        "WHERE TABLE_SCHEMA = 'MANAGED' AND TABLE_NAME NOT LIKE '%TMP'",
        *("table_name", "table_type"),
    ),
)
