"""The data engine: fakesnow (Snowflake's SQL on DuckDB), fed with SQL that it can run.

Everything that is rewritten for it is in this module: names are qualified in full, session
functions become constants, TEMPORARY tables become plain ones that the session drops, MERGE
and column lists take DuckDB's form, and clauses that only concern access are left out.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import snowflake.connector.errors
import sqlglot
from fakesnow import macros
from fakesnow.arrow import to_ipc, to_sf
from fakesnow.converter import from_binding
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from fakesnow.rowtype import describe_as_rowtype
from fakesnow.statement_type import DML_TYPE_IDS, INSERT, MERGE, statement_type_id
from sqlglot import exp

from . import errors
from . import statements as st
from .context import Column, Context, Result, Session
from .information import stand_in_for
from .lexer import tokens
from .names import Name, Ref
from .relations import Access, analyse
from .vocabulary import RELATION_KINDS, SHOWN_AS_TABLES

# docs: sql-reference/sql/desc-table
DESCRIBED = (
    *("name", "type", "kind", "null?", "default", "primary key", "unique key", "check"),
    *("expression", "comment", "policy name", "privacy domain"),
)
_UNKNOWN_FUNCTION = re.compile(r"Function with name (\w+) does not exist")
IN_SESSION = "IS_DATABASE_ROLE_IN_SESSION"
LEAVES_RELATIONS = (
    *(st.Use, st.UseSecondaryRoles, st.AlterSession, st.Show, st.ShowGrants, st.Describe),
)
"""Statements that do not change what any name refers to. The key of a prepared query includes
the user, the roles and the current schema."""
_QUERY = re.compile(r"(\s|--.*\n|/\*(?s:.*?)\*/)*(select|with)\b", re.IGNORECASE)
_TRANSLATED: dict[tuple[object, ...], str] = {}
"""Queries translated for the data engine, by their text without the names of databases."""
_MERGE_ACTIONS = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}
_DESCRIBE = """
    SELECT column_name,
        CASE data_type
            WHEN 'NUMBER' THEN format('NUMBER({},{})', numeric_precision, numeric_scale)
            WHEN 'TEXT' THEN format('VARCHAR({})', coalesce(character_maximum_length, 16777216))
            WHEN 'TIMESTAMP_NTZ' THEN 'TIMESTAMP_NTZ(9)'
            WHEN 'TIMESTAMP_TZ' THEN 'TIMESTAMP_TZ(9)'
            WHEN 'TIME' THEN 'TIME(9)'
            WHEN 'BINARY' THEN 'BINARY(8388608)'
            ELSE data_type
        END,
        'COLUMN',
        CASE is_nullable WHEN 'YES' THEN 'Y' ELSE 'N' END
    FROM _fs_global._fs_information_schema._fs_columns
    WHERE table_catalog = ? AND table_schema = ? AND table_name = ?
    ORDER BY ordinal_position
"""


@dataclass(frozen=True)
class Answer:
    """A query's result in the form of the connector's protocol."""

    rowtype: list[Any]
    body: dict[str, Any]
    total: int
    statement_type: int = 0


@dataclass(frozen=True)
class Prepared:
    """A query translated for the data engine. into: an INSERT's table and its columns."""

    sql: str
    into: str
    rowtype: list[Any]


@dataclass(frozen=True)
class Chosen:
    """Rows of a query, or rows to insert `into` a table."""

    into: str
    rows: Any
    rowtype: list[Any]


