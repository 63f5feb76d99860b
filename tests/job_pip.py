"""pip in a job of a workflow: `job_pip.py KNOWN PACKAGES REAL_PIP WORD [WORD ...]`.

What pip does for a job it does for the next one that asks the same of the same files as well: it is
run once, and what it installed is linked from then on. A package lies in one place for all.
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
PACKAGES, SHIM = "packages.pth", "pip.py"
"""What an environment begins with: where it finds packages, and this as the module `pip`."""
CACHE = "__pycache__"


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


def install(known: Path, packages: str, real_pip: Path, words: list[str]) -> int:
    """Does what pip does for `words`, in the environment of this process; its exit status.

    known: a folder, with what it did before; packages: a name for what the environment finds;
    real_pip: the folder that `pip` is in.
    """
    home = Path(sys.prefix)
    site = site_of(home)
    stamp = site / "installed"
    key = hashlib.sha256(stamp.read_bytes() if stamp.exists() else b"")
    if "--no-deps" not in words:  # else it looks at no other package
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
        # whether the packages of the tests go together is not asked each time; what is imported
        # Python compiles, once for all
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
        with contextlib.suppress(OSError):  # of jobs that run side by side the first
            new.rename(before)
    for path in before.iterdir():
        remove(site / path.name)
        (site / path.name).symlink_to(path.readlink())
    return 0


def keep(path: Path, known: Path) -> Path:
    """A copy in `known`, for all of the same content."""
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
        shutil.copytree(path, to)
    else:
        shutil.copy2(path, to)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))
