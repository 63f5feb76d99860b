"""Adds columns from dbt's catalog to models without a contract, if both files are of the same run.

catalog.json (`dbt docs generate`, or v2's `--write-catalog`) lists the columns in the warehouse,
with their types. It is used only if the run that wrote it also wrote the manifest, and only for
relations that the manifest names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dbtmesh import checked
from dbtmesh.checked import Unfit
from dbtmesh.gate.nodes import is_enforced
from dbtmesh.manifest.interface import CATALOG, DIGEST, VERSION, Interface
from dbtmesh.manifest.seal import seal
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import relation


class _Column(msgspec.Struct):
    type: str
    index: int
    name: str


class _Place(msgspec.Struct):
    schema: str
    name: str
    database: str | None = None


class _Table(msgspec.Struct):
    metadata: _Place
    columns: dict[str, _Column]


class _Metadata(msgspec.Struct):
    invocation_id: str | None = None


class _Catalog(msgspec.Struct):
    metadata: _Metadata
    nodes: dict[str, _Table]


# Built at import: msgspec crashes if several threads use a type for the first time.
_CATALOG = msgspec.json.Decoder(_Catalog)


def completed(interface: Interface, manifest: Path, invocation: str | None) -> Interface:
    """Returns the interface, its models without a contract completed with columns of the catalog.

    manifest: the path of the manifest; the catalog is beside it. invocation: the id of the run that
    wrote the manifest.
    """
    open_ended = [uid for uid, node in interface.nodes.items() if not is_enforced(node)]
    catalog = _read(manifest.with_name("catalog.json")) if open_ended else None
    if catalog is None or not invocation or catalog.metadata.invocation_id != invocation:
        return interface
    warehouse = interface.warehouse
    nodes = dict(interface.nodes)
    for uid in open_ended:
        table = catalog.nodes.get(uid)
        if table and _is_of(table.metadata, nodes[uid], warehouse):
            nodes[uid] = {**nodes[uid], "columns": _columns(nodes[uid], table, warehouse)}
    found = [uid for uid in open_ended if nodes[uid] is not interface.nodes[uid]]
    if not found:
        return interface
    notes = {key: value for key, value in interface.notes.items() if key not in (VERSION, DIGEST)}
    metadata = {**interface.manifest["metadata"], "env": {**notes, CATALOG: " ".join(found)}}
    document = {**interface.manifest, "metadata": metadata, "nodes": nodes}
    return seal(document, interface.project, interface.generated_at, interface.private)


def _columns(node: Mapping[str, Any], table: _Table, warehouse: Warehouse) -> dict[str, Any]:
    """Returns the declared columns that exist, followed by all other columns of the catalog.

    A declared column without a type gets the catalog's. A declared column that the warehouse does
    not have is left out, because nobody can read it.
    """
    there = {
        warehouse.key(column.name): column
        for column in sorted(table.columns.values(), key=lambda column: column.index)
    }
    columns: dict[str, Any] = {}
    for name, declared in (node.get("columns") or {}).items():
        stored = warehouse.stored(name, quoted=bool(declared.get("quote")))
        if found := there.pop(warehouse.key(stored), None):
            columns[name] = {**declared, "data_type": declared.get("data_type") or found.type}
    for column in there.values():
        plain = warehouse.stored(column.name, quoted=False) == column.name
        columns[column.name] = {
            "name": column.name,
            "description": "",
            "data_type": column.type,
            "meta": {},
            "quote": None if plain else True,
            "tags": [],
            "constraints": [],
        }
    return columns


def _is_of(place: _Place, node: Mapping[str, Any], warehouse: Warehouse) -> bool:
    """Checks whether a table of the catalog is the relation of a model."""
    found = (place.database or "", place.schema, place.name)
    return warehouse.place_key(found) == warehouse.place_key(relation(node, warehouse).place)


def _read(path: Path) -> _Catalog | None:
    try:
        return checked.decode(path.read_bytes(), _CATALOG)
    except (OSError, Unfit):
        return None
