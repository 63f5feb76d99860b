"""One member's update, in a clone of its own: the member changes when all of it went well.

This runs in a process of the pool. The template's versions are opened once for each process, and
handed to Copier, which would clone the template five times for every member.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import update_report
import yaml
from after_copy import UNTAGGED
from answers import moved_error
from copier._main import Worker
from copier._subproject import Subproject
from copier._template import Template
from copier._types import RelativePath
from copier_speed import SharingWorker

from dbtmesh import MeshError
from dbtmesh.config import load_member
from fleet.members import (
    ANSWERS,
    Answers,
    GitError,
    Member,
    NeedsPerson,
    git,
    read_answers,
    run,
    telling_line,
    text_of,
)
from fleet.releases import Releases

CHECK_SECONDS = 900
STUB_MESH = "scripts/stub_mesh.py"
"""What a downstream makes stand-ins with."""

Result = Literal[
    "current",  # on that version already, or ahead of it
    "updated",  # a dry run went well
    "prepared",  # a branch in the local clone
    "pushed",  # a branch on the remote
    "proposed",  # a pull request
    "already there",  # from an earlier run
    "conflict",
    "check failed",
    "refused",  # not touched, because of what it is
    "failed",  # git, gh or the disk
    "stopped",  # under way when it was
    "not started",
]
FINE: tuple[Result, ...] = (
    "current",
    "updated",
    "prepared",
    "pushed",
    "proposed",
    "already there",
)
Goal = Literal["dry-run", "prepare", "push", "propose"]


@dataclass(frozen=True)
class Order:
    """What to do with every member. checks: commands that have to succeed in an updated one."""

    releases: Releases
    goal: Goal
    checks: tuple[str, ...]

    @property
    def to(self) -> str:
        return self.releases.newest

    def branch(self, member: Member) -> str:
        """One for each member, also of those that share a repository; the one that the member's
        own scripts/update_template.py takes, for it is the same update."""
        folder = "" if member.subfolder == "." else f"{member.subfolder}/"
        return f"template/{folder}{self.to}"


@dataclass(frozen=True)
class Outcome:
    """What became of a member. conflicts: lines by file; link: of the pull request."""

    name: str
    result: Result
    detail: str = ""
    kind: str = ""
    version: str = ""
    conflicts: dict[str, list[int]] = field(default_factory=dict)
    link: str = ""
    seconds: float = 0.0


def update(member: Member, order: Order) -> Outcome:
    """Updates a member as ordered. Never raises: whatever goes wrong is its outcome."""
    started = time.monotonic()
    outcome = Outcome(member.name, "failed")
    try:
        # within what the whole command removes, also after a process of it was killed
        within = order.releases.scratch
        with tempfile.TemporaryDirectory(
            prefix="fleet.", dir=within, ignore_cleanup_errors=True
        ) as scratch:
            clone = Path(scratch) / Path(member.place).name.removesuffix(".git")
            answers = cloned(member, clone, order)
            outcome = replace(outcome, kind=answers.kind, version=answers.version)
            answers = at_its_branch(member, clone, answers, order)
            outcome = replace(outcome, kind=answers.kind, version=answers.version)
            check_version(answers, order.releases)
            if moved := moved_error(
                answers.subfolder or member.subfolder, Path(member.answers_file)
            ):
                raise NeedsPerson(moved)
            if answers.version == order.to:
                done = replace(outcome, result="current")
            elif answers.version in order.releases.later:
                done = replace(outcome, result="current", detail=f"is ahead ({answers.version})")
            else:
                check_ready(member, clone, answers.branch)
                done = carry_out(member, clone, answers, order, outcome)
    except NeedsPerson as reason:
        done = replace(outcome, result="refused", detail=str(reason))
    except GitError as error:
        done = replace(outcome, result="failed", detail=str(error))
    except Exception as error:  # Copier's own, or the disk's: this member's, the others go on
        said = telling_line(str(error)) or type(error).__name__
        done = replace(outcome, result="failed", detail=said)
    return replace(done, seconds=round(time.monotonic() - started, 1))


def check_version(answers: Answers, releases: Releases) -> None:
    """Raises NeedsPerson where there is nothing to update from."""
    version = answers.version
    if not releases.is_at(answers.template):
        raise NeedsPerson(f"is of another template, {answers.template} (--also names an address)")
    if not version or UNTAGGED.fullmatch(version):
        raise NeedsPerson(
            f"is of an untagged version ({version or 'none'}): `copier recopy --trust` makes it "
            "one of a release, and git diff shows what that would lose"
        )
    if version not in (*releases.tags, *releases.later):
        raise NeedsPerson(
            f"is of {version}, which is no release up to {releases.newest}: was _commit in "
            f"{ANSWERS} edited, or the release withdrawn?"
        )


def carry_out(
    member: Member, clone: Path, answers: Answers, order: Order, known: Outcome
) -> Outcome:
    """Everything from the clone, which is at the member's branch, to the pull request. Raises
    NeedsPerson and GitError."""
    branch = order.branch(member)
    if found := earlier(member, clone, branch, answers, order):
        return replace(known, **found)
    check_recorded(clone, member.answers_file, answers, order.releases)

    merge(clone, member.answers_file, order)
    if in_conflict := update_report.conflicts(clone):
        where = ", ".join(update_report.describe_conflicts(in_conflict))
        return replace(known, result="conflict", detail=where, conflicts=in_conflict)
    git(clone, "switch", "--quiet", "--create", branch)
    git(clone, "add", "--all")
    title = f"Template {answers.version} → {order.to}"
    git(clone, "commit", "--quiet", "--message", title, "--message", changes(answers, order))
    if failed := run_checks(order.checks, clone, member):
        return replace(known, result="check failed", detail=failed)

    if order.goal == "dry-run":
        changed = names(git(clone, "diff", "--name-only", "-z", f"{answers.branch}..{branch}"))
        return replace(known, result="updated", detail=f"{len(changed)} files would change")
    if order.goal == "prepare":
        assert member.folder
        git(member.folder, "fetch", "--quiet", str(clone), f"{branch}:{branch}")
        return replace(known, result="prepared", detail=f"branch {branch}")
    git(clone, "push", "--quiet", "origin", f"{branch}:refs/heads/{branch}")
    if order.goal == "push":
        return replace(known, result="pushed", detail=f"branch {branch}")
    return replace(known, **propose(clone, branch, answers, order, pushed=True))


# ── the member's repository ───────────────────────────────────────────────────────────


def cloned(member: Member, clone: Path, order: Order) -> Answers:
    """The member's answers as checked out; `clone` gets its history, not its files.

    Raises NeedsPerson and GitError.
    """
    if not member.folder:
        # all of the history, which tells how a member came to its version; files as they are needed
        some = ("--filter=blob:none", "--single-branch")
        git(None, "clone", "--quiet", *some, member.place, str(clone))
        return read_answers(read_text(clone, member.answers_file))
    answers = read_answers(read_text(member.folder, member.answers_file))
    git(None, "clone", "--quiet", "--no-tags", "--no-checkout", str(member.folder), str(clone))
    if remote := remote_of(member.folder):
        git(clone, "remote", "set-url", "origin", remote)
    elif order.goal != "prepare":
        git(clone, "remote", "remove", "origin")
    return answers


def at_its_branch(member: Member, clone: Path, answers: Answers, order: Order) -> Answers:
    """Checks out the branch that deploys: what the remote has, and to prepare, what the member's
    people have. The answers in it. Raises NeedsPerson and GitError."""
    branch = answers.branch
    if order.goal == "prepare":
        if not member.folder:
            raise NeedsPerson("is no local clone, where a branch could be prepared")
        check_on(branch, member.folder)
        git(clone, "checkout", "--quiet", "-B", branch, "HEAD")
    else:
        if not git(clone, "remote"):
            return answers
        if not git(clone, "ls-remote", "origin", f"refs/heads/{branch}"):
            raise NeedsPerson(
                f"its remote has no branch {branch}, which deploys: push it, or "
                "`copier update --trust --ask deploy_branch`"
            )
        # not into origin/…, which is what the member's people have
        git(clone, "fetch", "--quiet", "--refmap=", "origin", f"refs/heads/{branch}")
        git(clone, "checkout", "--quiet", "--no-track", "-B", branch, "FETCH_HEAD")
    return replace(read_answers(read_text(clone, member.answers_file)), branch=branch)


def read_text(clone: Path, answers_file: str) -> str | None:
    """Raises NeedsPerson where the folder is no clone that could be updated."""
    if not clone.is_dir():
        raise GitError(f"there is no folder {clone}")
    if not (clone / ".git").exists():
        raise NeedsPerson("is no git clone (a folder with .git; a folder of one is CLONE#folder)")
    path = clone / answers_file
    return text_of(path) if path.is_file() else None


def check_ready(member: Member, clone: Path, branch: str) -> None:
    """What its people have not committed, or not pushed, is theirs to think of before the template
    changes the same files. Raises NeedsPerson."""
    if not git(clone, "remote"):
        raise NeedsPerson("has no remote to push to: add one, or --prepare")
    if not member.folder:
        return
    status = ("status", "--porcelain", "--no-renames", "-z", "--", member.subfolder)
    if changed := names(git(member.folder, *status)):
        which = changed[0].strip().partition(" ")[2].strip()
        which += " and others" if len(changed) > 1 else ""
        raise NeedsPerson(f"has uncommitted changes ({which}): commit or stash them")
    theirs = f"refs/remotes/origin/{branch}"  # as cloned from them, see at_its_branch
    if git(clone, "for-each-ref", theirs):
        ahead = int(git(clone, "rev-list", "--count", f"HEAD..{theirs}"))
        if ahead:
            raise NeedsPerson(f"{branch} is {ahead} commits ahead of its remote: push them first")


def check_on(branch: str, folder: Path) -> None:
    """Raises NeedsPerson where another branch is checked out than the one that deploys."""
    try:
        current = git(folder, "symbolic-ref", "--short", "HEAD")
    except GitError:
        raise NeedsPerson(f"is on no branch (detached HEAD): switch to {branch}") from None
    if current != branch:
        raise NeedsPerson(f"is on branch {current}, and {branch} deploys: switch to {branch}")


def remote_of(folder: Path) -> str | None:
    try:
        url = git(folder, "remote", "get-url", "origin")
    except GitError:
        return None
    return os.path.normpath(folder / url) if url.startswith(".") else url


def names(listed: str) -> list[str]:
    return [name for name in listed.split("\0") if name]


def earlier(
    member: Member, clone: Path, branch: str, answers: Answers, order: Order
) -> dict[str, Any] | None:
    """What an earlier run, perhaps one that was killed, or the member's own maintenance left of
    this very update. Raises NeedsPerson where it is of another version."""
    where = str(member.folder) if order.goal == "prepare" else "origin"
    head = f"refs/heads/{branch}"
    if not git(clone, "ls-remote", where, head):
        return None
    git(clone, "fetch", "--quiet", where, head)
    git(clone, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    try:
        version = read_answers(read_text(clone, member.answers_file)).version
    except NeedsPerson:
        version = ""
    if version != order.to:
        delete = "git branch -D" if order.goal == "prepare" else "git push origin --delete"
        raise NeedsPerson(
            f"the branch {branch} is there, but is of {version or 'no version'}: delete it "
            f"({delete} {branch}), and run this again"
        )
    if in_conflict := left_in_conflict(clone, answers.branch):
        listed = ", ".join(update_report.describe_conflicts(in_conflict))
        detail = f"{listed}, on the branch {branch}, which is there already"
        return {"result": "conflict", "detail": detail, "conflicts": in_conflict}
    if order.goal == "propose" or (order.goal == "dry-run" and shutil.which("gh")):
        return propose(clone, branch, answers, order)
    return {"result": "already there", "detail": f"branch {branch}"}


def left_in_conflict(clone: Path, base: str) -> dict[str, list[int]]:
    """Files that what is checked out changed since `base`, and that hold conflicts; with lines."""
    changed = names(git(clone, "diff", "--name-only", "-z", f"{base}...HEAD"))
    paths = ((name, clone / name) for name in changed)
    found = {
        name: update_report.conflict_lines(path.read_bytes())
        for name, path in paths
        if path.is_file()
    }
    return {name: lines for name, lines in found.items() if lines}


def propose(
    clone: Path, branch: str, answers: Answers, order: Order, *, pushed: bool = False
) -> dict[str, Any]:
    """The pull request for the branch, which is on the remote: the one there is, or a new one.

    pushed: just now; then a closed one was for an earlier branch of that name.
    """
    fields = ("--json", "url,state", "--jq", '.[0] | select(.) | .url + " " + .state')
    head = ("--head", branch)
    state = ("--state", "open" if pushed else "all")
    if found := run(["gh", "pr", "list", *head, *state, *fields], clone, seconds=60):
        link, state_of_it = found.split()
        if state_of_it == "CLOSED":  # somebody said no, or not yet: not for us to overrule
            advice = f"reopen it, or delete the branch {branch} and run this again"
            return {"result": "refused", "detail": f"{link} was closed: {advice}", "link": link}
        detail = f"{link} ({state_of_it.lower()})"
        return {"result": "already there", "detail": detail, "link": link}
    if order.goal == "dry-run":
        return {"result": "updated", "detail": f"branch {branch} is there, without a pull request"}
    title = f"Update the template from {answers.version} to {order.to}"
    if branch != order.branch(Member("", "")):
        title += f" in {answers.project}"
    checked = f"checked: {', '.join(order.checks)}" if order.checks else "not checked"
    body = f"{changes(answers, order)}\n\nMade by `fleet update`; {checked}."
    text = ("--title", title, "--body", body)
    into = ("--base", answers.branch)
    link = run(["gh", "pr", "create", *head, *into, *text], clone, seconds=60)
    link = link.splitlines()[-1] if link else ""
    return {"result": "proposed", "detail": link, "link": link}


def changes(answers: Answers, order: Order) -> str:
    path = order.releases.checkout(order.to) / "CHANGELOG.md"
    changelog = path.read_text(encoding="utf-8") if path.exists() else ""
    return update_report.changes_between(changelog, answers.version, order.to)


# ── the update ────────────────────────────────────────────────────────────────────────


@cache
def template(releases: Releases, url: str, tag: str) -> Template:
    """A released version as Copier's Template; url: as the member recorded it, and will again.

    Copier clones when it is first asked for `local_abspath`, a cached property: here it is set.
    """
    opened = Template(url=url, ref=tag)
    opened.__dict__ |= {"local_abspath": releases.checkout(tag), "vcs": "git", "commit": tag}
    return opened


@cache
def worker_of(releases: Releases) -> type[Worker]:
    """Copier's Worker, with the templates that this process has open.

    An update makes four workers, `dataclasses.replace`d from each other, for the old version and
    the new: a class of our own is the one place that all of them ask.
    """

    class FleetWorker(SharingWorker):
        @cached_property
        def template(self) -> Template:
            url = self.src_path or self.subproject.last_answers["_src_path"]
            return template(releases, url, str(self.resolved_vcs_ref))

        @cached_property
        def subproject(self) -> Subproject:
            project = Subproject(self.dst_path.absolute(), Path(self.answers_file or ANSWERS))
            if recorded := project.last_answers:
                project.__dict__["template"] = template(
                    releases, recorded["_src_path"], recorded["_commit"]
                )
            return project

    return FleetWorker


def merge(clone: Path, answers_file: str, order: Order) -> None:
    """`copier update` of a member in the clone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = worker_of(order.releases)(
            dst_path=clone,
            answers_file=RelativePath(answers_file),
            vcs_ref=order.to,
            defaults=True,
            overwrite=True,
            unsafe=True,
            quiet=True,
        )
        worker.run_update()


