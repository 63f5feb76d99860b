"""Decides which readers of a publication are told of it, and how GitHub starts the deploy of each.
Pure.

A deploy workflow of 0.3.0 and later is started by `workflow_dispatch`, with the news as its inputs.
That needs the permission `actions: write`, with which nobody can change code. An older workflow
listens only to `repository_dispatch`, which needs `contents: write`. docs/decisions/013 says why.

https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event
https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dbtmesh import MeshError, checked
from dbtmesh.checked import Digest, Line, Project, Publication, Unfit, Word
from dbtmesh.ci.github import job
from dbtmesh.output.words import shown
from dbtmesh.registry import keys
from dbtmesh.registry.records import Record

INDEPENDENT = "independent"
"""The deployment of readers that look for changes by themselves, every 15 minutes."""
PATIENCE = timedelta(days=2)
EVENT = "mesh_published"
"""The type of the event of repository_dispatch."""
Repository = Annotated[str, Meta(pattern=rf"\A(?:{job.REPOSITORY.pattern})\Z")]


class Reader(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project that waits for news. workflow: the file of its deploy workflow, which is started on
    `branch`; None for a template before 0.3.0."""

    project: Project
    repository: Repository
    workflow: Word | None = None
    branch: Line | None = None


class Announcement(msgspec.Struct):
    """A publication, and who is told of it. chain: the projects that the news came through, this
    one last. run: the page of the deploy that published it."""

    project: Project
    env: Word
    version: Publication
    digest: Digest
    chain: list[Project]
    run: Line | None
    readers: list[Reader]


_ANNOUNCEMENT = msgspec.json.Decoder(Announcement)


def decode(text: str) -> Announcement:
    """Decodes an announcement that another job handed on. Raises MeshError."""
    try:
        return checked.decode(text.encode(), _ANNOUNCEMENT)
    except Unfit as error:
        raise MeshError(f"what the deploy handed on is not an announcement: {error}") from None


@dataclass(frozen=True)
class Start:
    """A request to GitHub that starts deploys. permission: what its token has to be able to
    write."""

    repository: str
    projects: tuple[str, ...]
    permission: str
    path: str
    body: dict[str, Any]


def starts(told: Announcement) -> Iterator[Start]:
    """Yields the requests that start the readers' deploys. All readers of one repository with a
    template before 0.3.0 share one event."""
    of_before: dict[str, list[str]] = {}
    for reader in sorted(told.readers, key=lambda each: (each.repository, each.project)):
        if not (reader.workflow and reader.branch):
            of_before.setdefault(reader.repository, []).append(reader.project)
            continue
        path = f"/repos/{reader.repository}/actions/workflows/{reader.workflow}/dispatches"
        inputs = {
            "project": told.project,
            "version": told.version,
            "digest": told.digest,
            "chain": ",".join(told.chain),
        }
        body = {"ref": reader.branch, "inputs": inputs}
        yield Start(reader.repository, (reader.project,), "actions", path, body)
    for repository, projects in of_before.items():
        yield by_event(told, repository, projects)


def by_event(told: Announcement, repository: str, projects: Sequence[str]) -> Start:
    """Returns the request that was used before 0.3.0. Newer workflows listen to its event, too."""
    payload = {
        "project": told.project,
        "env": told.env,
        "version": told.version,
        "digest": told.digest,
        "run_url": told.run,
        "chain": told.chain,
        "consumers": list(projects),
    }
    body = {"event_type": EVENT, "client_payload": payload}
    path = f"/repos/{repository}/dispatches"
    return Start(repository, tuple(projects), "contents", path, body)


def recipients(records: Iterable[Record], owner: str) -> tuple[list[Reader], list[str]]:
    """Returns the readers that can be told, and why others cannot.

    Others have written the records. So nothing but names is taken from them, and only workflows
    with names of the template's can be started.
    """
    found = []
    notes = []
    for record in records:
        repository, workflow = record.repository or "", record.workflow
        if not job.REPOSITORY.fullmatch(repository):
            named = f"{shown(repository)}, which is not a repository" if repository else "none"
            notes.append(f"{record.consumer} is not told: its repository on record is {named}")
        elif owner and repository.partition("/")[0].lower() != owner.lower():
            notes.append(
                f"{record.consumer} is not told: {repository} is not {owner}'s, and no event goes "
                "to others; let it deploy on a schedule (deployment=independent)"
            )
        elif workflow and workflow not in deploy_workflows(record.consumer):
            notes.append(
                f"{record.consumer} is not told: {shown(workflow)} on its record is not the name "
                "of a deploy workflow"
            )
        else:
            branch = record.branch if workflow else None
            found.append(Reader(record.consumer, repository, workflow if branch else None, branch))
    return found, notes


def quiet(records: Iterable[Record], versions: Sequence[str], now: datetime) -> Iterator[str]:
    """Yields a line for each reader that looks for changes by itself and has not done so for days.

    versions: those of all publications, oldest first. Nobody starts such a reader, so nobody else
    would notice that GitHub has disabled its workflow.
    """
    for record in records:
        known = record.read_version or ""
        if record.deployment != INDEPENDENT or not keys.VERSION.fullmatch(known):
            continue
        missed = next((version for version in versions if version > known), None)
        if missed and missed < f"{now - PATIENCE:%Y%m%dT%H%M%S}":
            named = job.REPOSITORY.fullmatch(record.repository or "")
            where = f" --repo {named[0]}" if named else ""  # people are to copy it into a shell
            yield (
                f"{record.consumer} looks for changes by itself, and has not deployed since "
                f"{missed} was published. Does its deploy workflow run? `gh workflow list "
                f"--all{where}` tells whether GitHub has switched it off, and `gh workflow enable` "
                "switches it on"
            )


def deploy_workflows(project: str) -> tuple[str, ...]:
    """Returns the possible names of a project's deploy workflow (copier.yml, `workflow_prefix`)."""
    return tuple(f"{prefix}deploy.yml" for prefix in ("", "mesh-", f"{project}-"))
