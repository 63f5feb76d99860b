"""Seals a publication: gives it its version and its digest. Pure.

The digest is the SHA-256 of the publication's bytes, with 64 zeros in place of the digest itself. A
copy can therefore be checked anywhere, without a second file that could get out of step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from dbtmesh import sha256
from dbtmesh.checked import is_clean, prose
from dbtmesh.manifest.graph import nearest
from dbtmesh.manifest.interface import ALLOWED, CATALOG, DIGEST, VERSION, WHOLE, Interface
from dbtmesh.warehouse.adapter import Warehouse

UNSEALED = "0" * 64


def seal(
    document: Mapping[str, Any],
    project: str,
    generated_at: datetime,
    private: frozenset[str],
    version: str | None = None,
    came: bytes = b"",
) -> Interface:
    """Returns a document of checked fields as an interface, with its version and digest.

    version: the version to keep; None for a new one. came: the bytes from which the document was
    read, if their digest is right. They and their digest are kept, unless the document is encoded
    differently.
    """
    metadata = dict(document["metadata"])
    given = metadata.get("env", {})
    kept = {k: v for k, v in given.items() if k not in (VERSION, DIGEST)}
    if version is None:
        document, unsealed = _encoded(document, metadata, kept)
        version = version_of(generated_at, sha256(unsealed))
    digest = given.get(DIGEST, UNSEALED) if came else UNSEALED
    document, body = _encoded(document, metadata, {**kept, VERSION: version, DIGEST: digest})
    if body != came:
        body = with_digest(body, digest, UNSEALED)
        digest = sha256(body)
        body = with_digest(body, UNSEALED, digest)
    metadata = document["metadata"]
    return Interface(
        project=project,
        version=version,
        digest=digest,
        generated_at=generated_at,
        warehouse=Warehouse.of(metadata.get("adapter_type")),
        private=private,
        body=body,
        plain=document,
    )


def _encoded(
    document: Mapping[str, Any], metadata: Mapping[str, Any], notes: Mapping[str, str]
) -> tuple[Mapping[str, Any], bytes]:
    """Returns the document with these notes, its texts cleaned by `prose`, and its bytes."""
    noted = {**document, "metadata": {**metadata, "env": notes}}
    body = msgspec.json.encode(noted)
    if is_clean(body):
        return noted, body
    noted = _cleaned(noted)
    return noted, msgspec.json.encode(noted)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return prose(value)
    if isinstance(value, Mapping):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


def _noted(digest: str) -> bytes:
    return f'"{DIGEST}":"{digest}"'.encode()


def with_digest(body: bytes, old: str, new: str) -> bytes:
    # only the first match: it is the metadata's, which precedes any text of a model
    return body.replace(_noted(old), _noted(new), 1)


def is_whole(body: bytes, digest: str) -> bool:
    """Checks whether `body`, in which `digest` is noted, has that digest."""
    noted = _noted(digest)
    at, view = body.find(noted), memoryview(body)
    if at < 0:
        return sha256(body) == digest
    return sha256(view[:at], _noted(UNSEALED), view[at + len(noted) :]) == digest


def version_of(generated_at: datetime, digest: str) -> str:
    """Returns a version that sorts by time of compilation.

    The digest distinguishes two publications of the same microsecond.
    """
    return f"{generated_at:%Y%m%dT%H%M%S.%f}Z-{digest[:12]}"


def annotated(
    interface: Interface,
    notes: Mapping[str, str],
    generated_at: datetime | None = None,
    *,
    keep: Iterable[str] | None = None,
) -> Interface:
    """Returns the interface as a new publication with additional notes.

    generated_at: the time of the new publication; None for that of the interface. keep: the
    existing notes to keep; None for all.
    """
    when = generated_at or interface.generated_at
    kept = {k: v for k, v in interface.notes.items() if keep is None or k in keep}
    metadata = {**interface.manifest["metadata"], "env": {**kept, **notes}}
    if generated_at:
        metadata["generated_at"] = f"{generated_at:%Y-%m-%dT%H:%M:%S.%fZ}"
    document = {**interface.manifest, "metadata": metadata}
    return seal(document, interface.project, when, interface.private)


def part(interface: Interface, nodes: Mapping[str, Mapping[str, Any]]) -> Interface:
    """Returns the part of an interface for a reader who may see only the models `nodes`.

    It does not contain even the names of other models. It has the version of the whole publication,
    and a digest of its own bytes, so that they can be checked. The digest of the whole publication,
    by which others know it, is in its note WHOLE.
    """
    above = nearest(nodes, nodes, lambda uid: interface.nodes[uid]["depends_on"]["nodes"])
    shown = {
        uid: {**node, "depends_on": {**node["depends_on"], "nodes": above[uid]}}
        for uid, node in nodes.items()
    }
    notes = {k: v for k, v in interface.notes.items() if k != ALLOWED}  # its text names models
    if CATALOG in notes:
        notes[CATALOG] = " ".join(uid for uid in notes[CATALOG].split() if uid in nodes)
    notes[WHOLE] = interface.digest
    groups = {node["group"] for node in nodes.values() if node.get("group")}
    document = {
        **interface.manifest,
        "metadata": {**interface.manifest["metadata"], "env": notes},
        "nodes": shown,
        "groups": {
            uid: group
            for uid, group in interface.manifest.get("groups", {}).items()
            if group["name"] in groups
        },
    }
    return seal(
        document, interface.project, interface.generated_at, interface.private, interface.version
    )


def reduced(interface: Interface, nodes: Mapping[str, Mapping[str, Any]]) -> Interface:
    """Returns the same publication with only the models `nodes`, as one reader stores it.

    It has the version and the digest of the whole publication; its bytes are sealed again.
    """
    document = {**interface.manifest, "nodes": nodes}
    part = seal(
        document, interface.project, interface.generated_at, interface.private, interface.version
    )
    return replace(part, digest=interface.digest)
