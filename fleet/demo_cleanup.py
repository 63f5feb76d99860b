"""Removes what `fleet demo` made, but nothing that may belong to somebody."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dbtmesh.files import write_whole
from fleet.demo_mesh import MODELS, Demo, locate
from fleet.errors import FleetError
from fleet.git import GitError, git
from fleet.members import ANSWERS

MARKER = ".fleet-demo.json"
"""The file in the demo's folder that lists what the demo made, for --clean."""


class Made:
    """What the demo made: everything that did not exist before.

    A file in the demo's folder records it. Paths are relative to that folder, so that the folder
    can be moved.
    """

    def __init__(self, folder: Path) -> None:
        """Raises FleetError where the file is not as the demo writes it."""
        self.folder = folder
        path = folder / MARKER
        try:
            noted = json.loads(path.read_bytes()) if path.exists() else {}
            self.homes, self.paths = set(noted.get("homes", ())), set(noted.get("paths", ()))
            self.rendered: dict[str, int] = dict(noted.get("rendered", {}))
        except (ValueError, AttributeError, TypeError):
            raise FleetError(
                f"{path} is damaged, so what the demo made is not known: remove by hand what you "
                "do not need"
            ) from None

    def __contains__(self, path: Path) -> bool:
        return self._seen(path) in self.paths

    def _seen(self, path: Path) -> str:
        inside = path.is_relative_to(self.folder)
        return (path.relative_to(self.folder) if inside else path).as_posix()

    def add(self, home: Path, paths: Iterable[Path]) -> None:
        self.homes.add(self._seen(home))
        self.paths |= set(map(self._seen, paths))
        self.write()

    def add_rendered(self, member: str, home: Path, paths: Iterable[Path]) -> None:
        self.rendered[member] = self._stamp(member)
        self.add(home, paths)

    def has_rendered(self, member: str) -> bool:
        """Checks whether it is still the demo's member, and not another project in its place."""
        return self.rendered.get(member, 0) == self._stamp(member) != 0

    def _stamp(self, member: str) -> int:
        """Returns when Copier wrote a member's answers, which nobody edits; 0 if there are none."""
        path = self.folder / member / ANSWERS
        return path.stat().st_mtime_ns if path.exists() else 0

    def discard(self, path: Path) -> None:
        self.paths.discard(self._seen(path))

    def write(self) -> None:
        noted = {
            "homes": sorted(self.homes),
            "paths": sorted(self.paths),
            "rendered": self.rendered,
        }
        write_whole(self.folder / MARKER, json.dumps(noted, indent=2).encode())


def absent(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if not os.path.lexists(path)]


def clean(folder: Path) -> int:
    """Removes the members and what they made, and their folders if those are empty then.

    Raises FleetError in the end if a member stays because it may belong to somebody.
    """
    demo = locate(folder)
    made = Made(demo.folder)
    if made.paths:
        kept = [member for member in MODELS if why_kept(demo, made, member)]
        demos = [replace(demo, home=demo.folder / home) for home in sorted(made.homes)]
        for each in demos:
            for member in MODELS:
                if member not in kept:
                    remove(made, each.of_member(member))
        for each in demos:
            remove(made, each.shared_files)
            remove_if_empty(made, each.shared_folders[:-1])
        if any(made.has_rendered(member) for member in MODELS):
            made.write()
        else:
            (demo.folder / MARKER).unlink(missing_ok=True)
            remove_if_empty(made, [demo.folder])
        demo.console.print("removed what the demo made")
    else:
        demo.console.print(f"there is nothing that the demo made in {demo.folder}", markup=False)
    if reasons := "; ".join(filter(None, (why_kept(demo, made, member) for member in MODELS))):
        raise FleetError(reasons)
    return 0


def why_kept(demo: Demo, made: Made, member: str) -> str:
    """Says why --clean leaves a member's folder alone; empty if it may go, or is gone."""
    path = demo.folder / member
    if not os.path.lexists(path):
        return ""
    if not made.has_rendered(member):
        return f"kept {path}: there is no record that the demo made it; remove it if it is yours"
    versioned = (path / ".git").exists()
    if not versioned and any((each / ".git").exists() for each in path.resolve().parents):
        try:
            versioned = bool(git(demo.folder, "ls-files", "--", member))
        except GitError as error:
            return f"kept {path}: is it under version control? {error}"
    if not versioned:
        return ""
    return f"kept {path}: it is under version control; remove it if it is yours"


def remove(made: Made, paths: Iterable[Path]) -> None:
    """Removes the paths that the demo made. Raises OSError."""
    for path in paths:
        if path in made:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            made.discard(path)


def remove_if_empty(made: Made, folders: Iterable[Path]) -> None:
    """Removes the folders that the demo made and that are empty, except for a registry's lock."""
    for folder in folders:
        if folder in made and folder.is_dir():
            if [path.name for path in folder.iterdir()] == [".lock"]:
                (folder / ".lock").unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
                made.discard(folder)