class Engine:
    """One in-memory database for all sessions of a stand-in, made when the first needs data."""

    def __init__(self) -> None:
        self._connections: dict[int, FakeSnowflakeConnection] = {}
        self._transactions: set[int] = set()
        self._prepared: dict[tuple[object, ...], Prepared] = {}

    @cached_property
    def _fake(self) -> FakeSnow:
        fake = FakeSnow()
        # fakesnow's own functions, where sessions without a current database look for them.
        fake.duck_conn.execute(macros.creation_sql("memory"))
        # tables are small, so that more threads would take longer
        fake.duck_conn.execute("SET threads TO 1")
        return fake

    @cached_property
    def _catalog(self) -> duckdb.DuckDBPyConnection:
        return self._fake.duck_conn.cursor()

    def _cursor(self, session: Session) -> Any:
        if session.id not in self._connections:
            self._connections[session.id] = self._fake.connect()
        return self._connections[session.id].cursor()

    def close(self) -> None:
        if "_fake" in vars(self):
            self._fake.duck_conn.close()

    def end(self, session: Session) -> None:
        """Drops a session's temporary relations and its connection."""
        for ref in session.temporary:
            self._catalog.execute(f"DROP {_stored_as(ref.kind)} IF EXISTS {_quoted(ref.name)}")
        if connection := self._connections.pop(session.id, None):
            connection.close()

    def run(
        self, ctx: Context, statement: st.Statement, bindings: dict[str, Any] | None
    ) -> Answer | None:
        """Carries out what an authorised statement does to data; None when it does nothing.

        Raises:
            SnowflakeError: what the engine found wrong with it.
        """
        if isinstance(statement, st.Create | st.Drop) and statement.kind in (
            "DATABASE",
            "SCHEMA",
        ):
            self._run_container(ctx, statement)
            return None
        if isinstance(statement, st.Describe) and statement.kind in RELATION_KINDS:
            return self._describe(ctx, statement)
        if isinstance(statement, st.Transaction):
            self._transaction(ctx.session, statement.action)
            return None
        if not isinstance(statement, st.Data) and ctx.session.id in self._transactions:
            self._transaction(ctx.session, "COMMIT")  # DDL commits an open transaction
        answer = None
        for sql in _engine_sql(ctx, statement):
            answer = self._execute(ctx.session, sql, bindings)
        return answer if isinstance(statement, st.Data) else None

    def chosen(
        self, ctx: Context, statement: st.Statement, bindings: dict[str, Any] | None
    ) -> Chosen | None:
        """Returns the rows of a query, or those of an INSERT with bound values, which `answer`
        writes later; None for other statements.

        A query is translated only once, because that takes longer than running it.

        Raises:
            SnowflakeError: what the engine found wrong with it.
        """
        session, values = ctx.session, _parameters(bindings)
        if not isinstance(statement, st.Data):
            if not isinstance(statement, LEAVES_RELATIONS):
                self._prepared.clear()
            return None
        if not (values or _QUERY.match(statement.sql)) or session.id in self._transactions:
            return None
        if values and isinstance(values[0], list):
            return None
        who = (session.user, session.role, session.secondary, session.database, session.schema)
        key = (statement.sql, *who, *map(type, values))
        cursor = self._cursor(session)
        if known := self._prepared.get(key):
            with contextlib.suppress(duckdb.Error):  # reported below
                rows = cursor._duck_conn.execute(known.sql, values).to_arrow_table()
                return Chosen(known.into, rows, known.rowtype)
        tree, into = _full_names(ctx, analyse(statement.sql)), ""
        if isinstance(tree, exp.Insert) and not tree.args.get("overwrite"):
            tree, into = tree.expression, tree.this.sql(dialect="duckdb")
        if not isinstance(tree, exp.Query):
            return None
        sql = tree.sql(dialect="snowflake", comments=False)
        databases = sorted({table.catalog for table in tree.find_all(exp.Table)} - {""})
        names = {_quoted((name,)): f'"\0{number}"' for number, name in enumerate(databases)}
        known_as = (_renamed(sql, names), *map(type, values))
        if translated := _TRANSLATED.get(known_as):
            own = _renamed(translated, {other: name for name, other in names.items()})
            with contextlib.suppress(duckdb.Error):  # reported below
                rows = cursor._duck_conn.execute(own, values).to_arrow_table()
                shape = cursor._duck_conn.execute(f"DESCRIBE {own}", values).fetchall()
                prepared = Prepared(own, into, describe_as_rowtype(shape))
                if values:  # without values, answers about the account are part of its text
                    self._prepared[key] = prepared
                return Chosen(into, rows, prepared.rowtype)
        answer = self._fetch(cursor, tree, sql, bindings)
        prepared = Prepared(str(cursor._last_sql), into, answer.rowtype)
        if values:
            self._prepared[key] = prepared
        _TRANSLATED[known_as] = _renamed(prepared.sql, names)
        return Chosen(into, cursor._arrow_table, answer.rowtype)

    def answer(self, chosen: Chosen) -> Answer:
        """Answers a query. Carries out an INSERT, and answers how many rows it has inserted."""
        rows = chosen.rows
        if not chosen.into:
            return _encoded(rows, chosen.rowtype)
        if rows.num_rows:
            self._catalog.execute(f"INSERT INTO {chosen.into} SELECT * FROM rows")
        column = Column("number of rows inserted", "fixed")
        return replace(answer_of(Result((column,), ((rows.num_rows,),))), statement_type=INSERT)

    def _transaction(self, session: Session, action: str) -> None:
        """Begins or ends a transaction. As in Snowflake, doing so twice is not an error."""
        if (action == "BEGIN") == (session.id in self._transactions):
            return
        self._cursor(session).execute(action)
        self._transactions ^= {session.id}

    def _describe(self, ctx: Context, statement: st.Describe) -> Answer:
        """Columns of a relation; fakesnow's own DESCRIBE needs a current database."""
        found = self._catalog.execute(_DESCRIBE, list(ctx.relation(statement.name).name)).fetchall()
        rows = tuple((*row, None, "N", "N", *[None] * (len(DESCRIBED) - 7)) for row in found)
        return answer_of(Result(tuple(Column(name) for name in DESCRIBED), rows))

    def _run_container(self, ctx: Context, statement: st.Create | st.Drop) -> None:
        """Creates or drops databases and schemas outside of sessions, so that none uses them."""
        name = ctx.resolve(statement.kind, statement.name).name
        if isinstance(statement, st.Drop):
            if statement.kind == "DATABASE":
                self._catalog.execute(f"DETACH DATABASE {_quoted(name)}")
            else:
                self._catalog.execute(f"DROP SCHEMA {_quoted(name)} CASCADE")
            return
        if statement.replace and Ref(statement.kind, name) in ctx.account.things:
            self._run_container(ctx, st.Drop(statement.kind, name))
        if statement.kind == "DATABASE":
            if not name[0].isidentifier():
                # fakesnow writes the names of databases without quotes
                raise errors.SnowflakeError(
                    603, "XX000", f"stand-in: its data engine has no database called {name[0]!r}"
                )
            connection = self._fake.connect()
            connection.cursor().execute(f"CREATE DATABASE {_quoted(name)}")
            connection.close()
            self._catalog.execute(f"CREATE SCHEMA {_quoted((*name, 'PUBLIC'))}")
        else:
            self._catalog.execute(f"CREATE SCHEMA {_quoted(name)}")

    def _execute(self, session: Session, sql: str, bindings: dict[str, Any] | None) -> Answer:
        cursor = self._cursor(session)
        tree = sqlglot.parse_one(sql, dialect="snowflake")
        try:
            return self._fetch(cursor, tree, sql, bindings)
        except errors.SnowflakeError:
            # DuckDB's transaction is dead after an error; Snowflake's would go on.
            self._transaction(session, "ROLLBACK")
            raise

    def _fetch(
        self, cursor: Any, tree: exp.Expr, sql: str, bindings: dict[str, Any] | None
    ) -> Answer:
        try:
            if isinstance(tree, exp.Merge):
                return _merge(cursor, tree)
            parameters = _parameters(bindings)
            if parameters and isinstance(parameters[0], list):
                for row in zip(*parameters, strict=True):
                    cursor.execute(sql, binding_params=row, server=True)
            else:
                cursor.execute(sql, binding_params=tuple(parameters) or None, server=True)
            rowtype = describe_as_rowtype(cursor._describe_last_sql())
        except snowflake.connector.errors.Error as error:
            if unknown := _UNKNOWN_FUNCTION.search(str(error)):
                raise errors.unknown_function(unknown[1]) from None
            raise errors.SnowflakeError(
                error.errno or 603, error.sqlstate or "XX000", error.raw_msg or str(error)
            ) from None
        except (duckdb.Error, NotImplementedError, AssertionError, ValueError) as error:
            raise errors.SnowflakeError(
                603, "XX000", f"stand-in: the data engine cannot run this: {error}"
            ) from error
        return _answer(cursor, rowtype, statement_type_id(tree))


