"""The hooks that dbt_project.yml names; a manifest does not have them on every engine."""

from __future__ import annotations

from pathlib import Path

from dbtmesh import yaml_files
from dbtmesh.files import read_bounded


def on_run_end(root: Path) -> str:
    """The hooks at the end of a run, as text; empty where dbt_project.yml cannot be read."""
    try:
        settings = yaml_files.load(read_bounded(root / "dbt_project.yml"))
    except (OSError, yaml_files.NotYaml):
        return ""
    hooks = settings.get("on-run-end") if isinstance(settings, dict) else None
    return "\n".join(map(str, hooks if isinstance(hooks, list) else [hooks or ""]))
