"""Writes literals of SQL. Names: `dbtmesh.warehouse.names.quoted` and `sql_name`."""

from __future__ import annotations

from dbtmesh.warehouse.adapter import Warehouse


def literal(text: str, warehouse: Warehouse) -> str:
    """A text as SQL writes it. To Snowflake a backslash in it has a meaning, to DuckDB none.

    https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences-in-single-quoted-string-constants
    https://duckdb.org/docs/stable/sql/data_types/literal_types#string-literals
    Raises ValueError where it holds a NUL, at which DuckDB's parser would stop.
    """
    if "\0" in text:
        raise ValueError(f"{text[:80]!r} holds a NUL")
    if warehouse is Warehouse.SNOWFLAKE:
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"
