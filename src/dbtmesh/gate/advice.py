"""Warns of publications that dbt allows, but that readers cannot use as intended. Pure.

Each function returns lines to print; none of them stops a publication.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from dbtmesh.artifacts.built_manifest import Manifest
from dbtmesh.artifacts.hooks import Hook
from dbtmesh.gate.nodes import display
from dbtmesh.manifest.interface import Interface
from dbtmesh.output.words import some
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import relation


def lines(
    built: Interface,
    manifest: Manifest,
    env: str,
    *,
    prod: str,
    apart: Collection[str],
    on_run_end: str,
) -> list[str]:
    """Returns all warnings about an interface, made from `manifest`, before it is published.

    prod: the member's prod database. apart: its other databases, which `candidate.elsewhere`
    reports. on_run_end: the hooks that its dbt_project.yml names.
    """
    return [
        *_nothing(built),
        *_packages(manifest, built.project),
        *_databases(built, env, {prod, *apart}, prod),
        *_hooks(built, manifest, on_run_end),
    ]


def _nothing(built: Interface) -> Iterator[str]:
    if not built.nodes:
        yield "no model has `access: public`: readers will find nothing"


def _packages(manifest: Manifest, project: str) -> Iterator[str]:
    """Warns of public models in packages: dbt allows them, but no other project can read them."""
    found: dict[str, list[str]] = {}
    for uid, node in manifest.nodes.items():
        foreign = node.package_name != project and uid.startswith("model.")
        # Models of other projects, which dbt-loom injects, have no file here.
        if foreign and node.is_public and node.original_file_path:
            found.setdefault(node.package_name, []).append(node.name)
    for package, names in sorted(found.items()):
        yield (
            f"not published: {some(sorted(names))} of the package {package}. Packages have owners"
            f" of their own: to share such a model, select from it in a public model of {project}"
        )


def _databases(built: Interface, env: str, own: Collection[str], prod: str) -> Iterator[str]:
    """Warns of public models outside the prod database.

    Readers get SELECT through database roles of the prod database, which cover no other database.
    """
    if env != "prod" or built.warehouse is not Warehouse.SNOWFLAKE:
        return
    elsewhere: dict[str, list[str]] = {}
    for node in built.nodes.values():
        database = relation(node, built.warehouse).database.text
        if database not in own:
            elsewhere.setdefault(database, []).append(display(node))
    for database, names in sorted(elsewhere.items()):
        yield (
            f"readers will not get SELECT on {some(names)}: public models have to lie in {prod},"
            f" not in {database}. Take `database` out of their configuration, or `access: public`"
        )


def _hooks(built: Interface, manifest: Manifest, on_run_end: str) -> Iterator[str]:
    """Warns of missing hooks: without them, dbt builds the models but grants SELECT to nobody."""
    if built.warehouse is not Warehouse.SNOWFLAKE or not built.nodes:
        return
    ungranted = [
        display(node)
        for uid, node in built.nodes.items()
        if uid in manifest.nodes and not _calls(manifest.nodes[uid].config.post_hook, Hook.GRANT)
    ]
    if ungranted:
        yield (
            f"readers will not get SELECT on {some(ungranted)}: its post-hook does not call"
            f" {Hook.GRANT.macro}(). Add to dbt_project.yml, under `models: {built.project}:`, the"
            f' line +post-hook: "{Hook.GRANT.line}" (scripts/doctor.py --fix does)'
        )
    operations = (node for uid, node in manifest.nodes.items() if uid.startswith("operation."))
    end = Hook.RECONCILE
    if end.macro not in on_run_end and not any(_calls(n.raw_code, end) for n in operations):
        yield (
            f"a model that is no longer public stays readable: no on-run-end hook calls {end.macro}"
            f'(). Add to dbt_project.yml: on-run-end: ["{end.line}"]'
            " (scripts/doctor.py --fix does)"
        )


def _calls(code: msgspec.Raw, hook: Hook) -> bool:
    return hook.macro.encode() in bytes(code)
