"""Tokens of Snowflake SQL, and the splitting of a script into statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import syntax_error

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|//[^\n]*|/\*.*?\*/)
    | (?P<dollar>\$\$.*?\$\$)
    | (?P<string>'(?:[^'\\]|''|\\.)*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[^\W\d][\w$]*|\$[\w]+)
    | (?P<symbol>=>|::|\|\||<=|>=|<>|!=|->|[-+*/%=<>().,;:@?\[\]{}&|^~!#$])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class Token(NamedTuple):
    """One token; ``kind`` is word, quoted, string, number or symbol; offsets into the text."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The text for comparison with keywords; empty for quoted identifiers and strings."""
        return self.text.upper() if self.kind in ("word", "symbol") else ""

    @property
    def value(self) -> str:
        """What the token stands for: the text of a string, the stored form of an identifier."""
        if self.kind == "string" and self.text.startswith("$$"):
            return self.text[2:-2]
        if self.kind == "string":
            body = self.text[1:-1].replace("''", "'")
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), body, flags=re.DOTALL)
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.upper() if self.kind == "word" else self.text


def tokens(sql: str) -> list[Token]:
    """Tokens without blanks and comments.

    Raises:
        SnowflakeError: 001003 for text that is not a token, e.g. a quote that is never closed.
    """
    return list(_tokens(sql))


def _tokens(sql: str) -> Iterator[Token]:
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:
            raise syntax_error(sql[position : position + 20])
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token("string" if kind == "dollar" else kind, match[0], position, match.end())
        position = match.end()


def split_statements(sql: str) -> list[str]:
    """Statements of a script, without their semicolons and without what is only a comment.

    Raises:
        SnowflakeError: as `tokens`.
    """
    found: list[str] = []
    start: int | None = None
    end = 0
    for token in _tokens(sql):
        if token.text == ";" and token.kind == "symbol":
            if start is not None:
                found.append(sql[start:end])
            start = None
        else:
            start = token.start if start is None else start
            end = token.end
    if start is not None:
        found.append(sql[start:end])
    return found
