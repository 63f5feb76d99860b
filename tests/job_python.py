"""What setup-python and the cache of pip are to a job of a workflow: Python with every package that
the tests have, but the members' library. pip installs into it and nowhere else.

The tests keep one environment, which a job copies. What pip does for a job it does for the next one
that asks the same of the same files as well: it is run once, and what it installed is copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import venv
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SHIM = """
import runpy, sys
sys.argv[:1] = {arguments!r}
runpy.run_path({program!r}, run_name="__main__")
"""
"""The module `pip` of a job's environment."""
REAL_PIP = """
import runpy, sys
path = sys.path[:]
sys.path.insert(0, sys.argv.pop(1))
import pip
sys.path[:] = path
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""The tests' own, which looks for packages where the environment does."""
READ = ("requirements.txt", "constraints.txt", "vendor/*.whl")
"""The files, in the folder it is run in, that pip reads."""


@cache
def _place() -> tempfile.TemporaryDirectory[str]:
    """Is gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="job")


@cache
def environment(first: Path | None = None) -> Path:
    """The environment to copy. first: a folder of packages before those of the tests."""
    folder, known = (Path(tempfile.mkdtemp(dir=_place().name)) for _ in range(2))
    venv.create(folder, symlinks=True, with_pip=False)
    packages = [str(first)] if first else []
    packages += [path for path in sys.path if path.endswith("site-packages")]
    site = site_of(folder)
    # Not as a `.pth` of its own: what an editable installation put there stays unread.
    (site / "packages.pth").write_text("\n".join(packages))
    pip = find_spec("pip")
    assert pip
    assert pip.origin
    arguments = [__file__, str(known), str(Path(pip.origin).parents[1])]
    (site / "pip.py").write_text(SHIM.format(arguments=arguments, program=__file__))
    return folder


def site_of(environment: Path) -> Path:
    (site,) = environment.glob("lib/python*/site-packages")
    return site


def install(known: Path, real_pip: Path, words: list[str]) -> int:
    """Does what pip does for `words`, in the environment of this process; its exit status.

    known: a folder, with what it did before; real_pip: the one that `pip` is in.
    """
    site = site_of(Path(sys.prefix))
    stamp = site / "installed"
    key = hashlib.sha256(stamp.read_bytes() if stamp.exists() else b"")
    key.update("\0".join(words).encode())
    for path in sorted(path for pattern in READ for path in Path().glob(pattern)):
        key.update(path.read_bytes())
    before = known / key.hexdigest()
    if not before.exists():
        done = subprocess.run([sys.executable, "-c", REAL_PIP, real_pip, *words], check=False)
        if done.returncode:
            return done.returncode
        stamp.write_text(key.hexdigest())
        new = Path(tempfile.mkdtemp(dir=known))
        shutil.copytree(site, new, dirs_exist_ok=True)
        with contextlib.suppress(OSError):  # of jobs that run side by side the first
            new.rename(before)
    shutil.copytree(before, site, dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
