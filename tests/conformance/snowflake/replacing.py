"""Asks what a replacement keeps, what SHOW shows, and about secondary roles and relation kinds."""

from __future__ import annotations

from tests.conformance.script import See
from tests.conformance.snowflake.script import (
    GRANTS,
    HELD,
    PLAIN,
    R1,
    SCHEMA,
    Question,
    SetUp,
    Step,
    T,
    V,
    refused,
    rows,
    set_up,
)
from tests.snowflake_standin.sources import Rule

REPLACING: tuple[Step, ...] = (
    *set_up(
        "OWN",
        f"GRANT SELECT ON TABLE {PLAIN}.T TO ROLE {{p}}_READ",
        f"CREATE OR REPLACE TABLE {PLAIN}.T (ID INT)",
    ),
    Question(
        "replace-keeps",
        Rule.REPLACE_COPIES,
        "OWN",
        f"SHOW GRANTS ON TABLE {PLAIN}.T",
        See.ROWS,
        GRANTS,
        decides="copy_grants_on_replace",
    ),
    *set_up(
        "OWN",
        f"GRANT SELECT ON TABLE {PLAIN}.T TO ROLE {{p}}_READ",
        f"CREATE OR REPLACE TABLE {PLAIN}.T (ID INT) COPY GRANTS",
    ),
    rows(
        "replace-copy-grants",
        Rule.REPLACE_COPIES,
        "OWN",
        f"SHOW GRANTS ON TABLE {PLAIN}.T",
        *GRANTS,
    ),
    refused(
        "replace-ignore-grants",
        Rule.REPLACE_COPIES,
        "OWN",
        f"CREATE OR REPLACE TABLE {PLAIN}.T (ID INT) IGNORE GRANTS",
    ),
    *set_up(
        "OWN",
        f"GRANT SELECT ON VIEW {V} TO ROLE {{p}}_READ",
        f"CREATE OR REPLACE VIEW {V} AS SELECT ID FROM {T}",
    ),
    rows("replace-view", Rule.REPLACE_COPIES, "OWN", f"SHOW GRANTS ON VIEW {V}", *GRANTS),
    Question(
        "replace-by-reader", Rule.REPLACE_OWNER, "READ", f"CREATE OR REPLACE TABLE {T} (ID INT)"
    ),
    Question(
        "replace-of-others",
        Rule.REPLACE_OWNER,
        "DELE",
        f"CREATE OR REPLACE TABLE {PLAIN}.F (ID INT)",
    ),
    *set_up(
        "OWN",
        f"GRANT SELECT ON VIEW {V} TO ROLE {{p}}_READ",
        f"REVOKE SELECT ON TABLE {T} FROM ROLE {{p}}_READ",
    ),
    Question("view-by-owner", Rule.VIEW_OWNER, "READ", f"SELECT * FROM {V}"),
    Question("not-what-is-behind", Rule.VIEW_OWNER, "READ", f"SELECT * FROM {T}"),
    *set_up("OWN", f"GRANT SELECT ON VIEW {V} TO {R1}"),
    rows(
        "kinds-to",
        Rule.KINDS_SHOWN,
        "SYSADMIN",
        f"SHOW GRANTS TO {R1}",
        *HELD,
        decides="exact_kinds",
    ),
    rows("kinds-on", Rule.KINDS_SHOWN, "SECURITYADMIN", f"SHOW GRANTS ON VIEW {V}", *GRANTS),
    Question("kind-left-out", Rule.KIND_LEFT_OUT, "OWN", f"REVOKE SELECT ON {V} FROM {R1}"),
    Question("kind-left-out-again", Rule.KIND_LEFT_OUT, "OWN", f"GRANT SELECT ON {V} TO {R1}"),
    rows(
        "grantor",
        Rule.GRANTOR,
        "SECURITYADMIN",
        "SHOW GRANTS ON DATABASE {p}_DB",
        *("privilege", "grantee_name", "granted_by"),
    ),
    Question(
        "columns-grants-to-user",
        Rule.USER_GRANTS,
        "SECURITYADMIN",
        "SHOW GRANTS TO USER {p}_SVC",
        See.COLUMNS,
        decides="user_privileges",
    ),
    Question(
        "all-tables",
        Rule.ALL_OBJECTS,
        "OWN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO ROLE {{p}}_NONE",
    ),
    rows("all-tables-shown", Rule.ALL_OBJECTS, "OWN", f"SHOW GRANTS ON TABLE {SCHEMA}.F", *GRANTS),
)


SECONDARY: tuple[Step, ...] = (
    Question("without-secondary-roles", Rule.SECONDARY_ROLES, "READ", f"SELECT * FROM {PLAIN}.F"),
    *set_up("READ", "USE SECONDARY ROLES ALL"),
    Question("secondary-roles-read", Rule.SECONDARY_ROLES, "READ", f"SELECT * FROM {PLAIN}.F"),
    Question(
        "secondary-roles-create-nothing",
        Rule.SECONDARY_ROLES,
        "READ",
        f"CREATE TABLE {SCHEMA}.SEC (A INT)",
    ),
    *set_up("READ", "USE SECONDARY ROLES NONE"),
    rows(
        "secondary-roles-by-default",
        Rule.SECONDARY_ROLES,
        "USERADMIN",
        "SHOW USERS LIKE '{p}%'",
        *("name", "default_secondary_roles"),
    ),
)


