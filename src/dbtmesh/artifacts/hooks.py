"""Lists the hooks (on-run-start, post-hook, on-run-end) that a member's dbt runs have to call.

The macros are the template's, and so are the lines of dbt_project.yml that call them:
template/{{ member }}/ and template/{{ publisher }}/macros/.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from dbtmesh import yaml_files


class Hook(Enum):
    """A macro that dbt_project.yml calls: its name, where, and what happens where it does not."""

    ATTACH_STAND_INS = (
        "attach_stand_ins",
        "on-run-start",
        "on DuckDB, models that read the project's sources in other databases do not build",
    )
    CHECK_ENVIRONMENT = (
        "check_mesh_environment",
        "on-run-start",
        "where the contracts at hand are another target's, each model fails with `does not exist` "
        "instead of one clear line",
    )
    REVOKE = (
        "revoke_public_read",
        "on-run-start",
        "models that are not public any more stay readable while a run builds, and where it fails",
    )
    RECONCILE = (
        "reconcile_public_read",
        "on-run-end",
        "readers get no SELECT on models that become public, and keep it on those that are not "
        "public any more",
    )
    GRANT = (
        "grant_public_read",
        "models: +post-hook",
        "readers get no SELECT on public models",
    )

    def __init__(self, macro: str, place: str, effect: str) -> None:
        self.macro, self.place, self.effect = macro, place, effect

    @property
    def line(self) -> str:
        """What calls it, as dbt_project.yml has it."""
        return f"{{{{ {self.macro}() }}}}"


OF_GRANTS = (Hook.REVOKE, Hook.RECONCILE, Hook.GRANT)
"""Hooks of a publisher, for readers to get and lose SELECT."""


def effect(macro: str) -> str | None:
    """What happens where no hook calls this macro; None for one that is not a hook's."""
    return next((hook.effect for hook in Hook if hook.macro == macro), None)


def on_run_end(root: Path) -> str:
    """The hooks at the end of a run that dbt_project.yml names, as text, because a manifest does
    not have them on every engine; empty where the file cannot be read."""
    hooks = yaml_files.mapping(root / "dbt_project.yml").get("on-run-end")
    return "\n".join(map(str, hooks if isinstance(hooks, list) else [hooks or ""]))
