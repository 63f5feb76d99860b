"""The hooks that dbt_project.yml names; a manifest does not have them on every engine."""

from __future__ import annotations

from pathlib import Path


def on_run_end(root: Path) -> str:
    """The hooks at the end of a run, as text; empty where dbt_project.yml cannot be read."""
    import yaml

    try:
        settings = yaml.safe_load((root / "dbt_project.yml").read_bytes())
    except (OSError, yaml.YAMLError, ValueError):
        return ""
    hooks = settings.get("on-run-end") if isinstance(settings, dict) else None
    return "\n".join(map(str, hooks if isinstance(hooks, list) else [hooks or ""]))
