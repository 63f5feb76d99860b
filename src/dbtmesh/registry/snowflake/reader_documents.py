"""Splits a publication by reader, so that only named consumers see the models that are limited to
them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbtmesh.config import NAME
from dbtmesh.manifest.interface import Interface, shared_with
from dbtmesh.manifest.published import read
from dbtmesh.manifest.seal import part
from dbtmesh.registry.snowflake.sql import OWNER
from dbtmesh.snowflake.names import reader_name


def documents(body: bytes, project: str) -> Mapping[str | None, bytes]:
    """Returns the document for each reader: a database role, OWNER, or None for all others.

    There is only one document, for None, where no model names its consumers.
    Raises MeshError where the body is not a publication of the project.
    """
    whole = read(body, project)
    shared = {uid: shared_with(node) for uid, node in whole.nodes.items()}
    named = {name for names in shared.values() for name in names or () if NAME.fullmatch(name)}
    if all(names is None for names in shared.values()):
        return {None: body}
    return {
        OWNER: body,
        None: _visible(whole, shared, None),
        **{reader_name(name): _visible(whole, shared, name) for name in sorted(named)},
    }


def _visible(
    whole: Interface, shared: Mapping[str, frozenset[str] | None], consumer: str | None
) -> bytes:
    nodes: dict[str, Mapping[str, Any]] = {
        uid: node
        for uid, node in whole.nodes.items()
        if (names := shared[uid]) is None or consumer in names
    }
    return part(whole, nodes).body
