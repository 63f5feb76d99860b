"""Which relations a query or DML statement touches, and how."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from .errors import SnowflakeError, unknown_statement
from .names import Name

# What may stand in TABLE(…) and LATERAL: functions of their arguments alone. FLATTEN is
# sqlglot's Explode; a query in LATERAL has its own tables.
_TABLE_FUNCTIONS = (exp.Explode, exp.SplitToTable, exp.Generator, exp.Subquery)
_WRITES: dict[type[exp.Expr], frozenset[str]] = {
    exp.Update: frozenset({"UPDATE"}),
    exp.Delete: frozenset({"DELETE"}),
    exp.TruncateTable: frozenset({"TRUNCATE"}),
}


@dataclass(frozen=True)
class Access:
    """What a statement needs; names as written, with one to three parts.

    ``nodes`` are the places in the tree that name a relation, the target among them.
    """

    tree: exp.Expr
    nodes: tuple[tuple[exp.Table, Name], ...]
    reads: frozenset[Name]
    target: Name | None = None
    writes: frozenset[str] = frozenset()

    @property
    def needs_warehouse(self) -> bool:
        """Whether it needs a warehouse. Queries of relations and DML do, constants do not."""
        return bool(self.nodes)


def analyse(sql: str) -> Access:
    """Parses a query, or an INSERT, UPDATE, DELETE, MERGE or TRUNCATE.

    Raises:
        SnowflakeError: 001003, also for what could hide a relation, e.g. IDENTIFIER(…).
    """
    tree = _parse(sql)
    for source in tree.find_all(exp.TableFromRows, exp.Lateral):
        if not isinstance(source.this, _TABLE_FUNCTIONS):
            raise unknown_statement(sql, f"relation {source.sql(dialect='snowflake')}")
    nodes = tuple(
        (table, _name(table, sql)) for table in tree.find_all(exp.Table) if not _is_cte(table)
    )
    if isinstance(tree, exp.Query):
        return Access(tree, nodes, frozenset(name for _, name in nodes))
    target = _target(tree, sql)
    reads = frozenset(name for table, name in nodes if table is not target)
    return Access(tree, nodes, reads, _name(target, sql), _privileges(tree))


def _target(tree: exp.Expr, sql: str) -> exp.Table:
    if isinstance(tree, exp.TruncateTable):
        found = tree.expressions[0] if len(tree.expressions) == 1 else None
    elif isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        found = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    else:
        found = None
    if not isinstance(found, exp.Table):
        raise unknown_statement(sql, "target")
    return found


def _parse(sql: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(sql, dialect="snowflake")
    except (ParseError, TokenError) as error:
        raise SnowflakeError(1003, "42000", f"SQL compilation error:\n{error}") from None
    if isinstance(tree, exp.Command) or tree.find(exp.Command) is not None:
        raise unknown_statement(sql)
    assert isinstance(tree, exp.Expr)
    return tree


def _privileges(tree: exp.Expr) -> frozenset[str]:
    if isinstance(tree, exp.Insert):
        # INSERT OVERWRITE truncates first: https://docs.snowflake.com/sql-reference/sql/insert
        return frozenset({"INSERT", "DELETE"} if tree.args.get("overwrite") else {"INSERT"})
    if isinstance(tree, exp.Merge):
        actions = {when.args["then"] for when in tree.args["whens"].expressions}
        found = {"INSERT" for a in actions if isinstance(a, exp.Insert)}
        found |= {"UPDATE" for a in actions if isinstance(a, exp.Update)}
        found |= {"DELETE" for a in actions if isinstance(a, exp.Var)}
        return frozenset(found | {"SELECT"})
    return _WRITES[type(tree)]


def _is_cte(table: exp.Table) -> bool:
    """Checks whether the name is that of a CTE in scope, which hides a relation of that name."""
    if table.args.get("db") is not None or not isinstance(table.this, exp.Identifier):
        return False
    wanted = _stored(table.this)
    child: exp.Expr = table
    parent: exp.Expr | None = child.parent
    while parent is not None:
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With) and with_ is not child:
            if any(_stored(c.args["alias"].this) == wanted for c in with_.expressions):
                return True
        elif isinstance(parent, exp.With):
            # Inside a WITH, a CTE sees those before it, and itself only if it is recursive.
            for cte in parent.expressions:
                if cte is child and not parent.args.get("recursive"):
                    break
                if _stored(cte.args["alias"].this) == wanted:
                    return True
                if cte is child:
                    break
        child, parent = parent, parent.parent
    return False


def _stored(identifier: exp.Expr) -> str:
    return identifier.name if identifier.args.get("quoted") else identifier.name.upper()


def _name(table: exp.Table, sql: str) -> Name:
    parts = table.parts
    if not all(isinstance(part, exp.Identifier) for part in parts):
        raise unknown_statement(sql, f"relation {table.sql(dialect='snowflake')}")
    return tuple(_stored(part) for part in parts)
