"""Writes the statements of the registry: SQL with `?` as placeholders, and the values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dbtmesh.registry.snowflake.rows import CHUNK, Mark, Packed
from dbtmesh.snowflake.names import MESH
from dbtmesh.warehouse.names import sql_name

PUBLICATIONS, PUBLISHED, STATE, READS = "PUBLICATIONS", "PUBLISHED", "STATE", "READS"
"""The relations of the schema MESH. PUBLISHED is the view of PUBLICATIONS for other projects."""
OWNER = "*"
"""The reader of the whole document, where some models are for named consumers. No role can have
this name."""


MOST_PARTS = 24
"""How many parts of one object are read: enough for 128 MB that cannot be compressed."""


class Statement(NamedTuple):
    text: str
    values: tuple[object, ...]


class Table(NamedTuple):
    """A relation of a project's schema MESH. database: as stored."""

    database: str
    name: str

    def __str__(self) -> str:
        return f"{sql_name(self.database)}.{MESH}.{self.name}"


class Counted(NamedTuple):
    """An object whose writes are numbered, with its table. key: its identifying columns and their
    values."""

    table: Table
    key: Mapping[str, str]


def publications(database: str, own: bool) -> Table:
    """Returns the table for the owner. Others read the view, which hides documents that are not for
    them."""
    return Table(database, PUBLICATIONS if own else PUBLISHED)


def state(database: str, env: str, name: str) -> Counted:
    return Counted(Table(database, STATE), {"ENV": env, "NAME": name})


def record(database: str, upstream: str, env: str, consumer: str) -> Counted:
    key = {"UPSTREAM": upstream, "ENV": env, "CONSUMER": consumer}
    return Counted(Table(database, READS), key)


# ── Publications ──────────────────────────────────────────────────────────────────────

_LATEST = "MAX(IFF(KIND = 'latest', ATTEMPT, 0))"
_VERSION = "^[0-9]{8}T[0-9]{6}[.][0-9]{6}Z-[0-9a-f]{12}$"
"""The same as `keys.VERSION`. Marks with another version are ignored: one could stay the greatest
forever."""
_WITHDRAWN = "MAX(IFF(KIND = 'withdrawn', ATTEMPT, 0))"


def standing(table: Table, env: str, number: int) -> Statement:
    """Selects the greatest `number` versions with a mark that is not withdrawn, each with the
    attempt of its last mark."""
    return Statement(
        f"SELECT VERSION, {_LATEST} AS ATTEMPT FROM {table} "
        f"WHERE ENV = ? AND KIND IN ('latest', 'withdrawn') AND VERSION RLIKE '{_VERSION}' "
        "GROUP BY VERSION "
        f"HAVING {_LATEST} > {_WITHDRAWN} ORDER BY VERSION DESC LIMIT {number}",
        (env,),
    )


def read_latest(
    table: Table, env: str, reader: str, known: str | None, most: int, body: bool = True
) -> Statement:
    found = standing(table, env, 1)
    tag = "S.VERSION || ':' || S.ATTEMPT"
    # The outer join returns a mark without its version as a row whose part is NULL.
    rows = _document(
        f"FROM S LEFT JOIN {table} V ON V.VERSION = S.VERSION AND", tag, known, most, body
    )
    return Statement(
        f"WITH S AS ({found.text}) {rows.text}", (*found.values, *rows.values, env, reader)
    )


def read_version(
    table: Table, env: str, version: str, reader: str, known: str | None, most: int, body: bool
) -> Statement:
    rows = _document(f"FROM {table} V WHERE V.VERSION = ? AND", "V.VERSION", known, most, body)
    return Statement(rows.text, (*rows.values, version, env, reader))


def _document(source: str, tag: str, known: str | None, most: int, body: bool) -> Statement:
    """Selects a version's document for this reader: the one made for it, else the one for all.

    source: the FROM clause, up to the place where a condition follows.
    """
    text, values = _body(tag, "V.", known, most, body)
    return Statement(
        f"SELECT {tag}, V.PART, V.PARTS, V.SIZE, V.DIGEST, {text} {source} "
        f"V.ENV = ? AND V.KIND = 'version' AND V.PART < {MOST_PARTS} "
        "AND (V.READER IS NULL OR V.READER = ?) "
        "QUALIFY DENSE_RANK() OVER (ORDER BY V.READER NULLS LAST) = 1 ORDER BY V.PART",
        values,
    )


