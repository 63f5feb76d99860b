"""Checks the schemas and the contracts of public models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dbtmesh.doctor import access
from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import MANIFEST, Project
from dbtmesh.output.words import some

BY_SCHEMA = {
    "snowflake/01_create_databases_and_warehouses.sql": "whoever builds in it first grants on it",
    "snowflake/03_grant_mesh_access.sql": "readers may not enter it",
}
"""SQL that names each schema with public models, and what happens where it does not."""

SCHEMA_NAME = "generate_schema_name"
SCHEMA_MACRO = re.compile(
    rf"({{%-?\s*macro\s+{SCHEMA_NAME}\s*\(\s*(\w+).*?%}})(.*?)({{%-?\s*endmacro)", re.DOTALL
)
WHERE_EXACT = "if target.name in ('local', 'prod') and"
EXACT = (
    rf"\1\n    {{%- {WHERE_EXACT} \2 is not none -%}}\n        {{{{ \2 | trim }}}}"
    r"\n    {%- else -%}\3{%- endif -%}\n\4"
)
"""The project's own macro, asked in the other targets, and for what names no schema."""


def built(project: Project) -> list[Mapping[str, Any]] | None:
    """What the project builds, of dbt's own manifest; None where there is none, or it is not
    one."""
    try:
        return [
            node
            for node in project.manifest["nodes"].values()
            if node["resource_type"] in ("model", "seed", "snapshot")
            and node["package_name"] == project.member.project
            and isinstance(node["config"], dict)
        ]
    except (KeyError, TypeError, AttributeError):
        return None


def public_models(project: Project) -> list[Mapping[str, Any]] | None:
    nodes = built(project)
    if nodes is None:
        return None
    return [
        node
        for node in nodes
        if node["resource_type"] == "model"
        and (node.get("access") or node["config"].get("access")) == "public"
    ]


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
    inside = [model for model in models if _database(model, project) is None]
    default = str(project.template.answers["default_schema"]).strip('"').upper()
    named = {str(model["config"].get("schema") or "").upper() for model in inside} - {""}
    for schema in sorted(named - {default}):
        for path in BY_SCHEMA:
            text = project.text(path)
            if text is None or re.search(rf"\.{re.escape(schema)}\b", text, re.IGNORECASE):
                continue
            yield _not_named(project, path, schema, default)


def elsewhere(project: Project) -> Iterator[Finding]:
    """Public models lie where their readers get a grant."""
    models = (public_models(project) or []) if project.member.publishes else []
    found = [(model, database) for model in models if (database := _database(model, project))]
    is_older = bool(found) and _stale(project) is not None
    for model, database in found:
        closing = access.closed(project, model)
        if not closing and is_older:
            continue  # it was closed since; `schemas` says that the manifest is older
        yield Finding(
            MANIFEST,
            f"the public model {model['name']} lies in {database}, and not in "
            f"{_prod_database(project)}",
            "its readers get no SELECT: PUBLIC_READ is a role of one database",
            f"`access: protected` for {model['name']}; or no `database` in its configuration, for "
            "others to read it",
            closing,
        )


def _prod_database(project: Project) -> str:
    return project.member.prod_database.strip('"').upper()


def _database(model: Mapping[str, Any], project: Project) -> str | None:
    """The database that a model is configured for; None where that is prod's."""
    named = model["config"].get("database")
    return None if not named or str(named).upper() == _prod_database(project) else str(named)


def landing(project: Project) -> Iterator[Finding]:
    """In prod and on a laptop, a relation lies in exactly the schema that its configuration names:
    so the SQL has them, and the grants. Only an own generate_schema_name() has it otherwise."""
    databases = {project.member.prod_database.strip('"').upper(), project.member.local_database}
    astray: dict[str, list[str]] = {}
    for node in built(project) or []:
        wanted, found = str(node["config"].get("schema") or ""), str(node.get("schema") or "")
        there = str(node.get("database") or "").upper() in databases
        if there and wanted and found and found.upper() != wanted.upper():
            astray.setdefault(f"{found} in place of {wanted}", []).append(str(node["name"]))
    if not astray:
        return
    path = next(iter(project.macros.get(SCHEMA_NAME, ())), None)
    text = (project.text(path) or "") if path else ""
    if WHERE_EXACT not in text:  # else it is mended, and the manifest is from before
        names = [name for each in astray.values() for name in each]
        yield Finding(
            f"{path or 'a package'}: {SCHEMA_NAME}()",
            f"puts {some(names, 3)} into {some(sorted(astray), 3)}",
            "dbt builds where the SQL in snowflake/ has neither schema nor grants",
            "in the targets prod and local: {{ custom_schema_name | trim }}, as the macro of the "
            "template has it",
            (Edit(path, SCHEMA_MACRO.sub(EXACT, text, count=1)),) if path else (),
        )


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


def _not_named(project: Project, path: str, schema: str, default: str) -> Finding:
    """The statements of one line that the default schema has, for another schema."""
    lines = (project.text(path) or "").split("\n")
    of_default = rf"\.{re.escape(default)}\b"
    like = [n for n, line in enumerate(lines) if re.search(rf"{of_default}.*;$", line, re.I)]
    added = [re.sub(of_default, f".{schema}", lines[n], flags=re.I) for n in like]
    at = like[-1] + 1 if like else 0
    return Finding(
        path,
        f"does not name the schema {schema}, where public models are",
        BY_SCHEMA[path],
        "\n".join(added) or project.update("schemas"),
        (Edit(path, "\n".join([*lines[:at], *added, *lines[at:]])),) if like else (),
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
