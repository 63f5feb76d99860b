"""Reports what an update did: the changelog between two versions, and the files in conflict.

`hooks/migrations.py` prints it in the member; the fleet puts it into pull requests and its table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from before_update import git_names
from next_steps import installs

ENTRY = re.compile(r"^## v?(?P<version>\d+\.\d+\.\d+)\b.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CONFLICT = b"<<<<<<< "
REJECTED = ".rej"
"""The suffix of files in which Copier (by `git apply`) leaves edits that no longer apply, if it is
told not to merge them (`--conflict rej`)."""


def release(version: str) -> tuple[int, ...]:
    """Returns the numbers in `v1.2.3`, for comparisons; an untagged commit has its last tag's."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def changes_between(changelog: str, old: str, new: str) -> str:
    """Returns the changelog's entries after version `old` and up to `new`, verbatim."""
    entries = [
        entry.group().strip()
        for entry in ENTRY.finditer(changelog)
        if release(old) < release(entry["version"]) <= release(new)
    ]
    return "\n\n".join(entries)


def conflicts(member: Path) -> dict[str, list[int]]:
    """Returns the files that the update left in conflict, with the lines where conflicts start.

    A file without lines is in conflict as a whole, such as a binary, or is the `.rej` file that
    holds an edit of another file.
    """
    found = {
        path: conflict_lines((member / path).read_bytes()) if (member / path).is_file() else []
        for path in git_names(
            "diff", "--name-only", "--relative", "--diff-filter=U", "-z", folder=member
        )
    }
    rejected = git_names("ls-files", "--others", "-z", "--", f"*{REJECTED}", folder=member)
    return found | {path: [] for path in rejected}


def conflict_lines(body: bytes) -> list[int]:
    return [
        number
        for number, line in enumerate(body.splitlines(), start=1)
        if line.startswith(CONFLICT)
    ]


def describe_conflicts(found: dict[str, list[int]]) -> list[str]:
    """Returns a line such as `dbt_project.yml:12,40` for each file."""
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
"""What changes when another engine runs the project, by the new engine; see docs/engines.md."""


def engine_change(before: str, after: str) -> list[str]:
    """Returns lines on a change of engine between the texts of two answers files.

    A project that was made before there was a choice ran on dbt Core.
    """
    old, new = _answers(before)["engine"], _answers(after)["engine"]
    if old == new or new not in ENGINE_CHANGES:
        return []
    return [f"Its engine was {old} and is {new} from now on:", *ENGINE_CHANGES[new]]


def build(before: str, after: str) -> str:
    """Returns the commands that build a project after the update, from two answers files' texts.

    What a sync writes depends on the kind and on the engine, and dbt needs it to find other
    projects. So a sync comes first if one of the two changed.
    """
    old, new = _answers(before), _answers(after)
    sync = "" if old == new or new["kind"] == "upstream" else "scripts/sync_mesh.py --offline && "
    return f"{sync}dbt parse && dbt build"


def _answers(text: str) -> dict[str, str]:
    """Returns the kind and the engine in the text of an answers file."""
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
    """Returns the text for the person at the terminal: what changed, what to check, how to undo it.

    folder: the project's folder, relative to the top of the repository, where updates run.
    kept: files that the template no longer has, and that stay because the team had edited them.
    replaced: a line for each edited file that could not stay, which says where the edits are.
    engine, build: what the functions `engine_change` and `build` return.
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
        lines += ["", "Your edits of these files do not fit the new version and were taken out:"]
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
