"""Routes reads to the registry of each upstream, where it is not the member's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.files import MOST
from dbtmesh.registry.store import Access, OutOfReach, Store, Stored, open_store

if TYPE_CHECKING:
    from dbtmesh.config import Location, Member


class RoutedStore:
    """A registry, in which some projects lie elsewhere. Those are opened when they are asked for.

    elsewhere: URL of a project's registry, by its name.
    """

    def __init__(self, own: Store, elsewhere: Mapping[str, str], access: Access) -> None:
        self.url, self._own, self._elsewhere, self._access = own.url, own, elsewhere, access
        self.keeps_own_records = own.keeps_own_records
        self._open: dict[str, Store] = {}

    def _of(self, key: str) -> Store:
        url = self._elsewhere.get(key.partition("/")[0])
        if url is None:
            return self._own
        if url not in self._open:  # by two threads twice, which does no harm
            self._open[url] = open_store(url, self._access)
        return self._open[url]

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        store = self._of(key)
        try:
            return store.read(key, known=known, most=most)
        except OutOfReach as error:
            # that another's registry is away is that project's fault, and no other's
            raise error if store is self._own else MeshError(str(error)) from None

    def etag(self, key: str) -> str | None:
        return self._of(key).etag(key)

    def write(self, key: str, body: bytes, *, replaces: str | None) -> None:
        self._of(key).write(key, body, replaces=replaces)

    def children(self, prefix: str) -> Iterator[str]:
        if prefix:
            yield from self._of(prefix).children(prefix)
            return
        there = {f"{name}/" for name in self._elsewhere}
        yield from sorted(there.union(self._own.children("")))


def elsewhere(member: Member, place: Location) -> dict[str, str]:
    """URL of a project's registry, by its name, where that is another than the one at `place`.
    Whoever names a registry by a flag or in the environment means it for all."""
    named = {each.name: each.registry for each in member.upstreams if each.registry}
    return named if place.is_own else {}


def open_routed(url: str, elsewhere: Mapping[str, str], access: Access) -> Store:
    """The registry at `url`, in which some projects lie elsewhere."""
    own = open_store(url, access)
    return RoutedStore(own, elsewhere, access) if elsewhere else own


def open_registry(member: Member, place: Location) -> Store:
    """The registry at `place`, and where upstreams publish to another one, that one for these."""
    return open_routed(place.url, elsewhere(member, place), member.access)
