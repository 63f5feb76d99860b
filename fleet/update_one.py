"""One member's update, in a clone of its own: the member changes when all of it went well.

This runs in a process of the pool. The template's versions are opened once for each process, and
handed to Copier, which would clone the template five times for every member.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import update_report
import yaml
from after_copy import UNTAGGED
from copier._main import Worker
from copier._subproject import Subproject
from copier._template import Template
from copier._types import RelativePath
from copier_speed import SharingWorker

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
)
from fleet.releases import Releases

CHECK_SECONDS = 900

Result = Literal[
    "current",  # on that version already
    "updated",  # a dry run went well
    "prepared",  # a branch in the local clone
    "pushed",  # a branch on the remote
    "proposed",  # a pull request
    "already there",  # from an earlier run
    "conflict",
    "check failed",
    "refused",  # not touched, because of what it is
    "failed",  # git, gh or the disk
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
        """One for each member, also of those that share a repository."""
        of = "" if member.subfolder == "." else f"-{member.subfolder.replace('/', '-')}"
        return f"template/{self.to}{of}"


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
        with tempfile.TemporaryDirectory(prefix="fleet.", ignore_cleanup_errors=True) as scratch:
            clone = Path(scratch) / Path(member.place).name.removesuffix(".git")
            folder = member.folder or download(member.place, clone)
            answers = read_answers(read_text(folder, member.answers_file))
            outcome = replace(outcome, kind=answers.kind, version=answers.version)
            check_version(answers, order.releases)
            if answers.version == order.to:
                done = replace(outcome, result="current")
            else:
                done = carry_out(member, folder, clone, answers, order, outcome)
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
    if version not in releases.tags:
        raise NeedsPerson(
            f"is of {version}, which is no release up to {releases.newest}: was _commit in "
            f"{ANSWERS} edited, or the release withdrawn?"
        )


def carry_out(
    member: Member, folder: Path, clone: Path, answers: Answers, order: Order, known: Outcome
) -> Outcome:
    """Everything from the clone to the pull request. Raises NeedsPerson and GitError."""
    base = current_branch(folder, member.subfolder)
    remote = remote_of(folder)
    branch = order.branch(member)
    if order.goal in ("push", "propose") and not remote:
        raise NeedsPerson("has no remote to push to: add one, or --prepare")
    if order.goal == "prepare" and not member.folder:
        raise NeedsPerson("is no local clone, where a branch could be prepared")
    if found := earlier(folder, remote, base, branch, answers, order):
        return replace(known, **found)
    if member.folder:
        git(None, "clone", "--quiet", "--no-tags", str(folder), str(clone))
        if remote:
            git(clone, "remote", "set-url", "origin", remote)
        if order.goal in ("push", "propose"):
            check_in_step(clone, base)
    check_recorded(clone, member.answers_file, answers, order.releases)

    merge(clone, member.answers_file, order)
    if in_conflict := update_report.conflicts(clone):
        where = ", ".join(update_report.describe_conflicts(in_conflict))
        return replace(known, result="conflict", detail=where, conflicts=in_conflict)
    git(clone, "switch", "--quiet", "--create", branch)
    git(clone, "add", "--all")
    title = f"Template {answers.version} → {order.to}"
    git(clone, "commit", "--quiet", "--message", title, "--message", changes(answers, order))
    for check in order.checks:
        if failed := run_check(check, clone, member):
            return replace(known, result="check failed", detail=failed)

    if order.goal == "dry-run":
        changed = git(clone, "diff", "--name-only", f"{base}..{branch}").splitlines()
        return replace(known, result="updated", detail=f"{len(changed)} files would change")
    if order.goal == "prepare":
        assert member.folder
        git(member.folder, "fetch", "--quiet", str(clone), f"{branch}:{branch}")
        return replace(known, result="prepared", detail=f"branch {branch}")
    git(clone, "push", "--quiet", "origin", f"{branch}:refs/heads/{branch}")
    if order.goal == "push":
        return replace(known, result="pushed", detail=f"branch {branch}")
    return replace(known, **propose(clone, base, branch, answers, order, pushed=True))


# ── the member's repository ───────────────────────────────────────────────────────────


def download(url: str, clone: Path) -> Path:
    # all of the history, which tells how a member came to its version; files as they are needed
    git(None, "clone", "--quiet", "--filter=blob:none", "--single-branch", url, str(clone))
    return clone


def read_text(clone: Path, answers_file: str) -> str | None:
    """Raises NeedsPerson where the folder is no clone that could be updated."""
    if not clone.is_dir():
        raise GitError(f"there is no folder {clone}")
    if not (clone / ".git").exists():
        raise NeedsPerson("is no git clone (a folder with .git; a folder of one is CLONE#folder)")
    path = clone / answers_file
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def current_branch(folder: Path, subfolder: str) -> str:
    """Raises NeedsPerson where the project is not as its people committed it."""
    if changed := git(folder, "status", "--porcelain", "--", subfolder).splitlines():
        which = changed[0][2:].strip() + (" and others" if len(changed) > 1 else "")
        raise NeedsPerson(f"has uncommitted changes ({which}): commit or stash them")
    try:
        return git(folder, "symbolic-ref", "--short", "HEAD")
    except GitError:
        raise NeedsPerson("is on no branch (detached HEAD): switch to one") from None


def remote_of(folder: Path) -> str | None:
    try:
        return git(folder, "remote", "get-url", "origin")
    except GitError:
        return None


def check_in_step(clone: Path, base: str) -> None:
    """A pull request is for what the remote has. Raises NeedsPerson."""
    git(clone, "fetch", "--quiet", "origin", base)
    counted = git(clone, "rev-list", "--left-right", "--count", "HEAD...FETCH_HEAD")
    ahead, behind = map(int, counted.split())
    if ahead or behind:
        raise NeedsPerson(
            f"{base} is not what the remote has ({ahead} commits ahead, {behind} behind): "
            "push or pull first"
        )


def earlier(
    folder: Path, remote: str | None, base: str, branch: str, answers: Answers, order: Order
) -> dict[str, Any] | None:
    """What an earlier run, perhaps one that was killed, left of this very update."""
    head = f"refs/heads/{branch}"
    there: dict[str, Any] = {"result": "already there", "detail": f"branch {branch}"}
    if order.goal == "prepare":
        return there if git(folder, "for-each-ref", head) else None
    if order.goal == "dry-run" or not remote:
        return None
    if not git(None, "ls-remote", remote, head):
        return None
    return there if order.goal == "push" else propose(folder, base, branch, answers, order)


def propose(
    folder: Path, base: str, branch: str, answers: Answers, order: Order, *, pushed: bool = False
) -> dict[str, Any]:
    """The pull request for the branch, which is on the remote: the one there is, or a new one.

    pushed: just now; then a closed one was for an earlier branch of that name.
    """
    fields = ("--json", "url,state", "--jq", '.[0] | select(.) | .url + " " + .state')
    head = ("--head", branch)
    state = ("--state", "open" if pushed else "all")
    if found := run(["gh", "pr", "list", *head, *state, *fields], folder, seconds=60):
        link, state_of_it = found.split()
        if state_of_it == "CLOSED":  # somebody said no, or not yet: not for us to overrule
            advice = f"reopen it, or delete the branch {branch} and run this again"
            return {"result": "refused", "detail": f"{link} was closed: {advice}", "link": link}
        detail = f"{link} ({state_of_it.lower()})"
        return {"result": "already there", "detail": detail, "link": link}
    title = f"Update the template from {answers.version} to {order.to}"
    if branch != order.branch(Member("", "")):
        title += f" in {answers.project}"
    body = (
        f"{changes(answers, order)}\n\nMade by `fleet update`; checked: {', '.join(order.checks)}."
    )
    text = ("--title", title, "--body", body)
    link = run(["gh", "pr", "create", *head, "--base", base, *text], folder, seconds=60)
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


def run_check(check: str, clone: Path, member: Member) -> str:
    """What the check found, in one line; empty where it found nothing."""
    failed = run_in_member(check, clone, member)
    if failed:
        git(clone, "checkout", "--quiet", "--force", "--detach", "HEAD~1")
        before = run_in_member(check, clone, member)
        return f"`{check}` {'failed before, too' if before else 'fails'}: {failed}"
    return ""


def run_in_member(command: str, clone: Path, member: Member) -> str:
    project = (member.folder or Path.cwd() / Path(member.place).name) / member.subfolder
    ours = [Path(sys.executable).parent]
    if member.folder:
        environments = dict.fromkeys([project, member.folder])  # of the project, or of all
        ours = [*(folder / ".venv" / "bin" for folder in environments), *ours]
    try:
        run(
            shlex.split(command),
            clone / member.subfolder,
            seconds=CHECK_SECONDS,
            PATH=os.pathsep.join([*map(str, ours), os.environ.get("PATH", "")]),
            DBT_MESH_HOME=os.environ.get("DBT_MESH_HOME", str(project.parent / ".mesh")),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            DBT_USE_COLORS="false",
        )
    except GitError as error:
        return str(error).replace(f"{clone / member.subfolder}/", "")
    return ""
