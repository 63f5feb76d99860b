"""Lists what was published before (--history), and puts it back (--rollback). Nothing is ever
deleted.
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
"""How many of the last versions are looked at. None is ever deleted."""


def versions(store: Store, project: str, env: str, number: int = MOST_LISTED) -> list[str]:
    """The last versions that were published, so many, oldest first; what else lies there is nothing
    to go by."""
    names = (name.rstrip("/") for name in store.children(keys.history(project, env)))
    return heapq.nlargest(number, filter(keys.VERSION.fullmatch, names))[::-1]


def fetch(store: Store, project: str, env: str, version: str) -> interface.Interface:
    """A publication of the history. Raises MeshError that names the nearest ones for none."""
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
    """An earlier interface as a new publication, newer than the current one; but for one that is
    dated ahead of the clock, whose date would only be handed on."""
    if current and not is_ahead(current, now):
        now = max(now, current.generated_at + timedelta(microseconds=1))
    notes = {interface.ROLLBACK: old.version}
    return annotated(old, notes, now, keep=[interface.COMMIT, interface.CATALOG])


def read_last(
    store: Store, project: str, env: str, number: int
) -> tuple[list[tuple[interface.Interface | None, interface.Interface]], list[str]]:
    """The last publications, newest first, each with the one before it; and what is wrong with
    others that cannot be read."""

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
    """A publication and what it changed, and beneath it what its publisher noted."""
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
"""How many changes of a publication are named; the rest is a number."""


def _changed(before: interface.Interface | None, after: interface.Interface, day: date) -> str:
    if before is None:
        return "the first that is listed"
    changes: Sequence[Change] = compare(before.manifest, after.manifest, today=day)
    if not changes:
        return "the interface is unchanged"
    named = [f"{change.rule} {change.where}" for change in changes[:SHOWN]]
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return f"{counted(changes)}: {', '.join(named)}{more}"
