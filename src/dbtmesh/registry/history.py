"""Lists earlier publications (--history) and restores one of them (--rollback).

Nothing is ever deleted.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from dbtmesh import MeshError, parallel
from dbtmesh.gate.changes import Change, counted
from dbtmesh.gate.compare import compare
from dbtmesh.manifest import interface
from dbtmesh.manifest.seal import annotated
from dbtmesh.registry import keys, latest
from dbtmesh.registry.latest import NothingPublished
from dbtmesh.registry.publication import is_ahead
from dbtmesh.registry.store import Store

MOST_LISTED = 10_000
"""How many of the last versions are listed at most, for no version is ever deleted."""


def versions(store: Store, project: str, env: str, number: int = MOST_LISTED) -> list[str]:
    """Returns the last `number` versions that were published, oldest first. Other names in the
    history are ignored."""
    names = (name.rstrip("/") for name in store.children(keys.history(project, env)))
    return heapq.nlargest(number, filter(keys.VERSION.fullmatch, names))[::-1]


def fetch(store: Store, project: str, env: str, version: str) -> interface.Interface:
    """Returns a publication of the history. Raises NothingPublished where the history is empty, and
    MeshError with the most similar versions where it lacks this one."""
    if found := _read(store, project, env, version):
        return found
    known = versions(store, project, env)
    if not known:
        raise NothingPublished(store, project, env)
    near = difflib.get_close_matches(version, known, n=3, cutoff=0)
    raise MeshError(
        f"{project} has no version {version!r} in {env} (--history lists all); the nearest are\n"
        f"       {', '.join(near)}"
    )


def _read(store: Store, project: str, env: str, version: str) -> interface.Interface | None:
    found = latest.find(store, project, env, version=version)
    return found.interface if found else None


def restored(
    old: interface.Interface, current: interface.Interface | None, now: datetime
) -> interface.Interface:
    """Returns an earlier interface as a new publication, dated later than the current one.

    If the current one is dated ahead of the clock, the new one is dated `now`, and does not take
    over the wrong date.
    """
    if current and not is_ahead(current, now):
        now = max(now, current.generated_at + timedelta(microseconds=1))
    notes = {interface.ROLLBACK: old.version}
    return annotated(old, notes, now, keep=[interface.COMMIT, interface.CATALOG])


def read_last(
    store: Store, project: str, env: str, number: int
) -> tuple[list[tuple[interface.Interface | None, interface.Interface]], list[str]]:
    """Returns the last publications, newest first, each as (the one before it, the publication),
    and the errors of those that cannot be read."""

    def one(version: str) -> interface.Interface | str | None:
        try:
            return _read(store, project, env, version)
        except MeshError as error:
            return f"{version}: {error}"

    known = versions(store, project, env, number + 1)
    found = parallel.each(one, known)
    read = [each for each in found if isinstance(each, interface.Interface)]
    before: list[interface.Interface | None] = [None, *read]
    pairs = list(zip(before, read, strict=False))
    return pairs[-number:][::-1], [each for each in found if isinstance(each, str)]


def line(
    before: interface.Interface | None, after: interface.Interface, latest: str | None
) -> list[str]:
    """Returns the lines that describe a publication: its version and size, what it changed, and
    what its publisher noted. latest: the version that consumers read."""
    built = after.generated_at.astimezone(UTC)
    mark = "   <- what consumers read" if after.version == latest else ""
    head = f"{after.version}  {built:%Y-%m-%d %H:%M} UTC  {_models(after)}{mark}"
    notes = [
        f"    {what} {after.notes[key]}"
        for key, what in (
            (interface.COMMIT, "commit"),
            (interface.ROLLBACK, "rollback of"),
            (interface.ALLOWED, "breaking, and allowed:"),
        )
        if key in after.notes
    ]
    return [head, f"    {_changed(before, after, built.date())}", *notes]


def _models(each: interface.Interface) -> str:
    return f"{len(each.nodes)} public model{'' if len(each.nodes) == 1 else 's'}"


SHOWN = 4
"""How many changes of a publication are named; the others are only counted."""


def _changed(before: interface.Interface | None, after: interface.Interface, day: date) -> str:
    if before is None:
        return "the first that is listed"
    changes: Sequence[Change] = compare(before.manifest, after.manifest, today=day)
    if not changes:
        return "the interface is unchanged"
    named = [f"{change.rule} {change.where}" for change in changes[:SHOWN]]
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return f"{counted(changes)}: {', '.join(named)}{more}"
