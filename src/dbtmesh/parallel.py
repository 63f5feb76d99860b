"""Makes requests to servers in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""How many requests are made at a time."""


def each(one: Callable[[T], R], of: Iterable[T]) -> list[R]:
    """Calls `one` for each item, and returns the results in the items' order. Raises what `one`
    raises."""
    items = list(of)
    if len(items) < 2:
        return [one(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # loads much

    with ThreadPoolExecutor(max_workers=MOST) as pool:
        return list(pool.map(one, items))
