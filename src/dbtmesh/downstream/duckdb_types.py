"""Maps the data types that models and sources declare to DuckDB's, for stub tables. Pure.

The values in stub tables satisfy contracts: they are never null, and different in every row where
the type allows it, so that keys are unique. Snowflake's semi-structured types become JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from dbtmesh import MeshError
from dbtmesh.output.sql import literal
from dbtmesh.output.words import one_line, some
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.types import is_too_deep

_T = exp.DType
_TEXT = (_T.TEXT, _T.VARCHAR, _T.CHAR, _T.NCHAR, _T.NVARCHAR, _T.BPCHAR, _T.NAME)
_WHOLE = (
    *(_T.TINYINT, _T.SMALLINT, _T.INT, _T.BIGINT, _T.INT128),
    *(_T.UTINYINT, _T.USMALLINT, _T.UINT, _T.UBIGINT, _T.UINT128),
)
_UNZONED = (
    *(_T.TIMESTAMP, _T.TIMESTAMPNTZ, _T.DATETIME),
    *(_T.TIMESTAMP_S, _T.TIMESTAMP_MS, _T.TIMESTAMP_NS),
)
_ZONED = (_T.TIMESTAMPTZ, _T.TIMESTAMPLTZ)
_BINARY = (_T.BINARY, _T.VARBINARY, _T.BLOB)
_WORDS = (_T.GEOGRAPHY, _T.GEOMETRY, _T.FILE)
_SIMPLE = {
    **dict.fromkeys(_WHOLE, "BIGINT"),
    **dict.fromkeys((*_TEXT, *_WORDS), "VARCHAR"),
    **dict.fromkeys((_T.FLOAT, _T.DOUBLE, _T.DECFLOAT), "DOUBLE"),
    **dict.fromkeys(_BINARY, "BLOB"),
    **dict.fromkeys(_ZONED, "TIMESTAMPTZ"),
    **dict.fromkeys(_UNZONED, "TIMESTAMP"),
    **dict.fromkeys((_T.VARIANT, _T.OBJECT, _T.STRUCT, _T.JSON), "JSON"),
    **{kind: kind.value for kind in (_T.BOOLEAN, _T.DATE, _T.TIME, _T.UUID)},
}
_NOT_NULL = re.compile(r"(?<!\s)\s+not\s+null\b", re.IGNORECASE)
_HEAD = re.compile(r"[^(<]*")
SHOWN = 80
"""The number of characters of a type that a note shows."""
ANY = '"NULL"'
"""DuckDB's type of null, for columns without a declared type: it is accepted as any other type."""
LONGEST = 1_000
"""The largest number of characters of a type that is parsed. For a longer one, such as an array or
object, only the kind is used."""
LONGEST_NESTED = 60
"""The largest number of characters of a nested DuckDB type, such as
`MAP(VARCHAR, MAP(VARCHAR, MAP(VARCHAR, DECIMAL(38, 9)[])))`. DuckDB takes milliseconds to fill a
column of a deeper type. A longer type becomes JSON."""
_SIZE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Column:
    """A column of a stub table. type: DuckDB's. value: the SQL of the value in row number `i`."""

    name: str
    type: str
    value: str


@dataclass(frozen=True)
class Columns:
    """The columns of a stub table.

    untyped: the names of columns without a declared type. foreign: the names and types of columns
    whose type has no equivalent in DuckDB. Both become text.
    """

    columns: tuple[Column, ...]
    untyped: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def notes(self, what: str) -> Iterable[str]:
        """Yields a line for each kind of gap in the declaration."""
        if self.untyped:
            yield f"{what} has columns without a type, so text is used: {some(self.untyped)}"
        if self.foreign:
            yield f"{what} has types that DuckDB lacks, so text is used: {some(self.foreign)}"


def columns(what: str, declared: Iterable[Mapping[str, Any]], warehouse: Warehouse) -> Columns:
    """Returns the stub columns for declared ones, each with `name` and perhaps `data_type`.

    what: the model or source, for errors. warehouse: the one for which the types are declared.
    Raises MeshError where two names differ only in case, which DuckDB ignores.
    """
    found: dict[str, Column] = {}
    untyped, foreign = [], []
    for column in declared:
        name, data_type = str(column["name"]), column.get("data_type")
        if Warehouse.DUCKDB.key(name) in found:
            raise MeshError(f"{what}: two columns are called {name}: DuckDB ignores case")
        kind = _parsed(data_type, warehouse)
        if not data_type:
            untyped.append(name)
        elif kind is None:
            foreign.append(f"{name} ({one_line(data_type, SHOWN)})")
        found[Warehouse.DUCKDB.key(name)] = column_of(name, kind)
    return Columns(tuple(found.values()), tuple(untyped), tuple(foreign))


