"""Edges from this project's models to other projects', and what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.manifest.interface import Interface, reader_name, reader_names, shared_with
from dbtmesh.warehouse.names import Place, Warehouse, relation


@dataclass(frozen=True)
class Edge:
    """One node of this project reads one model of another.

    node: unique_id of the reader; upstream: the project read; name: what the reader calls the
    model; model: unique_id in the upstream, where the reader knows it; place: what it will read.
    """

    node: str
    upstream: str
    name: str
    model: str | None
    place: Place

    @property
    def reader(self) -> str:
        """This project, by the node that reads."""
        return self.node.split(".")[1]

    def __str__(self) -> str:
        return f"{self.node.split('.', 1)[1]} reads {self.upstream}.{self.name}"


class _DependsOn(msgspec.Struct):
    nodes: list[str] = []


class _Config(msgspec.Struct):
    meta: dict[str, Any] = {}


class _Node(msgspec.Struct):
    """As much of a node, a source or an exposure as tells what it reads and where it lies."""

    unique_id: str
    package_name: str
    name: str
    resource_type: str
    original_file_path: str
    database: str | None = None
    schema: str | None = None
    alias: str | None = None
    identifier: str | None = None
    relation_name: str | None = None
    source_name: str | None = None
    version: Any = None
    depends_on: _DependsOn = msgspec.field(default_factory=_DependsOn)
    config: _Config = msgspec.field(default_factory=_Config)


class _Metadata(msgspec.Struct):
    project_name: str | None = None
    adapter_type: str | None = None


class Manifest(msgspec.Struct):
    """The part of a full manifest that lineage is about; all of it takes ten times as long."""

    metadata: _Metadata
    nodes: dict[str, _Node]
    sources: dict[str, _Node] = {}
    exposures: dict[str, _Node] = {}


def read(body: bytes, project: str) -> Manifest:
    """The manifest in `body`. Raises MeshError where it is none, or another project's."""
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeshError(f"is no dbt manifest ({error}): run `dbt parse` again") from None
    if manifest.metadata.project_name != project:
        raise MeshError(f"is of project {manifest.metadata.project_name!r}, not {project!r}")
    return manifest


def edges(manifest: Manifest, member: Member) -> list[Edge]:
    """Every edge across projects: through a source (native) or through ref (loom).

    A source that lies in a database of an upstream is an edge too, whatever it is called.
    """
    warehouse = Warehouse.of(manifest.metadata.adapter_type)
    targets = {
        **dict(_source_targets(manifest, member, warehouse)),
        **dict(_ref_targets(manifest, member, warehouse)),
    }
    return sorted(
        (
            Edge(node.unique_id, *targets[parent])
            for node in (*manifest.nodes.values(), *manifest.exposures.values())
            if node.package_name == member.project
            for parent in dict.fromkeys(node.depends_on.nodes)
            if parent in targets
        ),
        key=lambda edge: (edge.upstream, edge.name, edge.node),
    )


_Target = tuple[str, str, str | None, Place]


def _source_targets(
    manifest: Manifest, member: Member, warehouse: Warehouse
) -> Iterator[tuple[str, _Target]]:
    names = {upstream.name for upstream in member.upstreams}
    owners = {
        f"{upstream.database_prefix}_{suffix}".upper(): upstream.name
        for upstream in member.upstreams
        for suffix in ("PROD", "DEV", "LOCAL")
    }
    for uid, source in manifest.sources.items():
        place = _place(source, warehouse)
        named = source.source_name if source.source_name in names else None
        owner = source.config.meta.get("mesh_upstream") or owners.get(place[0].upper()) or named
        if owner:
            called = source.name if named == owner else f"{source.source_name}.{source.name}"
            yield uid, (owner, called, source.config.meta.get("unique_id"), place)


def _ref_targets(
    manifest: Manifest, member: Member, warehouse: Warehouse
) -> Iterator[tuple[str, _Target]]:
    """Models that no file of this project or its packages defines: a plugin put them there. And
    those that a sync defines for references in properties files (`downstream.references`)."""
    names = {upstream.name for upstream in member.upstreams}
    for uid, node in manifest.nodes.items():
        external = not node.original_file_path or node.package_name in names
        if node.resource_type == "model" and external and node.package_name != member.project:
            yield (
                uid,
                (node.package_name, reader_name(_mapping(node)), uid, _place(node, warehouse)),
            )


def _place(node: _Node, warehouse: Warehouse) -> Place:
    return relation(_mapping(node) | {"alias": node.alias or node.identifier}, warehouse).place


def _mapping(node: _Node) -> dict[str, Any]:
    return msgspec.structs.asdict(node)