def _renamed(sql: str, names: dict[str, str]) -> str:
    """Returns the query with other databases.

    Translating a query takes longer than running it, and gives the same result for databases of the
    same structure.
    """
    for name, other in names.items():
        sql = sql.replace(name, other)
    return sql


def _merge(cursor: Any, tree: exp.Merge) -> Answer:
    """DuckDB's own MERGE: fakesnow's takes it apart in a way that this sqlglot breaks."""
    transformed = cursor._transform(tree, None).sql(dialect="duckdb")
    done = cursor._duck_conn.execute(f"{transformed} RETURNING merge_action").fetchall()
    actions = [action for (action,) in done]
    possible = [w.args["then"] for w in tree.args["whens"].expressions]
    counts = {
        "inserted": any(isinstance(then, exp.Insert) for then in possible),
        "updated": any(isinstance(then, exp.Update) for then in possible),
        "deleted": any(isinstance(then, exp.Var) for then in possible),
    }
    columns = [word for word, there in counts.items() if there]
    row = tuple(actions.count(_MERGE_ACTIONS[word]) for word in columns)
    result = Result(tuple(Column(f"number of rows {word}", "fixed") for word in columns), (row,))
    return replace(answer_of(result), statement_type=MERGE)


def _parameters(bindings: dict[str, Any] | None) -> list[Any]:
    found: list[Any] = []
    for position in range(1, len(bindings or {}) + 1):
        binding = (bindings or {})[str(position)]
        if isinstance(binding["value"], list):
            found.append([from_binding({**binding, "value": v}) for v in binding["value"]])
        else:
            found.append(from_binding(binding))
    return found