def _body(
    tag: str, of: str, known: str | None, most: int, body: bool
) -> tuple[str, tuple[object, ...]]:
    """Returns the expression for the column BODY, which is NULL where the reader already has the
    body or it is too large, so that it is not transferred."""
    if not body:
        return "NULL", ()
    too_much = f"{of}SIZE > {most:d} OR LENGTH({of}BODY) > {CHUNK}"
    if known is None:
        return f"IFF({too_much}, NULL, {of}BODY)", ()
    same = f"{tag} || ':' || LEFT({of}DIGEST, 16) = ?"
    return f"IFF({too_much} OR {same}, NULL, {of}BODY)", (known,)


def versions(table: Table, env: str) -> Statement:
    return Statement(
        f"SELECT DISTINCT VERSION FROM {table} WHERE ENV = ? AND KIND = 'version'", (env,)
    )


def environments(table: Table) -> Statement:
    return Statement(f"SELECT DISTINCT ENV FROM {table}", ())


def keep_version(
    table: Table, env: str, version: str, documents: Mapping[str | None, Packed]
) -> Statement:
    """Inserts all documents of a version at once, or nothing where the version exists already."""
    rows: list[str] = []
    values: list[object] = []
    for reader, document in documents.items():
        for number, text in enumerate(document.parts):
            rows.append(
                "SELECT ? AS ENV, ? AS VERSION, 'version' AS KIND, 0 AS ATTEMPT, ? AS READER, "
                "? AS PART, ? AS PARTS, ? AS SIZE, ? AS DIGEST, ? AS BODY"
            )
            values += [env, version, reader, number, len(document.parts), document.size]
            values += [document.digest, text]
    columns = "ENV, VERSION, KIND, ATTEMPT, READER, PART, PARTS, SIZE, DIGEST, BODY"
    there = f"SELECT 1 FROM {table} WHERE ENV = ? AND VERSION = ? AND KIND = 'version'"
    return Statement(
        f"INSERT INTO {table} ({columns}) SELECT * FROM ({' UNION ALL '.join(rows)}) "
        f"WHERE NOT EXISTS ({there})",
        (*values, env, version),
    )


def put_in_place(table: Table, env: str, version: str, follows: Mark | None) -> Statement:
    """Inserts the mark that makes a stored version the latest, if `follows` still is the latest
    (for None: if there is none). Also withdraws `follows` if that is the greater version."""
    attempt = (
        f"SELECT COALESCE(MAX(ATTEMPT), 0) + 1 FROM {table} "
        "WHERE ENV = ? AND VERSION = ? AND KIND IN ('latest', 'withdrawn')"
    )
    rows = [
        f"SELECT ? AS ENV, ? AS VERSION, 'latest' AS KIND, ({attempt}) AS ATTEMPT, ? AS FOLLOWS"
    ]
    values: list[object] = [env, version, env, version, follows.version if follows else None]
    if follows and follows.version > version:
        rows.append("SELECT ?, ?, 'withdrawn', ?, ?")
        values += [env, follows.version, follows.attempt, version]
    now = standing(table, env, 1)
    there = f"SELECT VERSION || ':' || ATTEMPT FROM ({now.text})"
    kept = f"SELECT 1 FROM {table} WHERE ENV = ? AND VERSION = ? AND KIND = 'version'"
    return Statement(
        f"INSERT INTO {table} (ENV, VERSION, KIND, ATTEMPT, FOLLOWS) "
        f"SELECT * FROM ({' UNION ALL '.join(rows)}) "
        f"WHERE COALESCE(({there}), '') = ? AND EXISTS ({kept})",
        (
            *values,
            *now.values,
            f"{follows.version}:{follows.attempt}" if follows else "",
            env,
            version,
        ),
    )


