"""Checks the targets that profiles.yml has to hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.settings import DBT_PROJECT
from dbtmesh.doctor.yaml_edit import add_entry, edits, rename_key, set_value
from dbtmesh.doctor.yaml_nodes import value_at
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import is_plain, sql_name

PROFILES = "profiles.yml"
TARGETS = {
    "local": "nothing builds on a laptop, nor in the job of a pull request that needs no account",
    "dev": "people have no schema of their own on Snowflake",
    "ci": "pull requests are not built on Snowflake",
    "prod": "nothing can be deployed",
}
DUCKDB, SNOWFLAKE = Warehouse.DUCKDB.value, Warehouse.SNOWFLAKE.value
WAREHOUSES = {"local": DUCKDB, "ci": SNOWFLAKE, "prod": SNOWFLAKE}
"""The `type` of each target."""
OF_ANOTHER = {
    DUCKDB: "laptops, and the job of pull requests that needs no account, build on DuckDB",
    SNOWFLAKE: "deploys and grants are made for Snowflake",
}


def targets(project: Project) -> Iterator[Finding]:
    """Checks that profiles.yml has the targets that commands and workflows name."""
    if "{{" in project.profile:
        yield Finding(
            DBT_PROJECT,
            "the name of its profile is not plain text, and has no default",
            "nobody can tell which targets it has",
            f"profile: \"{{{{ env_var('DBT_PROFILE', '{project.member.project}') }}}}\"",
        )
        return
    ours = project.template.rendered(PROFILES, project.profile)
    text = project.text(PROFILES)
    if text is None:
        yield Finding(
            PROFILES,
            "is missing",
            "dbt takes ~/.dbt/profiles.yml, which CI does not have",
            "the file, as the template has it",
            (Edit(PROFILES, ours),),
        )
        return
    wanted = project.template.settings(PROFILES, project.profile)[project.profile]["outputs"]
    there = value_at(project.yaml(PROFILES), (project.profile, "outputs"))
    missing = [name for name in wanted if not isinstance(there, dict) or name not in there]
    for name in missing:
        yield Finding(
            PROFILES,
            f"the profile {project.profile} has no target {name}",
            TARGETS[name],
            yaml.safe_dump({name: wanted[name]}, sort_keys=False, width=1000).rstrip(),
            edits(PROFILES, add_entry, text, (project.profile, "outputs"), name, wanted[name]),
        )
    if rule := project.ignored(PROFILES).get(PROFILES):
        yield note(
            PROFILES,
            f"is ignored by git ({rule})",
            "CI does not have it: commit it (it holds no secret), or write it in the workflows",
        )


def other_warehouses(project: Project) -> Iterator[Finding]:
    """Checks that the target local is on DuckDB, and that ci and prod are on Snowflake. The fix
    renames a target of another type."""
    text = project.text(PROFILES)
    profile = value_at(project.yaml(PROFILES), (project.profile,))
    if text is None:
        return
    for name, kind in WAREHOUSES.items():
        found = value_at(profile, ("outputs", name, "type"))
        if found == kind or not re.fullmatch(r"\w+", str(found or "")):  # Jinja is not evaluated
            continue
        outputs = (project.profile, "outputs")
        other = f"{name}_{found}"
        mend = edits(PROFILES, rename_key, text, (*outputs, name), other)
        if mend and profile.get("target") == name:  # dbt without --target still uses the team's
            path = (project.profile, "target")
            mend = edits(PROFILES, set_value, str(mend[0].text), path, other)
        yield Finding(
            PROFILES,
            f"the target {name} is of type {found}",
            OF_ANOTHER[kind],
            f"another name for it, such as {other}; the mesh's {name} is added then",
            mend,
        )


def databases(project: Project) -> Iterator[Finding]:
    """Checks that ci and prod build in the databases of mesh.yml, in which grants are made."""
    text = project.text(PROFILES)
    path = (project.profile, "outputs")
    ours = project.template.settings(PROFILES, project.profile)
    there = value_at(project.yaml(PROFILES), path)
    for name in ("ci", "prod"):
        found = value_at(there, (name, "database"))
        is_literal = isinstance(found, str) and "{{" not in found
        if text is None or not is_literal or value_at(there, (name, "type")) != SNOWFLAKE:
            continue
        wanted = value_at(ours, (*path, name, "database"))
        if found.upper() != wanted.upper():
            answer = "prod_database" if name == "prod" else "dev_database"
            yield Finding(
                PROFILES,
                f"the target {name} builds in {found}, mesh.yml says {wanted}",
                "grants and contracts name one database, the tables are in the other",
                f"database: {wanted}; or, where {found} is the right one: "
                + project.update(answer, found.upper() if is_plain(found) else sql_name(found)),
                edits(PROFILES, set_value, text, (*path, name, "database"), wanted),
            )
