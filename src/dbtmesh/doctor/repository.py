"""Checks .gitignore, .gitattributes, committed files, and conflicts that an update left."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from dbtmesh.doctor import conflicts, file_bytes
from dbtmesh.doctor.finding import Edit, Finding, Side
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import edits, set_value
from dbtmesh.downstream import committed
from dbtmesh.output.words import some
from dbtmesh.registry.store import CLOUDS

LINES = {
    ".gitignore": "what dbt, Python and a sync leave behind, or a private key, would be committed",
    ".gitattributes": "scripts and digests break where git writes CRLF, or generated files fill a "
    "review",
}
GITIGNORE = ".gitignore"
BESIDE = ".mesh"
"""The suffix that a copy adds to the template's version of a file that the team has already."""
REJECTED = ".rej"
LIBRARY = "vendor/dbtmesh-*.whl"
SIDES = " | ".join(each.value for each in Side)
FOLDED = (":(glob)models/_mesh_*.yml", f"macros/{committed.MACRO}")
"""Those files that .gitattributes folds and that dbt runs, as pathspecs of git."""
READ_BY_COMMANDS = (
    "mesh.yml",
    "dbt_project.yml",
    "profiles.yml",
    "requirements.txt",
    "requirements-mesh.txt",
    "constraints.txt",
)


def encodings(project: Project) -> Iterator[Finding]:
    """Checks that the files that dbt and the commands read are UTF-8."""
    for path in (*READ_BY_COMMANDS, *LINES):
        found = project.guess(path)
        if found is None and project.is_unreadable(path):
            yield Finding(
                path,
                "cannot be read",
                "nothing in it counts",
                f"ls -l {path}: it has to be a file that you may read (chmod u+r {path})",
            )
        if found is None or (project.leads_out(path) and not project.is_in_repository(path)):
            continue
        add, is_kept = "the same text, saved as UTF-8", True
        if found.lost:
            lines = [
                n for n, line in enumerate(found.text.split("\n"), 1) if file_bytes.UNKNOWN in line
            ]
            add = f"saved as UTF-8, with the right characters in line {some([*map(str, lines)])}"
            # lost characters are replaced only if git still has the original
            if not (is_kept := project.is_kept_by_git(path)):
                add += f"; or git commit {path}, then scripts/doctor.py --fix"
        yield Finding(
            path,
            f"is not UTF-8, and seems to be {found.encoding}",
            "neither dbt nor the mesh's commands read it",
            add,
            (Edit(path, found.text),) if is_kept else (),
        )


def lines(project: Project) -> Iterator[Finding]:
    """Checks that .gitignore and .gitattributes have the template's lines."""
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
            yield Finding(
                path,
                f"lacks {some([line for line in missing if not line.startswith('#')], 3)}",
                effect,
                "\n".join(missing),
                (Edit(path, file_bytes.appended(text, missing)),),
            )


def ignored(project: Project) -> Iterator[Finding]:
    """Checks that git does not ignore files that a clone needs."""
    needed = [
        "mesh.yml",
        project.member.answers_file,
        "requirements.txt",
        "requirements-mesh.txt",
        *(path.relative_to(project.root).as_posix() for path in project.root.glob(LIBRARY)),
        *(committed.manifest_path(each.name) for each in project.member.upstreams),
        *(committed.sources_path(each.name) for each in project.member.upstreams),
    ]
    there = [path for path in needed if (project.root / path).exists()]
    for path, rule in project.ignored(*there).items():
        text = project.text(GITIGNORE) or ""
        lines = [line for line in _but_not(path, project) if line not in text.splitlines()]
        yield Finding(
            path,
            f"is ignored by git ({rule})",
            "clones and CI do not have it",
            "\n".join([f"git add --force {path}    # or, in {GITIGNORE}:", *lines]),
            (Edit(GITIGNORE, file_bytes.appended(text, lines)),),
        )


