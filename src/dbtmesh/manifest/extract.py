"""Reduces a full manifest, of any size, to the sealed interface that is published. Pure.

What is left out is never decoded, so reading takes only as long as scanning the JSON.
"""

from __future__ import annotations

from dbtmesh.manifest.decode import explained, read
from dbtmesh.manifest.document import document_of
from dbtmesh.manifest.fields import METADATA
from dbtmesh.manifest.interface import COMMIT, Interface
from dbtmesh.manifest.seal import seal


def extract(
    manifest: bytes, project: str, *, commit: str | None = None, source: str = "the manifest"
) -> Interface:
    """Returns the sealed interface of a full manifest.

    commit: the commit that was built; it is recorded in the publication. source: where the manifest
    is from, as errors name it.
    Raises MeshError where the manifest is not a v12 manifest of this project, or readers would
    refuse what it publishes.
    """
    with explained(source, "mend that, and build again with dbt"):
        content = read(manifest, project, METADATA)
        document = document_of(content, {COMMIT: commit} if commit else {})
    return seal(document, project, content.generated_at, content.private)
