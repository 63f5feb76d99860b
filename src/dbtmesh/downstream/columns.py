"""Finds which columns of other projects' models a compiled query reads. Pure.

Two kinds of columns count as read: every column that the query names, used later or not, because a
warehouse resolves each of them; and the columns that a step selects by `*`, if a later step uses
them. Where the columns cannot be determined, all of them count: a record with too many columns
makes an upstream ask once too often, but one with too few breaks somebody.

Import this module only where it is needed: it imports sqlglot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place


@dataclass(frozen=True)
class Listed:
    """The columns of a relation, as the warehouse stores them. whole: whether these are all."""

    columns: Sequence[str]
    whole: bool = True


@dataclass
class _Reading:
    """What a query reads of one relation.

    known: maps sqlglot's spelling of each listed column to its stored name. whole: whether these
    are all. named: the columns that the query names. by_star: whether the query selects `*`.
    """

    known: Mapping[str, str]
    whole: bool
    named: set[str] = field(default_factory=set)
    by_star: bool = False

    def may_be(self, column: str) -> bool:
        """Checks whether a column that is named without its table may be in this relation."""
        return not self.whole or column in self.known

    def stored(self, columns: set[str]) -> set[str]:
        return {self.known.get(column, column) for column in columns}


def read_columns(
    sql: str, relations: Mapping[Place, Listed], warehouse: Warehouse
) -> dict[Place, set[str] | None]:
    """Maps each relation to the columns that `sql` reads of it; None for all, known or not."""
    unknown: dict[Place, set[str] | None] = dict.fromkeys(relations)
    dialect = warehouse.value
    readings = {
        _spelled(place, warehouse): _Reading(
            {warehouse.key(column): column for column in listed.columns}, listed.whole
        )
        for place, listed in relations.items()
    }
    try:
        tree = normalize_identifiers(sqlglot.parse_one(sql, dialect=dialect), dialect=dialect)
        if any(map(_is_opaque, tree.walk())):
            return unknown
        read = _named(tree, readings)
        starred = [place for place, reading in readings.items() if reading.by_star]
        taken = _taken_by_star(tree, readings, dialect) if starred else {}
    except (SqlglotError, RecursionError, ValueError, KeyError):
        return unknown
    found: dict[Place, set[str] | None] = {}
    for place in relations:
        spelled = _spelled(place, warehouse)
        reading = readings[spelled]
        if spelled not in read or not reading.known or (reading.by_star and not reading.whole):
            found[place] = None
        else:
            found[place] = reading.stored(reading.named | taken.get(spelled, set()))
    return found


def _named(tree: exp.Expr, readings: Mapping[Place, _Reading]) -> set[Place]:
    """Notes each column that the query names, and each `*`. Returns the relations that it reads."""
    read: set[Place] = set()
    attributed: set[int] = set()
    for scope in traverse_scope(tree):
        tables = {
            name: readings[_place(source)]
            for name, source in scope.sources.items()
            if isinstance(source, exp.Table) and _place(source) in readings
        }
        read |= {
            _place(source) for source in scope.sources.values() if isinstance(source, exp.Table)
        }
        for node in scope.walk():
            if isinstance(node, exp.Column):
                attributed.add(id(node))
                _note(node, scope, tables, readings)
            elif isinstance(node, exp.Star) and not isinstance(node.parent, exp.Column):
                if not isinstance(node.parent, exp.Count):
                    for reading in tables.values():
                        reading.by_star = True
            elif isinstance(node, exp.Join):
                for column in node.args.get("using") or ():
                    _note_loose(column.name, tables.values())
    for node in tree.find_all(exp.Column):
        if id(node) not in attributed:  # it is outside of every scope
            _note_loose(node.name, readings.values())
    if any(_place(table) in readings for table in tree.find_all(exp.Table)) and not read:
        raise ValueError("a relation is read outside of every scope")
    return read & readings.keys()


def _note(
    column: exp.Column,
    scope: Scope,
    tables: Mapping[str, _Reading],
    readings: Mapping[Place, _Reading],
) -> None:
    """Notes a column for the table that it names, or else for all tables that may have it."""
    if not column.table:
        candidates = [*_visible(scope, readings)]
        if column.name in tables:  # the name of a table stands for its whole row
            tables[column.name].by_star = True
        _note_loose(column.name, candidates)
        return
    parts = [part.name for part in column.parts]
    at = _table_among(parts, scope)
    if at is None:  # none of the parts is a table: it is a field of a structured column
        _note_loose(parts[0], _visible(scope, readings))
        return
    source = _source(scope, parts[at])
    if isinstance(source, exp.Table) and (reading := readings.get(_place(source))):
        if isinstance(column.parts[at + 1], exp.Star):
            reading.by_star = True
        else:
            reading.named.add(parts[at + 1])


def _table_among(parts: Sequence[str], scope: Scope) -> int | None:
    """Returns the index of the table in `schema.table.column.field`; None if no part is one.

    The last part but one takes precedence; otherwise the first part that is a table counts.
    """
    last = len(parts) - 2
    return next((at for at in (last, *range(last)) if _source(scope, parts[at]) is not None), None)


def _note_loose(column: str, candidates: Any) -> None:
    for reading in candidates:
        if reading.may_be(column):
            reading.named.add(column)


def _visible(scope: Scope, readings: Mapping[Place, _Reading]) -> Iterator[_Reading]:
    """Yields relations whose columns a query may name without their table: its own, and those of
    the queries around it."""
    at: Scope | None = scope
    while at:
        for source in at.sources.values():
            if isinstance(source, exp.Table) and (reading := readings.get(_place(source))):
                yield reading
        at = at.parent


def _taken_by_star(
    tree: exp.Expr, readings: Mapping[Place, _Reading], dialect: str
) -> dict[Place, set[str]]:
    """Returns the known columns that steps select by `*` and later steps name.

    Returns all known columns if that cannot be determined.
    """
    everything = {place: set(reading.known) for place, reading in readings.items()}
    if tree.find(exp.SetOperation) or any(map(_renames, tree.walk())):
        return everything  # columns are matched by their position
    for select in tree.find_all(exp.Select):
        for projection in select.expressions:
            if not projection.is_star:
                projection.meta[_NAMED] = True
    schema: dict[str, Any] = {}
    for (database, name, identifier), reading in readings.items():
        columns = dict.fromkeys(reading.known, "unknown")
        schema.setdefault(database, {}).setdefault(name, {})[identifier] = columns
    tree = qualify(
        tree,
        dialect=dialect,
        schema=MappingSchema(schema, dialect=dialect, normalize=False),
        validate_qualify_columns=False,
        quote_identifiers=False,
    )
    scopes = traverse_scope(tree)
    if _has_star(tree) or any(scope.unqualified_columns for scope in scopes):
        return everything
    taken: dict[Place, set[str]] = {}
    needed: dict[int, set[str]] = {}
    for scope in reversed(scopes):  # each scope after the scopes that read it
        whole = scope.is_root or bool(scope.expression.args.get("distinct"))
        dropped = {
            id(node)
            for projection in _projections(scope)
            if not whole and not _is_named(projection)
            if projection.alias_or_name not in needed.get(id(scope), ())
            for node in projection.walk()
        }
        for column in scope.find_all(exp.Column):
            source = _source(scope, column.table)
            if id(column) in dropped or source is None:
                continue
            if isinstance(source, Scope):
                needed.setdefault(id(source), set()).add(column.name)
            else:
                taken.setdefault(_place(source), set()).add(column.name)
    return taken


_NAMED = "named"
"""The mark of projections that a query names. Those without it come from an expanded `*`."""


def _projections(scope: Scope) -> list[exp.Expr]:
    return scope.expression.selects if isinstance(scope.expression, exp.Query) else []


def _is_named(projection: exp.Expr) -> bool:
    return any(node.meta.get(_NAMED) for node in (projection, projection.unalias()))


def _source(scope: Scope, name: str) -> exp.Table | Scope | None:
    """Returns the source that a name stands for: the query's own, or that of a query around it."""
    at: Scope | None = scope
    while at:
        if name in at.sources:
            source = at.sources[name]
            return source if isinstance(source, exp.Table | Scope) else None
        at = at.parent
    return None


