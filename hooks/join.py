"""Merges a first copy into a folder that already holds a dbt project, or into a repository.

Copier leaves existing files alone (`own_files` in copier.yml). This module adds lines to some of
them, where that is safe: settings and lists. For others it writes the template's version beside the
team's, under a name that no tool reads, and people take over what they want.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path, PurePosixPath

import copier
import doctor  # before the library, which it finds
import library
import merge_requirements
from before_update import TEMPLATE, git_names

from dbtmesh import yaml_files
from dbtmesh.config import load_member
from dbtmesh.doctor import copier_answers, environment, plan, profiles, repository, settings
from dbtmesh.doctor.finding import Finding
from dbtmesh.doctor.project import MACRO_NAME, Project
from dbtmesh.output.words import counted, some

sys.path.insert(0, str(TEMPLATE / "extensions"))
import joining

_git = partial(git_names, check=False)
"""Runs git, which fails outside of a repository: nothing is tracked, staged or ignored there."""
BESIDE = repository.BESIDE
MERGED = (
    settings.hooks_called,
    settings.paths,
    profiles.targets,
    environment.requirements,
    repository.lines,
)
"""The checks whose fixes are written. They do not change the meaning of existing lines."""
LOOKED_AT = tuple(each for each in plan.FILES if each is not copier_answers.answers)
"""The checks whose findings are reported. The answers file is not among them: it is new."""
MERGEABLE = ("dbt_project.yml", "profiles.yml", "requirements.txt", ".gitignore", ".gitattributes")
REQUIREMENTS, WORKFLOWS, DBT_PROJECT = "requirements.txt", ".github/workflows/", "dbt_project.yml"
LOCK = f"it pins versions, so what the mesh needs is in {environment.AFTER}, installed after it"
NEW_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""A name that the template accepts for a new project; dbt accepts more."""
NEEDED = ("snowflake/", "scripts/")
TAKE_OVER = {
    "README.md": "how to build, deploy and publish",
    ".sqlfluff": "rules for SQL on Snowflake",
    "constraints.txt": "versions that were tested together",
    "macros/generate_schema_name.sql": "in prod a schema is exactly what +schema says",
    "macros/query_comment.sql": "which project and run a query was",
}


@dataclass(frozen=True)
class Joined:
    """What a join did.

    written: the paths that the copy wrote, relative to the repository's top.
    told: lines for the person, such as one for each file that project and template both have.
    findings: what the doctor still finds.
    staged: whether the team had staged changes of its own.
    """

    written: Sequence[str]
    told: Sequence[str]
    findings: Sequence[Finding]
    staged: bool


def join(answers_file: Path, copied: Path) -> Joined:
    """Merges the copy into the existing files. copied: the repository's top, where Copier ran."""
    answers = yaml_files.mapping(answers_file)
    own = [path for path in str(answers.get("own_files") or "").split(",") if path]
    folder = answers_file.parent
    project = copied / folder
    staged = bool(_git("diff", "--cached", "--name-only", "-z", folder=copied))
    uncommitted = [path for path in MERGEABLE if path in own and _changed(project, path)]
    with tempfile.TemporaryDirectory(prefix="copier-dbt-mesh.") as scratch:
        pristine = Path(scratch) / "copy"
        render(answers, answers_file, pristine)
        places = [path.relative_to(pristine) for path in pristine.rglob("*") if path.is_file()]
        places += [folder / DBT_PROJECT] if DBT_PROJECT in own else []
        member = load_member(project)
        mended = plan.mended(Project(member, keeps_links=True), MERGED)
        places += [folder / path for path in mended.edited]
        before = Project(member).text(REQUIREMENTS) or ""
        told = list(kept(own, mended, pristine / folder, project))
        told += [
            f"{path}: has edits of yours that are not committed: git add -p {path} tells them apart"
            for path in uncommitted
        ]
        told += new_rule(own, project)
        told += unread(project)
        told += hidden(own, project)
        told += ignored(own, project)
        told += other_sql(own, project, pristine / folder)
        told += other_endings(project)
        if REQUIREMENTS in own and "constraints.txt" not in own:
            told += merge_requirements.relax(project, before)
    beside = any(path.startswith(WORKFLOWS) for path in own)
    places = [
        place.with_name(f"mesh-{place.name}")
        if beside and place.as_posix().startswith(WORKFLOWS)
        else place
        for place in places
    ]
    written = [copied / place for place in places if (copied / place).exists()]
    written += project.glob("vendor/*.whl")
    return Joined(
        written=sorted({*known_to_git(written, copied)}),
        told=told,
        findings=doctor.findings(project, LOOKED_AT),
        staged=staged,
    )


