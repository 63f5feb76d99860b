"""Reads and replaces the key files of a user on this machine.

    <USER>.p8        the key in use
    <USER>.next.p8   a new key, until Snowflake has accepted a sign-in with it
    <USER>.old.p8    the key before it, until CI has the new one and Snowflake forgot this one

Only their owner can read the files. They are never in a git working tree, where one `git add` would
be enough to share them. Links are followed once, to the place of the key. From then on, each access
opens the folder, checks that this folder is not in a working tree, and reads or writes in it. So a
path that changes in between does not lead anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dbtmesh import MeshError

HAS_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")
"""Whether files can be opened relative to a folder's handle: everywhere but on Windows."""
READABLE_BY_OTHERS, WRITABLE_BY_OTHERS = 0o077, 0o022


class File(Enum):
    CURRENT = ""
    NEXT = ".next"
    OLD = ".old"


@dataclass(frozen=True)
class KeyFiles:
    """The three files of a user. current: the place of the key in use, with all links resolved."""

    current: Path

    @classmethod
    def at(cls, path: Path) -> KeyFiles:
        """Returns the files for a path as people write it. Raises MeshError where it leads into a
        working tree."""
        real = Path(os.path.realpath(path.expanduser()))
        for folder in real.parents:
            if (folder / ".git").exists():
                raise _in_work_tree(real if real == path else path, folder)
        return cls(real)

    def path(self, which: File) -> Path:
        return self.current.with_name(f"{self.current.stem}{which.value}{self.current.suffix}")

    def exists(self, which: File) -> bool:
        return os.path.lexists(self.path(which))

    def read(self, which: File) -> bytes:
        """Reads a file. Raises MeshError where it is missing or a link, or others may read it."""
        path = self.path(which)
        try:
            with self._folder() as folder:
                return _read(path, _open(path, os.O_RDONLY, folder))
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise _unreadable(path, error) from None

    def write(self, which: File, content: bytes) -> None:
        """Writes a file atomically, so that it never exists in part, and others can never read it.

        Raises MeshError, OSError.
        """
        path = self.path(which)
        scratch = path.with_name(f".{path.name}.tmp")
        with self._folder(to_write=True) as folder:
            _remove(scratch, folder)  # left by a run that was killed
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(_open(scratch, flags, folder), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                _rename(scratch, path, folder)
            except BaseException:
                _remove(scratch, folder)
                raise

    def promote(self) -> None:
        """Puts the new key in the place of the one in use, which is kept as the old one.

        Raises MeshError, OSError.
        """
        if self.exists(File.CURRENT):
            self.write(File.OLD, self.read(File.CURRENT))
        with self._folder(to_write=True) as folder:
            _rename(self.path(File.NEXT), self.path(File.CURRENT), folder)

    def forget(self, which: File) -> None:
        """Deletes a file. Raises MeshError, OSError."""
        with self._folder(to_write=True) as folder:
            _remove(self.path(which), folder)

    def make_folder(self) -> Path:
        """Returns the folder. Creates it for its owner alone if it is missing. Raises OSError."""
        folder = self.current.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    @contextlib.contextmanager
    def _folder(self, *, to_write: bool = False) -> Iterator[int | None]:
        """Checks the folder and yields a handle of it; None on a platform without such handles.

        Raises MeshError where the folder is in a working tree, or others could put files in it, and
        OSError where it cannot be opened.
        """
        if to_write:
            self.make_folder()
        if not HAS_HANDLES:
            KeyFiles.at(self.current)
            yield None
            return
        handle = os.open(self.current.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if is_in_work_tree(handle):
                raise _in_work_tree(self.current, self.current.parent)
            if to_write and self.current.parent == Path(os.path.realpath(keys_folder())):
                os.fchmod(handle, 0o700)
            mode = os.fstat(handle).st_mode
            if to_write and mode & WRITABLE_BY_OTHERS and not mode & stat.S_ISVTX:
                raise MeshError(
                    f"others can write to the folder {self.current.parent} (mode "
                    f"{stat.S_IMODE(mode):04o}): `chmod 700 {self.current.parent}`"
                )
            yield handle
        finally:
            os.close(handle)


def default_file(user: str) -> Path:
    """Returns `~/.snowflake/keys/<USER>.p8`, where profiles.yml looks for the key."""
    return keys_folder() / f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', user)}.p8"


def keys_folder() -> Path:
    return Path.home() / ".snowflake" / "keys"


def read_private(path: Path) -> bytes:
    """Reads a key file that somebody names.

    Raises MeshError where it is missing or unreadable, or others may read it.
    """
    try:
        return _read(path, os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def is_in_work_tree(folder: int) -> bool:
    """Checks whether a folder, given by its handle, is in a git working tree: it, or a folder above
    it, contains a `.git`."""
    current = os.dup(folder)
    try:
        while True:
            with contextlib.suppress(FileNotFoundError):
                os.stat(".git", dir_fd=current, follow_symlinks=False)
                return True
            above = os.open(
                "..", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY, dir_fd=current
            )
            is_top = os.path.samestat(os.fstat(above), os.fstat(current))
            os.close(current)
            current = above
            if is_top:
                return False
    finally:
        os.close(current)


# ── By the folder's handle, where there is one ────────────────────────────────────────


def _open(path: Path, flags: int, folder: int | None) -> int:
    """Opens a file, but does not follow a link. A new file is readable by its owner alone."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    where: Path | str = path if folder is None else path.name
    return os.open(where, flags, 0o600, dir_fd=folder)


def _read(path: Path, handle: int) -> bytes:
    with os.fdopen(handle, "rb") as file:
        _refuse_readable(path, os.fstat(file.fileno()))
        return file.read()


def _rename(source: Path, target: Path, folder: int | None) -> None:
    if folder is None:
        source.replace(target)
    else:
        os.replace(source.name, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _remove(path: Path, folder: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path if folder is None else path.name, dir_fd=folder)


# ── What can be wrong ─────────────────────────────────────────────────────────────────


def _refuse_readable(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if os.name == "posix" and mode & READABLE_BY_OTHERS:
        raise MeshError(
            f"{path} can be read by others (mode {mode:04o}), who may have the key: "
            f"`chmod 600 {path}`, then rotate it"
        )


def _in_work_tree(path: Path, folder: Path) -> MeshError:
    return MeshError(
        f"{path} is inside the git repository {folder}: name a place outside of any repository "
        "with --key-file"
    )


def _missing(path: Path) -> MeshError:
    return MeshError(f"there is no key file {path}: `./setup_keypair_auth.sh create`")


def _unreadable(path: Path, error: OSError) -> MeshError:
    what = "it is a link" if error.errno == errno.ELOOP else error.strerror
    return MeshError(f"cannot read {path}: {what}")
