"""Follows consumers' records, and those of their consumers, to find cycles that include this
project.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from dbtmesh.registry.cycles import cycles
from dbtmesh.registry.records import recorded
from dbtmesh.registry.store import Store

FARTHEST = 50
"""How many projects are searched for readers. Each costs a listing, and a read for each reader.
In a larger mesh a cycle may be missed; `fleet status` finds all."""


def rings(
    store: Store, env: str, project: str, upstreams: Collection[str]
) -> list[tuple[str, ...]]:
    """Returns the groups of projects that read each other and include this one.

    upstreams: the projects that this one reads. Records that cannot be read are ignored.
    """
    reads: dict[str, set[str]] = {project: set(upstreams)}
    waiting, asked = deque([project]), {project}
    while waiting and len(asked) <= FARTHEST:
        current = waiting.popleft()
        for record in recorded(store, current, env)[0]:
            reads.setdefault(record.consumer, set()).add(current)
            if record.consumer not in asked:
                asked.add(record.consumer)
                waiting.append(record.consumer)
    return [group for group in cycles(reads) if project in group]
