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
"""Bytes of a file that somebody else may have written: nothing of the mesh has more."""


def read_bounded(path: Path, most: int = MOST) -> bytes:
    """What is in a file. Raises OSError with the file's name where it has more than `most` bytes,
    or is none, such as a pipe or a device that a link leads to."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, too_large(size, most), str(path))
        return file.read(most)


def read_whole(path: Path) -> bytes:
    """What is in a file of the project's own, of any size. Raises OSError as `read_bounded`."""
    with opened(path) as file:
        return file.read()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A file to be read. Raises OSError where it is none: a pipe would never end."""
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        yield file


def too_large(size: int, most: int) -> str:
    """Why nothing of it is read."""
    return f"it has {size:,} bytes, and no more than {most:,} are read"


def inside(root: Path, path: str) -> Path:
    """A place below a folder. Raises OSError where a link on the way leads out of the folder."""
    whole = root / path
    if not real(whole.parent).is_relative_to(real(root)):
        raise OSError(errno.ELOOP, "a link leads out of the folder there: remove it", str(whole))
    return whole


def real(path: Path) -> Path:
    """Where links lead; of links that lead in a circle, the place where the circle begins."""
    from pathlib import Path

    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError there


def rewrite(path: Path, body: bytes) -> None:
    """Replaces a file that somebody else made, as `write_whole`: its links, owner and permissions
    stay. Raises OSError where it is read-only."""
    place = real(path)
    if not place.exists():
        return write_whole(place, body)
    refuse_read_only(path)
    return write_whole(place, body, place.stat())


def refuse_read_only(path: Path) -> None:
    """Raises OSError where a file is there that may not be changed: replacing it would do so."""
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only", str(path))


def write_whole(path: Path, body: bytes, like: os.stat_result | None = None) -> None:
    """Replaces a file at once: whoever reads it, or finds it after a crash, sees old or new, whole.

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
    """The process's umask; mkstemp ignores it, but the file is for everyone who may read it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
