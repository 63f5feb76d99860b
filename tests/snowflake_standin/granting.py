"""GRANT and REVOKE: who may, on what, to whom."""

from __future__ import annotations

from dataclasses import replace

from . import errors
from . import statements as st
from .account import PUBLIC, FutureGrant, GrantRow
from .context import Context, Decision, status
from .names import ACCOUNT, Ref, render
from .vocabulary import (
    NOT_BY_GRANT,
    NOT_IN_ALL,
    OF_DATABASE_ROLES,
    PRIVILEGES,
    SCHEMA_KINDS,
)


def grant(ctx: Context, statement: st.Grant) -> Decision:
    to = _grantee(ctx, statement.to)
    if statement.on.scope == "FUTURE":
        return _grant_future(ctx, statement, to)
    rows = [
        (privilege, ref)
        for ref in _targets(ctx, statement.on)
        for privilege in _expand(statement.privileges, ref.kind)
    ]
    for privilege, ref in rows:
        _check_database_role(to, ref)
        _check_privilege(ctx, statement, privilege, ref, to)
        if privilege == "MANAGE GRANTS" and ref != ACCOUNT:
            _check_preview(ctx)
        if not _may_grant(ctx, privilege, ref):
            raise errors.insufficient(ref.kind, ref.name)

    def effect() -> None:
        for privilege, ref in rows:
            if not statement.revoke:
                by = _grantor(ctx, ref)
                row = GrantRow(privilege, ref, to, statement.grant_option, by, ctx.now)
                ctx.account.grant(row)
                continue
            ctx.account.revoke(privilege, ref, to)
            if statement.grant_option:
                # REVOKE GRANT OPTION FOR leaves the privilege itself.
                ctx.account.grant(GrantRow(privilege, ref, to, False, ctx.session.role, ctx.now))

    return Decision(status(), effect)


def _grantee(ctx: Context, to: Ref) -> Ref:
    ref = ctx.resolve(to.kind, to.name)
    if ref not in ctx.account.things:
        raise errors.not_authorized(ref.kind, ref.name)
    if ref.kind == "USER":
        raise errors.unknown_statement("GRANT … TO USER", "privileges go to roles here")
    return ref


def _targets(ctx: Context, on: st.Securable) -> list[Ref]:
    if on.kind == "ACCOUNT":
        return [ACCOUNT]
    if on.scope == "ONE":
        return [ctx.existing(on.kind, on.name)]
    container = ctx.existing(on.container, on.name)
    return ctx.account.within(container, on.kind)


def _expand(privileges: tuple[str, ...], kind: str) -> list[str]:
    """Returns the named privileges. ALL is every privilege of the kind except OWNERSHIP."""
    if not privileges:
        return sorted(PRIVILEGES[kind] - NOT_IN_ALL)
    for privilege in privileges:
        if privilege not in PRIVILEGES[kind] or kind in NOT_BY_GRANT:
            raise errors.syntax_error(privilege)
    return list(privileges)


def _check_preview(ctx: Context) -> None:
    if not ctx.behaviour.container_manage_grants:
        raise errors.syntax_error("MANAGE GRANTS")


def _check_database_role(to: Ref, on: Ref) -> None:
    """Checks that a database role gets privileges only on its database and objects in it.

    docs.snowflake.com/user-guide/security-access-control-overview, "Database roles"; the
    number of the error is not documented.
    """
    if to.kind != "DATABASE_ROLE":
        return
    inside = on.kind in SCHEMA_KINDS or on.kind in ("SCHEMA", "DATABASE", "DATABASE_ROLE")
    if not inside or on.name[:1] != to.name[:1]:
        raise errors.invalid(f"{on} cannot be granted to database role {render(to.name)}")


def _check_privilege(ctx: Context, statement: st.Grant, privilege: str, on: Ref, to: Ref) -> None:
    """Checks which privileges on a database a database role can hold, and READ before WRITE on a
    stage: docs, GRANT <privileges>. The numbers of the errors are not documented."""
    if statement.revoke:
        return
    if (to.kind, on.kind) == ("DATABASE_ROLE", "DATABASE") and privilege not in OF_DATABASE_ROLES:
        raise errors.invalid(f"{privilege} cannot be granted to database role {render(to.name)}")
    reads = "READ" in statement.privileges or ctx.account.holds(frozenset({to}), "READ", on)
    if (on.kind, privilege) == ("STAGE", "WRITE") and statement.privileges and not reads:
        raise errors.invalid("WRITE on a stage requires READ")


