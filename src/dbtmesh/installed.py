"""Finds which version of this library a command runs with, and which one its project requires."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENTS = "requirements.txt"
REQUIRED = re.compile(
    r"^(?:\./vendor/dbtmesh-(?P<file>[^-\s]+)-py3-none-any\.whl|dbtmesh(?:\[[^]]*\])?==(?P<index>\S+))",
    re.MULTILINE,
)
"""The library in a member's requirements.txt, as a file of the project or from an index."""


def required(project: Path) -> str | None:
    """The version that a project requires; None where it names none, or cannot be read."""
    try:
        return named_in((project / REQUIREMENTS).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def named_in(requirements: str) -> str | None:
    """The version that the text of a requirements.txt names."""
    found = REQUIRED.search(requirements)
    return (found["file"] or found["index"]) if found else None


def vendored(project: Path) -> str | None:
    """The version of the file in vendor/; None where there is none."""
    wheel = next((project / "vendor").glob("dbtmesh-*-py3-none-any.whl"), None)
    return wheel.name.split("-")[1] if wheel else None


def version(package: Path = Path(__file__).parent) -> str | None:
    """The installed version; None for a checkout that is run as it is.

    Told by the folder beside the package, `dbtmesh-1.2.3.dist-info`, as it is specified
    (https://packaging.python.org/en/latest/specifications/recording-installed-packages/):
    importlib.metadata takes longer to import than many a command to run.
    """
    info = next(package.parent.glob("dbtmesh-*.dist-info"), None)
    return info.name.removesuffix(".dist-info").partition("-")[2] if info else None


def other_than_required(project: Path) -> str | None:
    """What to say where a command runs with another version than its project requires."""
    wanted, found = required(project), version()
    if not wanted or not found or wanted == found:
        return None
    return (
        f"this Python has version {found} of dbtmesh, the project requires {wanted}: "
        "pip install -r requirements.txt -c constraints.txt"
    )