def _answer(cursor: Any, rowtype: list[Any], statement_type: int) -> Answer:
    table = cursor._arrow_table
    if table is None:
        return Answer(rowtype, {"queryResultFormat": "arrow", "rowsetBase64": ""}, 0)
    if statement_type in DML_TYPE_IDS:
        # The connector reads affected rows from JSON only.
        columns = [column.to_pylist() for column in table.columns]
        rows = [[None if v is None else str(v) for v in row] for row in zip(*columns, strict=True)]
        body = {"queryResultFormat": "json", "rowset": rows}
        return Answer(rowtype, body, table.num_rows, statement_type)
    return _encoded(table, rowtype, statement_type)


def _encoded(table: Any, rowtype: list[Any], statement_type: int = 0) -> Answer:
    encoded = base64.b64encode(to_ipc(to_sf(table, rowtype))).decode()
    body = {"queryResultFormat": "arrow", "rowsetBase64": encoded}
    return Answer(rowtype, body, table.num_rows, statement_type)


def answer_of(result: Result) -> Answer:
    """Returns an answer of the model in the form of the connector's protocol."""
    rowtype = [
        {
            "name": column.name,
            "type": column.type,
            "nullable": True,
            "length": 16_777_216 if column.type == "text" else None,
            "byteLength": None,
            "precision": 38 if column.type == "fixed" else None,
            "scale": {"fixed": 0, "timestamp_ltz": 9}.get(column.type),
        }
        for column in result.columns
    ]
    rows = [[_text(value) for value in row] for row in result.rows]
    return Answer(rowtype, {"queryResultFormat": "json", "rowset": rows}, len(rows))


def _text(value: object) -> str | None:
    if value is None:
        return None
    return f"{value:.9f}" if isinstance(value, float) else str(value)


def query_id() -> str:
    return str(uuid.uuid4())


# -- rewriting ----------------------------------------------------------------------------


def _quoted(name: Name) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def _engine_sql(ctx: Context, statement: st.Statement) -> list[str]:
    match statement:
        case st.Create(kind=kind) if kind in RELATION_KINDS:
            return _create(ctx, statement)
        case st.Drop(kind=kind) if kind in RELATION_KINDS:
            name = ctx.resolve(kind, statement.name).name
            return [f"DROP {_stored_as(kind)} IF EXISTS {_quoted(name)}"]
        case st.Alter(kind="TABLE" | "VIEW"):
            return _alter(ctx, statement)
        case st.Data():
            tree = _full_names(ctx, analyse(statement.sql))
            return [step.sql(dialect="snowflake") for step in _overwrite(tree)]
    return []


def _stored_as(kind: str) -> str:
    """Returns the kind of relation that the data engine has for a kind of Snowflake's."""
    return "TABLE" if kind in SHOWN_AS_TABLES else "VIEW"


