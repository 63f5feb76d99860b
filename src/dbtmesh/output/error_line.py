"""Picks from the output of a command that failed the one line that says why. Pure."""

from __future__ import annotations

import re

# Errors of a git server, of git itself, of gh and of Copier.
TELLING = (
    *(r"remote: (error|fatal|ERROR)\b", r"! \[.*rejected\]", r".*: Permission denied \("),
    *(r"(fatal|error)\b", r"\[error\]"),
)


def telling_line(output: str) -> str:
    """Returns the line that says what went wrong: the server's error first, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.endswith("Encountered an error:"):  # dbt writes the error on the next two lines
            return ": ".join(lines[number + 1 : number + 3])
    for pattern in TELLING:
        for line in lines:
            if re.match(pattern, line):
                return line
    return lines[-1] if lines else ""
