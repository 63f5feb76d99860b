"""Builds stub tables for a project's own sources.

A loader brings these sources to Snowflake, so a laptop and CI without credentials do not have them.
A stub table has the columns that the source declares and that the project's SQL reads, and sample
rows if the project has some:

    samples/<source>/<table>.csv    with a header; committed

A source that the project itself builds, such as one on a seed, needs no stub table, and neither
does what another project publishes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from dbtmesh import MeshError, checked, yaml_files
from dbtmesh.checked import Unfit
from dbtmesh.config import Member
from dbtmesh.dbt_paths import folders
from dbtmesh.downstream import committed, lineage, undeclared
from dbtmesh.downstream.duckdb_types import ANY, Column, Columns, columns
from dbtmesh.downstream.stub import NO_COLUMNS, Table
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place, is_plain, relation

DUCKDB = Warehouse.DUCKDB
_NAMES = re.compile(r"""['"]([^'"]+)['"]""")
"""The names in `source('erp', 'orders')` or `ref('orders')`, as a unit test has for its inputs."""
_SOURCES = re.compile(rb"^\s*['\"]?sources['\"]?\s*:", re.MULTILINE)


class _Column(msgspec.Struct):
    name: str
    data_type: str | None = None


class _Source(msgspec.Struct):
    unique_id: str
    name: str
    source_name: str
    identifier: str | None = None
    database: str | None = None
    schema: str | None = None
    relation_name: str | None = None
    columns: dict[str, _Column] = {}
    meta: dict[str, Any] = {}

    @property
    def called(self) -> str:
        return f"source {self.source_name}.{self.name}"


class _Query(msgspec.Struct):
    name: str
    database: str | None = None
    schema: str | None = None
    alias: str | None = None
    relation_name: str | None = None


class _Given(msgspec.Struct):
    input: str | None = None
    rows: Any = None


class _UnitTest(msgspec.Struct):
    given: list[_Given] | None = None


class _Document(msgspec.Struct):
    sources: dict[str, _Source] = {}
    nodes: dict[str, _Query] = {}
    unit_tests: dict[str, _UnitTest] = {}


# Built at import: msgspec crashes if several threads use a type for the first time.
_DOCUMENT = msgspec.json.Decoder(_Document)


@dataclass(frozen=True)
class Plan:
    """The stub tables to make.

    tables: by database, as the sources name it. notes: lines about gaps in the declarations.
    guessed: the number of tables that have no sample and do not declare all columns with a type.
    readers: the models that read these tables.
    """

    tables: Mapping[str, tuple[Table, ...]]
    notes: tuple[str, ...]
    guessed: int = 0
    readers: tuple[str, ...] = ()


def declares_any(root: Path) -> bool:
    """Checks whether files of the project or of its packages declare a source that no sync wrote.

    Only then does dbt have to be asked for the sources.
    """
    models = folders(yaml_files.mapping(root / "dbt_project.yml"), "model-paths")
    for folder in (*models, "dbt_packages", "snapshots", "seeds"):
        for path in (root / folder).rglob("*.y*ml"):
            if not path.is_file():
                continue
            text = path.read_bytes()
            if not text.startswith(committed.GENERATED) and _SOURCES.search(text):
                return True
    return False


def file_of(home: Path, member: Member, database: str) -> Path:
    """Returns the DuckDB file that stands in for a database.

    The macro `attach_stand_ins` attaches it; that of the member's own database is attached already.
    """
    own = member.local_database
    if DUCKDB.key(database) == DUCKDB.key(own):
        return home / f"{own}.duckdb"
    return home / f"{own}.sources" / f"{database}.duckdb"


def plan(manifest: bytes, member: Member, compiled: Mapping[str, str] | None = None) -> Plan:
    """Plans the stub tables of the sources that the project reads.

    manifest: as dbt parses it for the target on DuckDB. compiled: SQL by unique_id, to find columns
    that are not declared. Raises MeshError where the manifest, or a sample, cannot be read.
    """
    parsed = lineage.read(manifest, member.project)
    theirs = {uid for uid, _ in lineage.source_targets(parsed, member, DUCKDB)}
    read = {parent for reader in parsed.readers for parent in reader.parents}
    built = {
        DUCKDB.place_key(lineage.place(node, DUCKDB))
        for node in parsed.nodes.values()
        if node.resource_type in ("model", "seed", "snapshot")
    }
    tables: dict[str, dict[Place, Table]] = {}
    notes: list[str] = []
    try:
        document = checked.decode(manifest, _DOCUMENT)
    except Unfit as error:
        raise MeshError(f"what dbt parsed is not a manifest: {error}") from None
    known = _undeclared(document, compiled or {})
    guessed: set[str] = set()
    for uid, source in sorted(document.sources.items()):
        if uid in theirs or uid not in read or "external_location" in source.meta:
            continue
        database, schema, name = place = _place(source)
        if DUCKDB.place_key(place) in built:
            continue
        if not is_plain(database):
            notes.append(
                f"{source.called} gets no stub: its database {database!r} needs a quoted name"
            )
            continue
        has_sample = (member.root / _sample(source)).is_file()
        typed = source.columns and all(each.data_type for each in source.columns.values())
        if not has_sample and not typed:
            guessed.add(uid)
        read_here = known.get(DUCKDB.place_key(place), {})
        table, more = _table(member.root, source, schema, name, read_here)
        tables.setdefault(database, {}).setdefault(DUCKDB.place_key(place), table)
        notes += more
    made = {name: tuple(each.values()) for name, each in tables.items()}
    readers = {
        document.nodes[each.unique_id].name
        for each in parsed.readers
        if guessed.intersection(each.parents) and each.unique_id.startswith("model.")
    }
    return Plan(made, tuple(notes), len(guessed), tuple(sorted(readers)))


def _place(node: _Source | _Query) -> Place:
    alias = node.identifier if isinstance(node, _Source) else node.alias
    return relation({**msgspec.structs.asdict(node), "alias": alias}, DUCKDB).place


def _undeclared(document: _Document, compiled: Mapping[str, str]) -> undeclared.Found:
    """Returns the columns that are read of the sources; empty if no SQL is compiled."""
    if not compiled:
        return {}
    queries = {
        DUCKDB.place_key(_place(node) if node.relation_name else ("", "", uid)): compiled[uid]
        for uid, node in document.nodes.items()
        if uid in compiled
    }
    inputs: dict[tuple[str, ...], Place] = {
        (node.name,): DUCKDB.place_key(_place(node)) for node in document.nodes.values()
    }
    declared: dict[Place, list[str]] = {}
    for source in document.sources.values():
        place = DUCKDB.place_key(_place(source))
        inputs[source.source_name, source.name] = place
        declared.setdefault(place, []).extend(each.name for each in source.columns.values())
    given = [
        (inputs[names], each.rows)
        for test in document.unit_tests.values()
        for each in test.given or ()
        if (names := tuple(_NAMES.findall(each.input or ""))) in inputs
    ]
    return undeclared.read(queries, declared, given)


def _sample(source: _Source) -> str:
    return f"samples/{source.source_name}/{source.name}.csv"


def _table(
    root: Path, source: _Source, schema: str, name: str, read_here: Mapping[str, str | None]
) -> tuple[Table, list[str]]:
    """Returns the stub table, and notes on gaps. read_here: the columns that SQL reads."""
    kinds = {DUCKDB.key(column): kind for column, kind in read_here.items()}
    declared = [
        {"name": each.name, "data_type": each.data_type or kinds.get(DUCKDB.key(each.name))}
        for each in source.columns.values()
    ]
    there = {DUCKDB.key(each["name"] or "") for each in declared}
    declared += [
        {"name": column, "data_type": kind}
        for column, kind in read_here.items()
        if DUCKDB.key(column) not in there
    ]
    found = columns(source.called, declared, Warehouse.SNOWFLAKE)
    sample = _sample(source)
    if (root / sample).is_file():
        return _sampled(
            root / sample, sample, found, Table(source.called, schema, name, (), sample)
        )
    made = tuple(
        replace(each, type=ANY) if each.name in found.untyped else each for each in found.columns
    )
    notes = list(replace(found, untyped=()).notes(source.called))
    if not made:
        notes.append(
            f"{source.called} declares no columns, so nothing can read it here: declare them with "
            f"their data_type, or commit sample rows as {sample}"
        )
    return Table(source.called, schema, name, made or NO_COLUMNS, source.called), notes


def _sampled(path: Path, shown: str, declared: Columns, table: Table) -> tuple[Table, list[str]]:
    """Returns the stub table with the rows of a sample, and notes on gaps.

    Its columns have the declared type, or else that of the sample's values. Declared columns that
    the sample lacks are null.
    """
    import duckdb

    try:
        with duckdb.connect() as connection:
            connection.execute("select * from read_csv(?, header = true)", [str(path)])
            kinds = {str(each[0]): str(each[1]) for each in connection.description or ()}
            rows = connection.execute(
                "select * from read_csv(?, header = true, all_varchar = true)", [str(path)]
            ).fetchall()
    except duckdb.Error as error:
        raise MeshError(f"{shown}: {str(error).splitlines()[0]}") from None
    by_key = {DUCKDB.key(column.name): column for column in declared.columns}
    own = []
    for name, kind in kinds.items():
        column = by_key.pop(DUCKDB.key(name), None)
        typed = column is not None and column.name not in declared.untyped
        own.append(column if column and typed else Column(name, kind, "null"))
    lacking = list(by_key.values())
    untyped = tuple(column.name for column in lacking if column.name in declared.untyped)
    notes = Columns((), untyped, declared.foreign).notes(table.of)
    nulls = (None,) * len(lacking)
    filled = replace(table, columns=(*own, *lacking), rows=[(*row, *nulls) for row in rows])
    return filled, list(notes)
