"""Takes edited copies of the code that is a library since 0.3.0 out of a member's tree.

Members had all of `scripts/` as files. Untouched ones go or change like any other. An edited one
would import what is gone, so it leaves the tree, or becomes the short file that it is for
everybody; its text stays in git, and the update says where, and what does its job now.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import update_report
from before_update import TEMPLATE, git, is_untouched


def take_out(answers: Path) -> list[str]:
    """Mends the tree after the update; a line for each file that the member had edited."""
    folder = (answers.parent / "scripts").as_posix()
    listed = git("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", f"{folder}/").decode()
    head = git("rev-parse", "--short", "HEAD").decode().strip()
    told = []
    gone = {"mesh"}
    for path in filter(None, listed.split("\0")):
        name = Path(path).relative_to(folder).as_posix()
        if was_ours(name) and now_in_template(name) is None:
            gone.add(Path(name).stem)
        if not was_ours(name) or is_untouched(answers, path):
            continue
        replacement = now_in_template(name)
        if replacement and Path(path).exists():
            if Path(path).is_symlink():  # to a file that is not the member's, perhaps
                Path(path).unlink()
            Path(path).write_bytes(replacement)
        else:
            Path(path).unlink(missing_ok=True)
        Path(path + update_report.REJECTED).unlink(missing_ok=True)
        # not in conflict any more, and no loss that `keep_edited_files` has to mend
        git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", path)
        if Path(path).exists():
            git("add", "--", path)
        told.append(f"git show {head}:./{path}    now {job(name, bool(replacement))}")
    return [*told, *importing(Path(folder), gone)]


def importing(folder: Path, gone: Collection[str]) -> Iterator[str]:
    """Scripts of the team's own that import modules which were beside them."""
    pattern = re.compile(rf"^[ \t]*(?:from|import)[ \t]+({'|'.join(sorted(gone))})\b", re.MULTILINE)
    for file in sorted(folder.rglob("*.py")):
        found = sorted(set(pattern.findall(file.read_text(encoding="utf-8", errors="replace"))))
        if found:
            yield f"{file.as_posix()} imports {', '.join(found)}, now in the package dbtmesh"


def was_ours(name: str) -> bool:
    """Whether a file of `scripts/` came with the template, and was code of its commands."""
    module = TEMPLATE / "src/dbtmesh/commands" / name
    return name.startswith("mesh/") or module.is_file()


def now_in_template(name: str) -> bytes | None:
    """The file's text for every member that has it; none of them has a variable in it."""
    found = next(TEMPLATE.glob(f"template/*/scripts/{name}"), None)
    return found.read_bytes() if found else None


def job(name: str, is_there: bool) -> str:
    """What does the job of a script."""
    if name.startswith("mesh/"):
        return "in the library, vendor/dbtmesh-….whl"
    if is_there:
        return f"scripts/{name} runs the library"
    return f"python -m dbtmesh {name.removesuffix('.py').replace('_', '-')}"
