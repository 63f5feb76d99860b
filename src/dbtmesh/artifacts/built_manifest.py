"""Decodes the parts of a manifest that describe files and nodes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import msgspec

from dbtmesh import MeshError, checked
from dbtmesh.checked import Unfit


class Checksum(msgspec.Struct):
    """The checksum of a file's text.

    It is not a SHA-256 for large seeds (`name` is "path") and for generic tests ("none").
    """

    name: str = ""
    checksum: str = ""


class _DependsOn(msgspec.Struct):
    nodes: list[str] | None = None


class _Config(msgspec.Struct, rename={"post_hook": "post-hook"}):
    access: str | None = None
    materialized: str | None = None
    post_hook: msgspec.Raw = msgspec.Raw()


class Node(msgspec.Struct):
    """A node or macro of any package. Hooks and code are not decoded."""

    package_name: str
    resource_type: str
    original_file_path: str
    name: str = ""
    access: str | None = None
    config: _Config = msgspec.field(default_factory=_Config)
    patch_path: str | None = None
    checksum: Checksum | None = None
    relation_name: str | None = None
    depends_on: _DependsOn | None = None
    raw_code: msgspec.Raw = msgspec.Raw()
    macro_sql: msgspec.Raw = msgspec.Raw()

    @property
    def is_public(self) -> bool:
        return "public" in (self.access, self.config.access)

    @property
    def patch_file(self) -> PurePosixPath | None:
        """The YAML file that describes the node, relative to its project."""
        return _path(self.patch_path.partition("://")[2]) if self.patch_path else None


class _Metadata(msgspec.Struct):
    invocation_id: str | None = None
    dbt_version: str | None = None
    adapter_type: str | None = None


class _Described(msgspec.Struct):
    """Something that a YAML or Markdown file describes: a source, an exposure, a block of docs."""

    package_name: str = ""
    original_file_path: str | None = None


class Manifest(msgspec.Struct):
    metadata: _Metadata
    nodes: dict[str, Node]
    macros: dict[str, Node] = {}
    functions: dict[str, Node] = {}
    disabled: dict[str, list[Node]] = {}
    sources: dict[str, _Described] = {}
    exposures: dict[str, _Described] = {}
    metrics: dict[str, _Described] = {}
    semantic_models: dict[str, _Described] = {}
    saved_queries: dict[str, _Described] = {}
    unit_tests: dict[str, _Described] = {}
    groups: dict[str, _Described] = {}
    docs: dict[str, _Described] = {}

    @property
    def described(self) -> Iterator[_Described]:
        """Everything that comes from a file for which dbt records no checksum."""
        for section in (
            *(self.sources, self.exposures, self.metrics, self.semantic_models),
            *(self.saved_queries, self.unit_tests, self.groups, self.docs),
        ):
            yield from section.values()

    @property
    def is_v2(self) -> bool:
        return (self.metadata.dbt_version or "").startswith("2.")


# Built at import: msgspec crashes if several threads use a type for the first time.
_MANIFEST = msgspec.json.Decoder(Manifest)


def decode(body: bytes, source: str) -> Manifest:
    """Decodes a manifest. Raises MeshError where the bytes of the file `source` are not one."""
    try:
        return checked.decode(body, _MANIFEST)
    except Unfit as error:
        raise MeshError(
            f"{source} is not a dbt manifest ({error}): run `dbt build` again"
        ) from None


def files(manifest: Manifest, project: str) -> dict[PurePosixPath, str | None]:
    """Maps the files from which the project's own nodes were made to their SHA-256.

    None stands for files without a recorded checksum: YAML files, macros, large seeds.
    """
    found: dict[PurePosixPath, str | None] = {}
    for node in _own(manifest, project):
        if node.patch_file:
            found.setdefault(node.patch_file, None)
        if node.resource_type == "operation":  # a hook, in dbt_project.yml
            continue
        path = _path(node.original_file_path)
        if node.checksum and node.checksum.name == "sha256" and node.checksum.checksum:
            found[path] = node.checksum.checksum
        else:
            found.setdefault(path, None)
    for each in manifest.described:
        if each.package_name == project and each.original_file_path:
            found.setdefault(_path(each.original_file_path), None)
    return found


@dataclass(frozen=True)
class OfPackage:
    """A file of an installed package, as dbt read it.

    path: relative to the package's folder. checksum: the SHA-256 of a model's SQL. macros: the text
    of each macro in the file.
    """

    package: str
    path: PurePosixPath
    checksum: str | None = None
    macros: tuple[str, ...] = ()


def package_files(manifest: Manifest, project: str) -> list[OfPackage]:
    """Returns the SQL files of other packages, with the checksum or the text that dbt recorded."""
    found: dict[tuple[str, PurePosixPath], OfPackage] = {}
    for node in (*manifest.nodes.values(), *manifest.macros.values()):
        if node.package_name == project or not node.original_file_path.endswith(".sql"):
            continue
        key = (node.package_name, _path(node.original_file_path))
        known = found.get(key, OfPackage(*key))
        if bytes(node.macro_sql):
            text = str(msgspec.json.decode(node.macro_sql) or "").strip()
            known = replace(known, macros=(*known.macros, text))
        elif node.checksum and node.checksum.name == "sha256" and node.checksum.checksum:
            known = replace(known, checksum=node.checksum.checksum)
        found[key] = known
    return list(found.values())


def disabled(manifest: Manifest, project: str) -> frozenset[PurePosixPath]:
    """Returns the files of disabled nodes, for which dbt records no checksum that has to match."""
    return frozenset(
        _path(node.original_file_path)
        for nodes in manifest.disabled.values()
        for node in nodes
        if node.package_name == project
    )


def _own(manifest: Manifest, project: str) -> Iterator[Node]:
    for section in (manifest.nodes, manifest.macros, manifest.functions):
        yield from (node for node in section.values() if node.package_name == project)


def _path(text: str) -> PurePosixPath:
    return PurePosixPath(text.replace("\\", "/"))
