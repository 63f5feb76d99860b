"""SHOW GRANTS in all its forms, with Snowflake's column names (sources: `sources.COLUMNS`)."""

from __future__ import annotations

from collections.abc import Iterator

from . import errors
from . import statements as st
from .account import FutureGrant, GrantRow, Thing, parent_of
from .context import Context, Result
from .names import ACCOUNT, Ref, quote, render
from .rows import Row, result
from .vocabulary import RELATION_KINDS

_GRANT = (
    "created_on",
    "privilege",
    "granted_on",
    "name",
    "granted_to",
    "grantee_name",
    "grant_option",
    "granted_by",
    "granted_by_role_type",
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
_TO_USER = (
    *("created_on", "privilege", "granted_on", "name", "role", "granted_to", "grantee_name"),
    *("grant_option", "granted_by"),
)
_TO_ROLE = _GRANT[:-1]  # docs: granted_by_role_type appears in SHOW GRANTS ON only
COLUMNS = {
    "SHOW GRANTS ON": _GRANT,
    "SHOW GRANTS TO ROLE": _TO_ROLE,
    "SHOW GRANTS TO USER": _TO_USER,
    "SHOW GRANTS OF": _OF,
    "SHOW FUTURE GRANTS": _FUTURE,
}


def show_grants(ctx: Context, statement: st.ShowGrants) -> Result:
    form, ref = statement.form, statement.ref
    if form == "FUTURE IN":
        container = ctx.existing(ref.kind, ref.name)
        found = [f for f in ctx.account.future if f.container == container]
        return result(_FUTURE, (_future_row(f) for f in found))
    if form == "FUTURE TO":
        grantee = _grantee(ctx, ref)
        return result(_FUTURE, (_future_row(f) for f in ctx.account.future if f.to == grantee))
    if form == "ON":
        return _grants_on(ctx, ref)
    grantee = _grantee(ctx, ref)
    if form == "OF":
        return result(_OF, (_of_row(r) for r in ctx.account.grants_on(grantee)))
    rows = ctx.account.grants_to(grantee)
    if grantee.kind == "USER" and not ctx.behaviour.user_privileges:
        return result(_OF, (_of_row(r) for r in rows if r.on.kind == "ROLE"))
    if grantee.kind == "USER":
        named = ({**_grant_row(r), "role": _role_of(r)} for r in rows)
        return result(_TO_USER, named)
    owned = (t for t in ctx.account.things.values() if t.owner == grantee)
    shown = (*(_grant_row(r) for r in rows), *(_owner_row(t) for t in owned))
    return result(_TO_ROLE, (_general(ctx, row) for row in shown))


def _general(ctx: Context, row: Row) -> Row:
    """Returns the row, in which views are called tables before bcr-2371."""
    views = {kind for kind in RELATION_KINDS if kind.endswith("VIEW")}
    if not ctx.behaviour.exact_kinds and row["granted_on"] in views:
        return {**row, "granted_on": "TABLE"}
    return row


def _role_of(row: GrantRow) -> str | None:
    return render(row.on.name) if row.on.kind in ("ROLE", "DATABASE_ROLE") else None


def _grantee(ctx: Context, ref: Ref) -> Ref:
    if ref.kind == "USER" and not ref.name:
        ref = Ref("USER", (ctx.session.user,))
    found = ctx.resolve(ref.kind, ref.name)
    parent = parent_of(found)
    hidden = parent is not None and not ctx.account.sees(ctx.roles, parent)
    if found not in ctx.account.things or hidden or not _tells(ctx, found):
        raise errors.not_authorized(found.kind, found.name)
    return found


def _tells(ctx: Context, grantee: Ref) -> bool:
    """Checks whether a session sees a database role's grants; undocumented without the role."""
    return (
        grantee.kind != "DATABASE_ROLE"
        or ctx.behaviour.shows_foreign_database_roles
        or grantee in ctx.roles
        or ctx.account.owns(ctx.roles, grantee)
        or ctx.account.manages_grants(ctx.roles, grantee)
    )


def _grants_on(ctx: Context, ref: Ref) -> Result:
    found = ACCOUNT if ref == ACCOUNT else ctx.existing(ref.kind, ref.name)
    thing = ctx.thing(found)
    name = _grantee_name if ctx.behaviour.exact_kinds else _name_before
    rows = [
        *_owners(thing),
        *({**_grant_row(r), "grantee_name": name(r.to)} for r in ctx.account.grants_on(found)),
    ]
    # docs, SHOW GRANTS and bcr-1397: objects in a managed access schema have no grant options
    no_option = {"grant_option": "false"} if ctx.account.in_managed_schema(found) else {}
    return result(_GRANT, ({**row, **no_option} for row in rows))


def _owners(thing: Thing) -> Iterator[Row]:
    """Rows for ownership. The owner of a managed access schema also has a row MANAGE GRANTS.

    docs: release-notes/bcr-bundles/2023_08/bcr-1397
    """
    if thing.owner is not None:
        yield _owner_row(thing)
        if thing.managed_access:
            yield {**_owner_row(thing), "privilege": "MANAGE GRANTS"}


def _grantee_name(to: Ref) -> str:
    return quote(to.name[-1]) if to.kind == "DATABASE_ROLE" else render(to.name)


def _name_before(to: Ref) -> str:
    """Returns the name as before bcr-2371: database roles had their database in this form."""
    return render(to.name)


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
        "granted_by_role_type": "ROLE" if row.by else "",
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
        "granted_by_role_type": thing.owner.kind,
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
