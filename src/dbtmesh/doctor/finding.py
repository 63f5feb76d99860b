"""Defines the findings of checks, and the edits that fix them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Weight(Enum):
    """How serious a finding is. FINDING: the doctor ends with status 2. NOTE: it is advice, or says
    what could not be checked."""

    FINDING = "finding"
    NOTE = "note"


class Side(Enum):
    """Whose lines to keep where an update and the team changed the same ones. Only a person can
    decide that: the values are what they type after `--take`."""

    YOURS = "yours"
    TEMPLATE = "template"


@dataclass(frozen=True)
class Edit:
    """A change of one file. path: relative to the project's folder. text: the whole new text, or
    None to delete the file."""

    path: str
    text: str | None


@dataclass(frozen=True)
class Finding:
    """A problem, or a note. where: the file, or another thing such as an environment. what: what is
    wrong with it. effect: what happens because of that. add: the lines to add, or the commands to
    run. edits: what `--fix` changes; empty where it cannot fix the problem."""

    where: str
    what: str
    effect: str = ""
    add: str = ""
    edits: tuple[Edit, ...] = ()
    weight: Weight = Weight.FINDING


def note(where: str, what: str, effect: str = "", add: str = "") -> Finding:
    return Finding(where, what, effect, add, weight=Weight.NOTE)
