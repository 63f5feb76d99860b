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
mesh_sources/<upstream>.yml, as dbt has it for sources; a sync puts it into the generated file.

A download is checked before anything is replaced; out of reach, the last good copy stays, and
the command says so and fails. With --offline it is content with that copy. With --keep-going, which
is for deploys, it is so where one upstream's publication is refused or cannot be read; of a
registry that is out of reach it fails all the same.

In GitHub Actions the output `refused` names what could not be synced and why, a line each.

Exit status: 0 done, 1 it failed, 2 an upstream is stale (--max-age).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.downstream import committed, keep_going, ref_packages, references, sync
from dbtmesh.output.words import counted, some
from dbtmesh.registry.routing import open_registry

SHOWN = 20
"""How many names are listed; the rest is a number."""


def main(words: Sequence[str], root: Path) -> int:
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

    member = config.load_member(root)
    names = [upstream.name for upstream in member.chosen(arguments.upstream)]
    if not names:
        raise MeshError(
            "mesh.yml names no upstream: `copier update --trust --skip-answered --ask upstreams`"
        )
    if arguments.version and len(names) > 1:
        raise MeshError("--version is of one project: say which with --upstream")
    if arguments.offline:
        plan = partial(sync.from_copy, member)
    else:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        store = open_registry(member, place)
        plan = partial(sync.from_registry, member, store, place, arguments.version)

    done, failures, refused = [], [], []
    for found in sync.plans(member, names, plan):
        if isinstance(found, sync.Failure):
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
    failures += refer(member)
    for project, paths in committed.left_behind(
        member.root, {upstream.name for upstream in member.upstreams}
    ):
        cli.note(
            f"{project} is not an upstream any more (mesh.yml), but its contracts are still here: "
            f"when no model reads it, `rm -r {' '.join(paths)}` and commit that"
        )
    for project, path in () if member.is_native else committed.sources_left(member):
        cli.note(
            f"{path} is of the time as a native project, and no sync updates it any more: read "
            f"models by ref('{project}', …) instead of source, then `git rm {path}`"
        )
    if member.kind == "loom" and os.environ.get("DBT_LOOM_CONFIG"):
        cli.note(
            "DBT_LOOM_CONFIG is set, so dbt-loom does not read dbt_loom.config.yml, which names "
            "what was synced: unset it"
        )
    if refused:
        from dbtmesh.ci.github import workflow_commands  # most syncs refuse nothing

        workflow_commands.refused(refused)
    if failures:
        raise MeshError("\n       ".join(failures))
    return cli.FOUND if stale(done, arguments.max_age) else cli.OK


def hours(text: str) -> float:
    """Of --max-age. Raises ValueError."""
    from dbtmesh.downstream import freshness  # loads much, and few ask

    return freshness.hours(text)


def refer(member: config.Member) -> Iterator[str]:
    """Writes what `ref('<project>', …)` needs; yields what went wrong."""
    try:
        plan = references.plan(member)
        references.apply(member.root, plan)
        packages = ref_packages.plan(member, plan.project)
        ref_packages.apply(member.root, packages)
    except OSError as error:
        yield f"cannot write {cli.explain(error)}"
        return
    if plan.own:
        cli.note(
            f"{plan.own} has a macro `ref` of this project's own, so none was written for "
            "ref('<upstream>', …): read those models by source('<upstream>', …)"
        )
    for folder in packages.unnamed:
        cli.note(
            f"unit tests refer to {folder.split('/')[1]}: add `- local: {folder}` to this "
            "project's packages and run `dbt deps`"
        )


def report(plan: sync.Plan, reader: str, *, offline: bool) -> Iterator[str]:
    """What was done, and beneath it what came and went."""
    content = plan.content
    if content is None:
        yield f"{plan.upstream}: unchanged ({plan.note.version})"
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
    """Says which publications are older than `max_age` hours."""
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
