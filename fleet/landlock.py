"""python -IS landlock.py FOLDER … -- COMMAND …: confines a command and all processes it starts.

They can write only below these folders, and read nothing of other processes or of terminals. It
uses Landlock, which Linux has since 5.13, which needs no privileges, and which cannot be undone. It
does not restrict reading other files or the network. On other systems the command runs unconfined.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, which are the same on every architecture."""
_NO_NEW_PRIVILEGES = 38
_WRITE_FILE, _READ_FILE, _TRUNCATE = 1 << 1, 1 << 2, 1 << 14
_OF_FOLDERS = sum(1 << bit for bit in (4, 5, 6, 7, 8, 9, 10, 11, 12))
"""The rights to remove and to make directory entries of each kind."""
_REFER = 1 << 13
_OUTSIDE = 0b11
"""The scopes of abstract sockets and of signals: neither reaches processes outside."""
DEVICES = ("/dev/null", "/dev/shm")  # noqa: S108
"""What programs may write to wherever they run. Python's locks are in /dev/shm."""

_PROCESSES, _DEVICES = Path("/proc"), Path("/dev")
_TERMINALS = ("pts", "tty", "console")


class _Rules(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "network", "scoped")]


class _Below(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def version() -> int:
    """Returns the version of Landlock on this machine; 0 if it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def is_possible() -> bool:
    # versions before 3 do not prevent that a file is truncated
    return version() >= 3


def confine(folders: Sequence[str]) -> None:
    """Confines this process to writing below these folders. Raises OSError."""
    libc = _libc()
    of_files = _WRITE_FILE | _TRUNCATE
    every = of_files | _OF_FOLDERS | _REFER
    rules = _Rules(every | _READ_FILE, 0, _OUTSIDE if version() >= 6 else 0)
    size = ctypes.c_size_t(ctypes.sizeof(rules) if version() >= 6 else 8)
    ruleset = _done(libc.syscall(_CREATE, ctypes.byref(rules), size, ctypes.c_uint32(0)))
    for folder in (*folders, *DEVICES):
        _allow(ruleset, folder, every | _READ_FILE, of_files | _READ_FILE)
    for place in _readable():
        _allow(ruleset, place, _READ_FILE, _READ_FILE)
    _done(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _done(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    os.close(ruleset)


def _allow(ruleset: int, place: str, in_folder: int, of_file: int) -> None:
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    below = _Below(in_folder if Path(place).is_dir() else of_file, opened)
    _done(_libc().syscall(_ADD_RULE, ruleset, 1, ctypes.byref(below), ctypes.c_uint32(0)))
    os.close(opened)


def _readable() -> Iterator[str]:
    """Yields all places that may be read: all but other processes and terminals.

    The environment of another process is a file below /proc, and may hold a token of the person
    who runs the checks. From a terminal, a command could read what that person types.
    """
    for place in Path("/").iterdir():
        if place not in (_PROCESSES, _DEVICES):
            yield str(place)
    for place in _DEVICES.iterdir():
        if not (place.name.startswith(_TERMINALS) or place.is_symlink()):
            yield str(place)
    for place in _PROCESSES.iterdir():
        if not (place.name.isdigit() or place.is_symlink()):
            yield str(place)
    yield str(_PROCESSES / str(os.getpid()))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def main(words: Sequence[str]) -> None:
    end = words.index("--")
    folders, command = words[:end], words[end + 1 :]
    if is_possible():
        confine(folders)
    try:
        os.execvp(command[0], [*command])  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
