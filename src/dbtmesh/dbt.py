"""Runs dbt in a process of its own, so that a member can use dbt Core or dbt v2."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dbtmesh import MeshError, installed
from dbtmesh.config import Engine

SECONDS = 60
"""The timeout of a command that reads no project."""
_VERSION = re.compile(r"\b\d+\.\d+\.\d+\S*")
QUIET = {"DBT_USE_COLORS": "false", "NO_COLOR": "1"}


def program(engine: Engine) -> str:
    """Returns the dbt of this environment, or else the first one on PATH. For dbt v2, which may
    have an environment of its own, PATH comes first. Raises MeshError where there is none."""
    beside, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    places = [path, beside] if engine is Engine.V2 else [beside, path]
    if found := shutil.which("dbt", path=os.pathsep.join(places)):
        return found
    raise MeshError(
        "dbt is not installed in this environment: activate the project's own, or "
        f"{installed.how()}"
    )


def version(engine: Engine) -> str | None:
    """Returns the version that the engine's dbt reports; None where there is no dbt or version."""
    try:
        done = subprocess.run(
            [program(engine), "--version"],
            env={**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (MeshError, OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return found[0] if found and done.returncode == 0 else None


def parse(project: Path, engine: Engine, target: str) -> bytes:
    """Returns the manifest of a project as it is now. The project's target folder does not change.

    Raises MeshError with dbt's own reason where dbt fails.
    """
    with tempfile.TemporaryDirectory(prefix="dbtmesh.") as folder:
        done = _call(project, engine, "parse", "--target", target, "--target-path", folder)
        manifest = Path(folder) / "manifest.json"
        if done.returncode == 0 and manifest.is_file():
            return manifest.read_bytes()
    raise MeshError(f"`dbt parse --target {target}` failed: {reason(done.stdout) or 'no output'}")


def compiled(project: Path, engine: Engine, target: str, names: Iterable[str]) -> Mapping[str, str]:
    """Returns the SQL of models and tests, by unique_id, as far as dbt can compile it here.

    `dbt compile` stops at the first node that queries something missing from the database. Then the
    models `names` are run instead, because a run goes on with the next model. Few of them are
    built, because what they read does not exist yet.
    """
    with tempfile.TemporaryDirectory(prefix="dbtmesh.") as folder:
        flags = ["--target", target, "--target-path", folder]
        if _call(project, engine, "compile", *flags).returncode == 0:
            nodes = _json(Path(folder) / "manifest.json").get("nodes") or {}
            found = {uid: node.get("compiled_code") for uid, node in nodes.items()}
        else:
            _call(project, engine, "run", *flags, "--select", *names)
            results = _json(Path(folder) / "run_results.json").get("results") or ()
            found = {each["unique_id"]: each.get("compiled_code") for each in results}
    return {uid: sql for uid, sql in found.items() if sql}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_bytes()) if file.is_file() else {}


def _call(project: Path, engine: Engine, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(engine), *words],
        cwd=project,
        env={**os.environ, **QUIET},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


_TIME = re.compile(r"^\d\d:\d\d:\d\d\s*")
_ERROR = re.compile(r"^(?:Encountered an error|(?:\w+ )?error\b|\w+ Error\b)", re.IGNORECASE)
_OTHER = re.compile(r"^(?:\[?WARNING|Summary of encountered|> )", re.IGNORECASE)
SHOWN = 4
"""How many lines of a reason are shown."""


def reason(said: str) -> str:
    """Returns why dbt failed, in one line: the output from its first error on, without the
    deprecations that dbt may report before and after."""
    lines = [_TIME.sub("", line.strip()) for line in said.splitlines()]
    lines = [line for line in lines if line.strip("-=")]
    first = next((at for at, line in enumerate(lines) if _ERROR.search(line)), None)
    if first is None:
        return " ".join(lines[-2:])
    found = lines[first:]
    if found[0].startswith("Encountered an error") and len(found) > 1:
        found = found[1:]
    end = next((at for at, line in enumerate(found) if at and _OTHER.search(line)), len(found))
    return " ".join(found[: min(end, SHOWN)])
