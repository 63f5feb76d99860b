"""Makes synthetic dbt manifests (v12), which are fully valid and cheap to make at any size.

Everything that must not leave its project (SQL, hooks, macros, environment variables, ids of users,
names of private models) contains the word SECRET, so that a test can look for it in the bytes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

SECRET = "swordfish"
GENERATED_AT = "2026-01-02T03:04:05.678901Z"
USER_ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
SECTIONS = (
    *("sources", "exposures", "metrics", "selectors", "disabled", "parent_map", "child_map"),
    *("group_map", "saved_queries", "semantic_models", "unit_tests", "functions", "docs"),
)

# About 3 kB, a realistic size for the models of large projects.
SQL = (
    f"-- {SECRET}\n"
    + "select a.id, a.name, b.amount * 100 as cents from a join b using (id)\n" * 20
)


def manifest(
    project: str = "dbt_up",
    *,
    models: int = 3,
    public: int = 1,
    columns: int = 3,
    adapter: str = "duckdb",
    generated_at: str = GENERATED_AT,
    nodes: dict[str, Any] | None = None,
) -> bytes:
    """Returns a manifest of a project with `models` models, of which the first `public` are public.

    Public models are called public_0, public_1, …, the others private_0, …, and each reads the
    one before it. nodes: more nodes by unique_id, or replacements.
    """
    built: dict[str, Any] = {}
    for number in range(models):
        shared = number < public
        name = f"public_{number}" if shared else f"private_{number - public}_{SECRET}"
        node = model(project, name, columns=columns, adapter=adapter)
        node |= {"access": "public" if shared else ("protected", "private")[number % 2]}
        node["config"]["access"] = node["access"]
        if built:
            node["depends_on"]["nodes"] = [next(reversed(built))]
        built[node["unique_id"]] = node
    document = {
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "dbt_version": "1.11.16",
            "generated_at": generated_at,
            "invocation_id": "59b5356d-65db-4dd7-8734-91d2b4073ca7",
            "invocation_started_at": generated_at,
            "env": {"TOKEN": SECRET},
            "project_name": project,
            "project_id": "b47d77756141eaa743b475faa8cffa5a",
            "user_id": USER_ID,
            "send_anonymous_usage_stats": True,
            "adapter_type": adapter,
            "quoting": dict.fromkeys(("database", "schema", "identifier"), adapter == "duckdb"),
        },
        "nodes": built | (nodes or {}),
        "groups": {},
        "macros": {f"macro.{project}.{SECRET}": _macro(project)},
        **{section: {} for section in SECTIONS},
    }
    return msgspec.json.encode(document)


def model(project: str, name: str, *, columns: int = 3, adapter: str = "duckdb") -> dict[str, Any]:
    """Returns a protected table as dbt 1.11 writes it for target prod, on either adapter."""
    database = f"{project.upper()}_PROD"
    parts = [database, "MARTS", name]
    relation = [f'"{part}"' for part in parts] if adapter == "duckdb" else parts
    return {
        "database": database,
        "schema": "MARTS",
        "name": name,
        "resource_type": "model",
        "package_name": project,
        "path": f"marts/{name}.sql",
        "original_file_path": f"models/marts/{name}.sql",
        "unique_id": f"model.{project}.{name}",
        "fqn": [project, "marts", name],
        "alias": name,
        "checksum": {
            "name": "sha256",
            "checksum": hashlib.sha256(SQL.strip().encode()).hexdigest(),
        },
        "config": {
            "enabled": True,
            "alias": None,
            "schema": "MARTS",
            "database": None,
            "tags": [],
            "meta": {},
            "group": None,
            "materialized": "table",
            "incremental_strategy": None,
            "persist_docs": {},
            "post-hook": [_hook()],
            "pre-hook": [_hook()],
            "quoting": {},
            "column_types": {},
            "full_refresh": None,
            "unique_key": None,
            "on_schema_change": "ignore",
            "on_configuration_change": "apply",
            "grants": {"select": [SECRET]},
            "packages": [],
            "docs": {"show": True, "node_color": None},
            "contract": {"enforced": True, "alias_types": True},
            "access": "protected",
        },
        "tags": [],
        "description": f"One row for each thing that {name} is about.",
        "columns": {f"column_{number}": _column(number) for number in range(columns)},
        "meta": {},
        "group": None,
        "docs": {"show": True, "node_color": None},
        "patch_path": f"{project}://models/marts/_marts.yml",
        "build_path": None,
        "unrendered_config": {"post-hook": SECRET},
        "created_at": 1767323045.678901,
        "relation_name": ".".join(relation),
        "raw_code": SQL,
        "compiled_code": SQL,
        "compiled": True,
        "compiled_path": f"target/compiled/{name}.sql",
        "extra_ctes_injected": True,
        "extra_ctes": [],
        "language": "sql",
        "refs": [{"name": SECRET, "package": None, "version": None}],
        "sources": [],
        "metrics": [],
        "depends_on": {"macros": [f"macro.{project}.{SECRET}"], "nodes": []},
        "contract": {"enforced": True, "alias_types": True, "checksum": "0" * 64},
        "access": "protected",
        "constraints": [],
        "version": None,
        "latest_version": None,
        "deprecation_date": None,
        "primary_key": ["column_0"],
        "time_spine": None,
    }


def _column(number: int) -> dict[str, Any]:
    return {
        "name": f"column_{number}",
        "description": f"What column {number} of a table of some width holds.",
        "meta": {},
        "data_type": ("integer", "varchar(200)", "timestamp")[number % 3],
        "constraints": [
            {
                "type": "not_null",
                "name": None,
                "expression": None,
                "warn_unenforced": True,
                "warn_unsupported": True,
                "to": None,
                "to_columns": [],
            }
        ],
        "quote": None,
        "config": {"meta": {}, "tags": []},
        "tags": [],
        "granularity": None,
        "doc_blocks": [],
    }


def _hook() -> dict[str, Any]:
    return {
        "sql": f"grant select on {{{{ this }}}} to {SECRET}",
        "transaction": True,
        "index": None,
    }


def _macro(project: str) -> dict[str, Any]:
    return {
        "name": SECRET,
        "resource_type": "macro",
        "package_name": project,
        "path": f"macros/{SECRET}.sql",
        "original_file_path": f"macros/{SECRET}.sql",
        "unique_id": f"macro.{project}.{SECRET}",
        "macro_sql": f"{{% macro {SECRET}() %}}{{% endmacro %}}",
        "depends_on": {"macros": []},
        "description": "",
        "meta": {},
        "docs": {"show": True, "node_color": None},
        "config": {"meta": {}, "docs": {"show": True, "node_color": None}},
        "patch_path": None,
        "arguments": [],
        "created_at": 1767323045.678901,
        "supported_languages": None,
    }
