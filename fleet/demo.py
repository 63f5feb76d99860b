"""`fleet demo`: the whole mesh, with the commands that a member's people run.

Here on one machine (DuckDB); `fleet.demo_snowflake` runs the same members on an account.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.console import Console
from rich.table import Table

from dbtmesh.config import Engine, Location, load_member
from dbtmesh.files import write_whole
from fleet import engines
from fleet import map as mesh_map
from fleet.console import plain
from fleet.errors import FleetError
from fleet.git import GitError, git
from fleet.members import ANSWERS as COPIER_ANSWERS

MODELS = {
    "dbt_up": "public_orders",
    "dbt_down": "downstream_orders",
    "dbt_down_loom": "downstream_orders",
    "dbt_down_ref": "downstream_orders",
}
"""What each member is about, in the order in which they are built."""
MEMBERS = ("dbt_up", "dbt_down", "dbt_down_loom")
ON_V2 = ("dbt_up", "dbt_down", "dbt_down_ref")
"""On dbt v2, which has no plugins, the third one reads by `ref` as a native member."""
ORIGINS = {
    "dbt_up": "its own seeds",
    "dbt_down": "source('dbt_up', 'public_orders')",
    "dbt_down_loom": "ref('dbt_up', 'public_orders')",
    "dbt_down_ref": "ref('dbt_up', 'public_orders')",
}
ANSWERS = Path(__file__).parent / "demo_members"
MARKER = ".fleet-demo.json"
"""In the demo's folder: what the demo made, there and in its homes. --clean goes by it."""


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


ELSEWHERE = ("DBT_MESH_BUCKET", "DBT_MESH_REGISTRY", "DBT_MESH_ENV", "DBT_TARGET")
"""What leads a member's commands away from the demo, where somebody has it exported."""
# Both readers of the demo have this column on record. BSD's sed wants the suffix, too.
MARTS = "models/marts/_marts.yml"
RENAME = f"sed -i.bak 's/name: country_code/name: country/' {MARTS}"
RENAME_BACK = f"mv {MARTS}.bak {MARTS}"


@dataclass(frozen=True)
class Demo:
    """folder: holds the members; home: holds database files and registry ($DBT_MESH_HOME).

    v2: the program dbt v2 that runs the members; None for dbt Core of this environment.
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
        """What comes of a member, its own folder first."""
        database = self.database(member)
        return [
            self.folder / member,
            *(self.home / shared / member for shared in ("registry", "state")),
            *(database.with_name(database.name + suffix) for suffix in ("", ".wal")),
        ]

    @property
    def shared_files(self) -> tuple[Path, ...]:
        """What comes of all members together. The .gitignore is the first copy's."""
        return (self.map, self.home / ".gitignore")

    @property
    def shared_folders(self) -> tuple[Path, ...]:
        """The same of folders, from the inside out."""
        return (self.home / "registry", self.home / "state", self.home, self.folder)


class Made:
    """What the demo made: whatever was not there before it came. Kept in a file of the demo's
    folder, by paths as seen from there, so that the folder can be moved."""

    def __init__(self, folder: Path) -> None:
        """Raises FleetError where the file is not as the demo writes it."""
        self.folder = folder
        path = folder / MARKER
        try:
            noted = json.loads(path.read_bytes()) if path.exists() else {}
            self.homes, self.paths = set(noted.get("homes", ())), set(noted.get("paths", ()))
            self.rendered: dict[str, int] = dict(noted.get("rendered", {}))
        except (ValueError, AttributeError, TypeError):
            raise FleetError(
                f"{path} is damaged, so what the demo made is not known: remove by hand what you "
                "do not need"
            ) from None

    def __contains__(self, path: Path) -> bool:
        return self._seen(path) in self.paths

    def _seen(self, path: Path) -> str:
        inside = path.is_relative_to(self.folder)
        return (path.relative_to(self.folder) if inside else path).as_posix()

    def add(self, home: Path, paths: Iterable[Path]) -> None:
        self.homes.add(self._seen(home))
        self.paths |= set(map(self._seen, paths))
        self.write()

    def add_rendered(self, member: str, home: Path, paths: Iterable[Path]) -> None:
        self.rendered[member] = self._stamp(member)
        self.add(home, paths)

    def has_rendered(self, member: str) -> bool:
        """Whether it is the demo's still, and not another project that somebody put there."""
        return self.rendered.get(member, 0) == self._stamp(member) != 0

    def _stamp(self, member: str) -> int:
        """When Copier wrote a member's answers, which nobody edits; 0 where there are none."""
        path = self.folder / member / COPIER_ANSWERS
        return path.stat().st_mtime_ns if path.exists() else 0

    def discard(self, path: Path) -> None:
        self.paths.discard(self._seen(path))

    def write(self) -> None:
        noted = {
            "homes": sorted(self.homes),
            "paths": sorted(self.paths),
            "rendered": self.rendered,
        }
        write_whole(self.folder / MARKER, json.dumps(noted, indent=2).encode())


def absent(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if not os.path.lexists(path)]


def locate(folder: Path) -> Demo:
    folder = folder.absolute()
    named = os.environ.get("DBT_MESH_HOME")
    home = Path(named).expanduser().absolute() if named else folder / ".mesh"
    return Demo(folder, home, Console(highlight=False, soft_wrap=True))


