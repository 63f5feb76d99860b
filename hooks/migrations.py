"""Runs in a member on `copier update`, after the template's changes are merged into its files.

    migrations.py ANSWERS_FILE renamed-file OLD NEW    the template has renamed a file
    migrations.py ANSWERS_FILE renamed-answer OLD NEW  copier.yml has renamed a question
    migrations.py ANSWERS_FILE updated LIBRARY_VERSION [quiet]
                                                       after every update, last

`_migrations` in copier.yml says which of these run, and since which version. Copier sets STAGE,
VERSION_FROM and VERSION_TO in the environment. Every update waits for this script, so modules that
few updates need are imported only where they are used.

What needs no migration: a new question (every question has a default), a changed default (members
keep the answers they recorded), a file that the template no longer has (Copier removes it, and
`keep_edited_files` brings an edited one back).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import library
import next_steps
import update_report
from after_copy import UNTAGGED, print_whatever_the_terminal_takes, read_answers
from before_update import (
    TEMPLATE,
    committed,
    git,
    git_names,
    is_untouched,
    rendered_before,
)

INSTALLED = (*next_steps.REQUIREMENTS, "constraints.txt")
"""The files that `pip install` reads."""
SEALED_SINCE = (0, 3, 0)
"""The first version in which the code of a member's commands is a library, not its own files."""


def renamed_file(answers: Path, old: str, new: str) -> None:
    """Merges the member's edits of `old` into `new`. A file that it deleted stays deleted.

    Copier sees one file removed and another added, and would drop the edits. Where both sides
    changed the same lines, the file is left in conflict, as Copier leaves others.
    """
    # Copier passes `./…` for a member at the top of its repository
    old, new = Path(old).as_posix(), Path(new).as_posix()
    if not Path(new).is_file() or committed(new) is not None:
        return  # this kind of member has no such file, or it had a file of that name before
    edited = committed(old)
    if edited is None:
        if rendered_before(answers, old) is not None:
            Path(new).unlink()
        return
    if not is_untouched(answers, old):
        base = rendered_before(answers, old)
        if base is None:
            return  # the member's own file, which happens to have that name
        merge(Path(new), edited, base)
    forget_rejected(old)
    # stages the removal, as `git mv` does, so that `keep_edited_files` does not restore the file
    git("rm", "--quiet", "--cached", "--", old)


def renamed_answer(answers: Path, old: str, new: str) -> None:
    """Keeps the answer to a question that was renamed. Runs before the files change."""
    text = answers.read_text(encoding="utf-8")
    answers.write_text(
        re.sub(rf"^{re.escape(old)}:", f"{new}:", text, flags=re.MULTILINE), encoding="utf-8"
    )


def keep_edited_files(answers: Path) -> list[str]:
    """Restores files that the update removed although the member had edited them.

    An update removes a file when the template drops it, or when the member changes its kind.
    """
    removed = git_names("ls-files", "--deleted", "-z")
    # the template does not hold the wheel, and the hook has removed the old one on purpose
    lost = [path for path in removed if not library.is_wheel(path)]
    kept = [path for path in lost if not is_untouched(answers, path)]
    # files that the team itself deleted are not in HEAD, and so not among these
    if kept:
        git("checkout", "--quiet", "HEAD", "--", *kept)
        forget_rejected(*kept)
    return kept


def forget_rejected(*paths: str) -> None:
    """Removes the `.rej` files of `copier update --conflict rej`, as the edits are kept anyway."""
    for path in paths:
        Path(path + update_report.REJECTED).unlink(missing_ok=True)


