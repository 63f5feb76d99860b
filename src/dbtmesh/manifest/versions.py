"""Compares versions of a model as dbt does. Pure.

YAML reads `v: 1`, `v: 1.0` and `v: "1"` as a whole number, a fraction and a text, and engines write
them in different ways: dbt Core 1.11 keeps what YAML has read, 1.12 makes 1 of 1.0, and v2 makes
text of all. Numbers that are equal are one version; any other text is a version of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dbtmesh.warehouse.names import Fields

Version = str | int | float
_NUMBER = re.compile(r"(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
Order = tuple[float, str]
"""Sorts by age: numbers as numbers, then words by the alphabet, as dbt looks for the latest."""


def order(version: Version) -> Order:
    try:
        return float(version), ""
    except (ValueError, OverflowError):
        return float("inf"), str(version)


def same(one: Version | None, other: Version | None) -> bool:
    """Whether two spellings mean the same version; None is no version."""
    if one is None or other is None:
        return one is other
    return _meaning(one) == _meaning(other)


def _meaning(version: Version) -> Version:
    """A number, however it is written; else the text. `01` is text, as YAML and dbt have it."""
    if isinstance(version, str) and not _NUMBER.fullmatch(version):
        return version
    return order(version)[0]


def is_latest(node: Fields) -> bool:
    """Whether a model is what `ref` without a version means: it has none, or is the latest."""
    version = node.get("version")
    return version is None or same(version, node.get("latest_version"))


def settle(nodes: Iterable[dict[str, Any]]) -> None:
    """Spells `latest_version` of a project's models as the one that it means spells its version, in
    place, so that texts can be compared from here on. 0 becomes a text, because dbt-loom takes what
    is false for none."""
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