def render(answers: Mapping[str, object], answers_file: Path, folder: Path) -> None:
    """Renders the member as if the folder had been empty.

    It leaves out dbt_project.yml if the template accepts the project's name only where that file
    exists already.
    """
    data = {key: value for key, value in answers.items() if not key.startswith("_")}
    own = "" if NEW_NAME.fullmatch(str(answers.get("project_name"))) else DBT_PROJECT
    copier.run_copy(
        str(TEMPLATE),
        folder,
        {**data, "own_files": own, "setup": "later"},
        answers_file=answers_file,
        vcs_ref="HEAD",
        defaults=True,
        unsafe=True,
        quiet=True,
        skip_tasks=True,
    )


def kept(own: Sequence[str], mended: Project, pristine: Path, project: Path) -> Iterator[str]:
    """Adds the lines and writes files beside the team's. Yields a line for each file of both."""
    before = {
        path: (project / path).read_text(encoding="utf-8")
        for path in mended.edited
        if (project / path).is_file()
    }
    plan.write(mended)
    looked_at = (*plan.FIRST, *MERGED)
    lacking = {each.where for each in plan.weighty(plan.examine(mended, looked_at))}
    for path in own:
        ours, theirs = pristine / path, project / path
        if path in MERGEABLE and path not in before:
            yield f"{path}: yours; " + (
                "what it lacks could not be added: see below"
                if path in lacking or mended.text(path) is None
                else LOCK
                if path == REQUIREMENTS and environment.AFTER in mended.edited
                else "it has all that it needs"
            )
        elif path in before:
            yield f"{path}: yours, with {added(before[path], mended.text(path) or '')}"
        elif path.startswith(".github/"):
            name = PurePosixPath(path).name
            yield f"{path}: yours; the template's is mesh-{name}"
        elif ours.is_file() and not (theirs.is_file() and theirs.read_bytes() == ours.read_bytes()):
            beside = theirs.with_name(theirs.name + BESIDE)
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(ours.read_bytes())
            needed = f"its commands need it: rename yours, then mv {path}{BESIDE} {path}"
            compared = "compare, take over what you need, delete it"
            what = TAKE_OVER.get(path, needed if path.startswith(NEEDED) else compared)
            names = MACRO_NAME.findall(ours.read_text(encoding="utf-8"))
            elsewhere = sorted({file for name in names for file in mended.macros.get(name, ())})
            yours = "yours" if theirs.exists() else f"yours: {', '.join(elsewhere) or path}"
            yield f"{path}: {yours}; the template's is {path}{BESIDE} ({what})"


def added(before: str, after: str) -> str:
    """Returns, for example, `3 lines added`. A line is rewritten when one hook becomes a list."""
    stay = SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    same = sum(block.size for block in stay.get_matching_blocks())
    changed = len(before.splitlines()) - same
    more = len(after.splitlines()) - same - changed
    told = [f"{counted(changed, 'line')} rewritten"] if changed else []
    return ", ".join([*told, f"{counted(more, 'line')} added"] if more or not told else told)


def new_rule(own: Sequence[str], project: Path) -> list[str]:
    """Says what the template's macros change for a project that followed dbt's own naming rules."""
    macro = "macros/generate_schema_name.sql"
    if macro in own or "dbt_project.yml" not in own:
        return []
    changes = {
        "in prod a schema is exactly what +schema says, without the target's before it": (
            joining.names_schemas(project)
        ),
        "only prod builds in another database than the target's": joining.names_databases(project),
    }
    told = [f"{macro}: new; {what}" for what, is_changed in changes.items() if is_changed]
    if told and (moved := joining.moved_schemas(project)):
        told[0] += (
            f". What prod has in {some(moved, 3)} stays there; to go on building there, write it "
            f"out: +schema: {moved[0].lower()}"
        )
    return told


