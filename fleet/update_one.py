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
from copier._jinja_ext import SandboxedEnvironment
from copier._main import Worker
from copier._subproject import Subproject
from copier._template import Template

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

    @property
    def branch(self) -> str:
        return f"template/{self.to}"


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
            answers = read_answers(read_text(folder / ANSWERS))
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
    base = current_branch(folder)
    remote = remote_of(folder)
    if order.goal in ("push", "propose") and not remote:
        raise NeedsPerson("has no remote to push to: add one, or --prepare")
    if order.goal == "prepare" and not member.folder:
        raise NeedsPerson("is no local clone, where a branch could be prepared")
    if found := earlier(folder, remote, base, answers, order):
        return replace(known, **found)
    if member.folder:
        git(None, "clone", "--quiet", "--no-tags", str(folder), str(clone))
        if remote:
            git(clone, "remote", "set-url", "origin", remote)
        if order.goal in ("push", "propose"):
            check_in_step(clone, base)
    check_recorded(clone, answers, order.releases)

    merge(clone, order)
    if in_conflict := update_report.conflicts(clone):
        where = ", ".join(update_report.describe_conflicts(in_conflict))
        return replace(known, result="conflict", detail=where, conflicts=in_conflict)
    git(clone, "switch", "--quiet", "--create", order.branch)
    git(clone, "add", "--all")
    title = f"Template {answers.version} → {order.to}"
    git(clone, "commit", "--quiet", "--message", title, "--message", changes(answers, order))
    for check in order.checks:
        if failed := run_check(check, clone, member):
            return replace(known, result="check failed", detail=failed)

    if order.goal == "dry-run":
        changed = git(clone, "diff", "--name-only", f"{base}..{order.branch}").splitlines()
        return replace(known, result="updated", detail=f"{len(changed)} files would change")
    if order.goal == "prepare":
        assert member.folder
        git(member.folder, "fetch", "--quiet", str(clone), f"{order.branch}:{order.branch}")
        return replace(known, result="prepared", detail=f"branch {order.branch}")
    git(clone, "push", "--quiet", "origin", f"{order.branch}:refs/heads/{order.branch}")
    if order.goal == "push":
        return replace(known, result="pushed", detail=f"branch {order.branch}")
    return replace(known, **propose(clone, base, answers, order))


# ── the member's repository ───────────────────────────────────────────────────────────


def download(url: str, clone: Path) -> Path:
    # all of the history, which tells how a member came to its version; files as they are needed
    git(None, "clone", "--quiet", "--filter=blob:none", "--single-branch", url, str(clone))
    return clone


def read_text(path: Path) -> str | None:
    """Raises NeedsPerson where the folder is no clone that could be updated."""
    if not path.parent.is_dir():
        raise GitError(f"there is no folder {path.parent}")
    if not (path.parent / ".git").exists():
        raise NeedsPerson("is no git clone (a folder with .git)")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def current_branch(folder: Path) -> str:
    """Raises NeedsPerson where the clone is not as its people committed it."""
    if changed := git(folder, "status", "--porcelain").splitlines():
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
    folder: Path, remote: str | None, base: str, answers: Answers, order: Order
) -> dict[str, Any] | None:
    """What an earlier run, perhaps one that was killed, left of this very update."""
    branch = f"refs/heads/{order.branch}"
    there: dict[str, Any] = {"result": "already there", "detail": f"branch {order.branch}"}
    if order.goal == "prepare":
        return there if git(folder, "for-each-ref", branch) else None
    if order.goal == "dry-run" or not remote:
        return None
    if not git(None, "ls-remote", remote, branch):
        return None
    return there if order.goal == "push" else propose(folder, base, answers, order)


def propose(folder: Path, base: str, answers: Answers, order: Order) -> dict[str, Any]:
    """The pull request for the branch, which is on the remote: the one there is, or a new one."""
    fields = ("--json", "url,state", "--jq", '.[0] | select(.) | .url + " " + .state')
    head = ("--head", order.branch)
    found = run(["gh", "pr", "list", *head, "--state", "all", *fields], folder, seconds=60)
    if found:
        link, state = found.split()
        result = "refused" if state == "CLOSED" else "already there"
        return {"result": result, "detail": f"{link} ({state.lower()})", "link": link}
    title = f"Update the template from {answers.version} to {order.to}"
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


