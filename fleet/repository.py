"""Clones a member's repository at the branch that deploys, and checks whether it can be updated."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from after_copy import UNTAGGED

from fleet.git import GitError, git
from fleet.members import Answers, Member, NeedsPerson, read_answers, text_of
from fleet.outcome import Goal, Order
from fleet.releases import Releases


def check_version(answers: Answers, releases: Releases) -> None:
    """Raises NeedsPerson where an update cannot start from the member's version."""
    version = answers.version
    if not releases.is_at(answers.template):
        raise NeedsPerson(f"has another template, {answers.template} (--also adds an address)")
    if not version or UNTAGGED.fullmatch(version):
        raise NeedsPerson(
            f"has an untagged version ({version or 'none'}): `copier recopy --trust` renders it "
            "from a release, and git diff shows what that would lose"
        )
    if version not in (*releases.tags, *releases.later):
        raise NeedsPerson(
            f"has version {version}, which is not a release up to {releases.newest}: was _commit "
            "edited in its answers file, or the release withdrawn?"
        )


def cloned(member: Member, clone: Path, order: Order) -> Answers:
    """Clones the history, without files, into `clone`. Returns the answers that are checked out.

    Raises NeedsPerson and GitError.
    """
    if not member.folder:
        # the whole history, which shows how the member got its version; contents only when needed
        some = ("--filter=blob:none", "--single-branch")
        git(None, "clone", "--quiet", *some, member.place, str(clone))
        return answers_in(clone, member)
    answers = answers_in(member.folder, member)
    git(None, "clone", "--quiet", "--no-tags", "--no-checkout", str(member.folder), str(clone))
    if remote := remote_of(member.folder):
        git(clone, "remote", "set-url", "origin", remote)
    elif order.goal is not Goal.PREPARE:
        git(clone, "remote", "remove", "origin")
    return answers


def at_its_branch(member: Member, clone: Path, answers: Answers, order: Order) -> Answers:
    """Checks out the branch that deploys, and returns the answers in it.

    It is the remote's branch, or for `--prepare` the local clone's. Raises NeedsPerson and
    GitError.
    """
    branch = answers.branch
    if order.goal is Goal.PREPARE:
        if not member.folder:
            raise NeedsPerson("is not a local clone, so no branch can be prepared in it")
        check_on(branch, member.folder)
        git(clone, "checkout", "--quiet", "-B", branch, "HEAD")
    else:
        if not git(clone, "remote"):
            return answers
        if not git(clone, "ls-remote", "origin", f"refs/heads/{branch}"):
            raise NeedsPerson(
                f"its remote has no branch {branch}, which deploys: push it, or "
                "`copier update --trust --skip-answered --ask deploy_branch`"
            )
        # not fetched into origin/…, which holds the state of the team's own clone
        git(clone, "fetch", "--quiet", "--refmap=", "origin", f"refs/heads/{branch}")
        git(clone, "checkout", "--quiet", "--no-track", "-B", branch, "FETCH_HEAD")
    return replace(answers_in(clone, member), branch=branch)


def answers_in(clone: Path, member: Member) -> Answers:
    """Reads a member's answers. Raises NeedsPerson, and GitError if there is no such folder."""
    return read_answers(read_text(clone, member.answers_file), member.answers_file)


def read_text(clone: Path, answers_file: str) -> str | None:
    """Returns the text of the answers file, or None if there is none.

    Raises NeedsPerson where the folder is not a clone that can be updated, and GitError where it
    does not exist.
    """
    if not clone.is_dir():
        raise GitError(f"there is no folder {clone}")
    if not (clone / ".git").exists():
        raise NeedsPerson(
            "is not a git clone (a folder with .git; a folder of one is CLONE#folder)"
        )
    path = clone / answers_file
    if path.is_symlink():
        raise NeedsPerson(f"{answers_file} is a link: put the file itself there")
    return text_of(path) if path.is_file() else None


def check_ready(member: Member, clone: Path, branch: str) -> None:
    """Raises NeedsPerson where the team has changes that are not committed or not pushed.

    The team has to deal with these before the template changes the same files.
    """
    if not git(clone, "remote"):
        raise NeedsPerson("has no remote to push to: add one, or --prepare")
    if not member.folder:
        return
    status = ("status", "--porcelain", "--no-renames", "-z", "--", member.subfolder)
    if changed := names(git(member.folder, *status)):
        which = changed[0].strip().partition(" ")[2].strip()
        which += " and others" if len(changed) > 1 else ""
        raise NeedsPerson(f"has uncommitted changes ({which}): commit or stash them")
    theirs = f"refs/remotes/origin/{branch}"  # the branch of the team's clone: see at_its_branch
    if git(clone, "for-each-ref", theirs):
        ahead = int(git(clone, "rev-list", "--count", f"HEAD..{theirs}"))
        if ahead:
            raise NeedsPerson(f"{branch} is {ahead} commits ahead of its remote: push them first")


def check_on(branch: str, folder: Path) -> None:
    """Raises NeedsPerson where the branch that deploys is not the one checked out."""
    try:
        current = git(folder, "symbolic-ref", "--short", "HEAD")
    except GitError:
        raise NeedsPerson(f"is not on a branch (detached HEAD): switch to {branch}") from None
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