def column_of(name: str, kind: exp.DataType | None) -> Column:
    """Returns the stub for a column; text if it has no type."""
    kind = kind or exp.DataType.build("varchar")
    own = _duckdb_type(kind)
    own = own if len(own) <= LONGEST_NESTED else "JSON"
    return Column(name, own, _value(name, kind, own))


@lru_cache(maxsize=1_000)
def _parsed(data_type: str | None, warehouse: Warehouse) -> exp.DataType | None:
    """Parses a type; None if neither this warehouse nor another one knows it.

    The others are tried because a publication from a laptop has types declared for Snowflake.
    """
    if not data_type or is_too_deep(data_type):
        return None
    if len(data_type) > LONGEST:
        data_type = _HEAD.findall(data_type)[0]
    # sqlglot cannot parse NOT NULL inside a type. Stub tables contain no nulls anyway.
    data_type = _NOT_NULL.sub("", data_type)
    for each in (warehouse, *(other for other in Warehouse if other is not warehouse)):
        try:
            kind = exp.DataType.build(data_type, dialect=each.value)
        except (SqlglotError, ValueError, RecursionError):
            continue
        bare_char = kind.this in (_T.CHAR, _T.NCHAR) and not kind.expressions
        if each is Warehouse.SNOWFLAKE and bare_char:
            return exp.DataType.build("char(1)", dialect=each.value)  # Snowflake's default
        if _known(kind):
            return kind
    return None


def _known(kind: exp.DataType) -> bool:
    """Checks whether a type, and each type inside it, has an equivalent in DuckDB."""
    if kind.this in (_T.ARRAY, _T.MAP):
        return all(_known(each) for each in kind.expressions if isinstance(each, exp.DataType))
    return kind.this in _SIMPLE or kind.this in (_T.DECIMAL, _T.VECTOR)


def _duckdb_type(kind: exp.DataType) -> str:
    if kind.this in _SIMPLE:
        return _SIMPLE[kind.this]
    inner = [each for each in kind.expressions if isinstance(each, exp.DataType)]
    if kind.this == _T.DECIMAL:
        precision, scale = _sizes(kind, (18, 3))
        return f"DECIMAL({precision}, {scale})" if scale else "BIGINT"
    if kind.this == _T.ARRAY and inner:
        return f"{_duckdb_type(inner[0])}[]"
    if kind.this == _T.MAP and len(inner) == 2:
        return f"MAP({_duckdb_type(inner[0])}, {_duckdb_type(inner[1])})"
    if kind.this == _T.VECTOR:
        return "FLOAT[]"
    if kind.this == _T.ARRAY:
        return "JSON"
    return "VARCHAR"


def _sizes(kind: exp.DataType, default: tuple[int, int]) -> tuple[int, int]:
    numbers = [int(each.name) for each in kind.expressions if _SIZE.fullmatch(each.name)]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else default


def _value(name: str, kind: exp.DataType, declared: str) -> str:
    """Returns the SQL of the value in row `i`: never null, and unique where the type allows it."""
    if declared.endswith("[]"):
        return "[]"
    if declared.startswith("MAP"):
        return "map([], [])"
    if declared == "VARCHAR":
        size = _sizes(kind, (0, 0))[0]
        text = f"{literal(f'{name}_', Warehouse.DUCKDB)} || i"
        return f"right({text}, {size})" if size and kind.this in _TEXT else text
    if declared.startswith("DECIMAL"):
        precision, scale = _sizes(kind, (18, 3))
        if precision - scale >= 6:
            return "i"
        # 10**precision is the smallest number that does not fit
        number = "i" if precision >= 6 else f"(i % {10**precision})"
        return f"{number} / power(10, {scale})"
    return {
        "BOOLEAN": "i % 2 = 1",
        "BLOB": "encode(cast(i as varchar))",
        "DATE": "date '2026-01-01' + cast(i as integer)",
        "JSON": "json_array(i)" if kind.this == _T.ARRAY else "json_object('row', i)",
        "TIME": "time '00:00' + i * interval 1 minute",
        "TIMESTAMP": "timestamp '2026-01-01' + i * interval 1 hour",
        "TIMESTAMPTZ": "timestamptz '2026-01-01 00:00:00+00' + i * interval 1 hour",
        "UUID": "md5(cast(i as varchar))",
    }.get(declared, "i")
