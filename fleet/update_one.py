"""Updates one member in a clone of its own. The member changes only if everything succeeds.

This runs in a process of the pool.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import update_report
from delivery import moved_error

from dbtmesh.output.error_line import telling_line
from fleet.checks import run_checks
from fleet.copier_update import merge, rendering
from fleet.git import GitError, git
from fleet.members import Answers, Member, NeedsPerson
from fleet.outcome import Goal, Order, Outcome, Result
from fleet.protected_commit import keep
from fleet.pull_request import changes, earlier, propose
from fleet.releases import Releases
from fleet.repository import at_its_branch, check_ready, check_version, cloned, names


def update(member: Member, order: Order) -> Outcome:
    """Updates a member as ordered. It never raises: a failure is the member's outcome."""
    started = time.monotonic()
    outcome = Outcome(member.name, Result.FAILED)
    try:
        # the whole command removes this folder, also after a process of the pool was killed
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
                done = replace(outcome, result=Result.CURRENT)
            elif answers.version in order.releases.later:
                ahead = f"is ahead ({answers.version})"
                done = replace(outcome, result=Result.CURRENT, detail=ahead)
            else:
                check_ready(member, clone, answers.branch)
                done = carry_out(member, clone, answers, order, outcome)
    except NeedsPerson as reason:
        done = replace(outcome, result=Result.REFUSED, detail=str(reason))
    except GitError as error:
        done = replace(outcome, result=Result.FAILED, detail=str(error))
    except Exception as error:  # such as Copier's or the disk's: the other members go on
        said = telling_line(str(error)) or type(error).__name__
        done = replace(outcome, result=Result.FAILED, detail=said)
    return replace(done, seconds=round(time.monotonic() - started, 1))


def carry_out(
    member: Member, clone: Path, answers: Answers, order: Order, known: Outcome
) -> Outcome:
    """Updates the clone, which is at the member's branch, and opens the pull request.

    Raises NeedsPerson and GitError.
    """
    branch = order.branch(member)
    if found := earlier(member, clone, branch, answers, order, known):
        return found
    check_recorded(clone, member.answers_file, answers, order.releases)

    if order.moved_to and answers.template != order.moved_to:
        answers = record_address(clone, member.answers_file, answers, order)
    merge(clone, member.answers_file, answers, order.releases)
    if in_conflict := update_report.conflicts(clone):
        where = ", ".join(update_report.describe_conflicts(in_conflict))
        return replace(known, result=Result.CONFLICT, detail=where, conflicts=in_conflict)
    git(clone, "switch", "--quiet", "--create", branch)
    git(clone, "add", "--all")
    title = f"Template {answers.version} → {order.to}"
    commit(clone, order, "--message", title, "--message", changes(answers, order))
    changed = names(git(clone, "diff", "--name-only", "-z", f"{answers.branch}..{branch}"))
    kept = keep(clone, order.releases.scratch)
    # From here on git is not used in the clone, because the member's code may change its settings.
    if failed := run_checks(order.checks, kept, member):
        return replace(known, result=Result.CHECK_FAILED, detail=failed)

    if order.goal is Goal.DRY_RUN:
        return replace(known, result=Result.UPDATED, detail=f"{len(changed)} files would change")
    with kept.repository(branch) as repository:
        if order.goal is Goal.PREPARE:
            assert member.folder
            git(member.folder, "fetch", "--quiet", str(repository), f"{branch}:{branch}")
            return replace(known, result=Result.PREPARED, detail=f"branch {branch}")
        git(repository, "push", "--quiet", "origin", f"{branch}:refs/heads/{branch}")
        if order.goal is Goal.PUSH:
            return replace(known, result=Result.PUSHED, detail=f"branch {branch}")
        return propose(repository, branch, answers, order, known, pushed=True)


def commit(clone: Path, order: Order, *words: str) -> None:
    """Commits in the clone without the operator's hooks, which are for the operator's own changes.

    Author and signature are those of the operator's git, except in a dry run, whose commit is
    thrown away.
    """
    nobody, unsigned = [], []
    if order.goal is Goal.DRY_RUN:
        nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
        unsigned = ["--no-gpg-sign"]
    git(clone, *nobody, "commit", "--quiet", "--no-verify", *unsigned, *words)


def record_address(clone: Path, answers_file: str, answers: Answers, order: Order) -> Answers:
    """Commits the template's new address in the answers file, from which Copier reads it."""
    url = order.moved_to
    path = clone / answers_file
    text = path.read_text(encoding="utf-8")
    line = f"_src_path: {json.dumps(url)}"
    path.write_text(re.sub(r"(?m)^_src_path:.*$", lambda _: line, text), encoding="utf-8")
    commit(clone, order, "--all", "--message", f"The template has moved to {url}")
    return replace(answers, template=url)


def check_recorded(clone: Path, answers_file: str, answers: Answers, releases: Releases) -> None:
    """Raises NeedsPerson where the recorded version was edited by hand.

    Then the files are of an older version than recorded, and an update would never bring the
    changes in between. A hand edit is a commit that changes only the version, although the two
    versions render differently for this member.
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
