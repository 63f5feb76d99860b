"""The public interface of a project: a valid dbt manifest that holds its public models only.

From a full manifest (any size, read without building what is left out) to a sealed publication,
and from a publication's bytes back to its models. Pure: bytes in, values out.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from dbtmesh import MeshError, sha256

SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"

# What a consumer needs of a model: how to name it, read it, and what it promises. Everything else
# (SQL, macros, hooks, tests, private parents) stays with its owner.
NODE_KEYS = (
    "database",
    "schema",
    "name",
    "resource_type",
    "package_name",
    "path",
    "original_file_path",
    "unique_id",
    "fqn",
    "alias",
    "checksum",
    "tags",
    "description",
    "meta",
    "group",
    "docs",
    "created_at",
    "relation_name",
    "language",
    "contract",
    "access",
    "version",
    "latest_version",
    "deprecation_date",
    "primary_key",
)
CONFIG_KEYS = (
    "enabled",
    "alias",
    "schema",
    "database",
    "tags",
    "meta",
    "group",
    "materialized",
    "quoting",
    "docs",
    "contract",
    "event_time",
    "access",
)
COLUMN_KEYS = (
    "name",
    "description",
    "data_type",
    "meta",
    "quote",
    "config",
    "tags",
    "granularity",
)
CONSTRAINT_KEYS = ("type", "name", "expression", "columns", "warn_unenforced", "warn_unsupported")
METADATA_KEYS = (
    "dbt_schema_version",
    "dbt_version",
    "generated_at",
    "project_name",
    "project_id",
    "adapter_type",
    "quoting",
)

# Sections that a manifest has to have, and that are nobody's business outside the project.
EMPTY_SECTIONS = (
    "sources",
    "macros",
    "docs",
    "exposures",
    "metrics",
    "selectors",
    "disabled",
    "parent_map",
    "child_map",
    "group_map",
    "saved_queries",
    "semantic_models",
    "unit_tests",
    "functions",
)

LINKED = ("model.", "snapshot.")
"""Nodes that may lie between a public model and those that it is made of."""

VERSION, DIGEST, COMMIT = "DBT_MESH_VERSION", "DBT_MESH_DIGEST", "DBT_MESH_COMMIT"
ALLOWED, ROLLBACK, STUB = "DBT_MESH_ALLOWED", "DBT_MESH_ROLLBACK", "DBT_MESH_STUB"
"""Keys of `metadata.env`, the one place where the manifest's schema leaves room for others.

