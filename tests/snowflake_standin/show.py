"""SHOW and DESCRIBE, answered from the model with Snowflake's column names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from . import errors
from . import statements as st
from .account import Thing, parent_of
from .context import Context, Result
from .keys import fingerprint, forget_expired, require_authentication_methods
from .names import ACCOUNT, Ref
from .rows import Row, result
from .vocabulary import RELATION_KINDS, SHOWN_AS_TABLES, plural

# -- SHOW ---------------------------------------------------------------------------------


class _Listing(NamedTuple):
    columns: tuple[str, ...]
    row: Callable[[Context, Thing], Row]


def show(ctx: Context, statement: st.Show) -> Result:
    if statement.kind == "PARAMETER":
        return _parameters(ctx, statement)
    if statement.kind == "KEY_PAIR":
        return _key_pairs(ctx, statement)
    if statement.kind == "USER_FUNCTION":  # dbt asks for them, and there are none
        _scope(ctx, statement)
        return result(_USER_FUNCTION, ())
    listing = _LISTINGS.get(statement.kind)
    if listing is None:
        raise errors.unknown_statement(f"SHOW {statement.kind}")
    found = sorted(
        (t for t in _scope(ctx, statement) if _listed(ctx, t) and _matches(statement, t)),
        key=lambda t: t.ref.name,
    )
    if statement.after is not None:
        found = [t for t in found if t.ref.name[-1] > statement.after]
    columns = listing.columns
    if statement.terse:
        columns = ("created_on", "name", "kind", "database_name", "schema_name")
    rows = [{**_common(ctx, t), **listing.row(ctx, t)} for t in found[: statement.limit]]
    shown = zip(found, rows, strict=False)
    return result(columns, (_told(ctx, thing, row) for thing, row in shown))


def _told(ctx: Context, thing: Thing, row: Row) -> Row:
    """Returns the row without what the session's roles may not see.

    docs, SHOW USERS: only the owner and roles that manage grants see more than a user's name.
    docs, user-guide/dynamic-tables/privileges: some fields require MONITOR.
    """
    ref = thing.ref
    if ref.kind == "USER" and not (
        ctx.account.owns(ctx.roles, ref) or ctx.account.manages_grants(ctx.roles, ref)
    ):
        return {"name": row["name"]}
    if ref.kind == "DYNAMIC_TABLE" and not ctx.account.holds(ctx.roles, "MONITOR", ref):
        return {**row, "warehouse": None, "scheduling_state": None}
    return row


def _scope(ctx: Context, statement: st.Show) -> list[Thing]:
    """Returns all objects of the kind in the scope of the statement.

    Without IN, that is the session's schema or database, or else the whole account.
    """
    kinds = _KINDS_IN.get(statement.kind, (statement.kind,))
    session, within = ctx.session, statement.within
    if within is None and parent_of(Ref(kinds[0], ("", "", ""))) is not None:
        schema_level = kinds[0] not in ("SCHEMA", "DATABASE_ROLE")
        if schema_level and session.database and session.schema:
            within = Ref("SCHEMA", (session.database, session.schema))
        elif session.database:
            within = Ref("DATABASE", (session.database,))
    if within is None or within == ACCOUNT:
        return [t for t in ctx.account.things.values() if t.ref.kind in kinds]
    container = ctx.existing(within.kind, within.name, operate=True)
    refs = [r for kind in kinds for r in ctx.account.within(container, kind)]
    return [ctx.thing(r) for r in refs]


# docs: sql-reference/sql/show-objects, show-tables and show-views list more than one kind.
_KINDS_IN = {
    "OBJECT": RELATION_KINDS,
    "TABLE": tuple(kind for kind in RELATION_KINDS if kind in SHOWN_AS_TABLES),
    "VIEW": ("VIEW", "MATERIALIZED_VIEW"),
}


def _listed(ctx: Context, thing: Thing) -> bool:
    return ctx.account.sees(ctx.roles, thing.ref) and ctx.reachable(thing.ref)


def _matches(statement: st.Show, thing: Thing) -> bool:
    name = thing.ref.name[-1] if thing.ref.name else ""
    if statement.like is not None and not like(statement.like, name):
        return False
    return statement.starts_with is None or name.startswith(statement.starts_with)


def like(pattern: str, text: str) -> bool:
    """Checks whether a text matches SHOW … LIKE, which has ``%`` and ``_`` and ignores case."""
    parts = {"%": ".*", "_": "."}
    regex = "".join(parts.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(regex, text, re.IGNORECASE | re.DOTALL) is not None


def _common(ctx: Context, thing: Thing) -> Row:
    name = thing.ref.name
    in_schema = len(name) == 3
    return {
        "created_on": thing.created_on,
        "name": name[-1] if name else "",
        "database_name": name[0] if len(name) > 1 else "",
        "schema_name": name[1] if in_schema else "",
        "kind": thing.ref.kind,
        "owner": thing.owner.name[-1] if thing.owner else "",
        "owner_role_type": thing.owner.kind if thing.owner else "",
        "comment": thing.properties.get("COMMENT", ""),
        "is_default": "N",
        "is_current": "N",
        "retention_time": str(thing.properties.get("DATA_RETENTION_TIME_IN_DAYS", 1)),
        "options": "MANAGED ACCESS" if thing.managed_access else "",
    }


def _plain(_: Context, __: Thing) -> Row:
    return {}


def _yes_no(value: bool) -> str:
    return "Y" if value else "N"


def _relation(ctx: Context, thing: Thing) -> Row:
    kind, given = thing.ref.kind, thing.properties
    table = kind in SHOWN_AS_TABLES
    # docs, user-guide/views-secure: only sessions with the owner role see the definition.
    hidden = given.get("SECURE") and thing.owner not in ctx.roles
    return {
        "text": "" if hidden else thing.written,
        "reserved": "",
        "change_tracking": "OFF",
        "kind": "TABLE" if table else "VIEW",  # also for materialized views: docs, SHOW OBJECTS
        "rows": 0 if table else None,
        "bytes": 0 if table else None,
        "cluster_by": "",
        "is_dynamic": _yes_no(kind == "DYNAMIC_TABLE"),
        "is_iceberg": _yes_no(kind == "ICEBERG_TABLE"),
        "is_external": _yes_no(kind == "EXTERNAL_TABLE"),
        "is_hybrid": "N",
        "is_secure": _yes(given.get("SECURE")),
        "is_materialized": _yes(kind == "MATERIALIZED_VIEW"),
        "target_lag": given.get("TARGET_LAG"),
        "warehouse": given.get("WAREHOUSE"),
        "scheduling_state": "SUSPENDED" if given.get("SUSPENDED") else "RUNNING",
    }


def _view(ctx: Context, thing: Thing) -> Row:
    return {**_relation(ctx, thing), "kind": thing.ref.kind}


def _role(ctx: Context, thing: Thing) -> Row:
    ref = thing.ref
    holders = [r.to.kind for r in ctx.account.grants_on(ref)]
    return {
        "is_current": "Y" if ref == ctx.primary else "N",
        "is_inherited": "Y" if ref in ctx.roles and ref != ctx.primary else "N",
        "assigned_to_users": holders.count("USER"),
        "granted_to_roles": holders.count("ROLE"),
        "granted_to_database_roles": holders.count("DATABASE_ROLE"),
        "granted_roles": len([r for r in ctx.account.grants_to(ref) if r.on.kind == "ROLE"]),
        "granted_database_roles": len(
            [r for r in ctx.account.grants_to(ref) if r.on.kind == "DATABASE_ROLE"]
        ),
    }


def _yes(value: object) -> str:
    return "true" if value else "false"


def _user(_: Context, thing: Thing) -> Row:
    p = thing.properties
    return {
        "login_name": p.get("LOGIN_NAME", thing.ref.name[0]),
        "display_name": p.get("DISPLAY_NAME", thing.ref.name[0]),
        "email": p.get("EMAIL", ""),
        "disabled": _yes(p.get("DISABLED")),
        "default_warehouse": p.get("DEFAULT_WAREHOUSE", ""),
        "default_namespace": p.get("DEFAULT_NAMESPACE", ""),
        "default_role": p.get("DEFAULT_ROLE", ""),
        "default_secondary_roles": _secondary(thing),
        "has_password": _yes(p.get("PASSWORD")),
        "has_rsa_public_key": _yes(p.get("RSA_PUBLIC_KEY") or p.get("RSA_PUBLIC_KEY_2")),
        "type": p.get("TYPE", "PERSON"),
        "has_workload_identity": _yes(p.get("WORKLOAD_IDENTITY")),
    }


def _secondary(user: Thing) -> str:
    return '["ALL"]' if user.properties.get("DEFAULT_SECONDARY_ROLES", ("ALL",)) else "[]"


def _warehouse(ctx: Context, thing: Thing) -> Row:
    p = thing.properties
    suspended = p.get("SUSPENDED", p.get("INITIALLY_SUSPENDED", False))
    size = str(p.get("WAREHOUSE_SIZE", "XSMALL"))
    return {
        "state": "SUSPENDED" if suspended else "STARTED",
        "type": p.get("WAREHOUSE_TYPE", "STANDARD"),
        "size": {"XSMALL": "X-Small", "X-SMALL": "X-Small"}.get(size, size.capitalize()),
        "is_current": "Y" if ctx.session.warehouse == thing.ref.name[0] else "N",
        "auto_suspend": str(p.get("AUTO_SUSPEND", 600)),
        "auto_resume": _yes(p.get("AUTO_RESUME", True)),
        "resource_monitor": p.get("RESOURCE_MONITOR", "null"),
    }


def _database(ctx: Context, thing: Thing) -> Row:
    shared = thing.ref.name == ("SNOWFLAKE",)
    return {
        "is_current": "Y" if ctx.session.database == thing.ref.name[0] else "N",
        "origin": "SNOWFLAKE.ACCOUNT_USAGE" if shared else "",
        "kind": "APPLICATION" if shared else "STANDARD",
    }


def _schema(ctx: Context, thing: Thing) -> Row:
    current = (ctx.session.database, ctx.session.schema) == thing.ref.name
    return {"is_current": "Y" if current else "N", "kind": None, "schema_name": None}


def _monitor(_: Context, thing: Thing) -> Row:
    p = thing.properties
    triggers = p.get("TRIGGERS", ())
    assert isinstance(triggers, tuple)

    def at(action: str) -> str:
        return ",".join(f"{t[0]}%" for t in triggers if isinstance(t, tuple) and t[1] == action)

    quota = p.get("CREDIT_QUOTA")
    return {
        "credit_quota": None if quota is None else f"{quota}.00",
        "used_credits": "0.00",
        "remaining_credits": None if quota is None else f"{quota}.00",
        "level": None,
        "frequency": p.get("FREQUENCY", "MONTHLY"),
        "start_time": p.get("START_TIMESTAMP"),
        "end_time": p.get("END_TIMESTAMP"),
        "notify_at": at("NOTIFY"),
        "suspend_at": at("SUSPEND"),
        "suspend_immediately_at": at("SUSPEND_IMMEDIATE"),
    }


def _network_policy(_: Context, thing: Thing) -> Row:
    def count(word: str) -> int:
        value = thing.properties.get(word, ())
        assert isinstance(value, tuple)
        return len(value)

    return {
        "entries_in_allowed_ip_list": count("ALLOWED_IP_LIST"),
        "entries_in_blocked_ip_list": count("BLOCKED_IP_LIST"),
        "entries_in_allowed_network_rules": count("ALLOWED_NETWORK_RULE_LIST"),
        "entries_in_blocked_network_rules": count("BLOCKED_NETWORK_RULE_LIST"),
    }


_RELATION = (
    *("created_on", "name", "database_name", "schema_name", "kind", "comment", "cluster_by"),
    *("rows", "bytes", "owner", "retention_time", "owner_role_type"),
    *("is_hybrid", "is_dynamic", "is_iceberg"),
)
_IN_SCHEMA = (
    *("created_on", "name", "comment", "database_name", "schema_name", "kind", "owner"),
    *("owner_role_type", "options"),
)
_LISTINGS = {
    "OBJECT": _Listing(_RELATION, _relation),
    "TABLE": _Listing(
        (*(column for column in _RELATION if column != "is_dynamic"), "is_external"),
        _relation,
    ),
    "DYNAMIC_TABLE": _Listing(
        (
            *("created_on", "name", "database_name", "schema_name", "cluster_by", "rows", "bytes"),
            *("owner", "target_lag", "refresh_mode", "refresh_mode_reason", "warehouse", "comment"),
            *("text", "automatic_clustering", "scheduling_state", "last_suspended_on", "is_clone"),
            *("is_replica", "is_iceberg", "data_timestamp", "owner_role_type"),
        ),
        _relation,
    ),
    "MATERIALIZED_VIEW": _Listing(
        (
            *("created_on", "name", "reserved", "database_name", "schema_name", "cluster_by"),
            *("rows", "bytes", "source_database_name", "source_schema_name", "source_table_name"),
            *("refreshed_on", "compacted_on", "owner", "invalid", "invalid_reason", "behind_by"),
            *("comment", "text", "is_secure", "automatic_clustering", "owner_role_type"),
        ),
        _relation,
    ),
    "EXTERNAL_TABLE": _Listing(
        (
            *("created_on", "name", "database_name", "schema_name", "invalid", "invalid_reason"),
            *("owner", "comment", "stage", "location", "file_format_name", "file_format_type"),
            *("cloud", "region", "notification_channel", "last_refreshed_on", "table_format"),
            *("last_refresh_details", "owner_role_type"),
        ),
        _relation,
    ),
    "ICEBERG_TABLE": _Listing(
        (
            *("created_on", "name", "database_name", "schema_name", "owner"),
            *("external_volume_name", "catalog_name", "iceberg_table_type", "catalog_table_name"),
            *("catalog_namespace", "base_location", "can_write_metadata", "comment"),
            "owner_role_type",
        ),
        _relation,
    ),
    "VIEW": _Listing(
        (
            *("created_on", "name", "reserved", "database_name", "schema_name", "owner", "comment"),
            *("text", "is_secure", "is_materialized", "owner_role_type", "change_tracking"),
        ),
        _view,
    ),
    "ROLE": _Listing(
        (
            *("created_on", "name", "is_default", "is_current", "is_inherited"),
            *("assigned_to_users", "granted_to_roles", "granted_roles", "owner", "comment"),
        ),
        _role,
    ),
    "DATABASE_ROLE": _Listing(
        (
            *("created_on", "name", "is_default", "is_current", "is_inherited"),
            *("granted_to_roles", "granted_to_database_roles", "granted_database_roles"),
            *("owner", "comment", "owner_role_type"),
        ),
        _role,
    ),
    "USER": _Listing(
        (
            *("name", "created_on", "login_name", "display_name", "email", "comment", "disabled"),
            *("default_warehouse", "default_namespace", "default_role"),
            *("default_secondary_roles", "owner", "has_password", "has_rsa_public_key", "type"),
            "has_workload_identity",
        ),
        _user,
    ),
    "WAREHOUSE": _Listing(
        (
            *("name", "state", "type", "size", "is_default", "is_current", "auto_suspend"),
            *("auto_resume", "created_on", "owner", "comment", "resource_monitor"),
            "owner_role_type",
        ),
        _warehouse,
    ),
    "DATABASE": _Listing(
        (
            *("created_on", "name", "is_default", "is_current", "origin", "owner", "comment"),
            *("options", "retention_time", "kind", "owner_role_type"),
        ),
        _database,
    ),
    "SCHEMA": _Listing(
        (
            *("created_on", "name", "is_default", "is_current", "database_name", "owner"),
            *("comment", "options", "retention_time", "owner_role_type"),
        ),
        _schema,
    ),
    "RESOURCE_MONITOR": _Listing(
        (
            *("name", "credit_quota", "used_credits", "remaining_credits", "level", "frequency"),
            *("start_time", "end_time", "notify_at", "suspend_at", "suspend_immediately_at"),
            *("created_on", "owner", "comment"),
        ),
        _monitor,
    ),
    "NETWORK_POLICY": _Listing(
        (
            *("created_on", "name", "comment", "entries_in_allowed_ip_list"),
            *("entries_in_blocked_ip_list", "entries_in_allowed_network_rules"),
            "entries_in_blocked_network_rules",
        ),
        _network_policy,
    ),
    "AUTHENTICATION_POLICY": _Listing(_IN_SCHEMA, _plain),
    "NETWORK_RULE": _Listing(_IN_SCHEMA, _plain),
    "STAGE": _Listing(_IN_SCHEMA, _plain),
    "SEQUENCE": _Listing(_IN_SCHEMA, _plain),
    "FILE_FORMAT": _Listing(_IN_SCHEMA, _plain),
    "INTEGRATION": _Listing(("name", "type", "category", "comment", "created_on"), _plain),
}


_PARAMETER = ("key", "value", "default", "level", "description", "type")
_PARAMETER_DEFAULTS = {
    "QUERY_TAG": "",
    "STATEMENT_TIMEOUT_IN_SECONDS": "172800",
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": "0",
    "TIMEZONE": "America/Los_Angeles",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
    "AUTOCOMMIT": "true",
}


def _parameters(ctx: Context, statement: st.Show) -> Result:
    if statement.within is None:
        given, level = ctx.session.parameters, "SESSION"
    else:
        ref = statement.within
        level = ref.kind
        given = ctx.thing(ref if ref == ACCOUNT else ctx.existing(ref.kind, ref.name)).properties
    rows: list[Row] = [
        {
            "key": key,
            "value": str(given.get(key, default)),
            "default": default,
            "level": level if key in given else "",
            "description": "",
            "type": "STRING",
        }
        for key, default in sorted(_PARAMETER_DEFAULTS.items())
        if statement.like is None or like(statement.like, key)
    ]
    return result(_PARAMETER, rows)


_KEY_PAIR = (
    *("name", "user_name", "fingerprint", "role_scope", "status", "comment", "created_on"),
    *("created_by", "expires_at", "last_used_on", "rotated_to"),
)


def _key_pairs(ctx: Context, statement: st.Show) -> Result:
    """Answers SHOW USER KEY PAIRS: docs.snowflake.com/sql-reference/sql/show-user-key-pairs."""
    if not ctx.behaviour.named_key_pairs:
        raise errors.syntax_error("KEY")
    ref = statement.within or Ref("USER", (ctx.session.user,))
    if ref not in ctx.account.things:
        raise errors.not_authorized("USER", ref.name)
    require_authentication_methods(ctx, ref)
    forget_expired(ctx.thing(ref).key_pairs, ctx.now)
    rows: list[Row] = []
    for name, pair in ctx.thing(ref).key_pairs.items():
        expired = pair.expires_at is not None and pair.expires_at <= ctx.now
        rows.append(
            {
                "name": name,
                "user_name": ref.name[0],
                "fingerprint": fingerprint(pair.public_key),
                "role_scope": pair.role_restriction,
                "status": "DISABLED" if pair.disabled else "EXPIRED" if expired else "ACTIVE",
                "comment": pair.comment,
                "created_on": pair.created_on,
                "created_by": pair.created_by,
                "last_used_on": pair.last_used_on,
                "expires_at": pair.expires_at,
                "rotated_to": pair.rotated_to,
            }
        )
    return result(_KEY_PAIR, rows)


# -- DESCRIBE -----------------------------------------------------------------------------


def describe(ctx: Context, statement: st.Describe) -> Result:
    """Describes objects that are not relations. The data engine describes relations."""
    if statement.kind == "USER":
        return _describe_user(ctx, statement)
    ref = ctx.existing(statement.kind, statement.name)
    properties = ctx.thing(ref).properties
    rows: list[Row] = [
        {"name": word, "value": ",".join(map(str, v)) if isinstance(v, tuple) else str(v)}
        for word, v in sorted(properties.items())
    ]
    return result(("name", "value"), rows)


def _described_user(ctx: Context, ref: Ref) -> Thing:
    if ref not in ctx.account.things:
        raise errors.not_authorized("USER", ref.name)
    oneself = ref.name == (ctx.session.user,)
    may = ctx.account.holds(
        ctx.roles, "MONITOR" if ctx.behaviour.describes_users else "OWNERSHIP", ref
    )
    if not oneself and not may:
        raise errors.insufficient("USER", ref.name)
    return ctx.thing(ref)


_USER_PROPERTY = ("property", "value", "default", "description")


def _describe_user(ctx: Context, statement: st.Describe) -> Result:
    ref = Ref("USER", statement.name)
    thing = _described_user(ctx, ref)
    given = thing.properties
    values: dict[str, object] = {
        "NAME": ref.name[0],
        "COMMENT": None,
        "DISPLAY_NAME": ref.name[0],
        "TYPE": "PERSON",
        "LOGIN_NAME": ref.name[0],
        "FIRST_NAME": None,
        "LAST_NAME": None,
        "EMAIL": None,
        "DISABLED": False,
        "DEFAULT_WAREHOUSE": None,
        "DEFAULT_NAMESPACE": None,
        "DEFAULT_ROLE": None,
        "RSA_PUBLIC_KEY": None,
        "RSA_PUBLIC_KEY_2": None,
    }
    values |= {word: given[word] for word in values if given.get(word) is not None}
    values["PASSWORD"] = "********" if given.get("PASSWORD") else None
    values["DEFAULT_SECONDARY_ROLES"] = _secondary(thing)
    for key in ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"):
        text = values[key]
        values[f"{key}_FP"] = fingerprint(str(text)) if text else None
    identity = given.get("WORKLOAD_IDENTITY")
    if isinstance(identity, dict):
        values["HAS_WORKLOAD_IDENTITY"] = True
    rows: list[Row] = [
        {
            "property": word,
            "value": "null" if v is None else str(v).lower() if isinstance(v, bool) else str(v),
            "default": "null",
            "description": "",
        }
        for word, v in values.items()
    ]
    return result(_USER_PROPERTY, rows)


_USER_FUNCTION = (
    *("created_on", "name", "schema_name", "is_builtin", "is_aggregate", "is_ansi"),
    *("min_num_arguments", "max_num_arguments", "arguments", "description", "catalog_name"),
    *("is_table_function", "valid_for_clustering", "is_secure", "is_external_function", "language"),
    *("is_memoizable", "is_data_metric"),
)
COLUMNS = {
    **{f"SHOW {' '.join(plural(kind))}": each.columns for kind, each in _LISTINGS.items()},
    "SHOW PARAMETERS": _PARAMETER,
    "SHOW USER FUNCTIONS": _USER_FUNCTION,
    "SHOW USER KEY PAIRS": _KEY_PAIR,
    "DESCRIBE USER": _USER_PROPERTY,
}
"""Statement → the columns of its answer; `sources.COLUMNS` says where each is documented."""
