"""Asks who may grant: managed access, future grants, database roles."""

from __future__ import annotations

from tests.conformance.script import See
from tests.conformance.snowflake.script import (
    GRANTS,
    HELD,
    PLAIN,
    R1,
    SCHEMA,
    Question,
    Step,
    T,
    refused,
    rows,
    set_up,
)
from tests.snowflake_standin.sources import Rule

MANAGED: tuple[Step, ...] = (
    Question(
        "managed-owner-grants",
        Rule.MANAGED_ACCESS,
        "OWN",
        f"GRANT SELECT ON TABLE {T} TO ROLE {{p}}_NONE",
    ),
    *set_up("OWN", f"REVOKE SELECT ON TABLE {T} FROM ROLE {{p}}_NONE"),
    *set_up(
        "SECURITYADMIN",
        "GRANT USAGE ON DATABASE {p}_DB TO ROLE {p}_DELE",
        f"GRANT USAGE, CREATE TABLE ON SCHEMA {SCHEMA} TO ROLE {{p}}_DELE",
        f"GRANT USAGE, CREATE TABLE ON SCHEMA {PLAIN} TO ROLE {{p}}_DELE",
    ),
    *set_up("DELE", f"CREATE TABLE {SCHEMA}.D (ID INT)", f"CREATE TABLE {PLAIN}.D (ID INT)"),
    Question(
        "managed-table-owner-grants",
        Rule.MANAGED_ACCESS,
        "DELE",
        f"GRANT SELECT ON TABLE {SCHEMA}.D TO ROLE {{p}}_NONE",
    ),
    Question(
        "plain-table-owner-grants",
        Rule.MANAGED_ACCESS,
        "DELE",
        f"GRANT SELECT ON TABLE {PLAIN}.D TO ROLE {{p}}_NONE",
    ),
    Question(
        "managed-schema-owner-grants-on-others",
        Rule.MANAGED_ACCESS,
        "OWN",
        f"GRANT SELECT ON TABLE {SCHEMA}.D TO ROLE {{p}}_READ",
    ),
    Question(
        "managed-access-by-other",
        Rule.MANAGED_ACCESS,
        "DELE",
        f"ALTER SCHEMA {PLAIN} ENABLE MANAGED ACCESS",
    ),
    refused(
        "managed-owner-below",
        Rule.MANAGED_OWNER,
        "SECURITYADMIN",
        f"GRANT OWNERSHIP ON TABLE {SCHEMA}.D TO ROLE {{p}}_READ COPY CURRENT GRANTS",
    ),
    Question(
        "managed-owner-itself",
        Rule.MANAGED_OWNER_ITSELF,
        "SECURITYADMIN",
        f"GRANT OWNERSHIP ON TABLE {SCHEMA}.D TO ROLE {{p}}_OWN COPY CURRENT GRANTS",
        See.REFUSED,
    ),
    refused(
        "ownership-copied-by-owner",
        Rule.OWNERSHIP,
        "DELE",
        f"GRANT OWNERSHIP ON TABLE {PLAIN}.D TO ROLE {{p}}_NONE COPY CURRENT GRANTS",
    ),
    rows(
        "managed-shown",
        Rule.MANAGED_SHOWN,
        "SECURITYADMIN",
        f"SHOW GRANTS ON SCHEMA {SCHEMA}",
        *GRANTS,
    ),
    rows(
        "plain-shown",
        Rule.MANAGED_SHOWN,
        "SECURITYADMIN",
        f"SHOW GRANTS ON SCHEMA {PLAIN}",
        *GRANTS,
    ),
    rows(
        "managed-option",
        Rule.MANAGED_SHOWN,
        "SECURITYADMIN",
        "SHOW SCHEMAS LIKE 'MANAGED' IN DATABASE {p}_DB",
        *("name", "options"),
    ),
)


