"""Escapes text for a terminal and a CI job's log, so that it contains no commands to either."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from typing import TextIO

from dbtmesh.output.escape import visible

# What GitHub's runner looks for in each line of a step's output:
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
_COMMAND = r"(?m:^(?P<space>[^\S\n]*+):(?=:)|#(?=#\[))"


def text(value: str) -> str:
    r"""Escapes text of one or more lines.

    Control and invisible characters become escapes such as `\u001b`. So does the first character of
    a command to GitHub's runner (`::error::`, `##[error]`): it becomes `\u003a` or `\u0023`.
    """
    seen = visible(value)
    if "::" in seen or "##[" in seen:  # rarely; compiling the pattern is slow
        return re.sub(_COMMAND, _first_shown, seen)
    return seen


def line(value: str) -> str:
    r"""Escapes text as `text` does, and newlines as `\u000a`, so that the result is one line."""
    return text(value.replace("\n", "\\u000a"))


def _first_shown(match: re.Match[str]) -> str:
    space = match["space"]
    return "\\u0023" if space is None else f"{space}\\u003a"


def write(*lines: str, to: TextIO | None = None) -> None:
    """Prints escaped lines to a stream, stdout by default."""
    stream = sys.stdout if to is None else to
    # A single write, so that lines of other threads do not come in between.
    stream.write("".join(f"{line(each)}\n" for each in lines))


def tolerate() -> None:
    """Makes stdout and stderr print `?` for characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
