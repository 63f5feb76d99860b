"""Edges from this project's models to other projects', and what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mesh.config import Member
from mesh.interface import Interface, reader_name, reader_names, relation

RUNNABLE = ("model", "snapshot", "seed", "analysis", "exposure", "metric", "saved_query")


@dataclass(frozen=True)
class Edge:
    """One node of this project reads one model of another.

    node: unique_id of the reader; upstream: the project read; name: what the reader calls the
    model; model: unique_id in the upstream, where the reader knows it; place: (database, schema,
    identifier) that the reader will read.
    """

    node: str
    upstream: str
    name: str
    model: str | None
    place: tuple[str, str, str]

    def __str__(self) -> str:
        return f"{self.node.split('.', 1)[1]} reads {self.upstream}.{self.name}"


def edges(manifest: Mapping[str, Any], member: Member) -> list[Edge]:
    """Every edge across projects: through a source (native) or through ref (loom).

    A source that lies in a database of an upstream is an edge too, whatever it is called.
    """
    adapter = manifest["metadata"].get("adapter_type") or "snowflake"
    targets = {
        **_source_targets(manifest, member, adapter),
        **_ref_targets(manifest, member, adapter),
    }
    return sorted(
        (
            Edge(reader, *targets[parent])
            for reader, parents in _readers(manifest, member.project)
            for parent in parents
            if parent in targets
        ),
        key=lambda edge: (edge.upstream, edge.name, edge.node),
    )


Target = tuple[str, str, str | None, tuple[str, str, str]]


def _readers(manifest: Mapping[str, Any], project: str) -> Iterator[tuple[str, list[str]]]:
    for section in ("nodes", "exposures", "metrics", "saved_queries"):
        for uid, node in (manifest.get(section) or {}).items():
            if node.get("package_name") == project and uid.split(".")[0] in RUNNABLE:
                yield uid, sorted(set((node.get("depends_on") or {}).get("nodes") or []))


def _source_targets(
    manifest: Mapping[str, Any], member: Member, adapter: str
) -> dict[str, Target]:
    owners = {
        f"{upstream.database_prefix}_{suffix}": upstream.name
        for upstream in member.upstreams
        for suffix in ("PROD", "DEV", "LOCAL")
    }
    names = {upstream.name for upstream in member.upstreams}
    targets = {}
    for uid, source in (manifest.get("sources") or {}).items():
        meta = {**(source.get("meta") or {}), **((source.get("config") or {}).get("meta") or {})}
        place = _place({**source, "alias": source.get("identifier")}, adapter)
        owner = meta.get("mesh_upstream") or owners.get(place[0].upper())
        if owner is None and source.get("source_name") in names:
            owner = source["source_name"]
        if owner is not None:
            targets[uid] = (owner, source["name"], meta.get("unique_id"), place)
    return targets


def _ref_targets(manifest: Mapping[str, Any], member: Member, adapter: str) -> dict[str, Target]:
    names = {upstream.name for upstream in member.upstreams}
    return {
        uid: (node["package_name"], reader_name(node), uid, _place(node, adapter))
        for uid, node in manifest["nodes"].items()
        if node.get("package_name") in names and node.get("resource_type") == "model"
    }


def _place(node: Mapping[str, Any], adapter: str) -> tuple[str, str, str]:
    database, schema, identifier = relation(node, adapter)
    return database.text, schema.text, identifier.text


def problems(found: Iterable[Edge], interfaces: Mapping[str, Interface]) -> list[str]:
    """What is wrong with each edge, one line each: a model that is not published, or not any
    more, or that lies elsewhere by now. Empty where every edge resolves."""
    published = {
        upstream: (dict(reader_names(interface.nodes)), interface)
        for upstream, interface in interfaces.items()
    }
    lines = []
    for edge in found:
        names, interface = published[edge.upstream]
        node = interface.nodes.get(edge.model) if edge.model else names.get(edge.name)
        if node is None:
            lines.append(f"{edge}, which {_why(edge, interface)}")
            continue
        place = _place(node, interface.adapter_type)
        if [part.casefold() for part in place] != [part.casefold() for part in edge.place]:
            lines.append(
                f"{edge} at {'.'.join(edge.place)}, but it is published at {'.'.join(place)}: "
                "sync again, for this environment"
            )
    return lines


def _why(edge: Edge, interface: Interface) -> str:
    if edge.name in interface.private or (edge.model or "").split(".")[-1] in interface.private:
        return f"is private to {edge.upstream}: ask its owners to make it public"
    if edge.model is None:
        return (
            f"{edge.upstream} does not publish: read one of its public models, through the "
            "generated source"
        )
    return f"{edge.upstream} does not publish any more: ask its owners, or read another model"
