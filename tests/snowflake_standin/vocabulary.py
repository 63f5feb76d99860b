"""The closed vocabulary: kinds of objects, their privileges and their properties.

Sources: docs.snowflake.com, "Access control privileges" and the CREATE/ALTER reference of each
object. A word that is not here is a syntax error, so a typo in a template cannot pass.
"""

from __future__ import annotations

RELATION_KINDS = (
    "TABLE",
    "VIEW",
    "DYNAMIC_TABLE",
    "MATERIALIZED_VIEW",
    "EXTERNAL_TABLE",
    "ICEBERG_TABLE",
)
"""What can be selected from; all share one namespace in a schema."""
SHOWN_AS_TABLES = frozenset({"TABLE", "DYNAMIC_TABLE", "EXTERNAL_TABLE", "ICEBERG_TABLE"})
SCHEMA_KINDS = frozenset(
    {
        *RELATION_KINDS,
        "STAGE",
        "SEQUENCE",
        "FILE_FORMAT",
        "NETWORK_RULE",
        "AUTHENTICATION_POLICY",
        "PASSWORD_POLICY",
        "SESSION_POLICY",
    }
)
ACCOUNT_KINDS = frozenset(
    {
        "ROLE",
        "USER",
        "WAREHOUSE",
        "DATABASE",
        "RESOURCE_MONITOR",
        "NETWORK_POLICY",
        "INTEGRATION",
    }
)
DATABASE_KINDS = frozenset({"SCHEMA", "DATABASE_ROLE"})
KINDS = SCHEMA_KINDS | ACCOUNT_KINDS | DATABASE_KINDS

# Kinds of which the stand-in has no objects: it knows `GRANT … ON FUTURE …` and SHOW for them,
# which find nothing.
EMPTY_KINDS = frozenset({"FUNCTION", "PROCEDURE", "STREAM", "TASK", "PIPE"})

# docs: sql-reference/sql/grant-privilege, schemaPrivileges, as far as dbt projects create it.
_CREATE_IN_SCHEMA = frozenset(
    f"CREATE {kind}"
    for kind in (
        *("TABLE", "DYNAMIC TABLE", "EVENT TABLE", "EXTERNAL TABLE", "HYBRID TABLE"),
        *("ICEBERG TABLE", "INTERACTIVE TABLE", "VIEW", "MATERIALIZED VIEW", "SEMANTIC VIEW"),
        *("STAGE", "SEQUENCE", "FILE FORMAT", "FUNCTION", "PROCEDURE", "PIPE", "STREAM", "TASK"),
        *("ALERT", "MODEL", "NOTEBOOK", "SECRET", "TAG", "NETWORK RULE"),
        *("AUTHENTICATION POLICY", "PASSWORD POLICY", "SESSION POLICY", "MASKING POLICY"),
        *("ROW ACCESS POLICY", "AGGREGATION POLICY", "PROJECTION POLICY"),
    )
)

