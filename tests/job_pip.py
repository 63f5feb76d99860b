"""pip in a job of a workflow: `job_pip.py KNOWN REAL_PIP WORD [WORD ...]`.

What pip does for a job it does for the next one that asks the same of the same files as well: it is
run once, and what it installed is linked from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

COLD = "python-cold"
"""The program of a job's environment that is Python itself."""
REAL_PIP = """
import runpy, sys
path = sys.path[:]
sys.path.insert(0, sys.argv.pop(1))
import pip
sys.path[:] = path
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""The tests' own, which looks for packages where the environment does."""
REQUIREMENTS = "requirements.txt"
"""The file that names others: wheels of the library."""


def site_of(environment: Path) -> Path:
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def read(words: Sequence[str]) -> Iterator[Path]:
    """The files, in the folder it is run in, that pip reads for `words`."""
    for word in words:
        path = Path(word.partition("[")[0])
        if path.is_file():
            yield path
        if path.name == REQUIREMENTS:
            yield from sorted(Path("vendor").glob("*.whl"))


def install(known: Path, real_pip: Path, words: list[str]) -> int:
    """Does what pip does for `words`, in the environment of this process; its exit status.

    known: a folder, with what it did before; real_pip: the one that `pip` is in.
    """
    home = Path(sys.prefix)
    site = site_of(home)
    stamp = site / "installed"
    key = hashlib.sha256(stamp.read_bytes() if stamp.exists() else b"")
    key.update("\0".join(words).encode())
    for path in read(words):
        key.update(path.read_bytes())
    before = known / key.hexdigest()
    if not before.exists():
        line = [str(home / "bin" / COLD), "-c", REAL_PIP, str(real_pip), *words]
        # whether the packages of the tests go together is not asked each time
        done = subprocess.run([*line, "--no-warn-conflicts"], check=False)
        if done.returncode:
            return done.returncode
        stamp.unlink(missing_ok=True)  # the file may be another job's as well
        stamp.write_text(key.hexdigest())
        new = Path(tempfile.mkdtemp(dir=known))
        shutil.copytree(site, new, dirs_exist_ok=True)
        with contextlib.suppress(OSError):  # of jobs that run side by side the first
            new.rename(before)
    shutil.copytree(before, site, copy_function=link, dirs_exist_ok=True)
    return 0


def link(source: str, target: str) -> None:
    """Nothing writes into a file of an installed package: pip and Python replace it."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # on another disk
        shutil.copy2(source, target)


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
