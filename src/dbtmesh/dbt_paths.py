"""Lists the folders where dbt looks for the files of a project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PATHS: Mapping[str, str] = {
    "model-paths": "models",
    "seed-paths": "seeds",
    "snapshot-paths": "snapshots",
    "macro-paths": "macros",
    "analysis-paths": "analyses",
    "test-paths": "tests",
    "function-paths": "functions",
}
"""Keys of dbt_project.yml → dbt's default folder."""
OLD: Mapping[str, str] = {"model-paths": "source-paths", "seed-paths": "data-paths"}
"""The names that keys had before dbt 1.0. dbt Core still reads them if the new one is missing."""


def key_of(settings: Mapping[str, Any], key: str) -> str:
    """Returns the key by the name that a dbt_project.yml uses, which may be the old one."""
    old = OLD.get(key, key)
    return old if key not in settings and old in settings else key


def folders(settings: Mapping[str, Any], key: str) -> list[str]:
    """Returns the folders that a dbt_project.yml names under a key, or dbt's default."""
    named = settings.get(key_of(settings, key))
    if not isinstance(named, list):
        return [PATHS[key]]
    return [each for each in named if isinstance(each, str)]
