"""Puts lists, numbers and values into sentences."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 10
"""The number of names that a sentence lists; the others are only counted."""


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """Returns a text such as `a, b and 3 more`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


LONGEST = 80
"""The number of characters that a message shows of a value from outside."""


def shown(value: object) -> str:
    """Returns a value for a message: short, in one line, with escapes for invisible characters."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def one_line(text: object, most: int | None = None) -> str:
    """Returns a text in one line, with single spaces, cut off after `most` characters."""
    return " ".join(str(text).split())[:most]


def counted(number: int, noun: str) -> str:
    """Returns a text such as `1 model` or `1,000 models`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
