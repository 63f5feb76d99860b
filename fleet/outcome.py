"""Defines what an update of a member was asked to do, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fleet.members import Member
from fleet.releases import Releases


class Goal(StrEnum):
    """How far an update goes."""

    DRY_RUN = "dry-run"
    PREPARE = "prepare"
    PUSH = "push"
    PROPOSE = "propose"


class Result(StrEnum):
    CURRENT = "current"  # on that version already, or ahead of it
    UPDATED = "updated"  # a dry run went well
    PREPARED = "prepared"  # a branch in the local clone
    PUSHED = "pushed"  # a branch on the remote
    PROPOSED = "proposed"  # a pull request
    ALREADY_THERE = "already there"  # from an earlier run
    CONFLICT = "conflict"
    CHECK_FAILED = "check failed"
    REFUSED = "refused"  # not touched, because of what it is
    FAILED = "failed"  # git, gh or the disk
    STOPPED = "stopped"  # under way when it was
    NOT_STARTED = "not started"


FINE = frozenset(
    {
        Result.CURRENT,
        Result.UPDATED,
        Result.PREPARED,
        Result.PUSHED,
        Result.PROPOSED,
        Result.ALREADY_THERE,
    }
)
"""Results that need no person."""


@dataclass(frozen=True)
class Order:
    """What to do with every member. checks: commands that have to succeed in an updated one;
    moved_to: the template's new address, which members record from now on."""

    releases: Releases
    goal: Goal
    checks: tuple[str, ...]
    moved_to: str = ""

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
