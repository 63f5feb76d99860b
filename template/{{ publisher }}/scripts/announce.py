#!/usr/bin/env python3
"""Tell the projects that read this one that there is a new publication.

Who they are is in the registry, where each keeps on record what it reads and in which repository
it lives. Each repository gets one event, `mesh_published`, by which its deploy workflow starts;
those that deploy on their own schedule (`independent`) need none.

  scripts/announce.py --env prod              after scripts/publish_manifest.py --env prod
  scripts/announce.py --env prod --dry-run    who would be told, and what
  scripts/announce.py --env prod --list       the repositories, for the token to be limited to

The token is $GITHUB_TOKEN: of a GitHub App that may write contents there (only `--list` and
`--dry-run` need none). In GitHub Actions, --list sets the outputs `owner`, and `repositories` with
commas between, empty where there is nobody to tell.

Exit status: 0 done, 1 it failed, for at least one repository.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from mesh import MeshError, cli, config, consumers, github, interface, registry

EVENT = "mesh_published"


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument("--dry-run", action="store_true", help="show it, and tell nobody")
    parser.add_argument("--list", action="store_true", help="only the repositories to be told")
    arguments = parser.parse_args()

    member = config.load_member()
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = registry.open_store(place.url, member.aws_region)
    records, unread = consumers.recorded(store, member.project, place.env)
    for problem in unread:
        cli.note(f"not everybody may be told: {problem}")
    owner = own_owner(member)
    told, notes = recipients(records, owner)
    for line in notes:
        cli.note(line)
    if arguments.list:
        listed = ",".join(repository.partition("/")[2] for repository in told)
        cli.output(owner=owner or "", repositories=listed)
        print("\n".join(told) or "nobody to tell")
        return cli.OK
    if not told:
        print(f"nobody to tell: no project that reads {member.project} waits for it")
        return cli.OK
    payload = news(store, member.project, place.env)
    if arguments.dry_run:
        for repository, names in told.items():
            event = {"event_type": EVENT, "client_payload": {**payload, "consumers": names}}
            print(f"would tell {repository}: {json.dumps(event)}")
        return cli.OK
    return tell(github.from_environment(), told, payload)


def own_owner(member: config.Member) -> str | None:
    """The organisation or person whose repository this is, in which the token is good."""
    named = os.environ.get("GITHUB_REPOSITORY") or member.github_repository or ""
    return named.partition("/")[0] or None


def recipients(
    records: Iterable[consumers.Record], owner: str | None
) -> tuple[dict[str, list[str]], list[str]]:
    """Repository → projects in it that wait for this one; and who is left out, and why.

    What others have written in the registry is taken for nothing but a name.
    """
    told: dict[str, list[str]] = {}
    notes = []
    for record in records:
        repository = record.repository or ""
        if record.deployment == "independent":
            continue
        if not config.NAME.fullmatch(record.consumer):
            notes.append(f"a record is of {record.consumer[:80]!r}, which is no project: not told")
        elif not github.REPOSITORY.fullmatch(repository):
            named = f"{repository[:80]!r}, which is none" if repository else "none"
            notes.append(f"{record.consumer} is not told: its repository on record is {named}")
        elif owner and repository.partition("/")[0].lower() != owner.lower():
            notes.append(
                f"{record.consumer} is not told: {repository} is not {owner}'s, so the token is of "
                "no use there; let it deploy on a schedule (deployment=independent)"
            )
        else:
            told.setdefault(repository, []).append(record.consumer)
    return dict(sorted(told.items())), notes


def news(store: registry.Store, project: str, env: str) -> dict[str, Any]:
    """What there is to tell of: what consumers would read now."""
    stored = store.read(registry.latest_key(project, env))
    if stored is None:
        raise MeshError(
            f"{project} has published nothing to {env} yet ({store.url}): "
            "scripts/publish_manifest.py comes first"
        )
    current = interface.read(stored.body, project)
    return {
        "project": project,
        "env": env,
        "version": current.version,
        "digest": current.digest,
        "run_url": github.run_url(),
    }


def tell(api: github.GitHub, told: dict[str, list[str]], payload: dict[str, Any]) -> int:
    failed = []
    for repository, names in told.items():
        event = {"event_type": EVENT, "client_payload": {**payload, "consumers": names}}
        try:
            # Twice is once too often, but harmless: a deploy of the same version changes nothing.
            api.post(f"/repos/{repository}/dispatches", event, repeatable=True)
        except MeshError as error:
            failed.append(f"{repository} was not told: {error}")
        else:
            print(f"told {repository} ({', '.join(names)}) of version {payload['version']}")
    if failed:
        raise MeshError("\n       ".join(failed))
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
