"""Compares versions of a model as dbt does. Pure.

YAML reads `v: 1`, `v: 1.0` and `v: "1"` as an integer, a float and a string, and engines write them
in different ways: dbt Core 1.11 keeps what YAML has read, 1.12 turns 1.0 into 1, and v2 turns all
into strings. Equal numbers are the same version; any other text is a version of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dbtmesh.warehouse.names import Fields

Version = str | int | float
_NUMBER = re.compile(r"(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
Order = tuple[float, str]
"""A sort key by age: numbers by value, then words by the alphabet, as dbt finds the latest."""


def order(version: Version) -> Order:
    try:
        return float(version), ""
    except (ValueError, OverflowError):
        return float("inf"), str(version)


def same(one: Version | None, other: Version | None) -> bool:
    """Checks whether two spellings mean the same version; None stands for no version."""
    if one is None or other is None:
        return one is other
    return _meaning(one) == _meaning(other)


def _meaning(version: Version) -> Version:
    """Returns a number by its value, and other text unchanged. `01` is text, as in YAML and dbt."""
    if isinstance(version, str) and not _NUMBER.fullmatch(version):
        return version
    return order(version)[0]


def is_latest(node: Fields) -> bool:
    """Checks whether `ref` without a version means this model: it has none, or is the latest."""
    version = node.get("version")
    return version is None or same(version, node.get("latest_version"))


def settle(nodes: Iterable[dict[str, Any]]) -> None:
    """Rewrites each `latest_version`, in place, in the spelling of the `version` that it refers to.

    After that, versions can be compared as they are written. 0 becomes text, because dbt-loom
    treats a falsy version as None.
    """
    models: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        if node.get("version") is not None:
            node["version"] = node["version"] or str(node["version"])
            models.setdefault(node["name"], []).append(node)
    for siblings in models.values():
        written = [node["version"] for node in siblings]
        for node in siblings:
            if (latest := node.get("latest_version")) is not None:
                alike = [version for version in written if same(version, latest)]
                found = next((each for each in alike if str(each) == str(latest)), None)
                found = found or next(iter(alike), latest)
                node["latest_version"] = found or str(found)
