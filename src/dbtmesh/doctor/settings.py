"""Checks the settings that dbt_project.yml has to hold, and that profiles.yml can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dbtmesh import dbt_paths
from dbtmesh.artifacts import hooks
from dbtmesh.config import Engine
from dbtmesh.doctor import bounds
from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import add_entry, add_to_list, edits, set_value
from dbtmesh.doctor.yaml_nodes import value_at
from dbtmesh.doctor.yaml_repair import repaired

DBT_PROJECT = "dbt_project.yml"
HOOKS = ("on-run-start", "on-run-end")
MODEL_HOOKS = ("pre-hook", "post-hook")
POINTER = "latest_version_pointer_enabled_by_default"
EFFECTS = {
    DBT_PROJECT: "dbt does not find the project",
    "profiles.yml": "dbt finds no target",
}
"""What happens where dbt cannot read a file."""
CALLED = re.compile(r"\{\{-?\s*(\w+)\s*\(")


def readable(project: Project) -> Iterator[Finding]:
    """Checks that dbt_project.yml exists and has settings, and that profiles.yml is YAML, too."""
    text = project.text(DBT_PROJECT)
    if not project.exists(DBT_PROJECT):
        yield Finding(
            DBT_PROJECT,
            "is missing",
            EFFECTS[DBT_PROJECT],
            f"git checkout {DBT_PROJECT}; or the file, as the template has it",
            (Edit(DBT_PROJECT, project.template.rendered(DBT_PROJECT)),),
        )
    elif text is not None and not project.dbt_project and not project.not_yaml(DBT_PROJECT):
        yield Finding(DBT_PROJECT, "has no settings", EFFECTS[DBT_PROJECT], "at least `name: …`")
    for path, effect in EFFECTS.items():
        text = project.text(path)
        if text is None or not (why := project.not_yaml(path)):
            continue
        again = repaired(text)
        yield Finding(
            path,
            f"is not valid YAML{why}",
            effect,
            "blanks in place of tabs, and quotes around {{ … }}"
            if again
            else "what is meant there; git diff shows what was changed last",
            (Edit(path, again),) if again else (),
        )


def hooks_called(project: Project) -> Iterator[Finding]:
    """Checks that dbt_project.yml calls the macros that the template's hooks call."""
    ours = project.template.settings(DBT_PROJECT)
    text = project.text(DBT_PROJECT)
    if text is None or not project.dbt_project:
        return  # `readable` reports it
    places: list[tuple[tuple[str, ...], Any]] = [((key,), ours.get(key)) for key in HOOKS]
    of_models = ours.get("models", {}).get(project.member.project, {})
    places += [
        (("models", project.member.project, f"+{key}"), of_models.get(f"+{key}"))
        for key in MODEL_HOOKS
    ]
    for path, wanted in places:
        called = _calls(project.dbt_project, path)
        for hook in _as_list(wanted):
            for macro in CALLED.findall(str(hook)):
                if macro not in called:
                    yield _missing_hook(text, path, str(hook), macro)


def _calls(settings: dict[str, Any], path: tuple[str, ...]) -> set[str]:
    """Returns the macros that are called at a path. For a path below `models`, those that are
    called at the levels above count too, under the key with or without `+`."""
    found = [value_at(settings, path)]
    if len(path) > 1:
        bare = path[-1].lstrip("+")
        holders = [path[:depth] for depth in range(1, len(path))]
        found += [
            value_at(settings, (*holder, key)) for holder in holders for key in (bare, f"+{bare}")
        ]
    text = " ".join(str(item) for each in found for item in _as_list(each))
    return set(re.findall(r"(\w+)\s*\(", text))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _missing_hook(text: str, path: tuple[str, ...], hook: str, macro: str) -> Finding:
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(path)]
    mend = edits(DBT_PROJECT, add_to_list, text, path, hook)
    return Finding(
        DBT_PROJECT,
        f"{path[-1]} does not call {macro}()",
        hooks.effect(macro) or "the mesh relies on it",
        "\n".join([*lines, f'{"  " * len(path)}- "{hook}"']),
        mend,
    )


