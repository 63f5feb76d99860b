"""What all processes of one run of the tests share: a folder. The first makes it, and removes it
when it ends."""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def alone(what: str) -> Iterator[Path]:
    """A path in the folder that stands for `what`, while no other process has it."""
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder() / name


def once(what: str, make: Callable[[Path], object]) -> Path:
    """What the first process that asks for it makes, at the path that `make` gets; the others wait.
    It is everybody's: copy it to change it."""
    with alone(what) as path:
        if not path.exists():
            new = path.with_suffix(".new")  # stays where making it fails
            make(new)
            new.rename(path)
    return path
