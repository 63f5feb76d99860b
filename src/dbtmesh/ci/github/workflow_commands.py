"""Writes what a step tells GitHub Actions: commands in its log, outputs, and its summary.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from dbtmesh.output.escape import visible
from dbtmesh.output.markdown import cut
from dbtmesh.output.words import one_line

LONGEST_SUMMARY = 1_000_000
"""Bytes. GitHub shows nothing of a step's summary that is longer than 1 MiB."""
MOST_LINES, LONGEST_LINE = 30, 600
"""Of an output for people; Linux limits an environment variable to 128 KiB."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def warning(text: str, title: str = "") -> None:
    """Shown on the page of the run; elsewhere a line on stdout."""
    _annotate("warning", text, title)


def notice(text: str) -> None:
    """As `warning`, of what is no fault."""
    _annotate("notice", text, "")


def error(text: str, title: str = "") -> None:
    """As `warning`; the step goes on."""
    _annotate("error", text, title)


def _annotate(command: str, text: str, title: str) -> None:
    properties = f" title={_property(title)}" if title else ""
    sys.stdout.write(f"::{command}{properties}::{_data(text)}\n")


def mask(secret: str) -> None:
    """The log shows `***` in its place from here on. Raises ValueError for more than one line,
    of which the log would show the rest."""
    if not secret.isprintable() or not secret:
        raise ValueError("a secret of more than one line, or none")
    # On stderr, for stdout may go to a file; in one piece, whatever other threads write.
    sys.stderr.write(f"::add-mask::{_data(secret, seen=False)}\n")
    sys.stderr.flush()


def _data(text: str, *, seen: bool = True) -> str:
    """seen: for people; what they would not see is escaped for them, too."""
    shown = visible(text) if seen else text
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def output(**values: str) -> None:
    """Outputs of the step; nothing outside of a workflow. Raises ValueError for no valid name."""
    if not (step := os.environ.get("GITHUB_OUTPUT")):
        return
    # A mark that nobody can guess ends a value, so that none can smuggle in another output.
    mark = f"end-{os.urandom(16).hex()}"
    for name in values:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of an output")
    lines = [f"{name}<<{mark}\n{text}\n{mark}\n" for name, text in values.items()]
    with Path(step).open("a", encoding="utf-8") as outputs:
        outputs.write("".join(lines))


def refused(lines: Sequence[str]) -> None:
    """The output `refused` of the step: which of the projects that this one reads could not be
    read, and why, a line each. For the alert: jobs get it as an environment variable."""
    shown = (visible(one_line(each, LONGEST_LINE)) for each in lines[:MOST_LINES])
    output(refused="\n".join(shown))


def summarise(lines: Sequence[str], file: Path | None = None) -> None:
    """Markdown to `file` (replaced), and to the step's summary as far as there is room in it."""
    body = "\n".join(lines) + "\n"
    if file:
        file.write_text(body, encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as summary:
            room = LONGEST_SUMMARY - summary.tell()
            summary.write(cut(body, room, "the rest is in the log"))
