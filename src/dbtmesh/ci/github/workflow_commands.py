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
"""The limits of an output that people read: jobs get it as an environment variable, which Linux
limits to 128 KiB."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def warning(text: str, title: str = "") -> None:
    """Shows a warning on the page of the run; elsewhere it is a line on stdout."""
    _annotate("warning", text, title)


def notice(text: str) -> None:
    """Shows a notice as `warning` does, for what is not a fault."""
    _annotate("notice", text, "")


def error(text: str, title: str = "") -> None:
    """Shows an error as `warning` does. The step goes on."""
    _annotate("error", text, title)


def _annotate(command: str, text: str, title: str) -> None:
    properties = f" title={_property(title)}" if title else ""
    sys.stdout.write(f"::{command}{properties}::{_data(text)}\n")


def mask(secret: str) -> None:
    """Makes the log show `***` in place of a secret from here on. Raises ValueError for an empty
    one, and for more than one line, of which the log would show the rest."""
    if not secret.isprintable() or not secret:
        raise ValueError("a secret has to be one line, and not empty")
    # On stderr, because stdout may go to a file; in one piece, because other threads may write.
    sys.stderr.write(f"::add-mask::{_data(secret, seen=False)}\n")
    sys.stderr.flush()


def _data(text: str, *, seen: bool = True) -> str:
    """Escapes the text of a command. seen: by people, for whom invisible characters are escaped,
    too."""
    shown = visible(text) if seen else text
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def output(**values: str) -> None:
    """Sets outputs of the step; does nothing outside of a workflow. Raises ValueError for a name
    that is not valid."""
    if not (step := os.environ.get("GITHUB_OUTPUT")):
        return
    # A mark that nobody can guess ends each value, so that no value can add another output.
    mark = f"end-{os.urandom(16).hex()}"
    for name in values:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name of an output")
    lines = [f"{name}<<{mark}\n{text}\n{mark}\n" for name, text in values.items()]
    with Path(step).open("a", encoding="utf-8") as outputs:
        outputs.write("".join(lines))


def refused(lines: Sequence[str]) -> None:
    """Sets the output `refused` of the step: which upstreams could not be read, and why, a line
    each. The job that sends the alert gets it as an environment variable."""
    shown = (visible(one_line(each, LONGEST_LINE)) for each in lines[:MOST_LINES])
    output(refused="\n".join(shown))


def summarise(lines: Sequence[str], file: Path | None = None) -> None:
    """Writes Markdown to `file`, which is replaced, and appends it to the step's summary as far as
    there is room."""
    body = "\n".join(lines) + "\n"
    if file:
        file.write_text(body, encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as summary:
            room = LONGEST_SUMMARY - summary.tell()
            summary.write(cut(body, room, "the rest is in the log"))
