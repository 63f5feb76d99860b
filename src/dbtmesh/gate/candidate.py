"""What is to be published: the interface of the manifest at hand, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError, config
from dbtmesh.artifacts import catalog, check, hooks, recorded
from dbtmesh.files import read_whole
from dbtmesh.gate import advice
from dbtmesh.manifest import misplaced
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface
from dbtmesh.manifest.loom import refused


@dataclass(frozen=True)
class Candidate:
    """What is to be published.

    manifest: the whole manifest that the interface is of, kept as the member's state; None for a
    rollback. build: what dbt left beside it; None where the manifest is taken as it is. notes: what
    is worth knowing of them.
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
) -> Candidate:
    """The interface of the manifest that dbt wrote, or of the file `manifest`, taken as it is.

    `commit`: of the code that was built. Raises MeshError where dbt's manifest is missing, stale or
    of a run that failed, unless that is allowed.
    """
    path = manifest or member.root / "target" / "manifest.json"
    body = _read(path)
    interface = extract(body, member.project, commit=commit, source=str(path))
    whole = recorded.decode(body, str(path))
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
    if whole.is_v2 and (wrong := misplaced.told(member.root, body, member.project)):
        raise MeshError(f"{wrong}; nothing was published")
    for uid, why in refused(interface.nodes):
        raise MeshError(
            f"dbt-loom would refuse {uid}: {why}. Correct it: one such model stops every project"
            " that reads this one by dbt-loom"
        )
    notes = [
        *((*build.notes, *build.unsure) if build else ()),
        *advice.lines(
            interface,
            whole,
            env,
            prefix=member.database_prefix,
            prod=member.prod_database,
            on_run_end=hooks.on_run_end(member.root),
        ),
    ]
    return Candidate(interface, body, build, notes)


def _read(path: Path) -> bytes:
    try:
        return read_whole(path)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: run `dbt build` (or `dbt parse`) first") from None