def paths(project: Project) -> Iterator[Finding]:
    """Checks that dbt reads the folders that the template and sync write to."""
    written = {"macro-paths": "macros"}
    if project.member.kind == "native":
        written["model-paths"] = "models"
    text = project.text(DBT_PROJECT)
    for name, folder in written.items():
        folders = dbt_paths.folders(project.dbt_project, name)
        if text is None or folder in folders:
            continue
        key = dbt_paths.key_of(project.dbt_project, name)
        yield Finding(
            DBT_PROJECT,
            f"{key} does not name {folder}",
            "dbt does not find the macros that the hooks call"
            if folder == "macros"
            else "dbt does not find the sources that scripts/sync_mesh.py writes",
            f"{key}: {json.dumps([*folders, folder])}",
            edits(DBT_PROJECT, add_to_list, text, (key,), folder),
        )


def target_path(project: Project) -> Iterator[Finding]:
    """Checks that dbt writes its manifest where commands and workflows read it."""
    named = project.dbt_project.get("target-path")
    text = project.text(DBT_PROJECT)
    if named in (None, "target") or text is None:
        return
    mend = edits(DBT_PROJECT, set_value, text, ("target-path",), "target")
    yield Finding(
        DBT_PROJECT,
        f"target-path is {named}",
        "the mesh's commands and workflows do not find target/manifest.json, so nothing is "
        "published. dbt has deprecated this setting",
        "target-path: target, or no such line",
        mend,
    )


def required_version(project: Project) -> Iterator[Finding]:
    """Checks that require-dbt-version admits a version of dbt that the mesh runs on."""
    listed = project.template.settings(DBT_PROJECT)["require-dbt-version"]
    ours = ",".join(map(str, listed))
    yield from narrower(project, ours, f"the mesh needs {ours}", str(listed[0]))


def narrower(project: Project, wanted: str, needs: str, instead: str) -> Iterator[Finding]:
    """Finds bounds of require-dbt-version that admit none of the versions `wanted`.

    The fix removes these bounds. needs: the reason, as the finding says it. instead: the bound to
    write if no other is left.
    """
    named = project.dbt_project.get("require-dbt-version") or []
    listed = named if isinstance(named, list) else str(named).split(",")
    listed = [each.strip() for each in map(str, listed)]
    wide = [bound for bound in listed if not bounds.exclude(bound, wanted)]
    if len(wide) == len(listed):
        return
    wider = ", ".join(wide or [instead])
    text = project.text(DBT_PROJECT) or ""
    yield Finding(
        DBT_PROJECT,
        f"require-dbt-version is {', '.join(listed)}, {needs}",
        "dbt does not run the project",
        f"require-dbt-version: '{wider}'; or another dbt",
        edits(DBT_PROJECT, set_value, text, ("require-dbt-version",), wider),
    )


def version_pointer(project: Project) -> Iterator[Finding]:
    """Checks that the flag is set, either way, for dbt v2's views of the latest versions."""
    member, text = project.member, project.text(DBT_PROJECT)
    if member.engine is not Engine.V2 or not member.publishes or text is None:
        return
    if value_at(project.dbt_project, ("flags", POINTER)) is not None:
        return
    mend = edits(DBT_PROJECT, add_entry, text, ("flags",), POINTER, value=False)
    yield Finding(
        DBT_PROJECT,
        f"flags does not say {POINTER}",
        "dbt v2 makes a view `orders` of the latest version of orders: it fails where v1 keeps that"
        " name (`alias`), and replaces its table once v2 is the latest",
        f"flags:\n  {POINTER}: false",
        mend,
    )


def quoting(project: Project) -> Iterator[Finding]:
    """Checks that names are quoted on DuckDB. There dbt takes unquoted names as lower case, but the
    mesh's are in upper case."""
    text = project.text(DBT_PROJECT)
    if project.member.engine is not Engine.CORE or text is None:
        return
    for part in ("database", "schema", "identifier"):
        if value_at(project.dbt_project, ("quoting", part)) is False:
            on_duckdb = "{{ (target.type == 'duckdb') | as_bool }}"
            yield Finding(
                DBT_PROJECT,
                f"quoting.{part} is false, on DuckDB too",
                "dbt does not find there what it has built before, and the second build fails",
                f'quoting:\n  {part}: "{on_duckdb}"',
                edits(DBT_PROJECT, set_value, text, ("quoting", part), on_duckdb),
            )


def query_comment(project: Project) -> Iterator[Finding]:
    """Advises that query-comment calls the template's macro."""
    if project.dbt_project and "query_comment" not in str(project.dbt_project.get("query-comment")):
        yield note(
            DBT_PROJECT,
            "query-comment does not call query_comment()",
            "the query history on Snowflake does not tell which project and run it was",
        )
