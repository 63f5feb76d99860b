"""Reads the member as it was before the update, and as the template's old version rendered it.

Copier updates only if everything is committed, so HEAD holds the member as it was.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
"""Copier's clone of the template at the new version, with its history."""


def committed(path: str) -> bytes | None:
    """Returns the member's file as it was before the update, or None if there was none."""
    try:
        return git("show", f"HEAD:./{path}")
    except subprocess.CalledProcessError:
        return None


def is_untouched(answers: Path, path: str) -> bool:
    """Checks whether the member's file was as the old version of the template rendered it.

    Most files are static, and their hash is in the template's history. Only for other files is the
    old version rendered, which takes a second.
    """
    if git("rev-parse", f"HEAD:./{path}").strip() in old_hashes():
        return True
    return committed(path) == rendered_before(answers, path)


@cache
def old_hashes() -> frozenset[bytes]:
    """Returns the hashes of the old version's files; none if git no longer has that version."""
    try:
        tree = git("-C", str(TEMPLATE), "ls-tree", "-r", "-z", os.environ["VERSION_FROM"])
    except subprocess.CalledProcessError:
        return frozenset()
    return frozenset(line.split()[2] for line in tree.split(b"\0") if line)


def rendered_before(answers: Path, path: str) -> bytes | None:
    """Returns the file as the old version of the template rendered it for this member, or None."""
    folder = old_rendering(answers)
    return (folder / path).read_bytes() if folder and (folder / path).is_file() else None


@cache
def old_rendering(answers: Path) -> Path | None:
    """Renders the member without its own edits, from the old version of the template.

    Returns its folder, or None if the old version cannot be rendered any more.
    """
    import atexit
    import shutil
    import tempfile

    import copier
    import yaml

    folder = tempfile.mkdtemp(prefix="copier-dbt-mesh.")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        copier.run_copy(
            str(TEMPLATE),
            folder,
            yaml.safe_load(committed(answers.as_posix()) or b"{}"),
            answers_file=answers,
            vcs_ref=os.environ["VERSION_FROM"],
            defaults=True,
            overwrite=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
        )
    except Exception:  # then everything counts as edited, and is kept
        return None
    return Path(folder)


def git(
    *arguments: str, given: bytes | None = None, folder: Path | None = None, check: bool = True
) -> bytes:
    """Runs git and returns its output. folder: where, if not in the current one."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, input=given, capture_output=True, check=check
    ).stdout


def git_names(
    *arguments: str, given: Iterable[str] = (), folder: Path | None = None, check: bool = True
) -> list[str]:
    """Runs git with `-z`, and returns the names that it prints, which may be bytes that are no
    text. given: names for its standard input."""
    names = os.fsencode("\0".join(given))
    printed = git(*arguments, given=names, folder=folder, check=check)
    return [os.fsdecode(name) for name in printed.split(b"\0") if name]