class Published:
    """What one upstream publishes, found by what a reader knows of it."""

    def __init__(self, interface: Interface, stubs: str | None = None) -> None:
        """stubs: the local database that holds stand-ins of its models (see mesh.stub), where
        those are what is read."""
        self.interface = interface
        self._stubs = stubs
        self._warehouse = Warehouse.of("duckdb" if stubs else interface.adapter_type)
        self._names = dict(reader_names(interface.nodes))
        self._places = {self._key(self.place(node)): node for node in interface.nodes.values()}

    def place(self, node: Mapping[str, Any]) -> Place:
        database, schema, identifier = relation(node, self._warehouse).place
        return self._stubs or database, schema, identifier

    def model(self, edge: Edge) -> Mapping[str, Any] | None:
        """The model that the edge means: the one it names, else the one that lies there, as does
        a version of a model that had none; else what that name means now."""
        node = self.interface.nodes.get(edge.model) if edge.model else None
        return node or self._places.get(self._key(edge.place)) or self._names.get(edge.name)

    def lies_at(self, node: Mapping[str, Any], place: Place) -> bool:
        return self._key(self.place(node)) == self._key(place)

    def way_out(self, node: Mapping[str, Any], reader: str) -> Mapping[str, Any] | None:
        """The version that a reader of a deprecated one can move to: the latest, else the newest;
        None where every other one is older, deprecated as well, or not for this reader."""
        others = [
            each
            for each in self.interface.nodes.values()
            if each["name"] == node["name"]
            and each.get("version") is not None
            and not each.get("deprecation_date")
            and ((named := shared_with(each)) is None or reader in named)
        ]
        newer = [each for each in others if _age(each) > _age(node)]
        latest = [
            each for each in others if str(each["version"]) == str(each.get("latest_version"))
        ]
        return next(iter(latest), None) or max(newer, key=_age, default=None)

    def is_private(self, edge: Edge) -> bool:
        name = edge.model.split(".")[2] if edge.model else edge.name.split(".")[-1]
        return name in self.interface.private

    def _key(self, place: Place) -> Place:
        return self._warehouse.place_key(place)


def _age(node: Mapping[str, Any]) -> tuple[float, str]:
    """Versions in their order: numbers as numbers, after which come words, as dbt has them."""
    version = str(node["version"])
    try:
        return float(version), ""
    except ValueError:
        return float("inf"), version


def problems(
    found: Iterable[Edge], published: Mapping[str, Published], member: Member
) -> list[str]:
    """What is wrong with each edge, one line each: a model that is not published, or not any
    more, or that lies elsewhere by now. Empty where every edge resolves.

    `published`: by project, for each that mesh.yml names as an upstream.
    """
    again = "parse" if member.kind == "loom" else "sync"
    lines = []
    for edge in found:
        upstream = published.get(edge.upstream)
        node = upstream.model(edge) if upstream else None
        if upstream is None:
            lines.append(
                f"{edge}, but mesh.yml does not name {edge.upstream} as an upstream: add it with "
                "`copier update --trust --ask upstreams`"
            )
        elif node is None:
            lines.append(f"{edge}{_why(edge, upstream)}")
        elif (named := shared_with(node)) is not None and edge.reader not in named:
            lines.append(
                f"{edge}, which {edge.upstream} shares with {', '.join(sorted(named)) or 'nobody'} "
                f"only: ask its owners to name {edge.reader} in its `meta.consumers`"
            )
        elif not upstream.lies_at(node, edge.place):
            lines.append(
                f"{edge} at {'.'.join(edge.place)}, but it is published at "
                f"{'.'.join(upstream.place(node))}: {again} again, for this environment"
            )
    return lines


def _why(edge: Edge, upstream: Published) -> str:
    if upstream.is_private(edge):
        return f", which is private to {edge.upstream}: ask its owners to make it public"
    if edge.model is None:
        return (
            f" at {'.'.join(edge.place)}, which {edge.upstream} does not publish: read one of its "
            "public models, through the generated source"
        )
    return (
        f", which {edge.upstream} does not publish any more: ask its owners, or read another model"
    )


def deprecations(
    found: Iterable[Edge], published: Mapping[str, Published], today: date
) -> list[str]:
    """One line for each model in use that its owner has given a date to."""
    lines = {}
    for edge in found:
        upstream = published.get(edge.upstream)
        node = upstream.model(edge) if upstream else None
        if node and node.get("deprecation_date"):
            # dbt writes midnight in the zone of the machine that parsed it: only the day counts
            until = date.fromisoformat(str(node["deprecation_date"])[:10])
            left = (until - today).days
            when = f"in {left} days" if left >= 0 else f"{-left} days ago"
            way_out = "ask its owners what follows"
            if node.get("version") is not None and upstream:
                to = upstream.way_out(node, edge.reader)
                there_is_none = "there is no newer version to move to yet: ask its owners"
                way_out = f"move to {reader_name(to)}" if to else there_is_none
            lines[edge.upstream, edge.name] = (
                f"{edge}, which is deprecated on {until} ({when}): {way_out}"
            )
    return list(lines.values())
