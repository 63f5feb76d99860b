"""Runs all checks, and computes the files of a project with all findings mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dbtmesh import MeshError
from dbtmesh.doctor import (
    copier_answers,
    delivery,
    environment,
    file_bytes,
    interface,
    macros,
    neighbours,
    packages,
    profiles,
    repository,
    settings,
)
from dbtmesh.doctor.finding import Finding, Weight
from dbtmesh.doctor.project import Project
from dbtmesh.files import read_whole, refuse_read_only, rewrite, write_whole
from dbtmesh.output.words import counted

Check = Callable[[Project], Iterator[Finding]]
MOST_ROUNDS = 100
"""A limit, for two findings that undo each other's edits."""

FIRST: Sequence[Check] = (repository.encodings, settings.readable)
"""Checks that a file can be read. Its other findings are reported only after that."""
FILES: Sequence[Check] = (
    *FIRST,
    repository.left_to_choose,
    settings.hooks_called,
    settings.paths,
    settings.target_path,
    settings.required_version,
    macros.macros,
    profiles.targets,
    profiles.other_warehouses,
    profiles.databases,
    settings.quoting,
    settings.query_comment,
    settings.version_pointer,
    packages.upstreams,
    interface.schemas,
    interface.elsewhere,
    interface.landing,
    interface.contracts,
    environment.requirements,
    environment.versions,
    environment.seal,
    repository.lines,
    repository.ignored,
    repository.folded,
    repository.replaced,
    copier_answers.answers,
    neighbours.databases,
    delivery.workflows,
)
"""The checks of the project's files."""
OF_SETTINGS: Sequence[Check] = (
    macros.macros,
    profiles.targets,
    profiles.other_warehouses,
    profiles.databases,
    packages.upstreams,
    interface.schemas,
    interface.elsewhere,
    interface.landing,
    interface.contracts,
    neighbours.databases,
)
"""Checks that take a profile or folders from dbt_project.yml. Without it they would assume the
names of a new project, and `--fix` would add what nobody uses."""
ALL: Sequence[Check] = (*FILES, environment.dbt_version, delivery.secrets, delivery.closed)
"""Adds the checks that ask this Python and GitHub."""


def examine(project: Project, checks: Sequence[Check] = ALL) -> list[Finding]:
    """Returns the findings of the checks. A file that cannot be read has no other findings."""
    first = [each for check in FIRST if check in checks for each in check(project)]
    unread = {each.where for each in first}
    left = {*FIRST, *OF_SETTINGS} if settings.DBT_PROJECT in unread else {*FIRST}
    others = (each for check in checks if check not in left for each in check(project))
    told = (each for each in others if each.where not in unread)
    return [*first, *(_as_it_can_be_mended(each, project) for each in told)]


def _as_it_can_be_mended(finding: Finding, project: Project) -> Finding:
    """Returns the finding, without its edits if one of their files cannot be written."""
    reasons = (_why_not(each.path, project) for each in finding.edits)
    first = next(filter(None, reasons), None)
    return finding if first is None else replace(finding, edits=(), add=f"{first}\n{finding.add}")


def _why_not(path: str, project: Project) -> str | None:
    """Returns what to do before a file can be written, to precede the finding's `add`; None where
    it can be written."""
    if project.lies_outside(path):
        return f"{path} lies outside of the project, where nothing is changed. By hand:"
    if folder := project.link_above(path):
        return (
            f"{folder} is a link that leads out of the project. Put a folder in its place (cp -RL "
            f"{folder} {folder}.here && rm {folder} && mv {folder}.here {folder}), then"
        )
    if project.leads_out(path):
        if project.keeps_links:
            return f"{path} is a link: scripts/doctor.py --fix puts a file in its place, and adds"
        if not project.is_in_repository(path):
            return (
                f"{path} is a link that leads out of the repository, so no clone has what it leads "
                f"to: put the file in its place (cp --remove-destination $(readlink {path}) "
                f"{path}), then"
            )
    if project.is_unreadable(path):
        return f"{path} is not UTF-8: save it as such, then"
    return None


def mended(project: Project, checks: Sequence[Check] = ALL) -> Project:
    """Returns the project with the edits of all findings. Several edits of one file are made in
    several rounds, because each was computed from the text before the others."""
    for _ in range(MOST_ROUNDS):
        changed: set[str] = set()
        for finding in examine(project, checks):
            edits = [*filter(project.would_change, finding.edits)]
            paths = {each.path for each in edits}
            if edits and not paths & changed:
                changed |= paths
                for edit in edits:
                    project = project.with_edit(edit)
        if not changed:
            break
    return project


def difference(project: Project) -> list[str]:
    """Returns the lines of a unified diff from the files on disk to the edited ones."""
    import difflib

    before = Project(project.member)
    lines: list[str] = []
    for path, text in sorted(project.edited.items()):
        guess = before.guess(path)
        old = guess.text if guess else before.text(path)
        if before.leads_out(path):
            lines.append(f"{path}: a link to {(project.root / path).readlink()} becomes a file")
        if guess:
            lost = f", with {counted(guess.lost, 'character')} replaced by �" if guess.lost else ""
            lines.append(f"{path}: from {guess.encoding} to UTF-8{lost}")
        lines += difflib.unified_diff(
            (old or "").split("\n"),
            (text or "").split("\n"),
            f"a/{path}" if old is not None else "/dev/null",
            f"b/{path}" if text is not None else "/dev/null",
            lineterm="",
        )
    return lines


def write(project: Project) -> list[str]:
    """Writes the edits, and returns their paths.

    Unchanged lines keep their bytes. A link that leads out of the project is replaced by a file,
    and its target stays as it is. Raises MeshError, and writes nothing, where somebody else has
    changed one of the files since it was read. Raises OSError, and writes nothing, where one is
    read-only.
    """
    before = Project(project.member)
    for path in filter(project.has_changed, sorted(project.edited)):
        raise MeshError(f"{path}: it has changed meanwhile, and nothing was written: run it again")
    for path, text in project.edited.items():
        if text is not None and not before.leads_out(path):
            refuse_read_only(project.root / path)
    for path, text in project.edited.items():
        if text is None:
            continue
        file = project.root / path
        old = read_whole(file) if file.is_file() else b""
        replace_file = write_whole if before.leads_out(path) else rewrite
        replace_file(file, file_bytes.written(old, text))
    for path, text in project.edited.items():  # last, so that a moved file is always somewhere
        if text is None:
            (project.root / path).unlink(missing_ok=True)
    return sorted(project.edited)


def weighty(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings without the notes."""
    return [each for each in findings if each.weight is Weight.FINDING]


def what_next(findings: Sequence[Finding]) -> str:
    """Tells how the findings are fixed: by `--fix`, by what is printed with each, or by both."""
    others = sum(1 for each in findings if not each.edits)
    if not others:
        return "--fix shows the changes, and makes them"
    if others == len(findings):
        return "do what is printed with each"
    return (
        f"--fix shows the changes, and makes them, for {len(findings) - others} of these; do what "
        f"is printed with the other{'s' if others > 1 else ''}"
    )


def described(finding: Finding) -> list[str]:
    """Returns the lines that describe a finding to a person."""
    kind = "note: " if finding.weight is Weight.NOTE else ""
    lines = [f"{kind}{finding.where}: {finding.what}"]
    if finding.effect:
        lines.append(f"  so {finding.effect}")
    if finding.add:
        lines += [f"    {line}" for line in finding.add.splitlines()]
    return lines
