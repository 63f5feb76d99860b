"""Makes requests that wait for servers side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""How many at a time."""


def each(one: Callable[[T], R], of: Iterable[T]) -> list[R]:
    """What `one` returns for each, in their order. Raises what it raises."""
    items = list(of)
    if len(items) < 2:
        return [one(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # loads much

    with ThreadPoolExecutor(max_workers=MOST) as pool:
        return list(pool.map(one, items))
