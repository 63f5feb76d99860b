"""Create stub tables for what this project reads, so that it builds on DuckDB: on a laptop, and in
CI without any credential.

For each upstream, from nothing but what it publishes:

  $DBT_MESH_HOME/<PREFIX>_LOCAL.duckdb   a table for each public model, of the published types;
                                         empty, or with rows that keep the contract
  $DBT_MESH_HOME/registry/<upstream>/local/latest/manifest.json
                                         the interface, as if it had been published from here

For the project's own sources, such as tables that a loader brings to Snowflake:

  $DBT_MESH_HOME/<OWN PREFIX>_LOCAL.sources/<DATABASE>.duckdb
                                         a table for each source that is read: with the rows of
                                         samples/<source>/<table>.csv, else with the columns that
                                         the source declares (name and data_type), and those that
                                         the models read

  scripts/stub_mesh.py                   from what is published to prod
  scripts/stub_mesh.py --rows 5          five rows in each table that has no sample
  scripts/stub_mesh.py --offline         from state/<upstream>/manifest.json, as committed

Then run `dbt build` (target local). This command also syncs what the project reads, so that it
names the local databases; `scripts/sync_mesh.py --env prod` reverts that. What has really been
built or published on this machine stays as it is.

A unit test of a loom project cannot have another project's model as an input (`given: - input:
ref('alpha', 'orders')`): dbt says that the node is protected (dbt-loom#159). Put a staging model in
between, which selects from it, and have the unit test name that.

Exit status: 0 done, 1 it failed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from dbtmesh import MeshError, cli, config, dbt, flags
from dbtmesh.commands import sync_mesh
from dbtmesh.downstream import committed, local_database, own_sources, stub
from dbtmesh.manifest.interface import STUB, Interface
from dbtmesh.output.words import counted
from dbtmesh.registry import keys, latest
from dbtmesh.registry import store as registry
from dbtmesh.registry.routing import open_registry

SHOWN = 10
"""How many notes on one upstream are shown. Each is about a model that leaves something open."""
TARGET = "local"
"""The target on DuckDB."""


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    flags.add_upstream_flag(parser)
    parser.add_argument(
        "--rows", type=int, default=0, metavar="N", help="rows in each table (default none)"
    )
    parser.add_argument("--offline", action="store_true", help="use the last good copies")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the SQL of the tables, and write nothing"
    )
    arguments = parser.parse_args(words)
    if not 0 <= arguments.rows <= 1000:
        raise MeshError(f"--rows {arguments.rows}: give 0 to 1000; stand-ins are not test data")

    member = config.load_member(root)
    upstreams = member.chosen(arguments.upstream)
    home = config.mesh_home(member.root)
    local = registry.open_store((home / "registry").as_uri())
    made: list[str] = []
    failures: list[str] = []
    try:
        fetch = fetcher(member, arguments)
    except MeshError as error:  # the project's own sources need no registry
        failures.append(f"{error}, or --env local")
        upstreams = []
    for upstream in upstreams:
        try:
            plan = stub.plan(fetch(upstream), upstream.local_database)
            left = [] if arguments.dry_run else plan.notes[SHOWN:]
            for note in plan.notes[: len(plan.notes) - len(left)]:
                cli.note(f"{upstream.name}: {note}")
            if left:
                cli.note(f"{upstream.name}: and {len(left)} more such notes, which --dry-run shows")
            if arguments.dry_run:
                show(plan.tables, arguments.rows)
                continue
            path = home / f"{upstream.local_database}.duckdb"
            cli.say(make(plan, local, path, arguments.rows))
        except MeshError as error:  # the other upstreams can be used all the same
            failures.append(f"{upstream.name}: {error}")
        else:
            made.append(upstream.name)
    if made:
        chosen = [word for name in made for word in ("--upstream", name)]
        try:
            sync_mesh.main(["--registry", local.url, "--env", "local", *chosen], root)
        except MeshError as error:
            failures.append(str(error))
    if not arguments.upstream:
        make_own(member, home, arguments.rows, dry_run=arguments.dry_run)
    if failures:
        raise MeshError("\n       ".join(failures))
    return cli.OK


def fetcher(
    member: config.Member, arguments: argparse.Namespace
) -> Callable[[config.Upstream], Interface]:
    """Returns a function that reads an upstream's interface: from the registry, or from the
    committed copy."""
    if arguments.offline or not member.upstreams:
        return partial(committed.read, member.root)
    place = config.locate(
        member,
        bucket=arguments.bucket,
        registry=arguments.registry,
        env=arguments.env or os.environ.get("DBT_MESH_ENV") or "prod",
    )
    store = open_registry(member, place)
    return lambda upstream: latest.get(store, upstream, place.env).interface


def make(plan: stub.Plan, local: registry.Store, path: Path, rows: int) -> str:
    """Makes the tables and the local publication, unless real ones exist, and returns what it did.

    Raises MeshError where a real publication exists that has another interface.
    """
    project = plan.interface.project
    if built := local_database.really_built(path):
        return f"{project}: {built} in {path} was built on this machine: all of it stays as it is"
    key = keys.latest(project, "local")
    there = latest.find(local, project, "local")
    real = there is not None and STUB not in there.interface.notes
    if there and real and there.interface.nodes != plan.interface.nodes:
        raise MeshError(
            f"{project} has published something else on this machine, {local.url}/{key}: remove "
            "that, or name another folder in $DBT_MESH_HOME"
        )
    local_database.write_new(path, plan.tables, rows)
    if not real:
        local.write(key, plan.interface.body, replaces=there.etag if there else None)
    made = made_of(plan.tables, rows)
    return f"{project}: {made}, of {plan.interface.notes[STUB]} in {path}"


def make_own(member: config.Member, home: Path, rows: int, *, dry_run: bool) -> None:
    """Makes stubs for those of the project's own sources that nothing builds here."""
    if not own_sources.declares_any(member.root):
        return
    parsed = dbt.parse(member.root, member.engine, TARGET)
    plan = own_sources.plan(parsed, member)
    if plan.guessed and not dry_run:  # to compile, dbt connects, which makes a file
        home.mkdir(parents=True, exist_ok=True)
        compiled = dbt.compiled(member.root, member.engine, TARGET, plan.readers)
        plan = own_sources.plan(parsed, member, compiled)
        cli.note(
            f"{counted(plan.guessed, 'source')} without a data_type for each column: their stubs "
            "have the columns that models read, of any type; samples/<source>/<table>.csv says more"
        )
    for note in plan.notes:
        cli.note(note)
    for database, tables in plan.tables.items():
        if dry_run:
            show(tables, rows)
            continue
        path = own_sources.file_of(home, member, database)
        made = local_database.add(path, tables, rows)
        for table in tables:
            if table not in made:
                cli.say(f"{table.of}: it was built on this machine and stays as it is")
        for table in made:
            what = made_of([table], rows)
            cli.say(f"{table.of}: {what}, in {path}")


def made_of(tables: Sequence[stub.Table], rows: int) -> str:
    """Describes the tables, such as `3 stubs, 5 rows each`."""
    stubs = counted(len(tables), "stub")
    if len(tables) == 1 and tables[0].rows is not None:
        return f"{stubs} with {counted(len(tables[0].rows), 'row')} of {tables[0].comment}"
    return f"{stubs}, {counted(rows, 'row') + ' each' if rows else 'empty'}"


def show(tables: Iterable[stub.Table], rows: int) -> None:
    for table in tables:
        cli.say(*(f"{statement};" for statement in table.statements(rows)))
        if table.rows:
            cli.say(f"-- and {len(table.rows)} rows of {table.comment}")
