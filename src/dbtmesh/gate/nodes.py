"""What the gate reads of a published model: its names, columns, place, access and dates.

Names are compared as the warehouse stores them: Snowflake stores an unquoted name in upper case and
a quoted one as it is; DuckDB ignores case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

Manifest = Mapping[str, Any]
"""A decoded dbt manifest (schema v12), whole or reduced to the public models."""
Node = Mapping[str, Any]
"""A node of such a manifest, or a column or constraint of one."""

_IDENTIFIER = re.compile(r'"(?:[^"]|"")*"|[^."]+')


def stored(name: str, quoted: bool, adapter: str) -> str:
    return name if quoted and adapter != "duckdb" else name.upper()


def columns_by_name(node: Node, adapter: str) -> dict[str, tuple[str, Node]]:
    """Stored name → (declared name, column), in the declared order."""
    columns: Mapping[str, Node] = node.get("columns") or {}
    return {
        stored(name, bool(column.get("quote")), adapter): (name, column)
        for name, column in columns.items()
    }


def location(node: Node, adapter: str) -> tuple[str, ...]:
    """Database, schema and identifier as stored, by their fields and by `relation_name`.

    Whether a name is quoted stands in `relation_name` only. Both are looked at, so that a manifest
    in which they disagree does not hide a move.
    """
    written = _IDENTIFIER.findall(node.get("relation_name") or "")
    fields = [node.get("database"), node.get("schema"), node.get("alias") or node.get("name")]
    quoted = [name.startswith('"') for name in written]
    if len(quoted) != len(fields):
        quoted = [False] * len(fields)
    return (
        *(stored(str(name), q, adapter) for name, q in zip(fields, quoted, strict=True)),
        *(stored(name.strip('"'), name.startswith('"'), adapter) for name in written),
    )


def display(node: Node) -> str:
    """A model as a dbt selector names it: `orders`, `orders.v1`."""
    name, version = node["name"], node.get("version")
    return str(name) if version is None else f"{name}.v{version}"


def base_id(unique_id: str, node: Node) -> str:
    """The unique_id without its version: the same for all versions of a model."""
    version = node.get("version")
    return unique_id if version is None else unique_id.removesuffix(f".v{version}")


def is_public(node: Node) -> bool:
    # dbt writes the access of a model twice.
    access = (node.get("access"), (node.get("config") or {}).get("access"))
    return all(value in (None, "public") for value in access)


def is_enforced(node: Node) -> bool:
    """Whether the model's contract is enforced."""
    # dbt writes the contract twice, too.
    declared = (node.get("contract"), (node.get("config") or {}).get("contract"))
    flags = [contract.get("enforced") for contract in declared if contract]
    return bool(flags) and all(flags)


def materialized(node: Node) -> str | None:
    kind: str | None = (node.get("config") or {}).get("materialized")
    return kind


def deprecation(node: Node) -> date | None:
    # dbt writes a date as midnight in the zone of the machine that parsed it: only the day counts.
    text = node.get("deprecation_date")
    return date.fromisoformat(str(text)[:10]) if text else None
