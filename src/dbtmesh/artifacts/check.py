"""Can target/manifest.json be trusted: is it of the files as they are, and did dbt succeed?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.artifacts import files, recorded, results
from dbtmesh.output.words import some

SHOWN = 4
"""How many files or nodes a message names."""


@dataclass(frozen=True)
class Build:
    """The manifest at hand, and what there is to say of it.

    notes: worth knowing, and no reason to stop. judgement: None where no run has left results.
    """

    notes: Sequence[str]
    judgement: results.Judgement | None = None

    def unbuilt(self, unique_ids: Iterable[str]) -> list[str]:
        """Those that the last run did not build, as far as that is known."""
        judged = self.judgement
        if not judged or judged.elsewhere or judged.run.args.which not in results.BUILDING:
            return []
        return [uid for uid in unique_ids if uid not in judged.built]


def examine(
    root: Path,
    path: Path,
    manifest: recorded.Manifest,
    project: str,
    *,
    first: Collection[str] = (),
    allow_stale: bool = False,
    allow_failed: bool = False,
) -> Build:
    """Whether `manifest`, which is the file `path`, is that of the project in `root`.

    `first`: unique_ids to name first where nodes failed (the public models). Raises MeshError with
    the way out where files have changed since dbt read them, unless `allow_stale`, and where the
    last run failed, unless `allow_failed`.
    """
    notes = _stale_notes(root, path, manifest, project, allow_stale)
    results_path = path.with_name("run_results.json")
    name = _shown(results_path, root)
    try:
        run = results.decode(results_path.read_bytes(), name)
    except FileNotFoundError:
        notes.append(f"{name} is missing: nothing tells whether dbt built the public models")
        return Build(notes)
    except MeshError as error:
        if not allow_failed:
            raise
        return Build([*notes, str(error)])
    judgement = results.judge(run, manifest)
    return Build([*notes, *_result_notes(judgement, project, first, allow_failed)], judgement)


def _stale_notes(
    root: Path, path: Path, manifest: recorded.Manifest, project: str, allowed: bool
) -> list[str]:
    changed, unsure = files.changed(root, manifest, project, path.stat().st_mtime)
    notes = []
    if unsure:
        names = some([str(each) for each in unsure], SHOWN)
        notes.append(
            f"{names}: changed at a time in the future, so nothing tells whether {path.name} is"
            " older"
        )
    if changed:
        names = some([str(each) for each in changed], SHOWN)
        what = f"{_shown(path, root)} is older than the project: {names}"
        if not allowed:
            raise MeshError(f"{what}: run `dbt build` (or `dbt parse`), or pass --allow-stale")
        notes.append(f"{what}; allowed (--allow-stale)")
    return notes


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _result_notes(
    judgement: results.Judgement, project: str, first: Collection[str], allowed: bool
) -> list[str]:
    run = judgement.run
    if judgement.elsewhere:
        return [
            f"the last run ({run}) built other relations (another target?): nothing tells whether "
            "dbt built the public models"
        ]
    notes = []
    if judgement.failed:
        nodes = sorted(judgement.failed, key=lambda uid: (uid not in first, uid))
        listed = [f"{_name(uid, project)} ({judgement.failed[uid]})" for uid in nodes]
        what = f"the last run ({run}) failed: {some(listed, SHOWN)}"
        if not allowed:
            raise MeshError(f"{what}: run `dbt build` until it succeeds, or pass --allow-failed")
        notes.append(f"{what}; allowed (--allow-failed)")
    elif run.args.which not in results.BUILDING and not judgement.built:
        notes.append(
            f"the last command ({run}) builds nothing: nothing tells whether dbt built the public "
            "models"
        )
    if judgement.unknown:
        listed = [f"{_name(uid, project)} ({how})" for uid, how in judgement.unknown.items()]
        notes.append(
            f"the last run ({run}) has results of an unknown meaning: {some(listed, SHOWN)}"
        )
    return notes


def _name(unique_id: str, project: str) -> str:
    """`orders`, `orders.v1`; of what is not a model, its type too: `test unique_orders_id`."""
    kind, _, rest = unique_id.partition(".")
    name = rest.removeprefix(f"{project}.")
    if kind == "test":
        name = name.rpartition(".")[0] or name  # without the hash
    return name if kind == "model" else f"{kind} {name}"
