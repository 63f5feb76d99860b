"""Checks that target/manifest.json is current, and that the run that built its tables succeeded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.artifacts import built_manifest, files, results
from dbtmesh.files import read_whole
from dbtmesh.output.words import some

SHOWN = 4
"""How many files or nodes a message names."""


@dataclass(frozen=True)
class Build:
    """The result of checking a manifest and the last run.

    notes: lines to print that do not stop anything. unsure: what is not known about the tables that
    dbt should have built. judgement: None if there are no readable results of a run.
    """

    notes: Sequence[str]
    unsure: Sequence[str] = ()
    judgement: results.Judgement | None = None

    def unbuilt(self, unique_ids: Iterable[str]) -> list[str]:
        """Returns those that the last run is known not to have built."""
        judged = self.judgement
        if not judged or judged.elsewhere or judged.run.args.which not in results.BUILDING:
            return []
        return [uid for uid in unique_ids if uid not in judged.built]


def examine(
    root: Path,
    path: Path,
    manifest: built_manifest.Manifest,
    project: str,
    *,
    first: Collection[str] = (),
    apart: Collection[str] = (),
    allow_stale: bool = False,
    allow_failed: bool = False,
) -> Build:
    """Checks `manifest`, decoded from the file `path`, and the last run of the project in `root`.

    first: unique_ids to name first among failed nodes (the public models). apart: files whose
    changes are only worth a note. Raises MeshError, with the way out, where files have changed
    since dbt read them, unless `allow_stale`; and where the last run failed, unless `allow_failed`.
    """
    notes = _stale_notes(root, path, manifest, project, apart, allow_stale)
    results_path = path.with_name("run_results.json")
    name = _shown(results_path, root)
    try:
        run = results.decode(read_whole(results_path), name)
    except FileNotFoundError:
        return Build(
            notes, [f"{name} is missing: it is not known whether dbt built the public models"]
        )
    except MeshError as error:
        if not allow_failed:
            raise
        return Build([*notes, str(error)])
    judgement = results.judge(run, manifest)
    failures = _failures(judgement, project, first, allow_failed)
    return Build([*notes, *failures], list(_unsure(judgement, project)), judgement)


def stale(root: Path, path: Path, project: str) -> str | None:
    """Returns what has changed if the project's files are newer than the manifest `path`.

    Returns None if nothing has, or if the file is missing or is not a manifest: whoever needs the
    manifest reports that.
    """
    try:
        manifest = built_manifest.decode(read_whole(path), str(path))
        changed, _ = files.changed(root, manifest, project, path.stat().st_mtime)
    except (OSError, MeshError):
        return None
    return _older(root, path, changed) if changed else None


def _older(root: Path, path: Path, changed: Iterable[files.FileChange]) -> str:
    names = some([str(each) for each in changed], SHOWN)
    return f"{_shown(path, root)} is older than the project: {names}"


def _stale_notes(
    root: Path,
    path: Path,
    manifest: built_manifest.Manifest,
    project: str,
    apart: Collection[str],
    allowed: bool,
) -> list[str]:
    found, unsure = files.changed(root, manifest, project, path.stat().st_mtime)
    changed = [each for each in found if str(each.path) not in apart]
    notes = []
    if besides := [str(each) for each in found if str(each.path) in apart]:
        notes.append(
            f"{some(besides, SHOWN)} {path.name} was made: run `dbt parse` to check that the "
            "models still find what they read"
        )
    if unsure:
        names = some([str(each) for each in unsure], SHOWN)
        notes.append(
            f"{names}: the modification time is in the future, so it is not known whether"
            f" {path.name} is older"
        )
    if changed:
        what = _older(root, path, changed)
        if not allowed:
            raise MeshError(f"{what}: run `dbt build` (or `dbt parse`), or pass --allow-stale")
        notes.append(f"{what}; allowed (--allow-stale)")
    return notes


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _failures(
    judgement: results.Judgement, project: str, first: Collection[str], allowed: bool
) -> list[str]:
    if not judgement.failed:
        return []

    def order(uid: str) -> tuple[bool, bool, str]:
        """Puts nodes that failed before those that were skipped because of them."""
        return judgement.failed[uid] == "skipped", uid not in first, uid

    nodes = sorted(judgement.failed, key=order)
    listed = [f"{_name(uid, project)} ({judgement.failed[uid]})" for uid in nodes]
    what = f"the last run ({judgement.run}) failed: {some(listed, SHOWN)}"
    if not allowed:
        raise MeshError(f"{what}: run `dbt build` until it succeeds, or pass --allow-failed")
    return [f"{what}; allowed (--allow-failed)"]


def _unsure(judgement: results.Judgement, project: str) -> Iterator[str]:
    run = judgement.run
    nothing = "it is not known whether dbt built the public models"
    if judgement.elsewhere:
        yield f"the last run ({run}) built other relations (another target?): {nothing}"
    elif run.args.which not in results.BUILDING and not judgement.failed:
        yield f"the last command ({run}) builds nothing: {nothing}"
    if run.args.empty is True and judgement.built:
        yield f"the last run ({run}) used --empty: the tables that it built have no rows"
    if judgement.unknown:
        listed = [f"{_name(uid, project)} ({how})" for uid, how in judgement.unknown.items()]
        yield f"the last run ({run}) has results with an unknown status: {some(listed, SHOWN)}"


def _name(unique_id: str, project: str) -> str:
    """Returns `orders` or `orders.v1` for a model, else the type too: `test unique_orders_id`."""
    kind, _, rest = unique_id.partition(".")
    name = rest.removeprefix(f"{project}.")
    if kind == "test":
        name = name.rpartition(".")[0] or name  # without the hash
    return name if kind == "model" else f"{kind} {name}"
