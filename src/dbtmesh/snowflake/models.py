"""Finds what dbt builds in prod, and which of it is public, in the manifest of a prod run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dbtmesh import MeshError, checked
from dbtmesh.artifacts.hooks import OF_GRANTS, Hook
from dbtmesh.checked import Unfit
from dbtmesh.config import Member
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import shared_with
from dbtmesh.snowflake.expected import Public
from dbtmesh.snowflake.names import Names
from dbtmesh.snowflake.objects import Object
from dbtmesh.warehouse.names import canonical, sql_name

BUILT = frozenset({"model", "seed", "snapshot"})


@dataclass(frozen=True)
class Models:
    """The relations in prod, by the manifest of a prod run.

    public: the relations with `access: public`. built: the names of all relations that dbt builds.
    lacking: the hooks for grants that dbt_project.yml does not call.
    """

    public: Public
    built: Collection[str]
    lacking: tuple[Hook, ...] = ()


class _Node(msgspec.Struct):
    resource_type: str
    package_name: str = ""
    database: str | None = None
    relation_name: str | None = None
    raw_code: str | None = None
    depends_on: dict[str, Any] = {}
    config: dict[str, Any] = {}
    tags: list[str] = []


class _Manifest(msgspec.Struct):
    nodes: dict[str, _Node]


_MANIFEST = msgspec.json.Decoder(_Manifest)


def path_of(member: Member) -> Path:
    return member.root / "target" / "manifest.json"


def read_built(member: Member, names: Names) -> Collection[str] | None:
    """Returns the names of the relations that dbt builds in prod; None where target/ does not hold
    the manifest of a prod run."""
    try:
        nodes = checked.decode(path_of(member).read_bytes(), _MANIFEST).nodes
    except (OSError, Unfit):
        return None
    return _built(nodes) if _is_of_prod(nodes, names) else None


def read_models(manifest: Path | None, member: Member, names: Names) -> Models | None:
    """Reads the models from the manifest, or from target/manifest.json if none is given.

    Returns None where target/manifest.json is missing, or the manifest is not of a prod run. Raises
    MeshError where the manifest is not valid, or the given one is missing.
    """
    if not member.publishes:
        return Models({}, read_built(member, names) or ())
    path = manifest or path_of(member)
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        if manifest:
            raise MeshError(f"{manifest} does not exist") from None
        return None
    public = {
        Object(
            "VIEW" if node["config"].get("materialized") == "view" else "TABLE", name
        ): shared_with(node)
        for node in extract(body, member.project).nodes.values()
        if (name := canonical(str(node.get("relation_name") or ""))).startswith(f"{names.prod}.")
    }
    try:
        nodes = checked.decode(body, _MANIFEST).nodes
    except Unfit as error:
        raise MeshError(f"{path} is not a dbt manifest: {error}: run `dbt build` again") from None
    if not public and not _is_of_prod(nodes, names):
        return None
    called = set(_called(nodes, member.project))
    lacking = tuple(hook for hook in OF_GRANTS if public and hook not in called)
    return Models(public, _built(nodes), lacking)


def _is_of_prod(nodes: dict[str, _Node], names: Names) -> bool:
    databases = {node.database or "" for node in nodes.values()}
    return any(sql_name(each) == names.prod for name in databases for each in (name, name.upper()))


def _built(nodes: dict[str, _Node]) -> frozenset[str]:
    return frozenset(
        canonical(node.relation_name)
        for node in nodes.values()
        if node.relation_name and node.resource_type in BUILT
    )


def _called(nodes: dict[str, _Node], project: str) -> Iterator[Hook]:
    """Yields the hooks for grants that the project's dbt_project.yml calls."""
    for node in nodes.values():
        if node.package_name != project:
            continue
        hooks = node.config.get("post-hook") or ()
        texts = [str(hook.get("sql")) for hook in hooks if isinstance(hook, dict)]
        if node.resource_type == "operation":
            texts += [node.raw_code or "", *map(str, node.depends_on.get("macros") or ())]
        for hook in OF_GRANTS:
            if any(hook.macro in text for text in texts):
                yield hook
