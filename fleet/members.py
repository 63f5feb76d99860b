"""Finds the fleet's members, and reads their answers."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dbtmesh import yaml_files
from dbtmesh.config import NAME
from dbtmesh.files import read_bounded
from dbtmesh.output.words import LONGEST, shown
from fleet.errors import FleetError
from fleet.git import GitError, git

ANSWERS = ".copier-answers.yml"
ANSWERS_NAME = re.compile(r"\.copier-answers([\w.-]*)\.ya?ml")
"""Names of answers files. If several templates share a folder, Copier's documentation advises
`.copier-answers.<template>.yml`."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class NeedsPerson(Exception):
    """Raised for a member that a person must look at. One line says why, and what to do."""


@dataclass(frozen=True)
class Member:
    """A member of the fleet.

    place: the folder of a clone, or the URL of a repository.
    subfolder: the project's folder in it.
    answers_name: the name of its answers file, which differs if several templates share a folder.
    """

    name: str
    place: str
    subfolder: str = "."
    answers_name: str = ANSWERS

    @property
    def answers_file(self) -> str:
        return PurePosixPath(self.subfolder, self.answers_name).as_posix()

    @property
    def folder(self) -> Path | None:
        return None if is_url(self.place) else Path(self.place)

    @property
    def identity(self) -> tuple[str, str]:
        """A key that is equal for two references to the same member."""
        if is_url(self.place):
            return self.place.rstrip("/").removesuffix(".git"), self.answers_file
        return os.path.realpath(self.place), self.answers_file


@dataclass(frozen=True)
class Answers:
    """What a member's answers file says.

    version: the template's version, as Copier recorded it.
    branch: the branch that deploys. Updates start from it and go into it.
    subfolder: the project's folder in its repository; versions before 0.2.0 do not record it.
    """

    kind: str
    version: str
    template: str
    project: str
    repository: str
    branch: str
    subfolder: str | None = None


def is_url(place: str) -> bool:
    return "://" in place or re.match(r"[\w.-]+@[\w.-]+:", place) is not None


def locate(place: str, beside: Path) -> Member:
    """Returns the member that a line of a list names.

    The line holds a folder (relative to `beside`), a git URL, or org/repo. After a # it names the
    project's folder, if several members share the repository, or the project's answers file.
    """
    place, _, project = place.partition("#")
    if not is_url(place):
        folder = beside / place
        with suppress(RuntimeError):  # `~name` of an unknown user
            folder = beside / Path(place).expanduser()
        folder = folder.absolute()
        if not folder.exists() and REPOSITORY.fullmatch(place) and not place.startswith("."):
            place = f"https://github.com/{place}.git"
        else:
            place = os.path.normpath(folder)
    name = _parts(place)[-1].removesuffix(".git")
    within = PurePosixPath(posixpath.normpath(project.strip("/") or "."))
    if ANSWERS_NAME.fullmatch(within.name):
        return in_subfolder(Member(name, place), within.parent.as_posix(), within.name)
    return in_subfolder(Member(name, place), within.as_posix())


def in_subfolder(repository: Member, subfolder: str, answers_name: str = ANSWERS) -> Member:
    repository = replace(repository, answers_name=answers_name)
    if subfolder == ".":
        return repository
    return replace(repository, name=f"{repository.name}/{subfolder}", subfolder=subfolder)


def from_list(path: Path) -> list[Member]:
    """Returns the members in a file, one a line; `#` starts a comment. Raises FleetError."""
    try:
        # a path with a NUL byte would raise an error; replaced, it is just a folder that is missing
        lines = path.read_text(encoding="utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"cannot read the list of members {path}: {error}") from None
    places = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines.splitlines()]
    if not any(places):
        raise FleetError(
            f"{path} names no member: write one a line, as a clone's folder, a URL or org/repo"
        )
    return [
        member
        for place in places
        if place
        for member in of_clone(locate(place, path.absolute().parent))
    ]


def from_folder(folder: Path) -> list[Member]:
    """Returns the members in the git clones directly below a folder. Raises FleetError if none."""
    if not folder.is_dir():
        raise FleetError(f"{folder} is not a folder")
    clones = sorted(path for path in folder.absolute().iterdir() if (path / ".git").exists())
    if not clones:
        raise FleetError(f"there is no git clone directly below {folder}")
    with ThreadPoolExecutor() as pool:
        found = pool.map(of_clone, [Member(path.name, str(path)) for path in clones])
    return [member for members in found for member in members]


