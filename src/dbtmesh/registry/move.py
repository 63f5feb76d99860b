"""Copies a project's publications, its state and its consumers' records to another registry."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dbtmesh import MeshError, parallel
from dbtmesh.manifest.published import read
from dbtmesh.registry import history, keys
from dbtmesh.registry.publication import write_once
from dbtmesh.registry.store import Changed, Store

STATE = ("manifest.json", "deploy.json", "run_results.json", "index.html")


@dataclass(frozen=True)
class Moved:
    """What was copied of an environment, or would be.

    versions, records: how many the new registry lacked. there: how many of the versions it had
    before. readers: the consumers with a record in the old registry.
    """

    env: str
    versions: int
    there: int
    readers: tuple[str, ...]
    records: int


def environments(store: Store, project: str) -> list[str]:
    """Returns the environments that the project has published to."""
    return sorted(name.rstrip("/") for name in store.children(f"{project}/") if name.endswith("/"))


def move(
    source: tuple[Store, Store], target: tuple[Store, Store], project: str, env: str, dry: bool
) -> Moved:
    """Copies what a registry and the state beside it hold of a project's environment.

    source, target: a registry and its state. Nothing is removed from the source, and nothing newer
    is replaced in the target. An interrupted move is completed by the next run. All versions are
    copied before `latest`.
    Raises MeshError.
    """
    (registry, state), (new, new_state) = source, target
    versions = history.versions(registry, project, env, number=sys.maxsize)
    folder = keys.records(project, env)
    found = sorted(name for name in registry.children(folder) if name.endswith(".json"))
    records = [] if new.keeps_own_records else found
    readers = tuple(name.removesuffix(".json") for name in found)
    there = {*history.versions(new, project, env, number=sys.maxsize)}.intersection(versions)
    missing = [name for name in records if new.etag(folder + name) is None]
    moved = Moved(env, len(versions) - len(there), len(there), readers, len(missing))
    if dry:
        return moved

    def version(name: str) -> None:
        key = keys.publication(project, env, name)
        if (stored := registry.read(key)) is not None:
            write_once(new, key, stored.body)

    parallel.each(version, versions)
    for name in missing:
        _where_there_is_none(registry, new, folder + name)
    for name in STATE:
        _where_there_is_none(state, new_state, keys.state(project, env, name))
    _latest(registry, new, project, env, versions)
    return moved


def _where_there_is_none(source: Store, target: Store, key: str) -> None:
    """Copies an object, unless the target has one: that was written later, and so is newer."""
    stored = source.read(key)
    if stored is not None and target.etag(key) is None:
        try:
            target.write(key, stored.body, replaces=None)
        except Changed:
            return


def _latest(
    source: Store, target: Store, project: str, env: str, versions: Collection[str]
) -> None:
    """Copies `latest`, unless the target's is newer.

    A newer one is replaced too if it is one of `versions`, the history of the source: then the
    source has replaced it since, as a rollback does with a publication dated ahead of the clock.
    """
    key = keys.latest(project, env)
    if (stored := source.read(key)) is None:
        return
    ours = read(stored.body, project)
    if there := target.read(key):
        found = read(there.body, project)
        newer = found.generated_at >= ours.generated_at
        if found.version == ours.version or (newer and found.version not in versions):
            return
    try:
        target.write(key, stored.body, replaces=there.etag if there else None)
    except Changed:
        raise MeshError(
            f"{target.url}/{key} has just been published by somebody else: run the move again"
        ) from None


def answers(url: str) -> Sequence[str]:
    """Returns the Copier answers of members whose registry is at that URL; none where answers
    cannot name it."""
    scheme, _, place = url.partition("://")
    parts = place.split("/")
    if scheme == "snowflake":
        return ["registry=snowflake"]
    if scheme == "s3" and len(parts) == 2:
        return ["registry=s3", f"registry_bucket={parts[0]}"]
    if scheme == "gs" and len(parts) == 2:
        return ["registry=gcs", f"gcs_bucket={parts[0]}"]
    if scheme == "az" and len(parts) == 3:
        return [
            "registry=azure",
            f"azure_storage_account={parts[0]}",
            f"azure_container={parts[1]}",
        ]
    return []
