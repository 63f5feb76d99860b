"""Provides a folder that all processes of one run of the tests share.

The first process makes it, and removes it when that process ends.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER, OWNER = "TESTS_SHARED", "TESTS_SHARED_BY"
"""Variables that hold the folder, and the id of the process that made it."""


def folder() -> Path:
    if FOLDER not in os.environ:
        made = tempfile.TemporaryDirectory(prefix="tests")
        atexit.register(made.cleanup)
        os.environ |= {FOLDER: made.name, OWNER: str(os.getpid())}
    return Path(os.environ[FOLDER])


def owner() -> int:
    """Returns the id of the process that made the folder."""
    folder()
    return int(os.environ[OWNER])


def is_mine() -> bool:
    return owner() == os.getpid()


@contextmanager
def alone(what: str) -> Iterator[Path]:
    """Yields the path in the folder for `what`, while no other process uses it."""
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder() / name


def once(what: str, make: Callable[[Path], object]) -> Path:
    """Returns the path of `what`, which the first process makes with `make`; others wait for it.

    All processes share it: copy it to change it.
    """
    with alone(what) as path:
        if not path.exists():
            new = path.with_suffix(".new")
            if new.is_dir():  # `make` has failed before
                shutil.rmtree(new)
            make(new)
            new.rename(path)
    return path
