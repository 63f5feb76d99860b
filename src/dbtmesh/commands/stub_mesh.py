"""Make stand-ins for the models of other projects, so that this one builds on a laptop or in CI.

For each upstream, from nothing but what it publishes:

  $DBT_MESH_HOME/<PREFIX>_LOCAL.duckdb   a table for each public model, of the published types;
                                         empty, or with rows that keep the contract
  $DBT_MESH_HOME/registry/<upstream>/local/latest/manifest.json
                                         the interface, as if it had been published from here
  scripts/stub_mesh.py                   from what is published to prod
  scripts/stub_mesh.py --rows 5          five rows in each table
  scripts/stub_mesh.py --offline         from state/<upstream>/manifest.json, as committed

and then `dbt build` (target local). What the project reads is synced on the way, so that it names
the local databases; `scripts/sync_mesh.py --env prod` turns that back. What has really been built
or published on this machine stays as it is.

A unit test of a loom project cannot have another project's model as an input (`given: - input:
ref('alpha', 'orders')`): dbt says that the node is protected (dbt-loom#159). Put a staging model in
between, which selects from it, and have the unit test name that.

Exit status: 0 done, 1 it failed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, config
from dbtmesh.commands import sync_mesh
from dbtmesh.downstream import committed, stub
from dbtmesh.manifest import interface
from dbtmesh.registry import keys, latest
from dbtmesh.registry import store as registry

if TYPE_CHECKING:
    import duckdb


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument(
        "--upstream", action="append", metavar="U", help="only this one (may be given again)"
    )
    parser.add_argument(
        "--rows", type=int, default=0, metavar="N", help="rows in each table (default none)"
    )
    parser.add_argument("--offline", action="store_true", help="from the last good copies")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the SQL of the tables, and write nothing"
    )
    arguments = parser.parse_args(words)
    if not 0 <= arguments.rows <= 1000:
        raise MeshError(f"--rows {arguments.rows}: between 0 and 1000, for these are no test data")

    member = config.load_member(root)
    names = arguments.upstream or [upstream.name for upstream in member.upstreams]
    upstreams = [member.upstream(name) for name in dict.fromkeys(names)]
    env = arguments.env or os.environ.get("DBT_MESH_ENV") or "prod"
    home = config.mesh_home(member.root)
    local = registry.open_store((home / "registry").as_uri())
    if arguments.offline:
        published = [committed.read(member.root, upstream.name) for upstream in upstreams]
    else:
        place = config.locate(member, bucket=arguments.bucket, registry=arguments.registry, env=env)
        store = registry.open_store(place.url, member.aws_region)
        published = [
            latest.get(store, upstream.name, place.env).interface for upstream in upstreams
        ]
    for upstream, each in zip(upstreams, published, strict=True):
        plan = stub.plan(each, upstream.database_prefix)
        for note in plan.notes:
            cli.note(f"{upstream.name}: {note}")
        if arguments.dry_run:
            cli.say(*(f"{line};" for line in plan.statements(arguments.rows)))
            continue
        cli.say(
            make(plan, local, home / f"{upstream.database_prefix}_LOCAL.duckdb", arguments.rows)
        )
    if arguments.dry_run:
        return cli.OK
    flags = [flag for upstream in upstreams for flag in ("--upstream", upstream.name)]
    return sync_mesh.main(["--registry", local.url, "--env", "local", *flags], root)


def make(plan: stub.Plan, local: registry.Store, path: Path, rows: int) -> str:
    """Makes the tables and the local publication, unless real ones are there; what was done."""
    project = plan.interface.project
    if built := really_built(path):
        return f"{project}: {built} in {path} was built on this machine: all of it stays as it is"
    key = keys.latest(project, "local")
    there = latest.find(local, project, "local")
    real = there is not None and interface.STUB not in there.interface.notes
    if there and real and there.interface.nodes != plan.interface.nodes:
        raise MeshError(
            f"{project} has published something else on this machine, {local.url}/{key}: remove "
            "that, or name another folder in $DBT_MESH_HOME"
        )
    write_database(path, plan, rows)
    if not real:
        local.write(key, plan.interface.body, replaces=there.etag if there else None)
    count = f"{len(plan.tables)} stub{'' if len(plan.tables) == 1 else 's'}"
    what = f"{rows} row{'' if rows == 1 else 's'} each" if rows else "empty"
    return f"{project}: {count}, {what}, of {plan.interface.notes[interface.STUB]} in {path}"


def really_built(path: Path) -> str | None:
    """The name of a table or view in a database that is no stub, if there is one."""
    import duckdb

    if not path.exists():
        return None
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            row = connection.execute(
                "with found as (select schema_name || '.' || table_name as name, comment "
                "from duckdb_tables() where not internal union all "
                "select schema_name || '.' || view_name, comment from duckdb_views() "
                "where not internal) select min(name) from found "
                "where comment is null or not starts_with(comment, ?)",
                [stub.MARK],
            ).fetchone()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise MeshError(f"cannot look into {path}, so it stays: {reason}") from None
    return str(row[0]) if row and row[0] else None


def write_database(path: Path, plan: stub.Plan, rows: int) -> None:
    """A new database in place of the old one, whole or not at all."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with duckdb.connect(str(scratch), config=stub.FORMAT) as connection:
            try:
                for statement in plan.statements(rows):
                    connection.execute(statement)
            except duckdb.Error as error:
                raise refused(connection, plan, rows) or error from None
        scratch.replace(path)
    except duckdb.Error as error:
        raise MeshError(f"cannot make {path}: {str(error).splitlines()[0]}") from None
    finally:
        for left in (scratch, scratch.with_name(f"{scratch.name}.wal")):
            left.unlink(missing_ok=True)


def refused(connection: duckdb.DuckDBPyConnection, plan: stub.Plan, rows: int) -> MeshError | None:
    """What DuckDB says of the first column that it cannot fill, if it is for one."""
    import duckdb

    for column, query in plan.trials(rows):
        try:
            connection.execute(query)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            return MeshError(f"no stub of {plan.interface.project}.{column}: {reason}")
    return None