_SELECT_LIKE = frozenset({"SELECT", "REFERENCES"})
PRIVILEGES: dict[str, frozenset[str]] = {
    "ACCOUNT": frozenset(
        {
            "CREATE ROLE",
            "CREATE USER",
            "CREATE DATABASE",
            "CREATE WAREHOUSE",
            "CREATE INTEGRATION",
            "CREATE NETWORK POLICY",
            "CREATE SHARE",
            "MANAGE GRANTS",
            "MANAGE WAREHOUSES",
            "MONITOR USAGE",
            "MONITOR EXECUTION",
            "MONITOR SECURITY",
            "ATTACH POLICY",
            "APPLY AUTHENTICATION POLICY",
            "APPLY PASSWORD POLICY",
            "APPLY SESSION POLICY",
            "APPLY MASKING POLICY",
            "APPLY ROW ACCESS POLICY",
            "APPLY TAG",
            "EXECUTE TASK",
            "EXECUTE MANAGED TASK",
            "IMPORT SHARE",
        }
    ),
    "WAREHOUSE": frozenset({"USAGE", "OPERATE", "MODIFY", "MONITOR", "APPLYBUDGET"}),
    "DATABASE": frozenset(
        {
            "USAGE",
            "MONITOR",
            "MODIFY",
            "CREATE SCHEMA",
            "CREATE DATABASE ROLE",
            "IMPORTED PRIVILEGES",
            "MANAGE GRANTS",
            "APPLYBUDGET",
        }
    ),
    "SCHEMA": frozenset({"USAGE", "MONITOR", "MODIFY", "APPLYBUDGET", "ADD SEARCH OPTIMIZATION"})
    | {"MANAGE GRANTS"}
    | _CREATE_IN_SCHEMA,
    "TABLE": _SELECT_LIKE
    | {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "EVOLVE SCHEMA", "APPLYBUDGET"},
    "VIEW": _SELECT_LIKE,
    "STAGE": frozenset({"USAGE", "READ", "WRITE"}),
    "SEQUENCE": frozenset({"USAGE"}),
    "FILE_FORMAT": frozenset({"USAGE"}),
    "NETWORK_RULE": frozenset({"USAGE"}),
    "AUTHENTICATION_POLICY": frozenset({"APPLY"}),
    "PASSWORD_POLICY": frozenset({"APPLY"}),
    "SESSION_POLICY": frozenset({"APPLY"}),
    "ROLE": frozenset({"USAGE"}),
    "DATABASE_ROLE": frozenset({"USAGE"}),
    "USER": frozenset(
        {
            "MONITOR",
            "APPLY AUTHENTICATION POLICY",
            "APPLY PASSWORD POLICY",
            "APPLY SESSION POLICY",
            "MODIFY PROGRAMMATIC AUTHENTICATION METHODS",
        }
    ),
    "RESOURCE_MONITOR": frozenset({"MODIFY", "MONITOR"}),
    "NETWORK_POLICY": frozenset({"USAGE"}),
    "INTEGRATION": frozenset({"USAGE", "USE_ANY_ROLE"}),
    "FUNCTION": frozenset({"USAGE"}),
    "PROCEDURE": frozenset({"USAGE"}),
    "DYNAMIC_TABLE": frozenset({"SELECT", "MONITOR", "OPERATE"}),
    "MATERIALIZED_VIEW": _SELECT_LIKE | {"APPLYBUDGET"},
    "EXTERNAL_TABLE": _SELECT_LIKE,
    "ICEBERG_TABLE": _SELECT_LIKE | {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "APPLYBUDGET"},
    "STREAM": frozenset({"SELECT"}),
    "TASK": frozenset({"MONITOR", "OPERATE"}),
    "PIPE": frozenset({"MONITOR", "OPERATE"}),
}

# docs: sql-reference/sql/grant-privilege, "Database roles": their privileges on a database.
OF_DATABASE_ROLES = frozenset({"CREATE SCHEMA", "MODIFY", "MONITOR", "USAGE"})
# What GRANT ROLE grants, and no GRANT can name.
NOT_BY_GRANT = frozenset({"ROLE", "DATABASE_ROLE"})
# Privileges that ALL leaves out.
NOT_IN_ALL = frozenset({"IMPORTED PRIVILEGES", "MANAGE GRANTS"})

SESSION_PARAMETERS = frozenset(
    {
        "QUERY_TAG",
        "TIMEZONE",
        "AUTOCOMMIT",
        "STATEMENT_TIMEOUT_IN_SECONDS",
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS",
        "LOCK_TIMEOUT",
        "QUOTED_IDENTIFIERS_IGNORE_CASE",
        "WEEK_START",
        "TIMESTAMP_TYPE_MAPPING",
        "USE_CACHED_RESULT",
        "MULTI_STATEMENT_COUNT",
        "ABORT_DETACHED_QUERY",
        "CLIENT_SESSION_KEEP_ALIVE",
        "ERROR_ON_NONDETERMINISTIC_MERGE",
    }
)

# How a property's value is written. A frozenset is a closed list of words.
Shape = str | frozenset[str]
STRING, INTEGER, BOOLEAN, WORD, NAME, STRINGS, NAMES, STRUCT = (
    "string",
    "integer",
    "boolean",
    "word",  # a word or a string
    "name",  # an identifier, also as a string
    "strings",  # ('a', 'b') or ()
    "names",  # (a, b) or ('a', 'b') or ()
    "struct",  # (A = 1 B = 'x')
)

_PARAMETERS: dict[str, Shape] = {
    "STATEMENT_TIMEOUT_IN_SECONDS": INTEGER,
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": INTEGER,
    "QUERY_TAG": STRING,
    "TIMEZONE": STRING,
}
_RETENTION: dict[str, Shape] = {
    "DATA_RETENTION_TIME_IN_DAYS": INTEGER,
    "MAX_DATA_EXTENSION_TIME_IN_DAYS": INTEGER,
    "DEFAULT_DDL_COLLATION": STRING,
    "COMMENT": STRING,
}
_SIZES = frozenset(
    {"XSMALL", "X-SMALL", "SMALL", "MEDIUM", "LARGE", "XLARGE", "X-LARGE", "XXLARGE", "X2LARGE"}
    | {"2X-LARGE", "XXXLARGE", "X3LARGE", "3X-LARGE", "X4LARGE", "4X-LARGE"}
)

