"""Defines what a check finds, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Weight(Enum):
    """A finding makes the doctor end with 2; a note is advice, or what cannot be read here."""

    FINDING = "finding"
    NOTE = "note"


class Side(Enum):
    """Whose lines stay where an update and the team changed the same ones. Nobody but a person
    can say: the value is what they type."""

    YOURS = "yours"
    TEMPLATE = "template"


@dataclass(frozen=True)
class Edit:
    """The text that a file of the project would have; None where it would go. path: from the
    project's folder."""

    path: str
    text: str | None


@dataclass(frozen=True)
class Finding:
    """where: a file, or a thing; what: is wrong with it; effect: what happens because of it; add:
    the lines to add, or the commands to run; edits: what `--fix` does, where it can."""

    where: str
    what: str
    effect: str = ""
    add: str = ""
    edits: tuple[Edit, ...] = ()
    weight: Weight = Weight.FINDING


def note(where: str, what: str, effect: str = "", add: str = "") -> Finding:
    return Finding(where, what, effect, add, weight=Weight.NOTE)