ALLOWED: what was published with --allow-breaking; ROLLBACK: the version that it puts back; STUB:
the version that a stand-in on a laptop was made of, whose tables nobody built.
"""
UNSEALED = "0" * 64


@dataclass(frozen=True)
class Interface:
    """A project's public models, and which publication of them this is.

    nodes: unique_id → node of the manifest, public models of this project only, sorted.
    private: names of its other models, known only where a full manifest was read.
    generated_at: when dbt compiled it; of two publications the later one is newer.
    body: the sealed bytes to publish, or those that were read.
    """

    project: str
    version: str
    generated_at: datetime
    adapter_type: str
    nodes: Mapping[str, Mapping[str, Any]]
    private: frozenset[str]
    manifest: Mapping[str, Any]
    body: bytes

    @property
    def notes(self) -> Mapping[str, Any]:
        """What its publication says of itself: VERSION, COMMIT, ALLOWED and so on."""
        notes = self.manifest["metadata"].get("env")
        return notes if isinstance(notes, dict) else {}

    @property
    def digest(self) -> str:
        """SHA-256 that tells this publication from others: its seal, else that of its bytes."""
        return str(self.notes.get(DIGEST) or sha256(self.body))

    def same_build(self, other: Interface) -> bool:
        """Of one run of dbt, though with other notes, perhaps."""
        return self.version == other.version or (
            self.generated_at == other.generated_at and self.nodes == other.nodes
        )


class _Malformed(Exception):
    """What is wrong with a manifest, as the rest of a sentence about it."""


class _Manifest(msgspec.Struct):
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


class _Names(msgspec.Struct):
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
_MANIFEST = msgspec.json.Decoder(_Manifest)
_LINKED = msgspec.json.Decoder(Linked)
_PUBLIC = msgspec.json.Decoder(_Public)
_NAMES = msgspec.json.Decoder(_Names)


def extract(
    manifest: bytes, project: str, *, commit: str | None = None, source: str = "the manifest"
) -> Interface:
    """The sealed interface of a full manifest.

    `commit`: of the code that was built, recorded in the publication. `source`: where the
    manifest is from, for errors.
    Raises MeshError where the manifest is no v12 manifest of this project.
    """
    with _explained(source, "build it again with dbt"):
        raw = _decode(manifest, project)
        nodes, private, parents = _public_nodes(raw, project)
        generated_at = _generated_at(raw.metadata)
    above = nearest(nodes, nodes, lambda uid: parents.get(uid, ()))
    groups = {node.get("group") for node in nodes.values()}
    document: dict[str, Any] = {
        "metadata": {
            **{key: raw.metadata[key] for key in METADATA_KEYS if key in raw.metadata},
            "invocation_id": None,
            "user_id": None,
            "send_anonymous_usage_stats": None,
            "env": {COMMIT: commit} if commit else {},
        },
        "nodes": {uid: _published(node, above[uid]) for uid, node in sorted(nodes.items())},
        "groups": {
            uid: group
            for uid, group in sorted(raw.groups.items())
            if group.get("package_name") == project and group.get("name") in groups
        },
        **{section: {} for section in EMPTY_SECTIONS},
    }
    return _seal(document, project, generated_at, private)


def read(body: bytes, project: str) -> Interface:
    """The interface in a publication's bytes, as a consumer downloads them.

    A manifest that another tool put there has no seal; it is read all the same, without what is
    not public. Raises MeshError where the bytes are damaged, or are not this project's manifest.
    """
    with _explained(f"the published manifest of {project}", "have it published again"):
        raw = _decode(body, project)
        environment = raw.metadata.get("env")
        environment = environment if isinstance(environment, dict) else {}
        digest = environment.get(DIGEST)
        if digest and sha256(_with_digest(body, digest, UNSEALED)) != digest:
            raise _Malformed("is damaged (its digest does not match)")
        nodes, private, _ = _public_nodes(raw, project)
        generated_at = _generated_at(raw.metadata)
    return Interface(
        project=project,
        version=str(environment.get(VERSION) or _version(generated_at, sha256(body))),
        generated_at=generated_at,
        adapter_type=raw.metadata.get("adapter_type") or "snowflake",
        nodes=dict(sorted(nodes.items())),
        private=private,
        manifest={"metadata": raw.metadata, "nodes": nodes, "groups": raw.groups},
        body=body,
    )


def annotated(
    interface: Interface, notes: Mapping[str, str], generated_at: datetime | None = None
) -> Interface:
    """An extracted interface, sealed again with further notes, and perhaps as of another time."""
    when = generated_at or interface.generated_at
    kept = {key: value for key, value in interface.notes.items() if key not in (VERSION, DIGEST)}
    metadata = {**interface.manifest["metadata"], "env": {**kept, **notes}}
    if generated_at:
        metadata["generated_at"] = f"{generated_at:%Y-%m-%dT%H:%M:%S.%fZ}"
    document = {**interface.manifest, "metadata": metadata}
    return _seal(document, interface.project, when, interface.private)


@contextlib.contextmanager
def _explained(what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except _Malformed as error:
        raise MeshError(f"{what} {error}: {advice}") from None


def _decode(body: bytes, project: str) -> _Manifest:
    try:
        raw = _MANIFEST.decode(body)
    except msgspec.ValidationError as error:
        raise _Malformed(f"is no dbt manifest ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Malformed(f"is no whole JSON file ({error})") from None
    schema = raw.metadata.get("dbt_schema_version")
    if schema != SCHEMA:
        given = str(schema).rsplit("/", 1)[-1]
        raise _Malformed(f"has schema {given!r}, not v12, which is dbt-core 1.8 to 1.11's")
    if (owner := raw.metadata.get("project_name")) != project:
        raise _Malformed(f"is of project {owner!r}, not {project!r}")
    return raw


def _public_nodes(
    raw: _Manifest, project: str
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
            raise _Malformed(f"has a malformed node {uid} ({error})") from None
    return nodes, frozenset(private), parents


def is_published(probe: Probe) -> bool:
    """Whether a model of the project itself is part of its interface."""
    public = "public" in (probe.access, probe.config.access)
    return public and probe.config.materialized != "ephemeral"


def names(body: bytes, project: str) -> frozenset[str]:
    """The names that a reader of a publication may use; cheaper than reading all of it.

    Raises MeshError where the bytes are no manifest.
    """
    try:
        nodes = _NAMES.decode(body).nodes
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeshError(f"no dbt manifest of {project} ({error})") from None
    published = {
        uid: msgspec.structs.asdict(node)
        for uid, node in nodes.items()
        if uid.startswith("model.") and node.package_name == project and is_published(node)
    }
    return frozenset(name for name, _ in reader_names(published))


def nearest(
    starts: Iterable[str], ends: Iterable[str], following: Callable[[str], Iterable[str]]
) -> dict[str, list[str]]:
    """The first ends on every way from each start, sorted: a way goes on through nodes that are
    none.

    Each node is walked once for all starts, without recursion. The ends behind it are kept as bits
    of a number: as sets they would fill the memory where thousands are behind thousands.
    """
    names = sorted(ends)
    number = {name: place for place, name in enumerate(names)}
    behind: dict[str, int] = {}

    def gathered(node: str) -> int:
        bits = 0
        for other in following(node):
            bits |= 1 << number[other] if other in number else behind.get(other, 0)
        return bits

    found: dict[str, list[str]] = {}
    for start in starts:
        waiting, entered = [*following(start)], set()
        while waiting:
            node = waiting.pop()
            if node in number or node in behind:
                continue
            if node in entered:  # and so is everything that follows it
                behind[node] = gathered(node)
                continue
            entered.add(node)
            waiting += [node, *following(node)]
        bits, found[start] = gathered(start), []
        while bits:
            last = bits.bit_length() - 1
            found[start].append(names[last])
            bits ^= 1 << last
        found[start].reverse()
    return found


def _published(node: Mapping[str, Any], parents: list[str]) -> dict[str, Any]:
    """The part of a public model that its consumers may see. parents: the public models that it is
    made of; what lies between is nobody's business."""
    kept = _only(node, NODE_KEYS)
    kept["config"] = _only(node.get("config") or {}, CONFIG_KEYS)
    kept["constraints"] = _constraints(node)
    kept["columns"] = {
        name: {
            **_only(column, COLUMN_KEYS),
            "constraints": _constraints(column),
        }
        for name, column in (node.get("columns") or {}).items()
    }
    kept["depends_on"] = {"macros": [], "nodes": parents}
    return kept