PROPERTIES: dict[str, dict[str, Shape]] = {
    "ROLE": {"COMMENT": STRING},
    "DATABASE_ROLE": {"COMMENT": STRING},
    "DATABASE": _RETENTION,
    "SCHEMA": _RETENTION,
    "TABLE": {**_RETENTION, "CHANGE_TRACKING": BOOLEAN, "ENABLE_SCHEMA_EVOLUTION": BOOLEAN},
    "VIEW": {"COMMENT": STRING, "CHANGE_TRACKING": BOOLEAN},
    "DYNAMIC_TABLE": {
        **_RETENTION,
        "TARGET_LAG": WORD,
        "WAREHOUSE": NAME,
        "REFRESH_MODE": frozenset({"AUTO", "FULL", "INCREMENTAL", "ADAPTIVE"}),
        "INITIALIZE": frozenset({"ON_CREATE", "ON_SCHEDULE"}),
    },
    "MATERIALIZED_VIEW": {"COMMENT": STRING},
    "EXTERNAL_TABLE": {"COMMENT": STRING},
    "ICEBERG_TABLE": {"COMMENT": STRING},
    "STAGE": {"COMMENT": STRING, "FILE_FORMAT": STRUCT, "DIRECTORY": STRUCT, "ENCRYPTION": STRUCT},
    "SEQUENCE": {"COMMENT": STRING, "START": INTEGER, "INCREMENT": INTEGER},
    "FILE_FORMAT": {"COMMENT": STRING, "TYPE": WORD, "SKIP_HEADER": INTEGER},
    "WAREHOUSE": {
        "WAREHOUSE_SIZE": _SIZES,
        "WAREHOUSE_TYPE": frozenset({"STANDARD", "SNOWPARK-OPTIMIZED"}),
        "AUTO_SUSPEND": INTEGER,
        "AUTO_RESUME": BOOLEAN,
        "INITIALLY_SUSPENDED": BOOLEAN,
        "MIN_CLUSTER_COUNT": INTEGER,
        "MAX_CLUSTER_COUNT": INTEGER,
        "SCALING_POLICY": frozenset({"STANDARD", "ECONOMY"}),
        "RESOURCE_MONITOR": NAME,
        "ENABLE_QUERY_ACCELERATION": BOOLEAN,
        "QUERY_ACCELERATION_MAX_SCALE_FACTOR": INTEGER,
        "MAX_CONCURRENCY_LEVEL": INTEGER,
        "STATEMENT_TIMEOUT_IN_SECONDS": INTEGER,
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": INTEGER,
        "GENERATION": STRING,
        "COMMENT": STRING,
    },
    "USER": {
        "TYPE": frozenset({"PERSON", "SERVICE", "LEGACY_SERVICE"}),
        "PASSWORD": STRING,
        "LOGIN_NAME": WORD,
        "DISPLAY_NAME": WORD,
        "FIRST_NAME": WORD,
        "LAST_NAME": WORD,
        "EMAIL": WORD,
        "MUST_CHANGE_PASSWORD": BOOLEAN,
        "DISABLED": BOOLEAN,
        "DAYS_TO_EXPIRY": INTEGER,
        "MINS_TO_UNLOCK": INTEGER,
        "MINS_TO_BYPASS_MFA": INTEGER,
        "DEFAULT_WAREHOUSE": NAME,
        "DEFAULT_NAMESPACE": NAME,
        "DEFAULT_ROLE": NAME,
        "DEFAULT_SECONDARY_ROLES": STRINGS,
        "RSA_PUBLIC_KEY": STRING,
        "RSA_PUBLIC_KEY_2": STRING,
        "WORKLOAD_IDENTITY": STRUCT,
        "NETWORK_POLICY": NAME,
        "COMMENT": STRING,
        **_PARAMETERS,
    },
    "RESOURCE_MONITOR": {
        "CREDIT_QUOTA": INTEGER,
        "FREQUENCY": frozenset({"MONTHLY", "DAILY", "WEEKLY", "YEARLY", "NEVER"}),
        "START_TIMESTAMP": WORD,
        "END_TIMESTAMP": STRING,
        "NOTIFY_USERS": NAMES,
    },
    "NETWORK_POLICY": {
        "ALLOWED_IP_LIST": STRINGS,
        "BLOCKED_IP_LIST": STRINGS,
        "ALLOWED_NETWORK_RULE_LIST": NAMES,
        "BLOCKED_NETWORK_RULE_LIST": NAMES,
        "COMMENT": STRING,
    },
    "NETWORK_RULE": {
        "TYPE": frozenset({"IPV4", "AWSVPCEID", "AZURELINKID", "HOST_PORT"}),
        "MODE": frozenset({"INGRESS", "INTERNAL_STAGE", "EGRESS"}),
        "VALUE_LIST": STRINGS,
        "COMMENT": STRING,
    },
    "AUTHENTICATION_POLICY": {
        "AUTHENTICATION_METHODS": STRINGS,
        "CLIENT_TYPES": STRINGS,
        "SECURITY_INTEGRATIONS": STRINGS,
        "MFA_ENROLLMENT": frozenset(
            {
                "REQUIRED",
                "REQUIRED_PASSWORD_ONLY",
                "OPTIONAL",
                "REQUIRED_SNOWFLAKE_UI_PASSWORD_ONLY",
            }
        ),
        "MFA_POLICY": STRUCT,
        "PAT_POLICY": STRUCT,
        "WORKLOAD_IDENTITY_POLICY": STRUCT,
        "COMMENT": STRING,
    },
    "PASSWORD_POLICY": {"PASSWORD_MIN_LENGTH": INTEGER, "COMMENT": STRING},
    "SESSION_POLICY": {"SESSION_IDLE_TIMEOUT_MINS": INTEGER, "COMMENT": STRING},
    "ACCOUNT": {
        "NETWORK_POLICY": NAME,
        "RESOURCE_MONITOR": NAME,
        **_PARAMETERS,
    },
    "KEY_PAIR": {
        "PUBLIC_KEY": STRING,
        "ROLE_RESTRICTION": STRING,
        "DAYS_TO_EXPIRY": INTEGER,
        "EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS": INTEGER,
        "DISABLED": BOOLEAN,
        "COMMENT": STRING,
    },
}

