"""Files that are replaced at once."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, body: bytes) -> None:
    """Replaces a file at once: whoever reads it, or finds it after a crash, sees old or new, whole.

    Raises OSError with the file's name (disk full, no permission); the old file is then untouched.
    """
    try:
        _write_whole(path, body)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(body)
            temporary.flush()
            os.fsync(temporary.fileno())
        scratch.chmod(0o666 & ~_umask())
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
