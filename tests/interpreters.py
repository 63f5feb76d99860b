"""Makes interpreters that have only some of the packages that are installed here."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from subprocess import run

from tests.constraints import with_dependencies
from tests.job_pip import site_of


def interpreter(folder: Path, *distributions: str) -> Path:
    """Makes a Python with only these distributions and their dependencies. Returns its program."""
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    run([base, "-m", "venv", "--without-pip", folder], check=True)
    site = site_of(folder)
    for name in with_dependencies(distributions):
        distribution = importlib.metadata.distribution(name)
        tops = {Path(file).parts[0] for file in distribution.files or ()}
        for top in tops - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin/python"