NO_COLUMNS = (
    *("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "ROW", "ALL", "SEARCH", "AGGREGATION"),
    *("JOIN", "STORAGE", "PARTITION"),
)
"""What ALTER TABLE adds and drops besides columns: sql-reference/sql/alter-table."""
ON_COLUMNS = frozenset({"MASKING", "PROJECTION", "TAG"})
"""What ALTER TABLE sets on columns and the stand-in does not support."""
CREATE_ONLY = {"WAREHOUSE": frozenset({"INITIALLY_SUSPENDED"})}

STRUCT_FIELDS: dict[str, frozenset[str]] = {
    "WORKLOAD_IDENTITY": frozenset(
        {"TYPE", "ISSUER", "SUBJECT", "ARN", "OIDC_AUDIENCE_LIST", "EXTERNAL_ID"}
    ),
    "MFA_POLICY": frozenset({"ENFORCE_MFA_ON_EXTERNAL_AUTHENTICATION", "ALLOWED_METHODS"}),
    "PAT_POLICY": frozenset(
        {"DEFAULT_EXPIRY_IN_DAYS", "MAX_EXPIRY_IN_DAYS", "NETWORK_POLICY_EVALUATION"}
    ),
    "WORKLOAD_IDENTITY_POLICY": frozenset(
        {"ALLOWED_PROVIDERS", "ALLOWED_AWS_ACCOUNTS", "ALLOWED_OIDC_ISSUERS"}
    ),
    "FILE_FORMAT": frozenset({"TYPE", "FORMAT_NAME", "SKIP_HEADER", "FIELD_DELIMITER"}),
    "DIRECTORY": frozenset({"ENABLE"}),
    "ENCRYPTION": frozenset({"TYPE"}),
}

WORDS_IN: dict[str, frozenset[str]] = {
    "AUTHENTICATION_METHODS": frozenset(
        {"ALL", "SAML", "PASSWORD", "OAUTH", "KEYPAIR", "PROGRAMMATIC_ACCESS_TOKEN"}
        | {"WORKLOAD_IDENTITY", "OIDC"}
    ),
    "CLIENT_TYPES": frozenset({"ALL", "SNOWFLAKE_UI", "DRIVERS", "SNOWSQL", "SNOWFLAKE_CLI"}),
}


def kind_words(kind: str) -> tuple[str, ...]:
    return tuple(kind.split("_"))


def plural(kind: str) -> tuple[str, ...]:
    *head, last = kind_words(kind)
    return (*head, f"{last[:-1]}IES" if last.endswith("Y") else f"{last}S")
