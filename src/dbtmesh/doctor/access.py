"""Makes a public model protected, in the file that sets its access."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from dbtmesh.doctor.finding import Edit
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import add_entry, edits, set_value
from dbtmesh.doctor.yaml_nodes import Path, value_at

DBT_PROJECT = "dbt_project.yml"
PUBLIC, PROTECTED = "public", "protected"
IN_CONFIG = re.compile(r"(\bconfig\s*\([^)]*?\baccess\s*=\s*)(['\"])public\2")
PLACES = (("config", "access"), ("config", "+access"), ("access",))
"""The keys of a model's properties that can set its access."""


def closed(project: Project, model: Mapping[str, Any]) -> tuple[Edit, ...]:
    """Returns the edits that make a model of dbt's manifest protected. Empty where no file sets its
    access to public, or where the line cannot be changed."""
    found = (*_in_its_own_file(project, model), *_in_its_properties(project, model))
    return found or _in_settings(project, model)


def _in_its_own_file(project: Project, model: Mapping[str, Any]) -> Iterator[Edit]:
    path = str(model.get("original_file_path") or "")
    text = project.text(path) if _is_inside(path) else None
    changed = IN_CONFIG.sub(rf"\1\2{PROTECTED}\2", text or "")
    if text and changed != text:
        yield Edit(path, changed)


def _in_its_properties(project: Project, model: Mapping[str, Any]) -> Iterator[Edit]:
    path = str(model.get("patch_path") or "").partition("://")[2]
    text = project.text(path) if _is_inside(path) else None
    if not text:
        return
    for place in _said_public(project.yaml(path).get("models"), model):
        yield from edits(path, set_value, text, ("models", *place), PROTECTED)
        break  # the next round finds the other one, in the text that this edit has changed


def _said_public(models: Any, model: Mapping[str, Any]) -> Iterator[Path]:
    """Yields the paths below `models` at which the model, or its version, is set to public."""
    for at, named in _items(models):
        if named.get("name") != model["name"]:
            continue
        for place in PLACES:
            if value_at(named, place) == PUBLIC:
                yield (at, *place)
        for number, version in _items(named.get("versions")):
            if str(version.get("v")) == str(model.get("version")):
                yield from (
                    (at, "versions", number, *place)
                    for place in PLACES
                    if value_at(version, place) == PUBLIC
                )


def _in_settings(project: Project, model: Mapping[str, Any]) -> tuple[Edit, ...]:
    """Sets the access of this model alone, where dbt_project.yml makes its folder public."""
    fqn = [str(part) for part in model.get("fqn") or ()]
    depths = range(len(fqn) + 1)
    said = [
        value
        for depth in depths
        for key in ("access", "+access")
        if (value := value_at(project.dbt_project, ("models", *fqn[:depth], key))) is not None
    ]
    if not fqn or said[-1:] != [PUBLIC]:
        return ()
    text = project.text(DBT_PROJECT) or ""
    return edits(DBT_PROJECT, add_entry, text, ("models", *fqn), "+access", PROTECTED)


def _items(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, each in enumerate(value if isinstance(value, list) else ()):
        if isinstance(each, dict):
            yield number, each


def _is_inside(path: str) -> bool:
    """Checks whether a path is below the project's folder: the manifest is untrusted input."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