def _create(ctx: Context, statement: st.Create) -> list[str]:
    name = ctx.resolve(statement.kind, statement.name).name
    kind = _stored_as(statement.kind)
    head = f"CREATE {'OR REPLACE ' if statement.replace else ''}{kind} {_quoted(name)}"
    if statement.body is not None:
        home = name[:2] if kind == "VIEW" else None
        columns = statement.columns or ""
        if columns and kind == "VIEW":
            columns = _column_names(columns)
        body = _full_names(ctx, analyse(statement.body), home).sql(dialect="snowflake")
        return [f"{head} {columns} AS {body}"]
    original = statement.clone or statement.like
    if original is not None:
        source = ctx.resolve("TABLE", original).name
        rows = "" if statement.clone else " WHERE FALSE"
        return [f"{head} AS SELECT * FROM {_quoted(source)}{rows}"]
    return [f"{head} {statement.columns}"]


def _column_names(columns: str) -> str:
    """Returns ``(A COMMENT 'x', "b")`` without the comments, which DuckDB does not support."""
    parts = tokens(columns)
    names = [t.text for before, t in itertools.pairwise(parts) if before.text in "(,"]
    return f"({', '.join(names)})"


def _alter(ctx: Context, statement: st.Alter) -> list[str]:
    ref = ctx.relation(statement.name)
    head = f"ALTER {ref.kind} {_quoted(ref.name)}"
    if statement.action == "RENAME":
        assert statement.new_name is not None
        new = ctx.resolve(ref.kind, statement.new_name).name
        if new[:2] != ref.name[:2]:
            raise errors.unknown_statement("ALTER … RENAME TO another schema")
        return [f"{head} RENAME TO {_quoted(new[2:])}"]
    if statement.action == "SWAP":
        assert statement.new_name is not None
        other = ctx.resolve("TABLE", statement.new_name).name
        aside = _quoted((f"{ref.name[2]} (swapping)",))
        return [
            f"{head} RENAME TO {aside}",
            f"ALTER TABLE {_quoted(other)} RENAME TO {_quoted(ref.name[2:])}",
            f"ALTER TABLE {_quoted(ref.name[:2])}.{aside} RENAME TO {_quoted(other[2:])}",
        ]
    if statement.action == "COLUMNS":
        return [f"{head} {change}" for change in statement.changes]
    return []


def _overwrite(tree: exp.Expr) -> list[exp.Expr]:
    """Splits INSERT OVERWRITE of a table from itself: fakesnow would empty it before reading."""
    if not (isinstance(tree, exp.Insert) and tree.args.get("overwrite")):
        return [tree]
    table, query = tree.find(exp.Table), tree.expression
    if table is None or table.parts not in [t.parts for t in query.find_all(exp.Table)]:
        return [tree]
    aside = table.copy()
    aside.set("this", exp.to_identifier(f"{table.name} (overwriting)", quoted=True))
    tree.set("expression", exp.select("*").from_(aside))
    return [exp.Create(this=aside.copy(), kind="TABLE", replace=True, expression=query), tree]


def _full_names(ctx: Context, access: Access, home: Name | None = None) -> exp.Expr:
    """Returns a query or DML with full names; ``home`` is the schema of the view it defines."""
    for table, name in access.nodes:
        full = ctx.resolve("", name).name if home is None else (*home[: 3 - len(name)], *name)
        if system_view := stand_in_for(ctx, full):
            if home is not None:
                raise errors.unknown_statement(f"a view over {'.'.join(full)}")
            _replace_by_query(table, system_view)
            continue
        if by_reader := _view_of_session(ctx, full):
            if home is not None:
                raise errors.unknown_statement(f"a view over {'.'.join(full)}")
            _replace_by_query(table, by_reader)
            continue
        for key, part in zip(("catalog", "db", "this"), full, strict=True):
            table.set(key, exp.to_identifier(part, quoted=True))
    _name_columns(access.tree)
    tree = access.tree.transform(lambda node: _role_in_session(node, ()))
    return tree.transform(lambda node: _constant(ctx, node, in_view=home is not None))


