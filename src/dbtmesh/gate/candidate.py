"""Builds the interface to publish from the manifest at hand, with its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError, config
from dbtmesh.artifacts import built_manifest, catalog, check, hooks
from dbtmesh.files import read_whole
from dbtmesh.gate import advice
from dbtmesh.gate.nodes import display
from dbtmesh.manifest import top_level_access
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface
from dbtmesh.manifest.loom import refused
from dbtmesh.warehouse.names import relation


@dataclass(frozen=True)
class Candidate:
    """An interface that is to be published.

    manifest: the whole manifest from which the interface was made, stored as the member's state;
    None for a rollback. build: the checks of dbt's other artifacts; None if the manifest is used
    without them. notes: lines to print about all of these.
    """

    interface: Interface
    manifest: bytes | None = None
    build: check.Build | None = None
    notes: Sequence[str] = ()


def at_hand(
    member: config.Member,
    env: str,
    *,
    manifest: Path | None = None,
    commit: str | None = None,
    allow_stale: bool = False,
    allow_failed: bool = False,
    allow_target: bool = False,
) -> Candidate:
    """Makes the candidate from dbt's manifest, or from the file `manifest`.

    That file is used as it is; dbt's own manifest has to be current and from a successful run.
    commit: the commit that was built. Raises MeshError where dbt's manifest is missing, stale or
    from a failed run, or where a model was built for a target whose tables the readers of `env` do
    not have, unless that is allowed.
    """
    path = manifest or member.root / "target" / "manifest.json"
    body = _read(path)
    interface = extract(body, member.project, commit=commit, source=str(path))
    whole = built_manifest.decode(body, str(path))
    build = None
    if manifest is None:
        build = check.examine(
            member.root,
            path,
            whole,
            member.project,
            first=interface.nodes,
            allow_stale=allow_stale,
            allow_failed=allow_failed,
        )
        interface = catalog.completed(interface, path, whole.metadata.invocation_id)
    if whole.is_v2 and (wrong := top_level_access.told(member.root, body, member.project)):
        raise MeshError(f"{wrong}; nothing was published")
    for uid, why in refused(interface.nodes):
        raise MeshError(
            f"dbt-loom would refuse {uid}: {why}. Correct it: one such model stops every project"
            " that reads this one by dbt-loom"
        )
    target = elsewhere(interface, member, env)
    if target and not allow_target:
        raise MeshError(
            f"{target}, so its readers would look for tables that they do not have: build"
            f" {'with --target prod' if env == 'prod' else f'for {env}'} (for --check `dbt parse`"
            " will do), or pass --allow-target"
        )
    notes = [
        *([target] if target else ()),
        *((*build.notes, *build.unsure) if build else ()),
        *advice.lines(
            interface,
            whole,
            env,
            prod=member.prod_database,
            apart=(member.local_database, member.dev_database),
            on_run_end=hooks.on_run_end(member.root),
        ),
    ]
    return Candidate(interface, body, build, notes)


def elsewhere(built: Interface, member: config.Member, env: str) -> str | None:
    """Returns what is wrong if a model was built for a laptop or, when published as prod, for dev.

    Returns None if nothing is wrong.
    """
    others = {member.local_database} if env != "local" else set()
    others |= {member.dev_database} - {member.prod_database} if env == "prod" else set()
    keys = {built.warehouse.key(other) for other in others}
    for node in built.nodes.values():
        database = relation(node, built.warehouse).database.text
        if built.warehouse.key(database) in keys:
            return f"{display(node)} was built for {database}, but is published as {env}"
    return None


def _read(path: Path) -> bytes:
    try:
        return read_whole(path)
    except FileNotFoundError:
        raise MeshError(
            f"{path} is missing: run `dbt build` (or `dbt parse`) first, without `target-path` or"
            " DBT_TARGET_PATH"
        ) from None
