"""Compares the answers of an account with those of the stand-in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.conformance.script import NOT_ASKED, Answer, Answers, Question, See, Service


@dataclass(frozen=True)
class Difference:
    """A question that an account and the stand-in answer differently."""

    question: Question
    expected: Answer
    answered: Answer


def behaviour_of(service: Service, answers: Answers) -> tuple[Any, Answers]:
    """Returns the behaviour that an account's answers show, and the answers of such a stand-in."""
    behaviour = service.behaviour()
    ours = service.expected(behaviour)
    deciding = [question for question in service.questions if question.decides]
    for together in [deciding] if service.switches_are_independent else [[q] for q in deciding]:
        differ = [each for each in together if not agree(each, answers[each.name], ours[each.name])]
        theirs = service.expected(_switched(behaviour, differ)) if differ else ours
        agreed = [each for each in differ if agree(each, answers[each.name], theirs[each.name])]
        if agreed:
            behaviour = _switched(behaviour, agreed)
            ours = theirs if agreed == differ else service.expected(behaviour)
    return behaviour, ours


def _switched(behaviour: Any, by: Sequence[Question]) -> Any:
    """Returns the behaviour with each switch flipped that these questions decide."""
    return replace(behaviour, **{each.decides: not getattr(behaviour, each.decides) for each in by})


def agree(question: Question, answered: Answer, ours: Answer) -> bool:
    """Checks whether the answers agree. The stand-in need not show every column of the service."""
    if question.see is See.COLUMNS:
        return answered.number == ours.number and set(ours.cells) <= set(answered.cells)
    return answered == ours


def differences(service: Service, answers: Answers, ours: Answers) -> list[Difference]:
    """Returns the differences. It leaves out questions that one of the two does not answer."""
    return [
        Difference(question, ours[question.name], answers[question.name])
        for question in service.questions
        if _is_answered(answers, question)
        and _is_answered(ours, question)
        and not agree(question, answers[question.name], ours[question.name])
    ]


def _is_answered(answers: Mapping[str, Answer], question: Question) -> bool:
    return question.name in answers and answers[question.name].number != NOT_ASKED


def in_words(question: Question, answer: Answer, other: Answer) -> str:
    """Describes an answer, as far as it differs from the other one."""
    if answer.number:
        number = "" if question.see is See.REFUSED else f" with {question.refusal(answer.number)}"
        return f"refused{number}"
    if question.see not in (See.ROWS, See.COLUMNS) or other.number:
        return "done"
    only = Counter(answer.cells) - Counter(other.cells)
    if not only:
        return "no more than that"
    return "; ".join(" ".join(cells) for cells in only.elements())
