"""Routes reads to the registry of each upstream, where it is not the member's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dbtmesh import MeshError
from dbtmesh.config import Location, Member
from dbtmesh.files import MOST
from dbtmesh.registry.store import Access, OutOfReach, Store, Stored, open_store


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


def open_registry(member: Member, place: Location) -> Store:
    """The registry at `place`. Where that is the member's own, upstreams are looked for in theirs;
    whoever names a registry by a flag or in the environment means it for all."""
    own = open_store(place.url, member.access)
    elsewhere = {each.name: each.registry for each in member.upstreams if each.registry}
    return RoutedStore(own, elsewhere, member.access) if elsewhere and place.is_own else own
