"""Checks what dbt_project.yml, profiles.yml and the macros have to hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from dbtmesh.artifacts import hooks
from dbtmesh.config import Engine
from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import add_entry, add_to_list, edit, set_scalar
from dbtmesh.warehouse.names import is_plain

DBT_PROJECT, PROFILES = "dbt_project.yml", "profiles.yml"
HOOKS = ("on-run-start", "on-run-end")
MODEL_HOOKS = ("pre-hook", "post-hook")
TARGETS = {
    "local": "nothing builds on a laptop, nor in the job of a pull request that needs no account",
    "dev": "people have no schema of their own on Snowflake",
    "ci": "pull requests are not built on Snowflake",
    "prod": "nothing can be deployed",
}
EFFECTS = {
    "generate_schema_name": "models land in MARTS_MARTS instead of MARTS: dbt puts the target's "
    "schema first",
    "generate_database_name": "a model with a `database` is built there in dev and ci, too, where "
    "deployed models are",
    "query_comment": "the query history on Snowflake does not tell which project and run it was",
}
POINTER = "latest_version_pointer_enabled_by_default"
DATABASE_NAME = "generate_database_name"
NAMING = ("generate_schema_name", DATABASE_NAME, "generate_alias_name")
MACRO = re.compile(r"({%-?\s*macro\s+(\w+)\s*\(.*?{%-?\s*endmacro\s*-?%})", re.DOTALL)
CALLED = re.compile(r"\{\{-?\s*(\w+)\s*\(")


def hooks_called(project: Project) -> Iterator[Finding]:
    """Hooks of dbt_project.yml: those that the template has have to be called."""
    ours = yaml.safe_load(project.template.rendered(DBT_PROJECT))
    text = project.text(DBT_PROJECT)
    if text is None or not project.dbt_project:
        yield Finding(DBT_PROJECT, "is missing, or not valid YAML", "dbt does not find the project")
        return
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
    """Macros that are called at a path: of models also above it, and without the `+`."""
    found = [_at(settings, path)]
    if len(path) > 1:
        bare = path[-1].lstrip("+")
        holders = [path[:depth] for depth in range(1, len(path))]
        found += [_at(settings, (*holder, key)) for holder in holders for key in (bare, f"+{bare}")]
    text = " ".join(str(item) for each in found for item in _as_list(each))
    return set(re.findall(r"(\w+)\s*\(", text))


def _at(settings: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _missing_hook(text: str, path: tuple[str, ...], hook: str, macro: str) -> Finding:
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(path)]
    mend = edit(DBT_PROJECT, add_to_list, text, path, hook)
    return Finding(
        DBT_PROJECT,
        f"{path[-1]} does not call {macro}()",
        hooks.effect(macro) or "the mesh relies on it",
        "\n".join([*lines, f'{"  " * len(path)}- "{hook}"']),
        mend,
    )


def paths(project: Project) -> Iterator[Finding]:
    """dbt reads the folders that the template and sync write to."""
    written = {"macro-paths": "macros"}
    if project.member.kind == "native":
        written["model-paths"] = "models"
    text = project.text(DBT_PROJECT)
    for key, folder in written.items():
        if text is None or folder in project.paths(key, folder):
            continue
        mend = edit(DBT_PROJECT, add_to_list, text, (key,), folder)
        yield Finding(
            DBT_PROJECT,
            f"{key} does not name {folder}",
            "dbt does not find the macros that the hooks call"
            if folder == "macros"
            else "dbt does not find the sources that scripts/sync_mesh.py writes",
            f"{key}: {json.dumps([*project.paths(key, folder), folder])}",
            mend,
        )


def target_path(project: Project) -> Iterator[Finding]:
    """dbt writes its manifest to where commands and workflows read it."""
    named = project.dbt_project.get("target-path")
    text = project.text(DBT_PROJECT)
    if named in (None, "target") or text is None:
        return
    mend = edit(DBT_PROJECT, set_scalar, text, ("target-path",), "target")
    yield Finding(
        DBT_PROJECT,
        f"target-path is {named}",
        "the mesh's commands and workflows do not find target/manifest.json, so nothing is "
        "published. dbt has deprecated this setting",
        "target-path: target, or no such line",
        mend,
    )


def version_pointer(project: Project) -> Iterator[Finding]:
    """Whether dbt v2 makes a view of the latest version is said, either way."""
    member, text = project.member, project.text(DBT_PROJECT)
    if member.engine is not Engine.V2 or not member.publishes or text is None:
        return
    if _at(project.dbt_project, ("flags", POINTER)) is not None:
        return
    mend = edit(DBT_PROJECT, add_entry, text, ("flags",), POINTER, value=False)
    yield Finding(
        DBT_PROJECT,
        f"flags does not say {POINTER}",
        "dbt v2 makes a view `orders` of the latest version of orders: it fails where v1 keeps that"
        " name (`alias`), and replaces its table once v2 is the latest",
        f"flags:\n  {POINTER}: false",
        mend,
    )


def quoting(project: Project) -> Iterator[Finding]:
    """Names that are not quoted are in lower case for dbt on DuckDB, and the mesh's in upper."""
    text = project.text(DBT_PROJECT)
    if project.member.engine is not Engine.CORE or text is None:
        return
    for part in ("database", "schema", "identifier"):
        if _at(project.dbt_project, ("quoting", part)) is False:
            on_duckdb = "{{ (target.type == 'duckdb') | as_bool }}"
            yield Finding(
                DBT_PROJECT,
                f"quoting.{part} is false, on DuckDB too",
                "dbt does not find again there what it has built, and the second build fails",
                f'quoting:\n  {part}: "{on_duckdb}"',
                edit(DBT_PROJECT, set_scalar, text, ("quoting", part), on_duckdb),
            )


