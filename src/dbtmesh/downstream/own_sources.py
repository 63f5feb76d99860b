"""Builds stub tables for a project's own sources, which a loader brings to Snowflake, and which a
laptop and credential-free CI do not have.

Made of the columns that the source declares, and of sample rows where the project has some:

    samples/<source>/<table>.csv    with a header; committed

A source that the project itself builds, such as one on a seed, needs none, nor does what another
project publishes.
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
from dbtmesh.downstream import committed, lineage
from dbtmesh.downstream.duckdb_types import Column, Columns, columns
from dbtmesh.downstream.stub import NO_COLUMNS, Table
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place, is_plain, relation

DUCKDB = Warehouse.DUCKDB
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


class _Document(msgspec.Struct):
    sources: dict[str, _Source] = {}


# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_DOCUMENT = msgspec.json.Decoder(_Document)


@dataclass(frozen=True)
class Plan:
    """tables: by the database that they are read from, as the sources name it. notes: what is left
    open, or left out."""

    tables: Mapping[str, tuple[Table, ...]]
    notes: tuple[str, ...]


def declares_any(root: Path) -> bool:
    """Whether the project's files, or its packages', declare a source that no sync wrote. Only then
    is it worth asking dbt which."""
    named = yaml_files.mapping(root / "dbt_project.yml").get("model-paths")
    models = [str(each) for each in named] if isinstance(named, list) else ["models"]
    for folder in (*models, "dbt_packages", "snapshots", "seeds"):
        for path in (root / folder).rglob("*.y*ml"):
            if not path.is_file():
                continue
            text = path.read_bytes()
            if not text.startswith(committed.GENERATED) and _SOURCES.search(text):
                return True
    return False


def file_of(home: Path, member: Member, database: str) -> Path:
    """The DuckDB file that stands in for a database. The macro `attach_stand_ins` attaches it; the
    member's own is attached already."""
    own = member.local_database
    if DUCKDB.key(database) == DUCKDB.key(own):
        return home / f"{own}.duckdb"
    return home / f"{own}.sources" / f"{database}.duckdb"


def plan(manifest: bytes, member: Member) -> Plan:
    """Stand-ins for the sources that something in the project reads. manifest: as dbt parses it for
    the target on DuckDB. Raises MeshError where that, or a sample, cannot be read."""
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
        sources = checked.decode(manifest, _DOCUMENT).sources
    except Unfit as error:
        raise MeshError(f"what dbt parsed is not a manifest: {error}") from None
    for uid, source in sorted(sources.items()):
        if uid in theirs or uid not in read or "external_location" in source.meta:
            continue
        node = {**msgspec.structs.asdict(source), "alias": source.identifier}
        database, schema, name = place = relation(node, DUCKDB).place
        if DUCKDB.place_key(place) in built:
            continue
        if not is_plain(database):
            notes.append(f"{source.called} lies in database {database!r}: it has no stand-in")
            continue
        table, more = _table(member.root, source, schema, name)
        tables.setdefault(database, {}).setdefault(DUCKDB.place_key(place), table)
        notes += more
    return Plan({name: tuple(each.values()) for name, each in tables.items()}, tuple(notes))


def _table(root: Path, source: _Source, schema: str, name: str) -> tuple[Table, list[str]]:
    """The stand-in, and what is left open."""
    declared = [msgspec.structs.asdict(each) for each in source.columns.values()]
    found = columns(source.called, declared, Warehouse.SNOWFLAKE)
    sample = f"samples/{source.source_name}/{source.name}.csv"
    if (root / sample).is_file():
        return _sampled(
            root / sample, sample, found, Table(source.called, schema, name, (), sample)
        )
    notes = list(found.notes(source.called))
    if not found.columns:
        notes.append(
            f"{source.called} declares no columns, so nothing can read it here: declare them with "
            f"their data_type, or commit sample rows as {sample}"
        )
    return Table(source.called, schema, name, found.columns or NO_COLUMNS, source.called), notes


def _sampled(path: Path, shown: str, declared: Columns, table: Table) -> tuple[Table, list[str]]:
    """The stand-in with the rows of a sample. Its columns have the type that is declared, else the
    one that the sample's values have; declared columns that it lacks are null."""
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
