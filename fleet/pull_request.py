"""Opens the pull request of an update, or finds the branch and pull request of an earlier run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import update_report

from fleet.git import git, run
from fleet.members import Answers, Member, NeedsPerson
from fleet.outcome import Goal, Order, Outcome, Result
from fleet.repository import answers_in, names


def earlier(
    member: Member, clone: Path, branch: str, answers: Answers, order: Order, known: Outcome
) -> Outcome | None:
    """Returns the outcome of this same update if its branch exists already, or else None.

    An earlier run, perhaps one that was killed, or the member's own maintenance can have made the
    branch. Raises NeedsPerson where the branch has another version.
    """
    where = str(member.folder) if order.goal is Goal.PREPARE else "origin"
    head = f"refs/heads/{branch}"
    if not git(clone, "ls-remote", where, head):
        return None
    git(clone, "fetch", "--quiet", where, head)
    git(clone, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    try:
        version = answers_in(clone, member).version
    except NeedsPerson:
        version = ""
    if version != order.to:
        delete = "git branch -D" if order.goal is Goal.PREPARE else "git push origin --delete"
        raise NeedsPerson(
            f"the branch {branch} exists, but has {version or 'no version'} of the template: "
            f"delete it ({delete} {branch}), and run this again"
        )
    if in_conflict := left_in_conflict(clone, answers.branch):
        listed = ", ".join(update_report.describe_conflicts(in_conflict))
        detail = f"{listed}, on the branch {branch}, which exists already"
        return replace(known, result=Result.CONFLICT, detail=detail, conflicts=in_conflict)
    if order.goal is Goal.PROPOSE or (order.goal is Goal.DRY_RUN and shutil.which("gh")):
        return propose(clone, branch, answers, order, known)
    return replace(known, result=Result.ALREADY_THERE, detail=f"branch {branch}")


def left_in_conflict(clone: Path, base: str) -> dict[str, list[int]]:
    """Returns files changed since `base` that contain conflicts, with the lines of each."""
    changed = names(git(clone, "diff", "--name-only", "-z", f"{base}...HEAD"))
    paths = ((name, clone / name) for name in changed)
    found = {
        name: update_report.conflict_lines(path.read_bytes())
        for name, path in paths
        if path.is_file()
    }
    return {name: lines for name, lines in found.items() if lines}


def propose(
    clone: Path,
    branch: str,
    answers: Answers,
    order: Order,
    known: Outcome,
    *,
    pushed: bool = False,
) -> Outcome:
    """Finds the pull request for the branch, which is on the remote, or opens one.

    pushed: whether the branch was pushed just now. Then a closed pull request was for an earlier
    branch of that name.
    """
    fields = ("--json", "url,state", "--jq", '.[0] | select(.) | .url + " " + .state')
    head = ("--head", branch)
    state = ("--state", "open" if pushed else "all")
    if found := run(["gh", "pr", "list", *head, *state, *fields], clone, seconds=60):
        link, state_of_it = found.split()
        if state_of_it == "CLOSED":  # a person decided against it, or against it for now
            advice = f"reopen it, or delete the branch {branch} and run this again"
            detail = f"{link} was closed: {advice}"
            return replace(known, result=Result.REFUSED, detail=detail, link=link)
        detail = f"{link} ({state_of_it.lower()})"
        return replace(known, result=Result.ALREADY_THERE, detail=detail, link=link)
    if order.goal is Goal.DRY_RUN:
        detail = f"branch {branch} exists, without a pull request"
        return replace(known, result=Result.UPDATED, detail=detail)
    title = f"Update the template from {answers.version} to {order.to}"
    if branch != order.branch(Member("", "")):
        title += f" in {answers.project}"
    checked = f"checked: {', '.join(order.checks)}" if order.checks else "not checked"
    body = f"{changes(answers, order)}\n\nMade by `fleet update`; {checked}."
    text = ("--title", title, "--body", body)
    into = ("--base", answers.branch)
    link = run(["gh", "pr", "create", *head, *into, *text], clone, seconds=60)
    link = link.splitlines()[-1] if link else ""
    return replace(known, result=Result.PROPOSED, detail=link, link=link)


def changes(answers: Answers, order: Order) -> str:
    path = order.releases.checkout(order.to) / "CHANGELOG.md"
    changelog = path.read_text(encoding="utf-8") if path.exists() else ""
    return update_report.changes_between(changelog, answers.version, order.to)
