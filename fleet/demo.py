"""`fleet demo`: the whole mesh on one machine, with the commands that a member's people run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fleet.errors import FleetError

MEMBERS = ("dbt_up", "dbt_down", "dbt_down_loom")
ANSWERS = Path(__file__).parent / "demo_members"

# Each member's own commands; those of the two downstreams run side by side.
UPSTREAM_STEPS = (
    ("dbt_up", "dbt build"),
    ("dbt_up", "scripts/publish_manifest.py"),
)
DOWNSTREAM_STEPS = (
    (
        ("dbt_down", "scripts/sync_mesh.py"),
        ("dbt_down", "dbt build --defer --state state/dbt_up"),
        ("dbt_down", "scripts/validate_lineage.py"),
    ),
    (
        ("dbt_down_loom", "dbt build"),
        ("dbt_down_loom", "scripts/validate_lineage.py"),
    ),
)


@dataclass(frozen=True)
class Demo:
    """folder: holds the members; home: holds database files and registry ($DBT_MESH_HOME)."""

    folder: Path
    home: Path
    console: Console

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
    execute_all(demo, UPSTREAM_STEPS)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda steps: execute_all(demo, steps), DOWNSTREAM_STEPS))
    show(demo)
    demo.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    what_next(demo)
    return 0


def render(demo: Demo) -> None:
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
                partial(rendering.render, template, demo.folder / member, answers),
            )


def execute_all(demo: Demo, steps: Iterable[tuple[str, str]]) -> None:
    for member, command in steps:
        timed(demo, member, command, partial(execute, demo, member, command))


def execute(demo: Demo, member: str, command: str) -> None:
    """Runs a command of a member in its folder. Raises FleetError with what it printed."""
    program, *arguments = shlex.split(command)
    beside = Path(sys.executable).parent
    line = [str(beside / program) if program == "dbt" else sys.executable]
    line += arguments if program == "dbt" else [program, *arguments]
    done = subprocess.run(
        line,
        cwd=demo.folder / member,
        env=environment(demo),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FleetError(
            f"in {demo.folder / member}, `{command}` failed with status {done.returncode}:\n"
            f"{done.stdout.rstrip()}\n"
            f"Put it right and run `make demo` again, or start afresh with `make demo-clean`."
        )


def environment(demo: Demo) -> dict[str, str]:
    """The caller's environment without what would lead dbt or the scripts away from the demo."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
    return kept | {
        "DBT_MESH_HOME": str(demo.home),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "false",
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


def show(demo: Demo) -> None:
    """Prints what was built. Raises FleetError where the two downstreams do not agree."""
    counts = {}
    table = Table(title="\nWhat was built")
    table.add_column("model", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("net amount", justify="right")
    table.add_column("read from")
    origins = {
        "dbt_up": ("public_orders", "its own seeds"),
        "dbt_down": ("downstream_orders", "source('dbt_up', 'public_orders')"),
        "dbt_down_loom": ("downstream_orders", "ref('dbt_up', 'public_orders')"),
    }
    for member, (model, origin) in origins.items():
        rows, amount = _count(demo.database(member), model)
        counts[member] = rows, amount
        table.add_row(f"{member}.{model}", str(rows), f"{amount:,.2f}", origin)
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
    for shared in ("registry", "state"):
        (demo.home / shared / ".lock").unlink(missing_ok=True)
    for path in (demo.home / "registry", demo.home / "state", demo.home, demo.folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    demo.console.print("removed what the demo made")
    return 0
