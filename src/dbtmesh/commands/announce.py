"""Tell the projects that read this one that there is a new publication.

Who they are is in the registry, where each keeps on record what it reads and in which repository
it lives. Each repository gets one event, `mesh_published`, by which its deploy workflow starts;
those that deploy on their own schedule (`independent`) need none.

  python -m dbtmesh announce --env prod              after scripts/publish_manifest.py --env prod
  python -m dbtmesh announce --env prod --dry-run    who would be told, and what

A project is told where the interface or the commit is another one than at its last deploy, or where
this deploy was started by hand or by the news of another project. News does not go back to a
project that it came from, so projects that read each other do not start each other for ever.

It makes a token for each of these repositories, with a GitHub App: $MESH_APP_CLIENT_ID, and its key
$MESH_APP_PRIVATE_KEY. Without an App it says who was not told. The repository that this runs in,
where others share it, is told with $GITHUB_TOKEN. `--dry-run` needs none of them.

A record is what another project wrote: one whose repository is gone, archived or without the App is
a warning, and stops nobody else's news.

Exit status: 0 done, 1 it failed, for at least one repository.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbtmesh import MeshError, cli, config
from dbtmesh.ci import event, github, github_app
from dbtmesh.gate.news import news
from dbtmesh.manifest.interface import Interface
from dbtmesh.output import workflow
from dbtmesh.registry import keys, latest
from dbtmesh.registry import records as consumers
from dbtmesh.registry import store as registry

EVENT = "mesh_published"
INDEPENDENT = "independent"
"""The deployment of those that look by themselves."""
PASSING = (400, 401, 429)
"""Refusals that say nothing of a repository; nor does any from 500 on."""


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument("--dry-run", action="store_true", help="show it, and tell nobody")
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = registry.open_store(place.url, member.aws_region)
    records, unread = consumers.recorded(store, member.project, place.env)
    for problem in unread:
        cli.note(f"not everybody may be told: {problem}")
    own = own_repository(member)
    waiting = [each for each in records if each.deployment != INDEPENDENT]
    valid, notes = recipients(waiting, own.partition("/")[0])
    for line in notes:
        cli.note(line)
    if not valid:
        cli.say(f"nobody to tell: no project that reads {member.project} waits for it")
        return cli.OK
    current = latest.get(store, member.project, place.env).interface
    cause = event.cause()
    known = known_versions(store, member.project, place.env, waiting, current)
    told: dict[str, list[str]] = {}
    for repository, names in valid.items():
        for name in names:
            if news(current, known[name], name, cause):
                told.setdefault(repository, []).append(name)
            else:
                cli.say(f"{name} is not told: nothing changed since its last deploy")
    if not told:
        cli.say(f"nobody to tell: the projects that read {member.project} have all of it already")
        return cli.OK
    payload = event_payload(current, place.env, [*cause.chain, member.project])
    if arguments.dry_run:
        for repository, names in told.items():
            dispatch = {"event_type": EVENT, "client_payload": {**payload, "consumers": names}}
            cli.say(f"would tell {repository}: {json.dumps(dispatch)}")
        return cli.OK
    # Here it takes no App; and where the App is at fault, whoever is here is told by then.
    here = {name: told.pop(name) for name in [*told] if is_own(name, own)}
    failed = [*tell_here(here, payload), *tell_others(told, payload)]
    if failed:
        raise MeshError("\n       ".join(failed))
    return cli.OK


def own_repository(member: config.Member) -> str:
    """owner/name of the repository that this is; empty where nobody has said."""
    return os.environ.get("GITHUB_REPOSITORY") or member.github_repository or ""


def is_own(repository: str, own: str) -> bool:
    """Is it the repository that this runs in, whose token is at hand?"""
    return repository.lower() == own.lower() and bool(os.environ.get("GITHUB_TOKEN"))


def recipients(
    records: Iterable[consumers.Record], owner: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Repository → projects in it that wait for this one; and who is left out, and why.

    What others have written in the registry is taken for nothing but a name.
    """
    told: dict[str, list[str]] = {}
    notes = []
    for record in records:
        repository = record.repository or ""
        if not config.NAME.fullmatch(record.consumer):
            notes.append(f"a record is of {record.consumer[:80]!r}, which is no project: not told")
        elif not github.REPOSITORY.fullmatch(repository):
            named = f"{repository[:80]!r}, which is none" if repository else "none"
            notes.append(f"{record.consumer} is not told: its repository on record is {named}")
        elif owner and repository.partition("/")[0].lower() != owner.lower():
            notes.append(
                f"{record.consumer} is not told: {repository} is not {owner}'s, and no event goes "
                "to others; let it deploy on a schedule (deployment=independent)"
            )
        else:
            told.setdefault(repository, []).append(record.consumer)
    return dict(sorted(told.items())), notes


