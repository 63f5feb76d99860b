"""Runs commands that run members' code, with limits on time, memory, output and writing.

When a command ends, all processes that it has started are killed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from dbtmesh.output.error_line import telling_line
from fleet import landlock
from fleet.git import QUIET_GIT, GitError

MOST_MEMORY = 6 * 2**30
"""Bytes of data that a process may have, on systems with such limits (Linux)."""
MOST_WRITTEN = 4 * 2**30
"""Bytes that a process may write to a file or print."""
MOST_READ = 2**20
"""Bytes at the end of its output that are read."""

ORPHANS_SECONDS = 10
_CHILD_SUBREAPER = 36

_groups: set[int] = set()
"""Process groups that are running."""


def run(
    command: Sequence[str],
    folder: Path,
    *,
    seconds: float,
    environment: Mapping[str, str],
    writable: Sequence[Path] = (),
) -> None:
    """Runs a command. Raises GitError with the line in which it says why it failed.

    writable: folders below which it may write, besides `folder`; see `fleet.landlock`.
    """
    launcher = [sys.executable, "-IS", landlock.__file__]
    allowed = [str(each) for each in (folder, *writable)]
    _keep_orphans()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                [*launcher, *allowed, "--", *command],
                cwd=folder,
                env={**environment, **QUIET_GIT},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # without a terminal, into which it could type
            )
        except OSError as error:
            raise GitError(f"{command[0]}: {error.strerror}") from None
        with _killed_at_the_end(process):
            _limit(process.pid)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise GitError(
                    f"`{' '.join(command[:2])}` took more than {seconds:.0f} s"
                ) from None
        if status:
            said = telling_line(_tail(err)) or telling_line(_tail(out))
            killed = f"it was ended by signal {-status}" if status < 0 else "failed silently"
            raise GitError(said or killed)


@contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kills the process, and what it has left running, in any case."""
    _groups.add(process.pid)
    before = _children() - {process.pid}
    try:
        yield
    finally:
        _kill(process.pid)
        _groups.discard(process.pid)
        process.wait()
        _end_orphans(before)


def _keep_orphans() -> None:
    """Makes this process the parent of orphans, so that it can find those that left their group.

    Only Linux can do that.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> set[int]:
    found = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(number) for number in file.read_text().split()}
    return found


def _end_orphans(others: set[int]) -> None:
    """Kills all children except `others`, until no more appear."""
    end = time.monotonic() + ORPHANS_SECONDS
    while (orphans := _children() - others) and time.monotonic() < end:
        for orphan in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(orphan, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(orphan, 0)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_all() -> None:
    """Kills all commands that this process is running."""
    for group in [*_groups]:
        _kill(group)


def _limit(process: int) -> None:
    if not hasattr(resource, "prlimit"):
        return
    with suppress(OSError, ValueError):
        resource.prlimit(process, resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
        resource.prlimit(process, resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_READ))
    return file.read(MOST_READ).decode(errors="replace")
