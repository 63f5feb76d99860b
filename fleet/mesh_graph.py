"""Builds one graph of the mesh from publications and consumers' records. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from dbtmesh.manifest import interface as manifest
from dbtmesh.manifest.interface import COMMIT
from dbtmesh.manifest.versions import is_latest
from dbtmesh.registry.cycles import cycles
from dbtmesh.registry.records import Record


class Constraint(msgspec.Struct, gc=False, omit_defaults=True):
    type: str
    columns: list[str] | None = None


class Column(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    data_type: str | None = None
    description: str | None = None
    constraints: list[Constraint] | None = None


class Owner(msgspec.Struct, gc=False):
    """The owner of a dbt group, who is responsible for its models."""

    name: str | None = None
    email: str | list[str] | None = None


class Node(msgspec.Struct, gc=False):
    """A node of the graph, of one of three kinds.

    public: a public model. reader: a consumer's own node that is not public. missing: a model that
    somebody reads and that is no longer published.
    """

    id: str
    project: str
    name: str
    kind: Literal["public", "reader", "missing"]
    version: str | None = None
    latest: bool = True
    deprecation_date: str | None = None
    contract: bool = False
    group: str | None = None
    description: str | None = None
    relation: str | None = None
    materialized: str | None = None
    constraints: list[Constraint] = []
    columns: list[Column] = []


class Edge(msgspec.Struct, gc=False):
    """`target` reads `source`. columns, since: what it reads and since when, if it is recorded."""

    source: str
    target: str
    columns: list[str] | None = None
    since: str | None = None


class Publication(msgspec.Struct, frozen=True):
    """A publication of a project's interface. published_at: when dbt compiled it."""

    version: str
    published_at: str
    adapter: str | None = None
    dbt_version: str | None = None
    commit: str | None = None


class Consumption(msgspec.Struct, frozen=True):
    """What a project recorded about itself together with what it reads of `upstream`.

    current: whether it read the publication that is the latest one now.
    """

    upstream: str
    kind: str | None
    recorded_at: str | None
    owner: str | None
    repository: str | None
    read_version: str | None
    current: bool


class Project(msgspec.Struct):
    """A project that publishes, reads, or both. publication: None if it has published nothing."""

    name: str
    publication: Publication | None = None
    owners: dict[str, Owner] = {}
    reads: list[Consumption] = []


class Mesh(msgspec.Struct):
    """The whole mesh. Nodes and edges are sorted, so that the same registry gives the same map."""

    registry: str
    env: str
    projects: list[Project]
    nodes: list[Node]
    edges: list[Edge]

    @property
    def cycles(self) -> list[tuple[str, ...]]:
        """Groups of projects that read each other."""
        return cycles({each.name: [read.upstream for read in each.reads] for each in self.projects})


class Interface(msgspec.Struct):
    """What the map shows of one project's publication."""

    project: str
    publication: Publication
    owners: dict[str, Owner]
    models: list[Node]
    edges: list[Edge]


# ---- what a project publishes


def drawn(published: manifest.Interface) -> Interface:
    """Returns what the map shows of a publication."""
    metadata, notes = published.manifest["metadata"], published.notes
    return Interface(
        project=published.project,
        publication=Publication(
            version=published.version,
            published_at=metadata["generated_at"],
            adapter=metadata.get("adapter_type"),
            dbt_version=metadata.get("dbt_version"),
            commit=notes.get(COMMIT),
        ),
        owners={
            group["name"]: msgspec.convert(group.get("owner") or {}, Owner)
            for group in published.manifest["groups"].values()
        },
        models=[_node(node, published.project) for node in published.nodes.values()],
        edges=[
            Edge(parent, uid)
            for uid, node in published.nodes.items()
            for parent in node["depends_on"]["nodes"]
        ],
    )


def _node(node: Mapping[str, Any], project: str) -> Node:
    version = node.get("version")
    return Node(
        id=node["unique_id"],
        project=project,
        name=node["name"],
        kind="public",
        version=None if version is None else str(version),
        latest=is_latest(node),
        deprecation_date=node.get("deprecation_date"),
        contract=node["contract"]["enforced"],
        group=node.get("group"),
        description=node.get("description"),
        relation=node.get("relation_name"),
        materialized=node["config"].get("materialized"),
        constraints=msgspec.convert(node.get("constraints") or [], list[Constraint]),
        columns=msgspec.convert([*(node.get("columns") or {}).values()], list[Column]),
    )


