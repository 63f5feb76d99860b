"""Compares the answers that Copier recorded with mesh.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dbtmesh.doctor.finding import Finding, Weight
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import edits, set_value
from dbtmesh.output.template_filters import stored_name
from dbtmesh.warehouse.names import sql_name

PLACES: dict[str, tuple[str, ...]] = {
    "project_name": ("project",),
    "kind": ("kind",),
    "engine": ("engine",),
    "database_prefix": ("database_prefix",),
    "github_repository": ("github_repository",),
    "deploy_branch": ("deploy_branch",),
    "deployment": ("deployment",),
    "registry_bucket": ("bucket",),
    "snowflake_account": ("snowflake", "account"),
    "warehouse": ("snowflake", "warehouse"),
    "owns_warehouse": ("snowflake", "owns_warehouse"),
    "role": ("snowflake", "role"),
    "service_user": ("snowflake", "service_user"),
    "auth": ("snowflake", "auth"),
}
"""The path in mesh.yml of the answer to each question."""
UNTAGGED = re.compile(r"(.*-\d+-g)?[0-9a-f]{7,40}")


def answers(project: Project) -> Iterator[Finding]:
    """Checks that the recorded answers agree with mesh.yml, and that an update can start there."""
    name = project.member.answers_file
    recorded = project.yaml(name)
    if not recorded:
        yield Finding(
            name,
            "is missing, or not valid YAML",
            "no update of the template reaches this project",
            f"git checkout {name}",
        )
        return
    facts = project.yaml("mesh.yml")
    for question, path in PLACES.items():
        if question not in recorded:
            continue
        said = facts
        for key in path[:-1]:
            said = said.get(key) or {}
        there, answer = said.get(path[-1]) or "", recorded[question] or ""
        if isinstance(answer, str):  # mesh.yml has names as the warehouse stores them
            answer = stored_name(answer)
        if there == answer:
            continue
        again = sql_name(str(there)) if question == "warehouse" else str(there)
        yield Finding(
            "mesh.yml",
            f"{'.'.join(path)} is {there!r}, the answer {question} is {answer!r}",
            "SQL, workflows and commands use different values",
            f"{'.'.join(path)}: {answer}; or answer anew: {project.update(question, again)}",
            edits("mesh.yml", set_value, project.text("mesh.yml") or "", path, answer or None),
        )
    commit = str(recorded.get("_commit") or "")
    if not commit or UNTAGGED.fullmatch(commit):
        yield Finding(
            name,
            f"names an untagged version of the template ({commit or 'none'})",
            "copier update cannot start from it",
            "copier recopy --trust --skip-answered --vcs-ref TAG, then git diff",
            weight=Weight.NOTE,
        )
