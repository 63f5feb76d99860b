"""Compares the library of a member with the one that its version of the template released.

The template's hook builds the library, and the same version gives the same bytes. So the object id
of a member's file in git tells whether it is the released one, without reading it. Nobody edits the
sealed file by accident; this module finds members that edit it on purpose or install another one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath

from delivery import library_version

from fleet.git import GitError, git
from fleet.releases import Releases

VENDOR, REQUIREMENTS = "vendor", ("requirements.txt", "requirements-mesh.txt")
HOOK = "hooks/library.py"
BUILD_SECONDS = 60

_VENDORED = re.compile(r"^\s*\./vendor/(dbtmesh-[^\s\[;]+\.whl)", re.MULTILINE)
_INDEXED = re.compile(r"^\s*dbtmesh(?:\[[^\]]*\])?\s*==\s*([^\s;#]+)", re.MULTILINE)


class Library(StrEnum):
    """The state of the library that a member's commands run on."""

    RELEASED = "as released"
    EDITED = "edited"  # the file has the right name and other contents
    ANOTHER = "another version"
    MISSING = "missing"
    INDEX = "from an index"  # the right version; its contents cannot be checked here
    UNKNOWN = ""  # that version of the template had no library, or the version is unknown


PROBLEMS = {
    Library.EDITED: "its library is not what {version} released: copier recopy --trust restores "
    "it, or ask its team why",
    Library.ANOTHER: "it runs another library than {version} released ({seen})",
    Library.MISSING: "its library is missing: copier update --trust --vcs-ref=:current: builds it",
}
"""The problem of a member that does not run what was released, by the library's state."""


@dataclass(frozen=True)
class Vendored:
    """What a member has committed. wheels: the object id of each file in vendor/, by its name."""

    requirements: str = ""
    wheels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seal:
    """The library of a release: its version, the file's name, and the file's object id in git."""

    version: str
    name: str
    object_id: str


@dataclass(frozen=True)
class Found:
    """The state of a member's library. seen: what it has in place of the released one."""

    library: Library
    seen: str = ""

    def problem(self, version: str) -> str:
        return PROBLEMS.get(self.library, "").format(version=version, seen=self.seen)


def judge(seal: Seal | None, member: Vendored) -> Found:
    """Compares what a member runs with what its version released (None: no library). Pure."""
    if seal is None:
        return Found(Library.UNKNOWN)
    if found := _VENDORED.search(member.requirements):
        name = found[1]
        if name != seal.name:
            return Found(Library.ANOTHER, name)
        if name not in member.wheels:
            return Found(Library.MISSING)
        same = member.wheels[name] == seal.object_id
        return Found(Library.RELEASED if same else Library.EDITED)
    if found := _INDEXED.search(member.requirements):
        same = found[1] == seal.version
        return Found(Library.INDEX if same else Library.ANOTHER, f"dbtmesh {found[1]}")
    return Found(Library.MISSING)


@cache
def released(releases: Releases, tag: str) -> Seal | None:
    """Builds the library of a release by that release's own hook; None if it has no library.

    Raises GitError where the hook fails.
    """
    template = releases.checkout(tag)
    if not (template / HOOK).is_file():
        return None
    version = library_version(template, tag)
    with tempfile.TemporaryDirectory(dir=releases.scratch) as folder:
        build: list[str | Path] = [sys.executable, template / HOOK, folder, version]
        try:
            subprocess.run(build, capture_output=True, timeout=BUILD_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise GitError(f"the library of {tag} cannot be built: {error}") from None
        wheels = sorted(Path(folder, VENDOR).glob("*.whl"))
        if len(wheels) != 1:
            raise GitError(f"the library of {tag} cannot be built: {HOOK} made {len(wheels)} files")
        return Seal(version, wheels[0].name, git(None, "hash-object", str(wheels[0])))


def committed(clone: Path, subfolder: str) -> Vendored:
    """Returns what a clone has committed at HEAD. Raises GitError."""
    base = PurePosixPath(subfolder)
    lists = [base / name for name in REQUIREMENTS]
    listed = git(clone, "ls-tree", "-z", "HEAD", "--", *map(str, lists), f"{base / VENDOR}/")
    entries = [entry.split("\t", 1) for entry in listed.split("\0") if entry]
    objects = {PurePosixPath(path): about.split()[2] for about, path in entries}
    texts = [git(clone, "cat-file", "blob", objects.pop(each)) for each in lists if each in objects]
    return Vendored("\n".join(texts), {path.name: object_id for path, object_id in objects.items()})
