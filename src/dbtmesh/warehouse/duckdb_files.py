"""Explains why a DuckDB file cannot be opened. On a laptop, each member has one."""

from __future__ import annotations

import re
from pathlib import Path

from dbtmesh.output.words import one_line

STORAGE = {"storage_compatibility_version": "v1.5.0"}
"""Lets members on dbt v2, which has DuckDB 1.5, read what members on dbt Core write."""
_LOCKED = re.compile(r"Could not set lock on file.*?held in (?P<program>\S+) \(PID (?P<pid>\d+)\)")


def explain(path: Path, error: Exception) -> str:
    """Returns DuckDB's error about a file in one line. If another process holds the file, or its
    folder is missing, says what to do."""
    if held := _LOCKED.search(one_line(error)):
        return (
            f"{path} is in use by {held['program']} (process {held['pid']}), and DuckDB allows one "
            "writer at a time: wait for it, or close it, and run this again"
        )
    if not path.parent.is_dir():
        return (
            f"there is no folder {path.parent}, where the databases of this machine lie: mkdir -p "
            f"{path.parent} (or unset DBT_MESH_HOME)"
        )
    return f"{path}: {str(error).splitlines()[0]}"


def make_missing(path: Path) -> None:
    """Creates an empty database if there is none, so that it can be attached. Raises
    duckdb.Error."""
    import duckdb  # most users of this module do not need it

    if path.parent.is_dir() and not path.exists():
        duckdb.connect(str(path), config=dict(STORAGE)).close()
