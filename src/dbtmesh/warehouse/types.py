"""Compares SQL types as the warehouse understands them: when do two spellings mean the same type?

Types are compared by what the warehouse stores, not by their spelling:

- Snowflake's aliases of one type are the same (docs.snowflake.com, "Summary of data types"):
  `integer` is `number(38,0)`, `string` is `varchar(16777216)`, `timestamp` is `timestamp_ntz(9)`
  (the default TIMESTAMP_TYPE_MAPPING), `real` is `float`.
- Whole numbers (scale 0) and numbers with a fraction are different types, because clients read
  them as int and as Decimal. Any other precision, scale, length or collation is another size of
  the same type.
- DuckDB has its own table: there `integer` has 32 bits, `bigint` 64, `decimal` is `decimal(18,3)`,
  and `float` and `double` are two sizes. DuckDB ignores the length of text; it is compared all the
  same, because the same models also run on Snowflake.
- If only Snowflake knows the spelling of one side, both are read as Snowflake's, even if they were
  built on DuckDB.
- Types inside other types (`array(integer)`, `integer[]`, `struct(a integer)`) follow the same
  rules. NOT NULL inside a type counts as a size: if it goes, readers of the inner values may find
  nulls where there were none.
- A type that is not in its warehouse's table equals only its own spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from dbtmesh.warehouse.adapter import Warehouse


class TypeChange(StrEnum):
    """How a column's declared type differs from what it was."""

    CHANGED = "changed"
    RESIZED = "resized"
    UNDECLARED = "undeclared"
    DECLARED = "declared"


class Type(NamedTuple):
    """The meaning of a type. size: its precision, scale, length and collation; for a nested type,
    the size of each type inside it and whether that is NOT NULL."""

    family: str
    size: tuple[Any, ...]


def _spellings(table: Iterable[tuple[str, tuple[int, ...], str]]) -> dict[str, Type]:
    return {
        name.strip(): Type(family, size)
        for family, size, names in table
        for name in names.split(",")
    }


# family, size if none is given, spellings
_SNOWFLAKE = _spellings(
    [
        ("number", (38, 0), "number,decimal,dec,numeric"),
        ("number", (38, 0), "int,integer,bigint,smallint,tinyint,byteint"),
        ("float", (), "float,float4,float8,double,double precision,real"),
        ("varchar", (16777216,), "varchar,string,text,nvarchar,nvarchar2"),
        ("varchar", (16777216,), "char varying,nchar varying,character varying"),
        ("varchar", (1,), "char,nchar,character"),
        ("binary", (8388608,), "binary,varbinary"),
        ("boolean", (), "boolean,bool"),
        ("date", (), "date"),
        ("time", (9,), "time"),
        ("timestamp_ntz", (9,), "timestamp_ntz,timestampntz,timestamp,datetime"),
        ("timestamp_ntz", (9,), "timestamp without time zone"),
        ("timestamp_tz", (9,), "timestamp_tz,timestamptz,timestamp with time zone"),
        ("timestamp_ltz", (9,), "timestamp_ltz,timestampltz,timestamp with local time zone"),
    ]
)
# As `duckdb_types()` lists them. Unsigned numbers are left out: they are types of their own.
_DUCKDB = _spellings(
    [
        ("number", (18, 3), "decimal,dec,numeric"),
        ("number", (3, 0), "tinyint,int1"),
        ("number", (5, 0), "smallint,int2,int16,short"),
        ("number", (10, 0), "integer,int,int4,int32,signed,integral"),
        ("number", (19, 0), "bigint,int8,int64,long"),
        ("number", (38, 0), "hugeint,int128"),
        ("float", (24,), "float,float4,real"),
        ("float", (53,), "double,float8,double precision"),
        ("varchar", (16777216,), "varchar,string,text,nvarchar,character varying"),
        ("varchar", (16777216,), "char,bpchar,character"),
        ("binary", (8388608,), "blob,bytea,binary,varbinary"),
        ("boolean", (), "boolean,bool,logical"),
        ("date", (), "date"),
        ("time", (6,), "time"),
        ("timestamp_ntz", (0,), "timestamp_s"),
        ("timestamp_ntz", (3,), "timestamp_ms"),
        ("timestamp_ntz", (6,), "timestamp,datetime,timestamp_us,timestamp without time zone"),
        ("timestamp_ntz", (9,), "timestamp_ns"),
        ("timestamp_tz", (6,), "timestamptz,timestamp with time zone"),
    ]
)
_TYPES = {Warehouse.SNOWFLAKE: _SNOWFLAKE, Warehouse.DUCKDB: _DUCKDB}
_ONLY_SNOWFLAKE = _SNOWFLAKE.keys() - _DUCKDB.keys()

_COLLATE = re.compile(r"\s*\bcollate\s+")
_SIZED = re.compile(r"([^()]*+)(?:\((\d{1,9}(?:,\d{1,9})*+)\))?+\s*+([^()]*+)")
_PUNCTUATION = re.compile(r"\s*([(),<>\[\]:])\s*")
_LIST = re.compile(r"(.+)(\[\d*\])")
_NESTED = re.compile(r"(array|map|object|struct|row|union)\((.+)\)")
_FIELD = re.compile(r"(\"(?:[^\"]|\"\")*\"|[^\s()\[\]]+(?= )) ?(.+)")
_NOT_NULL = re.compile(r"(.+?) ?\bnot null")
_WORD = re.compile(r"\"(?:[^\"]|\"\")*\"|'[^']*'|[^\"']")


