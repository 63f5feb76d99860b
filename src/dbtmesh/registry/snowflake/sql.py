"""Writes the statements of the registry. Pure: SQL with `?` where values go, and these values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dbtmesh.registry.snowflake.rows import CHUNK, Mark, Packed
from dbtmesh.snowflake.names import MESH
from dbtmesh.warehouse.names import sql_name

PUBLICATIONS, PUBLISHED, STATE, READS = "PUBLICATIONS", "PUBLISHED", "STATE", "READS"
"""The tables of its schema; PUBLISHED is the view of the first that other projects have."""
OWNER = "*"
"""Whose document the whole one is where some models are for named consumers: no role's name."""


MOST_PARTS = 24
"""Of one object that is read: as many as 128 MB that cannot be compressed have."""


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
    """An object of which each write has the next number: where it lies, and what tells it apart."""

    table: Table
    key: Mapping[str, str]


def publications(database: str, own: bool) -> Table:
    """The owner reads the table itself, others the view, which hides what is for another one."""
    return Table(database, PUBLICATIONS if own else PUBLISHED)


def state(database: str, env: str, name: str) -> Counted:
    return Counted(Table(database, STATE), {"ENV": env, "NAME": name})


def record(database: str, upstream: str, env: str, consumer: str) -> Counted:
    key = {"UPSTREAM": upstream, "ENV": env, "CONSUMER": consumer}
    return Counted(Table(database, READS), key)


# ── Publications ──────────────────────────────────────────────────────────────────────

_LATEST = "MAX(IFF(KIND = 'latest', ATTEMPT, 0))"
_VERSION = "^[0-9]{8}T[0-9]{6}[.][0-9]{6}Z-[0-9a-f]{12}$"
"""As `keys.VERSION`: a mark of anything else, which would be the greatest for good, is none."""
_WITHDRAWN = "MAX(IFF(KIND = 'withdrawn', ATTEMPT, 0))"


def standing(table: Table, env: str, number: int) -> Statement:
    """The greatest versions that are in place, with the attempt that put each there."""
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
    # A mark whose version is not there is a row without a part.
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
    """What this reader gets of a version: the document made for it, else the one for all. source:
    up to where a condition follows."""
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
    """Not transferred where the reader has it, or will not take it."""
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
    """All documents of a version, whole or not at all, where there is none of it yet."""
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
    """Marks a version as the latest where `follows` still is, or nothing; and withdraws that one
    where it would stay above."""
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
    """follows: `number:id` of the one that this replaces; None where there is none."""
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
    """All relations of that name that the role may see, in whatever database."""
    return Statement(f"SHOW TERSE OBJECTS LIKE '{relation}' IN ACCOUNT", ())


def show_databases() -> Statement:
    return Statement("SHOW DATABASES IN ACCOUNT", ())


def names(table: Table, env: str) -> Statement:
    """Files of a project's state."""
    return Statement(f"SELECT DISTINCT NAME FROM {table} WHERE ENV = ?", (env,))


def upstreams(table: Table) -> Statement:
    """Of which a project has a record, whether or not it still reads them."""
    return Statement(f"SELECT DISTINCT UPSTREAM FROM {table}", ())


def read_records(databases: Sequence[str], upstream: str, env: str, most: int) -> Statement:
    """The last record of each consumer of an upstream, from the databases of them all: where it
    lies, whose it is, and its rows."""
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
