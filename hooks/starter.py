"""Prepares a project that starts without the example models.

A native downstream gets a first model, which selects from a model that its upstream has published
on this machine. If no publication can be read here, there is no first model, and the project builds
without it. Copier's interpreter has no msgspec, so this module cannot use the library's decoder of
manifests, and takes nothing but names from a manifest.

Settings of folders that do not exist yet become comments, because dbt warns of them in each run.
The template does not do this: an update would comment them out in members that have the folders.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import library

sys.path.insert(0, str(library.SOURCE))

from dbtmesh.files import read_bounded

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
"""A name that may stand in a model's text. A manifest is untrusted: other names are left out."""
NAMED = 5
"""How many more models the first one names in a comment."""


SETTINGS = {
    "models/staging": re.compile(r"^    staging:\n(?: {6}.*\n?)+", re.MULTILINE),
    "seeds": re.compile(r"^seeds:\n(?: +.*\n?)+", re.MULTILINE),
}
"""Patterns for the lines of dbt_project.yml that configure a folder, by the folder."""


def leave_out_unused(member: Path) -> None:
    """Comments out the settings of missing folders.

    Raises OSError where dbt_project.yml cannot be read or written.
    """
    file = member / "dbt_project.yml"
    before = text = file.read_text(encoding="utf-8")
    for folder, lines in SETTINGS.items():
        if not (member / folder).is_dir():
            text = lines.sub(partial(as_comment, folder), text)
    if text != before:
        file.write_text(text, encoding="utf-8")


def as_comment(folder: str, found: re.Match[str]) -> str:
    lines = found[0].splitlines()
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    told = f"# once there is a folder {folder}:"
    rest = [f"# {line.removeprefix(indent)}" for line in lines]
    return "".join(f"{indent}{line}\n" for line in (told, *rest))


def make(member: Path, answers: Mapping[str, str]) -> Path | None:
    """Writes the first model and returns its path, or None where the project gets none.

    Raises OSError where the folder cannot be written.
    """
    if answers.get("kind") != "native" or answers.get("starter") != "false":
        return None  # a loom member with such a ref cannot be parsed before its first sync
    if answers.get("own_files") or (member / "models").exists():
        return None
    upstream = re.split("[,=:@]", answers.get("upstreams", ""))[0].strip()
    home = member / os.environ.get("DBT_MESH_HOME", "../.mesh")
    models = published(home / "registry" / upstream / "local/latest/manifest.json", upstream)
    if not models:
        return None
    by_ref = answers.get("starter_reads") == "ref"
    file = member / "models" / f"first_{models[0]}.sql"
    file.parent.mkdir()
    file.write_text(text(upstream, models, by_ref=by_ref), encoding="utf-8")
    return file


def published(manifest: Path, project: str) -> list[str]:
    """Returns the sorted names of models that every project may read; none if it is unreadable."""
    try:
        nodes = json.loads(read_bounded(manifest))["nodes"].values()
        return sorted({node["name"] for node in nodes if is_for_all(node, project)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def is_for_all(node: Mapping[str, Any], project: str) -> bool:
    """Checks whether it is a model of that project that all may read, with a name fit for SQL."""
    config, name = node.get("config") or {}, node.get("name")
    return (
        node.get("resource_type") == "model"
        and node.get("package_name") == project
        and node.get("access", config.get("access")) == "public"
        and isinstance(name, str)
        and NAME.fullmatch(name) is not None
        and "consumers" not in (config.get("meta") or {})
    )


def text(upstream: str, models: list[str], *, by_ref: bool) -> str:
    """Returns SQL that reads the first of `models` and names a few more in a comment."""
    call = "ref" if by_ref else "source"
    others = ", ".join(models[1 : 1 + NAMED])
    more = f" It publishes {others}{', …' if models[1 + NAMED :] else ''}, too." if others else ""
    return (
        f"-- Reads a model of {upstream}; yours to change, and to take away.{more}\n"
        f"select *\nfrom {{{{ {call}('{upstream}', '{models[0]}') }}}}\n"
    )
