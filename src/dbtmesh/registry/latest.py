"""Reads a project's current publication. All readers use this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dbtmesh import MeshError
from dbtmesh.config import Upstream
from dbtmesh.registry import keys
from dbtmesh.registry.store import Reader, described

if TYPE_CHECKING:
    from dbtmesh.manifest.interface import Interface


class Found(NamedTuple):
    """A publication, and the ETag of the object that holds it."""

    interface: Interface
    etag: str


class NothingPublished(MeshError):
    """The project has published nothing to this environment yet."""

    def __init__(self, store: Reader, project: str, env: str) -> None:
        where = f"to {env} yet ({described(store.url)})"
        first = f"run its deploy, or `scripts/publish_manifest.py --env {env}` in its folder"
        if env == "local" and store.url.startswith("file:"):
            where = f"on this machine yet ({described(store.url)})"
            first = (
                "run `dbt build && scripts/publish_manifest.py` in its folder, or without its code "
                "`scripts/stub_mesh.py --rows 5` here"
            )
        super().__init__(f"{project} has published nothing {where}: {first}")


class OtherVersion(MeshError):
    """The history holds another publication in the place of a version: somebody else wrote it."""

    def __init__(self, store: Reader, place: str, version: str) -> None:
        super().__init__(
            f"{store.url}/{place} holds {version}, which is another publication: it is not used; "
            "find out who wrote it"
        )


def find(
    store: Reader,
    project: Upstream | str,
    env: str,
    *,
    version: str | None = None,
    known: str | None = None,
) -> Found | None:
    """Returns the latest publication, or that `version` of the history; None where there is none.

    project: An Upstream's models have to lie in its databases. A name stands for the member's own
    project or one that is only looked at, and databases are not checked.
    Raises NotModified where the ETag is `known`, OtherVersion where the history holds another
    version in that place, and MeshError where the publication cannot be read or is refused.
    """
    databases = project.databases if isinstance(project, Upstream) else None
    project = project.name if isinstance(project, Upstream) else project
    if version and not keys.VERSION.fullmatch(version):
        return None
    place = keys.wanted(project, env, version)
    stored = store.read(place, known=known)
    if stored is None:
        return None
    # Imported here: the usual answer to a sync is NotModified, which needs none of it.
    from dbtmesh.manifest.published import read

    found = read(stored.body, project, databases)
    if version and found.version != version:
        raise OtherVersion(store, place, found.version)
    return Found(found, stored.etag)


def get(
    store: Reader,
    project: Upstream | str,
    env: str,
    *,
    version: str | None = None,
    known: str | None = None,
) -> Found:
    """Returns what `find` returns. Raises NothingPublished where there is no latest publication,
    and MeshError where there is no such version."""
    if found := find(store, project, env, version=version, known=known):
        return found
    project = project.name if isinstance(project, Upstream) else project
    if version:
        raise MeshError(
            f"{project} has no version {version!r} in {env} ({store.url}): its "
            "scripts/publish_manifest.py --history lists them"
        )
    raise NothingPublished(store, project, env)