def withdraw(table: Table, env: str, mark: Mark) -> Statement:
    return Statement(
        f"INSERT INTO {table} (ENV, VERSION, KIND, ATTEMPT) SELECT ?, ?, 'withdrawn', ?",
        (env, mark.version, mark.attempt),
    )


# ── State and records ─────────────────────────────────────────────────────────────────

_TAG = "SEQ || ':' || WRITE_ID"


def _where(key: Mapping[str, str]) -> str:
    return " AND ".join(f"{column} = ?" for column in key)


def read_counted(one: Counted, known: str | None, most: int, body: bool = True) -> Statement:
    text, values = _body(_TAG, "", known, most, body)
    return Statement(
        f"SELECT {_TAG}, PART, PARTS, SIZE, DIGEST, {text} FROM {one.table} "
        f"WHERE {_where(one.key)} AND PART < {MOST_PARTS} "
        "QUALIFY DENSE_RANK() OVER (ORDER BY SEQ DESC, WRITE_ID DESC) = 1 ORDER BY PART",
        (*values, *one.key.values()),
    )


def write_counted(one: Counted, body: Packed, follows: str | None, write_id: str) -> Statement:
    """Inserts the next write of an object, if `follows` still is its last one. follows: `number:id`
    of the write that this one replaces; None for the first write."""
    number = int(follows.partition(":")[0]) + 1 if follows else 1
    fixed = ", ".join(f"? AS {column}" for column in one.key)
    rows: list[str] = []
    values: list[object] = []
    for part, text in enumerate(body.parts):
        rows.append(
            f"SELECT {fixed}, ? AS SEQ, ? AS WRITE_ID, ? AS PART, ? AS PARTS, ? AS SIZE, "
            "? AS DIGEST, ? AS BODY"
        )
        values += [*one.key.values(), number, write_id, part, len(body.parts), body.size]
        values += [body.digest, text]
    there = (
        f"SELECT {_TAG} FROM {one.table} WHERE {_where(one.key)} "
        "ORDER BY SEQ DESC, WRITE_ID DESC LIMIT 1"
    )
    columns = ", ".join((*one.key, "SEQ, WRITE_ID, PART, PARTS, SIZE, DIGEST, BODY"))
    return Statement(
        f"INSERT INTO {one.table} ({columns}) SELECT * FROM ({' UNION ALL '.join(rows)}) "
        f"WHERE COALESCE(({there}), '') = ?",
        (*values, *one.key.values(), follows or ""),
    )


def show(relation: str) -> Statement:
    """Lists all relations of that name that the role may see, in any database."""
    return Statement(f"SHOW TERSE OBJECTS LIKE '{relation}' IN ACCOUNT", ())


def show_databases() -> Statement:
    return Statement("SHOW DATABASES IN ACCOUNT", ())


def names(table: Table, env: str) -> Statement:
    """Selects the names of the files in a project's state."""
    return Statement(f"SELECT DISTINCT NAME FROM {table} WHERE ENV = ?", (env,))


def upstreams(table: Table) -> Statement:
    """Selects the upstreams of which a project has a record, whether or not it still reads them."""
    return Statement(f"SELECT DISTINCT UPSTREAM FROM {table}", ())


def read_records(databases: Sequence[str], upstream: str, env: str, most: int) -> Statement:
    """Selects the last record of each consumer of an upstream from all these databases: the
    database, the consumer, and the rows of the record."""
    each, values = [], list[object]()
    body, _ = _body(_TAG, "", None, most, body=True)
    for database in databases:
        each.append(
            f"SELECT ? AS PLACE, CONSUMER, {_TAG} AS TAG, PART, PARTS, SIZE, DIGEST, "
            f"{body} AS BODY FROM {Table(database, READS)} "
            f"WHERE UPSTREAM = ? AND ENV = ? AND PART < {MOST_PARTS} QUALIFY DENSE_RANK() "
            "OVER (PARTITION BY CONSUMER ORDER BY SEQ DESC, WRITE_ID DESC) = 1"
        )
        values += [database, upstream, env]
    return Statement(" UNION ALL ".join(each), tuple(values))
