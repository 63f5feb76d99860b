"""Stands in for pip in a job of a workflow: `job_pip.py KNOWN PACKAGES REAL_PIP WORD [WORD ...]`.

The real pip runs once for the same arguments and files. For later jobs, what it installed is linked
into their environments, so that each package is stored only once.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

COLD = "python-cold"
"""The program in a job's environment that is the real Python."""
REAL_PIP = """
import runpy, sys
path = sys.path[:]
sys.path.insert(0, sys.argv.pop(1))
import pip
sys.path[:] = path
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""Runs the tests' own pip, which finds packages on the environment's path."""
REQUIREMENTS = "requirements.txt"
"""The file that names other files: wheels of the library."""
PACKAGES, SHIM = "packages.pth", "pip.py"
"""Files of a new environment: its path for packages, and this module as `pip`."""
CACHE = "__pycache__"


def site_of(environment: Path) -> Path:
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def read(words: Sequence[str]) -> Iterator[Path]:
    """Yields the files that pip reads for `words`, relative to the current folder."""
    for word in words:
        path = Path(word.partition("[")[0])
        if path.is_file():
            yield path
        if path.name == REQUIREMENTS:
            yield from sorted(Path("vendor").glob("*.whl"))


def install(known: Path, packages: str, real_pip: Path, words: list[str]) -> int:
    """Does what pip does for `words` in the environment of this process. Returns the exit status.

    known: the folder of what it has installed before.
    packages: a name for the packages that the environment has from the start.
    real_pip: the folder that contains `pip`.
    """
    home = Path(sys.prefix)
    site = site_of(home)
    stamp = site / "installed"
    key = hashlib.sha256(stamp.read_bytes() if stamp.exists() else b"")
    if "--no-deps" not in words:  # with it, pip looks at no other package
        key.update(packages.encode())
    key.update("\0".join(words).encode())
    for path in read(words):
        key.update(path.read_bytes())
    before = known / key.hexdigest()
    if not before.exists():
        for path in site.iterdir():
            if path.is_symlink():  # pip may change it
                kept = path.resolve()
                path.unlink()
                copy(kept, path)
        there = set(site.iterdir())
        line = [str(home / "bin" / COLD), "-c", REAL_PIP, str(real_pip), *words]
        # pip need not check each time that the tests' packages are compatible, and Python compiles
        # what it imports, once for all
        flags = ["--no-warn-conflicts", "--no-compile"]
        done = subprocess.run([*line, *flags], check=False)
        if done.returncode:
            return done.returncode
        if set(site.iterdir()) != there:
            stamp.write_text(key.hexdigest())
        new = Path(tempfile.mkdtemp(dir=known))
        for path in site.iterdir():
            if path.name not in (PACKAGES, SHIM, CACHE):
                (new / path.name).symlink_to(keep(path, known))
        with contextlib.suppress(OSError):  # of jobs that run in parallel, the first one wins
            new.rename(before)
    for path in before.iterdir():
        remove(site / path.name)
        (site / path.name).symlink_to(path.readlink())
    return 0


def keep(path: Path, known: Path) -> Path:
    """Returns the copy in `known`, which is shared by all packages of the same content."""
    content = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and file.parent.name != CACHE:
            content.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    kept = known / content.hexdigest()
    if not kept.exists():
        new = Path(tempfile.mkdtemp(dir=known), path.name)
        copy(path, new)
        with contextlib.suppress(OSError):
            new.rename(kept)
    return kept


def copy(path: Path, to: Path) -> None:
    if path.is_dir():
        # a Python that compiles there renames files in it
        shutil.copytree(path, to, ignore=shutil.ignore_patterns(CACHE))
    else:
        shutil.copy2(path, to)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
