"""Finds the project's files that have changed since dbt wrote the manifest.

SQL models, seeds, snapshots and tests are compared by the checksums that dbt recorded, so a file
that was only touched has not changed. dbt records no checksums of YAML files, macros and docs: for
these, the modification time is compared with that of manifest.json. `generated_at` cannot be used,
because dbt keeps the old one after a partial parse.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from dbtmesh import MeshError, yaml_files
from dbtmesh.artifacts.built_manifest import Manifest, OfPackage, disabled, files, package_files
from dbtmesh.dbt_paths import PATHS, folders
from dbtmesh.files import read_bounded

ALWAYS_NODES: Mapping[str, frozenset[str]] = {
    "model-paths": frozenset((".sql", ".py")),
    "seed-paths": frozenset((".csv",)),
}
"""The suffixes of files from which dbt always makes a node."""
READ = frozenset((".sql", ".py", ".csv", ".yml", ".yaml", ".md"))
SETTINGS = (
    *("dbt_project.yml", "profiles.yml", ".dbtignore"),
    *("packages.yml", "dependencies.yml", "package-lock.yml"),
)


class How(StrEnum):
    """How a file differs from what dbt has read."""

    CHANGED = "changed since"
    ADDED = "is new"
    REMOVED = "is gone"


@dataclass(frozen=True)
class FileChange:
    """A file that differs from what dbt has read. path: relative to the project."""

    path: PurePosixPath
    how: How

    def __str__(self) -> str:
        return f"{self.path} {self.how}"


@dataclass(frozen=True)
class Found:
    """A file of the project.

    seconds: the modification time since the epoch. node: whether dbt always makes a node from such
    a file.
    """

    seconds: float
    node: bool = False


def find(root: Path) -> dict[PurePosixPath, Found]:
    """Returns the files that dbt would read now.

    Raises MeshError where dbt_project.yml is missing or is not valid YAML.
    """
    settings = _settings(root)
    ignored = _ignored(root)
    found = {
        PurePosixPath(name): Found((root / name).stat().st_mtime)
        for name in SETTINGS
        if (root / name).is_file()
    }
    for key in PATHS:
        for folder in folders(settings, key):
            for path in _walk(root, root / folder):
                if path.suffix.lower() not in READ or (ignored and ignored(path.as_posix())):
                    continue
                # If .dbtignore cannot be read, a new file may be one that dbt ignores.
                node = path.suffix.lower() in ALWAYS_NODES.get(key, ()) and ignored is not None
                known = found.get(path)
                seconds = known.seconds if known else (root / path).stat().st_mtime
                found[path] = Found(seconds, node or (known is not None and known.node))
    return found


def compare(
    manifest: Manifest,
    project: str,
    found: Mapping[PurePosixPath, Found],
    read: Callable[[PurePosixPath], bytes],
    *,
    written: float,
    now: float,
) -> tuple[list[FileChange], list[PurePosixPath]]:
    """Returns the changes since dbt read the project, and the files for which they are unknown.

    Those are the files with a modification time in the future. written: the modification time of
    manifest.json; it and `now` are seconds since the epoch. read: returns a file's bytes; called
    only for files with a checksum.
    """
    recorded = files(manifest, project)
    passed_over = disabled(manifest, project)
    # v2 has changed how it computes checksums, so a different checksum proves nothing there.
    exact = not manifest.is_v2
    changes = [FileChange(path, How.REMOVED) for path in recorded if path not in found]
    unsure = []
    for path, file in found.items():
        checksum = recorded.get(path)
        newer = file.seconds > written
        if path not in recorded and file.node and path not in passed_over:
            changes.append(FileChange(path, How.ADDED))
        elif checksum and (exact or newer):
            if not _has_checksum(read(path), checksum):
                changes.append(FileChange(path, How.CHANGED))
        elif not checksum and newer:
            if file.seconds > now:
                unsure.append(path)
            else:
                changes.append(FileChange(path, How.CHANGED))
    return sorted(changes, key=lambda change: change.path), sorted(unsure)


def changed(
    root: Path, manifest: Manifest, project: str, written: float
) -> tuple[list[FileChange], list[PurePosixPath]]:
    """Calls `compare` with the files in `root`, and adds the changes of installed packages."""
    found = find(root)
    for path in files(manifest, project):
        # A macro in a folder that is not listed, or a file that only dbt knows how to find.
        if path not in found and (root / path).is_file():
            found[path] = Found((root / path).stat().st_mtime)
    changes, unsure = compare(
        manifest,
        project,
        found,
        lambda path: (root / path).read_bytes(),
        written=written,
        now=time.time(),
    )
    return [*changes, *_of_packages(root, manifest, project, written)], unsure


def _of_packages(
    root: Path, manifest: Manifest, project: str, written: float
) -> Iterator[FileChange]:
    """Yields changes in installed packages: a package of another version, or an edited local one.

    Files are compared by their text, because a new installation of the same files is not a change.
    """
    named = _settings(root).get("packages-install-path")
    folder = str(named or "dbt_packages")
    for file in package_files(manifest, project):
        if not (root / folder / file.package).is_dir():
            continue  # a package of dbt itself, or of a plugin
        shown = PurePosixPath(folder, file.package, file.path)
        path = root / shown
        if not path.is_file():
            yield FileChange(shown, How.REMOVED)
        elif manifest.is_v2:
            continue  # see `compare`
        elif path.stat().st_mtime > written and not _is_as_read(path.read_bytes(), file):
            yield FileChange(shown, How.CHANGED)


def _is_as_read(body: bytes, file: OfPackage) -> bool:
    if file.checksum and not _has_checksum(body, file.checksum):
        return False
    text = _unix(body.decode("utf-8", "replace"))
    return all(_unix(macro) in text for macro in file.macros)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _has_checksum(body: bytes, checksum: str) -> bool:
    """Checks whether a file's text has a checksum that dbt recorded, regardless of line endings.

    Before 1.12, dbt computes the checksum of the text without surrounding white space
    (dbt.parser.read_files). Since 1.12, and in v2, it is that of the words of the SQL with single
    spaces between them (observed with 1.12.6 and 2.0.0-alpha.4).
    """
    text = body.decode("utf-8", "surrogateescape")
    unix = text.replace("\r\n", "\n").strip()
    variants = (text.strip(), unix, unix.replace("\n", "\r\n"), " ".join(text.split()))
    return any(
        hashlib.sha256(each.encode("utf-8", "surrogateescape")).hexdigest() == checksum
        for each in variants
    )


def _walk(root: Path, folder: Path) -> Iterator[PurePosixPath]:
    """Yields the files below a folder as dbt finds them: links to folders are not followed."""
    for current, _, names in os.walk(folder):
        for name in names:
            path = Path(current, name)
            if path.is_file():
                yield PurePosixPath(Path(os.path.relpath(path, root)).as_posix())


def _settings(root: Path) -> Mapping[str, Any]:
    path = root / "dbt_project.yml"
    try:
        settings = yaml_files.load(read_bounded(path))
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: this is not a dbt project") from None
    except yaml_files.NotYaml as error:
        raise MeshError(
            f"dbt_project.yml is not valid YAML{error.where}: {error}: correct it"
        ) from None
    return settings if isinstance(settings, dict) else {}


def _ignored(root: Path) -> Callable[[str], bool] | None:
    """Returns a function that tells whether .dbtignore names a path.

    Returns None if no installed package can read that file.
    """
    path = root / ".dbtignore"
    if not path.is_file():
        return lambda path: False
    try:
        import pathspec  # comes with dbt Core
    except ImportError:
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    spec = pathspec.PathSpec.from_lines("gitwildmatch", lines)
    return lambda path: bool(spec.match_file(path))
