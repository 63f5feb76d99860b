"""Checks the macros that the hooks call, and those that decide where models land."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from dbtmesh.artifacts import hooks
from dbtmesh.doctor.finding import Edit, Finding, note
from dbtmesh.doctor.project import Project

EFFECTS = {
    "generate_schema_name": "models land in MARTS_MARTS instead of MARTS: dbt puts the target's "
    "schema first",
    "generate_database_name": "a model with a `database` is built there in dev and ci, too, among "
    "the deployed models",
}
OTHER = "other"
"""The suffix that renames a macro that is defined twice."""
DATABASE_NAME = "generate_database_name"
NAMING = ("generate_schema_name", DATABASE_NAME, "generate_alias_name")
MACRO = re.compile(r"({%[-+]?\s*macro\s+(\w+)\s*\(.*?{%[-+]?\s*endmacro\s*[-+]?%})", re.DOTALL)


def macros(project: Project) -> Iterator[Finding]:
    """Checks that each macro of the template is defined once, in the project's files."""
    for path, text in project.template.macros():
        whole = {each[2]: each[1] for each in MACRO.finditer(text)}
        unused = set() if project.member.snowflake.get("more_databases") else {DATABASE_NAME}
        missing = [name for name in whole if name not in project.macros]
        for name in whole:
            where = project.macros.get(name, [])
            if not where and name in unused and len(missing) < len(whole):
                continue  # the team has the others, and all models go to one database
            if not where:
                yield Finding(
                    path,
                    f"the macro {name}() is not defined",
                    hooks.effect(name) or EFFECTS.get(name, "dbt cannot run what calls it"),
                    f"the file {path}, as the template has it",
                    # macros that are not missing are the team's own, in another file
                    (Edit(path, text if len(missing) == len(whole) else _only(missing, whole)),),
                )
                break  # this edit adds the other missing macros, too
            if len(where) > 1:
                yield _defined_twice(project, name, where, path, whole[name])
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


def _defined_twice(project: Project, name: str, where: list[str], path: str, ours: str) -> Finding:
    """Returns a finding for a macro that is defined twice, which dbt does not accept.

    The fix removes the template's, and keeps the team's own. Of two of the team's own, it keeps the
    one in the file of that name, or else the first, and renames the other.
    """
    has_ours = path in where and ours in (project.text(path) or "")
    theirs = [each for each in where if not (has_ours and each == path)]
    stays = next((each for each in theirs if PurePosixPath(each).stem == name), theirs[0])
    goes = path if has_ours else next((each for each in theirs if each != stays), stays)
    text = project.text(goes) or ""
    if has_ours:
        changed, add = text.replace(ours, "").strip() + "\n", f"keep one of them: {stays} has yours"
    else:
        renamed = f"{name}_{OTHER}"
        named = re.compile(rf"({{%[-+]?\s*macro\s+){name}(\s*\()")
        at = [*named.finditer(text)][-1]
        changed = text[: at.start()] + named.sub(rf"\g<1>{renamed}\2", at[0]) + text[at.end() :]
        add = f"keep one of them, and call the other {renamed}: dbt then uses that of {stays}"
    return Finding(
        goes,
        f"the macro {name}() is defined in {stays}, too",
        "dbt does not parse the project",
        add,
        (Edit(goes, changed),),
    )
