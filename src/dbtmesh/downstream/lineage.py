"""Finds edges from this project's models to other projects', and what is wrong with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from dbtmesh import MeshError, checked
from dbtmesh.checked import Unfit
from dbtmesh.config import Member
from dbtmesh.manifest import versions
from dbtmesh.manifest.interface import Interface, reader_name, reader_names, shared_with
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place, relation


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

    def __str__(self) -> str:
        return f"{self.node.split('.', 1)[1]} reads {self.upstream}.{self.name}"


class _DependsOn(msgspec.Struct):
    nodes: list[str] | None = None


class _Given(msgspec.Struct):
    input: str | None = None


class _Reader(msgspec.Struct):
    """As much of anything in a manifest as tells what it reads.

    given: a unit test's inputs, and sources: what a function's SQL names (dbt 1.11), which
    `depends_on` does not name.
    """

    unique_id: str
    package_name: str
    depends_on: _DependsOn | None = None
    model: Any = None
    given: list[_Given] | None = None
    sources: Any = None

    @property
    def parents(self) -> list[str]:
        return (self.depends_on and self.depends_on.nodes) or []


class _Config(msgspec.Struct):
    meta: dict[str, Any] = {}


class _Node(_Reader, kw_only=True):
    """As much of a node or a source as tells where it lies, too."""

    name: str
    resource_type: str
    original_file_path: str | None = None
    database: str | None = None
    schema: str | None = None
    alias: str | None = None
    identifier: str | None = None
    relation_name: str | None = None
    source_name: str | None = None
    version: Any = None
    config: _Config = msgspec.field(default_factory=_Config)


class _Metadata(msgspec.Struct):
    project_name: str | None = None
    adapter_type: str | None = None


READING = (
    *("nodes", "exposures", "metrics", "semantic_models", "saved_queries"),
    *("unit_tests", "functions"),
)
"""Sections of a manifest whose entries read models. Snapshots, analyses, seeds and data tests are
among the nodes."""


class Manifest(msgspec.Struct):
    """The part of a full manifest that lineage is about; all of it takes ten times as long."""

    metadata: _Metadata
    nodes: dict[str, _Node]
    sources: dict[str, _Node] = {}
    exposures: dict[str, _Reader] = {}
    metrics: dict[str, _Reader] = {}
    semantic_models: dict[str, _Reader] = {}
    saved_queries: dict[str, _Reader] = {}
    unit_tests: dict[str, _Reader] = {}
    functions: dict[str, _Reader] = {}

    @property
    def readers(self) -> Iterator[_Reader]:
        """Everything that may read a model: a test holds READING to what dbt writes."""
        for section in READING:
            yield from getattr(self, section).values()


# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_MANIFEST = msgspec.json.Decoder(Manifest)


def read(body: bytes, project: str) -> Manifest:
    """The manifest in `body`. Raises MeshError where it is none, or another project's."""
    try:
        manifest = checked.decode(body, _MANIFEST)
    except Unfit as error:
        raise MeshError(f"is not a dbt manifest ({error}): run `dbt parse` again") from None
    if manifest.metadata.project_name != project:
        raise MeshError(f"is of project {manifest.metadata.project_name!r}, not {project!r}")
    return manifest


def edges(manifest: Manifest, member: Member) -> list[Edge]:
    """Every edge across projects: through a source (native) or through ref (loom).

    A source that lies in a database of an upstream is an edge too, whatever it is called.
    """
    warehouse = Warehouse.of(manifest.metadata.adapter_type)
    targets = {
        **dict(source_targets(manifest, member, warehouse)),
        **dict(_ref_targets(manifest, member, warehouse)),
    }
    named = _by_name(manifest)
    external = {uid for uid, node in manifest.nodes.items() if _is_external(node, member)}
    found = [
        Edge(reader.unique_id, *targets[parent])
        for reader in manifest.readers
        if reader.unique_id not in external
        for parent in dict.fromkeys(
            (*reader.parents, *_inputs(reader, manifest), *_sources(reader, named, manifest))
        )
        if parent in targets
    ]
    return sorted(found, key=lambda edge: (edge.upstream, edge.name, edge.node))


def _inputs(reader: _Reader, manifest: Manifest) -> Iterator[str]:
    """What a unit test gives rows for, as far as its model reads it."""
    if not reader.given:
        return
    wanted = {given_name(each.input) for each in reader.given}
    for model in reader.parents:
        node = manifest.nodes.get(model)
        for parent in node.parents if node else ():
            if source := manifest.sources.get(parent):
                called = (source.source_name, source.name)
            elif other := manifest.nodes.get(parent):
                called = (other.package_name, other.name)
            else:
                continue
            if called in wanted:
                yield parent


def _by_name(manifest: Manifest) -> dict[tuple[str | None, str], list[str]]:
    found: dict[tuple[str | None, str], list[str]] = {}
    for uid, source in manifest.sources.items():
        found.setdefault((source.source_name, source.name), []).append(uid)
    return found


def _sources(
    reader: _Reader, named: Mapping[tuple[str | None, str], list[str]], manifest: Manifest
) -> Iterator[str]:
    """The sources that its SQL names: its own package's, where others have one of that name."""
    for each in reader.sources if isinstance(reader.sources, list) else ():
        alike = named.get(tuple(each), []) if isinstance(each, list) else []
        own = [uid for uid in alike if manifest.sources[uid].package_name == reader.package_name]
        yield from own or alike


