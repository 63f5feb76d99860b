"""What the stand-in answers, and where an account differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from tests.conformance.ask import Asked, Run, ask
from tests.conformance.questions import QUESTIONS
from tests.conformance.script import NOT_ASKED, Answer, Question, See
from tests.snowflake_standin import ADMIN, Behaviour, Standin

Answers = Mapping[str, Answer]


@dataclass(frozen=True)
class Difference:
    """A question that an account answers otherwise than the stand-in."""

    question: Question
    expected: Answer
    answered: Answer


def expected(behaviour: Behaviour, prefix: str) -> Asked:
    """What the stand-in of an account of that behaviour answers."""
    with Standin(**asdict(behaviour)) as standin:
        return ask(standin.admin_connection, Run(prefix, ADMIN))


def compare(answers: Answers, prefix: str) -> tuple[Behaviour, Answers, list[Difference]]:
    """The behaviour that the account's answers tell, what the stand-in of that answers, and what
    still differs."""
    behaviour = Behaviour()
    ours: Answers = expected(behaviour, prefix).answers
    for question in QUESTIONS:
        name = question.name
        if not question.decides or agree(question, answers[name], ours[name]):
            continue
        other = replace(behaviour, **{question.decides: not getattr(behaviour, question.decides)})
        theirs = expected(other, prefix).answers
        if agree(question, answers[name], theirs[name]):
            behaviour, ours = other, theirs
    return behaviour, ours, differences(answers, ours)


def agree(question: Question, answered: Answer, ours: Answer) -> bool:
    """Whether an account answers as the stand-in, which need not show every column there is."""
    if question.see is See.COLUMNS:
        return answered.number == ours.number and set(ours.cells) <= set(answered.cells)
    return answered == ours


def differences(answers: Answers, ours: Answers) -> list[Difference]:
    return [
        Difference(question, ours[question.name], answers[question.name])
        for question in QUESTIONS
        if NOT_ASKED not in (answers[question.name].number, ours[question.name].number)
        and not agree(question, answers[question.name], ours[question.name])
    ]


def in_words(question: Question, answer: Answer, other: Answer) -> str:
    """An answer, as far as it differs from the other one."""
    if answer.number:
        return "refused" if question.see is See.REFUSED else f"refused with {answer.number:06d}"
    if question.see not in (See.ROWS, See.COLUMNS) or other.number:
        return "done"
    only = [cells for cells in answer.cells if cells not in other.cells]
    if not only:
        return "no more than that"
    return "; ".join(" ".join(cells) for cells in only)
