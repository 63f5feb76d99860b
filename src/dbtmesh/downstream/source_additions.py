"""Merges a project's additions into generated sources: data tests, freshness and configuration.

    mesh_sources/<upstream>.yml

The generated file must not be edited, and dbt does not accept a second definition of a source. So
the project writes its additions into this file, in dbt's syntax for sources, and a sync merges them
into the generated file. dbt itself does not read this folder.

    sources:
      - name: dbt_up
        config: {freshness: {warn_after: {count: 26, period: hour}}}
        tables:
          - name: public_orders
            data_tests: [...]
            columns:
              - name: order_id
                data_tests: [unique, not_null]
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dbtmesh import MeshError, yaml_files
from dbtmesh.files import read_bounded

_LOADED = {"freshness", "loaded_at_field", "loaded_at_query"}
_TESTS = {"data_tests", "tests"}
_KEYS = {
    "source": {"name", "config", "tables", *_LOADED},
    "table": {"name", "config", "columns", *_LOADED, *_TESTS},
    "column": {"name", *_TESTS},
}
"""The keys that may be added at each level. All others are defined by the upstream."""


def path(upstream: str) -> str:
    """Returns the path of the file, relative to the member's root."""
    return f"mesh_sources/{upstream}.yml"


def read(root: Path, upstream: str) -> bytes:
    """Reads the file; empty if there is none. Raises OSError where it cannot be read."""
    try:
        return read_bounded(root / path(upstream))
    except FileNotFoundError:
        return b""


def merged(
    document: Mapping[str, Any], text: bytes, upstream: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns the generated document with the file's additions, and notes on unknown tables.

    Raises MeshError where the file is not valid.
    """
    if not text:
        return dict(document), []
    added = _parsed(text, upstream)
    whole = copy.deepcopy(dict(document))
    notes = []
    for addition in added:
        tables: dict[str, dict[str, Any]] = {}
        for source in whole["sources"]:
            _merge(source, addition)
            tables |= {table["name"]: table for table in source["tables"]}
        for more in addition.get("tables") or ():
            table = tables.get(more["name"])
            if table is None:
                notes.append(
                    f"{path(upstream)} adds to {more['name']}, which {upstream} does not publish "
                    "to this project (any more): remove it from that file"
                )
                continue
            _merge(table, more)
            columns = {column["name"].casefold(): column for column in table.get("columns") or ()}
            for extra in more.get("columns") or ():
                if column := columns.get(extra["name"].casefold()):
                    _merge(column, extra)
                else:
                    table.setdefault("columns", []).append(extra)
    return whole, notes


def _merge(holder: dict[str, Any], addition: Mapping[str, Any]) -> None:
    """Merges an addition. Generated tags, and the keys of `meta` that the sync writes, stay."""
    for key in (*_LOADED, *_TESTS):
        if key in addition:
            holder[key] = addition[key]
    if config := addition.get("config"):
        own = holder.get("config") or {}
        meta = {**(config.get("meta") or {}), **(own.get("meta") or {})}
        tags = own.get("tags") or []
        tags = [*tags, *(tag for tag in _listed(config.get("tags")) if tag not in tags)]
        kept = {key: each for key, each in (("meta", meta), ("tags", tags)) if each}
        holder["config"] = {**own, **config, **kept}


def _meta(config: Any) -> Any:
    return (config.get("meta") or {}) if isinstance(config, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _parsed(text: bytes, upstream: str) -> list[dict[str, Any]]:
    def wrong(what: str) -> MeshError:
        return MeshError(f"{path(upstream)}: {what}")

    def entries(holder: Mapping[str, Any], key: str, kind: str, where: str) -> Iterator[Any]:
        found = holder.get(key) or []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise wrong(f"`{key}` of {where} is not a list of entries with a `name`")
        for each in found:
            name = each.get("name")
            if not isinstance(name, str):
                raise wrong(f"an entry in `{key}` of {where} has no `name`")
            if foreign := sorted(map(str, each.keys() - _KEYS[kind])):
                raise wrong(
                    f"{kind} {name} has `{foreign[0]}`, which the upstream defines: you can add "
                    f"{', '.join(sorted(_KEYS[kind] - {'name'}))}"
                )
            config = each.get("config") or {}
            for key, value in (("config", config), ("config.meta", _meta(config))):
                if not isinstance(value, dict):
                    raise wrong(f"`{key}` of {kind} {name} is not a mapping of keys to values")
            yield each

    try:
        loaded = yaml_files.load(text)
    except yaml_files.NotYaml as error:
        raise wrong(f"is not valid YAML{error.where}: {error}") from None
    if not isinstance(loaded, dict) or loaded.keys() - {"version", "sources"}:
        raise wrong("is not a mapping with the key `sources`")
    for source in entries(loaded, "sources", "source", "the file"):
        if source["name"] != upstream:
            raise wrong(f"source {source['name']}: this file is for source {upstream}")
        for table in entries(source, "tables", "table", f"source {source['name']}"):
            list(entries(table, "columns", "column", f"table {table['name']}"))
    from dbtmesh.output import yaml as output

    added: list[dict[str, Any]] = output.own(loaded.get("sources") or [])
    return added
