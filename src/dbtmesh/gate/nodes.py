"""Reads the fields of a model that the gate compares: names, columns, relation and access."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import NotAName, Place, parse

Manifest = Mapping[str, Any]
"""A decoded dbt manifest (schema v12), whole or reduced to the public models."""
Node = Mapping[str, Any]
"""A node of such a manifest, or a column or constraint of one."""


def columns_by_name(node: Node, warehouse: Warehouse) -> dict[str, tuple[str, Node]]:
    """Maps each stored name to (declared name, column), in the declared order."""
    columns: Mapping[str, Node] = node.get("columns") or {}
    return {
        warehouse.key(warehouse.stored(name, quoted=bool(column.get("quote")))): (name, column)
        for name, column in columns.items()
    }


def places(node: Node, warehouse: Warehouse) -> tuple[Place, Place | None]:
    """Returns a model's relation by its fields, and by its `relation_name` if that has three parts.

    Only `relation_name` shows whether a name is quoted. Both are compared, so that a manifest in
    which they disagree does not hide a move.
    """
    try:
        written = parse(node.get("relation_name") or "")
    except NotAName:
        written = ()
    fields = (node.get("database"), node.get("schema"), node.get("alias") or node.get("name"))
    if len(written) != len(fields):
        return _place([(str(field), False) for field in fields], warehouse), None
    by_fields = [(str(field), name.quoted) for field, name in zip(fields, written, strict=True)]
    return _place(by_fields, warehouse), _place(written, warehouse)


def _place(names: Iterable[tuple[str, bool]], warehouse: Warehouse) -> Place:
    database, schema, identifier = (warehouse.stored(text, quoted=by) for text, by in names)
    return warehouse.place_key((database, schema, identifier))


def display(node: Node) -> str:
    """Returns a model's name as a dbt selector takes it: `orders`, `orders.v1`."""
    name, version = node["name"], node.get("version")
    return str(name) if version is None else f"{name}.v{version}"


def base_id(unique_id: str, node: Node) -> str:
    """Returns the unique_id without its version: the same for all versions of a model."""
    version = node.get("version")
    return unique_id if version is None else unique_id.removesuffix(f".v{version}")


def is_public(node: Node) -> bool:
    # dbt writes a model's access twice: in `config` and beside it.
    access = (node.get("access"), (node.get("config") or {}).get("access"))
    return all(value in (None, "public") for value in access)


def is_enforced(node: Node) -> bool:
    """Checks whether the model's contract is enforced."""
    # dbt writes the contract twice, too.
    declared = (node.get("contract"), (node.get("config") or {}).get("contract"))
    flags = [contract.get("enforced") for contract in declared if contract]
    return bool(flags) and all(flags)


def materialized(node: Node) -> str | None:
    kind: str | None = (node.get("config") or {}).get("materialized")
    return kind
