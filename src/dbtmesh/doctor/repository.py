"""Checks .gitignore, .gitattributes, committed files, and conflicts that an update left."""

from __future__ import annotations

from collections.abc import Iterator

from dbtmesh.doctor.finding import Edit, Finding
from dbtmesh.doctor.project import Project
from dbtmesh.output.words import some
from dbtmesh.registry.store import CLOUDS

LINES = {
    ".gitignore": "what dbt, Python and a sync leave behind, or a private key, would be committed",
    ".gitattributes": "scripts and digests break where git writes CRLF, or generated files fill a "
    "review",
}
CONFLICT = "<<<<<<< "
READ_BY_COMMANDS = (
    "mesh.yml",
    "dbt_project.yml",
    "profiles.yml",
    "requirements.txt",
    "requirements-mesh.txt",
    "constraints.txt",
)


def encodings(project: Project) -> Iterator[Finding]:
    """Files that dbt and commands read, in another encoding than they do."""
    for path in (*READ_BY_COMMANDS, *LINES):
        if found := project.decoded(path):
            text, encoding = found
            yield Finding(
                path,
                f"is not UTF-8, and seems to be {encoding}",
                "neither dbt nor the mesh's commands read it",
                "the same text, saved as UTF-8",
                Edit(path, text),
            )


def lines(project: Project) -> Iterator[Finding]:
    """Lines of .gitignore and .gitattributes: those of the template that are missing."""
    for path, effect in LINES.items():
        text = project.text(path) or ""
        there = {line.strip().strip("/") for line in text.splitlines()}
        missing: list[str] = []
        comments: list[str] = []
        for line in project.template.rendered(path).splitlines():
            if line.startswith("#"):
                comments.append(line)
            elif line.strip() and line.strip().strip("/") not in there:
                missing += [*comments, line]
                comments = []
            else:
                comments = []
        if missing:
            before = text if not text or text.endswith("\n") else f"{text}\n"
            yield Finding(
                path,
                f"lacks {some([line for line in missing if not line.startswith('#')], 3)}",
                effect,
                "\n".join(missing),
                Edit(path, before + "\n".join(missing) + "\n"),
            )


def ignored(project: Project) -> Iterator[Finding]:
    """What a clone needs has to be in git."""
    needed = [
        "mesh.yml",
        project.member.answers_file,
        "requirements.txt",
        "requirements-mesh.txt",
        *(path.relative_to(project.root).as_posix() for path in project.root.glob("vendor/*.whl")),
        *(f"state/{each.name}/manifest.json" for each in project.member.upstreams),
        *(f"models/_mesh_{each.name}.yml" for each in project.member.upstreams),
    ]
    for path in needed:
        if (project.root / path).exists() and (rule := project.ignored(path)):
            yield Finding(
                path,
                f"is ignored by git ({rule})",
                "clones and CI do not have it",
                f"git add --force {path}",
            )


def replaced(project: Project) -> Iterator[Finding]:
    """Files that the team had under the name of one that a command needs."""
    mark = f"dbt mesh: {project.member.project}"
    for path in sorted(project.root.glob("snowflake/0[1-4]_*.sql")):
        name = path.relative_to(project.root).as_posix()
        beside = path.with_name(f"{path.name}.mesh")
        if beside.exists() and mark not in (project.text(name) or ""):
            yield Finding(
                name,
                "is a file of yours, and not the one that sets the account up",
                "`scripts/snowflake_access.py` makes nothing of what the template's would",
                f"mkdir -p snowflake/others && git mv {name} snowflake/others/ && mv {name}.mesh "
                f"{name}, and take {name} out of the answer own_files",
            )


def left_to_choose(project: Project) -> Iterator[Finding]:
    """Conflict markers, and edits that an update has put into `.rej` files."""
    paths = [project.root / name for name in READ_BY_COMMANDS]
    for folder in ("snowflake", "scripts", "macros", *(cloud.folder for cloud in CLOUDS.values())):
        paths += sorted((project.root / folder).rglob("*"))
    for path in paths:
        name = path.relative_to(project.root).as_posix()
        if path.suffix == ".rej":
            yield Finding(
                name,
                "holds an edit of yours that did not fit at an update",
                "it is not in the file any more",
                f"put it back into {name.removesuffix('.rej')}, then delete {name}",
            )
        elif path.is_file() and (text := project.text(name)):
            at = [n for n, line in enumerate(text.splitlines(), 1) if line.startswith(CONFLICT)]
            if at:
                yield Finding(
                    f"{name}:{at[0]}",
                    "holds a conflict of an update",
                    "it is read as it stands",
                    "choose between <<<<<<< and >>>>>>>, then git add the file",
                )
