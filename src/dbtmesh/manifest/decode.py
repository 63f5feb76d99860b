"""A dbt manifest's bytes as values of a known shape. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from dbtmesh import MeshError
from dbtmesh.manifest import versions

SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"

LINKED = ("model.", "snapshot.")
"""Nodes that may lie between a public model and those that it is made of."""


class Malformed(Exception):
    """What is wrong with a manifest, as the rest of a sentence about it."""


class Document(msgspec.Struct):
    metadata: dict[str, Any]
    nodes: dict[str, msgspec.Raw]
    groups: dict[str, dict[str, Any]] = {}


class Config(msgspec.Struct):
    access: str | None = None
    materialized: str | None = None


class Probe(msgspec.Struct):
    """As little of a node as tells whether it is published."""

    package_name: str
    name: str
    resource_type: str
    access: str | None = None
    config: Config = msgspec.field(default_factory=Config)


class _DependsOn(msgspec.Struct):
    nodes: list[str] | None = None


class Linked(Probe):
    """And what it reads, by which the public models below it are linked to those above."""

    depends_on: _DependsOn | None = None


class _Named(Probe):
    """And enough to tell what a reader calls it."""

    version: Any = None
    latest_version: Any = None


class Names(msgspec.Struct):
    nodes: dict[str, _Named]


class _Constraint(msgspec.Struct):
    type: str
    expression: str | None = None
    columns: list[str] | None = None


class _Column(msgspec.Struct):
    name: str
    data_type: str | None = None
    description: str | None = None
    constraints: list[_Constraint] | None = None


class _Public(Linked, kw_only=True):
    """The shape that everything downstream of here relies on."""

    unique_id: str
    database: str | None = None
    schema: str | None = None
    alias: str | None = None
    relation_name: str | None = None
    description: str | None = None
    group: str | None = None
    version: str | int | float | None = None
    latest_version: str | int | float | None = None
    deprecation_date: str | None = None
    columns: dict[str, _Column] | None = None
    constraints: list[_Constraint] | None = None


# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_DOCUMENT = msgspec.json.Decoder(Document)
_LINKED = msgspec.json.Decoder(Linked)
_PUBLIC = msgspec.json.Decoder(_Public)


@contextlib.contextmanager
def explained(what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except Malformed as error:
        raise MeshError(f"{what} {error}: {advice}") from None


def document(body: bytes, project: str) -> Document:
    try:
        raw = _DOCUMENT.decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"is no dbt manifest ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"is no whole JSON file ({error})") from None
    schema = raw.metadata.get("dbt_schema_version")
    if schema != SCHEMA:
        given = str(schema).rsplit("/", 1)[-1]
        raise Malformed(f"has schema {given!r}, not v12, which is dbt-core 1.8 to 1.11's")
    if (owner := raw.metadata.get("project_name")) != project:
        raise Malformed(f"is of project {owner!r}, not {project!r}")
    return raw


def public_nodes(
    raw: Document, project: str
) -> tuple[dict[str, dict[str, Any]], frozenset[str], dict[str, list[str]]]:
    """Public models of the project itself, the names of its others, and what each node reads.

    Not those of packages it installs, nor of projects that dbt-loom injected: they have owners of
    their own. Not ephemeral ones: there is no relation to read.
    """
    nodes, private, parents = {}, set(), {}
    for uid, encoded in raw.nodes.items():
        if not uid.startswith(LINKED):
            continue
        try:
            probe = _LINKED.decode(encoded)
            parents[uid] = (probe.depends_on and probe.depends_on.nodes) or []
            if probe.package_name != project or not uid.startswith("model."):
                continue
            if is_published(probe):
                _PUBLIC.decode(encoded)
                nodes[uid] = msgspec.json.decode(encoded, type=dict[str, Any])
            else:
                private.add(probe.name)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"has a malformed node {uid} ({error})") from None
    versions.settle(nodes.items())
    return nodes, frozenset(private), parents


def is_published(probe: Probe) -> bool:
    """Whether a model of the project itself is part of its interface."""
    public = "public" in (probe.access, probe.config.access)
    return public and probe.config.materialized != "ephemeral"


def generated_at(metadata: Mapping[str, Any]) -> datetime:
    try:
        when = datetime.fromisoformat(metadata["generated_at"])
    except (KeyError, TypeError, ValueError):
        raise Malformed("does not say when it was generated") from None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
