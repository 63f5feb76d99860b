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
    """One node of this project that reads one model of another.

    node: the unique_id of the reader. upstream: the project that is read. name: the reader's name
    for the model. model: the model's unique_id in the upstream, if the reader knows it. place: the
    relation that the reader will read.
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
    """The fields of an entry in a manifest that tell what it reads.

    given: the inputs of a unit test. sources: those that a function's SQL names (dbt 1.11).
    `depends_on` contains neither.
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
    """The fields of a node or source that also tell its relation."""

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
in `nodes`."""


class Manifest(msgspec.Struct):
    """The part of a full manifest that lineage needs. To decode all takes ten times as long."""

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
        """Everything that may read a model. A test compares READING with what dbt writes."""
        for section in READING:
            yield from getattr(self, section).values()


# Built at import: msgspec crashes if several threads use a type for the first time.
_MANIFEST = msgspec.json.Decoder(Manifest)


def read(body: bytes, project: str) -> Manifest:
    """Decodes a manifest. Raises MeshError where it is invalid, or that of another project."""
    try:
        manifest = checked.decode(body, _MANIFEST)
    except Unfit as error:
        raise MeshError(f"is not a dbt manifest ({error}): run `dbt parse` again") from None
    if manifest.metadata.project_name != project:
        raise MeshError(f"is of project {manifest.metadata.project_name!r}, not {project!r}")
    return manifest


def edges(manifest: Manifest, member: Member) -> list[Edge]:
    """Returns every edge to another project: through a source (native) or through `ref` (loom).

    A source in a database of an upstream is an edge as well, regardless of its name.
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
    """Yields the parents of a unit test's model for which the test gives rows."""
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
    """Yields the sources that a function's SQL names. Those of its own package take precedence."""
    for each in reader.sources if isinstance(reader.sources, list) else ():
        alike = named.get(tuple(each), []) if isinstance(each, list) else []
        own = [uid for uid in alike if manifest.sources[uid].package_name == reader.package_name]
        yield from own or alike


_INPUT = re.compile(r"""(?:ref|source)\(\s*['"]([^'"]+)['"]\s*,\s*['"]([^'"]+)['"]""")


def given_name(text: str | None) -> tuple[str, str] | None:
    """Returns project or source, and name, of a unit test's input: `ref('up', 'orders')`.

    Returns None for one of the project's own models, such as `ref('orders')`.
    """
    match = _INPUT.search(text or "")
    return (match[1], match[2]) if match else None


def _is_external(node: _Node, member: Member) -> bool:
    """Checks whether a model is another project's.

    Either a plugin added it, so that it has no file, or a sync defined it for references in
    properties files (`downstream.ref_packages`).
    """
    if node.resource_type != "model" or node.package_name == member.project:
        return False
    upstreams = {upstream.name for upstream in member.upstreams}
    return not node.original_file_path or node.package_name in upstreams


Target = tuple[str, str, str | None, Place]
"""The upstream, the reader's name for the model, its unique_id if known, and its relation."""


def source_targets(
    manifest: Manifest, member: Member, warehouse: Warehouse
) -> Iterator[tuple[str, Target]]:
    """Yields sources that a sync wrote, and those in a database of an upstream, with their target.

    Their names do not matter: a source that only has the name of an upstream is the project's own.
    """
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
    """The models that one upstream publishes, to look up by what a reader knows of them.

    reader: the warehouse for which the reader's manifest was parsed. For DuckDB, case is ignored in
    comparisons, even if the upstream has published from another warehouse.
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
        """Returns the model that an edge refers to; None if there is none.

        The model is found by its unique_id, else by its relation, else by its name. The relation
        finds a version of a model that had no versions before.
        """
        node = self.interface.nodes.get(edge.model) if edge.model else None
        return node or self._places.get(self._key(edge.place)) or self._names.get(edge.name)

    def lies_at(self, node: Mapping[str, Any], place: Place) -> bool:
        return self._key(self.place(node)) == self._key(place)

    def way_out(self, node: Mapping[str, Any], reader: str) -> Mapping[str, Any] | None:
        """Returns the version to which the reader of a deprecated one can move.

        It is the latest version, or else the newest. Returns None if every other version is older,
        deprecated as well, or not shared with this reader.
        """
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
    """Returns a line for each edge that does not resolve.

    Its model is not published, no longer published, not shared with this project, or has moved.
    published: by project, for each upstream in mesh.yml.
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
    """Returns a line for each model in use that has a deprecation date."""
    lines = {}
    for edge in found:
        upstream = published.get(edge.upstream)
        node = upstream.model(edge) if upstream else None
        if node and node.get("deprecation_date"):
            # dbt writes midnight in the time zone where it parsed the file: only the day counts
            until = date.fromisoformat(str(node["deprecation_date"])[:10])
            left = (until - today).days
            when = f"in {left} days" if left >= 0 else f"{-left} days ago"
            way_out = "ask its owners what replaces it"
            if node.get("version") is not None and upstream:
                to = upstream.way_out(node, member.project)
                there_is_none = "there is no newer version to move to yet: ask its owners"
                way_out = f"move to {reader_name(to)}" if to else there_is_none
            lines[edge.upstream, edge.name] = (
                f"{edge}, which is deprecated on {until} ({when}): {way_out}"
            )
    return list(lines.values())
