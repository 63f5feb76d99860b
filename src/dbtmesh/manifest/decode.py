"""Decodes and validates dbt manifests. Pure.

Every manifest passes through here: the one that a project is about to publish, and those that other
projects have published. The module is longer than others because everything that decides whether a
manifest is accepted is in one place.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

import msgspec

from dbtmesh import MeshError
from dbtmesh.checked import Unfit, day, decode, is_name, moment, place
from dbtmesh.manifest import versions
from dbtmesh.manifest.fields import (
    GROUP,
    NODE,
    Checksum,
    Column,
    ColumnConfig,
    Config,
    Constraint,
    Contract,
    Freshness,
    Metadata,
    Node,
    PublishedGroup,
)
from dbtmesh.manifest.interface import reader_names
from dbtmesh.output.words import shown
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import (
    Fields,
    Name,
    NotAName,
    Place,
    is_plain,
    is_quotable,
    parse,
    usual_parts,
)

M = TypeVar("M", bound=Metadata)

SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"
ENGINES = "which dbt 1.8 to 2.0 write"

LINKED = ("model.", "snapshot.")
"""Prefixes of nodes that may lie between a public model and the public models upstream of it."""

MOST_MODELS = 100_000
MOST_COLUMNS = 10_000
"""The limit for one model. Snowflake allows fewer columns in a table."""


class Document(msgspec.Struct):
    metadata: msgspec.Raw
    nodes: dict[str, msgspec.Raw]
    groups: dict[str, msgspec.Raw] = {}


class Settings(msgspec.Struct):
    access: str | None = None
    group: str | None = None
    materialized: str | None = None


class Probe(msgspec.Struct):
    """The fields of a node that tell whether it is published."""

    package_name: str
    name: str
    resource_type: str
    access: str | None = None
    config: Settings = msgspec.field(default_factory=Settings)


class _DependsOn(msgspec.Struct):
    nodes: list[str] | None = None


class Linked(Probe):
    """A probe with the node's parents, which link public models through private ones."""

    depends_on: _DependsOn | None = None


# Built at import: msgspec crashes if several threads use a type for the first time.
_DOCUMENT = msgspec.json.Decoder(Document)
_LINKED = msgspec.json.Decoder(Linked)


@dataclass(frozen=True)
class Content(Generic[M]):
    """A manifest, decoded and validated.

    nodes: the project's own public models by unique_id. private: the names of its other models.
    parents: the nodes that each model and snapshot reads, private ones too. generated_at: in UTC.
    """

    metadata: M
    generated_at: datetime
    nodes: Mapping[str, Node]
    groups: Mapping[str, PublishedGroup]
    private: frozenset[str]
    parents: Mapping[str, list[str]]


@contextlib.contextmanager
def explained(what: str, advice: str) -> Iterator[None]:
    """Turns an Unfit into a MeshError of one line: the manifest `what`, the error, the advice."""
    try:
        yield
    except Unfit as error:
        raise MeshError(f"{what}: {error}: {advice}") from None


def read(
    body: bytes,
    project: str,
    head: msgspec.json.Decoder[M],
    databases: Collection[str] | None = None,
) -> Content[M]:
    """Decodes and validates the manifest of a project.

    head: the decoder of its metadata. databases: the databases that its models may be in, as the
    warehouse stores their names; None for any. Raises Unfit where `body` is not a v12 manifest of
    this project, or contains something that is not allowed.
    """
    document = decode(body, _DOCUMENT)
    metadata, generated_at, warehouse = head_of(document.metadata, project, head)
    places = Places(warehouse, databases)
    nodes: dict[str, Node] = {}
    private, parents = set(), {}
    for uid, encoded in document.nodes.items():
        if not uid.startswith(LINKED):
            continue
        with _Within(uid, "model"):
            probe = decode(encoded, _LINKED)
            parents[uid] = (probe.depends_on and probe.depends_on.nodes) or []
            if probe.package_name != project or not uid.startswith("model."):
                continue
            if is_published(probe):
                nodes[uid] = _checked(uid, decode(encoded, NODE), places)
            else:
                private.add(probe.name)
    versions.settle(cast(Any, nodes.values()))
    tell_apart(nodes)
    if len(nodes) > MOST_MODELS:
        raise Unfit(f"nodes: there are {len(nodes):,} public models, more than {MOST_MODELS:,}")
    used = {node.get("group") for node in nodes.values()}
    groups: dict[str, PublishedGroup] = {}
    for uid, encoded in document.groups.items():
        with _Within(uid, "group"):
            group = decode(encoded, GROUP)
        if group["package_name"] == project and group["name"] in used:
            groups[uid] = {**group, "resource_type": "group", "path": "", "original_file_path": ""}
    return Content(metadata, generated_at, nodes, groups, frozenset(private), parents)


