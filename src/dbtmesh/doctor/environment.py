"""Checks what runs the project: dbt and its adapters, the requirements, and the library's seal."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbtmesh import dbt, installed
from dbtmesh.config import Engine
from dbtmesh.doctor import bounds, file_bytes, settings
from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project

REQUIREMENTS, AFTER = installed.REQUIREMENTS, installed.AFTER
CONSTRAINTS = "constraints.txt"
FENCE = ("# What this project runs on.", "# Your own packages go below")
"""Prefixes of the comments before and after the template's lines."""
LIBRARY = "dbtmesh"
TOOLS: frozenset[str | None] = frozenset({"sqlfluff", "copier", "copier-template-extensions"})
"""Packages in constraints.txt that nothing in requirements.txt depends on."""
HASH = re.compile(r"\s--hash[= ]")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*==\s*([^\s;,\\]+)", re.MULTILINE)
NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


def build_again(answers_file: str) -> str:
    """Returns the command that builds the wheel again, and renders no file."""
    return (
        "copier recopy --trust --defaults --quiet --vcs-ref=:current: --exclude '*' "
        f"--answers-file {answers_file}"
    )


def requirements(project: Project) -> Iterator[Finding]:
    """Checks that the requirements name all packages of the template, and the wheel in vendor/."""
    ours = project.template.rendered(REQUIREMENTS).splitlines()
    place = place_of(project)
    text = project.text(place) or ""
    there = {name: line for line in text.splitlines() if (name := distribution(line))}
    missing = [line for line in ours if distribution(line) and distribution(line) not in there]
    in_the_way = [line for _, line, _ in _too_old(text, ours)]
    locked = is_lock(text, project)
    if missing and place == REQUIREMENTS and (locked or in_the_way):
        yield Finding(
            REQUIREMENTS,
            "is a lock of exact versions, and does not name all that the mesh needs"
            if locked
            else f"asks for {', '.join(in_the_way)}, but the mesh needs other versions",
            "packages that the project's commands need are not installed, and pip accepts no "
            "further line for them in this file",
            f"the file {AFTER}, which is installed after it",
            (Edit(AFTER, "\n".join(ours) + "\n"),),
        )
    elif missing:
        named = ", ".join(filter(None, map(distribution, missing)))
        yield Finding(
            place,
            f"does not name {named}",
            "neither CI nor a new clone can run the project's commands",
            "\n".join(missing),
            (Edit(place, _with_lines(text, missing, ours)),),
        )
    named, vendored = there.get(LIBRARY, ""), installed.vendored(project.root)
    if named.startswith("./vendor/") and vendored not in (None, installed.named_in(text)):
        (wanted,) = [line for line in ours if distribution(line) == LIBRARY]
        yield Finding(
            place,
            f"names {named.partition('[')[0]}, and vendor/ has another version",
            "nothing can be installed from it",
            wanted,
            (Edit(place, text.replace(named, wanted)),),
        )


def versions(project: Project) -> Iterator[Finding]:
    """Checks that the team's own lines admit the versions that the mesh needs."""
    text = project.text(REQUIREMENTS) or ""
    lines = text.split("\n")
    locked = is_lock(text, project)
    for at, line, wanted in _too_old(text, project.template.rendered(REQUIREMENTS).splitlines()):
        what = f"has {line}, and the mesh needs {wanted}"
        if locked:  # a lock is compiled from another file: no line of it is changed alone
            after = f", which replaces it: {AFTER} is installed after it"
            yield note(REQUIREMENTS, what + (after if place_of(project) == AFTER else ""))
            continue
        comment = lines[at][len(lines[at].partition(" #")[0].rstrip()) :]
        changed = [*lines[:at], f"{wanted}{comment}", *lines[at + 1 :]]
        yield Finding(
            REQUIREMENTS,
            what,
            "that version lacks what the project's commands and macros rely on",
            wanted,
            (Edit(REQUIREMENTS, "\n".join(changed)),),
        )