def unread(project: Path) -> list[str]:
    """Names sources whose location is a Jinja expression: nobody will be granted their tables."""
    return [
        f"{file.relative_to(project).as_posix()}: the location of the source {name} is not plain "
        "text: name its DATABASE.SCHEMA in the answer `reads`"
        for name, file in joining.unread_sources(project).items()
    ]


def hidden(own: Sequence[str], project: Path) -> list[str]:
    """Warns if people keep a profile of the same name at home: dbt reads the project's first."""
    targets = [] if "profiles.yml" in own else joining.hidden_targets(project)
    if not targets:
        return []
    return [
        f"profiles.yml: new, and dbt reads it before ~/.dbt/profiles.yml: add your targets there "
        f"({', '.join(targets)}), or name the old file with --profiles-dir ~/.dbt"
    ]


def ignored(own: Sequence[str], project: Path) -> list[str]:
    """Warns if git ignores profiles.yml, as in repositories where each person has their own."""
    rule = Project(load_member(project)).ignored("profiles.yml").get("profiles.yml")
    if not rule or "profiles.yml" in own:
        return []
    return [
        f"profiles.yml: new, and ignored by git ({rule}); CI needs it, and it holds no secret: git "
        "add --force profiles.yml"
    ]


def other_sql(own: Sequence[str], project: Path, pristine: Path) -> list[str]:
    """Names the team's own SQL files in snowflake/: `apply` runs every SQL file of that folder."""
    found = (path.relative_to(project).as_posix() for path in project.glob("snowflake/*.sql"))
    others = [path for path in sorted(found) if not (pristine / path).exists() or path in own]
    if not others:
        return []
    return [
        f"snowflake/: {', '.join(others)}: yours; scripts/snowflake_access.py runs every "
        "snowflake/*.sql with `apply`. Move what is not meant for it: git mv … snowflake/others/"
    ]


def other_endings(project: Path) -> list[str]:
    """Warns of files that are committed with CRLF although the new .gitattributes requires LF."""
    listed = _git("ls-files", "--eol", "-z", folder=project)
    mixed = [line for line in listed if line.startswith("i/crlf") and " eol=lf" in line]
    if not mixed:
        return []
    return [
        f".gitattributes: {len(mixed)} of your files are committed with CRLF, and git shows them "
        "as changed from now on. In a commit of its own: git add --renormalize ."
    ]


def known_to_git(paths: Sequence[Path], copied: Path) -> Iterator[str]:
    """Yields the paths relative to the repository's top, without links above them: git knows a file
    only by that path, and with another one, it fails for all. Files outside are left out."""
    top = copied.resolve()
    for path in paths:
        place = path.parent.resolve() / path.name
        if place.is_relative_to(top):
            yield place.relative_to(top).as_posix()


def to_add(written: Sequence[str], copied: Path) -> list[str]:
    """Returns the paths for `git add`: no ignored files, and a folder if git tracks none of it."""
    tracked = set(_git("ls-files", "-z", folder=copied))
    ignored = set(_git("check-ignore", "-z", "--stdin", given=written, folder=copied))
    folders = {parent.as_posix() for path in tracked for parent in PurePosixPath(path).parents}
    found: dict[str, None] = {}
    for path in written:
        if path in ignored or (path in tracked and not _changed(copied, path)):
            continue
        parts = PurePosixPath(path).parts
        whole = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        found[next((each for each in whole if each not in folders), path)] = None
    return list(found)


def to_force(written: Sequence[str], copied: Path) -> list[str]:
    """Returns the wheels that git ignores here. They must be committed: no clone works without."""
    wheels = [path for path in written if library.is_wheel(path)]
    return sorted(_git("check-ignore", "-z", "--stdin", given=wheels, folder=copied))


def _changed(copied: Path, path: str) -> bool:
    return bool(_git("diff", "--name-only", "-z", "--", path, folder=copied))
