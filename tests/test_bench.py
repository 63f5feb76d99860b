"""`make bench` itself: what it prints, and its exit status; what it measures is another matter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.bench import __main__ as command
from tests.bench.lab import BENCHES, Figure, Lab, Process, python


def kept(lab: Lab) -> Iterator[Figure]:
    """A process against itself."""
    nothing = Process(python("pass"), lab.folder)
    measured, baseline = lab.compare("nothing", nothing, nothing)
    yield Figure("kept", measured, baseline, 100)
    yield Figure("memory", 20, None, 30, "MB")
    yield Figure("no budget", 2, 1, None)


def missed(_: Lab) -> Iterator[Figure]:
    yield Figure("missed", 3, 1, 2)


def crashes(lab: Lab) -> Iterator[Figure]:
    yield Figure("before it crashed", 1, 1, 2)
    lab.compare("failure", Process(python("raise SystemExit('it is broken')"), lab.folder))


@pytest.fixture(autouse=True)
def benches(monkeypatch: pytest.MonkeyPatch) -> None:
    for bench in (kept, missed, crashes):
        monkeypatch.setitem(BENCHES, bench.__name__, bench)


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["kept", "missed", "--runs", "2"]) == 0
    told = capsys.readouterr()
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]]
        for line in told.out.splitlines()
        if line.startswith("│")
    }
    assert rows["kept"][3:] == ["100 x", "yes"]
    assert rows["memory"] == ["20 MB", "", "", "30 MB", "yes"]
    assert rows["no budget"] == ["2.00 s", "1.00 s", "2.00", "", ""]
    assert rows["missed"] == ["3.00 s", "1.00 s", "3.00", "2 x", "no"]
    assert "missed: 3.00 x" in told.err


def test_strict_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["kept", "--strict", "--runs", "1"]) == 0
    capsys.readouterr()
    assert command.main(["missed", "--strict", "--json"]) == 2
    (figure,) = json.loads(capsys.readouterr().out)
    assert (figure["what"], figure["ratio"], figure["ok"]) == ("missed", 3.0, False)


def test_a_crash_is_told_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["crashes", "missed", "--json"]) == 1
    told = capsys.readouterr()
    assert [each["what"] for each in json.loads(told.out)] == ["before it crashed", "missed"]
    assert "it is broken" in told.err
    assert "crashed: crashes" in told.err


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["sink"])
    assert "no such bench: sink" in capsys.readouterr().err


def test_every_budget_of_the_design_has_a_bench() -> None:
    command.discover()
    assert {"render", "update", "sync", "publish", "loom"} <= BENCHES.keys()
