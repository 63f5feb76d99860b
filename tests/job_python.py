"""Provides a job's Python in place of setup-python and the cache of pip.

It has all packages of the tests, except the members' library. pip installs only into it. The tests
keep one environment, which a job copies. Its Python starts warm (tests/warm), with the library that
the job has installed; its pip is tests/job_pip.py.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import venv
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests import shared
from tests.job_pip import COLD, PACKAGES, SHIM, site_of
from tests.warm import COMMANDS, client, server

PIP = """
import runpy, sys
sys.argv[:1] = {arguments!r}
runpy.run_path({program!r}, run_name="__main__")
"""
"""The module `pip` of a job's environment."""
PYTHON = """#!/bin/sh
exec {client} "${{0%/*}}/{cold}" "$@"
"""
"""The program `python` of a job's environment."""


@cache
def _place() -> tempfile.TemporaryDirectory[str]:
    """Makes a folder that is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="job")


@cache
def environment(first: Path | None = None) -> Path:
    """Makes the environment to copy. first: a folder of packages that come before the tests'."""
    folder = Path(tempfile.mkdtemp(dir=_place().name))
    known = shared.folder() / "pip"
    known.mkdir(exist_ok=True)
    venv.create(folder, symlinks=True, with_pip=False)
    packages = [str(first)] if first else []
    packages += [path for path in sys.path if path.endswith("site-packages")]
    site = site_of(folder)
    # Plain paths, so that Python does not read the `.pth` files of editable installations in them.
    (site / PACKAGES).write_text("\n".join(packages))
    pip = find_spec("pip")
    assert pip
    assert pip.origin
    program = str(Path(__file__).with_name("job_pip.py"))
    arguments = [program, str(known), str(first or ""), str(Path(pip.origin).parents[1])]
    (site / SHIM).write_text(PIP.format(arguments=arguments, program=program))
    _begin_warm(folder / "bin")
    return folder


def _begin_warm(programs: Path) -> None:
    (programs / "python").rename(programs / COLD)
    words = (sys.executable, "-IS", client.__file__, server(COMMANDS).address)
    text = PYTHON.format(client=shlex.join(words), cold=COLD)
    for name in ("python", "python3"):
        (programs / name).unlink(missing_ok=True)
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