_INPUT = re.compile(r"""(?:ref|source)\(\s*['"]([^'"]+)['"]\s*,\s*['"]([^'"]+)['"]""")


def given_name(text: str | None) -> tuple[str, str] | None:
    """Project or source, and name, of a unit test's input: `ref('up', 'orders')`; None for one of
    the project's own models."""
    match = _INPUT.search(text or "")
    return (match[1], match[2]) if match else None


def _is_external(node: _Node, member: Member) -> bool:
    """Whether a model is another project's: a plugin put it there, without a file, or a sync
    defined it for references in properties files (`downstream.references`)."""
    if node.resource_type != "model" or node.package_name == member.project:
        return False
    upstreams = {upstream.name for upstream in member.upstreams}
    return not node.original_file_path or node.package_name in upstreams


Target = tuple[str, str, str | None, Place]
"""Upstream, what the reader calls the model, its unique_id if known, and where it lies."""


def source_targets(
    manifest: Manifest, member: Member, warehouse: Warehouse
) -> Iterator[tuple[str, Target]]:
    """Sources that a sync wrote, and those that lie in a database of an upstream, whatever they are
    called. A source that only bears an upstream's name is the project's own."""
    owners = {
        database.upper(): upstream.name
        for upstream in member.upstreams
        for database in upstream.databases
    }
    for uid, source in manifest.sources.items():
        lies_at = place(source, warehouse)
        if owner := source.config.meta.get("mesh_upstream") or owners.get(lies_at[0].upper()):
            own_name = source.source_name == owner
            called = source.name if own_name else f"{source.source_name}.{source.name}"
            yield uid, (owner, called, source.config.meta.get("unique_id"), lies_at)


def _ref_targets(
    manifest: Manifest, member: Member, warehouse: Warehouse
) -> Iterator[tuple[str, Target]]:
    for uid, node in manifest.nodes.items():
        if _is_external(node, member):
            yield (
                uid,
                (node.package_name, reader_name(_mapping(node)), uid, place(node, warehouse)),
            )


def place(node: _Node, warehouse: Warehouse) -> Place:
    return relation(_mapping(node) | {"alias": node.alias or node.identifier}, warehouse).place


def _mapping(node: _Node) -> dict[str, Any]:
    return msgspec.structs.asdict(node)


class Published:
    """What one upstream publishes, found by what a reader knows of it.

    reader: the warehouse that the reader's manifest is for. Parsed for DuckDB, it does not tell
    upper case from lower case, wherever the upstream has published from.
    """

    def __init__(self, interface: Interface, reader: Warehouse | None = None) -> None:
        self.interface = interface
        self._warehouse = interface.warehouse
        self._compared = Warehouse.DUCKDB if reader is Warehouse.DUCKDB else self._warehouse
        self._names = dict(reader_names(interface.nodes))
        self._places = {self._key(self.place(node)): node for node in interface.nodes.values()}

    def place(self, node: Mapping[str, Any]) -> Place:
        return relation(node, self._warehouse).place

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
        latest = next(filter(versions.is_latest, others), None)
        return latest or max(newer, key=_age, default=None)

    def is_private(self, edge: Edge) -> bool:
        name = edge.model.split(".")[2] if edge.model else edge.name.split(".")[-1]
        return name in self.interface.private

    def _key(self, place: Place) -> Place:
        return self._compared.place_key(place)


def _age(node: Mapping[str, Any]) -> versions.Order:
    return versions.order(node["version"])


def problems(
    found: Iterable[Edge], published: Mapping[str, Published], member: Member
) -> list[str]:
    """What is wrong with each edge, one line each: a model that is not published, or not any
    more, or that lies elsewhere by now. Empty where every edge resolves.

    `published`: by project, for each that mesh.yml names as an upstream.
    """
    lines = []
    for edge in found:
        upstream = published.get(edge.upstream)
        node = upstream.model(edge) if upstream else None
        if upstream is None:
            lines.append(
                f"{edge}, but mesh.yml does not name {edge.upstream} as an upstream: add it with "
                "`copier update --trust --skip-answered --ask upstreams`"
            )
        elif node is None:
            lines.append(f"{edge}{_why(edge, upstream)}")
        elif (named := shared_with(node)) is not None and member.project not in named:
            lines.append(
                f"{edge}, which {edge.upstream} shares with {', '.join(sorted(named)) or 'nobody'} "
                f"only: ask its owners to name {member.project} in its `meta.consumers`"
            )
        elif not upstream.lies_at(node, edge.place):
            lines.append(
                f"{edge} at {'.'.join(edge.place)}, but it is published at "
                f"{'.'.join(upstream.place(node))}: sync again, for this environment"
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
    found: Iterable[Edge], published: Mapping[str, Published], member: Member, today: date
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
                to = upstream.way_out(node, member.project)
                there_is_none = "there is no newer version to move to yet: ask its owners"
                way_out = f"move to {reader_name(to)}" if to else there_is_none
            lines[edge.upstream, edge.name] = (
                f"{edge}, which is deprecated on {until} ({when}): {way_out}"
            )
    return list(lines.values())
