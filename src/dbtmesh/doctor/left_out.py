"""Leaves out of builds on DuckDB, by name, what failed in the last build there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dbtmesh import MeshError
from dbtmesh.artifacts import hooks, results
from dbtmesh.doctor.finding import Edit
from dbtmesh.doctor.project import MANIFEST, Project
from dbtmesh.doctor.settings import CALLED, DBT_PROJECT
from dbtmesh.doctor.yaml_edit import add_to_list, guard_item
from dbtmesh.doctor.yaml_nodes import CannotEdit
from dbtmesh.downstream.sources import SNOWFLAKE_ONLY
from dbtmesh.warehouse.adapter import Warehouse

RESULTS = "target/run_results.json"
COULD_NOT = ("error", "runtime error")
"""Statuses of nodes that could not run. `fail` is not one of them: it is the result of a test."""
SECTIONS = {
    "model": ("models",),
    "seed": ("seeds",),
    "snapshot": ("snapshots",),
    "test": ("data_tests", "tests"),
    "unit_test": ("unit_tests",),
}
"""The keys of dbt_project.yml that configure each type of node; the first that it has is used."""
ON_SNOWFLAKE = ("{% if target.type != 'duckdb' %}", "{% endif %}")
HOOK = re.compile(r"operation\.[^.]+\.(?P<package>\w+)-(?P<when>on-run-(?:start|end))-(?P<at>\d+)")


@dataclass(frozen=True)
class LeftOut:
    """What to leave out. project: with the lines that do so. names: what they leave out. behind:
    how many models read that. by_hand: what no line of dbt_project.yml can leave out, and why."""

    project: Project
    names: tuple[str, ...]
    behind: int
    by_hand: tuple[str, ...]


def leave_out(project: Project) -> LeftOut:
    """Computes what to leave out. Raises MeshError where the last run was not on DuckDB."""
    manifest = project.manifest
    body = project.text(RESULTS)
    if not isinstance(manifest, dict) or body is None:
        raise MeshError(f"there is no {RESULTS} yet: run `dbt build --target local`, then this")
    if (manifest.get("metadata") or {}).get("adapter_type") != Warehouse.DUCKDB.value:
        raise MeshError(f"{MANIFEST} is not for DuckDB: run `dbt build --target local`, then this")
    run = results.decode(body.encode(), RESULTS).results
    failed = [each.unique_id for each in run if each.status in COULD_NOT]
    broken = [found for uid in failed if (found := HOOK.fullmatch(uid))]
    if broken:  # dbt skips the hooks after it, so nothing that these set up exists
        skipped = [each.unique_id for each in run if each.status == "skipped"]
        broken += [
            found
            for uid in skipped
            if (found := HOOK.fullmatch(uid)) and not _is_ours(found, project)
        ]
    text = project.text(DBT_PROJECT) or ""
    names, by_hand = [], []
    for uid, name in _hooks(broken) if broken else _nodes(failed, manifest):
        try:
            if found := HOOK.fullmatch(uid):
                text = guard_item(text, (found["when"],), int(found["at"]), *ON_SNOWFLAKE)
            else:
                text = add_to_list(text, _place(uid, manifest, project), SNOWFLAKE_ONLY)
            names.append(name)
        except CannotEdit as error:
            by_hand.append(f"{name}: {error}")
    mended = project.with_edit(Edit(DBT_PROJECT, text)) if names else project
    behind = 0 if broken else len(_behind(failed, manifest))
    return LeftOut(mended, tuple(names), behind, tuple(by_hand))


def _is_ours(hook: re.Match[str], project: Project) -> bool:
    """Checks whether the hook calls a macro of the mesh, which handles DuckDB itself."""
    listed = project.dbt_project.get(hook["when"])
    text = str(listed[int(hook["at"])]) if isinstance(listed, list) else str(listed)
    return any(hooks.effect(name) for name in CALLED.findall(text))


def _hooks(found: Iterable[re.Match[str]]) -> Iterator[tuple[str, str]]:
    for each in found:
        yield each[0], f"{each['when']}, number {int(each['at']) + 1} of {each['package']}"


def _nodes(failed: Iterable[str], manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for uid in failed:
        if uid.partition(".")[0] in SECTIONS:
            yield uid, str(_node(uid, manifest).get("name") or uid)


def _node(uid: str, manifest: dict[str, Any]) -> dict[str, Any]:
    section = "unit_tests" if uid.startswith("unit_test.") else "nodes"
    found = (manifest.get(section) or {}).get(uid)
    return found if isinstance(found, dict) else {}


def _place(uid: str, manifest: dict[str, Any], project: Project) -> tuple[str, ...]:
    sections = SECTIONS[uid.partition(".")[0]]
    section = next((each for each in sections if each in project.dbt_project), sections[0])
    return section, *map(str, _node(uid, manifest).get("fqn") or ()), "+tags"


def _behind(failed: Iterable[str], manifest: dict[str, Any]) -> set[str]:
    """Returns the models that read what is left out, directly or through others."""
    children = manifest.get("child_map") or {}
    seen = set(failed)
    waiting = [*seen]
    while waiting:
        for child in children.get(waiting.pop()) or ():
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return {uid for uid in seen - set(failed) if uid.startswith("model.")}
