"""Defines questions and answers, as far as they are the same for all services."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from tests.sources import Documented


class See(Enum):
    """The part of an answer that is compared."""

    NUMBER = "whether it is refused, and with which number"
    REFUSED = "whether it is refused"
    COLUMNS = "the names of its columns"
    ROWS = "some of its columns"


NOT_ASKED = -1


@dataclass(frozen=True, order=True)
class Answer:
    """An answer. number: 0 for success, an error's number, or NOT_ASKED. cells: sorted columns or
    rows."""

    number: int
    cells: tuple[tuple[str, ...], ...] = ()


Answers = Mapping[str, Answer]


class Question(Protocol):
    """A question. decides: the switch of the stand-in that the answer sets; both are correct."""

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
        """The statement or request, in Markdown."""

    def refusal(self, number: int) -> str:
        """Returns the number of an error as the service writes it."""


@dataclass(frozen=True)
class Service:
    """A service that is compared with its stand-in.

    behaviour: a dataclass of switches, for documented differences between accounts.
    expected: returns the answers of a stand-in with that behaviour.
    known: texts that a report may contain.
    switches_are_independent: whether no switch changes the answer that decides another.
    """

    name: str
    questions: Sequence[Question]
    behaviour: type[Any]
    expected: Callable[[Any], Answers]
    known: frozenset[str]
    switches_are_independent: bool = False
