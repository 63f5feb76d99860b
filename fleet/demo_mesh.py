"""Defines the demo mesh: its members, the commands that they run on one machine, and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from dbtmesh.config import Engine

MODELS = {
    "dbt_up": "public_orders",
    "dbt_down": "downstream_orders",
    "dbt_down_loom": "downstream_orders",
    "dbt_down_ref": "downstream_orders",
}
"""The model that each member shows, in the order in which they are built."""
MEMBERS = ("dbt_up", "dbt_down", "dbt_down_loom")
ON_V2 = ("dbt_up", "dbt_down", "dbt_down_ref")
"""The members on dbt v2, which has no plugins: the third is a native member that reads by `ref`."""
ORIGINS = {
    "dbt_up": "its own seeds",
    "dbt_down": "source('dbt_up', 'public_orders')",
    "dbt_down_loom": "ref('dbt_up', 'public_orders')",
    "dbt_down_ref": "ref('dbt_up', 'public_orders')",
}
DATA_FILES = Path(__file__).parent / "demo_members"
"""The folder with the answers of each member, in MEMBER.yml."""


class Step(NamedTuple):
    """A command that people run in a member's folder, and the variables that they export for it."""

    member: str
    command: str
    environment: Mapping[str, str] = {}


# The steps of the two downstreams run in parallel.
UPSTREAM_STEPS = (
    Step("dbt_up", "dbt build"),
    Step("dbt_up", "scripts/publish_manifest.py"),
)
DOWNSTREAM_STEPS = {
    "dbt_down": (
        Step("dbt_down", "scripts/sync_mesh.py"),
        Step("dbt_down", "dbt build --defer --state state/dbt_up"),
        Step("dbt_down", "scripts/validate_lineage.py --record"),
    ),
    "dbt_down_loom": (
        Step("dbt_down_loom", "scripts/sync_mesh.py"),
        Step("dbt_down_loom", "dbt build"),
        Step("dbt_down_loom", "scripts/validate_lineage.py --record"),
    ),
    "dbt_down_ref": (
        Step("dbt_down_ref", "scripts/sync_mesh.py"),
        Step("dbt_down_ref", "dbt build"),
        Step("dbt_down_ref", "scripts/validate_lineage.py --record"),
    ),
}


SHARED = ("registry", "state", "published")
"""Folders of the mesh's home. Each has a folder for each member."""


@dataclass(frozen=True)
class Demo:
    """Where a demo is, and what runs it.

    folder: holds the members.
    home: holds the database files and the registry ($DBT_MESH_HOME).
    v2: the program dbt v2 that runs the members; None for this environment's dbt Core.
    """

    folder: Path
    home: Path
    console: Console
    v2: Path | None = None

    @property
    def members(self) -> tuple[str, ...]:
        return ON_V2 if self.v2 else MEMBERS

    @property
    def engine(self) -> Engine:
        return Engine.V2 if self.v2 else Engine.CORE

    @property
    def map(self) -> Path:
        return self.folder / "mesh.html"

    def database(self, member: str) -> Path:
        return self.home / f"{member.upper()}_LOCAL.duckdb"

    def of_member(self, member: str) -> list[Path]:
        """Returns the paths that a member makes, its own folder first."""
        database = self.database(member)
        return [
            self.folder / member,
            *(self.home / shared / member for shared in SHARED),
            *(database.with_name(database.name + suffix) for suffix in ("", ".wal")),
        ]

    @property
    def shared_files(self) -> tuple[Path, ...]:
        """The files that the members make together. The first copy writes the .gitignore."""
        return (self.map, self.home / ".gitignore")

    @property
    def shared_folders(self) -> tuple[Path, ...]:
        """The folders that the members make together, innermost first."""
        return (*(self.home / shared for shared in SHARED), self.home, self.folder)


def locate(folder: Path) -> Demo:
    folder = folder.absolute()
    named = os.environ.get("DBT_MESH_HOME")
    home = Path(named).expanduser().absolute() if named else folder / ".mesh"
    return Demo(folder, home, Console(highlight=False, soft_wrap=True))