def _too_old(text: str, ours: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yields the requirements that admit no version that the mesh needs: the index of the line, its
    text, and the template's line."""
    known = {distribution(line): line for line in ours}
    for at, line in enumerate(text.split("\n")):
        wanted = known.get(distribution(line))
        if wanted and bounds.exclude(_bounds(line), _bounds(wanted)):
            yield at, line.partition(" #")[0].strip().rstrip("\\ "), wanted


def _bounds(line: str) -> str:
    """Returns the bounds of a requirement, without name, extras, marker, hash and comment."""
    found = NAME.match(line.strip())
    rest = line.strip()[found.end() :] if found else ""
    return re.split(r"[;#\\]|--", re.sub(r"^\s*\[[^]]*\]", "", rest))[0]


def _with_lines(text: str, missing: Sequence[str], ours: Sequence[str]) -> str:
    """Adds lines between the template's comments, which are added too where they are missing."""
    fence = [*between_comments(text)]
    if not fence:
        fenced = [line for line in ours if line in missing or line.startswith("#")]
        return file_bytes.appended(text, fenced)
    lines = file_bytes.appended(text, ()).split("\n")
    at = lines.index(fence[0])
    for line in ours:  # in the template's order: each follows the line before it there
        name = distribution(line)
        known = [n for n, each in enumerate(lines) if name and distribution(each) == name]
        if known:
            at = known[0]
        elif line in missing:
            at += 1
            lines.insert(at, line)
    return "\n".join(lines)


def place_of(project: Project) -> str:
    """Returns the requirements file that has the lines of the mesh."""
    return REQUIREMENTS if project.text(AFTER) is None else AFTER


def is_lock(requirements: str, project: Project) -> bool:
    """Checks whether pip accepts none of the template's lines beside these requirements.

    That is so if they have hashes, or pin a dependency of dbt to another version than the one that
    was tested with it.
    """
    direct = set(map(distribution, project.template.rendered(REQUIREMENTS).splitlines()))
    tested = dict(PIN.findall(project.template.rendered(CONSTRAINTS)))
    known = {distribution(name): version for name, version in tested.items()}
    return bool(HASH.search(requirements)) or any(
        known.get(name := distribution(pinned), version) != version and name not in direct | TOOLS
        for pinned, version in PIN.findall(requirements)
    )


def of_another_version(project: Project) -> Iterator[Finding]:
    """Finds lines between the template's comments that the template has changed since.

    An update merges them, except in a file that existed before the project joined, or that is not
    the template's.
    """
    ours = project.template.rendered(REQUIREMENTS).splitlines()
    wanted = {name: line for line in ours if (name := distribution(line))}
    place = place_of(project)
    text = project.text(place) or ""
    new = {line: wanted.get(distribution(line) or "", line) for line in between_comments(text)}
    changed = [wants for line, wants in new.items() if line != wants]
    if changed:
        lines = [new.get(line, line) for line in text.split("\n")]
        yield Finding(
            place,
            "has lines of another version of the template",
            "what is installed is not what was tested",
            "\n".join(changed),
            (Edit(place, "\n".join(lines)),),
        )


def between_comments(requirements: str) -> Iterator[str]:
    """Yields the template's lines of the requirements: its first comment, and what follows up to
    the second."""
    is_ours = False
    for line in requirements.splitlines():
        is_ours = line.startswith(FENCE[0]) or (is_ours and not line.startswith(FENCE[1]))
        if is_ours:
            yield line


def distribution(line: str) -> str | None:
    """Returns the normalized distribution name of a requirement; None where it has none."""
    if line.startswith("./vendor/dbtmesh-"):
        return LIBRARY
    found = NAME.match(line.strip())
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else None


def dbt_version(project: Project) -> Iterator[Finding]:
    """Checks that the dbt that commands call is one that the project and its engine allow."""
    found = _found(project.member.engine)
    if found is None:
        yield note("dbt", "is not installed in this environment, so its version was not checked")
        return
    is_v2 = int(found.split(".")[0]) >= 2
    if is_v2 != (project.member.engine is Engine.V2):
        yield Finding(
            "dbt",
            f"is {found}, and mesh.yml says engine: {project.member.engine.value}",
            "requirements, profiles and workflows are made for the other one",
            f"{installed.how(project.root)}, or another answer: "
            + project.update("engine", "v2" if is_v2 else "core"),
        )
    yield from _installed(project)
    yield from settings.narrower(project, f"=={found}", f"dbt here is {found}", f">={found}")


def _installed(project: Project) -> Iterator[Finding]:
    """Checks the versions of dbt Core and its adapters in this Python."""
    from importlib import metadata  # imported here as in `_found`

    for line in project.template.rendered(REQUIREMENTS).splitlines():
        name = distribution(line)
        if name in (None, LIBRARY) or project.member.engine is not Engine.CORE:
            continue
        try:
            found = metadata.version(str(name))
        except metadata.PackageNotFoundError:
            continue
        if not bounds.admits(_bounds(line), found):
            yield Finding(
                str(name),
                f"is {found} in this Python, and the mesh needs {line}",
                "that version lacks what the project's commands and macros rely on",
                installed.how(project.root),
            )


def _found(engine: Engine) -> str | None:
    """Returns the version of the dbt that commands call; None where it is not installed.

    dbt Core is a package of this Python. dbt v2 is a program, which may have its own environment.
    """
    if engine is Engine.CORE:
        # imported here: every update loads this module, and asks nothing of dbt
        from importlib import metadata

        try:
            return metadata.version("dbt-core")
        except metadata.PackageNotFoundError:
            return None
    return dbt.version(engine)


def seal(project: Project) -> Iterator[Finding]:
    """Checks that the wheel in vendor/ is as the template built it, and is what is installed."""
    wanted = installed.required(project.root)
    mend = build_again(project.member.answers_file)
    if wanted is None:
        return  # `requirements` reports it
    place = place_of(project)
    in_file = "vendor/dbtmesh-" in (project.text(place) or "")
    wheel = project.root / f"vendor/dbtmesh-{wanted}-py3-none-any.whl"
    if in_file and not wheel.is_file():
        if installed.vendored(project.root):
            return  # another version is there, which `requirements` reports
        yield Finding(
            f"vendor/{wheel.name}",
            "is missing",
            f"nothing can be installed from {place}",
            f"git checkout vendor, or {mend}",
        )
        return
    if in_file and (altered := _altered(wheel)):
        yield Finding(
            f"vendor/{wheel.name}",
            f"is not what the template built: {altered}",
            "the code that checks and grants is not the released one",
            f"git log -p --stat vendor, then {mend}",
        )
    found = installed.version()
    if found and found != wanted:
        yield Finding(
            "dbtmesh",
            f"is {found} in this Python, and {wanted} is required",
            "commands here are not those of CI",
            installed.how(project.root),
        )
    elif found and in_file and _differs(wheel, Path(installed.__file__).parent):
        yield Finding(
            "dbtmesh",
            f"of this Python is not the {wanted} of vendor/",
            "commands here are not those of CI",
            f"pip install --force-reinstall --no-deps ./vendor/{wheel.name}",
        )


def _altered(wheel: Path) -> str:
    """Tells how the wheel differs from its own RECORD, by the first entry; empty if it does not."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            (record,) = [name for name in names if name.endswith(".dist-info/RECORD")]
            for line in archive.read(record).decode().splitlines():
                name, _, rest = line.partition(",")
                digest = rest.partition(",")[0]
                if name not in names:
                    return f"{name} is missing in it"
                names.remove(name)
                if digest and digest != _digest(archive.read(name)):
                    return f"{name} was changed in it"
            return f"{min(names)} was added to it" if names else ""
    except (OSError, ValueError, zipfile.BadZipFile):
        return "it cannot be read"


def _digest(body: bytes) -> str:
    encoded = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
    return f"sha256={encoded.rstrip(b'=').decode()}"


def _differs(wheel: Path, package: Path) -> bool:
    """Checks whether an installed module differs from the one in the wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            modules = [name for name in archive.namelist() if name.endswith(".py")]
            return any(
                (package.parent / name).read_bytes() != archive.read(name) for name in modules
            )
    except (OSError, zipfile.BadZipFile):
        return False