def _but_not(path: str, project: Project) -> Iterator[str]:
    """Yields lines for .gitignore that exempt a file, and nothing else that is ignored."""
    place = PurePosixPath(path)
    for folder in [*place.parents][-2::-1]:
        if project.ignored(f"{folder}/"):
            yield f"!/{folder}/"
            yield f"/{folder}/*"
    name = PurePosixPath(LIBRARY).name if place.match(LIBRARY) else place.name
    yield f"!/{place.with_name(name)}"


def folded(project: Project) -> Iterator[Finding]:
    """Finds code that no sync writes, under a name that .gitattributes folds in pull requests."""
    upstreams = (each.name for each in project.member.upstreams)
    written = committed.generated(upstreams) if project.member.is_native else []
    for path in filter(None, project.git("ls-files", "-z", "--", *FOLDED).split("\0")):
        text = project.text(path)
        if path in written or text is None:
            continue
        place = PurePosixPath(path)
        shown = str(place.with_name(place.name.lstrip("_")))
        yield Finding(
            path,
            "is not a file that a sync writes",
            "pull requests fold it as generated: it may never have been reviewed",
            f"git mv {shlex.join([path, shown])}, or git rm it",
            () if project.exists(shown) else (Edit(shown, text), Edit(path, None)),
        )


def replaced(project: Project) -> Iterator[Finding]:
    """Finds files of the team's that have the name of a file that a command needs."""
    mark = f"dbt mesh: {project.member.project}"
    for path in sorted(project.root.glob("snowflake/0[1-4]_*.sql")):
        name = path.relative_to(project.root).as_posix()
        text, ours = project.text(name), project.text(f"{name}{BESIDE}")
        if text is None or ours is None or mark in text:
            continue
        away = f"snowflake/others/{path.name}"
        answers = project.text(project.member.answers_file) or ""
        own = str(project.yaml(project.member.answers_file).get("own_files") or "").split(",")
        without = ",".join(each for each in own if each != name)
        yield Finding(
            name,
            "is a file of yours, and not the one that sets the account up",
            "`scripts/snowflake_access.py` does not create what the template's file would",
            f"mkdir -p snowflake/others && git mv {name} {away} && mv {name}{BESIDE} {name}, and "
            f"take {name} out of the answer own_files",
            ()
            if project.exists(away)
            else (
                Edit(away, text),
                Edit(name, ours),
                Edit(f"{name}{BESIDE}", None),
                *edits(project.member.answers_file, set_value, answers, ("own_files",), without),
            ),
        )


def left_to_choose(project: Project) -> Iterator[Finding]:
    """Finds conflict markers, and edits that an update has put into `.rej` files."""
    paths = [project.root / name for name in (*READ_BY_COMMANDS, project.member.answers_file)]
    for folder in ("snowflake", "scripts", "macros", *(cloud.folder for cloud in CLOUDS.values())):
        paths += sorted((project.root / folder).rglob("*"))
    for path in paths:
        name = path.relative_to(project.root).as_posix()
        if path.suffix == REJECTED and project.exists(name):
            file = name.removesuffix(REJECTED)
            yield Finding(
                name,
                "holds an edit of yours that did not fit at an update",
                "it is not in the file any more",
                f"put it back into {file}, then rm {name}; or, to do without it: "
                f"scripts/doctor.py --fix --take {Side.TEMPLATE.value}",
                (Edit(name, None),) if project.side is Side.TEMPLATE else (),
            )
        elif path.is_file() and (text := project.text(name)):
            at = [
                n for n, line in enumerate(text.split("\n"), 1) if line.startswith(conflicts.OURS)
            ]
            if at:
                chosen = conflicts.resolved(text, project.side) if project.side else None
                yield Finding(
                    f"{name}:{at[0]}",
                    "holds a conflict of an update",
                    "it is read with the markers",
                    "choose between <<<<<<< and >>>>>>>, then git add the file; or, for all of "
                    f"them: scripts/doctor.py --fix --take {SIDES}",
                    () if chosen is None else (Edit(name, chosen),),
                )
