"""Publishes an interface: the immutable version first, then `latest` by compare-and-swap.

Wherever a publisher is interrupted, readers see either the old or the new interface, and never part
of one. The publication of each concurrent publisher is kept as a version in the history. An older
build never replaces a newer one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbtmesh import MeshError
from dbtmesh.manifest.interface import ROLLBACK, STUB, Interface
from dbtmesh.manifest.published import read
from dbtmesh.manifest.seal import annotated
from dbtmesh.registry import keys
from dbtmesh.registry.store import Changed, Damaged, Store, TooLarge, contended

AHEAD = timedelta(minutes=10)
"""How far clocks may differ. A publication that is dated later than that comes from a wrong
clock."""

ATTEMPTS = 12
"""How often to try against other publishers. Each failed attempt means that another one won."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a publication.

    newer: the version of a newer build, which stays `latest` instead. ahead: whether that build is
    dated ahead of the clock, so that it would stay `latest` after later builds too.
    """

    version: str
    newer: str | None = None
    ahead: bool = False


def is_ahead(interface: Interface, now: datetime) -> bool:
    """Checks whether a publication is dated ahead of the clock by more than AHEAD."""
    return interface.generated_at > now + AHEAD


def published(
    store: Store, project: str, env: str, *, repair: bool = False
) -> tuple[Interface | None, str | None]:
    """Returns the interface that consumers read now, and its ETag; (None, None) before the first.

    A stub counts as no interface, because it only stands in on this machine: it gives (None, ETag).
    With `repair`, so does a damaged publication, so that it can be replaced.
    Raises MeshError where the publication is damaged (without `repair`) or out of reach.
    """
    key = keys.latest(project, env)
    try:
        stored = store.read(key)
    except (TooLarge, Damaged) as error:
        if repair:
            return None, store.etag(key)
        raise _incomparable(error) from None
    if stored is None:
        return None, None
    try:
        current = read(stored.body, project)
    except MeshError as error:
        if repair:
            return None, stored.etag
        raise _incomparable(error) from None
    return None if STUB in current.notes else current, stored.etag


def _incomparable(error: MeshError) -> MeshError:
    return MeshError(f"{error}, with --allow-breaking, because it cannot be compared")


def publish(
    store: Store,
    env: str,
    interface: Interface,
    check: Callable[[Interface | None], Mapping[str, str] | None],
    *,
    repair: bool = False,
) -> Outcome:
    """Makes the interface what consumers read.

    check: gets the interface that is published now. It raises to refuse the new one, or returns
    notes to add to it. It is called again if another publisher comes first, and nothing is written
    before it agrees.
    repair: whether to replace a damaged publication.
    A publication that is dated ahead of the clock is only replaced by a rollback.
    Raises MeshError where the new interface is itself dated ahead of the clock.
    """
    project, now = interface.project, datetime.now(UTC)
    if is_ahead(interface, now):
        raise MeshError(
            f"this build is dated {interface.generated_at:%Y-%m-%d %H:%M} UTC, and now it is "
            f"{now:%Y-%m-%d %H:%M} UTC, so no later build could replace it: set the clock of the "
            "machine that builds, and build again"
        )
    for attempt in range(ATTEMPTS):
        current, etag = published(store, project, env, repair=repair)
        if current and current.same_build(interface):
            return Outcome(current.version)  # a rerun, or our own write whose answer got lost
        ahead = current is not None and is_ahead(current, now)
        superseded = current is not None and current.generated_at > interface.generated_at
        superseded = superseded and not (ahead and ROLLBACK in interface.notes)
        notes = None if superseded else check(current)
        sealed = annotated(interface, notes) if notes else interface
        write_once(store, keys.publication(project, env, sealed.version), sealed.body)
        if current and superseded:
            return Outcome(sealed.version, newer=current.version, ahead=ahead)
        try:
            store.write(keys.latest(project, env), sealed.body, replaces=etag)
        except Changed:
            _wait(attempt)
        else:
            return Outcome(sealed.version)
    raise MeshError(f"{project}/{env} is being published by others again and again: try again")


def write_once(store: Store, key: str, body: bytes) -> None:
    """Writes an object that is never replaced.

    An object that is there with the same content counts as our own, from a write that was
    interrupted or whose answer got lost. Raises MeshError where there is another one.
    """
    for attempt in range(ATTEMPTS):
        try:
            return store.write(key, body, replaces=None)
        except Changed:
            stored = store.read(key)
        if stored and stored.body == body:
            return None
        if stored:
            raise MeshError(
                f"{store.url}/{key} has other content, and versions are never replaced: find out "
                "who wrote it, and build again"
            )
        _wait(attempt)  # S3 also refuses while another write of the object is under way
    raise contended(store, key)


@dataclass(frozen=True)
class Before:
    """The ETag of a member's state before it published, None where there was none."""

    etag: str | None

    @classmethod
    def of(cls, state: Store, project: str, env: str) -> Before | None:
        """Reads the ETag. Returns None where that fails; `keep_state` reports the failure later,
        after the interface is published."""
        try:
            return cls(state.etag(keys.state(project, env)))
        except MeshError:
            return None


def keep_state(
    state: Store,
    registry: Store,
    env: str,
    interface: Interface,
    manifest: bytes,
    before: Before | None = None,
) -> None:
    """Keeps the full manifest for the member's own slim CI, unless a newer build has published.

    The ETag of the state is read before `latest`, so that a publisher in between changes one of the
    two and is noticed. `before` holds an ETag that was read before the interface became the latest;
    with it, the first attempt writes at once.
    Raises MeshError.
    """
    key = keys.state(interface.project, env)
    for attempt in range(ATTEMPTS):
        if before:
            etag, before = before.etag, None
        else:
            etag = state.etag(key)
            current, _ = published(registry, interface.project, env)
            if current is None or not current.same_build(interface):
                return
        try:
            return state.write(key, manifest, replaces=etag)
        except Changed:
            _wait(attempt)
    raise contended(state, key)


def _wait(attempt: int) -> None:
    """Waits for a random time, so that publishers that collided do not collide again."""
    time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))
