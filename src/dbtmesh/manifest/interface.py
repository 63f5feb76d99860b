"""Defines the public interface of a project: a dbt manifest that contains only its public models.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from dbtmesh.manifest.versions import is_latest
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Fields

VERSION, DIGEST, COMMIT = "DBT_MESH_VERSION", "DBT_MESH_DIGEST", "DBT_MESH_COMMIT"
ALLOWED, ROLLBACK, STUB = "DBT_MESH_ALLOWED", "DBT_MESH_ROLLBACK", "DBT_MESH_STUB"
CATALOG, WHOLE = "DBT_MESH_CATALOG", "DBT_MESH_WHOLE"
"""Keys of `metadata.env`, the one place where the manifest's schema allows additional keys.

ALLOWED: the breaking changes that --allow-breaking let through. ROLLBACK: the version that a
rollback restores. STUB: the version from which stub tables on a laptop were made. CATALOG: the
models (unique_ids, separated by spaces) whose columns were completed from dbt's catalog. WHOLE: the
digest of the whole publication, in a part of it that one reader gets.
"""


F = TypeVar("F", bound=Fields)


@dataclass(frozen=True)
class Interface:
    """One publication of a project's public models.

    private: the names of the project's other models, known only if a full manifest was read.
    generated_at: when dbt compiled the project; the later of two publications is the newer one.
    digest: the SHA-256 that identifies the publication: its seal, or that of its bytes without one.
    body: the sealed bytes to publish or to store. plain, typed: the content of `body` if it is
    decoded already; see `manifest` and `models`.
    """

    project: str
    version: str
    digest: str
    generated_at: datetime
    warehouse: Warehouse
    private: frozenset[str]
    body: bytes
    plain: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    typed: Mapping[str, Fields] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The decoded content of `body`."""
        plain: Mapping[str, Any]
        plain = msgspec.json.decode(self.body) if self.plain is None else self.plain
        return plain

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """The nodes of the manifest by unique_id: only public models of this project, sorted."""
        nodes: Mapping[str, Mapping[str, Any]] = self.manifest["nodes"]
        return nodes

    @property
    def models(self) -> Mapping[str, Fields]:
        """The nodes, for callers that only read single fields: they need not be decoded again."""
        return self.nodes if self.typed is None else self.typed

    @property
    def notes(self) -> Mapping[str, Any]:
        """The notes of the publication in `metadata.env`: VERSION, COMMIT, ALLOWED and so on."""
        notes: Mapping[str, Any] = self.manifest["metadata"].get("env") or {}
        return notes

    def same_build(self, other: Interface) -> bool:
        """Checks whether both come from the same dbt run, even if their notes differ."""
        return self.version == other.version or (
            self.generated_at == other.generated_at and self.nodes == other.nodes
        )


def reader_name(node: Fields) -> str:
    """Returns `m`, or `m_v1` for a version, spelled as dbt spells its alias."""
    version = node.get("version")
    return str(node["name"]) + ("" if version is None else f"_v{version}".replace(".", "_"))


def reader_names(nodes: Mapping[str, F]) -> Iterator[tuple[str, F]]:
    """Yields each name that a reader may use, with its model.

    A model without versions is `m`. Versions are `m_v1` and `m_v2`, and the latest is `m` as well,
    unless a model without versions has that name.
    """
    own = {node["name"] for node in nodes.values() if node.get("version") is None}
    for node in nodes.values():
        if node.get("version") is None:
            yield node["name"], node
            continue
        if (pinned := reader_name(node)) not in own:
            yield pinned, node
        if is_latest(node) and node["name"] not in own:
            yield node["name"], node


def shared_with(node: Fields) -> frozenset[str] | None:
    """Returns the projects that may read a model (`config.meta.consumers`); None for all."""
    meta = (node.get("config") or {}).get("meta") or node.get("meta")
    if not meta or (named := meta.get("consumers")) is None:
        return None
    if isinstance(named, str):
        return frozenset(re.findall(r"[^,\s]+", named))
    return frozenset(map(str, named if isinstance(named, list) else [named]))
