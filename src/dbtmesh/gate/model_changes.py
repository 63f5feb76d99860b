"""Compares one model before and after: contract, materialization, relation, deprecation date and
group.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from dbtmesh.gate.changes import Finding
from dbtmesh.gate.column_changes import column_findings
from dbtmesh.gate.constraint_changes import constraint_findings, promises
from dbtmesh.gate.deprecation import deprecation, is_short_notice
from dbtmesh.gate.nodes import Node, is_enforced, materialized, places
from dbtmesh.gate.rules import Rule
from dbtmesh.output.words import counted
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import relation


def promise_findings(
    old: Node, new: Node, warehouse: Warehouse, *, listed: bool = True
) -> Iterator[Finding]:
    """Yields changes of the contract, columns and constraints, which do not depend on the relation.

    listed: False if the new list of columns may be incomplete where the old one was complete.
    """
    was, now = is_enforced(old), is_enforced(new)
    if was != now:
        rule = Rule.CONTRACT_DROPPED if was else Rule.CONTRACT_ADDED
        message = f"the contract is {'no longer' if was else 'now'} enforced"
        yield Finding(rule, message, was, now)
    old_columns, new_columns = old.get("columns") or {}, new.get("columns") or {}
    # Equal dicts may still differ in order.
    if old_columns != new_columns or [*old_columns] != [*new_columns]:
        yield from column_findings(old, new, warehouse, listed=listed)
        yield from constraint_findings(old, new, warehouse)
    elif old.get("constraints") != new.get("constraints"):
        yield from constraint_findings(old, new, warehouse)


def materialization_findings(old: Node, new: Node, warehouse: Warehouse) -> Iterator[Finding]:
    before, after = materialized(old), materialized(new)
    if before == after:
        return
    # dbt's ModelNode.materialization_enforces_constraints
    tables = ("table", "incremental")
    if after == "ephemeral":
        rule = Rule.MODEL_EPHEMERAL
    elif before in tables and after not in tables and promises(new, warehouse):
        rule = Rule.CONSTRAINTS_UNENFORCED
    else:
        rule = Rule.MATERIALIZATION_CHANGED
    yield Finding(rule, f"{before} became {after}", before, after)


def relation_findings(old: Node, new: Node, warehouse: Warehouse) -> Iterator[Finding]:
    keys = ("relation_name", "database", "schema", "alias")
    if all(old.get(key) == new.get(key) for key in keys):
        return
    # An ephemeral model has no relation; `materialization_findings` reports that.
    if "ephemeral" in (materialized(old), materialized(new)):
        return
    before, after = places(old, warehouse), places(new, warehouse)
    if before[0] != after[0] or (before[1] and after[1] and before[1] != after[1]):
        was, now = (str(relation(node, warehouse)) for node in (old, new))
        if was == now:
            was, now = (str(node["relation_name"]) for node in (old, new))
        yield Finding(Rule.RELATION_MOVED, f"{was} is now {now}", was, now)


def deprecation_findings(old: Node, new: Node, today: date) -> Iterator[Finding]:
    if old.get("deprecation_date") == new.get("deprecation_date"):
        return
    was, now = deprecation(old), deprecation(new)
    if was == now:
        return
    if now is None or (was and now > was):
        rule = Rule.DEPRECATION_POSTPONED
        message = f"deprecated on {now}, no longer on {was}" if now else "no longer deprecated"
    elif is_short_notice(was, now, today):
        rule, left = Rule.DEPRECATION_SHORT_NOTICE, max((now - today).days, 0)
        message = f"deprecated on {now}, which leaves readers {counted(left, 'day')}"
    elif was:
        rule, message = Rule.DEPRECATION_ADVANCED, f"deprecated on {now}, before {was}"
    else:
        rule, message = Rule.DEPRECATION_SET, f"deprecated on {now}"
    yield Finding(rule, message, was, now)


def group_findings(old: Node, new: Node) -> Iterator[Finding]:
    before, after = old.get("group"), new.get("group")
    if before != after:
        message = f"group {before or 'none'} became {after or 'none'}"
        yield Finding(Rule.GROUP_CHANGED, message, before, after)
