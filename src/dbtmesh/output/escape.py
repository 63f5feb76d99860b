"""Escapes invisible and control characters, so that everybody sees them."""

from __future__ import annotations

import re

UNSEEN = (
    # control characters, but tab and newline; the other ends of a line
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
    # what has no width, or turns the direction of the text around it: the default ignorable code
    # points of Unicode, but the two that choose how an emoji looks
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
    # halves of characters, and characters that are nobody's but their maker's
    r"\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"
)
"""For a class of a regular expression."""
_UNSEEN = f"[{UNSEEN}]"


def visible(text: str) -> str:
    r"""The text, with `\u202e` in the place of each such character; tab and newline stay."""
    if text.isascii() and text.isprintable():  # nearly all; to compile the class takes a while
        return text
    return re.sub(_UNSEEN, escape, text)


def escape(match: re.Match[str]) -> str:
    r"""The code points of a match, as Python, C and (up to \uffff) JSON write them."""
    return "".join(
        f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}" for code in map(ord, match[0])
    )
