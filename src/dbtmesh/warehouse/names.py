"""Parses, folds, quotes and compares names as the warehouse stores them. Pure.

Snowflake stores an unquoted name in upper case and compares exactly. DuckDB keeps a name as it is
written, quoted or not, and compares without regard to case.
https://docs.snowflake.com/en/sql-reference/identifiers-syntax
https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

from dbtmesh.warehouse.adapter import Warehouse

Place = tuple[str, str, str]
"""Database, schema and identifier, as stored."""

MAX_LENGTH = 255
"""Characters of a name; Snowflake's limit."""

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
_WRITTEN_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_USUAL = re.compile(
    r"|".join(r"\.".join([f"{q}([A-Za-z_][A-Za-z0-9_$]{{0,254}}){q}"] * 3) for q in ("", '"'))
)
"""As nearly all names are: a publication has very many."""
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


class Name(NamedTuple):
    """One name: as it is stored, and whether it is quoted where it is written.

    A quoted name has to stay quoted even where it looks plain: `"ORDER"` is a word of SQL.
    """

    text: str
    quoted: bool = False


class Relation(NamedTuple):
    """Where a model lies."""

    database: Name
    schema: Name
    identifier: Name

    @property
    def place(self) -> Place:
        return self.database.text, self.schema.text, self.identifier.text

    def __str__(self) -> str:
        return ".".join(self.place)


class NotAName(ValueError):
    """A text that is not a dotted name."""


def parse(dotted: str) -> tuple[Name, ...]:
    """The parts of a dotted name as written, without their quotes: `db."a.b"` is `db` and `a.b`.

    Raises NotAName where the text is something else, or leaves something over.
    """
    if usual := usual_parts(dotted):
        quoted, names = usual
        return tuple(Name(name, quoted) for name in names)
    parts, at = [], 0
    while match := _PART.match(dotted, at):
        within, plain = match.groups()
        name = Name(plain) if plain is not None else Name(within.replace('""', '"'), quoted=True)
        parts.append(name)
        at = match.end()
        if at == len(dotted):
            return tuple(parts)
        if dotted[at] != ".":
            break
        at += 1
    raise NotAName(f"{dotted!r} is not a valid name")


def usual_parts(dotted: str) -> tuple[bool, tuple[str, str, str]] | None:
    """The parts of a dotted name of three that need no quotes, and whether all have them; None of
    any other text."""
    if not (usual := _USUAL.fullmatch(dotted)):
        return None
    first, second, third, *quoted = usual.groups()
    return (False, (first, second, third)) if first else (True, (quoted[0], quoted[1], quoted[2]))


def is_plain(written: str) -> bool:
    """Whether a name needs no quotes; reserved words aside."""
    return len(written) <= MAX_LENGTH and bool(_WRITTEN_PLAIN.fullmatch(written))


def is_quotable(name: str) -> bool:
    """Whether SQL may hold the name in quotes as it is: it has no quote and nothing unseen, nor a
    brace: dbt renders the text of hooks again, after the name is in it."""
    whole = 0 < len(name) <= MAX_LENGTH and name.isprintable()
    return whole and not set('"{}') & set(name)


def quoted(stored: str) -> str:
    """A stored name as an SQL identifier in quotes, on either warehouse."""
    return '"' + stored.replace('"', '""') + '"'


def sql_name(stored: str) -> str:
    """A stored name as Snowflake prints it and SQL writes it: in quotes only where it needs them.

    Users may be called after an e-mail address.
    """
    return stored if _PLAIN.fullmatch(stored) else quoted(stored)


def canonical(dotted: str) -> str:
    """A dotted name in SQL as Snowflake stores and prints it: `db."x"` is `DB."x"`, `"DB"` is `DB`.

    What is not a name, such as the signature of a function, stays as it is.
    """
    try:
        parts = parse(dotted)
    except NotAName:
        return dotted
    return ".".join(sql_name(Warehouse.SNOWFLAKE.stored(text, quoted=by)) for text, by in parts)


class Fields(Protocol):
    """A model of a manifest, or a part of one, of which single fields are asked."""

    def get(self, key: str, /) -> Any: ...

    def __getitem__(self, key: str, /) -> Any: ...


def relation(node: Fields, warehouse: Warehouse) -> Relation:
    """Where a model of a manifest lies, by its `relation_name`, else by its fields.

    On DuckDB quotes change nothing but what a word of SQL means, and dbt quotes every name there
    itself: only what is no plain name is quoted, for a reader on Snowflake would write it as it is.
    """
    try:
        written = parse(node.get("relation_name") or "")
    except NotAName:
        written = ()
    if len(written) != 3:
        fields = (node.get("database"), node.get("schema"), node.get("alias") or node["name"])
        written = tuple(Name(str(field or "")) for field in fields)
    keeps = warehouse is Warehouse.SNOWFLAKE
    parts = [
        Name(warehouse.stored(text, quoted=by), by and (keeps or not is_plain(text)))
        for text, by in written
    ]
    return Relation(*parts)
