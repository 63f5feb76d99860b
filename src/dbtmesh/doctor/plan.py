"""Runs all checks, and computes the files of a project with all findings mended."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dbtmesh.doctor import (
    copier_answers,
    delivery,
    environment,
    interface,
    repository,
    settings,
)
from dbtmesh.doctor.finding import Finding, Weight
from dbtmesh.doctor.project import Project

Check = Callable[[Project], Iterator[Finding]]

FILES: Sequence[Check] = (
    repository.encodings,
    repository.left_to_choose,
    settings.hooks_called,
    settings.paths,
    settings.target_path,
    settings.macros,
    settings.targets,
    settings.quoting,
    settings.query_comment,
    settings.version_pointer,
    interface.schemas,
    interface.landing,
    interface.contracts,
    environment.requirements,
    environment.seal,
    repository.lines,
    repository.ignored,
    repository.replaced,
    copier_answers.answers,
    delivery.workflows,
)
"""What the project's files tell."""
ALL: Sequence[Check] = (*FILES, environment.dbt_version, delivery.secrets, delivery.closed)
"""And what this Python and GitHub tell."""


def examine(project: Project, checks: Sequence[Check] = ALL) -> list[Finding]:
    first = [*repository.encodings(project)] if repository.encodings in checks else []
    unread = {each.where for each in first}
    others = (
        each for check in checks if check is not repository.encodings for each in check(project)
    )
    # what else is wrong with a file is said once it can be read
    return [
        *first,
        *(_as_it_can_be_mended(each, project) for each in others if each.where not in unread),
    ]


def _as_it_can_be_mended(finding: Finding, project: Project) -> Finding:
    """Without an edit of what cannot be written as text."""
    edit = finding.edit
    if edit is None or not project.is_unreadable(edit.path):
        return finding
    first = f"{edit.path} is not UTF-8, or leads elsewhere as a link: save it as a text here, then"
    return replace(finding, edit=None, add=f"{first}\n{finding.add}")


def mended(project: Project, checks: Sequence[Check] = ALL) -> Project:
    """The project with every edit that a finding has, one after the other: some are of one file.
    A file that cannot be read as text stays."""
    while True:
        edits = (each.edit for each in examine(project, checks) if each.edit)
        changes = (each for each in edits if project.text(each.path) != each.text)
        edit = next(changes, None)
        if edit is None:
            return project
        project = project.with_edit(edit)


def difference(project: Project) -> list[str]:
    """Lines of a unified diff from the files as they are."""
    import difflib

    before = Project(project.member)
    lines: list[str] = []
    for path, text in sorted(project.edited.items()):
        old, encoding = before.decoded(path) or (before.text(path), "")
        if encoding:
            lines.append(f"{path}: from {encoding} to UTF-8")
        lines += difflib.unified_diff(
            (old or "").splitlines(),
            text.splitlines(),
            f"a/{path}" if old is not None else "/dev/null",
            f"b/{path}",
            lineterm="",
        )
    return lines


def write(project: Project) -> list[str]:
    """Writes the edits; the paths. Files keep the line endings that they have, and the mark of
    UTF-8 at their start."""
    for path, text in project.edited.items():
        file = project.root / path
        old = file.read_bytes() if file.is_file() else b""
        encoding = "utf-8-sig" if old.startswith(codecs.BOM_UTF8) else "utf-8"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding=encoding, newline="\r\n" if b"\r\n" in old else "\n")
    return sorted(project.edited)


def weighty(findings: Sequence[Finding]) -> list[Finding]:
    return [each for each in findings if each.weight is Weight.FINDING]


def what_next(findings: Sequence[Finding]) -> str:
    """How findings are mended: by `--fix`, by hand, or some of them so."""
    by_hand = sum(1 for each in findings if each.edit is None)
    if not by_hand:
        return "--fix shows the changes, and makes them"
    if by_hand == len(findings):
        return "to be mended by hand"
    return (
        f"--fix shows the changes, and makes them, for {len(findings) - by_hand} of these; "
        f"{by_hand} {'is' if by_hand == 1 else 'are'} to be mended by hand"
    )


def described(finding: Finding) -> list[str]:
    """The lines that a person reads."""
    kind = "note: " if finding.weight is Weight.NOTE else ""
    lines = [f"{kind}{finding.where}: {finding.what}"]
    if finding.effect:
        lines.append(f"  so {finding.effect}")
    if finding.add:
        lines += [f"    {line}" for line in finding.add.splitlines()]
    return lines
