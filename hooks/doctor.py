"""Runs the doctor of this version of the library over a member that a hook has just changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from before_update import TEMPLATE

sys.path.insert(0, str(TEMPLATE / "src"))

from dbtmesh.config import load_member
from dbtmesh.doctor import plan
from dbtmesh.doctor.finding import Finding
from dbtmesh.doctor.project import Project


def findings(project: Path, checks: Sequence[plan.Check] = plan.FILES) -> list[Finding]:
    """Returns what the project's files lack, without notes.

    Raises MeshError where mesh.yml cannot be read.
    """
    return plan.weighty(plan.examine(Project(load_member(project)), checks))


def told(found: Sequence[Finding]) -> list[str]:
    """Returns the findings' lines under a heading; no lines if there are no findings."""
    if not found:
        return []
    lines = [line for each in found for line in plan.described(each)]
    heading = ["", f"scripts/doctor.py finds more to do ({plan.what_next(found)}):"]
    return [*heading, *(f"  {line}" for line in lines)]
