"""Defines what `fleet update` has to do with a member, and the possible outcomes."""

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
    UPDATED = "updated"  # a dry run succeeded
    PREPARED = "prepared"  # a branch was created in the local clone
    PUSHED = "pushed"  # a branch was pushed to the remote
    PROPOSED = "proposed"  # a pull request was opened
    ALREADY_THERE = "already there"  # an earlier run made the branch or the pull request
    CONFLICT = "conflict"
    CHECK_FAILED = "check failed"
    REFUSED = "refused"  # the member's state does not allow an update
    FAILED = "failed"  # git, gh or the disk failed
    STOPPED = "stopped"  # Ctrl-C ended it half-way
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
"""Results that no person has to look at."""


@dataclass(frozen=True)
class Order:
    """What to do with every member.

    checks: commands that have to succeed in an updated member.
    moved_to: the template's new address, which members record from now on.
    """

    releases: Releases
    goal: Goal
    checks: tuple[str, ...]
    moved_to: str = ""

    @property
    def to(self) -> str:
        return self.releases.newest

    def branch(self, member: Member) -> str:
        """Returns the branch of a member's update, which differs for members of one repository.

        The member's own scripts/update_template.py uses the same branch for the same update.
        """
        folder = "" if member.subfolder == "." else f"{member.subfolder}/"
        return f"template/{folder}{self.to}"


@dataclass(frozen=True)
class Outcome:
    """The outcome for a member. conflicts: lines by file. link: the pull request's URL."""

    name: str
    result: Result
    detail: str = ""
    kind: str = ""
    version: str = ""
    conflicts: dict[str, list[int]] = field(default_factory=dict)
    link: str = ""
    seconds: float = 0.0
