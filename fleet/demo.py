"""`fleet demo`: the whole mesh, with the commands that a member's people run.

Here on one machine (DuckDB); `fleet.demo_snowflake` runs the same members on an account.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fleet import map as mesh_map
from fleet.errors import FleetError
from mesh.config import Location

MODELS = {
    "dbt_up": "public_orders",
    "dbt_down": "downstream_orders",
    "dbt_down_loom": "downstream_orders",
}
"""What each member is about, in the order in which they are built."""
MEMBERS = tuple(MODELS)
ORIGINS = {
    "dbt_up": "its own seeds",
    "dbt_down": "source('dbt_up', 'public_orders')",
    "dbt_down_loom": "ref('dbt_up', 'public_orders')",
}
ANSWERS = Path(__file__).parent / "demo_members"


class Step(NamedTuple):
    """A command that a member's people run in its folder, and what they have exported for it."""

    member: str
    command: str
    environment: Mapping[str, str] = {}


# Those of the two downstreams run side by side.
UPSTREAM_STEPS = (
    Step("dbt_up", "dbt build"),
    Step("dbt_up", "scripts/publish_manifest.py"),
)
DOWNSTREAM_STEPS = (
    (
        Step("dbt_down", "scripts/sync_mesh.py"),
        Step("dbt_down", "dbt build --defer --state state/dbt_up"),
        Step("dbt_down", "scripts/validate_lineage.py --record"),
    ),
    (
        Step("dbt_down_loom", "dbt build"),
        Step("dbt_down_loom", "scripts/validate_lineage.py --record"),
    ),
)


@dataclass(frozen=True)
class Demo:
    """folder: holds the members; home: holds database files and registry ($DBT_MESH_HOME)."""

    folder: Path
    home: Path
    console: Console

    @property
    def map(self) -> Path:
        return self.folder / "mesh.html"

    def database(self, member: str) -> Path:
        return self.home / f"{member.upper()}_LOCAL.duckdb"


def locate(folder: Path) -> Demo:
    folder = folder.absolute()
    named = os.environ.get("DBT_MESH_HOME")
    home = Path(named).expanduser().absolute() if named else folder / ".mesh"
    return Demo(folder, home, Console(highlight=False, soft_wrap=True))


def run(folder: Path) -> int:
    """Renders what is missing, builds all, and shows the result. Raises FleetError."""
    demo = locate(folder)
    started = time.monotonic()
    render(demo)
    demo.home.mkdir(parents=True, exist_ok=True)
    execute(demo, UPSTREAM_STEPS)
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(execute, demo), DOWNSTREAM_STEPS))
    show(demo, {member: _count(demo.database(member), model) for member, model in MODELS.items()})
    mesh_map.write(Location((demo.home / "registry").as_uri(), "local"), demo.map)
    demo.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    what_next(demo)
    return 0


def render(demo: Demo, more_answers: Mapping[str, str] | None = None) -> None:
    """Renders the members that are missing; those that are there keep what was edited."""
    missing = [member for member in MEMBERS if not (demo.folder / member).exists()]
    for member in MEMBERS:
        if member not in missing:
            report(demo, member, "kept as it is", 0)
    if not missing:
        return
    from fleet import render as rendering

    with rendering.opened() as template:
        for member in missing:
            answers = yaml.safe_load((ANSWERS / f"{member}.yml").read_text())
            timed(
                demo,
                member,
                f"copier copy --data-file fleet/demo_members/{member}.yml",
                partial(
                    rendering.render,
                    template,
                    demo.folder / member,
                    answers | dict(more_answers or {}),
                ),
            )


def execute(demo: Demo, steps: Iterable[Step]) -> None:
    """Runs commands of members one after the other. Raises FleetError with what one printed."""
    for step in steps:
        timed(demo, step.member, step.command, partial(_execute, demo, step))


