"""Shows the progress of `pip install` on one line: python fleet/progress.py < its output.

It runs before anything is installed, so it uses only the standard library.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TextIO

FOUND = re.compile(r"Collecting ([A-Za-z0-9._-]+)")
WIDTH = 60


def show(lines: Iterable[str], to: TextIO) -> None:
    """Shows one changing line in a terminal, and a line for every twenty packages in a log."""
    found = 0
    for line in lines:
        if match := FOUND.match(line):
            found += 1
            tell(f"… {found} packages, now {match[1]}", to, log=found % 20 == 0)
        elif line.startswith("Installing collected packages"):
            tell(f"… installs {found} packages", to, log=True)
    if to.isatty():
        to.write("\r" + " " * WIDTH + "\r")


def tell(text: str, to: TextIO, *, log: bool) -> None:
    if to.isatty():
        to.write(f"\r  {text[: WIDTH - 2]:<{WIDTH - 2}}")
    elif log:
        to.write(f"  {text}\n")
    to.flush()


if __name__ == "__main__":
    show(sys.stdin, sys.stdout)
