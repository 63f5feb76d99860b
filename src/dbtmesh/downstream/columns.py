"""Which columns of other projects' models a compiled query reads. Pure.

By sqlglot, which is imported here only. What it cannot tell counts as "all of them": a record
that says too much makes an upstream ask once too often, one that says too little breaks somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from dbtmesh.warehouse.names import Place


def read_columns(
    sql: str, relations: Mapping[Place, Sequence[str]], adapter: str
) -> dict[Place, set[str] | None]:
    """The columns that `sql` reads of each relation; None where they cannot be told.

    `relations`: their columns as the warehouse stores them, all of them or as many as are known.
    `select *` reads all, unless a later step of the same query picks from it.
    """
    unknown: dict[Place, set[str] | None] = dict.fromkeys(relations)
    dialect = "duckdb" if adapter == "duckdb" else "snowflake"
    spelled = {_spelled(place, dialect): place for place in relations}
    schema: dict[str, Any] = {}
    for (database, name, identifier), place in spelled.items():
        columns = {_spell(column, dialect): "unknown" for column in relations[place]}
        schema.setdefault(database, {}).setdefault(name, {})[identifier] = columns
    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
        if any(map(_is_opaque, tree.walk())):
            return unknown
        by_position = bool(tree.find(exp.SetOperation)) and _has_star(tree)
        tree = qualify(
            tree,
            dialect=dialect,
            schema=MappingSchema(schema, dialect=dialect, normalize=False),
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        scopes = traverse_scope(tree)
        loose = {column.name for scope in scopes for column in scope.unqualified_columns}
        if not loose and not by_position and not _has_star(tree):
            # what a step selects by * and no later one uses
            scopes = traverse_scope(pushdown_projections(tree))
    except (SqlglotError, RecursionError, ValueError, KeyError):
        return unknown
    found: dict[Place, set[str] | None] = {}
    for scope in scopes:
        starred = any(_is_star(node) for node in scope.walk())
        for name, source in scope.sources.items():
            if not isinstance(source, exp.Table):
                continue
            table = source.catalog, source.db, source.name
            if table not in spelled:
                continue
            place = spelled[table]
            known = {_spell(column, dialect): column for column in relations[place]}
            used = {column.name for column in scope.columns if column.table == name}
            # whose a column without a table is, was not to be told: it may be of this one
            used |= loose & known.keys()
            if starred:  # beside a relation whose columns are not known
                used |= known.keys()
            seen = found.setdefault(place, set() if known else None)
            if seen is not None:
                seen |= {known.get(column, column) for column in used}
    return {place: found.get(place) for place in relations}


def _has_star(tree: exp.Expr) -> bool:
    return any(map(_is_star, tree.walk()))


def _is_star(node: exp.Expr) -> bool:
    """A `*` that stands for columns (that of `count(*)` does not), or a whole row by its table."""
    if isinstance(node, exp.Star):
        return not isinstance(node.parent, exp.Count)
    return isinstance(node, exp.TableColumn)


def _is_opaque(node: exp.Expr) -> bool:
    """Columns that nobody names: pivots, natural joins, `* exclude (…)`, `columns('…')`, `$1`."""
    if isinstance(node, exp.Join):
        return bool(node.method)
    if isinstance(node, exp.Star):
        return any(node.args.values())
    return isinstance(node, exp.Pivot | exp.Columns | exp.Parameter)


def _spell(name: str, dialect: str) -> str:
    """As sqlglot spells what is stored under this name: DuckDB does not tell cases apart."""
    return name.lower() if dialect == "duckdb" else name


def _spelled(place: Place, dialect: str) -> Place:
    database, schema, identifier = (_spell(part, dialect) for part in place)
    return database, schema, identifier