def _view_of_session(ctx: Context, name: Name) -> str | None:
    """Returns the query of a view that depends on the session's database roles, for this session.

    The data engine's own view was created without a session, and would always see no roles.
    """
    ref = ctx.account.relation(name)
    if ref is None or IN_SESSION not in ctx.thing(ref).body.upper():
        return None
    access = analyse(ctx.thing(ref).body)
    for table, read in access.nodes:
        for key, part in zip(
            ("catalog", "db", "this"), (*name[: 3 - len(read)], *read), strict=True
        ):
            table.set(key, exp.to_identifier(part, quoted=True))
    roles = tuple(
        role.name[1]
        for role in sorted(ctx.roles)
        if role.kind == "DATABASE_ROLE" and role.name[0] == name[0]
    )
    tree = access.tree.transform(lambda node: _role_in_session(node, roles))
    return tree.sql(dialect="snowflake")


def _role_in_session(node: exp.Expr, roles: tuple[str, ...]) -> exp.Expr:
    """Replaces IS_DATABASE_ROLE_IN_SESSION of a column with names that lack their database.

    Outside of a view that is queried by its full name, the function depends on the current
    database, which is not implemented.
    """
    if not isinstance(node, exp.Anonymous) or node.name.upper() != IN_SESSION:
        return node
    (asked,) = node.expressions
    if not isinstance(asked, exp.Column):
        raise errors.unknown_statement(f"{IN_SESSION} of something other than a column")
    if not roles:
        return exp.false()
    return exp.In(this=asked.copy(), expressions=[exp.Literal.string(role) for role in roles])


def _replace_by_query(table: exp.Table, sql: str) -> None:
    """Puts a subquery in place of a table, under the name by which its columns are called."""
    query = sqlglot.parse_one(sql, dialect="snowflake")
    assert isinstance(query, exp.Query)
    alias = table.args.get("alias") or exp.TableAlias(this=table.this.copy())
    joins = table.args.get("joins")
    table.replace(exp.Subquery(this=query, alias=alias, joins=joins))


_SESSION_FUNCTIONS: dict[str, Callable[[Context], object]] = {
    "CURRENT_ROLE": lambda ctx: ctx.session.role,
    "CURRENT_USER": lambda ctx: ctx.session.user,
    "CURRENT_WAREHOUSE": lambda ctx: ctx.session.warehouse,
    "CURRENT_DATABASE": lambda ctx: ctx.session.database,
    "CURRENT_SCHEMA": lambda ctx: ctx.session.schema,
    "CURRENT_SESSION": lambda ctx: str(ctx.session.id),
    "CURRENT_ACCOUNT": lambda ctx: ctx.account_name.rpartition("-")[2],
    "CURRENT_ACCOUNT_NAME": lambda ctx: ctx.account_name.rpartition("-")[2],
    "CURRENT_ORGANIZATION_NAME": lambda ctx: ctx.account_name.rpartition("-")[0],
    "CURRENT_REGION": lambda ctx: "AWS_EU_CENTRAL_1",
    "CURRENT_AVAILABLE_ROLES": lambda ctx: json.dumps(_available(ctx)),
    "CURRENT_SECONDARY_ROLES": lambda ctx: json.dumps(
        {"roles": ",".join(_available(ctx)), "value": "ALL"}
        if ctx.session.secondary
        else {"roles": "", "value": ""}
    ),
}


def _available(ctx: Context) -> list[str]:
    reach = ctx.account.reach(Ref("USER", (ctx.session.user,)))
    return sorted(ref.name[0] for ref in reach if ref.kind == "ROLE")


def _constant(ctx: Context, node: exp.Expr, *, in_view: bool) -> exp.Expr:
    """Functions of the session become literals."""
    if not isinstance(node, exp.Func):
        return node
    name = node.name.upper() if isinstance(node, exp.Anonymous) else node.sql_name()
    function = _SESSION_FUNCTIONS.get(name)
    if function is None:
        return node
    if in_view:
        raise errors.unknown_statement(f"{name}() in a view")
    value = function(ctx)
    literal = exp.null() if value is None else exp.Literal.string(str(value))
    return literal


def _name_columns(tree: exp.Expr) -> None:
    """Names the columns of a query that have no alias as Snowflake does, by their text."""
    if isinstance(tree, exp.Select):
        named = [
            column
            if isinstance(column, exp.Alias | exp.Column | exp.Star)
            else exp.alias_(column, column.sql(dialect="snowflake").upper(), quoted=True)
            for column in tree.expressions
        ]
        tree.set("expressions", named)