def of_clone(repository: Member) -> list[Member]:
    """Returns the members that share a clone, or the repository itself if no others are found.

    Answers files of other templates, at the top or in folders, are skipped: they have no `kind`.
    """
    if repository.answers_file != ANSWERS or not repository.folder:
        return [repository]
    try:
        listed = git(repository.folder, "ls-files", "-z", "--", f":(glob)**/{ANSWERS[:-4]}*")
    except GitError:
        return [repository]
    files = [PurePosixPath(name) for name in listed.split("\0") if name]
    files = [file for file in files if ANSWERS_NAME.fullmatch(file.name)]
    if files in ([], [PurePosixPath(ANSWERS)]):
        return [repository]
    members = [in_subfolder(repository, file.parent.as_posix(), file.name) for file in files]
    return [member for member in members if _is_of_mesh(member)] or [repository]


def _is_of_mesh(member: Member) -> bool:
    assert member.folder
    try:
        text = text_of(member.folder / member.answers_file)
        return read_answers(text, member.answers_file).kind != "?"
    except OSError:
        return False
    except NeedsPerson:
        return True  # its problem is reported when its turn comes


def distinct(members: Iterable[Member]) -> list[Member]:
    """Returns each member once, under a unique name.

    If members have the same name, as many parent folders as necessary are put before it. Call it
    once for all members, because names only get longer.
    """
    each: dict[tuple[str, str], Member] = {}
    for member in members:
        each.setdefault(member.identity, member)
    names = {member: member.name for member in each.values()}
    above = dict.fromkeys(names, 0)
    while True:
        named = Counter(names.values())
        alike = [member for member, name in names.items() if named[name] > 1]
        if not alike:
            return [replace(member, name=name) for member, name in names.items()]
        for member in alike:
            above[member] += 1
            names[member] = _longer_name(member, above[member])


def _longer_name(member: Member, above: int) -> str:
    """Returns the name with that many parent folders; the whole place if it has no more."""
    folders = [part for part in _parts(member.place)[:-1] if part]
    if above > len(folders):
        return member.place + ("" if member.subfolder == "." else f"#{member.subfolder}")
    return "/".join([*folders[-above:], member.name])


def _parts(place: str) -> list[str]:
    return re.split(r"[/:]", place.rstrip("/"))


def text_of(answers_file: Path) -> str:
    """Returns a file's text. Raises NeedsPerson where it is not UTF-8, and OSError."""
    try:
        return read_bounded(answers_file, yaml_files.MOST).decode()
    except UnicodeDecodeError as error:
        name = answers_file.name
        raise NeedsPerson(f"{name} is not UTF-8 (byte {error.start}): fix it") from None


def read_answers(text: str | None, file: str = ANSWERS) -> Answers:
    """Reads the text of an answers file. Raises NeedsPerson where it is missing or not valid.

    file: its name for messages.
    """
    if text is None:
        raise NeedsPerson(
            f"has no {file}: it was not made with Copier, or the file was deleted, or the "
            "project is in a folder of the repository (name it in the list: …#folder)"
        )
    try:
        loaded = yaml_files.load(text)
    except yaml_files.NotYaml as error:
        raise NeedsPerson(f"{file} is not valid YAML{error.where}: {error}") from None
    template = loaded.get("_src_path") if isinstance(loaded, dict) else None
    if not template or not isinstance(template, str):
        raise NeedsPerson(f"{file} names no template (_src_path)")

    def text_in(key: str) -> str:
        return _text(loaded, key, file)

    kind, project = text_in("kind") or "?", text_in("project_name")
    if project and not NAME.fullmatch(project):
        raise NeedsPerson(
            f"{file}: project_name is {ascii(project)[:LONGEST]}, which is not a name of a dbt "
            "project"
        )
    return Answers(
        kind=f"{kind} hub" if loaded.get("publishes") is True and kind != "upstream" else kind,
        version=text_in("_commit"),
        template=template,
        project=project,
        repository=text_in("github_repository"),
        branch=text_in("deploy_branch") or "main",
        subfolder=text_in("working_directory") or None,
    )


def _text(answers: Mapping[str, Any], key: str, file: str) -> str:
    """Returns an answer; empty if there is none.

    Raises NeedsPerson where YAML reads another type than text, such as a number whose notation is
    lost.
    """
    value = answers.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    raise NeedsPerson(f"{file}: {key} is {shown(value)}, which is not a text: put it in quotes")