def head_of(
    encoded: msgspec.Raw, project: str, decoder: msgspec.json.Decoder[M]
) -> tuple[M, datetime, Warehouse]:
    """Returns a manifest's metadata, the time it was generated, and its warehouse. Raises Unfit."""
    with _Within("metadata"):
        metadata = decode(encoded, decoder)
        if (schema := metadata["dbt_schema_version"]) != SCHEMA:
            raise Unfit(f"dbt_schema_version: {shown(schema)} is not v12, {ENGINES}")
        if (owner := metadata["project_name"]) != project:
            raise Unfit(f"project_name: {shown(owner)} is not {project!r}")
        with _Within("generated_at"):
            generated_at = moment(metadata["generated_at"])
        try:
            warehouse = Warehouse.of(metadata.get("adapter_type"))
        except MeshError as error:
            raise Unfit(str(error)) from None
    return metadata, generated_at, warehouse


SHA256 = re.compile(r"[0-9a-f]{64}")


class _Within:
    """Adds the location to the message of an Unfit: a field, or a `kind` with its unique_id.

    It is a class, because a generator is slower to enter, and there are very many models.
    """

    __slots__ = ("kind", "where")

    def __init__(self, where: str, kind: str = "") -> None:
        self.where, self.kind = where, kind

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unfit):
            where = f"{self.kind} {shown(self.where)}" if self.kind else self.where
            raise Unfit(f"{where}: {error}") from None


def tell_apart(nodes: Mapping[str, Fields]) -> None:
    """Raises Unfit where two models have the same name for readers, or the same relation.

    Where a source or a relation exists twice, every dbt Core command of a reader fails, and v2 uses
    one of the two.
    """
    known: dict[str, Fields] = {}
    places: dict[Place, Fields] = {}
    for node in nodes.values():
        place = node["database"], node["schema"], node["alias"]
        if (other := places.setdefault(place, node)) is not node:
            raise Unfit(
                f"model {shown(node['unique_id'])}: relation_name: {shown('.'.join(place))} is "
                f"also the relation of {shown(other['unique_id'])}"
            )
    for name, node in reader_names(nodes):
        if (other := known.setdefault(name, node)) is not node:
            raise Unfit(
                f"model {shown(node['unique_id'])}: version: with {shown(node.get('version'))}, "
                f"readers would call it {name}, like {shown(other['unique_id'])}"
            )


def is_published(probe: Probe) -> bool:
    """Checks whether a model of the project itself is part of its interface.

    Ephemeral models are not, because they have no relation to read. dbt Core writes `access` both
    in `config` and beside it. The two differ where the YAML file has `access` beside `config`; v2
    uses `config` alone.
    """
    public = "public" in (probe.access, probe.config.access)
    return public and probe.config.materialized != "ephemeral"


def _checked(uid: str, node: Node, places: Places) -> Node:
    """Returns the node as it is published: without empty fields, and with a single spelling where
    engines have several. Raises Unfit."""
    name, own = node["name"], f"model.{node['package_name']}.{node['name']}"
    if node["unique_id"] != uid or not (uid == own or uid.startswith(f"{own}.v")):
        raise Unfit(f"unique_id: {shown(node['unique_id'])} is not the unique_id of model {name}")
    config: Config = node.get("config") or {}
    shared: dict[str, Any] = {
        "access": "public",
        "group": node.get("group") or config.get("group"),
        "contract": _contract(node.get("contract"), config.get("contract")),
        "meta": meta_of(node.get("meta"), config.get("meta")),
        "tags": _tags(config.get("tags") or node.get("tags")),
    }
    version = bounded_version("version", node.get("version"))
    latest = bounded_version("latest_version", node.get("latest_version"))
    if deprecated := node.get("deprecation_date"):
        with _Within("deprecation_date"):
            deprecated = deprecation(deprecated)
    database, schema, alias = places.place(node)
    columns = node.get("columns") or {}
    if len(columns) > MOST_COLUMNS:
        raise Unfit(f"columns: there are {len(columns):,}, more than {MOST_COLUMNS:,}")
    return cast(
        Node,
        {
            "database": database,
            "schema": schema,
            "name": name,
            "resource_type": "model",
            "package_name": node["package_name"],
            # dbt requires these two, even if they are empty
            "path": "",
            "original_file_path": "",
            "unique_id": uid,
            "fqn": [node["package_name"], name, *([] if version is None else [f"v{version}"])],
            "alias": alias,
            "checksum": _checksum(node.get("checksum")),
            **_given(
                config=_given(
                    **shared,
                    materialized=config.get("materialized"),
                    event_time=event_time(config.get("event_time")),
                    freshness=freshness(config.get("freshness")),
                ),
                description=node.get("description"),
                version=version,
                latest_version=None if version is None else latest,
                deprecation_date=deprecated,
                relation_name=node.get("relation_name"),
                **shared,
                columns={key: _column(key, column) for key, column in columns.items()},
                constraints=_constraints(node.get("constraints")),
            ),
        },
    )


def _given(**values: Any) -> dict[str, Any]:
    """Drops values that are empty, 0 or False."""
    return {key: value for key, value in values.items() if value}


def _checksum(given: Checksum | None) -> dict[str, str]:
    """Returns dbt's SHA-256 of the model's SQL; for anything else `none`, as dbt writes it."""
    digest = (given or {}).get("checksum") or ""
    if (given or {}).get("name") == "sha256" and SHA256.fullmatch(digest):
        return {"name": "sha256", "checksum": digest}
    return {"name": "none", "checksum": ""}


