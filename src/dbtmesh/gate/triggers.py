"""Decides whether a publication starts a reader's deploy. Pure.

A deploy that notifies its readers starts their deploys, which notify their readers in turn. Two
rules end such a chain. No reader is notified of a publication that changes nothing. A notification
does not go back to a project in its chain, unless the interface has changed, and then only a few
times (`MOST_ROUNDS`).

What a reader knows is the publication that its record names: the one against which its last deploy
was checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from dbtmesh.gate.compare import compare
from dbtmesh.manifest.interface import COMMIT, Interface

MOST_ROUNDS = 3
"""How often a project may occur in a chain before it is no longer notified. A change may need a
second round, but a reader whose record is not renewed would be notified forever."""


class News(StrEnum):
    """Why a reader is notified."""

    UNKNOWN = "it is not known which version it last deployed with"
    INTERFACE = "the interface changed since its last deploy"
    CODE = "the code changed since its last deploy"
    DEPLOYED = "this deploy was started by hand, or by a project that this one reads"


@dataclass(frozen=True)
class Cause:
    """What started this deploy.

    by_hand: whether a person started it. chain: the projects whose notifications led to it, the
    first one first; empty if something else started it.
    """

    by_hand: bool = False
    chain: Sequence[str] = ()


def news(latest: Interface, known: Interface | None, consumer: str, cause: Cause) -> News | None:
    """Returns why `consumer` is notified of the publication `latest`; None if it is not.

    known: the publication with which `consumer` last deployed.
    """
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
