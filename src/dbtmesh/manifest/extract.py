"""From a full manifest, of any size, to the sealed interface that is published. Pure.

What is left out is never built: reading takes the time of scanning the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbtmesh.manifest.decode import document, explained, generated_at, public_nodes
from dbtmesh.manifest.graph import nearest
from dbtmesh.manifest.interface import COMMIT, Interface
from dbtmesh.manifest.seal import seal

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


def extract(
    manifest: bytes, project: str, *, commit: str | None = None, source: str = "the manifest"
) -> Interface:
    """The sealed interface of a full manifest.

    `commit`: of the code that was built, recorded in the publication. `source`: where the
    manifest is from, for errors.
    Raises MeshError where the manifest is no v12 manifest of this project.
    """
    with explained(source, "build it again with dbt"):
        raw = document(manifest, project)
        nodes, private, parents = public_nodes(raw, project)
        built = generated_at(raw.metadata)
    above = nearest(nodes, nodes, lambda uid: parents.get(uid, ()))
    groups = {node.get("group") for node in nodes.values()}
    whole: dict[str, Any] = {
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
    return seal(whole, project, built, private)


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
