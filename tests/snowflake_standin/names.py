"""Identifiers as Snowflake stores them: unquoted ones in upper case, quoted ones as written."""

from __future__ import annotations

import re
from typing import NamedTuple

Name = tuple[str, ...]
"""A stored name, e.g. ``("DB", "SCHEMA", "TABLE")``; empty for the account itself."""

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*\Z")


class Ref(NamedTuple):
    """One securable object. Kinds are spelled as in SHOW GRANTS: ``DATABASE_ROLE``."""

    kind: str
    name: Name

    def __str__(self) -> str:
        return f"{self.kind} {render(self.name)}" if self.name else self.kind


ACCOUNT = Ref("ACCOUNT", ())


def role(name: str) -> Ref:
    return Ref("ROLE", (name,))


def render(name: Name) -> str:
    """Returns the name as SQL, quoted only where it must be."""
    return ".".join(quote(part) for part in name)


def quote(part: str) -> str:
    if _PLAIN.match(part):
        return part
    return '"' + part.replace('"', '""') + '"'


def parse_name(text: str) -> Name:
    """Returns the stored name of an SQL identifier such as ``db."Mixed".t``.

    Raises:
        ValueError: when the text is not a (qualified) identifier.
    """
    parts: list[str] = []
    position = 0
    pattern = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][\w$]*)')
    while True:
        match = pattern.match(text, position)
        if match is None:
            raise ValueError(f"not an identifier: {text!r}")
        quoted, plain = match.groups()
        parts.append(quoted.replace('""', '"') if quoted is not None else plain.upper())
        position = match.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            raise ValueError(f"not an identifier: {text!r}")
        position += 1
