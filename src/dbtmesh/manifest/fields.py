"""Defines every field of a publication and its permitted values; docs/published-fields.md says why.

A field that is not listed here is neither published nor read from other projects' publications:
decoding into these types leaves it out. The same types check what is published and what was
downloaded, so nothing is published that readers would refuse.
"""

from __future__ import annotations

from typing import Annotated, Literal, Required, TypedDict

import msgspec
from msgspec import Meta

from dbtmesh import checked
from dbtmesh.checked import (
    Commit,
    Digest,
    Free,
    Line,
    Moment,
    Name,
    NodeId,
    Project,
    Prose,
    Publication,
    Text,
    Whole,
    Word,
)


class Quoting(TypedDict, total=False):
    database: bool | None
    schema: bool | None
    identifier: bool | None


class Notes(TypedDict, total=False):
    """The notes of a publication, in `metadata.env`; see `manifest.interface`."""

    DBT_MESH_VERSION: Publication
    DBT_MESH_DIGEST: Digest
    DBT_MESH_WHOLE: Digest
    DBT_MESH_COMMIT: Commit
    DBT_MESH_ALLOWED: Line
    DBT_MESH_ROLLBACK: Publication
    DBT_MESH_STUB: Publication
    DBT_MESH_CATALOG: Annotated[str, Meta(pattern=r"\A[\w.+\- ]*\Z", max_length=10_000_000)]


class Metadata(TypedDict, total=False):
    dbt_schema_version: Required[Line]
    dbt_version: Word | None
    generated_at: Required[Moment]
    project_name: Required[Project]
    adapter_type: Word | None
    quoting: Quoting | None


class PublishedMetadata(Metadata, total=False):
    env: Notes | None


class Constraint(TypedDict, total=False):
    """A constraint without its expression and its target, which may name private relations."""

    type: Required[Literal["check", "not_null", "unique", "primary_key", "foreign_key", "custom"]]
    columns: list[Name] | None


class ColumnConfig(TypedDict, total=False):
    meta: Free | None
    tags: list[Line] | Text | None


class Column(TypedDict, total=False):
    name: Required[Name]
    description: Prose | None
    data_type: Line | None
    quote: bool | None
    meta: Free | None
    tags: list[Line] | Text | None
    config: ColumnConfig | None
    constraints: list[Constraint] | None


class Contract(TypedDict, total=False):
    enforced: bool | None


class BuildAfter(TypedDict, total=False):
    count: Whole | None
    period: Word | None
    updates_on: Word | None


class Freshness(TypedDict, total=False):
    build_after: BuildAfter | None


Access = Literal["private", "protected", "public"]


class Config(TypedDict, total=False):
    access: Access | None
    materialized: Word | None
    contract: Contract | None
    event_time: Name | None
    freshness: Freshness | None
    group: Word | None
    meta: Free | None
    tags: list[Line] | Text | None


class DependsOn(TypedDict, total=False):
    nodes: list[NodeId] | None


Version = checked.Version | Whole | float
"""The version of a model, as its owner wrote it: `1`, `1.0`, `"beta"`."""


class Checksum(TypedDict, total=False):
    """dbt's digest of a file, from which the gate tells whether a model was rewritten."""

    name: Text | None
    checksum: Text | None


class Node(TypedDict, total=False):
    """A public model. `database`, `schema`, `alias` and `relation_name` are checked together."""

    unique_id: Required[NodeId]
    name: Required[Word]
    package_name: Required[Project]
    resource_type: Required[Literal["model"]]
    database: Name | None
    schema: Name | None
    alias: Name | None
    relation_name: Annotated[str, Meta(max_length=1_000)] | None
    description: Prose | None
    access: Access | None
    group: Word | None
    version: Version | None
    latest_version: Version | None
    deprecation_date: Moment | None
    contract: Contract | None
    config: Config | None
    meta: Free | None
    tags: list[Line] | Text | None
    # decode.py checks that each key is the name of its column
    columns: dict[str, Column] | None
    constraints: list[Constraint] | None
    depends_on: DependsOn | None
    checksum: Checksum | None


class Owner(TypedDict, total=False):
    name: Line | None
    email: list[Line] | Text | None


class Group(TypedDict, total=False):
    """A group of models, with its owner."""

    name: Required[Word]
    package_name: Required[Project]
    unique_id: NodeId | None
    owner: Owner | None


class PublishedGroup(Group, total=False):
    """A group with the other fields that dbt requires."""

    resource_type: Required[Literal["group"]]
    path: Required[Literal[""]]
    original_file_path: Required[Literal[""]]


# Built at import: msgspec crashes if several threads use a type for the first time.
NODE = msgspec.json.Decoder(Node)
GROUP = msgspec.json.Decoder(Group)
METADATA = msgspec.json.Decoder(Metadata)
PUBLISHED_METADATA = msgspec.json.Decoder(PublishedMetadata)
