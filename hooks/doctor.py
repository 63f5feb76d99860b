"""The doctor of the library, of this very version, over a member that a hook has just changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from previous import TEMPLATE

sys.path.insert(0, str(TEMPLATE / "src"))

from dbtmesh.config import load_member
from dbtmesh.doctor import plan
from dbtmesh.doctor.project import Project


def findings(project: Path, checks: Sequence[plan.Check] = plan.FILES) -> list[str]:
    """Lines of what the project's files lack; notes are left out.

    Raises MeshError where mesh.yml cannot be read.
    """
    found = plan.weighty(plan.examine(Project(load_member(project)), checks))
    return [line for each in found for line in plan.described(each)]


def told(lines: Sequence[str]) -> list[str]:
    """The same under a heading; nothing where nothing was found."""
    heading = ["", "scripts/doctor.py finds more to do (--fix shows the changes, and makes them):"]
    return [*heading, *(f"  {line}" for line in lines)] if lines else []
