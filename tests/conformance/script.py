"""What questions of any service have in common, and what their answers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from tests.sources import Documented


class See(Enum):
    """What of an answer counts."""

    NUMBER = "whether it is refused, and with which number"
    REFUSED = "whether it is refused"
    COLUMNS = "the names of its columns"
    ROWS = "some of its columns"


NOT_ASKED = -1


@dataclass(frozen=True, order=True)
class Answer:
    """number: 0 where it was done, else the error's; NOT_ASKED. cells: columns or rows, sorted."""

    number: int
    cells: tuple[tuple[str, ...], ...] = ()


Answers = Mapping[str, Answer]


class Question(Protocol):
    """decides: the switch of the stand-in's behaviour that the answer tells; both are right."""

    @property
    def name(self) -> str: ...
    @property
    def rule(self) -> Documented: ...
    @property
    def see(self) -> See: ...
    @property
    def decides(self) -> str: ...
    @property
    def asked(self) -> str:
        """How it is asked, in Markdown."""

    def refusal(self, number: int) -> str:
        """The number of an error, as the service writes it."""


@dataclass(frozen=True)
class Service:
    """behaviour: a dataclass of switches, in which accounts differ and are right; expected: what
    the stand-in of such an account answers; known: texts that a report may hold;
    switches_are_independent: no switch changes the answer that decides another."""

    name: str
    questions: Sequence[Question]
    behaviour: type[Any]
    expected: Callable[[Any], Answers]
    known: frozenset[str]
    switches_are_independent: bool = False