def _may_grant(ctx: Context, privilege: str, on: Ref) -> bool:
    account = ctx.account
    if on == ACCOUNT:
        # Only ACCOUNTADMIN grants global privileges: it has all of them WITH GRANT OPTION.
        return _has_option(ctx, privilege, on)
    if privilege == "IMPORTED PRIVILEGES":
        return _has_option(ctx, privilege, on)
    if account.manages_grants(ctx.roles, on):
        return True
    if account.in_managed_schema(on) or not account.may_enter(ctx.roles, on):
        return False
    return account.owns(ctx.roles, on) or _has_option(ctx, privilege, on)


def _has_option(ctx: Context, privilege: str, on: Ref) -> bool:
    return any(
        row.option and row.privilege == privilege and row.to in ctx.roles
        for row in ctx.account.grants_on(on)
    )


def _grantor(ctx: Context, on: Ref) -> str:
    """Returns the recorded grantor: a grant through MANAGE GRANTS counts as the owner's."""
    thing = ctx.account.things.get(on)
    if thing is None or thing.owner is None or on == ACCOUNT:
        return ctx.session.role
    return thing.owner.name[-1]


def _grant_future(ctx: Context, statement: st.Grant | st.GrantOwnership, to: Ref) -> Decision:
    on = statement.on
    container = ctx.existing(on.container, on.name)
    _check_database_role(to, container)
    # docs: future grants require MANAGE GRANTS, or ownership of a managed access schema.
    allowed = ctx.account.manages_grants(ctx.roles, container) or (
        container.kind == "SCHEMA"
        and ctx.thing(container).managed_access
        and ctx.account.owns(ctx.roles, container)
    )
    if not allowed:
        raise errors.insufficient(container.kind, container.name)
    _require_usage_for(ctx, statement, to)
    if isinstance(statement, st.GrantOwnership):
        privileges, revoke, option = ["OWNERSHIP"], False, False
        _check_future_owner(ctx, on.kind, container, to)
    else:
        privileges = (
            list(statement.privileges)
            if statement.privileges == ("OWNERSHIP",)
            else _expand(statement.privileges, on.kind)
        )
        revoke, option = statement.revoke, statement.grant_option

    def effect() -> None:
        gone = {(privilege, on.kind, container, to) for privilege in privileges}
        ctx.account.future = [
            f for f in ctx.account.future if (f.privilege, f.kind, f.container, f.to) not in gone
        ]
        if not revoke:
            ctx.account.future += [
                FutureGrant(p, on.kind, container, to, option, ctx.now) for p in privileges
            ]

    return Decision(status(), effect)


def _require_usage_for(ctx: Context, statement: st.Grant | st.GrantOwnership, to: Ref) -> None:
    """Requires USAGE on the database of a database role that gets a future grant, and nothing more
    for other roles: docs, GRANT <privileges>, "Access control requirements"."""
    gives = isinstance(statement, st.GrantOwnership) or not statement.revoke
    database = Ref("DATABASE", to.name[:1])
    if to.kind == "DATABASE_ROLE" and gives and not ctx.account.holds(ctx.roles, "USAGE", database):
        raise errors.not_authorized(to.kind, to.name)


def _check_future_owner(ctx: Context, kind: str, container: Ref, to: Ref) -> None:
    """Checks the "Restrictions and limitations" of future grants: docs, GRANT <privileges>. The
    numbers of the errors are not documented."""
    owners = [
        each.to
        for each in ctx.account.future
        if (each.privilege, each.kind, each.container) == ("OWNERSHIP", kind, container)
    ]
    if owners and owners != [to]:
        raise errors.invalid(f"{render(container.name)} has a future grant of OWNERSHIP already")
    thing = ctx.thing(container)
    below = ctx.account.reach(thing.owner) - {thing.owner} if thing.owner else frozenset()
    if thing.managed_access and to not in below:
        raise errors.invalid(f"{to} is not a subordinate of the owner of a managed access schema")


def grant_role(ctx: Context, statement: st.GrantRole) -> Decision:
    """Decides on ``GRANT [DATABASE] ROLE``, by its owner or a role that manages grants."""
    account = ctx.account
    granted = ctx.resolve(statement.role.kind, statement.role.name)
    to = ctx.resolve(statement.to.kind, statement.to.name)
    for ref in (granted, to):
        if ref not in account.things:
            raise errors.not_authorized(ref.kind, ref.name)
    if granted.kind == "ROLE" and to.kind == "DATABASE_ROLE":
        raise errors.syntax_error("DATABASE")
    if to.kind == "DATABASE_ROLE":
        _check_database_role(to, granted)
    if not account.owns(ctx.roles, granted) and not account.manages_grants(ctx.roles, granted):
        raise errors.insufficient(granted.kind, granted.name)
    if not statement.revoke and to != PUBLIC and to in account.reach(granted):
        raise errors.SnowflakeError(
            3036,
            "42501",
            f"SQL execution error: Granting {granted} to {to} would create a cycle.",
        )

    def effect() -> None:
        if statement.revoke:
            account.revoke("USAGE", granted, to)
        else:
            by = _grantor(ctx, granted)
            account.grant(GrantRow("USAGE", granted, to, False, by, ctx.now))

    return Decision(status(), effect)


