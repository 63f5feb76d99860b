"""`fleet status`: reports each member's kind, how far it is behind the template, and what it
publishes.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delivery import moved_error
from rich.console import Console
from rich.table import Table

from dbtmesh.cli import say_json
from dbtmesh.output.error_line import telling_line
from dbtmesh.registry.cycles import described
from dbtmesh.registry.publication import AHEAD
from fleet.console import plain
from fleet.git import GitError, git
from fleet.library_status import (
    REQUIREMENTS,
    VENDOR,
    Library,
    Vendored,
    committed,
    judge,
    released,
)
from fleet.members import ANSWERS, Member, NeedsPerson, locate, read_answers
from fleet.mesh_graph import Mesh, Project
from fleet.releases import Releases, normal
from fleet.repository import check_version, read_text

AT_ONCE = 16
"""Repositories read in parallel."""
ASKED_TOGETHER = 100
"""Repositories in one request to GitHub, which limits the size of a request."""
GITHUB_SECONDS = 60
"""How long to wait for one response of GitHub."""
NOT_SIGNED_IN = 4
"""The exit status of `gh` without a login: https://cli.github.com/manual/gh_help_exit-codes"""
WIDE = 1000
"""Columns of a console that is not a window, so that no line is broken."""

GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+)")


@dataclass(frozen=True)
class Seen:
    """What a member's repository holds. answers: the text of its answers file; None without one."""

    answers: str | None
    vendored: Vendored = field(default_factory=Vendored)


@dataclass(frozen=True)
class Status:
    """The status of one member.

    behind: how many releases it is behind.
    contract: how many of its public models have a contract.
    stale: what is out of date in what it publishes or reads.
    problem: what prevents an update, reading the member, or that it runs what was released.
    library: what its commands run on.
    cycle: projects that it reads and that read it, so that their deploys start each other.
    """

    name: str
    kind: str = ""
    version: str = ""
    behind: int | None = None
    published_at: str = ""
    contract: str = ""
    stale: str = ""
    problem: str = ""
    project: str = ""
    library: Library = Library.UNKNOWN
    cycle: str = ""

    @property
    def needs_somebody(self) -> bool:
        return bool(self.problem or self.stale or self.cycle)


# ── pure: what is said of a member ────────────────────────────────────────────────────


def of_answers(name: str, text: str | None, releases: Releases, file: str = ANSWERS) -> Status:
    """Returns a member's status from the text of its answers file."""
    status = Status(name, project=name)
    try:
        answers = read_answers(text, file)
        status = replace(
            status,
            kind=answers.kind,
            version=answers.version,
            behind=releases.behind(answers.version),
            project=answers.project or name,
        )
        check_version(answers, releases)
    except NeedsPerson as reason:
        return replace(status, problem=str(reason))
    return status


def with_registry(status: Status, mesh: Mesh, now: datetime, days: int) -> Status:
    """Adds what the registry knows: last publication, contracts, and whether it is stale."""
    project = next((each for each in mesh.projects if each.name == status.project), None)
    if not project:
        unpublished = "never published" if "hub" in status.kind or status.kind == "upstream" else ""
        return replace(status, contract=unpublished)
    published = project.publication.published_at if project.publication else ""
    public = [node for node in mesh.nodes if node.project == project.name and node.kind == "public"]
    enforced = sum(node.contract for node in public)
    return replace(
        status,
        kind=status.kind or next((read.kind for read in project.reads if read.kind), ""),
        published_at=published,
        contract=f"{enforced} of {len(public)} public models" if public else "",
        stale="; ".join([*_stale(project, now, days), *_gone(project, mesh)]),
        cycle="; ".join(described(group) for group in mesh.cycles if project.name in group),
    )


def _gone(project: Project, mesh: Mesh) -> Iterable[str]:
    nodes = {node.id: node for node in mesh.nodes}
    read = [
        nodes[edge.source] for edge in mesh.edges if _project_of(edge.target, nodes) == project.name
    ]
    gone = sorted({f"{node.project}.{node.name}" for node in read if node.kind == "missing"})
    if gone:
        yield f"reads what is no longer published: {', '.join(gone)}"


def _project_of(identity: str, nodes: Mapping[str, object]) -> str:
    return getattr(nodes.get(identity), "project", "")