def _has_star(tree: exp.Expr) -> bool:
    return any(map(_is_star, tree.walk()))


def _is_star(node: exp.Expr) -> bool:
    """Checks for a `*` that stands for columns, unlike `count(*)`, or for a table's whole row."""
    if isinstance(node, exp.Star):
        return not isinstance(node.parent, exp.Count)
    return isinstance(node, exp.TableColumn)


def _is_opaque(node: exp.Expr) -> bool:
    """Checks for columns that are not named: pivots, natural joins, `* exclude (…)`,
    `columns('…')`, `$1`, and a table with renamed columns, `orders as o (a, b)`."""
    if isinstance(node, exp.Join):
        return bool(node.method)
    if isinstance(node, exp.Star):
        return any(node.args.values())
    if isinstance(node, exp.Table):
        return _renames(node.args.get("alias"))
    return isinstance(node, exp.Pivot | exp.Columns | exp.Parameter | exp.MatchRecognize)


def _renames(node: object) -> bool:
    """Checks for new names, by position, of a table's or query's columns: `orders as o (a, b)`.

    Functions do not count: their results always have such names.
    """
    if not isinstance(node, exp.TableAlias) or not node.columns:
        return False
    return isinstance(node.parent, exp.Table | exp.CTE | exp.Subquery)


def _place(table: exp.Table) -> Place:
    return table.catalog, table.db, table.name


def _spelled(place: Place, warehouse: Warehouse) -> Place:
    """Returns a place as sqlglot spells it once identifiers are normalized."""
    return warehouse.place_key(place)
