"""Compares a project's public interface with the published one: breaking, risky or fine?

Pure: takes two decoded manifests and returns a list of `Change`. Nodes that are not models, or not
public, are ignored, so a whole manifest works as well as a published one. Names and types are
compared as the warehouse stores them, not as they are spelled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date

from dbtmesh.gate.changes import Change, Finding, worst_first
from dbtmesh.gate.consumer_changes import sharing_findings
from dbtmesh.gate.deprecation import deprecation
from dbtmesh.gate.model_changes import (
    deprecation_findings,
    group_findings,
    materialization_findings,
    promise_findings,
    relation_findings,
)
from dbtmesh.gate.nodes import (
    Manifest,
    Node,
    base_id,
    columns_by_name,
    display,
    is_enforced,
)
from dbtmesh.gate.rules import Rule
from dbtmesh.gate.uncontracted import completed
from dbtmesh.gate.version_changes import Published, heirs, latest_changes, versioning_findings
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.types import Type, read_type


def compare(
    old: Manifest | None, new: Manifest, *, today: date, private: Collection[str] = ()
) -> list[Change]:
    """Returns every change from the published interface `old` to `new`, most severe first.

    private: models that the new project has but does not publish. Each is a unique_id, a name as a
    selector takes it (`orders.v1`), or one name for all versions (`orders`). They only serve to
    distinguish "no longer public" from "removed". If `old` is None, nothing was published yet, and
    there are no changes. The order of the result depends on the content of the interfaces, not on
    the order of their models.

    Raises ValueError if the two are interfaces of different projects.
    """
    if old is None:
        return []
    was, now = (manifest["metadata"].get("project_name") for manifest in (old, new))
    if was != now:
        raise ValueError(f"these are interfaces of two projects: {was} and {now}")
    adapter, new_adapter = (
        Warehouse.of(manifest["metadata"].get("adapter_type")) for manifest in (old, new)
    )
    # If the adapter changed, names and types are compared by Snowflake's rules, which are stricter.
    warehouse = adapter if adapter is new_adapter else Warehouse.SNOWFLAKE
    before, after = Published.of(old), Published.of(new)
    going_on = heirs(before, after)
    known_before, known_after = completed(old), completed(new)

    def listed(unique_id: str, heir: str) -> bool:
        return (
            unique_id not in known_before or heir in known_after or is_enforced(after.models[heir])
        )

    changes: list[Change] = []
    if adapter is not new_adapter:
        words = adapter.value, new_adapter.value
        finding = Finding(Rule.ADAPTER_CHANGED, " became ".join(words), *words)
        changes.append(Change.of(finding, "", {"name": was}))
    for unique_id, heir in going_on.items():
        node, successor = before.models[unique_id], after.models[heir]
        if unique_id == heir and _same_model(node, successor):
            continue
        findings = [
            *(versioning_findings(node, successor) if unique_id != heir else ()),
            *promise_findings(node, successor, warehouse, listed=listed(unique_id, heir)),
            *materialization_findings(node, successor, warehouse),
            # On another adapter every relation has moved; `adapter_changed` reports that once.
            *(relation_findings(node, successor, warehouse) if adapter is new_adapter else ()),
            *deprecation_findings(node, successor, today),
            *group_findings(node, successor),
            *sharing_findings(node, successor),
        ]
        changes += [Change.of(finding, unique_id, node) for finding in findings]
    changes += _added_changes(before, after, going_on)
    changes += _gone_changes(before, after, going_on, frozenset(private), today, warehouse)
    changes += latest_changes(before, after, warehouse, today)
    return worst_first(changes)


def _same_model(old: Node, new: Node) -> bool:
    """Checks whether two nodes are equal, including the order of columns, which `==` ignores."""
    return old == new and [*(old.get("columns") or ())] == [*(new.get("columns") or ())]


def _added_changes(
    before: Published, after: Published, going_on: Mapping[str, str]
) -> Iterator[Change]:
    known = {base_id(unique_id, node) for unique_id, node in before.models.items()}
    for unique_id in after.models.keys() - going_on.values():
        node = after.models[unique_id]
        if base_id(unique_id, node) in known:
            finding = Finding(Rule.VERSION_ADDED, "version is new", None, display(node))
        else:
            finding = Finding(Rule.MODEL_ADDED, "model is new", None, display(node))
        yield Change.of(finding, unique_id, node)


def _gone_changes(
    before: Published,
    after: Published,
    going_on: Mapping[str, str],
    private: frozenset[str],
    today: date,
    warehouse: Warehouse,
) -> Iterator[Change]:
    gone = before.models.keys() - going_on.keys()
    new_shapes: dict[_Shape, list[str]] = {}
    for unique_id in after.models.keys() - going_on.values() if gone else ():
        node = after.models[unique_id]
        new_shapes.setdefault(_shape(node, warehouse), []).append(display(node))
    for unique_id in gone:
        node = before.models[unique_id]
        name, due = display(node), deprecation(node)
        notice = f"deprecated on {due}" if due else "it was never deprecated"
        if due and due <= today:
            finding = Finding(Rule.MODEL_RETIRED, f"is gone, as announced: {notice}", name)
        elif not private.isdisjoint((unique_id, name, node["name"])):
            message = f"still exists, but is not public, or is ephemeral; {notice}"
            finding = Finding(Rule.MODEL_NOT_PUBLIC, message, name)
        elif node.get("version") is not None:
            finding = Finding(Rule.VERSION_REMOVED, f"is gone; {notice}", name)
        else:
            shape = _shape(node, warehouse)
            same = new_shapes.get(shape, ()) if shape else ()
            guess = same[0] if len(same) == 1 else None
            hint = f"; renamed to {guess}? it has the same columns" if guess else ""
            finding = Finding(Rule.MODEL_REMOVED, f"is gone; {notice}{hint}", name, guess)
        yield Change.of(finding, unique_id, node)


_Shape = frozenset[tuple[str, Type]]


def _shape(node: Node, warehouse: Warehouse) -> _Shape:
    """Returns the stored names and types of a model's columns."""
    return frozenset(
        (key, read_type(column.get("data_type") or "", warehouse))
        for key, (_, column) in columns_by_name(node, warehouse).items()
    )