ENVIRONMENTS: dict[Path, SandboxedEnvironment] = {}
"""By the folder of the template."""


@cache
def worker_of(releases: Releases) -> type[Worker]:
    """Copier's Worker, with the templates that this process has open.

    An update makes four workers, `dataclasses.replace`d from each other, for the old version and
    the new: a class of our own is the one place that all of them ask.
    """

    class SharingWorker(Worker):
        @cached_property
        def template(self) -> Template:
            url = self.src_path or self.subproject.last_answers["_src_path"]
            return template(releases, url, str(self.resolved_vcs_ref))

        @cached_property
        def subproject(self) -> Subproject:
            project = Subproject(self.dst_path.absolute(), Path(ANSWERS))
            if recorded := project.last_answers:
                project.__dict__["template"] = template(
                    releases, recorded["_src_path"], recorded["_commit"]
                )
            return project

        @cached_property
        def jinja_env(self) -> SandboxedEnvironment:
            # with all that it has compiled, which is a third of the work
            folder = self.template.local_abspath
            if folder not in ENVIRONMENTS:
                ENVIRONMENTS[folder] = Worker.__dict__["jinja_env"].func(self)
            return ENVIRONMENTS[folder]

        def _sync_git_index_executable_bit(self, dst_relpath: Path, src_mode: int) -> None:
            # asks git, for each file, whether modes are to be kept in the index alone: on Windows
            if os.name == "nt":
                super()._sync_git_index_executable_bit(dst_relpath, src_mode)

    return SharingWorker


def merge(clone: Path, order: Order) -> None:
    """`copier update` of the clone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = worker_of(order.releases)(
            dst_path=clone,
            vcs_ref=order.to,
            defaults=True,
            overwrite=True,
            unsafe=True,
            quiet=True,
        )
        worker.run_update()


def check_recorded(clone: Path, answers: Answers, releases: Releases) -> None:
    """Raises NeedsPerson where the version was edited by hand, as an update never does.

    The files would be of an older version than they say, and its changes lost for good. A commit
    that changes the version alone is told by it, unless that version changes nothing here.
    """
    commit = git(clone, "log", "-1", "--format=%H", "-G^_commit:", "--", ANSWERS)
    shown = git(clone, "show", "--format=", "--unified=0", commit) if commit else ""
    lines = [line for line in shown.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    was = [line.partition(":")[2].strip() for line in lines if line.startswith("-_commit:")]
    if len(lines) == 2 and was and was[0] in releases.tags:
        old, new = (rendering(clone, answers, releases, tag) for tag in (was[0], answers.version))
        if old != new:
            raise NeedsPerson(
                f"its _commit was edited by hand from {was[0]} to {answers.version} "
                f"({commit[:7]}): set it back, and update"
            )


def rendering(clone: Path, answers: Answers, releases: Releases, tag: str) -> dict[Path, bytes]:
    """What the template gives a member with these answers, the answers file left out."""
    with tempfile.TemporaryDirectory(dir=clone.parent) as scratch:
        worker = worker_of(releases)(
            src_path=answers.template,
            dst_path=Path(scratch),
            data=yaml.safe_load((clone / ANSWERS).read_text(encoding="utf-8")),
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
    beside = (member.folder or Path.cwd() / member.name).parent
    ours = [Path(sys.executable).parent]
    if member.folder:
        ours.insert(0, member.folder / ".venv" / "bin")
    try:
        run(
            shlex.split(command),
            clone,
            seconds=CHECK_SECONDS,
            PATH=os.pathsep.join([*map(str, ours), os.environ.get("PATH", "")]),
            DBT_MESH_HOME=os.environ.get("DBT_MESH_HOME", str(beside / ".mesh")),
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            DBT_USE_COLORS="false",
        )
    except GitError as error:
        return str(error).replace(f"{clone}/", "")
    return ""
