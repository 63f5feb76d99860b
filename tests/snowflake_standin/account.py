"""The state of an account, and queries about access to it.

This module does not parse, serve or authorise statements. It holds objects and grants, and
implements the rules that combine them: ownership, the role hierarchy, database roles and future
grants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .names import ACCOUNT, Name, Ref, role
from .statements import Value
from .vocabulary import DATABASE_KINDS, PRIVILEGES, RELATION_KINDS, SCHEMA_KINDS

PUBLIC = role("PUBLIC")
ACCOUNTADMIN = role("ACCOUNTADMIN")
ADMIN_ROLES = frozenset(
    role(name) for name in ("ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN")
)
SNOWFLAKE = Ref("DATABASE", ("SNOWFLAKE",))

# docs.snowflake.com/sql-reference/snowflake-db-roles: which viewer role reads which view.
ACCOUNT_USAGE: dict[str, tuple[str, ...]] = {
    "GOVERNANCE_VIEWER": ("QUERY_HISTORY", "ACCESS_HISTORY", "TAG_REFERENCES"),
    "SECURITY_VIEWER": (
        "LOGIN_HISTORY",
        "GRANTS_TO_ROLES",
        "GRANTS_TO_USERS",
        "ROLES",
        "USERS",
        "SESSIONS",
        "CREDENTIALS",
    ),
    "USAGE_VIEWER": ("WAREHOUSE_METERING_HISTORY", "METERING_HISTORY", "STORAGE_USAGE"),
    "OBJECT_VIEWER": ("DATABASES", "SCHEMATA", "TABLES", "VIEWS", "COLUMNS"),
}


@dataclass
class KeyPair:
    """A named key pair; times in seconds since the epoch."""

    public_key: str
    role_restriction: str | None = None
    expires_at: float | None = None
    disabled: bool = False
    comment: str = ""
    created_on: float = 0.0
    rotated_to: str | None = None
    created_by: str = ""
    last_used_on: float | None = None


@dataclass
class Thing:
    """One object of the account; `created_on` in seconds since the epoch."""

    ref: Ref
    owner: Ref | None
    properties: dict[str, Value] = field(default_factory=dict)
    created_on: float = 0.0
    managed_access: bool = False
    temporary: bool = False
    reads: frozenset[Name] = frozenset()
    body: str = ""  # of a view
    written: str = ""  # the statement that made it
    key_pairs: dict[str, KeyPair] = field(default_factory=dict)
    policies: dict[str, Ref] = field(default_factory=dict)


@dataclass(frozen=True)
class GrantRow:
    """One line of SHOW GRANTS."""

    privilege: str
    on: Ref
    to: Ref
    option: bool
    by: str
    created_on: float


@dataclass(frozen=True)
class FutureGrant:
    privilege: str
    kind: str
    container: Ref
    to: Ref
    option: bool
    created_on: float


def parent_of(ref: Ref) -> Ref | None:
    """Returns the schema or database that an object is in."""
    if ref.kind in SCHEMA_KINDS:
        return Ref("SCHEMA", ref.name[:2])
    if ref.kind in DATABASE_KINDS:
        return Ref("DATABASE", ref.name[:1])
    return None


class Account:
    """Objects, grants and future grants of one account."""

    def __init__(self) -> None:
        self.things: dict[Ref, Thing] = {}
        self.future: list[FutureGrant] = []
        self._children: dict[Ref, dict[Ref, None]] = {}
        self._on: dict[Ref, dict[tuple[str, Ref], GrantRow]] = {}
        self._to: dict[Ref, dict[tuple[str, Ref], GrantRow]] = {}
        self._reach: dict[Ref, frozenset[Ref]] = {}
        _bootstrap(self)

    # -- objects --------------------------------------------------------------------------

    def add(self, thing: Thing) -> None:
        self.things[thing.ref] = thing
        if parent := parent_of(thing.ref):
            self._children.setdefault(parent, {})[thing.ref] = None

    def remove(self, ref: Ref) -> None:
        """Removes an object with all it contains and every grant on or to it."""
        for child in self.children(ref):
            self.remove(child)
        for row in [*self.grants_on(ref), *self.grants_to(ref)]:
            self.revoke(row.privilege, row.on, row.to)
        self.future = [f for f in self.future if ref not in (f.container, f.to)]
        if parent := parent_of(ref):
            self._children.get(parent, {}).pop(ref, None)
        self.things.pop(ref, None)

    def rename(self, old: Ref, new: Ref) -> None:
        """Renames an object that contains none; its grants and its owner stay."""
        rows = self.grants_on(old)
        thing = self.things[old]
        self.remove(old)
        thing.ref = new
        self.add(thing)
        for row in rows:
            self.grant(GrantRow(row.privilege, new, row.to, row.option, row.by, row.created_on))

    def children(self, ref: Ref) -> list[Ref]:
        return list(self._children.get(ref, ()))

    def within(self, container: Ref, kind: str) -> list[Ref]:
        """Objects of a kind in a database or schema, at any depth."""
        found: list[Ref] = []
        for child in self.children(container):
            if child.kind == kind:
                found.append(child)
            found.extend(self.within(child, kind))
        return found

    def of_kind(self, kind: str) -> Iterator[Thing]:
        return (thing for ref, thing in self.things.items() if ref.kind == kind)

    def relation(self, name: Name) -> Ref | None:
        """Returns the table or view of that full name. Tables and views share a namespace."""
        for kind in RELATION_KINDS:
            if Ref(kind, name) in self.things:
                return Ref(kind, name)
        return None

    # -- grants ---------------------------------------------------------------------------

    def grant(self, row: GrantRow) -> None:
        key = (row.privilege, row.to)
        known = self._on.get(row.on, {}).get(key)
        if known is not None and (known.option or not row.option):
            return
        self._on.setdefault(row.on, {})[key] = row
        self._to.setdefault(row.to, {})[(row.privilege, row.on)] = row
        self._reach.clear()

    def revoke(self, privilege: str, on: Ref, to: Ref) -> None:
        self._on.get(on, {}).pop((privilege, to), None)
        self._to.get(to, {}).pop((privilege, on), None)
        self._reach.clear()

    def grants_on(self, ref: Ref) -> list[GrantRow]:
        """Returns the explicit grants on an object, ownership aside."""
        return list(self._on.get(ref, {}).values())

    def grants_to(self, ref: Ref) -> list[GrantRow]:
        """Returns the explicit grants to a role or user, ownership aside."""
        return list(self._to.get(ref, {}).values())

    def future_for(self, ref: Ref) -> list[FutureGrant]:
        """Returns the future grants a new object gets.

        Those on its schema shadow those on its database for the same kind of object
        (docs.snowflake.com/user-guide/security-access-control-configure, "Future grants"). Those of
        OWNERSHIP on the database end at managed access schemas (docs, GRANT <privileges>).
        """
        container = parent_of(ref)
        while container is not None:
            found = [f for f in self.future if f.container == container and f.kind == ref.kind]
            if found:
                kept = container.kind == "DATABASE" and self.in_managed_schema(ref)
                return [f for f in found if not (kept and f.privilege == "OWNERSHIP")]
            container = parent_of(container)
        return []

    # -- questions ------------------------------------------------------------------------

    def reach(self, start: Ref) -> frozenset[Ref]:
        """Returns all roles whose privileges a role or a user has, the role itself included."""
        known = self._reach.get(start)
        if known is None:
            seen = {PUBLIC, start} if start.kind == "ROLE" else {PUBLIC}
            waiting = [start, PUBLIC]
            while waiting:
                for row in self._to.get(waiting.pop(), {}).values():
                    if row.on.kind in ("ROLE", "DATABASE_ROLE") and row.on not in seen:
                        seen.add(row.on)
                        waiting.append(row.on)
            known = self._reach[start] = frozenset(seen)
        return known

    def owns(self, roles: Iterable[Ref], ref: Ref) -> bool:
        thing = self.things.get(ref)
        return thing is not None and thing.owner in frozenset(roles)

    def holds(self, roles: frozenset[Ref], privilege: str, ref: Ref) -> bool:
        """Checks whether any of the roles has the privilege on the object itself.

        Parents are not looked at; `allows` does.
        """
        if ref != ACCOUNT and self.owns(roles, ref):
            return True
        if privilege != "OWNERSHIP" and self._imported(roles, ref):
            return True
        rows = self._on.get(ref, {})
        if any((privilege, to) in rows for to in roles):
            return True
        # docs: MANAGE WAREHOUSES acts as MODIFY, MONITOR and OPERATE on every warehouse.
        return (
            ref.kind == "WAREHOUSE"
            and privilege in ("MODIFY", "MONITOR", "OPERATE")
            and self.holds(roles, "MANAGE WAREHOUSES", ACCOUNT)
        )

    def _imported(self, roles: frozenset[Ref], ref: Ref) -> bool:
        """Checks whether roles read it by IMPORTED PRIVILEGES on the shared database SNOWFLAKE."""
        if ref.kind == "DATABASE_ROLE" or ref.name[:1] != SNOWFLAKE.name:
            return False
        if ref.kind not in SCHEMA_KINDS and ref.kind not in ("SCHEMA", "DATABASE"):
            return False
        rows = self._on.get(SNOWFLAKE, {})
        return any(("IMPORTED PRIVILEGES", to) in rows for to in roles)

    def sees(self, roles: frozenset[Ref], ref: Ref) -> bool:
        """Checks whether an object exists for these roles: they own it or have any privilege on it.

        Everybody in an account sees the names of roles and users. Whoever has any privilege on a
        database sees its database roles (docs, SHOW DATABASE ROLES).
        """
        if ref not in self.things:
            return False
        if ref.kind in ("ROLE", "USER"):
            return True
        if ref.kind == "DATABASE_ROLE":
            return self.sees(roles, Ref("DATABASE", ref.name[:1]))
        if self.owns(roles, ref) or ref in roles or self._imported(roles, ref):
            return True
        if self.manages_grants(roles, ref):
            return True
        return any(to in roles for _, to in self._on.get(ref, {}))

    def manages_grants(self, roles: frozenset[Ref], ref: Ref) -> bool:
        """Checks for MANAGE GRANTS, or ownership of the managed access schema around an object.

        MANAGE GRANTS can be on the account, or on a database or schema with its contents (docs,
        user-guide/container-manage-grants-intro). It does not extend to the shared database.
        """
        if ref.kind != "USER" and ref.name[:1] == SNOWFLAKE.name:
            return False
        if self.in_managed_schema(ref) and self.owns(roles, Ref("SCHEMA", ref.name[:2])):
            return True
        container: Ref | None = ref
        while container is not None:
            if any(
                row.privilege == "MANAGE GRANTS" and row.to in roles
                for row in self.grants_on(container)
                if container.kind in ("SCHEMA", "DATABASE")
            ):
                return True
            container = parent_of(container)
        return self.holds(roles, "MANAGE GRANTS", ACCOUNT)

    def in_managed_schema(self, ref: Ref) -> bool:
        schema = self.things.get(Ref("SCHEMA", ref.name[:2]))
        return ref.kind in SCHEMA_KINDS and schema is not None and schema.managed_access

    def may_enter(self, roles: frozenset[Ref], ref: Ref) -> bool:
        """Checks for USAGE on the database and schema around an object."""
        parent = parent_of(ref)
        while parent is not None:
            if not self.holds(roles, "USAGE", parent):
                return False
            parent = parent_of(parent)
        return True

    def allows(self, roles: frozenset[Ref], privilege: str, ref: Ref) -> bool:
        """Checks for the privilege on the object and USAGE on what is around it."""
        return self.holds(roles, privilege, ref) and self.may_enter(roles, ref)

    def privileges(self, roles: frozenset[Ref], ref: Ref) -> frozenset[str]:
        """Returns effective privileges on the object; all of its kind and OWNERSHIP for owners."""
        if self.owns(roles, ref):
            return PRIVILEGES[ref.kind] | {"OWNERSHIP"}
        return frozenset(p for p in PRIVILEGES[ref.kind] if self.holds(roles, p, ref))


def _bootstrap(account: Account) -> None:
    """Adds what every account starts with: the system roles and the imported database."""

    def grant(privilege: str, on: Ref, to: Ref) -> None:
        account.grant(GrantRow(privilege, on, to, option=True, by="", created_on=0.0))

    for ref in [*sorted(ADMIN_ROLES), PUBLIC]:
        account.add(Thing(ref, owner=None))
    account.add(Thing(ACCOUNT, owner=None))
    hierarchy: Mapping[str, str] = {
        "USERADMIN": "SECURITYADMIN",
        "SECURITYADMIN": "ACCOUNTADMIN",
        "SYSADMIN": "ACCOUNTADMIN",
    }
    for child, parent in hierarchy.items():
        grant("USAGE", role(child), role(parent))
    by_default: Mapping[str, tuple[str, ...]] = {
        "USERADMIN": ("CREATE ROLE", "CREATE USER"),
        "SECURITYADMIN": ("MANAGE GRANTS", "CREATE NETWORK POLICY", "ATTACH POLICY"),
        "SYSADMIN": ("CREATE DATABASE", "CREATE WAREHOUSE"),
    }
    for name, privileges in by_default.items():
        for privilege in privileges:
            grant(privilege, ACCOUNT, role(name))
    inherited = {p for privileges in by_default.values() for p in privileges}
    for privilege in sorted(PRIVILEGES["ACCOUNT"] - inherited):
        grant(privilege, ACCOUNT, ACCOUNTADMIN)

    # SNOWFLAKE has no owner in the account, so that nobody can drop it or grant on it.
    account.add(Thing(SNOWFLAKE, owner=None))
    usage = Ref("SCHEMA", ("SNOWFLAKE", "ACCOUNT_USAGE"))
    security = Ref("SCHEMA", ("SNOWFLAKE", "NETWORK_SECURITY"))
    account.add(Thing(usage, owner=None))
    account.add(Thing(security, owner=None))
    rule = Ref("NETWORK_RULE", (*security.name, "GITHUBACTIONS_GLOBAL"))
    account.add(Thing(rule, owner=None))
    grant("IMPORTED PRIVILEGES", SNOWFLAKE, ACCOUNTADMIN)
    for viewer, views in ACCOUNT_USAGE.items():
        viewer_role = Ref("DATABASE_ROLE", ("SNOWFLAKE", viewer))
        account.add(Thing(viewer_role, owner=ACCOUNTADMIN))
        grant("USAGE", SNOWFLAKE, viewer_role)
        grant("USAGE", usage, viewer_role)
        for view in views:
            ref = Ref("VIEW", (*usage.name, view))
            account.add(Thing(ref, owner=None))
            grant("SELECT", ref, viewer_role)
