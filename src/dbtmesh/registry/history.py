"""What was published before: to look at (--history), and to put back (--rollback)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from dbtmesh import MeshError
from dbtmesh.gate.changes import Change, counted
from dbtmesh.gate.compare import compare
from dbtmesh.manifest import interface
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.published import read
from dbtmesh.manifest.seal import annotated
from dbtmesh.registry import keys
from dbtmesh.registry.latest import NothingPublished
from dbtmesh.registry.store import Store


def versions(store: Store, project: str, env: str) -> list[str]:
    """Versions that were published, oldest first; what else lies there is nothing to go by."""
    names = (name.rstrip("/") for name in store.children(keys.history(project, env)))
    return sorted(name for name in names if keys.VERSION.fullmatch(name))


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
    if not keys.VERSION.fullmatch(version):
        return None
    stored = store.read(keys.publication(project, env, version))
    return read(stored.body, project) if stored else None


def restored(
    old: interface.Interface, current: interface.Interface | None, now: datetime
) -> interface.Interface:
    """An earlier interface as a new publication, newer than the current one."""
    if current:  # whose clock may have been ahead
        now = max(now, current.generated_at + timedelta(microseconds=1))
    commit = old.notes.get(interface.COMMIT)
    again = extract(old.body, old.project, commit=commit)
    return annotated(again, {interface.ROLLBACK: old.version}, now)


def read_last(
    store: Store, project: str, env: str, number: int
) -> list[tuple[interface.Interface | None, interface.Interface]]:
    """The last publications, newest first, each with the one before it."""
    known = versions(store, project, env)[-number - 1 :]
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = pool.map(lambda version: _read(store, project, env, version), known)
        read = [each for each in found if each]
    before: list[interface.Interface | None] = [None, *read]
    pairs = list(zip(before, read, strict=False))
    return pairs[-number:][::-1]


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
