"""The access matrix: everything every role can do, as facts that can be compared."""

from __future__ import annotations

from typing import NamedTuple

from .account import ADMIN_ROLES, SNOWFLAKE
from .context import readable_by_owner
from .model import Model
from .names import ACCOUNT, Ref, render
from .vocabulary import RELATION_KINDS

READS = "can select"
"""More than a privilege: SELECT, USAGE around the relation, and for a view an owner that can read
what the view reads."""

_KINDS = ("DATABASE", "SCHEMA", *RELATION_KINDS, "WAREHOUSE")


class Fact(NamedTuple):
    """One cell of the matrix; names as SQL, e.g. ``DB.SCHEMA."Mixed"``."""

    role: str
    kind: str
    object: str
    privilege: str


def matrix(
    model: Model, *, include_admin: bool = False, kinds: tuple[str, ...] = _KINDS
) -> frozenset[Fact]:
    """Returns the effective facts of all account roles, inherited ones included.

    The admin roles of every account and the shared database SNOWFLAKE are left out unless
    asked for. An owner has all privileges of the kind, and OWNERSHIP.
    """
    account = model.account
    roles = [t.ref for t in account.of_kind("ROLE") if include_admin or t.ref not in ADMIN_ROLES]
    objects = {
        ref
        for ref in account.things
        if ref.kind in kinds and (include_admin or ref.name[:1] != SNOWFLAKE.name)
    }
    owned: dict[Ref | None, list[Ref]] = {}
    for ref in objects:
        owned.setdefault(account.things[ref].owner, []).append(ref)
    facts: set[Fact] = set()
    for role in roles:
        reach = account.reach(role)
        # Only what a role owns or was granted can give a fact: a large account has many
        # objects, and most roles touch few of them.
        touched = {row.on for r in reach for row in account.grants_to(r)} & objects
        touched.update(*(owned.get(r, ()) for r in reach))
        if account.holds(reach, "MANAGE WAREHOUSES", ACCOUNT):
            touched.update(ref for ref in objects if ref.kind == "WAREHOUSE")
        for ref in touched:
            found = set(account.privileges(reach, ref))
            if ref.kind in RELATION_KINDS and _reads(model, reach, ref):
                found.add(READS)
            facts |= {Fact(role.name[0], ref.kind, render(ref.name), p) for p in found}
    return frozenset(facts)


def _reads(model: Model, reach: frozenset[Ref], ref: Ref) -> bool:
    account = model.account
    return account.allows(reach, "SELECT", ref) and all(
        readable_by_owner(account, ref, name) for name in account.things[ref].reads
    )
