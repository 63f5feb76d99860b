"""The report of a run, to attach to an issue: no names, no account, nothing of anybody's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from tests.conformance.ask import Asked
from tests.conformance.compare import Answers, Difference, in_words
from tests.conformance.questions import QUESTIONS
from tests.conformance.script import NOT_ASKED, Answer, See
from tests.snowflake_standin import Behaviour
from tests.snowflake_standin.show import COLUMNS as SHOWN
from tests.snowflake_standin.vocabulary import PRIVILEGES

OTHER = "(another)"
_OURS = re.compile(r"\{p\}[\w.<>]*")
_KNOWN = frozenset(
    {
        *("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "PUBLIC", "OWNERSHIP", "ROLE"),
        *("USER", "DATABASE_ROLE", "BASE TABLE", "MATERIALIZED VIEW", "EXTERNAL TABLE", "{me}"),
        *("Y", "N", "true", "false", "True", "False", "YES", "NO", "None", "", "no such column"),
        *('["ALL"]', "[]", "ACTIVE", "DISABLED", "EXPIRED", "MANAGED ACCESS", "INFORMATION_SCHEMA"),
        *PRIVILEGES,
        *(privilege for each in PRIVILEGES.values() for privilege in each),
        *(column for columns in SHOWN.values() for column in columns),
    }
)


def clean(answers: Answers, ours: Answers) -> dict[str, Answer]:
    """Answers in which every text is one that the script, the stand-in or Snowflake gave: whatever
    else an account shows is its own, and is not told."""
    known = {*_KNOWN, *(c for answer in ours.values() for cells in answer.cells for c in cells)}

    def tell(cell: str) -> str:
        return cell if cell in known or _OURS.fullmatch(cell) else OTHER

    columns = {question.name for question in QUESTIONS if question.see is See.COLUMNS}
    return {
        name: answer
        if name in columns  # names of columns are Snowflake's
        else Answer(answer.number, tuple(tuple(map(tell, cells)) for cells in answer.cells))
        for name, answer in answers.items()
    }


def markdown(version: str, asked: Asked, behaviour: Behaviour, found: Sequence[Difference]) -> str:
    skipped = [name for name, answer in asked.answers.items() if answer.number == NOT_ASKED]
    lines = [
        "# Conformance of the stand-in for Snowflake",
        "",
        f"Version {version}. {len(asked.answers)} questions, {len(found)} answered otherwise"
        + (f", {len(skipped)} not asked." if skipped else "."),
        "",
        "| this account | |",
        "|---|---|",
        *(f"| {name} | {'yes' if on else 'no'} |" for name, on in asdict(behaviour).items()),
        *(f"| has {lacking} | no |" for lacking in sorted(asked.lacks)),
        "",
    ]
    for each in found:
        question = each.question
        source = question.rule.page or "an assumption: the documentation does not tell"
        lines += [
            f"## {question.name}",
            "",
            f"- rule `{question.rule.name}`: {question.rule.says} ({source})",
            f"- as {question.role}: `{question.sql}`",
            f"- expected: {in_words(question, each.expected, each.answered)}",
            f"- answered: {in_words(question, each.answered, each.expected)}",
            "",
        ]
    answers = {name: [a.number, *map(list, a.cells)] for name, a in asked.answers.items()}
    compact = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in answers.items())
    lines += ["<details><summary>All answers</summary>", "", "```json", "{", compact, "}", "```"]
    return "\n".join([*lines, "", "</details>", ""])