# ---- and consumers' records beside it, as one graph


def build(
    registry: str,
    env: str,
    interfaces: Iterable[Interface],
    records: Mapping[str, Iterable[Record]],
) -> Mesh:
    """Builds the mesh from these interfaces and the records of each upstream's consumers."""
    projects: dict[str, Project] = {}
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    feeding: set[tuple[str, str]] = set()
    for interface in interfaces:
        projects[interface.project] = Project(
            interface.project, interface.publication, interface.owners
        )
        nodes |= {model.id: model for model in interface.models}
        edges += interface.edges
    public = set(nodes)
    latest = _latest(nodes.values())
    for upstream, consumers in records.items():
        publication = projects.setdefault(upstream, Project(upstream)).publication
        for record in consumers:
            consumer = projects.setdefault(record.consumer, Project(record.consumer))
            consumer.reads = [*consumer.reads, _consumption(upstream, record, publication)]
            for read in record.reads:
                # the model got versions after it was read; its plain name means the latest one
                source = latest.get(read.model, read.model)
                nodes.setdefault(source, Node(source, upstream, read.name, "missing"))
                # a consumer that did not record which node reads is drawn as one reader
                for reader in read.by or [f"project.{record.consumer}.(somewhere)"]:
                    nodes.setdefault(reader, _reader(reader, record.consumer))
                    edges.append(Edge(source, reader, read.columns, read.since))
            feeding |= {
                (reader, model)
                for reader, models in record.feeds.items()
                for model in public.intersection(models)
                if reader in nodes
            }
    edges += [Edge(reader, model) for reader, model in feeding]
    return Mesh(
        registry,
        env,
        projects=sorted(projects.values(), key=lambda project: project.name),
        nodes=sorted(nodes.values(), key=lambda node: (node.project, node.name, node.id)),
        edges=sorted(edges, key=lambda edge: (edge.source, edge.target)),
    )


def _latest(models: Iterable[Node]) -> dict[str, str]:
    """Returns the latest version of each versioned model, by its unique_id without the version."""
    return {
        model.id.removesuffix(f".v{model.version}"): model.id
        for model in models
        if model.version is not None and model.latest
    }


def _consumption(upstream: str, record: Record, publication: Publication | None) -> Consumption:
    return Consumption(
        upstream=upstream,
        kind=record.kind,
        recorded_at=record.recorded_at,
        owner=record.owner,
        repository=record.repository,
        read_version=record.read_version,
        current=publication is not None and publication.version == record.read_version,
    )


def _reader(unique_id: str, project: str) -> Node:
    """Returns a reader's node. `model.dbt_down.orders.v2` has the name orders and version 2."""
    _, _, name = unique_id.split(".", 2) if unique_id.count(".") > 1 else ("", "", unique_id)
    stem, dot, version = name.rpartition(".v")
    return Node(unique_id, project, stem if dot else name, "reader", version if dot else None)


def as_json(mesh: Mesh) -> bytes:
    """Returns the whole graph as JSON, for other tools."""
    document = msgspec.structs.asdict(mesh) | {"cycles": mesh.cycles}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def between_projects(mesh: Mesh) -> dict[tuple[str, str], int]:
    """Counts the models that one project reads of another, for each such pair."""
    project_of = {node.id: node.project for node in mesh.nodes}
    read: dict[tuple[str, str], set[str]] = {}
    for edge in mesh.edges:
        pair = project_of[edge.source], project_of[edge.target]
        if pair[0] != pair[1]:
            read.setdefault(pair, set()).add(edge.source)
    return {pair: len(models) for pair, models in sorted(read.items())}


def public_counts(mesh: Mesh) -> dict[str, int]:
    """Counts the public models of each project, 0 for projects that only read."""
    counts: dict[str, Any] = dict.fromkeys((project.name for project in mesh.projects), 0)
    for node in mesh.nodes:
        counts[node.project] += node.kind == "public"
    return counts
