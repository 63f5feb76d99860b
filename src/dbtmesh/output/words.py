"""Puts lists, numbers and values into sentences."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 10
"""How many names a sentence holds; the others are a number."""


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """`a, b and 3 more`"""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


LONGEST = 80
"""Characters of a foreign value that a message shows."""


def shown(value: object) -> str:
    """A value in a message: in one line, with escapes for what cannot be seen, and short."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def one_line(text: object, most: int | None = None) -> str:
    """A text, such as an error's, with one blank for each run of blanks and line ends, and of at
    most so many characters."""
    return " ".join(str(text).split())[:most]


def counted(number: int, noun: str) -> str:
    """`1 model`, `1,000 models`"""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
