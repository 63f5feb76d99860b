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
"""How many characters a name has at most. This is Snowflake's limit."""

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
_WRITTEN_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_USUAL = re.compile(
    r"|".join(r"\.".join([f"{q}([A-Za-z_][A-Za-z0-9_$]{{0,254}}){q}"] * 3) for q in ("", '"'))
)
"""The form of nearly all names. It is tried first, because a publication has very many names."""
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


class Name(NamedTuple):
    """One name, without its quotes, and whether SQL writes it in quotes.

    A quoted name has to stay quoted even if it looks plain: `ORDER` is a reserved word.
    """

    text: str
    quoted: bool = False


class Relation(NamedTuple):
    """The full name of the table or view of a model."""

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
    """Returns the parts of a dotted name as written, without their quotes: `db` and `a.b` for
    `db."a.b"`.

    Raises NotAName where the text as a whole is not a dotted name.
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
    """Returns whether a dotted name is quoted, and its parts, for names of the usual form: three
    parts that need no quotes, and all or none of them in quotes. Returns None for other texts."""
    if not (usual := _USUAL.fullmatch(dotted)):
        return None
    first, second, third, *quoted = usual.groups()
    return (False, (first, second, third)) if first else (True, (quoted[0], quoted[1], quoted[2]))


def is_plain(written: str) -> bool:
    """Checks whether a name needs no quotes. Reserved words are not considered."""
    return len(written) <= MAX_LENGTH and bool(_WRITTEN_PLAIN.fullmatch(written))


def is_quotable(name: str) -> bool:
    """Checks whether a name can be put in quotes unchanged. It must not contain quotes, invisible
    characters or braces: dbt renders the text of hooks again after the name is inserted."""
    whole = 0 < len(name) <= MAX_LENGTH and name.isprintable()
    return whole and not set('"{}') & set(name)


def quoted(stored: str) -> str:
    """Returns a stored name as a quoted SQL identifier, for either warehouse."""
    return '"' + stored.replace('"', '""') + '"'


def sql_name(stored: str) -> str:
    """Returns a stored name as Snowflake prints it and SQL writes it: in quotes only if it needs
    them.

    Users may be named after an e-mail address.
    """
    return stored if _PLAIN.fullmatch(stored) else quoted(stored)


def canonical(dotted: str) -> str:
    """Returns a dotted name in SQL as Snowflake prints it: `DB."x"` for `db."x"`, `DB` for `"DB"`.

    A text that is not a name, such as the signature of a function, is returned unchanged.
    """
    try:
        parts = parse(dotted)
    except NotAName:
        return dotted
    return ".".join(sql_name(Warehouse.SNOWFLAKE.stored(text, quoted=by)) for text, by in parts)


class Fields(Protocol):
    """A model of a manifest, or a part of one, from which single fields are read."""

    def get(self, key: str, /) -> Any: ...

    def __getitem__(self, key: str, /) -> Any: ...


def relation(node: Fields, warehouse: Warehouse) -> Relation:
    """Returns the full name of a model's table or view, by its `relation_name`, else by its fields.

    On DuckDB, quotes only matter for reserved words, and dbt itself quotes every name. But a reader
    on Snowflake would keep the case of a quoted name. So only names that are not plain count as
    quoted there.
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
