"""Builds the text of an alert. Pure.

This folder needs nothing beyond the standard library, because the job that sends alerts installs
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbtmesh.artifacts import run_report

SHOWN, LONGEST = 10, 300
"""How many failing nodes are named, and how many characters of each."""


@dataclass(frozen=True)
class Alert:
    """How a deploy ended.

    again: whether the deploy before failed too. failing: a line for each node that failed. url: the
    URL of the run. code: who deployed which commit.
    """

    project: str
    env: str
    failed: bool
    again: bool
    failing: Sequence[str]
    url: str | None
    code: str

    @property
    def headline(self) -> str:
        if not self.failed:
            return f"{self.project}: the deploy to {self.env} succeeds again"
        return (
            f"{self.project}: the deploy to {self.env} {'still fails' if self.again else 'failed'}"
        )


def shortened(lines: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """Returns at most SHOWN lines of printable text without secrets, and a line that says how many
    more there are.

    The last given line may itself be a count of nodes, which another job has left out.
    """
    secrets = list(secrets)
    clean = ["".join(c if c.isprintable() else " " for c in line).strip() for line in lines]
    kept = [hidden(line, secrets)[:LONGEST] for line in clean if line]
    counted = run_report.MORE.fullmatch(kept[-1]) if kept else None
    if counted:
        kept.pop()
    more = len(kept) - SHOWN + (int(counted[1]) if counted else 0)
    return kept[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Returns a text with *** in place of these secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