def _constraints(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Constraints of a model or a column. What a foreign key points at may be private."""
    return [
        _only(each, CONSTRAINT_KEYS)
        | ({"expression": None} if each["type"] == "foreign_key" else {})
        for each in holder.get("constraints") or []
    ]


def _only(mapping: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: mapping[key] for key in keys if key in mapping}


def _seal(
    document: dict[str, Any], project: str, generated_at: datetime, private: frozenset[str]
) -> Interface:
    """Gives the document its version and its digest.

    The digest is that of the very bytes, taken with 64 zeros in its own place, so that a copy can
    be checked wherever it lies, without a second file that could be out of step.
    """
    version = _version(generated_at, sha256(msgspec.json.encode(document)))
    document["metadata"]["env"] |= {VERSION: version, DIGEST: UNSEALED}
    body = msgspec.json.encode(document)
    return Interface(
        project=project,
        version=version,
        generated_at=generated_at,
        adapter_type=document["metadata"].get("adapter_type") or "snowflake",
        nodes=document["nodes"],
        private=private,
        manifest=document,
        body=_with_digest(body, UNSEALED, sha256(body)),
    )


def _with_digest(body: bytes, old: str, new: str) -> bytes:
    field = f'"{DIGEST}":"%s"'
    # the first one is the metadata's own, which comes before all that a model could hold
    return body.replace((field % old).encode(), (field % new).encode(), 1)


def _version(generated_at: datetime, digest: str) -> str:
    """Sorts by time of compilation; the digest tells two of the same microsecond apart."""
    return f"{generated_at:%Y%m%dT%H%M%S.%f}Z-{digest[:12]}"


def _generated_at(metadata: Mapping[str, Any]) -> datetime:
    try:
        when = datetime.fromisoformat(metadata["generated_at"])
    except (KeyError, TypeError, ValueError):
        raise _Malformed("does not say when it was generated") from None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def reader_name(node: Mapping[str, Any]) -> str:
    """`m`, or `m_v1` for a version, spelled as dbt spells its alias."""
    version = node.get("version")
    return str(node["name"]) + ("" if version is None else f"_v{version}".replace(".", "_"))


def reader_names(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each name that a reader may use, with its model: `m`, and for versioned ones `m_v1`, `m_v2`
    and `m` for the latest. A model that bears such a name itself keeps it."""
    own = {node["name"] for node in nodes.values() if node.get("version") is None}
    for node in nodes.values():
        if (version := node.get("version")) is None:
            yield node["name"], node
            continue
        if (pinned := reader_name(node)) not in own:
            yield pinned, node
        if str(version) == str(node.get("latest_version")) and node["name"] not in own:
            yield node["name"], node


def shared_with(node: Mapping[str, Any]) -> frozenset[str] | None:
    """The projects that a model's owner lets read it (`config.meta.consumers`); None: all."""
    meta = (node.get("config") or {}).get("meta") or node.get("meta")
    if not meta or (named := meta.get("consumers")) is None:
        return None
    if isinstance(named, str):
        return frozenset(re.findall(r"[^,\s]+", named))
    return frozenset(map(str, named if isinstance(named, list) else [named]))
