"""What a run of dbt did, as people read it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Member, Render

SUMMARY = "run-summary"


@pytest.fixture(scope="module")
def member(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    folder = tmp_path_factory.mktemp("member") / "dbt_up"
    return render_into(folder, project_name="dbt_up")


def result(unique_id: str, status: str = "success", message: str = "", seconds: float = 1) -> Any:
    return {
        "unique_id": unique_id,
        "status": status,
        "message": message,
        "execution_time": seconds,
    }


def write(member: Member, *results: Any) -> None:
    target = member.path / "target"
    target.mkdir(exist_ok=True)
    metadata = {"dbt_version": "2.0.0-alpha.4"}
    document = {"metadata": metadata, "results": results, "elapsed_time": 12.4}
    (target / "run_results.json").write_text(json.dumps(document))


def outputs(path: Path) -> dict[str, str]:
    """As GitHub reads $GITHUB_OUTPUT."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, _, mark = line.partition("<<")
        value = []
        while (line := next(lines)) != mark:
            value.append(line)
        found[name] = "\n".join(value)
    return found


def test_a_good_run_names_what_was_built_slowest_first(member: Member) -> None:
    write(
        member,
        result("model.dbt_up.quick", seconds=0.2),
        result("model.dbt_up.slow", seconds=9),
        result("test.dbt_up.not_null_slow_id.0123456789", "pass"),
    )
    text = member.ok(SUMMARY, "--title", "dbt_up in DBT_UP_PROD")
    assert "### dbt\\_up in DBT\\_UP\\_PROD" in text
    assert "✅ passed: 1 pass, 2 success, in 12 s, on dbt `2.0.0-alpha.4`" in text
    assert text.index("`model slow`") < text.index("`model quick`")
    assert "not_null_slow_id" not in text


def test_a_bad_run_says_what_failed_and_why(member: Member, tmp_path: Path) -> None:
    message = (
        "Database Error in model a (models/a.sql)\n  invalid identifier 'X' | <b>\n  at line 3"
    )
    write(
        member,
        result("model.dbt_up.a", "error", message),
        result("test.dbt_up.unique_a_id.0123456789", "fail", "Got 2 results, configured to fail"),
        result("model.dbt_up.b", "skipped"),
        result("test.dbt_up.few.1", "warn", "Got 1 result"),
    )
    env = {
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    (tmp_path / "contract.md").write_text("### Contract\n\nnothing changed\n")
    given = ("--title", "x", "--after", tmp_path / "contract.md", tmp_path / "not.md")
    assert member.ok(SUMMARY, *given, "--output", "comment", **env) == ""
    text = (tmp_path / "summary").read_text()
    assert "❌ failed: 1 error, 1 fail, 1 skipped, 1 warn" in text
    assert "| `model a` | error | invalid identifier 'X' \\| &lt;b&gt; |" in text
    assert "| `test few` | warn | Got 1 result |" in text
    found = outputs(tmp_path / "output")
    assert found["failures"].splitlines() == [
        "model a: invalid identifier 'X' | <b>",
        "test unique_a_id: Got 2 results, configured to fail",
    ]
    assert found["comment"].startswith("### Contract\n\nnothing changed\n")
    assert "❌ failed" in found["comment"]


def test_more_than_thirty_are_counted(member: Member) -> None:
    write(member, *(result(f"model.dbt_up.m{number}", "error", "no") for number in range(42)))
    text = member.ok(SUMMARY, "--title", "x")
    assert "and 12 more" in text
    assert text.count("| error | no |") == 30


LONGEST_VARIABLE = 128 * 1024
"""Bytes that Linux takes in one variable or argument of a program, with its name."""


def test_what_travels_as_a_variable_fits_into_one(member: Member, tmp_path: Path) -> None:
    why = "Database Error in model x\n  " + "wörter " * 40
    write(member, *(result(f"model.dbt_up.m{number}", "error", why) for number in range(2000)))
    target = member.path / "target"
    (target / "contract.md").write_text("### Contract\n\n" + "| a | ❌ gone |\n" * 90_000)
    env = {
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    given = ("--title", "x", "--after", target / "contract.md", "--output", "comment")
    assert member.ok(SUMMARY, *given, **env) == ""
    found = outputs(tmp_path / "output")
    *named, rest = found["failures"].splitlines()
    assert len(named) == 30
    assert rest == "… and 1970 more"
    assert "model m0: wörter" in named[0]
    assert len(found["comment"].encode()) <= 60_000
    *_, before, blank, note = found["comment"].splitlines()
    assert (before, blank) == ("| a | ❌ gone |", "")
    assert note == "… cut: the rest is in the run's summary"
    # the next step starts
    shown = {"FAILURES": found["failures"], "COMMENT": found["comment"]}
    assert all(len(f"{name}={text}\0".encode()) < LONGEST_VARIABLE for name, text in shown.items())
    done = subprocess.run(["/bin/sh", "-c", "true"], env=shown, check=False)
    assert done.returncode == 0


def test_a_line_that_is_too_long_is_cut_between_characters(member: Member, tmp_path: Path) -> None:
    write(member)
    (tmp_path / "contract.md").write_text("x" + "ü" * 50_000)
    env = {"GITHUB_OUTPUT": str(tmp_path / "output")}
    given = ("--title", "x", "--after", tmp_path / "contract.md", "--output", "comment")
    member.ok(SUMMARY, *given, **env)
    comment = outputs(tmp_path / "output")["comment"]
    assert 59_000 < len(comment.encode()) <= 60_000
    assert comment.startswith("xüü")
    assert comment.endswith("is in the run's summary")


def test_the_summary_of_a_step_is_as_long_as_github_takes(member: Member, tmp_path: Path) -> None:
    """One of more than 1 MiB is not shown at all; commands of one step write after each other."""
    write(member, *(result(f"model.dbt_up.m{number}", "error", "no") for number in range(2000)))
    summary = tmp_path / "summary"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    summary.write_text("ü" * 524_000)
    for _ in range(3):
        member.ok(SUMMARY, "--title", "x", **env)
    text = summary.read_text()
    assert len(text.encode()) < 2**20
    assert "… cut: the rest is in the log" in text


def test_dbt_may_have_ended_before_it_built_anything(member: Member) -> None:
    (member.path / "target/run_results.json").unlink(missing_ok=True)
    assert "before it built anything" in member.ok(SUMMARY, "--title", "x")


@pytest.mark.parametrize("text", ["", "[]", '{"results": [{}]}', "not json"])
def test_what_dbt_did_not_write_is_told(member: Member, text: str) -> None:
    path = member.path / "target/run_results.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert "is not what dbt writes" in member.refused(SUMMARY, "--title", "x")
