"""Lists the hooks (on-run-start, post-hook, on-run-end) that a member's dbt runs have to call.

The template has the macros, and the lines of dbt_project.yml that call them, in
template/{{ member }}/ and template/{{ publisher }}/macros/.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from dbtmesh import yaml_files


class Hook(Enum):
    """A macro that dbt_project.yml calls: its name, its place, and the effect if it is missing."""

    ATTACH_STAND_INS = (
        "attach_stand_ins",
        "on-run-start",
        "on DuckDB, models that read the project's sources in other databases do not build",
    )
    CHECK_ENVIRONMENT = (
        "check_mesh_environment",
        "on-run-start",
        "if the local contracts are those of another target, each model fails with `does not "
        "exist` instead of the run stopping with one clear line",
    )
    REVOKE = (
        "revoke_public_read",
        "on-run-start",
        "models that are no longer public stay readable during a run, and after it if it fails",
    )
    RECONCILE = (
        "reconcile_public_read",
        "on-run-end",
        "readers get no SELECT on models that become public, and keep it on those that are no "
        "longer public",
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
        """The call of the macro, as dbt_project.yml has it."""
        return f"{{{{ {self.macro}() }}}}"


OF_GRANTS = (Hook.REVOKE, Hook.RECONCILE, Hook.GRANT)
"""Hooks of a publisher, which grant SELECT to readers and revoke it."""


def effect(macro: str) -> str | None:
    """Returns what happens if no hook calls this macro; None if it is not a macro of a hook."""
    return next((hook.effect for hook in Hook if hook.macro == macro), None)


def on_run_end(root: Path) -> str:
    """Returns the on-run-end hooks in dbt_project.yml as text; empty if the file cannot be read.

    They are not taken from the manifest, because not every engine writes them there.
    """
    hooks = yaml_files.mapping(root / "dbt_project.yml").get("on-run-end")
    return "\n".join(map(str, hooks if isinstance(hooks, list) else [hooks or ""]))
