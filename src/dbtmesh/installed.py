"""Finds which version of this library a command runs with, and which one its project requires."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENTS = "requirements.txt"
AFTER = "requirements-mesh.txt"
"""The file with what the mesh needs, if requirements.txt is a team's lock. It is installed after
the lock, because pip accepts no line without a hash beside one that has one, nor two versions of
one package."""
REQUIRED = re.compile(
    r"^(?:\./vendor/dbtmesh-(?P<file>[^-\s]+)-py3-none-any\.whl|dbtmesh(?:\[[^]]*\])?==(?P<index>\S+))",
    re.MULTILINE,
)
"""The library in a member's requirements, as a file of the project or from an index."""


def required(project: Path) -> str | None:
    """Returns the version that a project requires; None where its requirements name none, or cannot
    be read."""
    for name in (AFTER, REQUIREMENTS):
        try:
            return named_in((project / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
    return None


def how(project: Path = Path()) -> str:
    """Returns the command that installs what a project requires."""
    files = [REQUIREMENTS, *([AFTER] if (project / AFTER).is_file() else [])]
    return " && ".join(f"pip install -r {name} -c constraints.txt" for name in files)


def named_in(requirements: str) -> str | None:
    """Returns the version that the text of a requirements.txt names; None where it names none."""
    found = REQUIRED.search(requirements)
    return (found["file"] or found["index"]) if found else None


def vendored(project: Path) -> str | None:
    """Returns the version of the wheel in vendor/; None where there is none."""
    wheel = next((project / "vendor").glob("dbtmesh-*-py3-none-any.whl"), None)
    return wheel.name.split("-")[1] if wheel else None


def version(package: Path = Path(__file__).parent) -> str | None:
    """Returns the installed version; None for a checkout that is not installed.

    It is read from the name of the folder beside the package, `dbtmesh-1.2.3.dist-info`
    (https://packaging.python.org/en/latest/specifications/recording-installed-packages/), because
    importing importlib.metadata takes longer than running many of the commands.
    """
    info = next(package.parent.glob("dbtmesh-*.dist-info"), None)
    return info.name.removesuffix(".dist-info").partition("-")[2] if info else None


def other_than_required(project: Path) -> str | None:
    """Returns a note if this is another version than the project requires, else None."""
    wanted, found = required(project), version()
    if not wanted or not found or wanted == found:
        return None
    return (
        f"this Python has version {found} of dbtmesh, the project requires {wanted}: {how(project)}"
    )
