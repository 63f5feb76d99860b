"""Download what the upstream projects publish.

For each upstream this writes, if anything changed:

  state/<upstream>/manifest.json  the published interface, checked; dbt-loom and --state read it
  models/_mesh_<upstream>.yml     a source with a table for each public model (native projects)

  scripts/sync_mesh.py                      from the registry on this machine
  scripts/sync_mesh.py --env prod           from the registry that mesh.yml names
  scripts/sync_mesh.py --upstream dbt_up --version 20260102T…   stay on one publication

Then use the models. Native: select * from {{ source('dbt_up', 'public_orders') }}
Native and loom, as on the dbt platform: select * from {{ ref('dbt_up', 'public_orders') }}

In a native project the latter needs the macro macros/_mesh_ref.sql, which this command writes too:
on dbt v2 always, on dbt Core once a model has such a `ref` (it doubles the time that dbt Core takes
to parse).

What this project adds to the sources of an upstream (data tests, freshness) goes into
mesh_sources/<upstream>.yml, in dbt's own format for sources. A sync puts it into the generated
file.

A download is checked before anything is replaced. If the registry is out of reach, the last good
copy stays, and the command says so and fails. With --offline it uses that copy and succeeds. With
--keep-going, which is for deploys, it does the same if one upstream's publication is refused or
cannot be read, but it still fails if the registry is out of reach.

In GitHub Actions the output `refused` names what could not be synced and why, a line each.

Exit status: 0 done, 1 it failed, 2 an upstream is stale (--max-age).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.downstream import (
    committed,
    keep_going,
    last_sync,
    project_text,
    ref_packages,
    references,
    sync,
)
from dbtmesh.installed import REQUIREMENTS
from dbtmesh.output.words import counted, some
from dbtmesh.registry import keys, routing

NONE: Mapping[last_sync.Asked, last_sync.Answer] = MappingProxyType({})
SHOWN = 20
"""How many names are listed; the rest are counted."""


def main(
    words: Sequence[str], root: Path, answers: Mapping[last_sync.Asked, last_sync.Answer] = NONE
) -> int:
    """Runs the command. answers: what the registry has answered already."""
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    flags.add_upstream_flag(parser)
    parser.add_argument(
        "--version", type=flags.given, metavar="V", help="this publication instead of the latest"
    )
    flags.add_copy_flags(parser)
    parser.add_argument(
        "--max-age",
        type=hours,
        metavar="H",
        help="exit 2 where a publication is older than H hours",
    )
    arguments = parser.parse_args(words)

    seen = last_sync.see([str(path) for path in reads(root)])
    member = config.load_member(root)
    names = [upstream.name for upstream in member.chosen(arguments.upstream)]
    if not names:
        raise MeshError(
            "mesh.yml names no upstream: `copier update --trust --skip-answered --ask upstreams`"
        )
    if arguments.version and len(names) > 1:
        raise MeshError("--version is for one project: name it with --upstream")
    place = None
    if arguments.offline:
        plan = partial(sync.from_copy, member)
    else:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        store = last_sync.Answered(routing.open_registry(member, place), answers)
        plan = partial(sync.from_registry, member, store, place, arguments.version)

    done, failures, refused, unread = [], [], [], []
    on_laptop = place is not None and place.env == "local"
    for found in sync.plans(member, names, plan):
        if isinstance(found, sync.Failure):
            if on_laptop and found.is_unpublished and not reads_it(root, found):
                unread.append(f"{found}. No model reads it yet, so this project builds without it")
                continue
            refused.append(str(found))
            may_go_on = arguments.keep_going and found.is_upstreams_fault
            upstream = member.upstream(found.upstream)
            if not (may_go_on and keep_going.deployable_copy(root, upstream)):
                failures.append(str(found))
                continue
            cli.note(refused[-1])
            found = sync.from_copy(member, found.upstream)
        try:
            sync.apply(member.root, found)
        except OSError as error:
            failures.append(f"{found.upstream}: cannot write {cli.explain(error)}")
        else:
            done.append(found)
            first, *rest = report(found, member.project, offline=arguments.offline)
            cli.say(first, *(f"  {line}" for line in rest))
            for remark in found.remarks:
                cli.note(remark)
    referred = refer(member)
    failures += referred.failures
    notes = [*unread, *referred.notes, *leftovers(member)]
    if on_laptop:
        failures += attachable(member, names)
    for note in notes:
        cli.note(note)
    if refused:
        from dbtmesh.ci.github import workflow_commands  # most syncs refuse nothing

        workflow_commands.refused(refused)
    if failures:
        raise MeshError("\n       ".join(failures))
    if place and not (refused or notes or arguments.max_age):
        remember(words, member, place, seen, done, referred.wrote)
    return cli.FOUND if stale(done, arguments.max_age) else cli.OK


def reads_it(root: Path, upstream: sync.Failure) -> bool:
    """Checks whether the project has a copy of an upstream that could not be synced, or reads
    it."""
    return upstream.kept is not None or project_text.reads(root, upstream.upstream)


def attachable(member: config.Member, names: Iterable[str]) -> Iterator[str]:
    """Makes empty databases for upstreams that are not built on this machine, because profiles.yml
    attaches them. Yields what went wrong."""
    home = config.mesh_home(member.root)
    for name in names:
        path = home / f"{member.upstream(name).local_database}.duckdb"
        if path.exists():
            continue
        import duckdb  # imported here: most databases have been built

        from dbtmesh.warehouse import duckdb_files

        try:
            duckdb_files.make_missing(path)
        except (duckdb.Error, OSError) as error:
            yield duckdb_files.explain(path, error)


def reads(root: Path) -> Iterator[Path]:
    """Yields the files and folders that a sync reads or writes."""
    yield Path(last_sync.LIBRARY)
    yield from (root / name for name in ("mesh.yml", "mesh_sources", "models", "state"))
    yield root / REQUIREMENTS
    yield from project_text.places(root)


def remember(
    words: Sequence[str],
    member: config.Member,
    place: config.Location,
    seen: last_sync.Seen,
    done: Sequence[sync.Plan],
    wrote: Iterable[str],
) -> None:
    """Records a sync, so that the next one can be skipped if nothing has changed. seen: the state
    of the files before any was read. wrote: paths that were written, besides those of `done`."""
    elsewhere = routing.elsewhere(member, place)
    if any(url.startswith("snowflake:") for url in (place.url, *elsewhere.values())):
        return  # asking needs the member's sign-in, and the connector takes longer than all else
    home = config.named_home(member.root)
    last = last_sync.LastSync(
        told=last_sync.told(str(member.root), words),
        home=[str(home), str(home.resolve())],
        seen=last_sync.see(seen.places),
        registry=place.url,
        elsewhere=elsewhere,
        access=member.access._replace(member=None),
        asked=[
            last_sync.Asked(
                upstream,
                note.version,
                keys.wanted(upstream, note.env, note.pinned),
                note.etag,
            )
            for upstream, note in ((each.upstream, each.note) for each in done)
        ],
    )
    if all(committed.intact(member.root, each.note) for each in done):
        ours = {*wrote, *(path for each in done for path in sync.paths(each))}
        last_sync.keep(member.root, last, seen, ours)


def hours(text: str) -> float:
    """Parses the value of --max-age. Raises ValueError."""
    from dbtmesh.downstream import freshness  # loads much, and few syncs use it

    return freshness.hours(text)


class Referred(NamedTuple):
    """What `refer` has done. wrote: paths of files. notes: what the team should know. failures:
    what went wrong."""

    wrote: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def refer(member: config.Member) -> Referred:
    """Writes the files that `ref('<project>', …)` needs."""
    try:
        plan = references.plan(member)
        references.apply(member.root, plan)
        packages = ref_packages.plan(member, plan.project)
        ref_packages.apply(member.root, packages)
    except OSError as error:
        return Referred(failures=(f"cannot write {cli.explain(error)}",))
    notes = [
        f"unit tests refer to {folder.split('/')[1]}: add `- local: {folder}` to this "
        "project's packages and run `dbt deps`"
        for folder in packages.unnamed
    ]
    notes += [
        f"the package {package} has a macro `ref` of its own, so dbt Core does not find what its "
        "models read by ref('<upstream>', …): have it read source('<upstream>', …), or take that "
        "macro out"
        for package in plan.deaf
    ]
    if plan.own:
        notes.insert(
            0,
            f"{plan.own} has a macro `ref` of this project's own, so none was written for "
            "ref('<upstream>', …): read those models by source('<upstream>', …)",
        )
    return Referred(tuple(plan.files), tuple(notes))


def leftovers(member: config.Member) -> Iterator[str]:
    """Yields notes on what an earlier state of the project left behind."""
    for project, paths in committed.left_behind(
        member.root, {upstream.name for upstream in member.upstreams}
    ):
        yield (
            f"{project} is not an upstream any more (mesh.yml), but its contracts are still here: "
            f"when no model reads it, `rm -r {' '.join(paths)}` and commit that"
        )
    for project, path in () if member.is_native else committed.sources_left(member):
        yield (
            f"{path} is left from when this was a native project, and no sync updates it any more: "
            f"read models by ref('{project}', …) instead of source, then `git rm {path}`"
        )
    if member.kind == "loom" and os.environ.get("DBT_LOOM_CONFIG"):
        yield (
            "DBT_LOOM_CONFIG is set, so dbt-loom does not read dbt_loom.config.yml, which names "
            "what was synced: unset it"
        )


def report(plan: sync.Plan, reader: str, *, offline: bool) -> Iterator[str]:
    """Yields a line on what was done, and then lines on what was withheld, added and removed."""
    content = plan.content
    if content is None:
        yield last_sync.unchanged(plan.upstream, plan.note.version)
        return
    models = counted(content.models, "public model")
    nothing = "" if plan.files else ", nothing to write"
    yield f"{plan.upstream}: {models} ({plan.note.version}){nothing}{', offline' * offline}"
    if content.withheld:
        yield (
            f"left out, because {plan.upstream} does not share it with {reader}: "
            f"{some(sorted(content.withheld), SHOWN)}"
        )
    if content.added:
        yield f"added: {some(sorted(content.added), SHOWN)}"
    if content.removed:
        yield f"removed: {some(sorted(content.removed), SHOWN)}"


def stale(plans: Iterable[sync.Plan], max_age: float | None) -> bool:
    """Prints which publications are older than `max_age` hours, and returns whether any is."""
    if max_age is None:
        return False
    from dbtmesh.downstream import freshness

    now = datetime.now(UTC)
    aged = (
        freshness.publication(
            each.upstream, datetime.fromisoformat(each.note.generated_at), max_age, now
        )
        for each in plans
    )
    found = [each for each in aged if each.stale]
    for each in found:
        cli.say(str(each))
    return bool(found)
