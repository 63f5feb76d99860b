"""INFORMATION_SCHEMA and SNOWFLAKE.ACCOUNT_USAGE: queries that replace their views.

The data engine knows nothing of owners and grants, so what a role sees in INFORMATION_SCHEMA
comes from the model. ACCOUNT_USAGE has the columns that audits read, and no rows.
"""

from __future__ import annotations

from datetime import UTC, datetime

from . import errors
from .account import Thing
from .context import Context
from .names import Name, Ref
from .vocabulary import RELATION_KINDS

_TIME = "TIMESTAMP_LTZ"
# docs: sql-reference/info-schema/tables
_TABLE_TYPES = {
    "VIEW": "VIEW",
    "MATERIALIZED_VIEW": "MATERIALIZED VIEW",
    "EXTERNAL_TABLE": "EXTERNAL TABLE",
}
_COLUMNS: dict[str, dict[str, str]] = {
    "QUERY_HISTORY": {
        **dict.fromkeys(
            (
                *("QUERY_ID", "QUERY_TEXT", "DATABASE_NAME", "SCHEMA_NAME", "QUERY_TYPE"),
                *("USER_NAME", "ROLE_NAME", "ROLE_TYPE", "WAREHOUSE_NAME", "WAREHOUSE_SIZE"),
                *("QUERY_TAG", "EXECUTION_STATUS", "ERROR_CODE", "ERROR_MESSAGE"),
            ),
            "VARCHAR",
        ),
        **dict.fromkeys(("START_TIME", "END_TIME"), _TIME),
        **dict.fromkeys(
            (
                *("SESSION_ID", "TOTAL_ELAPSED_TIME", "EXECUTION_TIME", "BYTES_SCANNED"),
                *("ROWS_PRODUCED", "CREDITS_USED_CLOUD_SERVICES"),
            ),
            "FLOAT",
        ),
    },
    "ACCESS_HISTORY": {
        **dict.fromkeys(("QUERY_ID", "USER_NAME", "PARENT_QUERY_ID", "ROOT_QUERY_ID"), "VARCHAR"),
        "QUERY_START_TIME": _TIME,
        **dict.fromkeys(
            (
                *("DIRECT_OBJECTS_ACCESSED", "BASE_OBJECTS_ACCESSED", "OBJECTS_MODIFIED"),
                *("OBJECT_MODIFIED_BY_DDL", "POLICIES_REFERENCED"),
            ),
            "VARIANT",
        ),
    },
    "LOGIN_HISTORY": {
        "EVENT_ID": "FLOAT",
        "EVENT_TIMESTAMP": _TIME,
        **dict.fromkeys(
            (
                *("EVENT_TYPE", "USER_NAME", "CLIENT_IP", "REPORTED_CLIENT_TYPE"),
                *("REPORTED_CLIENT_VERSION", "FIRST_AUTHENTICATION_FACTOR"),
                *("SECOND_AUTHENTICATION_FACTOR", "IS_SUCCESS", "ERROR_CODE", "ERROR_MESSAGE"),
            ),
            "VARCHAR",
        ),
    },
    "GRANTS_TO_ROLES": {
        **dict.fromkeys(("CREATED_ON", "MODIFIED_ON", "DELETED_ON"), _TIME),
        **dict.fromkeys(
            (
                *("PRIVILEGE", "GRANTED_ON", "NAME", "TABLE_CATALOG", "TABLE_SCHEMA"),
                *("GRANTED_TO", "GRANTEE_NAME", "GRANTED_BY", "GRANTED_BY_ROLE_TYPE"),
            ),
            "VARCHAR",
        ),
        "GRANT_OPTION": "BOOLEAN",
    },
    "GRANTS_TO_USERS": {
        **dict.fromkeys(("CREATED_ON", "DELETED_ON"), _TIME),
        **dict.fromkeys(("ROLE", "GRANTED_TO", "GRANTEE_NAME", "GRANTED_BY"), "VARCHAR"),
    },
    "USERS": {
        **dict.fromkeys(
            ("CREATED_ON", "DELETED_ON", "LAST_SUCCESS_LOGIN", "PASSWORD_LAST_SET_TIME"), _TIME
        ),
        **dict.fromkeys(
            ("NAME", "LOGIN_NAME", "EMAIL", "DEFAULT_ROLE", "DEFAULT_WAREHOUSE", "OWNER", "TYPE"),
            "VARCHAR",
        ),
        **dict.fromkeys(
            ("DISABLED", "HAS_PASSWORD", "HAS_RSA_PUBLIC_KEY", "HAS_MFA", "EXT_AUTHN_DUO"),
            "BOOLEAN",
        ),
    },
    "ROLES": {
        **dict.fromkeys(("CREATED_ON", "DELETED_ON"), _TIME),
        **dict.fromkeys(("NAME", "COMMENT", "OWNER", "ROLE_TYPE"), "VARCHAR"),
    },
    "SESSIONS": {
        **dict.fromkeys(("USER_NAME", "AUTHENTICATION_METHOD", "CLIENT_APPLICATION_ID"), "VARCHAR"),
        "CREATED_ON": _TIME,
        "SESSION_ID": "FLOAT",
    },
    "WAREHOUSE_METERING_HISTORY": {
        **dict.fromkeys(("START_TIME", "END_TIME"), _TIME),
        "WAREHOUSE_NAME": "VARCHAR",
        **dict.fromkeys(
            ("CREDITS_USED", "CREDITS_USED_COMPUTE", "CREDITS_USED_CLOUD_SERVICES"), "FLOAT"
        ),
    },
}


