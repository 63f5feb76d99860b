"""Makes invisible and control characters visible by escaping them."""

from __future__ import annotations

import re

UNSEEN = (
    # control characters except tab and newline; other line separators
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
    # characters without width, and those that change the direction of text: Unicode's default
    # ignorable code points, except the two that select how an emoji looks
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
    # surrogates, and code points for private use
    r"\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"
)
"""The characters to escape, as the content of a character class in a regular expression."""
_UNSEEN = f"[{UNSEEN}]"


def visible(text: str) -> str:
    r"""Returns the text with each such character as `\u202e` or the like. Tab and newline stay."""
    if text.isascii() and text.isprintable():  # nearly always; compiling the pattern is slow
        return text
    return re.sub(_UNSEEN, escape, text)


def escape(match: re.Match[str]) -> str:
    r"""Returns a match's code points in the notation of Python, C and (up to \uffff) JSON."""
    return "".join(
        f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}" for code in map(ord, match[0])
    )