def _stale(project: Project, now: datetime, days: int) -> Iterable[str]:
    if project.publication and project.publication.published_at:
        at = datetime.fromisoformat(project.publication.published_at.replace("Z", "+00:00"))
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if now - at > timedelta(days=days):
            yield f"not published for {(now - at).days} days"
        if at > now + AHEAD:
            yield f"its publication is dated ahead of the clock, {at:%Y-%m-%d}: publish --rollback"
    behind = sorted(read.upstream for read in project.reads if not read.current)
    if behind:
        yield f"built on an older publication of {', '.join(behind)}"


# ── reading ───────────────────────────────────────────────────────────────────────────


def gather(members: Sequence[Member], releases: Releases) -> list[Status]:
    """Reads the members' status. One request reads a hundred repositories on GitHub."""
    seen: dict[Member, Seen | Exception] = {}
    on_github = [member for member in members if _on_github(member)]
    if on_github and shutil.which("gh"):
        starts = range(0, len(on_github), ASKED_TOGETHER)
        batches = [on_github[at : at + ASKED_TOGETHER] for at in starts]
        with ThreadPoolExecutor(4) as pool:
            for batch, answered in zip(batches, pool.map(ask_github, batches), strict=True):
                seen |= zip(batch, answered, strict=True)
    rest = [member for member in members if member not in seen]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen |= zip(rest, pool.map(read, rest), strict=True)
    return [_status(member, seen[member], releases) for member in members]


def _on_github(member: Member) -> re.Match[str] | None:
    return None if member.folder else GITHUB.fullmatch(normal(member.place))


def _status(member: Member, seen: Seen | Exception, releases: Releases) -> Status:
    if isinstance(seen, Exception):
        return Status(member.name, problem=str(seen), project=member.name)
    status = of_answers(member.name, seen.answers, releases, member.answers_file)
    problem = status.problem or _moved(member, seen.answers or "")
    if status.version not in releases.tags:
        return replace(status, problem=problem)
    try:
        found = judge(released(releases, status.version), seen.vendored)
    except GitError as error:
        return replace(status, problem=problem or str(error))
    return replace(status, library=found.library, problem=problem or found.problem(status.version))


def _moved(member: Member, text: str) -> str:
    """Says why an update would not find the project's folder. Older versions do not record it."""
    recorded = re.search(r"^working_directory: *(.*)$", text, re.MULTILINE)
    return moved_error(recorded[1].strip("'\""), Path(member.answers_file)) if recorded else ""


def read(member: Member) -> Seen | Exception:
    """Reads a member from a clone, or from a repository on any git server."""
    try:
        if member.folder:
            answers = read_text(member.folder, member.answers_file)
            return Seen(answers, _committed(member.folder, member))
        with tempfile.TemporaryDirectory(prefix="fleet.") as scratch:
            only = ("--depth=1", "--filter=blob:none", "--no-checkout")
            git(None, "clone", "--quiet", *only, member.place, scratch)
            if not git(Path(scratch), "ls-tree", "--name-only", "HEAD", "--", member.answers_file):
                return Seen(None)
            answers = git(Path(scratch), "show", f"HEAD:{member.answers_file}")
            return Seen(answers, _committed(Path(scratch), member))
    except (GitError, NeedsPerson, OSError) as error:
        return error


def _committed(clone: Path, member: Member) -> Vendored:
    try:
        return committed(clone, member.subfolder)
    except GitError:  # the clone has no commit yet
        return Vendored()


