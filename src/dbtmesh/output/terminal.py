"""Escapes text for a terminal and for the log of a CI job, so that nothing in it is a command to
either.
"""

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
    r"""Lines as they are. Control characters and such are shown as `\u001b`; the first character of
    what would be a command for GitHub's runner (`::error::`, `##[error]`) as `\u003a`."""
    seen = visible(value)
    if "::" in seen or "##[" in seen:  # hardly any; to compile the pattern takes a while
        return re.sub(_COMMAND, _first_shown, seen)
    return seen


def line(value: str) -> str:
    r"""The same in one line: a newline is shown as `\u000a`."""
    return text(value.replace("\n", "\\u000a"))


def _first_shown(match: re.Match[str]) -> str:
    space = match["space"]
    return "\\u0023" if space is None else f"{space}\\u003a"


def write(*lines: str, to: TextIO | None = None) -> None:
    """Prints lines. to: default stdout."""
    stream = sys.stdout if to is None else to
    # In one piece, whatever other threads write.
    stream.write("".join(f"{line(each)}\n" for each in lines))


def tolerate() -> None:
    """Lets stdout and stderr show `?` for what their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="replace")