CONTAINED: tuple[Step, ...] = (
    Question(
        "manage-grants-of-a-schema",
        Rule.MANAGE_GRANTS_INSIDE,
        "ACCOUNTADMIN",
        f"GRANT MANAGE GRANTS ON SCHEMA {SCHEMA} TO ROLE {{p}}_NONE",
        See.REFUSED,
        decides="container_manage_grants",
    ),
    Question(
        "manage-grants-used",
        Rule.MANAGE_GRANTS_INSIDE,
        "NONE",
        f"GRANT SELECT ON TABLE {SCHEMA}.F TO ROLE {{p}}_READ",
    ),
    rows(
        "manage-grants-shown",
        Rule.MANAGE_GRANTS_INSIDE,
        "SECURITYADMIN",
        f"SHOW GRANTS ON SCHEMA {SCHEMA}",
        *GRANTS,
    ),
)


_DT = f"{SCHEMA}.DT"
_MV = f"{SCHEMA}.MV"
KINDS: tuple[Step, ...] = (
    SetUp("SECURITYADMIN", f"GRANT CREATE DYNAMIC TABLE ON SCHEMA {SCHEMA} TO ROLE {{p}}_OWN"),
    SetUp(
        "OWN",
        f"CREATE DYNAMIC TABLE {_DT} TARGET_LAG = '1 day' WAREHOUSE = {{p}}_WH "
        f"AS SELECT ID FROM {T}",
        gives="dynamic tables",
    ),
    SetUp(
        "OWN",
        f"CREATE MATERIALIZED VIEW {_MV} AS SELECT ID FROM {T}",
        gives="materialized views (Enterprise)",
    ),
    *(
        Question(name, Rule.RELATION_KINDS, "OWN", sql, see, keep, needs=needs)
        for name, sql, see, keep, needs in (
            (
                "dynamic-granted",
                f"GRANT SELECT ON DYNAMIC TABLE {_DT} TO ROLE {{p}}_READ",
                See.NUMBER,
                (),
                "dynamic tables",
            ),
            (
                "dynamic-no-insert",
                f"GRANT INSERT ON DYNAMIC TABLE {_DT} TO ROLE {{p}}_READ",
                See.REFUSED,
                (),
                "dynamic tables",
            ),
            (
                "dynamic-granted-as-table",
                f"GRANT SELECT ON TABLE {_DT} TO ROLE {{p}}_READ",
                See.REFUSED,
                (),
                "dynamic tables",
            ),
            (
                "dynamic-shown",
                f"SHOW GRANTS ON DYNAMIC TABLE {_DT}",
                See.ROWS,
                GRANTS,
                "dynamic tables",
            ),
            (
                "dynamic-listed",
                f"SHOW OBJECTS LIKE 'DT' IN SCHEMA {SCHEMA}",
                See.ROWS,
                ("name", "kind", "is_dynamic"),
                "dynamic tables",
            ),
            (
                "columns-dynamic-tables",
                f"SHOW DYNAMIC TABLES IN SCHEMA {SCHEMA}",
                See.COLUMNS,
                (),
                "dynamic tables",
            ),
            (
                "materialized-listed",
                f"SHOW VIEWS LIKE 'MV' IN SCHEMA {SCHEMA}",
                See.ROWS,
                ("name", "is_secure", "is_materialized"),
                "materialized views (Enterprise)",
            ),
            (
                "columns-materialized-views",
                f"SHOW MATERIALIZED VIEWS IN SCHEMA {SCHEMA}",
                See.COLUMNS,
                (),
                "materialized views (Enterprise)",
            ),
            (
                "secure-listed",
                f"SHOW VIEWS LIKE 'SV' IN SCHEMA {SCHEMA}",
                See.ROWS,
                ("name", "is_secure", "is_materialized"),
                "",
            ),
        )
    ),
    Question(
        "materialized-given",
        Rule.MATERIALIZED_OWNER,
        "OWN",
        f"GRANT OWNERSHIP ON MATERIALIZED VIEW {_MV} TO ROLE {{p}}_OWN",
        See.REFUSED,
        needs="materialized views (Enterprise)",
    ),
    SetUp(
        "OWN", f"GRANT OPERATE ON DYNAMIC TABLE {_DT} TO ROLE {{p}}_READ", needs="dynamic tables"
    ),
    *(
        Question(f"dynamic-{name}", Rule.DYNAMIC_OPERATED, role, sql, needs="dynamic tables")
        for name, role, sql in (
            ("suspended", "READ", f"ALTER DYNAMIC TABLE {_DT} SUSPEND"),
            ("lag", "READ", f"ALTER DYNAMIC TABLE {_DT} SET TARGET_LAG = '2 days'"),
            ("comment", "READ", f"ALTER DYNAMIC TABLE {_DT} SET COMMENT = 'x'"),
        )
    ),
)
