"""`fleet demo`: runs the whole mesh with the commands that people run in a member.

This module runs it on one machine (DuckDB); `fleet.demo_snowflake` runs the same members on an
account.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from dbtmesh.config import Engine, Location, load_member
from fleet import dbt_v2
from fleet import map as mesh_map
from fleet.console import plain
from fleet.demo_cleanup import Made, absent
from fleet.demo_mesh import (
    DATA_FILES,
    DOWNSTREAM_STEPS,
    MODELS,
    ORIGINS,
    UPSTREAM_STEPS,
    Demo,
    Step,
    locate,
)
from fleet.errors import FleetError

ELSEWHERE = ("DBT_MESH_BUCKET", "DBT_MESH_REGISTRY", "DBT_MESH_ENV", "DBT_TARGET")
"""Variables that, if they are exported, lead a member's commands to another mesh than the demo."""
# Both readers of the demo have recorded that they read this column. BSD's sed requires the suffix.
MARTS = "models/marts/_marts.yml"
RENAME = f"sed -i.bak 's/name: country_code/name: country/' {MARTS}"
RENAME_BACK = f"mv {MARTS}.bak {MARTS}"
DESCRIBE = f"sed -i.bak 's/Who ordered/The customer who ordered/' {MARTS}"


def run(folder: Path, engine: Engine = Engine.CORE) -> int:
    """Renders the missing members, builds all of them, and shows the result. Raises FleetError."""
    demo = locate(folder)
    if "'" in str(demo.folder.resolve()):
        raise FleetError(
            f"dbt-duckdb reads no seeds below {demo.folder.resolve()}, whose path has an "
            "apostrophe: name another folder (make demo in another clone, or "
            "`.venv/bin/python -m fleet demo --folder FOLDER`)"
        )
    if engine is Engine.V2:
        demo = replace(demo, v2=dbt_v2.program())
    started = time.monotonic()
    render(demo)
    _check_engines(demo)
    demo.home.mkdir(parents=True, exist_ok=True)
    execute(demo, UPSTREAM_STEPS)
    downstreams = [DOWNSTREAM_STEPS[member] for member in demo.members[1:]]
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(execute, demo), downstreams))
    show(demo, {member: _count(demo.database(member), MODELS[member]) for member in demo.members})
    mesh_map.write(Location((demo.home / "registry").as_uri(), "local"), demo.map)
    demo.console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    what_next(demo)
    return 0


def render(demo: Demo, more_answers: Mapping[str, str] | None = None) -> None:
    """Renders the missing members. Existing members keep their edits.

    Raises FleetError where the folder cannot be written.
    """
    made = Made(demo.folder)
    missing = [member for member in demo.members if not (demo.folder / member).exists()]
    try:
        made.add(demo.home, absent((*demo.shared_files, *demo.shared_folders)))
    except OSError as error:
        raise FleetError(
            f"cannot write in {demo.folder}: {error.strerror}; name another folder (--folder)"
        ) from None
    for member in demo.members:
        if member not in missing:
            report(demo, member, "kept as it is", 0)
            if made.has_rendered(member):  # DBT_MESH_HOME may have changed since then
                made.add(demo.home, absent(demo.of_member(member)))
    if not missing:
        return
    from fleet import render as rendering

    for member in missing:
        to_come = absent(demo.of_member(member))
        answers = yaml.safe_load((DATA_FILES / f"{member}.yml").read_text())
        timed(
            demo,
            member,
            f"copier copy --data-file fleet/demo_members/{member}.yml",
            partial(
                rendering.render,
                rendering.Source(),
                demo.folder / member,
                answers | {"engine": demo.engine, **(more_answers or {})},
                tasks=True,
            ),
        )
        made.add_rendered(member, demo.home, to_come)


