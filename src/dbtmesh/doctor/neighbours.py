"""Compares a project with the other members of the mesh in its repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbtmesh import yaml_files
from dbtmesh.doctor.finding import Finding
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_nodes import value_at
from dbtmesh.warehouse.names import sql_name

MESH = "mesh.yml"
DEEPEST = 3
"""The deepest level of folders below the repository's top that is searched for members."""


def databases(project: Project) -> Iterator[Finding]:
    """Checks that each member has its own prod database, and knows those of its upstreams."""
    own = project.member
    for folder, facts in _members(project):
        name, database = facts["project"], facts["snowflake"]["prod_database"]
        if database == own.prod_database:
            yield Finding(
                MESH,
                f"the prod database is {database}, which is also that of {name}, in {folder}",
                "one of them cannot be set up: only one project can grant on a database",
                project.update("prod_database", f"{own.database_prefix}_PROD"),
            )
        for upstream in own.upstreams:
            is_it = upstream.name == name and upstream.registry is None
            if is_it and database not in upstream.databases:
                named = ",".join(_named(each, name, database) for each in _answered(project))
                yield Finding(
                    MESH,
                    f"the prod database of {name}, in {folder}, is {upstream.prod_database} here, "
                    f"and {database} there",
                    "its models are refused, and its readers' roles are not found",
                    project.update("upstreams", named),
                )


def _members(project: Project) -> Iterator[tuple[str, dict[str, Any]]]:
    top = project.repository
    if top is None or project.folder == ".":
        return
    for depth in range(DEEPEST + 1):
        for file in sorted(top.glob("*/" * depth + MESH)):
            facts = yaml_files.mapping(file)
            is_member = isinstance(facts.get("project"), str)
            has_database = value_at(facts, ("snowflake", "prod_database"))
            if is_member and has_database and file.parent != top / str(project.folder):
                yield file.parent.relative_to(top).as_posix(), facts


def _answered(project: Project) -> list[str]:
    text = str(project.yaml(project.member.answers_file).get("upstreams") or "")
    return [each.strip() for each in text.split(",") if each.strip()]


def _named(upstream: str, name: str, database: str) -> str:
    """Returns an item of the answer `upstreams`, with the database if it is that of `name`."""
    words, at, registry = upstream.partition("@")
    known = words.partition("=")[0].partition(":")[0]
    return f"{name}:{sql_name(database)}{at}{registry}" if known == name else upstream
