"""Finds cycles of projects that read each other.

In a cycle, the deploy of each project starts that of the next one, and so the first one again. dbt
refuses a cycle of models, but nothing refuses a cycle of projects. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


def cycles(reads: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Returns the groups of projects that all read each other, directly or through others of the
    group.

    reads: project → the projects that it reads. Each group is sorted, and so are the groups. A
    project that reads itself is a group of one.
    """
    reached = {project: _reached(project, reads) for project in reads}
    groups = {
        tuple(sorted(other for other in reach if project in reached.get(other, ())))
        for project, reach in reached.items()
        if project in reach
    }
    return sorted(groups)


def _reached(start: str, reads: Mapping[str, Collection[str]]) -> set[str]:
    """Returns all projects that `start` reads, directly or through others."""
    reached: set[str] = set()
    waiting = list(reads.get(start, ()))
    while waiting:
        project = waiting.pop()
        if project not in reached:
            reached.add(project)
            waiting += reads.get(project, ())
    return reached


def described(group: Collection[str]) -> str:
    """Returns a clause such as `dbt_a and dbt_b read each other`."""
    names = sorted(group)
    if len(names) == 1:
        return f"{names[0]} reads itself"
    return f"{', '.join(names[:-1])} and {names[-1]} read each other"
