"""Reduces a full manifest, of any size, to the sealed interface that is published. Pure.

What is left out is never built: reading takes the time of scanning the JSON.
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
    """The sealed interface of a full manifest.

    `commit`: of the code that was built, recorded in the publication. `source`: where the
    manifest is from, for errors.
    Raises MeshError where the manifest is no v12 manifest of this project, or readers would refuse
    what it publishes.
    """
    with explained(source, "mend that, and build again with dbt"):
        content = read(manifest, project, METADATA)
        document = document_of(content, {COMMIT: commit} if commit else {})
    return seal(document, project, content.generated_at, content.private)
