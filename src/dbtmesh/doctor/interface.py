"""Where public models land, and what they promise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project

MANIFEST = "target/manifest.json"
BY_SCHEMA = {
    "snowflake/01_create_databases_and_warehouses.sql": "whoever builds in it first grants on it",
    "snowflake/03_grant_mesh_access.sql": "readers may not enter it",
}
"""SQL that names each schema with public models, and what happens where it does not."""


def public_models(project: Project) -> list[Mapping[str, Any]] | None:
    """Of dbt's own manifest; None where there is none, or it is not one."""
    try:
        manifest = json.loads(project.text(MANIFEST) or "")
        nodes = manifest["nodes"].values()
        return [
            node
            for node in nodes
            if node["resource_type"] == "model"
            and node["package_name"] == project.member.project
            and (node.get("access") or node["config"].get("access")) == "public"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def schemas(project: Project) -> Iterator[Finding]:
    """SQL and models agree on the schemas that others read."""
    if not project.member.publishes:
        return
    models = public_models(project)
    if models is None:
        yield note(MANIFEST, "is not there, so models were not looked at: run `dbt parse` before")
        return
    if (older := _stale(project)) is not None:
        yield note(MANIFEST, f"{older}: run `dbt parse` before, so that models are as they are now")
    named = {str(model["config"].get("schema") or "").upper() for model in models} - {""}
    for schema in sorted(named - {"MARTS"}):
        for path, effect in BY_SCHEMA.items():
            text = project.text(path)
            if text is None or re.search(rf"\.{re.escape(schema)}\b", text, re.IGNORECASE):
                continue
            yield _not_named(path, text, schema, effect)


def _stale(project: Project) -> str | None:
    """What says that the models were looked at as they were, not as they are.

    None where that cannot be told, as in a hook: Copier's interpreter has no msgspec; and where
    the file is not a manifest, which other findings say.
    """
    try:
        from dbtmesh.artifacts import check
    except ImportError:
        return None
    return check.stale(project.root, project.root / MANIFEST, project.member.project)


def _not_named(path: str, text: str, schema: str, effect: str) -> Finding:
    """The statements of one line that MARTS has, for another schema."""
    lines = text.splitlines()
    like = [n for n, line in enumerate(lines) if re.search(r"\.MARTS\b.*;$", line)]
    added = [re.sub(r"\.MARTS\b", f".{schema}", lines[n]) for n in like]
    edit = None
    if like:
        at = like[-1] + 1
        edit = Edit(path, "\n".join([*lines[:at], *added, *lines[at:]]) + "\n")
    return Finding(
        path,
        f"does not name the schema {schema}, where public models are",
        effect,
        "\n".join(added) or "copier update --trust --skip-answered --ask schemas",
        edit,
    )


def contracts(project: Project) -> Iterator[Finding]:
    """Advice: dbt itself holds what a contract promises."""
    for model in public_models(project) or []:
        if not (model["config"].get("contract") or {}).get("enforced"):
            yield note(
                str(model.get("original_file_path") or model["name"]),
                f"the public model {model['name']} has no contract",
                "a changed column or type is found by the gate, not by dbt",
                "contract: {enforced: true}",
            )