def query_comment(project: Project) -> Iterator[Finding]:
    if project.dbt_project and "query_comment" not in str(project.dbt_project.get("query-comment")):
        yield note(
            DBT_PROJECT, "query-comment does not call query_comment()", EFFECTS["query_comment"]
        )


def macros(project: Project) -> Iterator[Finding]:
    """Macros that the hooks call, and that decide where models land."""
    for path, text in project.template.macros():
        whole = {each[2]: each[1] for each in MACRO.finditer(text)}
        unused = set() if project.member.snowflake.get("more_databases") else {DATABASE_NAME}
        missing = [name for name in whole if name not in project.macros]
        for name in whole:
            where = project.macros.get(name, [])
            if not where and name in unused and len(missing) < len(whole):
                continue  # beside the team's own, where all models go to one database
            if not where:
                yield Finding(
                    path,
                    f"the macro {name}() is not defined",
                    hooks.effect(name) or EFFECTS.get(name, "dbt cannot run what calls it"),
                    f"the file {path}, as the template has it",
                    # the others are the team's own, in another file
                    Edit(path, text if len(missing) == len(whole) else _only(missing, whole)),
                )
                break  # the file brings the others with it
            if len(where) > 1:
                theirs = next((each for each in where if each != path), where[0])
                yield Finding(
                    path if path in where else where[1],
                    f"the macro {name}() is defined in {theirs}, too",
                    "dbt does not parse the project",
                    "keep one of them"
                    + (f": {theirs} has the team's own" if path in where else ""),
                    Edit(path, (project.text(path) or "").replace(whole[name], "").strip() + "\n")
                    if path in where and whole[name] in (project.text(path) or "")
                    else None,
                )
            elif name in NAMING and project.text(where[0]) != text:
                yield note(
                    where[0],
                    f"{name}() is this project's own",
                    "in prod and local a model has to land in exactly the schema that its "
                    "configuration names, in dev and ci in the target's"
                    if name == "generate_schema_name"
                    else "only prod may build where deployed models are",
                )


def _only(names: list[str], whole: Mapping[str, str]) -> str:
    return "\n\n".join(whole[name] for name in names) + "\n"


def targets(project: Project) -> Iterator[Finding]:
    """profiles.yml has the targets that commands and workflows name."""
    ours = project.template.rendered(PROFILES, project.profile)
    text = project.text(PROFILES)
    if text is None:
        yield Finding(
            PROFILES,
            "is missing",
            "dbt takes ~/.dbt/profiles.yml, which CI does not have",
            "the file, as the template has it",
            Edit(PROFILES, ours),
        )
        return
    wanted = yaml.safe_load(ours)[project.profile]["outputs"]
    there = _at(project.yaml(PROFILES), (project.profile, "outputs"))
    missing = [name for name in wanted if name not in (there or {})]
    for name in missing:
        mend = edit(PROFILES, add_entry, text, (project.profile, "outputs"), name, wanted[name])
        yield Finding(
            PROFILES,
            f"the profile {project.profile} has no target {name}",
            TARGETS[name],
            yaml.safe_dump({name: wanted[name]}, sort_keys=False, width=1000).rstrip(),
            mend,
        )
    yield from _prod_database(project, there or {}, wanted)
    if ignored := project.ignored(PROFILES):
        yield note(
            PROFILES,
            f"is ignored by git ({ignored})",
            "CI does not have it: commit it (it holds no secret), or write it in the workflows",
        )


def _prod_database(
    project: Project, there: dict[str, Any], wanted: dict[str, Any]
) -> Iterator[Finding]:
    for name in ("ci", "prod"):
        kind = _at(there, (name, "type"))
        if kind not in (None, "snowflake"):
            yield Finding(
                PROFILES,
                f"the target {name} is of type {kind}",
                "deploys and grants are made for Snowflake",
                f"give it another name; scripts/doctor.py --fix then adds the mesh's {name}",
            )
            continue
        found = _at(there, (name, "database"))
        if isinstance(found, str) and "{{" not in found:
            ours = wanted[name]["database"]
            if found.upper() != ours.upper():
                answer = "prod_database" if name == "prod" else "dev_database"
                yield Finding(
                    PROFILES,
                    f"the target {name} builds in {found}, mesh.yml says {ours}",
                    "grants and contracts name one database, the tables are in the other",
                    f"copier update --trust --skip-answered --data {_answer(answer, found)}",
                )


def _answer(question: str, name: str) -> str:
    """An answer for a shell: a name as SQL has it, in quotes where it needs them."""
    return f"{question}={name.upper()}" if is_plain(name) else f"'{question}=\"{name}\"'"
