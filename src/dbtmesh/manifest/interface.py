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
"""Keys of `metadata.env`, the one place where the manifest's schema leaves room for others.

ALLOWED: what was published with --allow-breaking; ROLLBACK: the version that it puts back; STUB:
the version that a stand-in on a laptop was made of, whose tables nobody built. CATALOG: the models
(unique_ids, separated by spaces) whose columns were completed from dbt's catalog. WHOLE: of a part
that one reader gets, the digest of the publication that it is of.
"""


F = TypeVar("F", bound=Fields)


@dataclass(frozen=True)
class Interface:
    """A project's public models, and which publication of them this is.

    private: names of its other models, known only where a full manifest was read.
    generated_at: when dbt compiled it; of two publications the later one is newer.
    digest: SHA-256 that tells this publication from others: its seal, else that of its bytes.
    body: the sealed bytes to publish, or to keep. plain, typed: what they hold, where that is
    decoded already: see `manifest` and `models`.
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
        """What `body` holds."""
        plain: Mapping[str, Any]
        plain = msgspec.json.decode(self.body) if self.plain is None else self.plain
        return plain

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """unique_id → node of the manifest, public models of this project only, sorted."""
        nodes: Mapping[str, Mapping[str, Any]] = self.manifest["nodes"]
        return nodes

    @property
    def models(self) -> Mapping[str, Fields]:
        """The nodes for those who only ask their fields: nobody has to decode them once more."""
        return self.nodes if self.typed is None else self.typed

    @property
    def notes(self) -> Mapping[str, Any]:
        """What its publication says of itself: VERSION, COMMIT, ALLOWED and so on."""
        notes: Mapping[str, Any] = self.manifest["metadata"].get("env") or {}
        return notes

    def same_build(self, other: Interface) -> bool:
        """Of one run of dbt, though with other notes, perhaps."""
        return self.version == other.version or (
            self.generated_at == other.generated_at and self.nodes == other.nodes
        )


def reader_name(node: Fields) -> str:
    """`m`, or `m_v1` for a version, spelled as dbt spells its alias."""
    version = node.get("version")
    return str(node["name"]) + ("" if version is None else f"_v{version}".replace(".", "_"))


def reader_names(nodes: Mapping[str, F]) -> Iterator[tuple[str, F]]:
    """Each name that a reader may use, with its model: `m`, and for versioned ones `m_v1`, `m_v2`
    and `m` for the latest. A model that bears such a name itself keeps it."""
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
    """The projects that a model's owner lets read it (`config.meta.consumers`); None: all."""
    meta = (node.get("config") or {}).get("meta") or node.get("meta")
    if not meta or (named := meta.get("consumers")) is None:
        return None
    if isinstance(named, str):
        return frozenset(re.findall(r"[^,\s]+", named))
    return frozenset(map(str, named if isinstance(named, list) else [named]))
