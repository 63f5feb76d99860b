"""The seal of a publication: its version and its digest. Pure.

The digest is that of the very bytes, taken with 64 zeros in its own place, so that a copy can be
checked wherever it lies, without a second file that could be out of step.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dbtmesh import sha256
from dbtmesh.manifest.interface import DIGEST, VERSION, Interface

UNSEALED = "0" * 64


def seal(
    document: dict[str, Any], project: str, generated_at: datetime, private: frozenset[str]
) -> Interface:
    """Gives the document its version and its digest."""
    version = version_of(generated_at, sha256(msgspec.json.encode(document)))
    document["metadata"]["env"] |= {VERSION: version, DIGEST: UNSEALED}
    body = msgspec.json.encode(document)
    return Interface(
        project=project,
        version=version,
        generated_at=generated_at,
        adapter_type=document["metadata"].get("adapter_type") or "snowflake",
        nodes=document["nodes"],
        private=private,
        manifest=document,
        body=with_digest(body, UNSEALED, sha256(body)),
    )


def with_digest(body: bytes, old: str, new: str) -> bytes:
    field = f'"{DIGEST}":"%s"'
    # the first one is the metadata's own, which comes before all that a model could hold
    return body.replace((field % old).encode(), (field % new).encode(), 1)


def version_of(generated_at: datetime, digest: str) -> str:
    """Sorts by time of compilation; the digest tells two of the same microsecond apart."""
    return f"{generated_at:%Y%m%dT%H%M%S.%f}Z-{digest[:12]}"


def annotated(
    interface: Interface, notes: Mapping[str, str], generated_at: datetime | None = None
) -> Interface:
    """An extracted interface, sealed again with further notes, and perhaps as of another time."""
    when = generated_at or interface.generated_at
    kept = {key: value for key, value in interface.notes.items() if key not in (VERSION, DIGEST)}
    metadata = {**interface.manifest["metadata"], "env": {**kept, **notes}}
    if generated_at:
        metadata["generated_at"] = f"{generated_at:%Y-%m-%dT%H:%M:%S.%fZ}"
    document = {**interface.manifest, "metadata": metadata}
    return seal(document, interface.project, when, interface.private)
