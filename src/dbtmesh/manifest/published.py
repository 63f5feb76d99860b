"""The interface in a publication's bytes, as a reader downloads them. Pure."""

from __future__ import annotations

import msgspec

from dbtmesh import MeshError, sha256
from dbtmesh.manifest.decode import (
    Malformed,
    Names,
    document,
    explained,
    generated_at,
    is_published,
    public_nodes,
)
from dbtmesh.manifest.interface import DIGEST, VERSION, Interface, reader_names
from dbtmesh.manifest.seal import UNSEALED, version_of, with_digest

_NAMES = msgspec.json.Decoder(Names)


def read(body: bytes, project: str) -> Interface:
    """The interface in a publication's bytes, as a consumer downloads them.

    A manifest that another tool put there has no seal; it is read all the same, without what is
    not public. Raises MeshError where the bytes are damaged, or are not this project's manifest.
    """
    with explained(f"the published manifest of {project}", "have it published again"):
        raw = document(body, project)
        environment = raw.metadata.get("env")
        environment = environment if isinstance(environment, dict) else {}
        digest = environment.get(DIGEST)
        if digest and sha256(with_digest(body, digest, UNSEALED)) != digest:
            raise Malformed("is damaged (its digest does not match)")
        nodes, private, _ = public_nodes(raw, project)
        built = generated_at(raw.metadata)
    return Interface(
        project=project,
        version=str(environment.get(VERSION) or version_of(built, sha256(body))),
        generated_at=built,
        adapter_type=raw.metadata.get("adapter_type") or "snowflake",
        nodes=dict(sorted(nodes.items())),
        private=private,
        manifest={"metadata": raw.metadata, "nodes": nodes, "groups": raw.groups},
        body=body,
    )


def names(body: bytes, project: str) -> frozenset[str]:
    """The names that a reader of a publication may use; cheaper than reading all of it.

    Raises MeshError where the bytes are no manifest.
    """
    try:
        nodes = _NAMES.decode(body).nodes
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeshError(f"no dbt manifest of {project} ({error})") from None
    published = {
        uid: msgspec.structs.asdict(node)
        for uid, node in nodes.items()
        if uid.startswith("model.") and node.package_name == project and is_published(node)
    }
    return frozenset(name for name, _ in reader_names(published))
