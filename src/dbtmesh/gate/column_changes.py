"""Finds columns of a model that were removed, renamed, added, retyped or reordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbtmesh.gate.changes import Finding
from dbtmesh.gate.nodes import Node, columns_by_name
from dbtmesh.gate.rules import Rule
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.types import TypeChange, type_change

RULE_OF: Mapping[TypeChange, Rule] = {
    TypeChange.CHANGED: Rule.TYPE_CHANGED,
    TypeChange.RESIZED: Rule.TYPE_RESIZED,
    TypeChange.UNDECLARED: Rule.TYPE_UNDECLARED,
    TypeChange.DECLARED: Rule.TYPE_DECLARED,
}


def column_findings(
    old: Node, new: Node, warehouse: Warehouse, *, listed: bool = True
) -> Iterator[Finding]:
    """Yields the changes of a model's columns.

    listed: False if the new list of columns may be incomplete where the old one was complete.
    """
    before, after = columns_by_name(old, warehouse), columns_by_name(new, warehouse)
    removed = [key for key in before if key not in after]
    added = {key: None for key in after if key not in before}
    in_place = dict(zip(before, after, strict=False))
    for key in removed:
        name, column = before[key]
        if not listed:
            message = "column is not listed any more; without a contract, it may still be there"
            yield Finding(Rule.COLUMN_UNLISTED, message, name, None, name)
            continue
        data_type = column.get("data_type")
        recased = next((other for other in added if other.upper() == key.upper()), None)
        heir = recased or in_place.get(key)
        if heir in added and (
            recased or type_change(data_type, after[heir][1].get("data_type"), warehouse) is None
        ):
            del added[heir]
            rule = Rule.COLUMN_RECASED if recased else Rule.COLUMN_RENAMED
            yield Finding(rule, f"{key} is now stored as {heir}", name, after[heir][0], name)
            yield from _type_finding(name, column, after[heir][1], warehouse)
        else:
            was = f" (was {data_type})" if data_type else ""
            yield Finding(Rule.COLUMN_REMOVED, f"column is gone{was}", name, None, name)
    for key in added:
        name, column = after[key]
        message = f"column is new ({column.get('data_type') or 'no type'})"
        yield Finding(Rule.COLUMN_ADDED, message, None, name, name)
    for key, (name, column) in before.items():
        if key in after:
            yield from _type_finding(name, column, after[key][1], warehouse)
    old_order = tuple(key for key in before if key in after)
    new_order = tuple(key for key in after if key in before)
    if old_order != new_order:
        places = zip(old_order, new_order, strict=True)
        first, now = next((was, now) for was, now in places if was != now)
        message = f"{after[now][0]} now stands where {before[first][0]} stood"
        yield Finding(Rule.COLUMN_REORDERED, message, old_order, new_order)


def _type_finding(name: str, old: Node, new: Node, warehouse: Warehouse) -> Iterator[Finding]:
    before, after = old.get("data_type"), new.get("data_type")
    if change := type_change(before, after, warehouse):
        message = f"{before or 'no type'} became {after or 'no type'}"
        yield Finding(RULE_OF[change], message, before, after, name)