def run(folder: Path, engine: Engine = Engine.CORE) -> int:
    """Renders what is missing, builds all, and shows the result. Raises FleetError."""
    demo = locate(folder)
    if engine is Engine.V2:
        demo = replace(demo, v2=engines.v2())
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
    """Renders the members that are missing; those that are there keep what was edited."""
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
            if made.has_rendered(member):  # the home may be another one than before
                made.add(demo.home, absent(demo.of_member(member)))
    if not missing:
        return
    from fleet import render as rendering

    for member in missing:
        to_come = absent(demo.of_member(member))
        answers = yaml.safe_load((ANSWERS / f"{member}.yml").read_text())
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
    """Raises FleetError where a member that was there runs on the other dbt."""
    for member in demo.members:
        if load_member(demo.folder / member).engine is not demo.engine:
            raise FleetError(
                f"{demo.folder / member} does not run on dbt {demo.engine}: name another folder "
                "(--folder), or remove that demo first (make demo-clean)"
            )


def execute(demo: Demo, steps: Iterable[Step]) -> None:
    """Runs commands of members one after the other. Raises FleetError with what one printed."""
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
    if done.returncode and demo.v2 and engines.NO_DRIVER.search(done.stdout):
        raise FleetError(
            "dbt v2 has no DuckDB driver, and neither npm nor dbt itself could fetch it: install "
            "npm and try again where its registry is in reach, or `make demo` on dbt Core"
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
        demo.console.print(f"[dim]  …  {member:14} {plain(text)}[/dim]")
    started = time.monotonic()
    action()
    report(demo, member, text, time.monotonic() - started)


def report(demo: Demo, member: str, text: str, seconds: float) -> None:
    took = f"{seconds:5.1f} s" if seconds else "       "
    demo.console.print(f"[green]  ok[/green] {member:14} {took}  {plain(text)}")


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
    demo.console.print(
        f"""
Where it lies
  members    {demo.folder}
  databases  {demo.home}/<PREFIX>_LOCAL.duckdb
  registry   {demo.home}/registry
  map        {demo.map}   the mesh as a page: open it in a browser

What to try next
  source .venv/bin/activate{export}{dbt}
  cd {folder}/dbt_up
  {"dbt build --select public_orders+":44}   a model that you changed, and what reads it
  {RENAME}
  {"dbt parse; scripts/publish_manifest.py --check":44}   who reads country_code, and would notice?
  {RENAME_BACK}
  {"cd ../dbt_down && scripts/sync_mesh.py && dbt build":44}   brings a change in
  {f"make demo{engine}":44}   all of it again, with your changes
  {f"make demo-clean{engine}":44}   and away with it

The same projects on Snowflake: see docs/snowflake.md.""",
        markup=False,
    )


def clean(folder: Path) -> int:
    """Removes the members and what they made, and the folders if nothing else is in them.

    Raises FleetError, after that, where a member stays because it may be somebody's.
    """
    demo = locate(folder)
    made = Made(demo.folder)
    if made.paths:
        kept = [member for member in MODELS if why_kept(demo, made, member)]
        demos = [replace(demo, home=demo.folder / home) for home in sorted(made.homes)]
        for each in demos:
            for member in MODELS:
                if member not in kept:
                    remove(made, each.of_member(member))
        for each in demos:
            remove(made, each.shared_files)
            remove_if_empty(made, each.shared_folders[:-1])
        if any(made.has_rendered(member) for member in MODELS):
            made.write()
        else:
            (demo.folder / MARKER).unlink(missing_ok=True)
            remove_if_empty(made, [demo.folder])
        demo.console.print("removed what the demo made")
    else:
        demo.console.print(f"there is nothing that the demo made in {demo.folder}", markup=False)
    if reasons := "; ".join(filter(None, (why_kept(demo, made, member) for member in MODELS))):
        raise FleetError(reasons)
    return 0


def why_kept(demo: Demo, made: Made, member: str) -> str:
    """Why --clean leaves a member's folder alone; empty where it may go, or is gone."""
    path = demo.folder / member
    if not os.path.lexists(path):
        return ""
    if not made.has_rendered(member):
        return f"kept {path}: nothing says that the demo made it; is it yours to remove?"
    versioned = (path / ".git").exists()
    if not versioned and any((each / ".git").exists() for each in path.resolve().parents):
        try:
            versioned = bool(git(demo.folder, "ls-files", "--", member))
        except GitError as error:
            return f"kept {path}: is it under version control? {error}"
    return f"kept {path}: it is under version control; is it yours to remove?" if versioned else ""


def remove(made: Made, paths: Iterable[Path]) -> None:
    """Those that the demo made. Raises OSError."""
    for path in paths:
        if path in made:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            made.discard(path)


def remove_if_empty(made: Made, folders: Iterable[Path]) -> None:
    """Those that the demo made, and in which nothing is left but a registry's lock."""
    for folder in folders:
        if folder in made and folder.is_dir():
            if [path.name for path in folder.iterdir()] == [".lock"]:
                (folder / ".lock").unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
                made.discard(folder)
