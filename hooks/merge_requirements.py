"""Merges the template's lines into a requirements.txt that the project had before it joined.

That file belongs to the team, except for the lines that the copy added between comments.
constraints.txt belongs to the template, but leaves out the packages that the team's own
requirements name, because pip refuses two versions of one package.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from before_update import TEMPLATE, committed, git, rendered_before

sys.path.insert(0, str(TEMPLATE / "src"))

from dbtmesh.config import load_member
from dbtmesh.doctor import environment, plan
from dbtmesh.doctor.project import Project

CONSTRAINTS = environment.CONSTRAINTS


def relaxed(constraints: str, named: Collection[str]) -> str:
    """Returns the tested versions without those of the `named` packages."""
    lines = constraints.splitlines(keepends=True)
    return "".join(line for line in lines if environment.distribution(line) not in named)


def named_by_team(requirements: str) -> set[str]:
    """Returns the packages that requirements name outside of the template's comments."""
    ours = set(environment.between_comments(requirements))
    lines = (line for line in requirements.splitlines() if line not in ours)
    return {name for line in lines if (name := environment.distribution(line))}


def relax(project: Path, requirements: str) -> list[str]:
    """Relaxes constraints.txt at the first copy. Returns a line on what it now leaves out, if any.

    requirements: the text of requirements.txt before the template's lines were added.
    """
    file = project / CONSTRAINTS
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    kept = relaxed(text, named_by_team(requirements))
    if kept == text:
        return []
    file.write_text(kept, encoding="utf-8")
    gone = [line for line in text.splitlines() if line not in kept.splitlines()]
    left_out = ", ".join(line.partition("==")[0] for line in gone)
    return [f"{CONSTRAINTS}: without what your requirements name ({left_out})"]


def updated(answers: Path, own_files: Collection[str]) -> None:
    """Leaves both files, after an update, as a copy of the new version would.

    The team's own edits of constraints.txt are merged, as Copier merges those of other files.
    Raises MeshError where mesh.yml cannot be read.
    """
    project = Project(load_member(answers.absolute().parent))
    place = environment.place_of(project)
    is_ours = any(True for _ in environment.between_comments(project.text(place) or ""))
    checks = [environment.of_another_version, *([environment.requirements] if is_ours else [])]
    project = plan.mended(project, checks)
    plan.write(project)
    if CONSTRAINTS in own_files:
        return
    path = (answers.parent / CONSTRAINTS).as_posix()
    named = named_by_team(project.text(environment.REQUIREMENTS) or "")
    old, edited = rendered_before(answers, path), committed(path)
    if old is None or edited is None:
        return
    from migrations import forget_rejected, merge

    git("reset", "--quiet", "--", path)
    new = relaxed(project.template.rendered(CONSTRAINTS), named)
    Path(path).write_text(new, encoding="utf-8")
    forget_rejected(path)
    merge(Path(path), edited, relaxed(old.decode(), named).encode())
