"""Builds the document that is published from a manifest's checked content. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbtmesh.manifest.decode import SCHEMA, Content
from dbtmesh.manifest.graph import nearest, refuse_circles

# Sections that a manifest must have, and whose content is not published.
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


def document_of(content: Content[Any], notes: Mapping[str, str]) -> dict[str, Any]:
    """Builds a dbt manifest of the public models.

    `depends_on` of each names the nearest public models upstream; the private models between them
    are not published. Raises Unfit where a model depends on itself, or there are too many links.
    """
    nodes = content.nodes
    above = nearest(nodes, nodes, lambda uid: content.parents.get(uid, ()))
    refuse_circles(above)
    return {
        "metadata": metadata_of(content.metadata, notes),
        "nodes": {
            uid: {**node, "depends_on": {"macros": [], "nodes": above[uid]}}
            for uid, node in sorted(nodes.items())
        },
        "groups": dict(sorted(content.groups.items())),
        **{section: {} for section in EMPTY_SECTIONS},
    }


def metadata_of(metadata: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "dbt_schema_version": SCHEMA,
        **{key: metadata[key] for key in ("dbt_version", "generated_at") if key in metadata},
        "project_name": metadata["project_name"],
        **{key: metadata[key] for key in ("adapter_type", "quoting") if key in metadata},
        "invocation_id": None,
        "user_id": None,
        "send_anonymous_usage_stats": None,
        "env": dict(notes),
    }
