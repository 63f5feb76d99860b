"""Calls dbt, as a process: never imported, so that a member may run any engine of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.config import Engine

QUIET = {"DBT_USE_COLORS": "false", "NO_COLOR": "1"}


def program(engine: Engine) -> str:
    """The dbt of this environment, else the first one on PATH; for v2, which may have an
    environment of its own, the other way round. Raises MeshError where there is none."""
    beside, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    places = [path, beside] if engine is Engine.V2 else [beside, path]
    if found := shutil.which("dbt", path=os.pathsep.join(places)):
        return found
    raise MeshError(
        "dbt is not installed in this environment: activate the project's own, or pip install -r "
        "requirements.txt -c constraints.txt"
    )


def parse(project: Path, engine: Engine, target: str) -> bytes:
    """The manifest of a project as dbt reads it now; what lies in its target folder stays.

    Raises MeshError with the last thing that dbt said where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="dbtmesh.") as folder:
        done = subprocess.run(
            [program(engine), "parse", "--target", target, "--target-path", folder],
            cwd=project,
            env={**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        manifest = Path(folder) / "manifest.json"
        if done.returncode == 0 and manifest.is_file():
            return manifest.read_bytes()
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    raise MeshError(f"`dbt parse --target {target}` failed: {' '.join(lines[-2:]) or 'no output'}")