def _plain(text: str) -> str:
    return _PUNCTUATION.sub(r"\1", " ".join(text.lower().split()))


@lru_cache(maxsize=4096)
def _split_type(text: str) -> tuple[str, tuple[int, ...], str]:
    """Splits a type into its name, the numbers in parentheses, and its collation.

    The numbers may be inside the name: `timestamp(3) with time zone`. If there is anything else in
    the parentheses, the whole type is taken as a name.
    """
    base, *collation = _COLLATE.split(_plain(text), maxsplit=1)
    base = base.replace(")", ") ").strip()
    sized = _SIZED.fullmatch(base)
    if sized is None:
        return base, (), "".join(collation)
    head, numbers, tail = sized.groups()
    sizes = tuple(map(int, numbers.split(","))) if numbers else ()
    return f"{head.rstrip()} {tail}".strip(), sizes, "".join(collation)


class _Inner(NamedTuple):
    """A type inside another one. name: the name of the field, or empty."""

    name: str
    type: str
    not_null: bool


@lru_cache(maxsize=4096)
def _take_apart(text: str) -> tuple[str, tuple[_Inner, ...]]:
    """Returns the kind of a nested type and the types inside it (`array(integer)`, `integer[3]`);
    empty ones for a plain type."""
    text = _plain(text)
    if is_too_deep(text):
        return "", ()
    if many := _LIST.fullmatch(text):
        return many[2], (_Inner("", many[1], not_null=False),)
    if not (nested := _NESTED.fullmatch(text)):
        return "", ()
    kind = nested[1].replace("row", "struct")
    inner = []
    for part in _split_commas(nested[2]):
        bare = _NOT_NULL.fullmatch(part)
        name, data_type = "", bare[1] if bare else part
        if kind in ("object", "struct", "union") and (field := _FIELD.fullmatch(data_type)):
            name, data_type = field.groups()
        inner.append(_Inner(name, data_type, not_null=bool(bare)))
    return kind, tuple(inner)


MOST_NESTED = 64
"""How deep nested types are read. A type that nests deeper, which no warehouse has, is taken as a
name."""


def is_too_deep(text: str) -> bool:
    """Checks whether a type nests deeper than MOST_NESTED."""
    if text.count("(") + text.count("[") <= MOST_NESTED:
        return False
    depth = most = 0
    for mark in re.findall(r"[()]", text):
        depth += 1 if mark == "(" else -1
        most = max(most, depth)
    return most + len(re.findall(r"\[\d*\](?=\[|$)", text)) > MOST_NESTED


def _split_commas(text: str) -> list[str]:
    """Splits at commas outside parentheses and quotes."""
    parts, depth = [""], 0
    for word in _WORD.findall(text):
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if word == "," and not depth:
            parts.append("")
        else:
            parts[-1] += word
    return parts


def _only_snowflake(text: str) -> bool:
    """Checks whether only Snowflake knows the spelling of a type, or of a type inside it."""
    inner = _take_apart(text)[1]
    if inner:
        return any(_only_snowflake(each.type) for each in inner)
    return _split_type(text)[0] in _ONLY_SNOWFLAKE


def read_type(text: str, warehouse: Warehouse) -> Type:
    """Returns the meaning of a type's spelling on `warehouse`. Any text is accepted."""
    holder, inner = _take_apart(text)
    if inner:
        held = [read_type(each.type, warehouse) for each in inner]
        names = [f"{e.name} {t.family}" for e, t in zip(inner, held, strict=True)]
        sizes = tuple((t.size, e.not_null) for e, t in zip(inner, held, strict=True))
        return Type(f"{holder}({','.join(names)})", sizes)
    return _read_plain_type(text, warehouse)


def _read_plain_type(text: str, warehouse: Warehouse) -> Type:
    name, sizes, collation = _split_type(text)
    plain = _TYPES[warehouse].get(name, Type(name, ()))
    family, default = plain.family, plain.size
    if family == "number":
        # number(10) is number(10,0), even where a number without parentheses has another scale.
        sizes = (*sizes, 0) if len(sizes) == 1 else sizes
        family = "decimal" if (sizes or default)[1] else "whole number"
    size = sizes or default
    return Type(family, (*size, collation) if collation else size)


@lru_cache(maxsize=4096)
def type_change(old: str | None, new: str | None, warehouse: Warehouse) -> TypeChange | None:
    """Returns how the declared type `new` differs from `old`; None if both mean the same type.

    An empty or missing text means that the type is not declared.
    """
    if old == new or not (old or new):
        return None
    if not old:
        return TypeChange.DECLARED
    if not new:
        return TypeChange.UNDECLARED
    if warehouse is Warehouse.DUCKDB and (_only_snowflake(old) or _only_snowflake(new)):
        warehouse = Warehouse.SNOWFLAKE
    before, after = read_type(old, warehouse), read_type(new, warehouse)
    if before == after:
        return None
    return TypeChange.RESIZED if before.family == after.family else TypeChange.CHANGED


def same_type(old: str | None, new: str | None, warehouse: Warehouse) -> bool:
    """Checks whether two spellings mean the same type on `warehouse`, including its size."""
    return type_change(old, new, warehouse) is None
