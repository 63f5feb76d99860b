"""What all processes of one run of the tests share: a folder. The first makes it, and removes it
when it ends."""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

FOLDER, OWNER = "TESTS_SHARED", "TESTS_SHARED_BY"
"""Variables with the folder, and with the process that made it."""


def folder() -> Path:
    if FOLDER not in os.environ:
        made = tempfile.TemporaryDirectory(prefix="tests")
        atexit.register(made.cleanup)
        os.environ |= {FOLDER: made.name, OWNER: str(os.getpid())}
    return Path(os.environ[FOLDER])


def owner() -> int:
    """The process that made the folder."""
    folder()
    return int(os.environ[OWNER])


def is_mine() -> bool:
    return owner() == os.getpid()
