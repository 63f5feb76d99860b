"""Checks that dbt-loom can load what is published. One node that it refuses stops every loom
reader at parse.

dbt-loom reads each node of a manifest into a model of its own (`dbt_loom.manifests.ManifestNode`).
Publishers do not have it, and it would load all of dbt, so its fields are checked here for the same
types; tests/test_loom.py holds the two against each other.
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
"""What of a node it hands to dbt, beside the `event_time` of its `config`."""


def refused(nodes: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """The unique_ids that dbt-loom would refuse, and why."""
    for uid, node in nodes.items():
        if why := wrong(node):
            yield uid, why


def wrong(node: Node) -> str | None:
    """What dbt-loom would not take of a node; None where it takes all."""
    for key in _REQUIRED:
        if not isinstance(node.get(key), str):
            return f"`{key}` is not a text"
    for key in _OPTIONAL:
        if not isinstance(node.get(key), str | None):
            return f"`{key}` is not a text"
    for key in _VERSIONS:
        value = node.get(key)
        # It makes text of every version that Python takes for true.
        if not value and not isinstance(value, str | None):
            return f"`{key}` is {value!r}, which is not a text"
    deprecation = node.get("deprecation_date")
    if deprecation is not None and not _is_date(deprecation):
        return f"`deprecation_date` is {deprecation!r}, which is not a date"
    if not isinstance(node.get("config", {}), dict):
        return "`config` is not a mapping"
    return None


def document(metadata: Mapping[str, Any], nodes: Mapping[str, Node]) -> dict[str, Any]:
    """As much of a manifest as dbt-loom reads. All that it loads stays in memory while dbt parses,
    which takes dbt time."""
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
