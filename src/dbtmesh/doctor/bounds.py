"""Compares bounds of versions, as written in requirements and in dbt_project.yml. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BOUND = re.compile(r"(===|==|~=|>=|<=|!=|>|<|=)?\s*v?(\d+(?:\.\d+)*)(\.\*)?[^,\s]*")
"""An operator and the number of a release. A suffix such as `a4` is ignored."""
PARTS = 4
"""The length to which the numbers of releases are padded with zeros."""


class Edge(NamedTuple):
    """The begin or end of a range of versions. beyond: 0 at the number itself, 1 right after it."""

    number: tuple[int, ...]
    beyond: int = 0


FIRST, LAST = Edge(()), Edge((10**9,))


def admits(bounds: str, version: str) -> bool:
    """Checks whether a version is in the bounds. Bounds that cannot be read admit all versions."""
    return not exclude(bounds, f"=={version}")


def exclude(one: str, other: str) -> bool:
    """Checks whether no version is in both bounds. `!=` is ignored."""
    begins, ends = zip(*[*_edges(one), *_edges(other), (FIRST, LAST)], strict=True)
    return bool(max(begins) >= min(ends))


def _edges(bounds: str) -> Iterator[tuple[Edge, Edge]]:
    """Yields the range of each bound: its begin, and its end, which is not part of it."""
    for operator, number, star in BOUND.findall(bounds):
        parts = tuple(map(int, number.split(".")))
        at = Edge((*parts, *[0] * (PARTS - len(parts))))
        if operator == "!=":
            continue
        if star:
            yield at, _next(parts)
        elif operator == "~=":
            yield at, _next(parts[:-1])
        elif operator in ("", "=", "==", "==="):
            yield at, at._replace(beyond=1)
        elif operator in (">", ">="):
            yield at._replace(beyond=int(operator == ">")), LAST
        elif operator in ("<", "<="):
            yield FIRST, at._replace(beyond=int(operator == "<="))


def _next(parts: tuple[int, ...]) -> Edge:
    """Returns the first version after all that begin with these parts."""
    return Edge((*parts[:-1], parts[-1] + 1, *[0] * (PARTS - len(parts)))) if parts else LAST
