"""Checks that dbt-loom can load a publication.

A single node that dbt-loom refuses makes every reader that uses it fail at parse. dbt-loom loads
each node of a manifest into a class of its own (`dbt_loom.manifests.ManifestNode`). Publishers do
not have dbt-loom, and it would load all of dbt, so this module checks the same fields for the same
types. tests/test_loom.py compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Node = Mapping[str, Any]

_REQUIRED = ("name", "package_name", "unique_id", "resource_type", "schema")
_OPTIONAL = ("database", "relation_name", "access", "group")
_VERSIONS = ("version", "latest_version")
_READ = (*_REQUIRED, *_OPTIONAL, *_VERSIONS, "deprecation_date", "depends_on")
"""Fields of a node that dbt-loom passes to dbt, besides the `event_time` of its `config`."""


def refused(nodes: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """Yields the unique_id of each node that dbt-loom would refuse, and the reason."""
    for uid, node in nodes.items():
        if why := wrong(node):
            yield uid, why


def wrong(node: Node) -> str | None:
    """Returns why dbt-loom would refuse a node; None if it accepts the node."""
    for key in _REQUIRED:
        if not isinstance(node.get(key), str):
            return f"`{key}` is not a text"
    for key in _OPTIONAL:
        if not isinstance(node.get(key), str | None):
            return f"`{key}` is not a text"
    for key in _VERSIONS:
        value = node.get(key)
        # dbt-loom converts every truthy version to text.
        if not value and not isinstance(value, str | None):
            return f"`{key}` is {value!r}, which is not a text"
    deprecation = node.get("deprecation_date")
    if deprecation is not None and not _is_date(deprecation):
        return f"`deprecation_date` is {deprecation!r}, which is not a date"
    if not isinstance(node.get("config", {}), dict):
        return "`config` is not a mapping"
    return None


def document(metadata: Mapping[str, Any], nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Returns a manifest with only what dbt-loom reads.

    Everything that dbt-loom loads stays in memory while dbt parses, and slows dbt down.
    """
    kept = {}
    for uid, node in nodes.items():
        kept[uid] = {key: node[key] for key in _READ if node.get(key) is not None}
        if event_time := (node.get("config") or {}).get("event_time"):
            kept[uid]["config"] = {"event_time": event_time}
    return {"metadata": dict(metadata), "nodes": kept}


def _is_date(value: object) -> bool:
    try:
        return bool(datetime.fromisoformat(str(value)))
    except ValueError:
        return False
