"""Reports what an update did: the changelog between two versions, and what is in conflict.

`hooks/migrations.py` prints it in the member; the fleet puts it into pull requests and its table.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from next_steps import installs

ENTRY = re.compile(r"^## v?(?P<version>\d+\.\d+\.\d+)\b.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CONFLICT = b"<<<<<<< "
REJECTED = ".rej"
"""Where Copier (by `git apply`) leaves an edit that does not fit any more, unless it merges."""


def release(version: str) -> tuple[int, ...]:
    """The numbers in `v1.2.3`, to compare by; of an untagged commit, those of the tag before it."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def changes_between(changelog: str, old: str, new: str) -> str:
    """The changelog's entries after version `old`, up to `new`, as they stand there."""
    entries = [
        entry.group().strip()
        for entry in ENTRY.finditer(changelog)
        if release(old) < release(entry["version"]) <= release(new)
    ]
    return "\n\n".join(entries)


def conflicts(member: Path) -> dict[str, list[int]]:
    """Files that the update left in conflict, with the lines where each conflict starts.

    No lines: the file as a whole, such as a binary, or the `.rej` that has the edit of another.
    """
    found = {
        path: conflict_lines((member / path).read_bytes()) if (member / path).is_file() else []
        for path in _git(member, "diff", "--name-only", "--relative", "--diff-filter=U", "-z")
    }
    rejected = _git(member, "ls-files", "--others", "-z", "--", f"*{REJECTED}")
    return found | {path: [] for path in rejected}


def conflict_lines(body: bytes) -> list[int]:
    return [
        number
        for number, line in enumerate(body.splitlines(), start=1)
        if line.startswith(CONFLICT)
    ]


def describe_conflicts(found: dict[str, list[int]]) -> list[str]:
    """`dbt_project.yml:12,40` for each file."""
    return [
        f"{path}:{','.join(map(str, lines))}" if lines else path
        for path, lines in sorted(found.items())
    ]


ENGINE_CHANGES = {
    "v2": (
        "both engines are called `dbt`: install dbt v2 into a new environment, and remove target/",
        "`access`, `group` and `contract` count under `config` only. Where `access: public` stands "
        "beside it, the model is not public any more: after `dbt parse`, "
        "`scripts/publish_manifest.py --check` refuses that and names the file",
        "`dbt docs generate` and `dbt source freshness` do nothing yet, and `dbt build --empty` "
        "fails in unit tests: use `dbt run --empty`",
        "in a native project, `scripts/sync_mesh.py` writes the macro for "
        "`ref('<project>', '<model>')`",
    ),
    "core": (
        "both engines are called `dbt`: install dbt Core into a new environment, and remove "
        "target/",
        "in a native project, `scripts/sync_mesh.py` writes what dbt Core needs for "
        "`ref('<project>', '<model>')`",
    ),
}
"""What it means that another engine runs the project from now on; docs/engines.md has more."""


def engine_change(before: str, after: str) -> list[str]:
    """Lines on a change of the engine between two answers files' texts; a project that was made
    before there was a choice ran on dbt Core."""
    old, new = _answers(before)["engine"], _answers(after)["engine"]
    if old == new or new not in ENGINE_CHANGES:
        return []
    return [f"Its engine was {old} and is {new} from now on:", *ENGINE_CHANGES[new]]


def build(before: str, after: str) -> str:
    """The commands that build a project after the update, by two answers files' texts. What a sync
    writes depends on the kind and on the engine, and without it dbt finds no other project."""
    old, new = _answers(before), _answers(after)
    sync = "" if old == new or new["kind"] == "upstream" else "scripts/sync_mesh.py --offline && "
    return f"{sync}dbt parse && dbt build"


def _answers(text: str) -> dict[str, str]:
    """The kind and the engine in an answers file."""
    found = {"engine": "core", **dict(re.findall(r"^(kind|engine): *(\w+)", text, re.MULTILINE))}
    return {key: found.get(key, "") for key in ("kind", "engine")}


def message(
    *,
    project: str,
    folder: str,
    old: str,
    new: str,
    changes: str,
    in_conflict: dict[str, list[int]],
    kept: Sequence[str],
    replaced: Sequence[str] = (),
    findings: Sequence[str] = (),
    requirements_changed: bool,
    engine: Sequence[str] = (),
    build: str = build("", ""),
) -> str:
    """What the person at the terminal reads: what changed, what to check, how to undo it.

    folder: of the project, seen from the top of the repository, where updates run;
    kept: files that are no longer the template's, and stay because they were edited here;
    replaced: of edited files that could not stay, a line that says where the edits are;
    engine, build: as the functions `engine_change` and `build` have them;
    findings: the doctor's lines.
    """
    if old == new:
        lines = [f"{project} is rendered anew from {new} of the template, with your answers."]
    else:
        lines = [f"{project} is updated from {old} to {new} of the template."]
        lines += ["", *(f"  {line}".rstrip() for line in changes.splitlines())] if changes else []
    if engine:
        lines += ["", engine[0], *(f"  - {line}" for line in engine[1:])]
    if kept:
        lines += ["", "No longer the template's, but kept, because you had edited them:"]
        lines += [f"  {path}" for path in kept]
    if replaced:
        lines += [
            "",
            "You had edited these, and they cannot stay as they were; your text is in git:",
        ]
        lines += [f"  {line}" for line in replaced]
    rejected = sorted(path for path in in_conflict if path.endswith(REJECTED))
    if merged := {path: at for path, at in in_conflict.items() if path not in rejected}:
        lines += [
            "",
            "You and the template changed the same lines; choose between <<<<<<< and >>>>>>>:",
        ]
        lines += [f"  {where}" for where in describe_conflicts(merged)]
        lines += ["  then `git add` these files"]
    if rejected:
        lines += ["", "Your changes of these files did not fit, and are not in them any more:"]
        for path in rejected:
            file = path.removesuffix(REJECTED)
            lines += [f"  your change is in {path}: put it back into {file}, then delete {path}"]
    lines += findings
    alone = folder == "."
    at = "" if alone else f"{folder}/"
    install = f"  {' && '.join(installs(Path(folder), at))}"
    lines += [
        "",
        "Check it, then commit it:",
        "  git diff HEAD                        what the update did",
        *([install] if requirements_changed else []),
        f"  {build}" if alone else f"  (cd {folder} && {build})",
        "Or undo all of it:",
        "  git reset --hard && git clean -fd",
    ]
    return "\n".join(lines)


def _git(folder: Path, *arguments: str) -> list[str]:
    """The NUL-separated names that git answers."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name]
