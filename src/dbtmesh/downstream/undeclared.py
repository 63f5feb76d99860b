"""Finds columns that a project's compiled SQL reads of tables that do not declare them. Pure.

A laptop has no loader to ask. The SQL of the models tells enough for an empty stub table: the
columns, and which of them are times or numbers, because DuckDB has to know that to choose a
function. Columns with other uses need no type, because DuckDB accepts null as any type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, build_scope, traverse_scope

from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place

DUCKDB = Warehouse.DUCKDB
DIALECTS = (DUCKDB.value, Warehouse.SNOWFLAKE.value)
"""The dialects to try. SQL that is compiled for a laptop is often Snowflake's nevertheless. Then it
fails later, with an error that names the model."""
TIMES = (exp.TimeUnit, exp.Extract, exp.DateTrunc, exp.LastDay, exp.Year, exp.Month, exp.Day)
"""Functions that DuckDB has for several types of time. For a null it cannot choose one of them."""
SUMS = (exp.Div, exp.Mul, exp.Mod, exp.Sum, exp.Avg, exp.Round, exp.Abs)
TIME, NUMBER, TEXT = "timestamp", "double", "varchar"
KINDS: Mapping[type, str] = {bool: "boolean", int: "bigint", float: "double"}
"""The types of values in a unit test's rows, which dbt casts to the type of the column."""

Origin = tuple[Place, str]
Seen = set[tuple[int, str, str]]
"""Steps that were visited: there may be very many paths to a model."""
Found = dict[Place, dict[str, str | None]]
"""Maps each table to its columns, as first spelled, with their types; None for an unknown type."""


@dataclass
class _Reading:
    """The columns found so far. queries: the SQL of models by their relations."""

    queries: Mapping[Place, Scope]
    found: Found

    def note(self, column: exp.Column, scope: Scope) -> None:
        kind = TIME if _is_time(column) else NUMBER if _is_number(column) else None
        for origin in self._origins(scope, column.table, column.name, set()):
            self._add(*origin, kind)

    def give(self, place: Place, column: str, kind: str | None) -> None:
        """Adds a column for which a unit test has a value, of a table or of a model."""
        query = self.queries.get(place)
        origins = self._through(query, column, set()) if query else [(place, column)]
        for origin in origins:
            if origin[0] in self.found:
                self._add(*origin, kind)

    def settle(self, place: Place) -> None:
        """Gives type text to untyped columns of the tables upstream of a unit test's input, because
        dbt casts the test's rows to the columns' types."""
        for table in self._tables(place, set()):
            for name, kind in self.found.get(table, {}).items():
                self.found[table][name] = kind or TEXT

    def _tables(self, place: Place, seen: set[Place]) -> Iterator[Place]:
        """Yields the wanted tables that a model reads, directly or through other models."""
        if place in self.found:
            yield place
        elif place not in seen and (query := self.queries.get(place)):
            seen.add(place)
            for table in query.expression.find_all(exp.Table):
                yield from self._tables(_place(table), seen)

    def _add(self, place: Place, column: str, kind: str | None) -> None:
        columns = self.found[place]
        name = next((each for each in columns if DUCKDB.key(each) == DUCKDB.key(column)), column)
        columns[name] = columns.get(name) or kind

    def _origins(self, scope: Scope, table: str, column: str, seen: Seen) -> Iterator[Origin]:
        """Yields the table and column from which a column comes, through steps and models that do
        not change it."""
        if (step := (id(scope), table, column)) in seen:
            return
        seen.add(step)
        for name, (_, source) in scope.selected_sources.items():
            if table and DUCKDB.key(name) != DUCKDB.key(table):
                continue
            inner: object = source
            if isinstance(source, exp.Table):
                place = _place(source)
                if place in self.found:
                    yield place, column
                    return
                inner = self.queries.get(place)
            if isinstance(inner, Scope):
                origins = [*self._through(inner, column, seen)]
                yield from origins
                if origins:
                    return

    def _through(self, query: Scope, column: str, seen: Seen) -> Iterator[Origin]:
        for side in query.set_operation_scopes or ():
            yield from self._through(side, column, seen)
        selects = query.expression.selects if isinstance(query.expression, exp.Query) else []
        for each in selects:
            if DUCKDB.key(each.alias_or_name) == DUCKDB.key(column):
                if isinstance(plain := each.unalias(), exp.Column):
                    yield from self._origins(query, plain.table, plain.name, seen)
                return
        for each in selects:
            if each.is_star:
                of = each.table if isinstance(each, exp.Column) else ""
                yield from self._origins(query, of, column, seen)


def read(
    queries: Mapping[Place, str],
    declared: Mapping[Place, Iterable[str]],
    given: Sequence[tuple[Place, Any]] = (),
) -> Found:
    """Returns the columns that SQL reads of tables.

    queries: the SQL of models and tests, by place. declared: the tables, with the columns that they
    declare. given: the rows of unit tests, each with the table or model that they stand for.
    """
    trees = {place: tree for place, sql in queries.items() if (tree := _parsed(sql)) is not None}
    roots = {place: root for place, tree in trees.items() if (root := _scope(tree)) is not None}
    reading = _Reading(roots, {place: dict.fromkeys(names) for place, names in declared.items()})
    for tree in trees.values():
        for scope in _scopes(tree):
            for column in scope.columns:
                if not isinstance(column.this, exp.Star):
                    reading.note(column, scope)
    for place, rows in given:
        for row in rows if isinstance(rows, list) else ():
            for name, value in row.items() if isinstance(row, dict) else ():
                kind = None if value is None else KINDS.get(type(value), TEXT)
                reading.give(place, str(name), kind)
    for place, _ in given:
        reading.settle(place)
    return reading.found


def _parsed(sql: str) -> exp.Expr | None:
    for dialect in DIALECTS:
        try:
            return sqlglot.parse_one(sql, dialect=dialect)
        except (SqlglotError, RecursionError, ValueError):
            continue
    return None


def _scope(tree: exp.Expr) -> Scope | None:
    try:
        return build_scope(tree)
    except (SqlglotError, RecursionError):
        return None


def _scopes(tree: exp.Expr) -> list[Scope]:
    try:
        return traverse_scope(tree)
    except (SqlglotError, RecursionError):
        return []


def _place(table: exp.Table) -> Place:
    return DUCKDB.place_key((table.catalog, table.db, table.name))


def _is_number(column: exp.Column) -> bool:
    parent = column.parent
    has_interval = isinstance(parent, exp.Add | exp.Sub) and _is_time(column)
    return isinstance(parent, (*SUMS, exp.Add, exp.Sub)) and not has_interval


def _is_time(column: exp.Column) -> bool:
    parent = column.parent
    if isinstance(parent, exp.Add | exp.Sub):
        return any(isinstance(each, exp.Interval) for each in (parent.this, parent.expression))
    return isinstance(parent, TIMES) and column is not parent.args.get("unit")
