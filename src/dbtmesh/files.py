"""Reads files up to a size, and replaces them atomically."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

MOST = 128 * 2**20
"""The limit in bytes for a file that somebody else may have written. No file of the mesh has
more."""


def read_bounded(path: Path, most: int = MOST) -> bytes:
    """Reads a file. Raises OSError with the file's name where it has more than `most` bytes, or is
    not a regular file, such as a pipe or a device that a link leads to."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, too_large(size, most), str(path))
        return file.read(most)


def read_whole(path: Path) -> bytes:
    """Reads a file of the project's own, of any size. Raises OSError as `read_bounded` does."""
    with opened(path) as file:
        return file.read()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Opens a file to read. Raises OSError where it is not a regular file: a pipe would never
    end."""
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        yield file


def too_large(size: int, most: int) -> str:
    """Returns the reason why a file is not read."""
    return f"it has {size:,} bytes, and no more than {most:,} are read"


def inside(root: Path, path: str) -> Path:
    """Returns a path below a folder. Raises OSError where a link on the way leads out of it."""
    whole = root / path
    if not real(whole.parent).is_relative_to(real(root)):
        raise OSError(errno.ELOOP, "a link leads out of the folder there: remove it", str(whole))
    return whole


def real(path: Path) -> Path:
    """Resolves links. For links that lead in a circle, returns where the circle begins."""
    from pathlib import Path

    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError there


def rewrite(path: Path, body: bytes) -> None:
    """Replaces a file that somebody else made, as `write_whole` does, but keeps its links, owner
    and permissions. Raises OSError where it is read-only."""
    place = real(path)
    if not place.exists():
        return write_whole(place, body)
    refuse_read_only(path)
    return write_whole(place, body, place.stat())


def refuse_read_only(path: Path) -> None:
    """Raises OSError where a file is read-only: the permissions do not keep it from being
    replaced."""
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only", str(path))


def write_whole(path: Path, body: bytes, like: os.stat_result | None = None) -> None:
    """Replaces a file atomically: readers, also after a crash, see the whole old file or the new.

    like: whose owner and permissions the file gets; without it, those of any new file.
    Raises OSError with the file's name (disk full, no permission); the old file is then untouched.
    """
    try:
        _write_whole(path, body, like)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, body: bytes, like: os.stat_result | None) -> None:
    import tempfile  # loads much, and many commands write nothing
    from pathlib import Path

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(body)
            temporary.flush()
            os.fsync(temporary.fileno())
        if like and hasattr(os, "chown"):
            with contextlib.suppress(OSError):  # only root may give a file to somebody else
                os.chown(scratch, like.st_uid, like.st_gid)
        scratch.chmod(stat.S_IMODE(like.st_mode) if like else 0o666 & ~_umask())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def _umask() -> int:
    """Returns the process's umask. mkstemp makes files that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
