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
    "snowflake/01_create_databases_and_warehouses.sql": "whoever builds in it first creates it, "
    "and can grant on it",
    "snowflake/03_grant_mesh_access.sql": "readers have no USAGE on it",
}
"""The SQL files that have to name each schema with public models, and what happens otherwise."""

SCHEMA_NAME = "generate_schema_name"
SCHEMA_MACRO = re.compile(
    rf"({{%-?\s*macro\s+{SCHEMA_NAME}\s*\(\s*(\w+).*?%}})(.*?)({{%-?\s*endmacro)", re.DOTALL
)
WHERE_EXACT = "if target.name in ('local', 'prod') and"
EXACT = (
    rf"\1\n    {{%- {WHERE_EXACT} \2 is not none -%}}\n        {{{{ \2 | trim }}}}"
    r"\n    {%- else -%}\3{%- endif -%}\n\4"
)
"""The replacement for SCHEMA_MACRO. It keeps the body of the project's own macro for other targets,
and for models without a configured schema."""


def built(project: Project) -> list[Mapping[str, Any]] | None:
    """Returns the project's models, seeds and snapshots from dbt's manifest; None where that is
    missing, or is not valid."""
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
    """Checks that the SQL files name each schema with public models."""
    if not project.member.publishes:
        return
    models = public_models(project)
    if models is None:
        yield note(MANIFEST, "is missing, so models were not checked: run `dbt parse`, then this")
        return
    if (older := _stale(project)) is not None:
        yield note(MANIFEST, f"{older}: run `dbt parse`, then this, to check the present models")
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
    """Checks that public models are in the prod database, where their readers get grants."""
    models = (public_models(project) or []) if project.member.publishes else []
    found = [(model, database) for model in models if (database := _database(model, project))]
    is_older = bool(found) and _stale(project) is not None
    for model, database in found:
        closing = access.closed(project, model)
        if not closing and is_older:
            continue  # it was protected since: `schemas` notes that the manifest is out of date
        yield Finding(
            MANIFEST,
            f"the public model {model['name']} lies in {database}, and not in "
            f"{_prod_database(project)}",
            "its readers get no SELECT: PUBLIC_READ is a role of one database",
            f"`access: protected` for {model['name']}; or, if others are to read it, no "
            "`database` in its configuration",
            closing,
        )


def _prod_database(project: Project) -> str:
    return project.member.prod_database.strip('"').upper()


def _database(model: Mapping[str, Any], project: Project) -> str | None:
    """Returns the database that a model's configuration names; None for prod's, or without one."""
    named = model["config"].get("database")
    return None if not named or str(named).upper() == _prod_database(project) else str(named)


def landing(project: Project) -> Iterator[Finding]:
    """Checks that each relation in prod and on a laptop is in exactly the schema that its
    configuration names. The SQL files create these schemas and grant on them. Only a project's own
    generate_schema_name() can choose others."""
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
    if WHERE_EXACT not in text:  # otherwise it is fixed already, and the manifest is older
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
    """Returns why the manifest is out of date; None where it is not.

    Also None where that cannot be checked, as in a hook, because Copier's interpreter has no
    msgspec. Also None where the file is not a manifest, which other findings report.
    """
    try:
        from dbtmesh.artifacts import check
    except ImportError:
        return None
    return check.stale(project.root, project.root / MANIFEST, project.member.project)


def _not_named(project: Project, path: str, schema: str, default: str) -> Finding:
    """Proposes for a schema the one-line statements that the file has for the default schema."""
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
    """Advises a contract for each public model, because dbt itself enforces it."""
    for model in public_models(project) or []:
        if not (model["config"].get("contract") or {}).get("enforced"):
            yield note(
                str(model.get("original_file_path") or model["name"]),
                f"the public model {model['name']} has no contract",
                "a changed column or type is found by the gate, not by dbt",
                "contract: {enforced: true}",
            )
