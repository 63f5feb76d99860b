"""Reads the interface in a publication's bytes, as a reader downloads them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import cast

import msgspec

from dbtmesh import sha256
from dbtmesh.checked import Unfit, Word, bounded, decode
from dbtmesh.manifest import unchanged
from dbtmesh.manifest.decode import Probe, explained, is_published
from dbtmesh.manifest.decode import read as content_of
from dbtmesh.manifest.document import document_of
from dbtmesh.manifest.fields import PUBLISHED_METADATA, Version
from dbtmesh.manifest.interface import DIGEST, VERSION, WHOLE, Interface, reader_names
from dbtmesh.manifest.seal import is_whole, seal, version_of


def read(body: bytes, project: str, databases: Collection[str] | None = None) -> Interface:
    """Reads the interface in a publication's bytes, validates it, and drops unknown fields.

    A manifest that another tool published has no seal, and is read as well. databases: the
    databases that the models may be in (`config.Upstream.databases`), as the warehouse stores their
    names; None for any. Raises MeshError, in one line, where the bytes are damaged, are not this
    project's manifest, or contain something that is not allowed.
    """
    with explained(f"the published manifest of {project}", "have it published again"):
        if found := unchanged.read(bounded(body), project, databases):
            return found
        content = content_of(body, project, PUBLISHED_METADATA, databases)
        notes = cast(dict[str, str], content.metadata.get("env") or {})
        digest = notes.get(DIGEST)
        if digest and not is_whole(body, digest):
            raise Unfit("it is damaged (its digest does not match)")
        document = document_of(content, notes)
    version = notes.get(VERSION) or version_of(content.generated_at, sha256(body))
    interface = seal(document, project, content.generated_at, content.private, version, body)
    # the digest of the bytes as they were published, which others may have recorded
    return replace(interface, digest=notes.get(WHOLE) or digest or sha256(body))


class _Named(Probe):
    """The fields of a node that determine what its readers call it."""

    name: Word
    version: Version | None = None
    latest_version: Version | None = None


class _Names(msgspec.Struct):
    nodes: dict[str, _Named]


_NAMES = msgspec.json.Decoder(_Names)


def names(body: bytes, project: str) -> frozenset[str]:
    """Returns the names that a reader of a publication may use. Cheaper than `read`.

    Raises MeshError where the bytes are not a manifest.
    """
    with explained(f"the manifest of {project}", "have it published again"):
        nodes = decode(bounded(body), _NAMES).nodes
    published = {
        uid: msgspec.structs.asdict(node)
        for uid, node in nodes.items()
        if uid.startswith("model.") and node.package_name == project and is_published(node)
    }
    return frozenset(name for name, _ in reader_names(published))
