"""SHOW and DESCRIBE, answered from the model with Snowflake's column names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import errors
from . import statements as st
from .account import FutureGrant, GrantRow, Thing, parent_of
from .context import Column, Context, Result
from .keys import fingerprint
from .names import ACCOUNT, Ref, quote, render
from .vocabulary import EMPTY_KINDS

Row = dict[str, object]
_TIMES = frozenset({"created_on", "expires_at", "updated_on", "resumed_on"})
_NUMBERS = frozenset({"rows", "bytes", "assigned_to_users", "granted_to_roles", "granted_roles"})


def _result(columns: Iterable[str], rows: Iterable[Row]) -> Result:
    """Rows as an answer; times are seconds since the epoch until they are serialised."""
    names = tuple(columns)

    def type_of(name: str) -> str:
        return "timestamp_ltz" if name in _TIMES else "fixed" if name in _NUMBERS else "text"

    return Result(
        tuple(Column(name, type_of(name)) for name in names),
        tuple(tuple(row.get(name) for name in names) for row in rows),
    )


# -- SHOW GRANTS --------------------------------------------------------------------------

_GRANT = (
    "created_on",
    "privilege",
    "granted_on",
    "name",
    "granted_to",
    "grantee_name",
    "grant_option",
    "granted_by",
)
_FUTURE = (
    "created_on",
    "privilege",
    "grant_on",
    "name",
    "grant_to",
    "grantee_name",
    "grant_option",
)
_OF = ("created_on", "role", "granted_to", "grantee_name", "granted_by")


def show_grants(ctx: Context, statement: st.ShowGrants) -> Result:
    form, ref = statement.form, statement.ref
    if form == "FUTURE IN":
        container = ctx.existing(ref.kind, ref.name)
        found = [f for f in ctx.account.future if f.container == container]
        return _result(_FUTURE, (_future_row(f) for f in found))
    if form == "FUTURE TO":
        grantee = _grantee(ctx, ref)
        return _result(_FUTURE, (_future_row(f) for f in ctx.account.future if f.to == grantee))
    if form == "ON":
        return _grants_on(ctx, ref)
    grantee = _grantee(ctx, ref)
    if form == "OF":
        return _result(_OF, (_of_row(r) for r in ctx.account.grants_on(grantee)))
    rows = ctx.account.grants_to(grantee)
    if grantee.kind == "USER":
        return _result(_OF, (_of_row(r) for r in rows))
    owned = [t for t in ctx.account.things.values() if t.owner == grantee]
    return _result(_GRANT, [*(_grant_row(r) for r in rows), *(_owner_row(t) for t in owned)])


def _grantee(ctx: Context, ref: Ref) -> Ref:
    if ref.kind == "USER" and not ref.name:
        ref = Ref("USER", (ctx.session.user,))
    found = ctx.resolve(ref.kind, ref.name)
    parent = parent_of(found)
    hidden = parent is not None and not ctx.account.sees(ctx.roles, parent)
    if found not in ctx.account.things or hidden:
        raise errors.not_authorized(found.kind, found.name)
    return found


def _grants_on(ctx: Context, ref: Ref) -> Result:
    found = ACCOUNT if ref == ACCOUNT else ctx.existing(ref.kind, ref.name)
    rows = [_grant_row(r) for r in ctx.account.grants_on(found)]
    thing = ctx.thing(found)
    if thing.owner is not None:
        rows.insert(0, _owner_row(thing))
    return _result(_GRANT, rows)


def _grantee_name(to: Ref) -> str:
    return quote(to.name[-1]) if to.kind == "DATABASE_ROLE" else render(to.name)


def _grant_row(row: GrantRow) -> Row:
    return {
        "created_on": row.created_on,
        "privilege": row.privilege,
        "granted_on": row.on.kind,
        "name": render(row.on.name),
        "granted_to": row.to.kind,
        "grantee_name": _grantee_name(row.to),
        "grant_option": "true" if row.option else "false",
        "granted_by": row.by,
    }


def _owner_row(thing: Thing) -> Row:
    assert thing.owner is not None
    return {
        "created_on": thing.created_on,
        "privilege": "OWNERSHIP",
        "granted_on": thing.ref.kind,
        "name": render(thing.ref.name),
        "granted_to": thing.owner.kind,
        "grantee_name": _grantee_name(thing.owner),
        "grant_option": "true",
        "granted_by": thing.owner.name[-1],
    }


def _of_row(row: GrantRow) -> Row:
    return {
        "created_on": row.created_on,
        "role": render(row.on.name),
        "granted_to": row.to.kind,
        "grantee_name": _grantee_name(row.to),
        "granted_by": row.by,
    }


def _future_row(grant: FutureGrant) -> Row:
    return {
        "created_on": grant.created_on,
        "privilege": grant.privilege,
        "grant_on": grant.kind,
        "name": f"{render(grant.container.name)}.<{grant.kind}>",
        "grant_to": grant.to.kind,
        "grantee_name": _grantee_name(grant.to),
        "grant_option": "true" if grant.option else "false",
    }


# -- SHOW ---------------------------------------------------------------------------------


class _Listing(NamedTuple):
    columns: tuple[str, ...]
    row: Callable[[Context, Thing], Row]


def show(ctx: Context, statement: st.Show) -> Result:
    if statement.kind == "PARAMETER":
        return _parameters(ctx, statement)
    if statement.kind == "KEY_PAIR":
        return _key_pairs(ctx, statement)
    if statement.kind in EMPTY_KINDS or statement.kind == "USER_FUNCTION":
        _scope(ctx, statement)
        nothing = ("created_on", "name", "schema_name", "catalog_name", "is_builtin")
        return _result(nothing, ())
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
    return _result(columns, rows)


def _scope(ctx: Context, statement: st.Show) -> list[Thing]:
    """All objects of the kind where the statement looks.

    Without IN, SHOW looks in the session's schema or database, else in the whole account.
    """
    kinds = {"OBJECT": ("TABLE", "VIEW")}.get(statement.kind, (statement.kind,))
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


def _listed(ctx: Context, thing: Thing) -> bool:
    return ctx.account.sees(ctx.roles, thing.ref) and ctx.reachable(thing.ref)


def _matches(statement: st.Show, thing: Thing) -> bool:
    name = thing.ref.name[-1] if thing.ref.name else ""
    if statement.like is not None and not like(statement.like, name):
        return False
    return statement.starts_with is None or name.startswith(statement.starts_with)


def like(pattern: str, text: str) -> bool:
    """SHOW … LIKE: ``%`` and ``_``, whatever the case."""
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


def _relation(_: Context, thing: Thing) -> Row:
    table = thing.ref.kind == "TABLE"
    return {
        "rows": 0 if table else None,
        "bytes": 0 if table else None,
        "cluster_by": "",
        "is_dynamic": "N",
        "is_iceberg": "N",
        "is_hybrid": "N",
        "is_secure": "false",
        "is_materialized": "false",
    }


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
    "TABLE": _Listing(_RELATION, _relation),
    "VIEW": _Listing(
        (
            *("created_on", "name", "kind", "database_name", "schema_name", "owner", "comment"),
            *("is_secure", "is_materialized", "owner_role_type"),
        ),
        _relation,
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
    return _result(("key", "value", "default", "level", "description", "type"), rows)


def _key_pairs(ctx: Context, statement: st.Show) -> Result:
    """docs.snowflake.com/sql-reference/sql/show-user-key-pairs."""
    if not ctx.named_key_pairs:
        raise errors.syntax_error("KEY")
    ref = statement.within or Ref("USER", (ctx.session.user,))
    user = _described_user(ctx, ref)
    rows: list[Row] = []
    for name, pair in user.key_pairs.items():
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
                "expires_at": pair.expires_at,
                "rotated_to": pair.rotated_to,
            }
        )
    columns = (
        *("name", "user_name", "fingerprint", "role_scope", "status", "comment"),
        *("created_on", "expires_at", "rotated_to"),
    )
    return _result(columns, rows)


# -- DESCRIBE -----------------------------------------------------------------------------


def describe(ctx: Context, statement: st.Describe) -> Result:
    """DESCRIBE of what is no relation; columns of relations are the data engine's."""
    if statement.kind == "USER":
        return _describe_user(ctx, statement)
    ref = ctx.existing(statement.kind, statement.name)
    properties = ctx.thing(ref).properties
    rows: list[Row] = [
        {"name": word, "value": ",".join(map(str, v)) if isinstance(v, tuple) else str(v)}
        for word, v in sorted(properties.items())
    ]
    return _result(("name", "value"), rows)


def _described_user(ctx: Context, ref: Ref) -> Thing:
    if ref not in ctx.account.things:
        raise errors.not_authorized("USER", ref.name)
    oneself = ref.name == (ctx.session.user,)
    if not oneself and not ctx.account.holds(ctx.roles, "MONITOR", ref):
        raise errors.insufficient("USER", ref.name)
    return ctx.thing(ref)


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
    return _result(("property", "value", "default", "description"), rows)
