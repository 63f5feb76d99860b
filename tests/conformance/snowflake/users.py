"""Asks about users, their keys and the columns of SHOW; ends with ownership and policies."""

from __future__ import annotations

from tests.conformance.script import See
from tests.conformance.snowflake.script import (
    GRANTS,
    PLAIN,
    SCHEMA,
    Question,
    Step,
    T,
    columns,
    refused,
    rows,
    set_up,
)
from tests.snowflake_standin.sources import Rule

_USER = "ALTER USER {p}_SVC"
USERS: tuple[Step, ...] = (
    refused(
        "service-password", Rule.SERVICE_USERS, "USERADMIN", f"{_USER} SET PASSWORD = '{{p}}-aA1'"
    ),
    refused(
        "service-with-password",
        Rule.SERVICE_USERS,
        "USERADMIN",
        "CREATE USER {p}_X TYPE = SERVICE PASSWORD = '{p}-aA1'",
    ),
    *set_up(
        "USERADMIN",
        "CREATE USER {p}_OLD TYPE = LEGACY_SERVICE PASSWORD = '{p}-aA1' DISABLED = TRUE",
    ),
    Question(
        "service-from-password",
        Rule.SERVICE_LATER,
        "USERADMIN",
        "ALTER USER {p}_OLD SET TYPE = SERVICE",
    ),
    rows(
        "users-told",
        Rule.USERS_TOLD,
        "READ",
        "SHOW USERS LIKE '{p}_SVC'",
        *("name", "default_secondary_roles", "owner"),
    ),
    refused("describe-user-denied", Rule.PRIVILEGE_NEEDED, "READ", "DESCRIBE USER {p}_SVC"),
    *set_up("USERADMIN", "GRANT MONITOR ON USER {p}_SVC TO ROLE {p}_READ"),
    Question(
        "describe-user-monitor",
        Rule.DESCRIBE_USER,
        "READ",
        "DESCRIBE USER {p}_SVC",
        See.REFUSED,
        decides="describes_users",
    ),
    refused("key-denied", Rule.USER_KEYS, "READ", f"{_USER} SET RSA_PUBLIC_KEY_2 = '{{key2}}'"),
    *set_up(
        "USERADMIN",
        "GRANT MODIFY PROGRAMMATIC AUTHENTICATION METHODS ON USER {p}_SVC TO ROLE {p}_READ",
    ),
    Question("key-set", Rule.USER_KEYS, "READ", f"{_USER} SET RSA_PUBLIC_KEY_2 = '{{key2}}'"),
    Question("key-unset", Rule.USER_KEYS, "READ", f"{_USER} UNSET RSA_PUBLIC_KEY_2"),
    refused("only-keys", Rule.USER_KEYS, "READ", f"{_USER} SET COMMENT = 'x'"),
    Question(
        "key-pairs",
        Rule.KEY_PAIRS,
        "READ",
        "SHOW USER KEY PAIRS FOR USER {p}_SVC",
        See.COLUMNS,
        decides="named_key_pairs",
    ),
    *(
        refused(f"key-pair-{name}", Rule.KEY_PAIRS, "READ", f"{_USER} {words}")
        for name, words in {
            "added": "ADD KEY PAIR CI PUBLIC_KEY = '{key3}' ROLE_RESTRICTION = '{p}_OWN' "
            "DAYS_TO_EXPIRY = 1",
            "twice": "ADD KEY PAIR CI PUBLIC_KEY = '{key4}'",
            "reserved": "ADD KEY PAIR PUBLIC_KEY_1 PUBLIC_KEY = '{key4}'",
            "same-key": "ADD KEY PAIR CI2 PUBLIC_KEY = '{key3}'",
            "role-not-held": "ADD KEY PAIR CI2 PUBLIC_KEY = '{key4}' ROLE_RESTRICTION = '{p}_NONE'",
        }.items()
    ),
    rows(
        "key-pairs-shown",
        Rule.KEY_PAIRS_SHOWN,
        "READ",
        "SHOW USER KEY PAIRS FOR USER {p}_SVC",
        *("name", "role_scope", "status", "fingerprint"),
    ),
    *(
        refused(f"key-pair-{name}", Rule.KEY_PAIRS, "READ", f"{_USER} {words}")
        for name, words in {
            "rotated": "ROTATE KEY PAIR CI PUBLIC_KEY = '{key4}' "
            "EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS = 24",
            "removed": "REMOVE KEY PAIR CI",
            "gone": "REMOVE KEY PAIR CI",
        }.items()
    ),
    Question(
        "parameters-of-warehouse",
        Rule.PARAMETERS,
        "SECURITYADMIN",
        "SHOW PARAMETERS IN WAREHOUSE {p}_WH",
    ),
)


