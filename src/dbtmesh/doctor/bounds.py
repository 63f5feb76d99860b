"""Compares bounds of versions, as requirements and dbt_project.yml have them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BOUND = re.compile(r"(===|==|~=|>=|<=|!=|>|<|=)?\s*v?(\d+(?:\.\d+)*)(\.\*)?[^,\s]*")
"""A release's number; what follows it, such as `a4`, does not count."""
PARTS = 4
"""Of a number; those that are not written are 0."""


class Edge(NamedTuple):
    """Where versions begin or end. beyond: 0 for the number itself, 1 for right behind it."""

    number: tuple[int, ...]
    beyond: int = 0


FIRST, LAST = Edge(()), Edge((10**9,))


def admits(bounds: str, version: str) -> bool:
    """Whether a version is in the bounds; what cannot be read admits all."""
    return not exclude(bounds, f"=={version}")


def exclude(one: str, other: str) -> bool:
    """Whether no version is in both bounds."""
    begins, ends = zip(*[*_edges(one), *_edges(other), (FIRST, LAST)], strict=True)
    return bool(max(begins) >= min(ends))


def _edges(bounds: str) -> Iterator[tuple[Edge, Edge]]:
    """From where to before where each of the bounds reaches."""
    for operator, number, star in BOUND.findall(bounds):
        parts = tuple(map(int, number.split(".")))
        at = Edge((*parts, *[0] * (PARTS - len(parts))))
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
    """The first version that does not begin so."""
    return Edge((*parts[:-1], parts[-1] + 1, *[0] * (PARTS - len(parts)))) if parts else LAST
