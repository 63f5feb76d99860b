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
    """A store that takes some projects from other registries, which it opens on first use.

    elsewhere: the URLs of these registries, by project name.
    """

    def __init__(self, own: Store, elsewhere: Mapping[str, str], access: Access) -> None:
        self.url, self._own, self._elsewhere, self._access = own.url, own, elsewhere, access
        self.keeps_own_records = own.keeps_own_records
        self._open: dict[str, Store] = {}

    def _of(self, key: str) -> Store:
        url = self._elsewhere.get(key.partition("/")[0])
        if url is None:
            return self._own
        if url not in self._open:  # two threads may both open it, which does no harm
            self._open[url] = open_store(url, self._access)
        return self._open[url]

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        store = self._of(key)
        try:
            return store.read(key, known=known, most=most)
        except OutOfReach as error:
            # another registry that is out of reach concerns only the projects in it
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
    """Returns the URLs of the registries that mesh.yml names for upstreams, by project name.

    It returns none where a flag or the environment names the registry: that one is then used for
    all projects.
    """
    named = {each.name: each.registry for each in member.upstreams if each.registry}
    return named if place.is_own else {}


def open_routed(url: str, elsewhere: Mapping[str, str], access: Access) -> Store:
    """Opens the registry at `url`, with the projects in `elsewhere` taken from other registries."""
    own = open_store(url, access)
    return RoutedStore(own, elsewhere, access) if elsewhere else own


def open_registry(member: Member, place: Location) -> Store:
    """Opens the registry at `place`, with upstreams that publish elsewhere taken from there."""
    return open_routed(place.url, elsewhere(member, place), member.access)
