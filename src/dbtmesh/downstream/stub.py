"""Builds stub tables for an upstream's models on a laptop, from its published interface. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dbtmesh import MeshError
from dbtmesh.downstream.duckdb_types import ANY, Column, columns
from dbtmesh.gate.uncontracted import partial
from dbtmesh.manifest.interface import STUB, Interface
from dbtmesh.manifest.seal import annotated
from dbtmesh.output.sql import literal
from dbtmesh.output.words import some
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import quoted, relation

MARK = "stub of "
"""The beginning of the comment on each stub table. A table without it was really built."""
NO_COLUMNS = (Column("_no_columns_known", "BOOLEAN", "true"),)
"""The columns of a stub if no columns are listed: a table needs at least one."""


@dataclass(frozen=True)
class Table:
    """A stub table for one relation.

    of: the model or source, for errors. comment: what the table was made from; it follows MARK.
    rows: sample rows in the order of the columns; None if rows are generated.
    """

    of: str
    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str
    rows: Sequence[Sequence[Any]] | None = None

    @property
    def place(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def statements(self, rows: int) -> Iterator[str]:
        """Yields the SQL that creates the table with generated rows, or empty for sample rows."""
        yield f"create schema if not exists {quoted(self.schema)}"
        values = ", ".join(
            f"{_filled(column, rows)} as {quoted(column.name)}" for column in self.columns
        )
        last = 1 if self.rows is not None else rows + 1
        made_up = f"select {values} from range(1, {last}) as r(i)"  # noqa: S608
        yield f"create or replace table {self.place} as {made_up}"
        comment = literal(f"{MARK}{self.comment}", Warehouse.DUCKDB)
        yield f"comment on table {self.place} is {comment}"

    def trials(self, rows: int) -> Iterator[tuple[str, str]]:
        """Yields each column's name and type, and SQL to test whether DuckDB refuses the column."""
        for column in self.columns:
            yield (
                f"{self.of}.{column.name} ({column.type})",
                f"select count({_filled(column, rows)}) from range(1, {rows + 1}) as r(i)",  # noqa: S608
            )


def _filled(column: Column, rows: int) -> str:
    """Returns the SQL of a column's value. For type ANY it is text, or null without rows."""
    if column.type == ANY:
        return f"cast({column.value} as varchar)" if rows else "null"
    return f"cast({column.value} as {column.type})"


@dataclass(frozen=True)
class Plan:
    """Everything to make for one upstream.

    interface: as if the upstream had been built and published on this machine.
    notes: lines about gaps in the interface.
    """

    interface: Interface
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def plan(published: Interface, database: str) -> Plan:
    """Plans stub tables for all models, in `database`, the local one that this project attaches.

    Raises MeshError where names differ only in case: Snowflake distinguishes them, DuckDB does not.
    """
    project = published.project
    version = str(published.notes.get(STUB) or published.version)  # a stub of a stub keeps it
    tables: dict[tuple[str, str], Table] = {}
    nodes: dict[str, Mapping[str, Any]] = {}
    notes: list[str] = []
    if unsure := [each.model for each in partial(published.manifest) if not each.complete]:
        notes.append(
            f"without an enforced contract: {some(unsure)}. A column that they do not list is not "
            "in their stubs, even if it exists on Snowflake"
        )
    for uid, node in published.nodes.items():
        _, schema, name = relation(node, Warehouse.DUCKDB).place
        place = Warehouse.DUCKDB.key(schema), Warehouse.DUCKDB.key(name)
        if place in tables:
            raise MeshError(
                f"{project}: two models are {schema}.{name} on DuckDB, which ignores case"
            )
        found = columns(node["name"], (node.get("columns") or {}).values(), published.warehouse)
        notes += found.notes(node["name"])
        if not found.columns:
            notes.append(f"{node['name']} lists no columns: its stub cannot be read by name")
        of = f"{project}.{node['name']}"
        tables[place] = Table(of, schema, name, found.columns or NO_COLUMNS, version)
        nodes[uid] = {
            **node,
            "database": database,
            "relation_name": ".".join(map(quoted, (database, schema, name))),
        }
    return Plan(_local(published, nodes, version), tuple(tables.values()), tuple(notes))


def _local(published: Interface, nodes: Mapping[str, Any], version: str) -> Interface:
    metadata = {**published.manifest["metadata"], "adapter_type": Warehouse.DUCKDB.value}
    manifest = {**published.manifest, "metadata": metadata, "nodes": nodes}
    return annotated(replace(published, plain=manifest), {STUB: version}, keep=())
