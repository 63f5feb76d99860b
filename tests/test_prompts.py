"""The questions in a terminal of 80 columns, up to Ctrl-C and a second try."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pexpect
import pyte
import pytest
import yaml
from jinja2 import Environment

from fleet.render import Source
from tests import rendered
from tests.conftest import BIN, questions
from tests.versions import git
from tests.warm import at_terminal, programs, run

COLUMNS, ROWS = 80, 50
ENTER, DOWN, CLEAR, CTRL_C = "\r", "\x1b[B", "\x15", "\x03"
COPY = ("copy", "--trust", "--vcs-ref", "HEAD")


class Terminal:
    """Copier, and the screen that it writes on."""

    def __init__(self, words: Iterable[str], folder: Path) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.Stream(self.screen)
        self.child = pexpect.spawn(
            str(programs() / "copier"),
            list(words),
            cwd=str(folder),
            dimensions=(ROWS, COLUMNS),
            encoding="utf-8",
            timeout=60,
            env={
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "TERM": "xterm",
                "PATH": f"{BIN}:/usr/bin:/bin",
                "TMPDIR": str(folder),
                "HOME": str(folder),
                **at_terminal(),
            },
        )

    def until(self, text: str) -> str:
        """The screen, once the text is on it."""
        end = time.monotonic() + 60
        while text not in self.shown and time.monotonic() < end:
            try:
                self.stream.feed(self.child.read_nonblocking(10_000, timeout=0.2))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                break
        assert text in self.shown, self.shown
        return self.shown

    @property
    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display if line.strip())

    def press(self, question: str, keys: str) -> str:
        shown = self.until(question)
        self.child.send(keys)
        return shown

    def end(self) -> tuple[int | None, str]:
        """Exit status, and all that is shown."""
        self.child.expect(pexpect.EOF)
        self.stream.feed(self.child.before or "")
        self.child.close()
        return self.child.exitstatus, self.shown


def copy(template: Source, folder: Path, *extra: str) -> Terminal:
    return Terminal((*COPY, *extra, template.url, "shop"), folder)


# ── whole at 80 columns ───────────────────────────────────────────────────────────────


def as_shown(text: str) -> str:
    values = {"github_repository": "acme-corporation/dbt-orders", "kind": "native"}
    return Environment().from_string(text).render(values)


@pytest.mark.parametrize("key", questions())
def test_no_line_of_a_question_is_cut(key: str) -> None:
    question = questions()[key]
    help_lines = as_shown(question["help"]).splitlines()
    assert len(f"xx {help_lines[0]}") < COLUMNS  # the sign before it takes two columns
    assert all(len(line) < COLUMNS for line in help_lines)
    assert len(f"   {question.get('placeholder', '')}") < COLUMNS
    choices = question.get("choices") or []
    for label in choices:
        told = (
            choices[label].get("validator", "")
            if isinstance(choices, dict) and isinstance(choices[label], dict)
            else ""
        )
        reason = "".join(re.findall(r"'([^']{4,})'(?! and)", told)[-1:])
        assert len(f" » - {label} ({reason})") < COLUMNS


def test_an_empty_answer_says_what_it_means_and_shows_no_example(
    template: Source, tmp_path: Path
) -> None:
    terminal = copy(template, tmp_path, "--data", "kind=upstream")
    terminal.press("Name of the dbt project", ENTER)
    terminal.press("What is it about", ENTER)
    for question in ("Snowflake account as", "S3 bucket where", "GitHub repository as"):
        terminal.press(question, ENTER)
    terminal.press("Set up Snowflake", ENTER)
    assert terminal.end()[0] == 0
    for text in questions().values():
        if text["default"] == "" and text.get("ask") is not False and "when" not in text:
            assert text["placeholder"].startswith("(empty: ")
    recorded = yaml.safe_load((tmp_path / "shop/.copier-answers.yml").read_text())
    assert recorded["snowflake_account"] == recorded["registry_bucket"] == ""


# ── remedies first ────────────────────────────────────────────────────────────────────


def test_the_remedy_is_seen_where_an_answer_is_refused(template: Source, tmp_path: Path) -> None:
    terminal = copy(template, tmp_path)
    terminal.press("What does this project do", DOWN + ENTER)
    for question, answer, remedy, better in (
        ("Name of the dbt project", "Bad-Name", "a-z first, then a-z, 0-9 and _:", "shop"),
        ("What is it about", "a\N{RIGHT-TO-LEFT OVERRIDE}b", "one line of text", "orders"),
        ("Which projects does it read", "a b", "letters, digits and _:", "dbt_up"),
    ):
        terminal.press(question, f"{CLEAR}{answer}{ENTER}")
        terminal.press(remedy, f"{CLEAR}{better}{ENTER}")
    terminal.press("Does it publish models too", "n")
    for question, answer, remedy, better in (
        ("Snowflake account as", "my account", "write ORG-ACCOUNT:", "ORG-ACCOUNT"),
        ("S3 bucket where", "s3://b", "3 to 63 of a-z, 0-9, . and -:", "bucket"),
        ("GitHub repository as", "shop", "write org/repo:", "acme/shop"),
    ):
        terminal.press(question, f"{answer}{ENTER}")
        terminal.press(remedy, f"{CLEAR}{better}{ENTER}")
    terminal.press("Set up Snowflake", ENTER)
    assert terminal.end()[0] == 0


def test_the_menu_of_setup_offers_only_what_can_be_done(template: Source, tmp_path: Path) -> None:
    given = [f"{key}=" for key in ("snowflake_account", "registry_bucket", "github_repository")]
    data = [word for each in ["kind=upstream", *given] for word in ("--data", each)]
    terminal = copy(template, tmp_path, *data)
    terminal.press("Name of the dbt project", ENTER)
    terminal.press("What is it about", ENTER)
    shown = terminal.press("now: create it", DOWN + ENTER)
    assert "- plan: show what would be created (needs an account)" in shown
    assert shown.count("(needs an account)") == 2
    assert terminal.end()[0] == 0
    recorded = yaml.safe_load((tmp_path / "shop/.copier-answers.yml").read_text())
    assert recorded["setup"] == "later"


# ── Ctrl-C, and a second try ──────────────────────────────────────────────────────────


def test_what_was_answered_before_ctrl_c_is_not_asked_again(
    template: Source, tmp_path: Path
) -> None:
    older = tmp_path / "older.yml"
    older.write_text("engine: core\nwarehouse: BIG_WH\n")
    terminal = copy(template, tmp_path, "--data-file", str(older), "--data", "alerts=slack")
    terminal.press("What does this project do", DOWN + ENTER)
    terminal.press("Name of the dbt project", f"{CLEAR}my_shop{ENTER}")
    terminal.press("What is it about", f'{CLEAR}It\'s "ours"{ENTER}')
    terminal.press("Which projects does it read", CTRL_C)
    status, shown = terminal.end()
    assert status == 1
    assert "Traceback" not in shown
    assert not (tmp_path / "shop").exists()
    told = "".join(line for line in terminal.screen.display)
    command = re.search(r"To go on from there: +(copier copy .*? shop) ", told)
    assert command, shown
    words = shlex.split(command[1])
    assert words.count("--data-file") == 1
    assert str(older) not in words
    kept = yaml.safe_load(Path(words[words.index("--data-file") + 1]).read_text())
    assert kept == {
        "engine": "core",
        "warehouse": "BIG_WH",
        "alerts": "slack",
        "kind": "native",
        "project_name": "my_shop",
        "description": 'It\'s "ours"',
    }

    second = Terminal(words[1:], tmp_path)
    shown = second.press("Which projects does it read", ENTER)
    assert "What is it about" not in shown
    second.press("Does it publish models too", "n")
    for question in ("Snowflake account as", "S3 bucket where", "GitHub repository as"):
        second.press(question, ENTER)
    second.press("Set up Snowflake", ENTER)
    assert second.end()[0] == 0
    recorded = yaml.safe_load((tmp_path / "shop/.copier-answers.yml").read_text())
    assert kept.items() <= recorded.items()


def test_ctrl_c_at_the_first_question_leaves_nothing_behind(
    template: Source, tmp_path: Path
) -> None:
    terminal = copy(template, tmp_path, "--data", "engine=core")
    terminal.press("What does this project do", CTRL_C)
    status, shown = terminal.end()
    assert status == 1
    assert "is kept" not in shown
    assert not list(tmp_path.glob("copier-dbt-mesh-*"))


def test_ctrl_c_in_an_update_keeps_what_is_new(template: Source, tmp_path: Path) -> None:
    """And asks the rest, which the member has answers to."""
    member = tmp_path / "shop"
    words = [BIN / "copier", "copy", "--trust", "--defaults", "--quiet", template.url, "shop"]
    run(words, tmp_path).check_returncode()
    git(member, "init", "--quiet")
    rendered.commit(member)
    terminal = Terminal(["update", "--trust"], member)
    terminal.press("What does this project do", ENTER)
    terminal.press("Name of the dbt project", ENTER)
    terminal.press("What is it about", f"{CLEAR}another{ENTER}")
    terminal.press("Snowflake account as", CTRL_C)
    assert terminal.end()[0] == 1
    (kept,) = member.glob("copier-dbt-mesh-*.yml")
    assert yaml.safe_load(kept.read_text()) == {"description": "another"}


def test_answers_on_the_command_line_are_not_kept(template: Source, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "copier"), *COPY, "--data", "engine=core", template.url, "shop"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode != 0  # no terminal to ask in
    assert "is kept" not in done.stderr
    assert not list(tmp_path.glob("copier-dbt-mesh-*"))
