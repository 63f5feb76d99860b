"""Finds models with `access: public` beside `config` instead of in it, which dbt v2 ignores.

dbt Core reads both. dbt v2 makes such a model protected, so a project that moves to v2 would
silently stop publishing it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dbtmesh import checked, yaml_files
from dbtmesh.checked import Unfit

SHOWN = 3


class _Metadata(msgspec.Struct):
    dbt_version: str = ""


class _Node(msgspec.Struct):
    name: str = ""
    package_name: str = ""
    access: str | None = None
    patch_path: str | None = None


class _Manifest(msgspec.Struct):
    metadata: _Metadata
    nodes: dict[str, _Node] = {}


# Built at import: msgspec crashes if several threads use a type for the first time.
_MANIFEST = msgspec.json.Decoder(_Manifest)


def told(root: Path, manifest: bytes, project: str) -> str | None:
    """Returns what is wrong and what to do, in one line; None if nothing is wrong.

    root: the folder of the project that the manifest belongs to.
    """
    try:
        decoded = checked.decode(manifest, _MANIFEST)
    except Unfit:
        return None  # the invalid part is not published: see `manifest.decode`
    if not decoded.metadata.dbt_version.startswith("2."):
        return None
    hidden: dict[str, set[str]] = defaultdict(set)  # file → models that are not public there
    for node in decoded.nodes.values():
        if node.package_name == project and node.patch_path and node.access != "public":
            hidden[node.patch_path.removeprefix(f"{project}://")].add(node.name)
    found = [
        f"{model} ({path})"
        for path, models in sorted(hidden.items())
        for model in _public_beside_config(root / path)
        if model in models
    ]
    if not found:
        return None
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return (
        f"dbt v2 reads `access` under `config` only, so these are not public: "
        f"{', '.join(found[:SHOWN])}{more}. Move `access: public` there under `config:`"
    )


def _public_beside_config(path: Path) -> Iterator[str]:
    models = yaml_files.mapping(path).get("models")
    for model in models if isinstance(models, list) else ():
        if not isinstance(model, dict):
            continue
        versions = model.get("versions")
        each = [model, *(versions if isinstance(versions, list) else ())]
        if any(isinstance(part, dict) and part.get("access") == "public" for part in each):
            yield str(model.get("name"))
