"""Compares the grants that a member's roles should have with those on an account. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from dbtmesh.snowflake import names as naming
from dbtmesh.snowflake.names import ADMIN_ROLES, PUBLIC, Names, consumer_of, mesh_reads
from dbtmesh.snowflake.objects import (
    ALL_PRIVILEGES,
    RELATIONS,
    Grant,
    Object,
    Scope,
    parts_of,
)
from dbtmesh.snowflake.plan import Live
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import Verb

Public = Mapping[Object, frozenset[str] | None]
"""Relations with `access: public` → the projects that may read them; None: all projects."""


@dataclass(frozen=True)
class Expected:
    """The grants that a member's roles should have.

    public: the public models. It is None without a manifest of prod; then grants of SELECT are not
    checked. created: the objects that the steps create.
    """

    grants: frozenset[Grant]
    public: Public | None
    created: frozenset[Object] = frozenset()

    @cached_property
    def keys(self) -> frozenset[Grant]:
        return frozenset(grant.key for grant in self.grants)


def expected(steps: Iterable[Step], public: Public | None) -> Expected:
    """Returns what the steps grant in the end: a later step may revoke what an earlier one gave."""
    grants: dict[Grant, None] = {}
    created = set()
    for step in steps:
        if step.verb is Verb.GRANT:
            grants |= dict.fromkeys(step.grants)
        elif step.verb is Verb.REVOKE:
            grants = {grant: None for grant in grants if grant not in step.grants}
        elif step.verb is Verb.CREATE and step.object:
            created.add(step.object)
    return Expected(frozenset(grants), public, frozenset(created))


def readable(public: Public | None, live: Live, names: Names) -> dict[Object, set[str]]:
    """Returns the names of the public relations that each reader may read. The readers are the
    database roles with which others read the member, as far as they exist."""
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
    """Returns the grants of SELECT that readers lack on public models that are built."""
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
    """Returns the grants to the member's roles and users, or on its objects, that nothing accounts
    for."""
    meant = readable(wanted.public, live, names)
    own = {names.role, names.dev_role, names.service_user, names.ci_user, *meant}
    return sorted(
        grant
        for grant in live.grants
        if (grant.to in own or _is_own(grant, names, meant))
        and not _is_others_still(grant, own, wanted, live, names)
        and not _repeats(grant, wanted, live)
        and not _accounted_for(_as_ownership(grant, live), wanted, meant, names)
    )


def _is_own(grant: Grant, names: Names, meant: Mapping[Object, set[str]]) -> bool:
    """Checks whether a grant is on one of the member's objects."""
    return names.owns(grant.container) or grant.on in meant


def _is_others_still(
    grant: Grant, own: AbstractSet[Object], wanted: Expected, live: Live, names: Names
) -> bool:
    """Checks whether a grant concerns something that an adoption leaves as it is.

    That is a schema beside the project's own, in a database that the project did not make. It is
    also what an adopted role owns outside the project's objects.
    """
    if grant.to in own:
        comment = live.objects.get(grant.to, {}).get("comment", "")
        elsewhere = grant.privilege == "OWNERSHIP" and not names.owns(grant.container)
        return elsewhere and naming.is_adopted(names.project, comment)
    place = grant.container
    if place.kind != "SCHEMA" and len(place.parts) < 3:
        return False
    comment = live.objects.get(Object("DATABASE", place.database), {}).get("comment", "")
    schema = Object("SCHEMA", ".".join(place.parts[:2]))
    built = (Grant("OWNERSHIP", schema, role) for role in (names.role, names.dev_role))
    beside = schema not in wanted.created and live.grants.isdisjoint(built)
    return beside and not naming.made(names.project, comment)


def _as_ownership(grant: Grant, live: Live) -> Grant:
    """Returns a schema owner's OWNERSHIP for its MANAGE GRANTS on the schema, or any other grant
    unchanged.

    SHOW GRANTS lists MANAGE GRANTS too for the owner of a schema with managed access. For anybody
    else it is a privilege that was granted.
    https://docs.snowflake.com/en/sql-reference/sql/show-grants
    """
    ownership = grant._replace(privilege="OWNERSHIP")
    if grant.privilege == "MANAGE GRANTS" and ownership in live.grants:
        return ownership
    return grant


