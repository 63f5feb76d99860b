"""What a member's roles should have, and how an account differs from that. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbtmesh.snowflake.names import ADMIN_ROLES, PUBLIC, Names, consumer_of
from dbtmesh.snowflake.objects import (
    RELATIONS,
    Grant,
    Object,
    Scope,
    container_kind,
    parts_of,
    plural,
)
from dbtmesh.snowflake.plan import Live
from dbtmesh.snowflake.sqlscript import Step

Public = Mapping[Object, frozenset[str] | None]
"""Relations with `access: public` → the projects that they are for; None: all of them."""


@dataclass(frozen=True)
class Expected:
    """What a member's roles should have.

    public: None where no manifest of prod is at hand, in which case SELECT is not judged.
    """

    grants: frozenset[Grant]
    public: Public | None


def expected(steps: Iterable[Step], public: Public | None) -> Expected:
    grants = frozenset(grant for step in steps for grant in step.grants)
    return Expected(grants, public)


def readable(public: Public | None, live: Live, names: Names) -> dict[Object, set[str]]:
    """The database roles by which others read the member, as far as they are set up → the names
    of the relations that are for them."""
    meant: dict[str | None, set[str]] = defaultdict(set)
    for thing, named in (public or {}).items():
        for project in (None,) if named is None else named:
            meant[project].add(thing.name)
    found = {names.public_read: meant[None]}
    for thing, row in live.objects.items():
        if project := consumer_of(thing, row.get("comment", ""), names.prod):
            found[thing] = meant[project]
    return found


def missing_select(wanted: Expected, live: Live, names: Names) -> list[Grant]:
    """SELECT that readers should have on public models that are built, and have not."""
    built = {
        thing.name: thing
        for kind in RELATIONS
        for thing in live.contents.get((kind, names.prod), ())
    }
    held = {(grant.to, grant.on.name) for grant in live.grants}
    return sorted(
        Grant("SELECT", built[name], reader)
        for reader, meant in readable(wanted.public, live, names).items()
        for name in meant & built.keys()
        if (reader, name) not in held
    )


def excess(wanted: Expected, live: Live, names: Names) -> list[Grant]:
    """Grants to the member's roles and users, or on its objects, that nothing accounts for."""
    meant = readable(wanted.public, live, names)
    return sorted(grant for grant in live.grants if not _accounted_for(grant, wanted, meant, names))


def _accounted_for(
    grant: Grant, wanted: Expected, meant: Mapping[Object, set[str]], names: Names
) -> bool:
    """meant: as `readable` has it."""
    if grant.to == PUBLIC:
        return False
    if grant in wanted.grants or _covered(grant, wanted.grants):
        return True
    if grant.scope is not Scope.ONE:
        return False
    if grant.privilege == "OWNERSHIP":
        return _rightful_owner(grant, names)
    if grant.to in meant:
        if wanted.public is None:
            return grant.on.database == names.prod
        return _published(grant, meant[grant.to], names)
    if grant.on == names.dev_role or grant.on in meant:
        # Which projects read it, and who works on it, is decided elsewhere; not its own deploys.
        return grant.to not in (names.service_user, names.role) and grant.to.kind != "DATABASE ROLE"
    # Other projects may share the warehouse.
    return grant.on == names.warehouse and grant.privilege == "USAGE"


def _covered(grant: Grant, wanted: frozenset[Grant]) -> bool:
    """By a grant on all or future objects of the database or schema that it is in."""
    parts = grant.on.parts
    return grant.scope is Scope.ONE and any(
        Grant(grant.privilege, Object(grant.on.kind, ".".join(parts[:depth])), grant.to, scope)
        in wanted
        for depth in range(1, len(parts))
        for scope in (Scope.ALL, Scope.FUTURE)
    )


def _rightful_owner(grant: Grant, names: Names) -> bool:
    """dbt owns what it builds; admin roles own what they made."""
    inside = len(grant.on.parts) > 1
    if grant.to == names.role:
        return inside and grant.on.database == names.prod
    if grant.to == names.dev_role:
        return inside and grant.on.database == names.dev
    return grant.to in ADMIN_ROLES


def _published(grant: Grant, meant: set[str], names: Names) -> bool:
    """SELECT on what is for the reader, and USAGE on the schemas of that, and on its database,
    which a database role has from the start."""
    if grant.privilege == "SELECT":
        return grant.on.name in meant
    containers = {names.prod, *(".".join(parts_of(name)[:-1]) for name in meant)}
    return grant.privilege == "USAGE" and grant.on.name in containers


def revoke(grant: Grant) -> str:
    """The statement that takes a grant back."""
    what = f"{grant.privilege} ON {grant.on}"
    if grant.scope is Scope.FUTURE:
        container = container_kind(grant.on.name)
        what = f"{grant.privilege} ON FUTURE {plural(grant.on.kind)} IN {container} {grant.on.name}"
    elif grant.on.kind in ("ROLE", "DATABASE ROLE") and grant.privilege == "USAGE":
        what = str(grant.on)
    return f"REVOKE {what} FROM {grant.to}"


def revocable(grant: Grant, names: Names) -> bool:
    """May `verify --fix` take it back? On the member's own objects; ownership is never revoked."""
    return grant.privilege != "OWNERSHIP" and names.owns(grant.container)