def grant_ownership(ctx: Context, statement: st.GrantOwnership) -> Decision:
    to = _grantee(ctx, statement.to)
    if statement.on.scope == "FUTURE":
        return _grant_future(ctx, statement, to)
    targets = _owned_targets(ctx, statement.on)
    for ref in targets:
        _check_database_role(to, ref)
        owned = ctx.account.owns(ctx.roles, ref)
        manages = ctx.account.manages_grants(ctx.roles, ref)
        # docs, GRANT OWNERSHIP: COPY requires MANAGE GRANTS, or the new owner as an active role.
        if not manages and not (owned and (statement.current_grants != "COPY" or to in ctx.roles)):
            raise errors.insufficient(ref.kind, ref.name)
        _refuse_dependent_grants(ctx, ref, to, statement)
        _refuse_future_owners(ctx, ref)
        _check_managed_owner(ctx, ref, to)

    def effect() -> None:
        for ref in targets:
            thing = ctx.thing(ref)
            thing.owner = to
            for row in ctx.account.grants_on(ref):
                if statement.current_grants:
                    ctx.account.revoke(row.privilege, ref, row.to)
                if statement.current_grants == "COPY":
                    ctx.account.grant(replace(row, by=to.name[-1]))

    return Decision(status(), effect)


def _owned_targets(ctx: Context, on: st.Securable) -> list[Ref]:
    """Returns the objects of GRANT OWNERSHIP, which treats materialized views as views."""
    if on.kind == "MATERIALIZED_VIEW":
        raise errors.syntax_error("MATERIALIZED")
    if on.kind != "VIEW":
        return _targets(ctx, on)
    if on.scope == "ONE":
        return [ctx.relation(on.name, "VIEW", "MATERIALIZED_VIEW")]
    return [*_targets(ctx, on), *_targets(ctx, replace(on, kind="MATERIALIZED_VIEW"))]


def _check_managed_owner(ctx: Context, on: Ref, to: Ref) -> None:
    """Checks that ownership in a managed access schema goes to a role below the schema's owner:
    docs, GRANT <privileges>. That it can go to the owner itself is an assumption."""
    if not ctx.account.in_managed_schema(on):
        return
    owner = ctx.thing(Ref("SCHEMA", on.name[:2])).owner
    if owner is None or to not in ctx.account.reach(owner):
        raise errors.invalid(f"{to} is not a subordinate of the owner of a managed access schema")


def _refuse_future_owners(ctx: Context, schema: Ref) -> None:
    """Refuses a new owner for a managed access schema that has future grants of OWNERSHIP: docs,
    GRANT <privileges>, "Restrictions and limitations". The number is not documented."""
    future = [f for f in ctx.account.future if f.container == schema and f.privilege == "OWNERSHIP"]
    if future and ctx.thing(schema).managed_access:
        raise errors.invalid(f"{render(schema.name)} has future grants of OWNERSHIP: revoke them")


def _refuse_dependent_grants(ctx: Context, ref: Ref, to: Ref, statement: st.GrantOwnership) -> None:
    """Refuses a new owner for an object with grants, without COPY or REVOKE CURRENT GRANTS."""
    rows = [
        row
        for row in ctx.account.grants_on(ref)
        if ref.kind not in NOT_BY_GRANT and row.to != ctx.thing(ref).owner
    ]
    if rows and statement.current_grants is None and ctx.thing(ref).owner != to:
        row = rows[0]
        raise errors.SnowflakeError(
            3041,
            "42710",
            f"SQL execution error: Dependent grant of privilege '{row.privilege}' on securable "
            f"'{render(ref.name)}' to role '{render(row.to.name)}' exists. It must be revoked "
            "first. More than one dependent grant may exist: use 'SHOW GRANTS' command to view "
            "them. To revoke all dependent grants while transferring object ownership, use "
            "convenience command 'GRANT OWNERSHIP ON <target_objects> TO <target_role> REVOKE "
            "CURRENT GRANTS'.",
        )