def known_versions(
    store: registry.Store,
    project: str,
    env: str,
    records: Iterable[consumers.Record],
    current: Interface,
) -> dict[str, Interface | None]:
    """Consumer → the publication that its last deploy was checked against; None where nothing
    tells."""
    found: dict[str | None, Interface | None] = {None: None, current.version: current}
    for version in {record.read_version for record in records} - found.keys():
        found[version] = None
        if version and keys.VERSION.fullmatch(version):
            # One that is damaged or gone stops nobody: whoever knew it is told.
            with contextlib.suppress(MeshError):
                if publication := latest.find(store, project, env, version=version):
                    found[version] = publication.interface
    return {record.consumer: found[record.read_version] for record in records}


def event_payload(current: Interface, env: str, chain: Sequence[str]) -> dict[str, Any]:
    """What there is to tell of: what consumers would read now. chain: the projects whose news this
    is, by way of each other."""
    return {
        "project": current.project,
        "env": env,
        "version": current.version,
        "digest": current.digest,
        "run_url": github.run_url(),
        "chain": chain,
    }


def tell_here(told: Mapping[str, list[str]], payload: Mapping[str, Any]) -> Iterator[str]:
    """Tells those who share this repository; what failed."""
    for repository, names in told.items():
        try:
            tell(github.from_environment(), repository, names, payload)
        except MeshError as error:
            yield f"{repository} was not told: {error}"


def tell_others(told: Mapping[str, list[str]], payload: Mapping[str, Any]) -> Iterator[str]:
    """Tells all who have a repository of their own, each with a token for it; what failed.

    A refusal that is of one repository is a warning.
    """
    if not told:
        return
    try:
        app = github_app.from_environment()
    except MeshError as error:
        yield f"{', '.join(told)} not told: {error}"
        return
    if app is None:
        workflow.warning(
            "The projects that read this one were not told: there is no GitHub App yet "
            f"(README.md, CI and deploys): {', '.join(told)}"
        )
        return
    for number, (repository, names) in enumerate(told.items()):
        try:
            tell(app.acting_in(repository), repository, names, payload)
        except github_app.BadApp as error:
            yield f"{', '.join([*told][number:])} not told: {error}"
            return
        except github.Refused as error:
            if error.limited or error.status in PASSING or error.status >= 500:
                yield f"{repository} was not told: {error}"
            else:
                workflow.warning(
                    f"{', '.join(names)} is not told: {repository} is gone, renamed, archived or "
                    f"without the App ({error}). Install the App there (contents: write); after a "
                    "move, deploy there once, which puts the new name on record "
                    "(validate_lineage.py --record)"
                )
        except MeshError as error:
            yield f"{repository} was not told: {error}"


def tell(api: github.GitHub, repository: str, names: list[str], payload: Mapping[str, Any]) -> None:
    """Raises MeshError."""
    dispatch = {"event_type": EVENT, "client_payload": {**payload, "consumers": names}}
    # Twice is once too often, but harmless: a deploy of the same version changes nothing.
    api.post(f"/repos/{repository}/dispatches", dispatch, repeatable=True)
    cli.say(f"told {repository} ({', '.join(names)}) of version {payload['version']}")