_FUTURE, _VIEWS = (f"SELECT ON FUTURE {kind} IN" for kind in ("TABLES", "VIEWS"))
_OWNER = "OWNERSHIP ON FUTURE VIEWS IN SCHEMA"
FUTURES: tuple[Step, ...] = (
    *(
        Question(f"future-{name}", rule, role, sql)
        for name, rule, role, sql in (
            (
                "to-database-role-by-securityadmin",
                Rule.FUTURE_USAGE,
                "SECURITYADMIN",
                f"GRANT {_VIEWS} SCHEMA {PLAIN} TO {R1}",
            ),
            (
                "to-database-role-by-accountadmin",
                Rule.FUTURE_USAGE,
                "ACCOUNTADMIN",
                f"GRANT {_VIEWS} SCHEMA {PLAIN} TO {R1}",
            ),
            (
                "schema-by-securityadmin",
                Rule.FUTURE_USAGE,
                "SECURITYADMIN",
                f"GRANT {_VIEWS} SCHEMA {PLAIN} TO ROLE {{p}}_NONE",
            ),
            (
                "database-by-securityadmin",
                Rule.FUTURE_USAGE,
                "SECURITYADMIN",
                f"GRANT {_FUTURE} DATABASE {{p}}_DB TO ROLE {{p}}_NONE",
            ),
            (
                "database-by-accountadmin",
                Rule.FUTURE_USAGE,
                "ACCOUNTADMIN",
                f"GRANT {_FUTURE} DATABASE {{p}}_DB TO ROLE {{p}}_NONE",
            ),
            (
                "by-owner-of-managed-schema",
                Rule.FUTURE_WHO,
                "OWN",
                f"GRANT {_FUTURE} SCHEMA {SCHEMA} TO ROLE {{p}}_READ",
            ),
            (
                "by-owner-of-plain-schema",
                Rule.FUTURE_WHO,
                "OWN",
                f"GRANT {_FUTURE} SCHEMA {PLAIN} TO ROLE {{p}}_READ",
            ),
            (
                "by-other",
                Rule.FUTURE_WHO,
                "DELE",
                f"GRANT {_FUTURE} SCHEMA {PLAIN} TO ROLE {{p}}_READ",
            ),
        )
    ),
    *set_up("OWN", f"CREATE TABLE {SCHEMA}.F (ID INT)", f"CREATE TABLE {PLAIN}.F (ID INT)"),
    rows(
        "future-shadowed",
        Rule.FUTURE_SHADOWS,
        "SECURITYADMIN",
        f"SHOW GRANTS ON TABLE {SCHEMA}.F",
        *GRANTS,
    ),
    rows(
        "future-given",
        Rule.FUTURE_SHADOWS,
        "SECURITYADMIN",
        f"SHOW GRANTS ON TABLE {PLAIN}.F",
        *GRANTS,
    ),
    *(
        rows(
            f"future-shown-{where.split()[0].lower()}",
            Rule.FUTURE_WHO,
            "ACCOUNTADMIN",
            f"SHOW FUTURE GRANTS IN {where}",
            *("privilege", "grant_on", "name", "grant_to", "grantee_name"),
        )
        for where in (f"SCHEMA {SCHEMA}", "DATABASE {p}_DB")
    ),
    Question(
        "future-revoked-by-securityadmin",
        Rule.FUTURE_USAGE,
        "SECURITYADMIN",
        f"REVOKE {_FUTURE} SCHEMA {SCHEMA} FROM ROLE {{p}}_READ",
    ),
    *set_up(
        "ACCOUNTADMIN",
        f"REVOKE {_FUTURE} SCHEMA {SCHEMA} FROM ROLE {{p}}_READ",
        f"REVOKE {_FUTURE} DATABASE {{p}}_DB FROM ROLE {{p}}_NONE",
        f"REVOKE {_VIEWS} SCHEMA {PLAIN} FROM {R1}",
        f"REVOKE {_VIEWS} SCHEMA {PLAIN} FROM ROLE {{p}}_NONE",
    ),
    refused(
        "future-owner-of-managed-schema",
        Rule.FUTURE_OWNER,
        "ACCOUNTADMIN",
        f"GRANT {_OWNER} {SCHEMA} TO ROLE {{p}}_DELE",
    ),
    *set_up("ACCOUNTADMIN", f"GRANT {_OWNER} {PLAIN} TO ROLE {{p}}_DELE"),
    refused(
        "future-owner-twice",
        Rule.FUTURE_OWNER,
        "ACCOUNTADMIN",
        f"GRANT {_OWNER} {PLAIN} TO ROLE {{p}}_OWN",
    ),
    *set_up("ACCOUNTADMIN", f"REVOKE {_OWNER} {PLAIN} FROM ROLE {{p}}_DELE"),
)


_NAMES = f"{SCHEMA}.NAMES"

