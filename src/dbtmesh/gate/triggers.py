"""Decides whether a publication starts a reader's deploy. Pure.

A deploy that tells its readers starts their deploys, which tell their readers in turn. Two rules
end such a chain. Nobody is told of a publication that changes nothing. News does not go back to a
project that it came from, except where the interface has changed, and then a few times at most
(`MOST_ROUNDS`).

What a reader knows is the publication that its record names: the one that its last deploy was
checked against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from dbtmesh.gate.compare import compare
from dbtmesh.manifest.interface import COMMIT, Interface

MOST_ROUNDS = 3
"""How often one chain of news may come from a project and still go back to it: a change may need a
second round, and a reader whose record is not renewed would be told for ever."""


class News(StrEnum):
    """Why a reader is told."""

    UNKNOWN = "nothing tells which version it has deployed with"
    INTERFACE = "the interface changed since its last deploy"
    CODE = "the code changed since its last deploy"
    DEPLOYED = "this deploy was started by hand, or by a project that this one reads"


@dataclass(frozen=True)
class Cause:
    """What started this deploy. by_hand: a person did. chain: the projects whose news led to it,
    the first one first; empty where it was something else."""

    by_hand: bool = False
    chain: Sequence[str] = ()


def news(latest: Interface, known: Interface | None, consumer: str, cause: Cause) -> News | None:
    """Why `consumer`, which last deployed with the publication `known`, is told of `latest`; None
    where it is no news to it."""
    rounds = cause.chain.count(consumer)
    if rounds >= MOST_ROUNDS:
        return None
    if known is None:
        return None if rounds else News.UNKNOWN
    # Dates that have come since `known` are not a change of the interface.
    if compare(known.manifest, latest.manifest, today=date.min):
        return News.INTERFACE
    if consumer in cause.chain:
        return None
    if known.notes.get(COMMIT) != latest.notes.get(COMMIT):
        return News.CODE
    return News.DEPLOYED if cause.by_hand or cause.chain else None
