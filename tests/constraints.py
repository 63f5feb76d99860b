"""Derives the members' pins from this repository's. `make constraints` renews both."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fleet import dbt_v2

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / "constraints.txt"
MEMBERS = ROOT / "template/{{ member }}/constraints.txt.jinja"
REQUIREMENTS = ROOT / "template/{{ member }}/requirements.txt.jinja"
LIBRARY = "dbtmesh[s3,azure,gcs,snowflake,publisher,reader]"
"""The requirement that stands for the wheel in a member's `vendor/`, with all of its extras."""
WORKFLOWS_INSTALL = ["copier", "copier-template-extensions", "PyYAML", "sqlfluff"]
DBT = re.compile(r"^dbt-core==(.+)$", re.MULTILINE)
HEADER = """\
# What this template's tests ran with: pip install -r requirements.txt -c constraints.txt
# You need another version of something? Change its line. A release of the template renews the rest.
"""


def required(template: str) -> list[str]:
    """Returns what members of all kinds require: each line of their file, without its `if`."""
    lines = (line.strip() for line in template.splitlines())
    library = ("./vendor/", "dbtmesh[")
    packages = (LIBRARY if line.startswith(library) else line for line in lines)
    return [line for line in packages if line and not line.startswith(("#", "{%", "{#"))]


def with_dependencies(requirements: Iterable[str]) -> set[str]:
    """Returns the names of these packages and all of their dependencies, as installed here."""
    wanted = [Requirement(each) for each in requirements]
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {each for known, each in seen if known == name}:
            seen.add((name, extra))
            for text in importlib.metadata.requires(name) or ():
                dependency = Requirement(text)
                if dependency.marker is None or dependency.marker.evaluate({"extra": extra}):
                    wanted.append(dependency)
    return {name for name, _ in seen}


def for_members(pins: str, requirements: Iterable[str]) -> str:
    """Returns the members' file: the lines of a constraints file for these requirements.

    Raises LookupError where a package has no pin.
    """
    lines = {canonicalize_name(line.partition("==")[0]): line for line in pins.splitlines()}
    # `make constraints` leaves these out, because they belong to the environment, not to a project
    names = with_dependencies(requirements) - {"pip", "setuptools", "dbtmesh"}
    if missing := names - lines.keys():
        raise LookupError(f"no pin in {OURS.name}: {', '.join(sorted(missing))}")
    return HEADER + "".join(f"{line}\n" for name, line in lines.items() if name in names)


def derived() -> str:
    """Returns what the members' file has to be: our pins, with dbt's for the chosen engine."""
    wanted = required(REQUIREMENTS.read_text(encoding="utf-8")) + WORKFLOWS_INSTALL
    text = for_members(OURS.read_text(encoding="utf-8"), wanted)
    return DBT.sub(
        lambda core: f"dbt-core=={{{{ '{dbt_v2.PIN}' if engine == 'v2' else '{core[1]}' }}}}",
        text,
    )


if __name__ == "__main__":
    MEMBERS.write_text(derived(), encoding="utf-8")