DATABASE_ROLES: tuple[Step, ...] = (
    rows(
        "database-role-starts",
        Rule.DATABASE_ROLE_USAGE,
        "SYSADMIN",
        f"SHOW GRANTS TO {R1}",
        *HELD,
    ),
    refused(
        "database-role-elsewhere",
        Rule.DATABASE_ROLE_INSIDE,
        "SYSADMIN",
        f"GRANT USAGE ON DATABASE {{p}}_DB2 TO {R1}",
    ),
    refused(
        "database-role-on-warehouse",
        Rule.DATABASE_ROLE_INSIDE,
        "SYSADMIN",
        f"GRANT USAGE ON WAREHOUSE {{p}}_WH TO {R1}",
    ),
    refused(
        "database-role-to-role-of-other-database",
        Rule.DATABASE_ROLE_INSIDE,
        "SYSADMIN",
        f"GRANT DATABASE ROLE {{p}}_DB2.R3 TO {R1}",
    ),
    Question(
        "deploy-grants-to-database-role",
        Rule.MANAGED_ACCESS,
        "OWN",
        f"GRANT SELECT ON TABLE {T} TO {R1}",
    ),
    *set_up("OWN", f"GRANT USAGE ON SCHEMA {SCHEMA} TO {R1}"),
    Question(
        "database-role-to-role",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"GRANT {R1} TO ROLE {{p}}_NONE",
    ),
    Question("no-warehouse", Rule.WAREHOUSE_NEEDED, "NONE", f"SELECT * FROM {T}"),
    *set_up("SECURITYADMIN", "GRANT USAGE ON WAREHOUSE {p}_WH TO ROLE {p}_NONE"),
    Question("read-by-database-role", Rule.DATABASE_ROLE_USAGE, "NONE", f"SELECT * FROM {T}"),
    *set_up(
        "OWN",
        f"CREATE TABLE {_NAMES} (NAME VARCHAR)",
        *2 * (f"INSERT INTO {_NAMES} SELECT 'R1' WHERE NOT EXISTS (SELECT 1 FROM {_NAMES})",),
    ),
    rows("insert-sees-insert", Rule.READ_COMMITTED, "OWN", f"SELECT NAME FROM {_NAMES}", "name"),
    *set_up(
        "OWN",
        f"INSERT INTO {_NAMES} SELECT 'R2'",
        f"CREATE SECURE VIEW {_NAMES}_VIEW AS SELECT NAME FROM {_NAMES} "
        "WHERE IS_DATABASE_ROLE_IN_SESSION(NAME)",
        f"GRANT SELECT ON VIEW {_NAMES}_VIEW TO {R1}",
    ),
    rows(
        "database-role-in-session",
        Rule.ROLE_IN_SESSION,
        "NONE",
        f"SELECT NAME FROM {_NAMES}_VIEW",
        "name",
    ),
    # a role with SELECT and INSERT only, as a deploy role has in a registry, cannot change rows
    *set_up("OWN", f"GRANT SELECT, INSERT ON TABLE {_NAMES} TO ROLE {{p}}_NONE"),
    *(
        Question(f"who-adds-{name}", Rule.PRIVILEGE_NEEDED, "NONE", sql)
        for name, sql in {
            "adds": f"INSERT INTO {_NAMES} SELECT 'R3'",
            "updates": f"UPDATE {_NAMES} SET NAME = 'R4'",
            "deletes": f"DELETE FROM {_NAMES}",
            "truncates": f"TRUNCATE TABLE {_NAMES}",
            "drops": f"DROP TABLE {_NAMES}",
        }.items()
    ),
    *set_up("OWN", f"DROP VIEW {_NAMES}_VIEW", f"DROP TABLE {_NAMES}"),
    rows(
        "database-role-holders",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"SHOW GRANTS OF {R1}",
        *("granted_to", "grantee_name"),
    ),
    refused(
        "revoke-usage-on-database-role",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"REVOKE USAGE ON {R1} FROM ROLE {{p}}_NONE",
    ),
    Question(
        "database-role-to-database-role",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"GRANT {R1} TO DATABASE ROLE {{p}}_DB.R2",
    ),
    refused(
        "database-role-circle",
        Rule.ROLE_CYCLE,
        "SYSADMIN",
        f"GRANT DATABASE ROLE {{p}}_DB.R2 TO {R1}",
    ),
    Question(
        "database-role-from-database-role",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"REVOKE {R1} FROM DATABASE ROLE {{p}}_DB.R2",
    ),
    Question(
        "database-role-to-user",
        Rule.DATABASE_ROLE_GRANTED,
        "SYSADMIN",
        f"GRANT {R1} TO USER {{p}}_SVC",
    ),
    Question(
        "database-role-by-securityadmin",
        Rule.SECURITYADMIN_GRANTS_ROLES,
        "SECURITYADMIN",
        "GRANT DATABASE ROLE {p}_DB2.R3 TO ROLE {p}_NONE",
    ),
    rows(
        "database-roles-seen",
        Rule.DATABASE_ROLE_NAMES,
        "READ",
        "SHOW DATABASE ROLES IN DATABASE {p}_DB",
        *("name", "owner"),
    ),
    Question(
        "database-role-told",
        Rule.DATABASE_ROLE_TOLD,
        "READ",
        "SHOW GRANTS TO DATABASE ROLE {p}_DB.R2",
        decides="shows_foreign_database_roles",
    ),
    refused("role-circle", Rule.ROLE_CYCLE, "SECURITYADMIN", "GRANT ROLE SYSADMIN TO ROLE {p}_OWN"),
)
