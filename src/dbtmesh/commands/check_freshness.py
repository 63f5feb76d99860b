"""Check that the publications and tables that this project reads are not too old.

It looks at when each upstream built what it publishes. With --data it also looks at when the
relations that this project reads were last changed. Before this project's first deploy has put
these on record, all public relations count. Snowflake knows the time for tables, not for views, and
counts changes of columns and its own work on a table, too. DuckDB does not know it. The findings of
`dbt source freshness` (target/sources.json) count too, if it was run.

  python -m dbtmesh check-freshness --env prod --max-age 26
  python -m dbtmesh check-freshness --env prod --max-age 26 --data

With --data it signs in to Snowflake as the target `ci` does, or as `prod` with --target prod: by
the key in $SNOWFLAKE_PRIVATE_KEY or its file, or by workload identity. In GitHub Actions the
findings also go to the step's summary, as Markdown.

Exit status: 0 all is fresh, 1 it failed, 2 something is stale or missing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dbtmesh import MeshError, cli, config, flags, parallel
from dbtmesh.ci.github import workflow_commands
from dbtmesh.downstream import freshness
from dbtmesh.downstream.freshness import Finding
from dbtmesh.manifest import interface
from dbtmesh.output import markdown
from dbtmesh.registry import keys, latest
from dbtmesh.registry import records as consumers
from dbtmesh.registry import store as registry
from dbtmesh.registry.routing import open_registry
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place, relation, sql_name


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    parser.add_argument(
        "--max-age",
        type=freshness.hours,
        required=True,
        metavar="HOURS",
        help="how old a publication, and with --data a table, may be",
    )
    parser.add_argument("--data", action="store_true", help="look at the tables, too")
    parser.add_argument(
        "--target", choices=("ci", "prod"), default="ci", help="whose sign-in to use (default ci)"
    )
    parser.add_argument(
        "--summary", type=flags.file, metavar="FILE", help="write the findings as Markdown, too"
    )
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = open_registry(member, place)
    published, failed = all_latest(store, member, place.env)
    now = datetime.now(UTC)
    findings = [
        freshness.publication(name, each.generated_at, arguments.max_age, now)
        if each
        else Finding(
            name,
            "",
            f"has published nothing to {place.env} ({registry.described(store.url)})",
            stale=True,
        )
        for name, each in published.items()
    ]
    if arguments.data:
        there = [each for each in published.values() if each]
        places = {each.project: read_of(store, member, place.env, each) for each in there}
        findings += data(member, arguments.target, there, places, arguments.max_age, now)
    findings += dbt_found(member.root / "target" / "sources.json")

    stale = [each for each in findings if each.stale]
    for each in stale:
        cli.say(str(each))
    total = f"{len(findings)} looked at, {len(stale)} stale" if stale else "all is fresh"
    cli.say(f"{member.project} reads {', '.join(published) or 'no project'}: {total}")
    workflow_commands.summarise(summary(member.project, findings, total), arguments.summary)
    if failed:
        raise MeshError("\n       ".join(failed))
    return cli.FOUND if stale else cli.OK


def all_latest(
    store: registry.Store, member: config.Member, env: str
) -> tuple[dict[str, interface.Interface | None], list[str]]:
    """Returns what each upstream publishes now (None for nothing), and why others cannot be
    read."""

    def one(upstream: config.Upstream) -> interface.Interface | MeshError | None:
        try:
            found = latest.find(store, upstream, env)
        except MeshError as error:
            return error
        return found.interface if found else None

    found = parallel.each(one, member.upstreams)
    names = [upstream.name for upstream in member.upstreams]
    read = {n: i for n, i in zip(names, found, strict=True) if not isinstance(i, MeshError)}
    return read, [str(each) for each in found if isinstance(each, MeshError)]


def read_of(
    store: registry.Store, member: config.Member, env: str, published: interface.Interface
) -> set[Place]:
    """Returns the relations that this project reads of an upstream, as recorded. Without a record
    that can be read, returns all that it may read."""
    key = keys.record(published.project, env, member.project)
    nodes, record = published.nodes, None
    try:
        if stored := store.read(key, most=consumers.MOST_BYTES):
            record = consumers.decode(stored.body, member.project, f"{store.url}/{key}")
    except MeshError as error:
        cli.note(f"{error}; all that this project may read is checked")
    if record:
        nodes = {read.model: nodes[read.model] for read in record.reads if read.model in nodes}
    else:
        nodes = {
            uid: node
            for uid, node in nodes.items()
            if (named := interface.shared_with(node)) is None or member.project in named
        }
    return {relation(node, published.warehouse).place for node in nodes.values()}


def data(
    member: config.Member,
    target: str,
    published: Iterable[interface.Interface],
    places: dict[str, set[Place]],
    max_age: float,
    now: datetime,
) -> list[Finding]:
    """Finds the ages of tables, with one query for each database."""
    findings, on_snowflake = [], []
    for each in published:
        if each.warehouse is Warehouse.SNOWFLAKE:
            on_snowflake.append(each)
        else:
            seen = f"has no known age ({each.warehouse.value})"
            findings.append(Finding(each.project, "data", seen))
    if not any(places[each.project] for each in on_snowflake):
        return findings

    from dbtmesh.snowflake import session as snowflake

    session = snowflake.sign_in_as(member, target)
    for each in on_snowflake:
        by_database = defaultdict(set)
        for one in places[each.project]:
            by_database[one[0]].add(one)
        for database, wanted in sorted(by_database.items()):
            rows = session.rows(
                "SELECT TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, LAST_ALTERED "  # noqa: S608
                f"FROM {sql_name(database)}.INFORMATION_SCHEMA.TABLES",
                session.role,
            )
            findings += freshness.data(each.project, wanted, rows, max_age, now)
    session.close()
    return findings


def dbt_found(path: Path) -> list[Finding]:
    """Returns the findings of `dbt source freshness`, if it was run. Raises MeshError where its
    file is not valid."""
    try:
        return freshness.of_dbt(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return []
    except (MeshError, ValueError, RecursionError):
        raise MeshError(
            f"{path} is not what `dbt source freshness` writes: run it again, or remove it"
        ) from None


def summary(project: str, findings: Iterable[Finding], total: str) -> list[str]:
    rows = [
        [
            markdown.code(each.upstream),
            markdown.text(each.what or "publication"),
            f"**{markdown.text(each.seen)}**" if each.stale else markdown.text(each.seen),
        ]
        for each in findings
    ]
    title = f"### How fresh is what {markdown.code(project)} reads? {total}"
    return [title, "", *(markdown.table(["project", "what", "seen"], rows) if rows else ()), ""]
