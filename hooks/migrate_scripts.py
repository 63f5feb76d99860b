"""Removes edited copies of scripts from a member: since 0.3.0 their code is in the library.

Older members have all of this code as files in `scripts/`. Copier removes or changes untouched ones
like any other file. An edited one would import modules that are gone, so it is removed, or replaced
by the short script that every member has. Its text stays in git. The update says where it is, and
what does its job now.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import update_report
from before_update import TEMPLATE, git, git_names, is_untouched


def take_out(answers: Path) -> list[str]:
    """Removes or replaces edited scripts after the update. Returns a line for each of them.

    More lines name the team's own scripts that import a removed module.
    """
    folder = (answers.parent / "scripts").as_posix()
    listed = git_names("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", f"{folder}/")
    head = git("rev-parse", "--short", "HEAD").decode().strip()
    told = []
    gone = {"mesh"}
    for path in listed:
        name = Path(path).relative_to(folder).as_posix()
        if was_ours(name) and now_in_template(name) is None:
            gone.add(Path(name).stem)
        if not was_ours(name) or is_untouched(answers, path):
            continue
        replacement = now_in_template(name)
        if replacement and Path(path).exists():
            if Path(path).is_symlink():  # its target may not belong to the member
                Path(path).unlink()
            Path(path).write_bytes(replacement)
        else:
            Path(path).unlink(missing_ok=True)
        Path(path + update_report.REJECTED).unlink(missing_ok=True)
        # ends a conflict, and keeps `keep_edited_files` from restoring the file
        git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", path)
        if Path(path).exists():
            git("add", "--", path)
        told.append(f"git show {head}:./{path}    now {job(name, bool(replacement))}")
    return [*told, *importing(Path(folder), gone)]


def importing(folder: Path, gone: Collection[str]) -> Iterator[str]:
    """Yields a line for each of the team's own scripts that imports one of the `gone` modules."""
    pattern = re.compile(rf"^[ \t]*(?:from|import)[ \t]+({'|'.join(sorted(gone))})\b", re.MULTILINE)
    for file in sorted(folder.rglob("*.py")):
        found = sorted(set(pattern.findall(file.read_text(encoding="utf-8", errors="replace"))))
        if found:
            yield f"{file.as_posix()} imports {', '.join(found)}, now in the package dbtmesh"


def was_ours(name: str) -> bool:
    """Checks whether a file of `scripts/` came with the template as code of its commands."""
    module = TEMPLATE / "src/dbtmesh/commands" / name
    return name.startswith("mesh/") or module.is_file()


def now_in_template(name: str) -> bytes | None:
    """Returns the text that the new version has for the file, or None. It holds no variables."""
    found = next(TEMPLATE.glob(f"template/*/scripts/{name}"), None)
    return found.read_bytes() if found else None


def job(name: str, is_there: bool) -> str:
    """Returns what does the job of a script now."""
    if name.startswith("mesh/"):
        return "in the library, vendor/dbtmesh-….whl"
    if is_there:
        return f"scripts/{name} runs the library"
    return f"python -m dbtmesh {name.removesuffix('.py').replace('_', '-')}"