def check_recorded(clone: Path, answers_file: str, answers: Answers, releases: Releases) -> None:
    """Raises NeedsPerson where the version was edited by hand, as an update never does.

    The files would be of an older version than they say, and its changes lost for good. A commit
    that changes the version alone is told by it, unless that version changes nothing here.
    """
    commit = git(clone, "log", "-1", "--format=%H", "-G^_commit:", "--", answers_file)
    shown = git(clone, "show", "--format=", "--unified=0", commit) if commit else ""
    lines = [line for line in shown.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    was = [line.partition(":")[2].strip() for line in lines if line.startswith("-_commit:")]
    if len(lines) == 2 and was and was[0] in releases.tags:
        old, new = (
            rendering(clone, answers_file, answers, releases, tag)
            for tag in (was[0], answers.version)
        )
        if old != new:
            raise NeedsPerson(
                f"its _commit was edited by hand from {was[0]} to {answers.version} "
                f"({commit[:7]}): set it back, and update"
            )


def rendering(
    clone: Path, answers_file: str, answers: Answers, releases: Releases, tag: str
) -> dict[Path, bytes]:
    """What the template gives a member with these answers, the answers file left out."""
    with tempfile.TemporaryDirectory(dir=clone.parent) as scratch:
        worker = worker_of(releases)(
            src_path=answers.template,
            dst_path=Path(scratch),
            answers_file=RelativePath(answers_file),
            data=yaml.safe_load((clone / answers_file).read_text(encoding="utf-8")),
            vcs_ref=tag,
            defaults=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
        )
        worker.run_copy()
        paths = (path for path in Path(scratch).rglob("*") if path.is_file())
        return {
            path.relative_to(scratch): path.read_bytes() for path in paths if path.name != ANSWERS
        }


# ── its checks ────────────────────────────────────────────────────────────────────────


def run_checks(checks: Sequence[str], clone: Path, member: Member) -> str:
    """What the first check that fails found, in one line; empty where none did."""
    if not (failed := first_failure(checks, clone, member)):
        return ""
    command, said = failed
    git(clone, "checkout", "--quiet", "--force", "--detach", "HEAD~1")
    before = first_failure(checks, clone, member)
    since = "failed before, too" if before and before[0] == command else "fails"
    return f"`{command}` {since}: {said}"


def first_failure(checks: Sequence[str], clone: Path, member: Member) -> tuple[str, str] | None:
    """Which check fails on what is checked out, and what it said.

    As in the member's CI: with its packages, and stand-ins of what it reads, made of the contracts
    that it has committed. Where it has none, with this machine's registry.
    """
    project = clone / member.subfolder
    theirs = (member.folder or Path.cwd() / Path(member.place).name) / member.subfolder
    upstreams = committed_upstreams(project) if checks else []
    with tempfile.TemporaryDirectory(dir=clone.parent) as home:
        environment = {"DBT_MESH_HOME": home, "DBT_LOOM_CONFIG": "dbt_loom.config.yml"}
        if (project / STUB_MESH).is_file() and not upstreams:
            ours = os.environ.get("DBT_MESH_HOME", str(theirs.parent / ".mesh"))
            environment = {"DBT_MESH_HOME": ours}
        stubs = [f"{STUB_MESH} --offline", *(f"--upstream {name}" for name in upstreams)]
        before = [
            *(["dbt deps"] if has_packages(project) else []),
            *([" ".join(stubs)] if upstreams else []),
        ]
        for command in [*before, *checks] if checks else []:
            if said := run_in_member(command, project, member, environment):
                return command, said
    return None


def has_packages(project: Path) -> bool:
    """As the members' CI asks before it installs them."""
    files = (project / "packages.yml", project / "dependencies.yml")
    return any(
        line.startswith(b"packages:")
        for file in files
        if file.is_file()
        for line in file.read_bytes().splitlines()
    )


def committed_upstreams(project: Path) -> list[str]:
    """Those whose contract a downstream has committed, and reads."""
    if not (project / STUB_MESH).is_file():
        return []
    try:
        upstreams = load_member(project).upstreams
    except (MeshError, OSError):
        return []  # the check will say what is wrong
    return [
        each.name
        for each in upstreams
        if (project / "state" / each.name / "manifest.json").exists()
    ]


def run_in_member(
    command: str, project: Path, member: Member, environment: Mapping[str, str]
) -> str:
    """What the command said when it failed, in one line; empty where it did not."""
    paths = [Path(sys.executable).parent]
    if member.folder:
        # of the project, or of all
        environments = dict.fromkeys([member.folder / member.subfolder, member.folder])
        paths = [*(folder / ".venv" / "bin" for folder in environments), *paths]
    try:
        run(
            shlex.split(command),
            project,
            seconds=CHECK_SECONDS,
            PATH=os.pathsep.join([*map(str, paths), os.environ.get("PATH", "")]),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            DBT_USE_COLORS="false",
            **environment,
        )
    except GitError as error:
        return str(error).replace(f"{project}/", "")
    return ""