def _accounted_for(
    grant: Grant, wanted: Expected, meant: Mapping[Object, set[str]], names: Names
) -> bool:
    """Checks whether a grant is wanted or allowed. meant: what `readable` returns."""
    if _is_wanted(grant, wanted):
        return True
    if grant.to == PUBLIC:
        return False
    if grant.scope is not Scope.ONE:
        return False
    if grant.to in wanted.created and grant.on == Object("DATABASE", grant.to.container):
        return grant.privilege == "USAGE"  # a database role has it from the start
    if grant.privilege == "OWNERSHIP":
        return _rightful_owner(grant, wanted, names)
    if grant.to in meant:
        if wanted.public is None:
            registry = Object("SCHEMA", names.mesh)  # dbt does not build it
            in_registry = registry in wanted.created and grant.on.is_in(registry)
            return grant.on.database == names.prod and not in_registry
        return _published(grant, meant[grant.to], names)
    if _shows_a_reader(grant, wanted, names):
        return True
    if grant.on == names.dev_role or grant.on in meant:
        # Who works on the project and which projects read it is decided elsewhere. But its own
        # deploys, and other database roles, should not get these roles.
        return grant.to not in (names.service_user, names.role) and grant.to.kind != "DATABASE ROLE"
    # Other projects may share the warehouse.
    return grant.on == names.warehouse and grant.privilege == "USAGE"


def _shows_a_reader(grant: Grant, wanted: Expected, names: Names) -> bool:
    """Checks whether a reader of this project granted its own `mesh_reads` to this project. With
    that role the project sees what the reader has recorded."""
    publishes = any(thing.container == names.mesh for thing in wanted.created)
    is_a_readers = grant.on == mesh_reads(grant.on.database) and grant.on != names.mesh_reads
    return publishes and is_a_readers and grant.to in (names.role, names.dev_role)


def _is_wanted(grant: Grant, wanted: Expected) -> bool:
    """Checks whether a grant is wanted by itself, by GRANT ALL, or by a grant on all or future
    objects of its schema or database."""
    parts = grant.on.parts if grant.scope is Scope.ONE else ()
    same = [grant.key]
    for depth in range(1, len(parts)):
        on = Object(grant.on.kind, ".".join(parts[:depth]))
        for scope in (Scope.ALL, Scope.FUTURE):
            same.append(Grant(grant.privilege, on, grant.to, scope))
    if grant.privilege != "OWNERSHIP":
        same += [each.of_kind(ALL_PRIVILEGES) for each in same]
    return not wanted.keys.isdisjoint(same)


def _repeats(grant: Grant, wanted: Expected, live: Live) -> bool:
    """Checks whether a future grant on a schema repeats the wanted one on its database, because a
    future grant of somebody else on that schema shadows it."""
    if grant.scope is not Scope.FUTURE or not grant.on.container:
        return False
    on_database = grant._replace(on=Object(grant.on.kind, grant.on.container))
    shadowed = any(
        (each.on, each.scope) == (grant.on, grant.scope) and each.to != grant.to
        for each in live.grants
    )
    return shadowed and _is_wanted(on_database, wanted)


def _rightful_owner(grant: Grant, wanted: Expected, names: Names) -> bool:
    """Checks whether the grantee may own the object. The member's roles own what dbt builds, admin
    roles own what they made, and a role that may create in a schema owns what it creates there."""
    inside = len(grant.on.parts) > 1
    if grant.to == names.role:
        return inside and grant.on.database in names.all_prod
    if grant.to == names.dev_role:
        return inside and grant.on.database == names.dev
    schema = Object("SCHEMA", grant.on.container)
    creates = Grant(f"CREATE {grant.on.kind}", schema, grant.to)
    return grant.to in ADMIN_ROLES or (inside and _is_wanted(creates, wanted))


def _published(grant: Grant, meant: set[str], names: Names) -> bool:
    """Checks whether a reader may have a grant: SELECT on the relations for it, USAGE on their
    schemas, and USAGE on the database, which a database role has from the start."""
    if grant.privilege == "SELECT":
        return grant.on.name in meant
    containers = {names.prod, *(".".join(parts_of(name)[:-1]) for name in meant)}
    return grant.privilege == "USAGE" and grant.on.name in containers


def remedy(grant: Grant, names: Names) -> str:
    """Returns the statement that ends a grant. Ownership cannot be revoked, only transferred."""
    if grant.privilege == "OWNERSHIP" and grant.scope is Scope.ONE:
        owner = names.dev_role if grant.on.database == names.dev else names.role
        return f"GRANT OWNERSHIP ON {grant.where} TO {owner} COPY CURRENT GRANTS"
    return revocation(grant)


def revocation(grant: Grant) -> str:
    if grant.scope is Scope.ONE and grant.privilege in ("USAGE", "SELECT"):
        if grant.on.kind in ("ROLE", "DATABASE ROLE"):
            return f"REVOKE {grant.on} FROM {grant.to}"
        if grant.on.kind in RELATIONS:
            # Without a kind, because SHOW GRANTS does not always tell the right one: bcr-2371.
            return f"REVOKE SELECT ON {grant.on.name} FROM {grant.to}"  # noqa: S608
    return f"REVOKE {grant.privilege} ON {grant.where} FROM {grant.to}"


def revocable(grant: Grant, names: Names) -> bool:
    """Checks whether `verify --fix` revokes a grant: only on the member's own objects, and never
    ownership."""
    return grant.privilege != "OWNERSHIP" and names.owns(grant.container)