def updated(answers: Path, library_version: str, quiet: bool) -> None:
    """Runs after every update: keeps what would be lost, and prints what changed and what to do."""
    library.put_or_say(answers.absolute().parent, library_version, answers.as_posix())
    old, new = os.environ["VERSION_FROM"], os.environ["VERSION_TO"]
    replaced: list[str] = []
    if update_report.release(old) < SEALED_SINCE:
        import migrate_scripts

        replaced = migrate_scripts.take_out(answers)
    kept = keep_edited_files(answers)
    unite((answers.parent / ".gitignore").as_posix())
    given = answers.read_text(encoding="utf-8")
    own_files = read_answers(given).get("own_files", "").split(",")
    if "requirements.txt" in own_files or (answers.parent / next_steps.REQUIREMENTS[1]).exists():
        import merge_requirements

        merge_requirements.updated(answers, own_files)
    if quiet:
        return
    folder = answers.parent.as_posix()
    if UNTAGGED.fullmatch(new):
        command = "copier update --trust --vcs-ref TAG"
        if folder != ".":
            command += f" --answers-file {answers.as_posix()}"
        print(
            f"\nwarning: {new} is not a release of the template, and the next `copier update` "
            f"cannot start from it.\nUndo this, and update to one: {command}",
            file=sys.stderr,
        )
    changelog = (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")
    before = (committed(answers.as_posix()) or b"").decode("utf-8", "replace")
    project = re.search(r"^project_name: *(.*)$", given, re.MULTILINE)
    in_conflict = update_report.conflicts(Path())
    differs = git_names("diff", "--name-only", "--relative", "-z", "HEAD")
    findings = other_roles(answers, differs)
    if not in_conflict:  # otherwise the files are not final yet
        try:
            import doctor

            findings += doctor.told(doctor.findings(answers.absolute().parent))
        except Exception as error:  # the report of the update must be printed in any case
            findings += ["", f"note: scripts/doctor.py could not look at the project ({error})"]
    requirements = [(answers.parent / name).as_posix() for name in INSTALLED]
    print(
        "\n"
        + update_report.message(
            project=project[1] if project else "The project",
            folder=folder,
            old=old,
            new=new,
            changes=update_report.changes_between(changelog, old, new),
            in_conflict=in_conflict,
            kept=kept,
            replaced=replaced,
            engine=update_report.engine_change(before, given),
            build=update_report.build(before, given),
            findings=findings,
            requirements_changed=not set(requirements).isdisjoint(differs),
        )
    )


CONFLICT = re.compile(
    rb"^<{7} .*\n(?P<ours>(?:.*\n)*?)(?:\|{7}.*\n(?:.*\n)*?)?={7}\n(?P<theirs>(?:.*\n)*?)>{7} .*\n",
    re.MULTILINE,
)


def unite(path: str) -> None:
    """Resolves conflicts in a file that is a list, such as .gitignore: keeps both sides' lines."""
    text = Path(path).read_bytes() if Path(path).is_file() else b""
    if not CONFLICT.search(text) or not git("ls-files", "--unmerged", "--", path):
        return

    def both(found: re.Match[bytes]) -> bytes:
        ours = found["ours"].splitlines(keepends=True)
        theirs = found["theirs"].splitlines(keepends=True)
        return b"".join([*ours, *(line for line in theirs if line not in ours)])

    Path(path).write_bytes(CONFLICT.sub(both, text))
    git("reset", "--quiet", "--", path)


USE_ROLE = re.compile(r"^USE ROLE (\S+?);", re.MULTILINE)


def other_roles(answers: Path, differs: Collection[str]) -> list[str]:
    """Warns of SQL files that the team has edited and in which the update changed the last role.

    Copier merges the template's `USE ROLE` above the team's statements, which then run as that
    role. differs: the files that the update has changed.
    """
    found = []
    for file in sorted(answers.parent.glob("snowflake/*.sql")):
        path = file.as_posix()
        if path not in differs:
            continue
        before = USE_ROLE.findall((committed(path) or b"").decode("utf-8", "replace"))[-1:]
        after = USE_ROLE.findall(file.read_text(encoding="utf-8", errors="replace"))[-1:]
        if before and before != after and not is_untouched(answers, path):
            found.append(
                f"{path} now ends with the role {''.join(after)}, before with {before[0]}: write "
                f"`USE ROLE {before[0]};` before your own statements"
            )
    return ["", *found] if found else []


def merge(path: Path, edited: bytes, base: bytes) -> None:
    """Merges the member's edits of `base` into the file, as Copier merges others.

    Line endings do not count as changes. A file that the member committed with CRLF keeps CRLF.
    """
    import tempfile

    crlf = edited.count(b"\r\n") > edited.count(b"\n") / 2
    edited, base, new = (body.replace(b"\r\n", b"\n") for body in (edited, base, path.read_bytes()))
    labels = ("before updating", "last update", "after updating")
    with tempfile.TemporaryDirectory() as folder:
        versions = [Path(folder) / label for label in labels]
        for version, body in zip(versions, (edited, base, new), strict=True):
            version.write_bytes(body)
        named = [word for label in labels for word in ("-L", label)]
        command = ["git", "merge-file", "--quiet", *named, *map(str, versions)]
        in_conflict = subprocess.run(command, check=False).returncode
        merged = versions[0].read_bytes()
        path.write_bytes(merged.replace(b"\n", b"\r\n") if crlf else merged)
    if in_conflict:
        mark_unmerged(path, base, edited, new)


def mark_unmerged(path: Path, *stages: bytes) -> None:
    """Marks the file as in conflict in git. stages: the base, the member's, the template's text."""
    mode = "100755" if os.access(path, os.X_OK) else "100644"
    name = git("rev-parse", "--show-prefix").decode().strip() + path.as_posix()
    hashes = [git("hash-object", "-w", "--stdin", given=body).decode().strip() for body in stages]
    lines = [f"{mode} {each} {stage}\t{name}\n" for stage, each in enumerate(hashes, start=1)]
    git("update-index", "--index-info", given="".join(lines).encode())


def main(answers_file: str, what: str, *arguments: str) -> None:
    print_whatever_the_terminal_takes()
    answers = Path(answers_file)
    try:
        match what:
            case "renamed-file":
                renamed_file(answers, *arguments)
            case "renamed-answer":
                renamed_answer(answers, *arguments)
            case "updated":
                updated(answers, arguments[0], quiet="quiet" in arguments)
    except Exception as error:  # otherwise Copier would stop half-way, with a traceback
        print(
            f"\nThe files are updated, but `{what}` failed ({error}): see git diff", file=sys.stderr
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