def _execute(demo: Demo, step: Step) -> None:
    program, *arguments = shlex.split(step.command)
    beside = Path(sys.executable).parent
    if program.endswith(".py"):
        line = [sys.executable, program, *arguments]
    else:
        line = [str(beside / program) if program == "dbt" else program, *arguments]
    done = subprocess.run(
        line,
        cwd=demo.folder / step.member,
        env={**environment(demo), **step.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FleetError(
            f"in {demo.folder / step.member}, `{step.command}` failed with status "
            f"{done.returncode}:\n{done.stdout.rstrip()}\n"
            "Put it right and run it again: what is done already stays."
        )


def environment(demo: Demo) -> dict[str, str]:
    """The caller's environment without what would lead dbt or the scripts away from the demo."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
    return kept | {
        "DBT_MESH_HOME": str(demo.home),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "false",
        "DBT_MESH_PYTHON": sys.executable,
    }


def timed(demo: Demo, member: str, text: str, action: Callable[[], Any]) -> None:
    if demo.console.is_terminal:
        demo.console.print(f"[dim]  …  {member:14} {escape(text)}[/dim]")
    started = time.monotonic()
    action()
    report(demo, member, text, time.monotonic() - started)


def report(demo: Demo, member: str, text: str, seconds: float) -> None:
    took = f"{seconds:5.1f} s" if seconds else "       "
    demo.console.print(f"[green]  ok[/green] {member:14} {took}  {escape(text)}")


def show(demo: Demo, counts: Mapping[str, tuple[int, float]]) -> None:
    """Prints what was built; counts: rows and net amount of each member's model.

    Raises FleetError where the two downstreams do not agree.
    """
    table = Table(title="\nWhat was built")
    table.add_column("model", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("net amount", justify="right")
    table.add_column("read from")
    for member, (rows, amount) in counts.items():
        name = f"{member}.{MODELS[member]}"
        table.add_row(name, str(rows), f"{amount:,.2f}", ORIGINS[member])
    demo.console.print(table)
    if counts["dbt_down"] != counts["dbt_down_loom"] or not counts["dbt_down"][0]:
        raise FleetError(
            "downstream_orders of dbt_down and dbt_down_loom should be equal and not empty: "
            "has one of the models been edited?"
        )


def _count(database: Path, model: str) -> tuple[int, float]:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(
            f"select count(*), coalesce(sum(net_amount), 0) from MARTS.{model}"  # noqa: S608
        ).fetchone()
    assert row is not None
    return int(row[0]), float(row[1])


def what_next(demo: Demo) -> None:
    folder = shlex.quote(os.path.relpath(demo.folder))
    beside = demo.home == demo.folder / ".mesh"  # where the members look without being told
    export = "" if beside else f" && export DBT_MESH_HOME={shlex.quote(str(demo.home))}"
    demo.console.print(
        f"""
Where it lies
  members    {demo.folder}
  databases  {demo.home}/<PREFIX>_LOCAL.duckdb
  registry   {demo.home}/registry
  map        {demo.map}   the mesh as a page: open it in a browser

What to try next
  source .venv/bin/activate{export}
  cd {folder}/dbt_up && dbt build --select public_orders+      change a model, build it
  scripts/publish_manifest.py --check         what would consumers notice? (drop a column and see)
  cd ../dbt_down && scripts/sync_mesh.py      bring a change in, then dbt build
  make demo                                   all of it again, with your changes
  make demo-clean                             and away with it

The same projects on Snowflake: see "From the laptop to Snowflake" in README.md.""",
        markup=False,
    )


def clean(folder: Path) -> int:
    """Removes the members and what they made, and the folders if nothing else is in them."""
    demo = locate(folder)
    for member in MEMBERS:
        for path in (
            demo.folder / member,
            demo.home / "registry" / member,
            demo.home / "state" / member,
        ):
            shutil.rmtree(path, ignore_errors=True)
        for suffix in ("", ".wal"):
            demo.database(member).with_name(demo.database(member).name + suffix).unlink(
                missing_ok=True
            )
    demo.map.unlink(missing_ok=True)
    for shared in ("registry", "state"):
        (demo.home / shared / ".lock").unlink(missing_ok=True)
    for path in (demo.home / "registry", demo.home / "state", demo.home, demo.folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    demo.console.print("removed what the demo made")
    return 0
