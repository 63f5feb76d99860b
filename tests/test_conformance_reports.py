"""Answers of real accounts: the reports that people sent, compared with the stand-ins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.compare import differences
from tests.conformance.github.service import GITHUB, Behaviour
from tests.conformance.report import Report
from tests.conformance.script import NOT_ASKED, Answer, Service
from tests.conformance.snowflake.service import SNOWFLAKE

FOLDER = Path(__file__).parent / "conformance/reports"
SERVICES = {each.name: each for each in (SNOWFLAKE, GITHUB)}


def found(given: Report) -> list[str]:
    """Names of the questions that the stand-in answers otherwise."""
    service = SERVICES[given.service]
    names = {switch: given.behaviour[switch] for switch in given.behaviour}
    ours = service.expected(service.behaviour(**names))
    return [each.question.name for each in differences(service, given.answers, ours)]


def test_accounts_answer_as_the_stand_ins() -> None:
    sent = {
        file.name: found(report.read(file.read_text(encoding="utf-8")))
        for file in sorted(FOLDER.glob("*.md"))
        if file.name != "README.md"
    }
    assert {name: differ for name, differ in sent.items() if differ} == {}


# ── The format ────────────────────────────────────────────────────────────────────────────


def written(service: Service, behaviour: Behaviour, answers: dict[str, Answer]) -> Report:
    return report.read(report.markdown(service, "0.3.0", answers, behaviour, {"a, b"}, []))


def test_a_report_is_read_back() -> None:
    behaviour = replace(Behaviour(), private=True, approvals_if_private=True)
    answers = dict(GITHUB.expected(behaviour))
    given = written(GITHUB, behaviour, answers)
    assert given == Report("GitHub", "0.3.0", vars(behaviour), ["a, b"], answers)
    assert found(given) == []


def test_an_account_that_answers_otherwise_is_found() -> None:
    answers = dict(GITHUB.expected(Behaviour()))
    answers |= {
        "pattern-twice": Answer(422),
        "artifacts": Answer(0, (("{p}",),)),
        "made": Answer(NOT_ASKED),
        "of another version": Answer(0),
    }
    del answers["limited"]
    assert found(written(GITHUB, Behaviour(), answers)) == ["pattern-twice", "artifacts"]


def test_a_file_that_is_no_report() -> None:
    with pytest.raises(ValueError, match="no answers"):
        report.read((FOLDER / "README.md").read_text(encoding="utf-8"))
