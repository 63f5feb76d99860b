"""Versions of models, compared as dbt compares them.

dbt compares what YAML made of a version: 1 and 1.0 are the same latest version, though the names of
models and references tell them apart (`m.v1.0`). 0 is a version, too; dbt-loom makes text of every
version but this one, which its own model of a node then refuses, so it is published as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def same(one: object, other: object) -> bool:
    """Whether two versions are the same: by value where both are numbers, else by their text."""
    return one == other or str(one) == str(other)


def is_latest(node: Mapping[str, Any]) -> bool:
    """Whether a model is the version that a `ref` without one means."""
    return same(node.get("version"), node.get("latest_version"))


def settle(nodes: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Spells `latest_version` of nodes (unique_id, node) as the sibling that it means spells its
    version, in place, so that their texts can be compared from here on."""
    siblings: dict[str, list[dict[str, Any]]] = {}
    for uid, node in nodes:
        if (version := node.get("version")) is not None:
            siblings.setdefault(uid.removesuffix(f".v{version}"), []).append(node)
    for versions in siblings.values():
        written = [node["version"] for node in versions]
        for node in versions:
            latest = node.get("latest_version")
            node["version"] = _spelled(node["version"])
            node["latest_version"] = _spelled(next((v for v in written if same(v, latest)), latest))


def _spelled(version: Any) -> Any:
    return str(version) if version == 0 else version
