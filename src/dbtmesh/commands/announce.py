"""Start the deploys of the projects that read this one, after a new publication.

The registry has a record of each reader: what it reads, and in which repository it lives. This
command starts the deploy workflow of each reader, with the news as its inputs. Readers that deploy
on their own schedule (`independent`) are left out.

  python -m dbtmesh announce --env prod              after scripts/publish_manifest.py --env prod
  python -m dbtmesh announce --env prod --dry-run    who would be told, and what

In the deploy workflow, two jobs share the work. `--plan` reads the registry, and sets the output
`news`: whom to tell. `--planned` tells those of $MESH_NEWS, and needs nothing but the App.

A reader is told if the interface or the commit differs from that of its last deploy, or if this
deploy was started by hand or by the news of another project. News does not go back to a project
that it came from, so that projects that read each other do not start each other for ever.

The command makes a token for each repository with a GitHub App: $MESH_APP_CLIENT_ID, and its key
$MESH_APP_PRIVATE_KEY. The App needs the permission `actions: write` and no other. Without an App,
the command says who was not told. Readers that share this repository are told with $GITHUB_TOKEN.
`--dry-run` and `--plan` need neither.

Other projects write the records. If the repository of a record is gone, archived or without the
App, that is a warning, and the other readers are told all the same.

Exit status: 0 done, 1 it failed for at least one repository.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.ci.github import app as github_app
from dbtmesh.ci.github import event, job, reader_deploys, rest, workflow_commands
from dbtmesh.ci.github.reader_deploys import Announcement, Start
from dbtmesh.gate.triggers import news
from dbtmesh.manifest.interface import Interface
from dbtmesh.registry import history, keys, latest
from dbtmesh.registry import records as consumers
from dbtmesh.registry import store as registry

PASSING = (400, 401, 429)
"""Statuses that are not the fault of one repository. Neither are those from 500 on."""
UNPROCESSABLE = 422
NEWS = "MESH_NEWS"


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="show it, and tell nobody")
    how.add_argument("--plan", action="store_true", help="set the output `news`: whom to tell")
    how.add_argument("--planned", action="store_true", help=f"tell those of ${NEWS}")
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    if arguments.planned:
        return tell(reader_deploys.decode(os.environ.get(NEWS, "")), own_repository(member))
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    planned = plan(member, place)
    if planned is None:
        return cli.OK
    if arguments.dry_run:
        for start in reader_deploys.starts(planned):
            cli.say(f"would tell {start.repository}: {json.dumps(start.body)}")
        return cli.OK
    if not arguments.plan:
        return tell(planned, own_repository(member))
    for reader in planned.readers:
        cli.say(f"to be told: {reader.project} in {reader.repository}")
    workflow_commands.output(news=msgspec.json.encode(planned).decode())
    return cli.OK


MOST_VERSIONS = 100
"""How many earlier publications are compared, newest first. Readers of older ones are told."""

# ── Who has to be told ────────────────────────────────────────────────────────────────


def plan(member: config.Member, place: config.Location) -> Announcement | None:
    """Returns whom to tell, and what. None where there is nobody, which is printed.

    Raises MeshError.
    """
    store = registry.open_store(place.url, member.access)
    records, unread = consumers.recorded(store, member.project, place.env)
    for problem in unread:
        cli.note(f"some readers may not be told: {problem}")
    waiting = [each for each in records if each.deployment != reader_deploys.INDEPENDENT]
    if len(waiting) < len(records):
        published = history.versions(store, member.project, place.env)
        for line in reader_deploys.quiet(records, published, datetime.now(UTC)):
            workflow_commands.warning(line)
    found, notes = reader_deploys.recipients(waiting, own_repository(member).partition("/")[0])
    for line in notes:
        cli.note(line)
    if not found:
        cli.say(f"nobody to tell: no project that reads {member.project} waits for it")
        return None
    current = latest.get(store, member.project, place.env).interface
    cause = event.cause()
    known = known_versions(store, member.project, place.env, waiting, current)
    told = []
    for reader in found:
        if news(current, known[reader.project], reader.project, cause):
            told.append(reader)
        else:
            cli.say(f"{reader.project} is not told: nothing changed since its last deploy")
    if not told:
        cli.say(f"nobody to tell: the projects that read {member.project} have all of it already")
        return None
    return Announcement(
        project=current.project,
        env=place.env,
        version=current.version,
        digest=current.digest,
        chain=[*cause.chain, member.project],
        run=job.run_url(),
        readers=told,
    )


def own_repository(member: config.Member) -> str:
    """Returns owner/name of this repository; empty where it is not known."""
    return job.named_repository() or member.github_repository or ""


def known_versions(
    store: registry.Store,
    project: str,
    env: str,
    records: Iterable[consumers.Record],
    current: Interface,
) -> dict[str, Interface | None]:
    """Maps each consumer to the publication that its last deploy was checked against; None where
    that is not known."""
    found: dict[str | None, Interface | None] = {None: None, current.version: current}
    wanted = {record.read_version or "" for record in records} - found.keys()
    for number, version in enumerate(sorted(wanted, reverse=True)):
        found[version] = None
        if number < MOST_VERSIONS and keys.VERSION.fullmatch(version):
            # A publication that is damaged or gone is not an error: readers that knew it are told.
            with contextlib.suppress(MeshError):
                if publication := latest.find(store, project, env, version=version):
                    found[version] = publication.interface
    return {record.consumer: found[record.read_version or None] for record in records}


# ── Telling them ──────────────────────────────────────────────────────────────────────


def tell(told: Announcement, own: str) -> int:
    """Tells the readers. own: this repository, for which no App is needed. Raises MeshError."""
    here: list[Start] = []
    others: list[Start] = []
    for start in reader_deploys.starts(told):
        (here if is_own(start.repository, own) else others).append(start)
    # This repository comes first, so that its readers are told even if the App fails.
    failed = [*tell_here(here, told.version), *tell_others(others, told)]
    if failed:
        raise MeshError("\n       ".join(failed))
    return cli.OK


def is_own(repository: str, own: str) -> bool:
    """Checks whether it is the repository that this runs in, and whether its token is there."""
    return repository.lower() == own.lower() and job.has_token()


def tell_here(starts: Iterable[Start], version: str) -> Iterator[str]:
    """Tells the readers that share this repository. Yields what failed."""
    for start in starts:
        try:
            send(rest.from_environment(), start, version)
        except MeshError as error:
            yield f"{names(start)} in {start.repository} not told: {error}"


def tell_others(starts: Sequence[Start], told: Announcement) -> Iterator[str]:
    """Tells the readers in other repositories, with a token for each. Yields what failed.

    A refusal that is the fault of one repository is a warning.
    """
    if not starts:
        return
    everybody = ", ".join(dict.fromkeys(start.repository for start in starts))
    try:
        app = github_app.from_environment()
    except MeshError as error:
        yield f"{everybody} not told: {error}"
        return
    if app is None:
        workflow_commands.warning(
            "The projects that read this one were not told: there is no GitHub App yet "
            f"(README.md, CI and deploys): {everybody}"
        )
        return
    for number, start in enumerate(starts):
        try:
            send_as(app, start, told)
        except github_app.BadApp as error:
            left = dict.fromkeys(each.repository for each in starts[number:])
            yield f"{', '.join(left)} not told: {error}"
            return
        except rest.Refused as error:
            if error.limited or error.status in PASSING or error.status >= 500:
                yield f"{start.repository} was not told: {error}"
            else:
                workflow_commands.warning(f"{names(start)} is not told: {remedy(start, error)}")
        except MeshError as error:
            yield f"{start.repository} was not told: {error}"


def send_as(app: github_app.App, start: Start, told: Announcement) -> None:
    """Tells readers by a token of the App.

    If the App still has only the permission for the older event, sends that event, with a warning.
    Raises MeshError.
    """
    try:
        send(app.acting_in(start.repository, start.permission), start, told.version)
    except github_app.NoToken as error:
        older = reader_deploys.by_event(told, start.repository, start.projects)
        if error.status != UNPROCESSABLE or start.permission == older.permission:
            raise
        try:
            api = app.acting_in(older.repository, older.permission)
        except github_app.NoToken:
            raise error from None
        send(api, older, told.version)
        workflow_commands.warning(
            f"{names(start)} is told as before 0.3.0, which needs an App that can write contents: "
            f"give the App actions: write in {start.repository}, and no other permission"
        )


def send(api: rest.GitHub, start: Start, version: str) -> None:
    """Sends the request that starts the deploys. Raises MeshError."""
    # Sending it twice does no harm: a second deploy of the same version changes nothing.
    api.post(start.path, start.body, repeatable=True)
    cli.say(f"told {start.repository} ({names(start)}) of version {version}")


def names(start: Start) -> str:
    return ", ".join(start.projects)


def remedy(start: Start, error: rest.Refused) -> str:
    """Returns what is wrong with one repository, and what to do about it."""
    if start.permission == "contents":
        return (
            f"its template is older than 0.3.0, and {start.repository} is gone, renamed, archived "
            f"or without an App that may write its contents ({error}). Update it there (`copier "
            "update --trust`) and deploy once"
        )
    if error.status == UNPROCESSABLE and not isinstance(error, github_app.NoToken):
        return (
            f"its deploy workflow could not be started on {start.body['ref']} ({error}). Is it "
            f"switched off? `gh workflow list --all --repo {start.repository}` tells, and "
            "`gh workflow enable` switches it on. After a change of deploy_branch deploy once by "
            "hand"
        )
    return (
        f"{start.repository} is gone, renamed, archived or without the App ({error}). Install the "
        "App there (actions: write); after a move, deploy there once, which puts the new name on "
        "record (validate_lineage.py --record)"
    )
