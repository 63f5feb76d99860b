"""Checks that target/manifest.json is current, and that the dbt run which built its tables
succeeded.
"""

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
    """The manifest at hand, and what there is to say of it.

    notes: worth knowing, and no reason to stop. unsure: what is not known of the tables that dbt
    should have built. judgement: None where no run has left results.
    """

    notes: Sequence[str]
    unsure: Sequence[str] = ()
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
    manifest: built_manifest.Manifest,
    project: str,
    *,
    first: Collection[str] = (),
    apart: Collection[str] = (),
    allow_stale: bool = False,
    allow_failed: bool = False,
) -> Build:
    """Whether `manifest`, which is the file `path`, is that of the project in `root`.

    `first`: unique_ids to name first where nodes failed (the public models). `apart`: files of
    which it is worth a note only that they have changed. Raises MeshError with
    the way out where files have changed since dbt read them, unless `allow_stale`, and where the
    last run failed, unless `allow_failed`.
    """
    notes = _stale_notes(root, path, manifest, project, apart, allow_stale)
    results_path = path.with_name("run_results.json")
    name = _shown(results_path, root)
    try:
        run = results.decode(read_whole(results_path), name)
    except FileNotFoundError:
        return Build(
            notes, [f"{name} is missing: nothing tells whether dbt built the public models"]
        )
    except MeshError as error:
        if not allow_failed:
            raise
        return Build([*notes, str(error)])
    judgement = results.judge(run, manifest)
    failures = _failures(judgement, project, first, allow_failed)
    return Build([*notes, *failures], list(_unsure(judgement, project)), judgement)


def stale(root: Path, path: Path, project: str) -> str | None:
    """What is wrong where the manifest `path` is not that of the project's files as they are.

    None also where that cannot be told: the file is missing, or not a manifest, which those say who
    need it.
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
            f"{some(besides, SHOWN)} {path.name} was made: `dbt parse` tells whether the models "
            "still find what they read"
        )
    if unsure:
        names = some([str(each) for each in unsure], SHOWN)
        notes.append(
            f"{names}: changed at a time in the future, so nothing tells whether {path.name} is"
            " older"
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
        """What failed by itself comes before what was skipped because of it."""
        return judgement.failed[uid] == "skipped", uid not in first, uid

    nodes = sorted(judgement.failed, key=order)
    listed = [f"{_name(uid, project)} ({judgement.failed[uid]})" for uid in nodes]
    what = f"the last run ({judgement.run}) failed: {some(listed, SHOWN)}"
    if not allowed:
        raise MeshError(f"{what}: run `dbt build` until it succeeds, or pass --allow-failed")
    return [f"{what}; allowed (--allow-failed)"]


def _unsure(judgement: results.Judgement, project: str) -> Iterator[str]:
    run = judgement.run
    nothing = "nothing tells whether dbt built the public models"
    if judgement.elsewhere:
        yield f"the last run ({run}) built other relations (another target?): {nothing}"
    elif run.args.which not in results.BUILDING and not judgement.failed:
        yield f"the last command ({run}) builds nothing: {nothing}"
    if run.args.empty is True and judgement.built:
        yield f"the last run ({run}) was one with --empty: what it built holds no rows"
    if judgement.unknown:
        listed = [f"{_name(uid, project)} ({how})" for uid, how in judgement.unknown.items()]
        yield f"the last run ({run}) has results of an unknown meaning: {some(listed, SHOWN)}"


def _name(unique_id: str, project: str) -> str:
    """`orders`, `orders.v1`; of what is not a model, its type too: `test unique_orders_id`."""
    kind, _, rest = unique_id.partition(".")
    name = rest.removeprefix(f"{project}.")
    if kind == "test":
        name = name.rpartition(".")[0] or name  # without the hash
    return name if kind == "model" else f"{kind} {name}"
