"""Checks the packages that a project installs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dbtmesh import yaml_files
from dbtmesh.doctor.finding import Finding
from dbtmesh.doctor.project import Project
from dbtmesh.doctor.yaml_edit import edits, remove_item

FILES = ("packages.yml", "dependencies.yml")


def upstreams(project: Project) -> Iterator[Finding]:
    """Checks that no package is an upstream, such as one left from when both were one project."""
    read = {each.name for each in project.member.upstreams}
    for file in FILES:
        listed = project.yaml(file).get("packages")
        for at, package in enumerate(listed if isinstance(listed, list) else ()):
            name = _name(project, package) if isinstance(package, dict) else None
            if name not in read:
                continue
            yield Finding(
                file,
                f"installs {name}, which this project reads as an upstream",
                "its models are built here, too, and its hooks run with this project's role. "
                "Macros of it that are called here belong in a package of their own",
                f"remove the package {name}, then run dbt deps",
                edits(file, remove_item, project.text(file) or "", ("packages",), at),
            )


def _name(project: Project, package: Mapping[str, Any]) -> str | None:
    """Returns the name of a package's project, as far as it is known without installing it."""
    if isinstance(local := package.get("local"), str):
        return yaml_files.mapping(project.root / local / "dbt_project.yml").get("name")
    found = re.search(r"([^/:]+?)(?:\.git)?/?$", str(package.get("git") or ""))
    return found[1].replace("-", "_") if found else None
