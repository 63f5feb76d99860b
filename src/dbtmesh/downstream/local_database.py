"""Reads and writes the DuckDB files of a laptop that hold stub tables.

Stub tables are made from the content of a registry. So their SQL runs in a DuckDB that cannot
access other files or load extensions, and whose settings are locked.
https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.downstream.stub import MARK, Table
from dbtmesh.warehouse import duckdb_files

if TYPE_CHECKING:
    import duckdb

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    **duckdb_files.STORAGE,
    "enable_external_access": False,
    "lock_configuration": True,
}


def write_new(path: Path, tables: Iterable[Table], rows: int) -> None:
    """Writes a new database in place of the old one, completely or not at all.

    rows: the number of rows to generate for each table. Raises MeshError, which names the column
    that DuckDB refuses, or the file that cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with _opened(scratch) as connection:
            _make(connection, tables, rows)
        scratch.replace(path)
    finally:
        for left in (scratch, scratch.with_name(f"{scratch.name}.wal")):
            left.unlink(missing_ok=True)


def add(path: Path, tables: Iterable[Table], rows: int) -> list[Table]:
    """Creates missing stub tables, and replaces existing ones, all of them or none.

    Tables that were really built stay. Returns what was created. Raises MeshError like `write_new`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path) as connection:
        built = {
            (str(schema).casefold(), str(name).casefold())
            for schema, name, comment in connection.execute(_RELATIONS).fetchall()
            if not (comment or "").startswith(MARK)
        }
        made = [
            table
            for table in tables
            if (table.schema.casefold(), table.name.casefold()) not in built
        ]
        connection.begin()
        _make(connection, made, rows)
        connection.commit()
    return made


_RELATIONS = (
    "select schema_name, table_name, comment from duckdb_tables() "
    "where not internal and database_name = current_database() "
    "union all select schema_name, view_name, comment from duckdb_views() "
    "where not internal and database_name = current_database()"
)


def really_built(path: Path) -> str | None:
    """Returns the name of a table or view that is not a stub; None if there is none.

    Raises MeshError where the database cannot be read.
    """
    if not path.exists():
        return None
    try:
        with _opened(path, read_only=True) as connection:
            found = connection.execute(_RELATIONS).fetchall()
    except MeshError as error:
        raise MeshError(f"{error}; it stays as it is") from None
    return min(
        (
            f"{schema}.{name}"
            for schema, name, comment in found
            if not (comment or "").startswith(MARK)
        ),
        default=None,
    )


def _make(connection: duckdb.DuckDBPyConnection, tables: Iterable[Table], rows: int) -> None:
    import duckdb

    for table in tables:
        try:
            for statement in table.statements(rows):
                connection.execute(statement)
            if table.rows:
                marks = ", ".join(f"cast(? as {column.type})" for column in table.columns)
                connection.executemany(
                    f"insert into {table.place} values ({marks})",  # noqa: S608
                    table.rows,
                )
        except duckdb.Error as error:
            refused = None if table.rows else _refused(connection, table, rows)
            where, reason = refused or (table.of, _first_line(error))
            raise MeshError(f"no stand-in for {where}: {reason}") from None


def _refused(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: int
) -> tuple[str, str] | None:
    """Returns the first column that DuckDB cannot fill, with its error; None if it can fill all."""
    import duckdb

    with contextlib.suppress(duckdb.Error):
        connection.rollback()
    for column, query in table.trials(rows):
        try:
            connection.execute(query)
        except duckdb.Error as error:
            return column, _first_line(error)
    return None


@contextlib.contextmanager
def _opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    try:
        with duckdb.connect(str(path), read_only=read_only, config=SETTINGS) as connection:
            yield connection
    except duckdb.Error as error:
        raise MeshError(duckdb_files.explain(path, error)) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