COLUMNS: tuple[Step, ...] = (
    columns("grants-on", f"SHOW GRANTS ON TABLE {T}"),
    columns("grants-to-role", "SHOW GRANTS TO ROLE {p}_READ"),
    columns("grants-of-role", "SHOW GRANTS OF ROLE {p}_READ"),
    columns("future-grants", f"SHOW FUTURE GRANTS IN SCHEMA {SCHEMA}", "OWN"),
    columns("describe-table", f"DESCRIBE TABLE {T}", "OWN"),
    columns("describe-user", "DESCRIBE USER {p}_SVC", "USERADMIN"),
    columns("parameters", "SHOW PARAMETERS LIKE 'QUERY_TAG' IN WAREHOUSE {p}_WH", "SYSADMIN"),
    columns("objects", f"SHOW OBJECTS IN SCHEMA {SCHEMA}"),
    columns("tables", f"SHOW TABLES IN SCHEMA {SCHEMA}"),
    columns("views", f"SHOW VIEWS IN SCHEMA {SCHEMA}"),
    columns("schemas", "SHOW SCHEMAS IN DATABASE {p}_DB"),
    columns("databases", "SHOW DATABASES LIKE '{p}%'"),
    columns("database-roles", "SHOW DATABASE ROLES IN DATABASE {p}_DB"),
    columns("user-functions", "SHOW USER FUNCTIONS IN SCHEMA {p}_DB.MANAGED"),
    columns("roles", "SHOW ROLES LIKE '{p}%'"),
    columns("users", "SHOW USERS LIKE '{p}%'"),
    columns("warehouses", "SHOW WAREHOUSES LIKE '{p}%'"),
    columns("monitors", "SHOW RESOURCE MONITORS LIKE '{p}%'", "ACCOUNTADMIN"),
)


END: tuple[Step, ...] = (
    *set_up("OWN", f"GRANT SELECT ON TABLE {PLAIN}.F TO ROLE {{p}}_READ"),
    refused(
        "ownership-with-grants",
        Rule.OWNERSHIP,
        "SECURITYADMIN",
        f"GRANT OWNERSHIP ON TABLE {PLAIN}.F TO ROLE {{p}}_DELE",
    ),
    Question(
        "ownership-copy-grants",
        Rule.OWNERSHIP,
        "SECURITYADMIN",
        f"GRANT OWNERSHIP ON TABLE {PLAIN}.F TO ROLE {{p}}_DELE COPY CURRENT GRANTS",
    ),
    rows(
        "ownership-shown",
        Rule.OWNERSHIP,
        "SECURITYADMIN",
        f"SHOW GRANTS ON TABLE {PLAIN}.F",
        *GRANTS,
    ),
    Question("dropped-role", Rule.DROPPED_ROLE, "USERADMIN", "DROP ROLE {p}_DELE"),
    rows(
        "dropped-role-owned",
        Rule.DROPPED_ROLE,
        "SECURITYADMIN",
        f"SHOW GRANTS ON TABLE {PLAIN}.F",
        *GRANTS,
    ),
    *set_up(
        "ACCOUNTADMIN",
        f"CREATE AUTHENTICATION POLICY {PLAIN}.AP AUTHENTICATION_METHODS = ('KEYPAIR')",
        f"{_USER} SET AUTHENTICATION POLICY {PLAIN}.AP",
    ),
    refused(
        "policy-in-use", Rule.POLICIES, "ACCOUNTADMIN", f"DROP AUTHENTICATION POLICY {PLAIN}.AP"
    ),
    refused("database-of-policy", Rule.POLICIES, "ACCOUNTADMIN", "DROP DATABASE {p}_DB"),
)
