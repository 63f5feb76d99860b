"""Check that other projects publish everything that this project reads of them.

Takes every edge of target/manifest.json that crosses a project's boundary, through a source or
through ref, and looks it up in what the upstream publishes now. Finds models that are gone or
never were public, relations that have moved, and sources that reach into an upstream's database
past its contract.

  dbt parse && scripts/validate_lineage.py              against the registry on this machine
  scripts/validate_lineage.py --env prod                against the registry that mesh.yml names
  scripts/validate_lineage.py --offline                 against state/<upstream>/manifest.json

A deploy records what it reads, so that an upstream knows who a change would break:

  dbt build --target prod && scripts/validate_lineage.py --env prod --record

This writes <registry>/<upstream>/<env>/consumers/<this project>.json: the models that are read,
their columns as far as the compiled SQL tells, which models read them, and their owner (of a dbt
group, or `meta: {owner: …}`). With --dry-run it only shows what would be written.

With --keep-going, which is for deploys, the last good copy stands in for a publication that is
refused or cannot be read.

In GitHub Actions the findings go to the step's summary as well, as Markdown.

A manifest that is older than the project's files, or of a run of dbt that failed, proves nothing:
run `dbt parse` or `dbt build` again, or pass --allow-stale or --allow-failed. A manifest given with
--manifest is taken as it is.

Exit status: 0 every edge resolves, 1 it failed, 2 at least one does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dbtmesh import MeshError, cli, config, flags, parallel
from dbtmesh.ci.github import job, workflow_commands
from dbtmesh.downstream import committed, keep_going, lineage
from dbtmesh.files import read_whole
from dbtmesh.manifest import interface
from dbtmesh.output import markdown
from dbtmesh.output.words import counted
from dbtmesh.registry import latest
from dbtmesh.registry import store as registry
from dbtmesh.registry.routing import open_registry
from dbtmesh.warehouse.adapter import Warehouse


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    parser.add_argument(
        "--manifest", type=flags.file, metavar="FILE", help="default target/manifest.json"
    )
    flags.add_copy_flags(parser)
    parser.add_argument(
        "--record", action="store_true", help="record in the registry what is read (for deploys)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --record: show it, and write nothing"
    )
    parser.add_argument(
        "--summary", type=flags.file, metavar="FILE", help="write the findings as Markdown, too"
    )
    parser.add_argument(
        "--allow-stale",
        action="store_true",
        help="take a manifest that is older than the project's files",
    )
    parser.add_argument(
        "--allow-failed", action="store_true", help="take a manifest of a run that failed"
    )
    arguments = parser.parse_args(words)
    if arguments.record and arguments.offline:
        raise MeshError("--record needs the registry: leave out --offline")
    if arguments.dry_run and not arguments.record:
        raise MeshError("--dry-run goes with --record: the check itself writes nothing")

    member = config.load_member(root)
    path = arguments.manifest or member.root / "target" / "manifest.json"
    body = read_file(path)
    try:
        manifest = lineage.read(body, member.project)
    except MeshError as error:
        raise MeshError(f"{path} {error}") from None
    known_of_build = [] if arguments.manifest else of_build(member, path, body, arguments)
    found = lineage.edges(manifest, member)
    known = {upstream.name for upstream in member.upstreams}
    upstreams = sorted({edge.upstream for edge in found} & known)
    if arguments.offline:
        fetch = partial(committed.read, member.root)
    else:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        store = open_registry(member, place)
        fetch = partial(newest, store, place.env)
    interfaces, refused = all_of(map(member.upstream, upstreams), fetch)
    by_copy = copies(member, refused) if arguments.keep_going else {}
    refused = {name: why for name, why in refused.items() if name not in by_copy}
    interfaces = sorted([*interfaces, *by_copy.values()], key=lambda each: each.project)
    unknown = len(found)
    found = [edge for edge in found if edge.upstream not in refused]
    unknown -= len(found)
    reader = Warehouse.of(manifest.metadata.adapter_type)
    published = {each.project: lineage.Published(each, reader) for each in interfaces}
    lines = lineage.problems(found, published, member)
    warnings = lineage.deprecations(found, published, member, datetime.now(UTC).date())
    for line in (*known_of_build, *warnings):
        cli.note(line)
    for line in lines:
        cli.say(line)
    total = f"{counted(len(found), 'edge')} to {counted(len(published), 'project')}, " + (
        f"{len(lines)} of them unresolved" if lines else "all resolve"
    )
    if unknown:
        total += f"; {counted(unknown, 'edge')} to {', '.join(refused)} cannot be checked"
    cli.say(total)
    workflow_commands.summarise(summary(member.project, total, lines, warnings), arguments.summary)
    failures = [*map(str, refused.values())]
    if arguments.record and not lines:
        read = {*published, *refused}
        unkept = record(
            member, place.env, store, found, body, published, reader, read, arguments.dry_run
        )
        for name, why in unkept.items():
            if name in by_copy:  # what spoils a publication may keep its records from being written
                cli.note(f"{name}: what is read of it could not be recorded: {why}")
            else:
                failures.append(f"{name}: {why}")
    if failures:
        raise MeshError("\n       ".join(failures))
    return cli.FOUND if lines else cli.OK


def of_build(
    member: config.Member, path: Path, body: bytes, arguments: argparse.Namespace
) -> Sequence[str]:
    """Returns notes on the manifest that dbt wrote. Raises MeshError where it is stale, or from a
    run that failed, unless that is allowed."""
    from dbtmesh.artifacts import built_manifest, check

    build = check.examine(
        member.root,
        path,
        built_manifest.decode(body, str(path)),
        member.project,
        # These files are checked here against what is published, so they do not make it stale.
        apart=committed.generated(upstream.name for upstream in member.upstreams),
        allow_stale=arguments.allow_stale,
        allow_failed=arguments.allow_failed,
    )
    return [*build.notes, *(build.unsure if arguments.record else ())]


def summary(project: str, total: str, problems: list[str], warnings: list[str]) -> list[str]:
    """Summarises the findings for a reviewer, who may not know this command."""
    rows = [
        ["**stops**" if line in problems else "warning", markdown.text(line)]
        for line in (*problems, *warnings)
    ]
    title = f"### What {markdown.code(project)} reads of other projects: {total}"
    return [title, "", *(markdown.table(["", "what"], rows) if rows else ())]


def record(
    member: config.Member,
    env: str,
    store: registry.Store,
    found: list[lineage.Edge],
    body: bytes,
    published: Mapping[str, lineage.Published],
    warehouse: Warehouse,
    current: Iterable[str],
    dry_run: bool,
) -> dict[str, str]:
    """Records, or shows, what this project reads now, and which projects it does not read any more.

    Returns the upstreams for which that failed, and why. current: the projects that are read,
    including those whose publication cannot be read now; their records stay as they are.
    """
    from dbtmesh.downstream import consumer_record
    from dbtmesh.registry.records import Record

    nodes = consumer_record.readers(body)
    if missing := consumer_record.uncompiled(found, nodes):
        cli.note(
            f"{missing[0].split('.', 1)[1]}"
            + (f" and {len(missing) - 1} more have" if len(missing) > 1 else " has")
            + " no compiled SQL in the manifest, so all columns count as read: run `dbt build` or "
            "`dbt compile` right before"
        )
    repository = job.named_repository() or member.github_repository
    made = consumer_record.records(member, env, repository, found, nodes, published, warehouse)
    wanted = dict(zip(published, made, strict=True))
    try:
        gone = consumer_record.former(store, env, member.project, current)
    except MeshError as error:
        cli.note(f"records of projects that are not read any more may remain: {error}")
        gone = []
    for name in gone:
        wanted[name] = Record(member.project, [], kind=member.kind, env=env, repository=repository)
    failures = {}
    for upstream, each in wanted.items():
        try:
            if dry_run:
                kept = consumer_record.plan(store, upstream, each)[0]
            else:
                kept = consumer_record.keep(store, upstream, each)
        except MeshError as error:
            failures[upstream] = str(error)
            continue
        if kept is None:
            cli.say(f"{upstream}: on record already")
            continue
        done = "would record" if dry_run else "recorded"
        cli.say(f"{upstream}: {done}{'' if kept.reads else ' that nothing is read'}")
        for model in kept.reads:
            columns = "all columns" if model.columns is None else ", ".join(model.columns)
            cli.say(f"  {model.name} ({columns or 'no column'}) since {str(model.since)[:10]}")
    return failures


def read_file(path: Path) -> bytes:
    """Reads a manifest of dbt. Raises MeshError where it is missing."""
    try:
        return read_whole(path)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: run `dbt parse` first") from None


def newest(store: registry.Store, env: str, upstream: config.Upstream) -> interface.Interface:
    return latest.get(store, upstream, env).interface


def copies(
    member: config.Member, refused: Mapping[str, MeshError]
) -> dict[str, interface.Interface]:
    """Returns the last good copies of upstreams whose publication is refused or cannot be read."""
    found = {}
    for name, why in refused.items():
        copy = keep_going.deployable_copy(member.root, member.upstream(name))
        if copy and keep_going.is_upstreams_fault(why):
            cli.note(f"{why}; compared with the last good copy ({copy.version})")
            found[name] = copy
    return found


def all_of(
    upstreams: Iterable[config.Upstream],
    fetch: Callable[[config.Upstream], interface.Interface],
) -> tuple[list[interface.Interface], dict[str, MeshError]]:
    """Fetches what the upstreams publish, in parallel. Returns it, and why others failed."""

    def one(upstream: config.Upstream) -> interface.Interface | tuple[str, MeshError]:
        try:
            return fetch(upstream)
        except MeshError as error:
            return upstream.name, error

    found = parallel.each(one, upstreams)
    failed = dict(each for each in found if isinstance(each, tuple))
    return [each for each in found if not isinstance(each, tuple)], failed
