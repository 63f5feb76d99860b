"""What members, git and the registry wrote, in what the fleet prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fleet import __main__ as fleet
from fleet import status, update
from fleet.console import plain
from fleet.errors import FleetError
from fleet.members import NeedsPerson, read_answers, text_of
from fleet.outcome import Outcome, Result
from tests.test_untrusted_commands import COMMAND

HOSTILE = [
    "::error::x",
    "  ::add-mask::x",
    "a\n::stop-commands::x",
    "a\r##[error]x",
    "\x1b[2Jx",
    "[red]x[/red] [link=https://x]y[/link]",
    "a\u202eb\u200b",
    "x" * 300 + " ::error::x",
    "[/]",
]


def harmless(text: str) -> None:
    assert not COMMAND.search(text), text
    assert "\x1b" not in text
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize("text", HOSTILE)
def test_status(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    one = status.Status(
        text, kind=text, version=text, contract=text, problem=text, stale=text, cycle=text
    )
    assert status.show([one], "v1.0.0", as_json=False) == 2
    harmless(capsys.readouterr().out)
    assert status.show([one], "v1.0.0", as_json=True) == 2
    harmless(capsys.readouterr().out)


@pytest.mark.parametrize("text", HOSTILE)
def test_update(text: str) -> None:
    told = io.StringIO()
    console = Console(file=told, width=40, highlight=False)
    console.print(update.line(Outcome(text, Result.FAILED, text, kind=text, version=text)))
    harmless(told.getvalue())
    assert "[red]" not in told.getvalue() or "[red]" in text


@given(st.text())
def test_text_is_text(text: str) -> None:
    """Whatever it is, rich shows it in one line, and as it was where it is plain."""
    told = io.StringIO()
    Console(file=told, width=10_000, highlight=False).print(plain(text), soft_wrap=True)
    shown = told.getvalue().removesuffix("\n")
    assert "\n" not in shown
    if text.isprintable() and text.isascii() and "::" not in text and "##[" not in text:
        assert shown == text


def test_an_error_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise FleetError("x\x1b[2J\u202e")

    monkeypatch.setattr(fleet, "_map", fails)
    assert fleet.main(["map"]) == 1
    assert capsys.readouterr().err == "error: x\\u001b[2J\\u202e\n"


# ── Answers of members ────────────────────────────────────────────────────────────────

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)
START = "_src_path: gh:acme/mesh\n_commit: v1.0.0\nkind: native\nproject_name: dbt_up\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB + "_src_path: *i\n", "aliases stand for"),
        ("_src_path: [\n" * 2000, "nested too deeply"),
        ("_src_path: {a: 1}\n", "names no template"),
        (START.replace("v1.0.0", "1.10"), r"_commit is 1.1, which is not a text"),
        (START + "deploy_branch: 1.10\n", "deploy_branch is 1.1, which is not a text"),
        (START + "deploy_branch: true\n", "deploy_branch is True"),
        (START + "deploy_branch: 0755\n", "deploy_branch is 493"),
        (START + "working_directory: [..]\n", "working_directory is"),
        (START.replace("dbt_up", "dbt_u\u0440"), r"project_name is 'dbt_u\\u0440'"),
        (START.replace("dbt_up", "../../x"), "not a name of a dbt project"),
        (START.replace("dbt_up", '"a\\e[2J"'), "not a name of a dbt project"),
    ],
)
def test_answers_that_are_none(text: str, said: str) -> None:
    with pytest.raises(NeedsPerson, match=said) as caught:
        read_answers(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_answers_that_nobody_gave() -> None:
    answers = read_answers(START + "deploy_branch:\ngithub_repository: null\n")
    assert (answers.branch, answers.repository, answers.subfolder) == ("main", "", None)


def test_an_answers_file_that_is_a_device(tmp_path: Path) -> None:
    (tmp_path / "answers").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a file"):
        text_of(tmp_path / "answers")
