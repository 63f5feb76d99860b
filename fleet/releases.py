"""Clones the template once, and checks out each released version once, for all members."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from fleet.errors import FleetError
from fleet.git import GitError, git
from fleet.render import TEMPLATE


@dataclass(frozen=True)
class Releases:
    """The releases of the template.

    scratch: the folder of the clones.
    addresses: all addresses of this template.
    tags: the releases up to the one asked for, oldest first.
    later: the releases after it.
    """

    scratch: Path
    addresses: frozenset[str]
    tags: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def newest(self) -> str:
        return self.tags[-1]

    def behind(self, tag: str) -> int | None:
        """Counts the releases after this tag; None if it is not a release."""
        return len(self.tags) - 1 - self.tags.index(tag) if tag in self.tags else None

    def is_at(self, address: str) -> bool:
        """Checks whether this is an address of the template."""
        return normal(address) in self.addresses

    @property
    def mirror(self) -> Path:
        """The bare clone that holds all releases."""
        return self.scratch / "mirror.git"

    def checkout(self, tag: str) -> Path:
        """Returns a folder with that version. The process that needs it first makes it."""
        folder = self.scratch / tag
        if not folder.exists():
            made = Path(tempfile.mkdtemp(dir=self.scratch))
            shared = ("clone", "--quiet", "--shared", "--branch", tag)
            git(None, *shared, str(self.mirror), str(made / tag))
            try:
                (made / tag).rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
            shutil.rmtree(made)
        return folder


@contextmanager
def opened(
    url: str | None, *, also: tuple[str, ...] = (), to: str | None = None
) -> Iterator[Releases]:
    """Yields the template's releases up to the tag `to`; without a URL, those of this repository.

    also: other addresses that members may have recorded. Raises FleetError where there is no
    release to update to.
    """
    source = url or str(TEMPLATE)
    addresses = {normal(each) for each in (source, *also)}
    with tempfile.TemporaryDirectory(prefix="fleet.", ignore_cleanup_errors=True) as folder:
        mirror = Path(folder) / "mirror.git"
        try:
            git(None, "clone", "--quiet", "--mirror", address(source), str(mirror))
            tags = released(git(mirror, "tag").split())
        except GitError as error:
            raise FleetError(f"cannot clone the template {source}: {error}") from None
        if not url:  # members may have recorded the address that this repository was cloned from
            addresses |= {normal(each) for each in _origin(TEMPLATE)}
        if to and to not in tags:
            raise FleetError(f"the template {source} has no release {to}")
        if not tags:
            raise FleetError(
                f"the template {source} has no release here: `git fetch --tags` in it, or tag one "
                "(v1.2.3)"
            )
        end = tags.index(to) + 1 if to else len(tags)
        yield Releases(
            Path(folder), frozenset(addresses), tuple(tags[:end]), later=tuple(tags[end:])
        )


def released(tags: list[str]) -> list[str]:
    """Returns the tags that are versions but not prereleases, oldest first, in Copier's order."""
    versions = {}
    for tag in tags:
        try:
            versions[tag] = Version(tag)
        except InvalidVersion:
            continue
    return sorted((tag for tag in versions if not versions[tag].is_prerelease), key=versions.get)  # type: ignore[arg-type]


def address(url: str) -> str:
    """Returns the URL for git, without Copier's short forms."""
    for short, host in (("gh:", "https://github.com/"), ("gl:", "https://gitlab.com/")):
        if url.startswith(short):
            return host + url.removeprefix(short).removesuffix(".git") + ".git"
    return url.removeprefix("git+")


def normal(url: str) -> str:
    """Returns the same text for all addresses of one repository."""
    plain = address(url).removeprefix("file://")
    if Path(plain).expanduser().exists():
        return os.path.realpath(Path(plain).expanduser())
    return plain.replace("git@github.com:", "https://github.com/").rstrip("/").removesuffix(".git")


def _origin(repository: Path) -> list[str]:
    try:
        return [git(repository, "config", "remote.origin.url")]
    except GitError:
        return []
