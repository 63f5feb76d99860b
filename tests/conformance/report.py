"""Writes the report of a run, to attach to an issue. It contains no names and no account.

It ends with all answers as JSON, which `read` parses. A report that somebody sent goes into
`reports/`, and a test compares it with the stand-in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.conformance.compare import Difference, in_words
from tests.conformance.script import NOT_ASKED, Answer, Answers, See, Service

OTHER = "(another)"
_OURS = re.compile(r"\{p\}[\w.<>/-]*")
_COMMON = frozenset({"{me}", "true", "false", "True", "False", "None", "", "no such column"})
_JSON = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Report:
    """A report. behaviour: the account's switches. lacks: what the account refused to set up."""

    service: str
    version: str
    behaviour: dict[str, bool]
    lacks: list[str]
    answers: dict[str, Answer]


def clean(service: Service, answers: Answers, ours: Answers) -> dict[str, Answer]:
    """Returns answers that contain only texts of the script, the stand-in or the service.

    Any other text in an account's answers is the account's own, and is left out.
    """
    told = (c for answer in ours.values() for cells in answer.cells for c in cells)
    known = {*_COMMON, *service.known, *told}

    def tell(cell: str) -> str:
        return cell if cell in known or _OURS.fullmatch(cell) else OTHER

    columns = {question.name for question in service.questions if question.see is See.COLUMNS}
    return {
        name: answer
        if name in columns  # the service chooses the names of columns
        else Answer(answer.number, tuple(tuple(map(tell, cells)) for cells in answer.cells))
        for name, answer in answers.items()
    }


def markdown(
    service: Service,
    version: str,
    answers: Answers,
    behaviour: Any,
    lacks: Collection[str],
    found: Sequence[Difference],
) -> str:
    skipped = [name for name, answer in answers.items() if answer.number == NOT_ASKED]
    lines = [
        f"# Conformance of the stand-in for {service.name}",
        "",
        f"Version {version}. {len(answers)} questions, {len(found)} answered otherwise"
        + (f", {len(skipped)} not asked." if skipped else "."),
        "",
        "| this account | |",
        "|---|---|",
        *(f"| {name} | {'yes' if on else 'no'} |" for name, on in asdict(behaviour).items()),
        *(f"| has {lacking} | no |" for lacking in sorted(lacks)),
        "",
    ]
    for each in found:
        question = each.question
        source = question.rule.page or "an assumption: the documentation does not say"
        lines += [
            f"## {question.name}",
            "",
            f"- rule `{question.rule.name}`: {question.rule.says} ({source})",
            f"- {question.asked}",
            f"- expected: {in_words(question, each.expected, each.answered)}",
            f"- answered: {in_words(question, each.answered, each.expected)}",
            "",
        ]
    facts = {"service": service.name, "version": version, "behaviour": asdict(behaviour)}
    heads = [f"{json.dumps(k)}: {json.dumps(v)}," for k, v in facts.items()]
    told = {name: [a.number, *map(list, a.cells)] for name, a in answers.items()}
    rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in told.items())
    lines += ["<details><summary>All answers</summary>", "", "```json", "{", *heads]
    lines += [f'"lacks": {json.dumps(sorted(lacks))},', f'"answers": {{\n{rows}\n}}', "}", "```"]
    return "\n".join([*lines, "", "</details>", ""])


def read(text: str) -> Report:
    """Parses a report. Raises ValueError where it is not a report."""
    found = _JSON.search(text)
    if found is None:
        raise ValueError("no answers: a report ends with a block of JSON")
    given = json.loads(found[1])
    answers = {
        name: Answer(number, tuple(tuple(cells) for cells in rows))
        for name, (number, *rows) in given["answers"].items()
    }
    return Report(
        given["service"], given["version"], given["behaviour"], list(given["lacks"]), answers
    )
