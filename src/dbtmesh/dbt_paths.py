"""Lists the folders where dbt looks for the files of a project."""

from __future__ import annotations

from collections.abc import Mapping

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