def _filled(**values: Any) -> dict[str, Any]:
    """Drops values that are empty, but keeps 0 and False."""
    return {key: value for key, value in values.items() if value or value is False or value == 0}


def _column(key: str, column: Column) -> Column:
    if column["name"] != key:
        raise Unfit(f"columns.{place(key)}: its name is {shown(column['name'])}")
    # Since dbt 1.10, `meta` and `tags` are under `config`. Beside it, v2 writes what the column
    # inherits from its model.
    own: ColumnConfig = column.get("config") or {}
    if column.get("config") is None:
        own = {"meta": column.get("meta"), "tags": column.get("tags")}
    settings = _filled(meta=meta_of(own.get("meta")), tags=_tags(own.get("tags")))
    return cast(
        Column,
        _filled(
            name=key,
            description=column.get("description"),
            data_type=column.get("data_type"),
            quote=column.get("quote"),
            constraints=_constraints(column.get("constraints")),
            **settings,
            config=settings,
        ),
    )


def _contract(*declared: Contract | None) -> dict[str, bool]:
    """Returns the contract. dbt writes it twice; it is enforced only where every copy says so."""
    flags = [bool(each.get("enforced")) for each in declared if each]
    return {"enforced": bool(flags) and all(flags)}


def _constraints(declared: list[Constraint] | None) -> list[dict[str, Any]]:
    return [_filled(type=each["type"], columns=each.get("columns")) for each in declared or ()]


def freshness(declared: Freshness | None) -> dict[str, Any]:
    after = (declared or {}).get("build_after")
    if not after:
        return {}
    return _filled(build_after=_filled(**after))


def event_time(column: str | None) -> str | None:
    """Returns the column, or None if it is not a plain name: dbt writes it into SQL unquoted."""
    return column if column and is_plain(column) else None


PRIVATE = "private"
"""The key of `meta` that is not published. Keys that begin with `_` are not published either."""


def meta_of(*declared: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        key: value
        for meta in declared
        if meta
        for key, value in meta.items()
        if key != PRIVATE and key[:1] != "_"
    }


def _tags(tags: list[str] | str | None) -> list[str]:
    return [tags] if isinstance(tags, str) else list(tags or ())


def bounded_version(key: str, version: versions.Version | None) -> versions.Version | None:
    if isinstance(version, int | float) and not -1e9 < version < 1e9:
        raise Unfit(f"{key}: {shown(version)} is not a version of a model")
    # dbt-loom treats a falsy version, such as 0, as None: it becomes text
    return version if version is None else version or str(version)


def deprecation(written: str) -> str:
    """Returns the day of a deprecation date as midnight in UTC.

    dbt Core writes midnight in the time zone of the parsing machine. v2 writes what the file has,
    often without a time zone, and a reader's dbt Core cannot compare that with the current time.
    """
    return f"{day(written)}T00:00:00+00:00"


class Places:
    """Checks where models lie. databases: the permitted databases, as stored; None for any."""

    def __init__(self, warehouse: Warehouse, databases: Collection[str] | None) -> None:
        self.warehouse = warehouse
        self.databases = None if databases is None else frozenset(map(warehouse.key, databases))
        self.fit: set[tuple[str, bool]] = set()
        """Databases that were found to be permitted: the written name, and whether it is quoted."""

    def place(self, node: Node) -> tuple[str, str, str]:
        """Returns database, schema and alias as written, from `relation_name` if there is one.

        dbt-loom uses these three, other readers `relation_name`, so they have to agree. Raises
        Unfit where a name is not valid, or the database is not permitted.
        """
        written = node.get("relation_name") or ""
        found = usual_parts(written) or _unusual_place(node, written)
        quoted, (database, schema, alias) = found
        if (database, quoted) not in self.fit:
            self.check(database, quoted=quoted)
        return database, schema, alias

    def check(self, database: str, *, quoted: bool) -> None:
        stored = self.warehouse.stored(database, quoted=quoted)
        if self.databases is not None and self.warehouse.key(stored) not in self.databases:
            raise Unfit(
                f"database: {shown(stored)} is not one of the databases that mesh.yml names for "
                f"this project ({', '.join(sorted(self.databases))})"
            )
        self.fit.add((database, quoted))


def _unusual_place(node: Node, written: str) -> tuple[bool, tuple[str, str, str]]:
    """Does the same as `usual_parts` for names that need quotes, or are not given. Raises Unfit."""
    if written:
        try:
            parts = parse(written)
        except NotAName:
            parts = ()
        if len(parts) != 3:
            raise Unfit(f"relation_name: {shown(written)} is not a name of three parts")
    else:
        fields = (node.get("database"), node.get("schema"), node.get("alias") or node["name"])
        parts = tuple(Name(field or "") for field in fields)
    with _Within("relation_name" if written else "database, schema or alias"):
        for text, by in parts:
            if not (is_plain(text) or (by and is_quotable(text) and is_name(text))):
                raise Unfit(f"{shown(text)} is not a name that can be written into SQL unchanged")
    database, schema, alias = parts
    return database.quoted, (database.text, schema.text, alias.text)
