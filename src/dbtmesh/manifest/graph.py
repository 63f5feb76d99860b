"""Finds paths and cycles in a graph of nodes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dbtmesh.checked import Unfit
from dbtmesh.output.words import shown

MOST_LINKS = 5_000_000
"""The limit for one project. A few nodes between many parents and many children are enough to make
very many links."""


def nearest(
    starts: Iterable[str], ends: Iterable[str], following: Callable[[str], Iterable[str]]
) -> dict[str, list[str]]:
    """Maps each start to the first end on every path from it, sorted.

    A path continues through nodes that are not ends. Raises Unfit where there are more than
    MOST_LINKS links between starts and ends.

    Each node is visited once for all starts, without recursion. The ends that it reaches are kept
    as the bits of an integer: sets would fill the memory where thousands reach thousands.
    """
    names = sorted(ends)
    number = {name: place for place, name in enumerate(names)}
    behind: dict[str, int] = {}

    def gathered(node: str) -> int:
        bits = 0
        for other in following(node):
            bits |= 1 << number[other] if other in number else behind.get(other, 0)
        return bits

    found: dict[str, list[str]] = {}
    links = 0
    for start in starts:
        waiting, entered = [*following(start)], set()
        while waiting:
            node = waiting.pop()
            if node in number or node in behind:
                continue
            if node in entered:  # for the second time, after everything that follows it
                behind[node] = gathered(node)
                continue
            entered.add(node)
            waiting += [node, *following(node)]
        bits, found[start] = gathered(start), []
        links += bits.bit_count()
        if links > MOST_LINKS:
            raise Unfit(f"depends_on: there are more than {MOST_LINKS:,} links between models")
        while bits:
            last = bits.bit_length() - 1
            found[start].append(names[last])
            bits ^= 1 << last
        found[start].reverse()
    return found


def refuse_circles(above: Mapping[str, Iterable[str]]) -> None:
    """Raises Unfit where a model depends on itself, directly or through others.

    If dbt-loom passes such models to dbt Core, every command of the reader fails.
    """
    entered, done = set[str](), set[str]()
    for start in above:
        waiting = [start]
        while waiting:
            node = waiting[-1]
            if node in entered:  # for the second time, after everything that it depends on
                done.add(waiting.pop())
                continue
            entered.add(node)
            for parent in above.get(node, ()):
                if parent in done:
                    continue
                if parent in entered:
                    raise Unfit(f"model {shown(parent)}: depends_on: it depends on itself")
                waiting.append(parent)
