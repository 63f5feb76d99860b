"""Stand-ins for an upstream's relations on a laptop, made of its published interface. Pure.

Types are DuckDB's; rows hold what the contract asks for: no nulls, and different values in every
row, so that keys are unique. Snowflake's semi-structured types become JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from dbtmesh import MeshError
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import STUB, Interface
from dbtmesh.manifest.seal import annotated
from dbtmesh.output.sql import literal
from dbtmesh.warehouse.names import Warehouse, quoted, relation

FORMAT: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.5.0"
}
"""How a database is written: so that members on dbt v2, which has DuckDB 1.5, can read it too."""
MARK = "stub of "
"""How the comment on each stub begins: what lacks it was really built."""

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


_NOT_NULL = re.compile(r"\s+not\s+null\b", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """type: DuckDB's; value: SQL of what row number `i` holds."""

    name: str
    type: str
    value: str


@dataclass(frozen=True)
class Table:
    """model: whose stub it is."""

    model: str
    schema: str
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Plan:
    """Everything to be made of one upstream.

    interface: as if the upstream had been built and published on this machine.
    notes: what the interface leaves open.
    """

    interface: Interface
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def statements(self, rows: int) -> Iterator[str]:
        """SQL that makes the tables in an empty database."""
        for schema in dict.fromkeys(table.schema for table in self.tables):
            yield f"create schema if not exists {quoted(schema)}"
        for table in self.tables:
            place = f"{quoted(table.schema)}.{quoted(table.name)}"
            columns = ", ".join(
                f"cast({column.value} as {column.type}) as {quoted(column.name)}"
                for column in table.columns
            )
            source = f"range(1, {rows + 1}) as r(i)"
            yield f"create table {place} as select {columns} from {source}"  # noqa: S608
            yield f"comment on table {place} is '{MARK}{self.interface.notes[STUB]}'"

    def trials(self, rows: int) -> Iterator[tuple[str, str]]:
        """Each column by itself, to find the one that DuckDB refuses: its name and type, SQL."""
        for table in self.tables:
            for column in table.columns:
                value = f"cast({column.value} as {column.type})"
                yield (
                    f"{table.model}.{column.name} ({column.type})",
                    f"select count({value}) from range(1, {rows + 1}) as r(i)",  # noqa: S608
                )


def plan(published: Interface, database_prefix: str) -> Plan:
    """Stubs of all models, in the one local database that this project attaches.

    Raises MeshError where DuckDB cannot hold what Snowflake can: names that differ in case only.
    """
    database = f"{database_prefix}_LOCAL"
    tables: dict[tuple[str, str], Table] = {}
    nodes, notes = {}, []
    for uid, node in extract(published.body, published.project).nodes.items():
        _, schema, name = (part.text for part in relation(node, Warehouse.DUCKDB))
        place = schema.casefold(), name.casefold()
        if place in tables:
            raise MeshError(f"{published.project}: two models lie at {schema}.{name} on DuckDB")
        columns, untyped, foreign = _columns(node, published.adapter_type)
        tables[place] = Table(node["name"], schema, name, columns)
        if untyped:
            notes.append(f"{node['name']} does not tell the type of {', '.join(untyped)}: text")
        if foreign:
            notes.append(f"{node['name']} has types without a stand-in, {', '.join(foreign)}: text")
        if not node.get("columns"):
            notes.append(f"{node['name']} lists no columns: its stub cannot be read by name")
        nodes[uid] = {
            **node,
            "database": database,
            "relation_name": ".".join(map(quoted, (database, schema, name))),
        }
    return Plan(_local(published, nodes), tuple(tables.values()), tuple(notes))


def _local(published: Interface, nodes: Mapping[str, Any]) -> Interface:
    again = extract(published.body, published.project)
    metadata = {**again.manifest["metadata"], "adapter_type": "duckdb"}
    manifest = {**again.manifest, "metadata": metadata, "nodes": nodes}
    of = str(published.notes.get(STUB) or published.version)  # a stub of a stub is one of the same
    return annotated(replace(again, manifest=manifest), {STUB: of})


def _columns(
    node: Mapping[str, Any], adapter: str
) -> tuple[tuple[Column, ...], list[str], list[str]]:
    """A model's columns, and the names of those that have no type, or one that is not known."""
    found: dict[str, Column] = {}
    untyped, foreign = [], []
    for name, column in (node.get("columns") or {}).items():
        if name.casefold() in found:
            raise MeshError(f"{node['name']}: column {name} is there twice, on DuckDB")
        data_type = column.get("data_type")
        kind = _parsed(data_type, adapter)
        if not data_type:
            untyped.append(name)
        elif kind is None or not _known(kind):
            foreign.append(f"{name} ({data_type})")
        kind = kind or exp.DataType.build("varchar")
        declared = duckdb_type(kind)
        found[name.casefold()] = Column(name, declared, _value(name, kind, declared))
    # a table has one column at least
    return (
        tuple(found.values()) or (Column("_no_columns_known", "BOOLEAN", "true"),),
        untyped,
        foreign,
    )


def _parsed(data_type: str | None, adapter: str) -> exp.DataType | None:
    if not data_type:
        return None
    # An array that rules out nulls is beyond the parser; no stub has any.
    data_type = _NOT_NULL.sub("", data_type)
    dialect = "duckdb" if adapter == "duckdb" else "snowflake"
    try:
        kind = exp.DataType.build(data_type, dialect=dialect)
    except (SqlglotError, ValueError):
        return None
    if dialect == "snowflake" and kind.this in (_T.CHAR, _T.NCHAR) and not kind.expressions:
        return exp.DataType.build("char(1)", dialect=dialect)  # Snowflake's default
    return kind


def _known(kind: exp.DataType) -> bool:
    """Has it a stand-in, and what it holds too?"""
    if kind.this in (_T.ARRAY, _T.MAP):
        return all(_known(each) for each in kind.expressions if isinstance(each, exp.DataType))
    return kind.this in _SIMPLE or kind.this in (_T.DECIMAL, _T.VECTOR)


def duckdb_type(kind: exp.DataType) -> str:
    """The type that a stub has for a declared one."""
    if kind.this in _SIMPLE:
        return _SIMPLE[kind.this]
    inner = [each for each in kind.expressions if isinstance(each, exp.DataType)]
    if kind.this == _T.DECIMAL:
        precision, scale = _sizes(kind, (18, 3))
        return f"DECIMAL({precision}, {scale})" if scale else "BIGINT"
    if kind.this == _T.ARRAY and inner:
        return f"{duckdb_type(inner[0])}[]"
    if kind.this == _T.MAP and len(inner) == 2:
        return f"MAP({duckdb_type(inner[0])}, {duckdb_type(inner[1])})"
    if kind.this == _T.VECTOR:
        return "FLOAT[]"
    if kind.this == _T.ARRAY:
        return "JSON"
    return "VARCHAR"


def _sizes(kind: exp.DataType, default: tuple[int, int]) -> tuple[int, int]:
    numbers = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else default


def _value(name: str, kind: exp.DataType, declared: str) -> str:
    """SQL of what row `i` holds: never null, and not what another row holds."""
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
        # ten to the precision is one more than fits
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
