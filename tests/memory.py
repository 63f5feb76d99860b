"""Puts temporary files into memory, if the machine has room for them there.

The tests make and remove a million small files. On some file systems the kernel needs more time for
that than the tests for everything else.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes that have to be free. The tests need less than a tenth of that at a time."""
CHOSEN = ("TMPDIR", "TEMP", "TMP", "PYTEST_DEBUG_TEMPROOT")
"""Variables with which a person chooses where temporary files go."""


def has_room(folder: Path) -> bool:
    """Checks whether the tests can write to the folder, run programs there, and not fill it."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    there = os.statvfs(folder)
    return not there.f_flag & os.ST_NOEXEC and there.f_bavail * there.f_frsize >= ROOM


def use() -> None:
    """Sets the folder for this process and all that it starts, unless a person has chosen one."""
    if not any(name in os.environ for name in CHOSEN) and has_room(FOLDER):
        os.environ["TMPDIR"] = tempfile.tempdir = str(FOLDER)
