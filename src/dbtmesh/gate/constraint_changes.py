"""Compares constraints of a model by what they guarantee.

A primary key guarantees unique and not null; unique over fewer columns guarantees more. Neither the
name of a constraint matters, nor whether it is declared at a column or at the model. A foreign key
is identified by its columns and by the last part of its target's name, because dbt writes the
target as `ref('m')` after `parse` and as a relation after `compile`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from dbtmesh.gate.changes import Finding
from dbtmesh.gate.nodes import Node, columns_by_name
from dbtmesh.gate.rules import Rule
from dbtmesh.warehouse.adapter import Warehouse

_LAST_NAME = re.compile(r"[\w$]+")
_REF_VERSION = re.compile(r"\b(?:v|version)\s*=\s*['\"]?(\w+)")


class Kind(StrEnum):
    """dbt's constraint types; every other type is CUSTOM."""

    NOT_NULL = "not_null"
    UNIQUE = "unique"
    PRIMARY_KEY = "primary_key"
    FOREIGN_KEY = "foreign_key"
    CHECK = "check"
    CUSTOM = "custom"

    @classmethod
    def _missing_(cls, value: object) -> Kind:
        return cls.CUSTOM


_DROPPED: Mapping[Kind, Rule] = {
    Kind.NOT_NULL: Rule.NOT_NULL_DROPPED,
    Kind.UNIQUE: Rule.UNIQUE_DROPPED,
    Kind.PRIMARY_KEY: Rule.PRIMARY_KEY_DROPPED,
    Kind.FOREIGN_KEY: Rule.FOREIGN_KEY_DROPPED,
    Kind.CHECK: Rule.CHECK_DROPPED,
    Kind.CUSTOM: Rule.CUSTOM_DROPPED,
}


class Promise(NamedTuple):
    """What a constraint guarantees.

    columns: stored names. terms: the expression, or the target of a foreign key.
    """

    kind: Kind
    columns: tuple[str, ...]
    terms: str = ""

    def __str__(self) -> str:
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        return f"{self.kind}{columns} {self.terms}".strip()


def promises(node: Node, warehouse: Warehouse) -> dict[Promise, frozenset[str]]:
    """Maps each guarantee of a model's constraints to the stored names of the columns concerned."""
    columns = columns_by_name(node, warehouse)
    stored = {name: key for key, (name, _) in columns.items()}
    declared = [
        (constraint, (key,))
        for key, (_, column) in columns.items()
        for constraint in column.get("constraints") or ()
    ] + [
        (constraint, tuple(stored.get(n, n.upper()) for n in constraint.get("columns") or ()))
        for constraint in node.get("constraints") or ()
    ]
    found: dict[Promise, frozenset[str]] = {}
    for constraint, names in declared:
        kind = Kind(constraint["type"])
        scope = frozenset(names)
        match kind:
            case Kind.NOT_NULL:
                found |= {Promise(kind, (name,)): frozenset((name,)) for name in names}
            case Kind.UNIQUE | Kind.PRIMARY_KEY:
                found[Promise(kind, tuple(sorted(names)))] = scope
            case Kind.FOREIGN_KEY:
                found[Promise(kind, names, _target(constraint))] = scope
            case Kind.CHECK:  # the expression names the columns, wherever it is declared
                found[Promise(kind, (), _words(constraint.get("expression")))] = scope
            case Kind.CUSTOM:
                found[Promise(kind, names, _words(constraint.get("expression")))] = scope
    return found


def constraint_findings(old: Node, new: Node, warehouse: Warehouse) -> Iterator[Finding]:
    before, after = promises(old, warehouse), promises(new, warehouse)
    if before.keys() == after.keys():
        return
    old_columns, new_columns = columns_by_name(old, warehouse), columns_by_name(new, warehouse)

    def column(scope: frozenset[str]) -> str | None:
        return old_columns[next(iter(scope))][0] if len(scope) == 1 else None

    # For a column that was added or removed, that change already covers its constraints.
    common = old_columns.keys() & new_columns.keys()
    dropped = [p for p, scope in before.items() if scope <= common and not _holds(p, after)]
    added = [p for p, scope in after.items() if scope <= common and not _holds(p, before)]
    for promise in dropped:
        scope = before[promise]
        successor = next(
            (p for p in added if p.kind is promise.kind and p.terms and after[p] == scope), None
        )
        if successor:
            added.remove(successor)
            rule, message = Rule.CONSTRAINT_CHANGED, f"{promise} became {successor}"
        else:
            rule, message = _DROPPED[promise.kind], f"{promise} is gone"
        yield Finding(
            rule, message, str(promise), str(successor) if successor else None, column(scope)
        )
    for promise in added:
        message = f"{promise} is new"
        yield Finding(Rule.CONSTRAINT_ADDED, message, None, str(promise), column(after[promise]))


def _holds(promise: Promise, kept: Collection[Promise]) -> bool:
    """Checks whether `promise` follows from the promises in `kept`."""
    if promise in kept:
        return True
    columns = promise.columns
    match promise.kind:
        case Kind.NOT_NULL:
            return any(k.kind is Kind.PRIMARY_KEY and columns[0] in k.columns for k in kept)
        case Kind.UNIQUE:
            keys = (set(k.columns) for k in kept if k.kind in (Kind.UNIQUE, Kind.PRIMARY_KEY))
            return any(key <= set(columns) for key in keys)
        case Kind.PRIMARY_KEY:
            return _holds(Promise(Kind.UNIQUE, columns), kept) and all(
                _holds(Promise(Kind.NOT_NULL, (column,)), kept) for column in columns
            )
        case _:
            return False


def _words(expression: str | None) -> str:
    return " ".join((expression or "").split())


def _target(constraint: Node) -> str:
    """Returns a foreign key's target as `NAME(COLUMNS)`, or its expression; empty if undeclared."""
    to = constraint.get("to")
    if not to:
        return _words(constraint.get("expression"))
    version = _REF_VERSION.search(to) if to.startswith("ref(") else None
    names = _LAST_NAME.findall(to[: version.start()] if version else to)
    suffix = f"_v{version[1]}" if version else ""
    return f"{names[-1]}{suffix}({','.join(constraint.get('to_columns') or ())})".upper()
