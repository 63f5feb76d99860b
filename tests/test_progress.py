"""What `make demo` shows while it installs."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from fleet import progress
from tests.conftest import ROOT

PIP = [
    *(f"Collecting package{n}==1.0 (from x)\n" for n in range(45)),
    "  Downloading package-1.0.whl\n",
    "Installing collected packages: a, b\n",
    "Successfully installed a-1 b-2\n",
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_that_changes_and_is_gone_at_the_end() -> None:
    shown = Terminal()
    progress.show(PIP, shown)
    assert "\n" not in shown.getvalue()
    steps = [step.strip() for step in shown.getvalue().split("\r")]
    assert "… 45 packages, now package44" in steps
    assert "… installs 45 packages" in steps
    assert steps[-1] == ""
    assert all(len(step) < 80 for step in steps)


def test_a_log_gets_few_lines() -> None:
    shown = io.StringIO()
    progress.show(PIP, shown)
    assert shown.getvalue().splitlines() == [
        "  … 20 packages, now package19",
        "  … 40 packages, now package39",
        "  … installs 45 packages",
    ]


@pytest.mark.parametrize("text", ["", "ERROR: no matching distribution\n"])
def test_it_needs_the_standard_library_alone(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "fleet/progress.py"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