def stand_in_for(ctx: Context, name: Name) -> str | None:
    """Returns a query to read instead of a system view; None for other relations.

    Raises:
        SnowflakeError: 001003 for a system view that is not modelled.
    """
    if name[:2] == ("SNOWFLAKE", "ACCOUNT_USAGE"):
        columns = _COLUMNS.get(name[2])
        if columns is None:
            raise errors.unknown_statement(".".join(name), "columns of the view")
        shown = ", ".join(f"CAST(NULL AS {kind}) AS {column}" for column, kind in columns.items())
        return f"SELECT {shown} WHERE FALSE"
    if name[1] != "INFORMATION_SCHEMA":
        return None
    if name[2] == "COLUMNS":
        return _columns(ctx, name)
    rows = {"TABLES": _tables, "VIEWS": _views, "SCHEMATA": _schemata, "DATABASES": _databases}
    if name[2] not in rows:
        raise errors.unknown_statement(".".join(name), "view of INFORMATION_SCHEMA")
    return rows[name[2]](ctx, Ref("DATABASE", name[:1]))


def _visible(ctx: Context, database: Ref, *kinds: str) -> list[Thing]:
    found = [ref for kind in kinds for ref in ctx.account.within(database, kind)]
    return [
        ctx.thing(ref) for ref in found if ctx.account.sees(ctx.roles, ref) and ctx.reachable(ref)
    ]


def _columns(ctx: Context, name: Name) -> str:
    shown = [t.ref.name[1:] for t in _visible(ctx, Ref("DATABASE", name[:1]), *RELATION_KINDS)]
    pairs = [f"({_text(schema)}, {_text(table)})" for schema, table in shown]
    where = f"(TABLE_SCHEMA, TABLE_NAME) IN ({', '.join(pairs)})" if pairs else "FALSE"
    return f'SELECT * FROM "{name[0]}".INFORMATION_SCHEMA.COLUMNS WHERE {where}'


def _tables(ctx: Context, database: Ref) -> str:
    return _union(
        {
            "TABLE_CATALOG": "VARCHAR",
            "TABLE_SCHEMA": "VARCHAR",
            "TABLE_NAME": "VARCHAR",
            "TABLE_OWNER": "VARCHAR",
            "TABLE_TYPE": "VARCHAR",
            "IS_TRANSIENT": "VARCHAR",
            "CLUSTERING_KEY": "VARCHAR",
            "ROW_COUNT": "BIGINT",
            "BYTES": "BIGINT",
            "RETENTION_TIME": "BIGINT",
            "CREATED": _TIME,
            "LAST_ALTERED": _TIME,
            "COMMENT": "VARCHAR",
            "IS_TEMPORARY": "VARCHAR",
            "IS_ICEBERG": "VARCHAR",
            "IS_DYNAMIC": "VARCHAR",
        },
        [
            (
                *thing.ref.name,
                _owner(thing),
                _TABLE_TYPES.get(thing.ref.kind, "BASE TABLE"),
                *("NO", None, None, None, 1),
                *(_time(thing), _time(thing), thing.properties.get("COMMENT")),
                "YES" if thing.temporary else "NO",
                "YES" if thing.ref.kind == "ICEBERG_TABLE" else "NO",
                "YES" if thing.ref.kind == "DYNAMIC_TABLE" else "NO",
            )
            for thing in _visible(ctx, database, *RELATION_KINDS)
        ],
    )


def _views(ctx: Context, database: Ref) -> str:
    words = ("TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_OWNER", "COMMENT")
    return _union(
        {**dict.fromkeys(words, "VARCHAR"), "CREATED": _TIME},
        [
            (*thing.ref.name, _owner(thing), thing.properties.get("COMMENT"), _time(thing))
            for thing in _visible(ctx, database, "VIEW")
        ],
    )


def _schemata(ctx: Context, database: Ref) -> str:
    words = ("CATALOG_NAME", "SCHEMA_NAME", "SCHEMA_OWNER", "IS_MANAGED_ACCESS", "COMMENT")
    return _union(
        {**dict.fromkeys(words, "VARCHAR"), "CREATED": _TIME},
        [
            (
                *thing.ref.name,
                _owner(thing),
                "YES" if thing.managed_access else "NO",
                thing.properties.get("COMMENT"),
                _time(thing),
            )
            for thing in _visible(ctx, database, "SCHEMA")
        ],
    )


def _databases(ctx: Context, database: Ref) -> str:
    things = [t for t in ctx.account.of_kind("DATABASE") if ctx.account.sees(ctx.roles, t.ref)]
    return _union(
        {"DATABASE_NAME": "VARCHAR", "DATABASE_OWNER": "VARCHAR", "COMMENT": "VARCHAR"},
        [(t.ref.name[0], _owner(t), t.properties.get("COMMENT")) for t in things],
    )


def _owner(thing: Thing) -> str | None:
    return thing.owner.name[-1] if thing.owner else None


def _time(thing: Thing) -> str:
    return datetime.fromtimestamp(thing.created_on, UTC).isoformat(sep=" ")


def _union(columns: dict[str, str], rows: list[tuple[object, ...]]) -> str:
    selects = [_select(columns, row) for row in rows]
    empty = _select(columns, (None,) * len(columns)) + " WHERE FALSE"
    return " UNION ALL ".join([*selects, empty])


def _select(columns: dict[str, str], row: tuple[object, ...]) -> str:
    cells = [
        f"CAST({_text(value)} AS {kind}) AS {column}"
        for value, (column, kind) in zip(row, columns.items(), strict=True)
    ]
    return f"SELECT {', '.join(cells)}"


def _text(value: object) -> str:
    if value is None:
        return "NULL"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
