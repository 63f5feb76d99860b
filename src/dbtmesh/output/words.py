"""Lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 10
"""How many names a sentence holds; the others are a number."""


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """`a, b and 3 more`"""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
