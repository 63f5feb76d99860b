"""Writes SQL literals. For names, use `dbtmesh.warehouse.names.quoted` and `sql_name`."""

from __future__ import annotations

from dbtmesh.warehouse.adapter import Warehouse


def literal(text: str, warehouse: Warehouse) -> str:
    """Returns a text as an SQL literal. A backslash is an escape in Snowflake, but not in DuckDB.

    https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences-in-single-quoted-string-constants
    https://duckdb.org/docs/stable/sql/data_types/literal_types#string-literals
    Raises ValueError where the text contains a NUL, at which DuckDB's parser would stop.
    """
    if "\0" in text:
        raise ValueError(f"{text[:80]!r} holds a NUL")
    if warehouse is Warehouse.SNOWFLAKE:
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", "''") + "'"