def ask_github(members: Sequence[Member]) -> list[Seen | Exception]:
    """Returns what repositories of members on GitHub hold, in the same order, by one request."""
    repositories = [found.groups() for member in members if (found := _on_github(member))]
    asked = " ".join(
        f"m{number}: repository(owner: {json.dumps(owner)}, name: {json.dumps(name)}) "
        f"{{ answers: {_blob(member.answers_file)} "
        f"requirements: {_blob(posixpath.join(member.subfolder, REQUIREMENTS[0]))} "
        f"second: {_blob(posixpath.join(member.subfolder, REQUIREMENTS[1]))} "
        f"vendor: object(expression: {_at(posixpath.join(member.subfolder, VENDOR))}) "
        "{ ... on Tree { entries { name oid } } } }"
        for number, (member, (owner, name)) in enumerate(zip(members, repositories, strict=True))
    )

    def failed(said: str) -> list[Seen | Exception]:
        return [GitError(f"gh cannot ask GitHub: {said}")] * len(repositories)

    try:
        # exits with 1 if one repository does not exist, and still prints the others
        done = subprocess.run(
            ["gh", "api", "graphql", "-f", f"query={{ {asked} }}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GITHUB_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return failed(f"no answer in {GITHUB_SECONDS} s")
    if done.returncode == NOT_SIGNED_IN:
        return failed("it is not signed in: `gh auth login`, or a token in $GH_TOKEN")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict):
        said = telling_line(done.stderr) or _first_error(answer)
        return failed(said or "`gh auth status` may show why")
    return [
        _seen(data[f"m{number}"])
        if data.get(f"m{number}")
        else GitError(f"GitHub has no repository {owner}/{name}, or does not let you see it")
        for number, (owner, name) in enumerate(repositories)
    ]


def _at(path: str) -> str:
    return json.dumps(f"HEAD:{posixpath.normpath(path)}")


def _blob(path: str) -> str:
    return f"object(expression: {_at(path)}) {{ ... on Blob {{ text }} }}"


def _seen(repository: Mapping[str, Any]) -> Seen:
    answers, first, second, vendor = (
        repository.get(part) or {} for part in ("answers", "requirements", "second", "vendor")
    )
    wheels = {entry["name"]: entry["oid"] for entry in vendor.get("entries") or ()}
    texts = [each.get("text") or "" for each in (first, second)]
    return Seen(answers.get("text"), Vendored("\n".join(texts), wheels))


def _first_error(answer: Any) -> str:
    try:
        return telling_line(str(answer["errors"][0]["message"]))
    except (LookupError, TypeError):
        return ""


def of_registry(mesh: Mesh) -> list[Member]:
    """Returns the members whose repository the registry knows from their records as consumers.

    The registry does not know folders. If several projects have the same repository, each is
    assumed to be in the folder of its name.
    """
    repositories = {
        project.name: next((each.repository for each in project.reads if each.repository), "")
        for project in mesh.projects
    }
    named = Counter(repositories.values())
    return [
        replace(
            locate(repository, Path()), name=name, subfolder=name if named[repository] > 1 else "."
        )
        for name, repository in repositories.items()
        if repository
    ]


# ── what is shown ─────────────────────────────────────────────────────────────────────


def show(statuses: Sequence[Status], newest: str, as_json: bool) -> int:
    """Prints the statuses. Returns 2 if some have a problem, else 0; being behind is not one."""
    status = 2 if any(each.problem for each in statuses) else 0
    if as_json:
        say_json({"newest": newest, "members": [asdict(each) for each in statuses]})
        return status
    console = Console(highlight=False)
    if not console.is_terminal:  # such as a log, whose lines have no limit
        console = Console(highlight=False, width=WIDE)
    console.print(table(statuses, newest))
    for each in statuses:
        for word, text in (
            ("[red]problem[/red]", each.problem),
            ("[yellow]stale[/yellow]", each.stale),
            ("[yellow]cycle[/yellow]", each.cycle),
        ):
            if text:
                console.print(f"{word} {plain(each.name)}  {plain(text)}", soft_wrap=True)
    counts = (
        f"{len(statuses)} members",
        f"{sum(each.behind == 0 for each in statuses)} on {newest}",
        f"{sum(bool(each.behind) for each in statuses)} behind",
        f"{sum(each.needs_somebody for each in statuses)} with something to do",
    )
    console.print(", ".join(counts))
    return status


def table(statuses: Sequence[Status], newest: str) -> Table:
    """Returns a table of the short values of each member, without columns that would be empty."""
    columns = {
        "member": [each.name for each in statuses],
        "kind": [each.kind for each in statuses],
        "version": [each.version for each in statuses],
        "behind": ["" if each.behind is None else str(each.behind) for each in statuses],
        "library": [each.library.value for each in statuses],
        "published": [each.published_at[:10] for each in statuses],
        "under contract": [each.contract for each in statuses],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    made = Table(
        title=f"Template {newest}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for name, cells in filled.items():
        # only members' names may be broken within a word
        word = max(len(word) for cell in (name, *map(plain, cells)) for word in cell.split())
        made.add_column(name, min_width=None if name == "member" else word, overflow="fold")
    for row in zip(*filled.values(), strict=True):
        made.add_row(*map(plain, row))
    return made