def _check_engines(demo: Demo) -> None:
    """Raises FleetError where an existing member runs on the other dbt."""
    for member in demo.members:
        if load_member(demo.folder / member).engine is not demo.engine:
            raise FleetError(
                f"{demo.folder / member} does not run on dbt {demo.engine}: name another folder "
                "(--folder), or remove that demo first (make demo-clean)"
            )


def execute(demo: Demo, steps: Iterable[Step]) -> None:
    """Runs commands of members in order. Raises FleetError with the output of one that fails."""
    for step in steps:
        timed(demo, step.member, step.command, partial(_execute, demo, step))


def _execute(demo: Demo, step: Step) -> None:
    program, *arguments = shlex.split(step.command)
    if program.endswith(".py"):
        line = [sys.executable, program, *arguments]
    else:
        dbt = demo.v2 or Path(sys.executable).with_name("dbt")
        line = [str(dbt) if program == "dbt" else program, *arguments]
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
    if done.returncode and demo.v2 and dbt_v2.NO_DRIVER.search(done.stdout):
        raise FleetError(
            "dbt v2 has no DuckDB driver, and neither npm nor dbt itself could download it: "
            "install npm and try again where its registry is reachable, or `make demo` on dbt Core"
        )
    if done.returncode:
        raise FleetError(
            f"in {demo.folder / step.member}, `{step.command}` failed with status "
            f"{done.returncode}:\n{done.stdout.rstrip()}\n"
            "Fix the cause and run the demo again: it keeps what is done already."
        )


def environment(demo: Demo) -> dict[str, str]:
    """Returns the caller's environment without variables that would lead commands elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
    return kept | {
        "DBT_MESH_HOME": str(demo.home),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "false",
        "DBT_MESH_PYTHON": sys.executable,
    }


def timed(demo: Demo, member: str, text: str, action: Callable[[], Any]) -> None:
    if demo.console.is_terminal:
        demo.console.print(f"[dim]  …  {member:14} {plain(text)}[/dim]")
    started = time.monotonic()
    action()
    report(demo, member, text, time.monotonic() - started)


def report(demo: Demo, member: str, text: str, seconds: float) -> None:
    took = f"{seconds:5.1f} s" if seconds else "       "
    demo.console.print(f"[green]  ok[/green] {member:14} {took}  {plain(text)}")


def show(demo: Demo, counts: Mapping[str, tuple[int, float]]) -> None:
    """Prints what was built. counts: rows and net amount of each member's model.

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
    _, one, other = counts
    if counts[one] != counts[other] or not counts[one][0]:
        raise FleetError(
            f"downstream_orders of {one} and {other} should be equal and not empty: "
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
    others = [name for name in ELSEWHERE if os.environ.get(name)]
    export += f" && unset {' '.join(others)}" if others else ""
    dbt = f" && export PATH={shlex.quote(str(demo.v2.parent))}:$PATH" if demo.v2 else ""
    engine = " ENGINE=v2" if demo.v2 else ""
    here = shlex.quote(os.path.relpath(Path.cwd(), demo.folder / "dbt_down"))
    demo.console.print(
        f"""
Where it is
  members    {demo.folder}
  databases  {demo.home}/<PREFIX>_LOCAL.duckdb
  registry   {demo.home}/registry
  map        {demo.map}
             (a page that shows the mesh: open it in a browser)

What to try next, line by line
  source .venv/bin/activate{export}{dbt}
  cd {folder}/dbt_up
  # which readers of the column country_code would a renaming break?
  {RENAME}
  dbt parse && scripts/publish_manifest.py --check
  {RENAME_BACK}
  # a change that breaks no reader: publish it, and sync it to dbt_down
  {DESCRIBE}
  dbt build --select public_orders+ && scripts/publish_manifest.py
  cd ../dbt_down && scripts/sync_mesh.py && dbt build
  # run the demo again with your changes; then remove it
  cd {here} && make demo{engine}
  make demo-clean{engine}

The same projects on Snowflake: see docs/snowflake.md.""",
        markup=False,
    )
