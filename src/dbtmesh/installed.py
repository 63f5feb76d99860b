"""Finds which version of this library a command runs with, and which one its project requires."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENTS = "requirements.txt"
AFTER = "requirements-mesh.txt"
"""What the mesh needs, where requirements.txt is a team's lock: pip takes no line without a hash
beside one that has one, nor two versions of one package. So it is installed after it."""
REQUIRED = re.compile(
    r"^(?:\./vendor/dbtmesh-(?P<file>[^-\s]+)-py3-none-any\.whl|dbtmesh(?:\[[^]]*\])?==(?P<index>\S+))",
    re.MULTILINE,
)
"""The library in a member's requirements, as a file of the project or from an index."""


def required(project: Path) -> str | None:
    """The version that a project requires; None where it names none, or cannot be read."""
    for name in (AFTER, REQUIREMENTS):
        try:
            return named_in((project / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
    return None


def how(project: Path = Path()) -> str:
    """The command that installs what a project requires."""
    files = [REQUIREMENTS, *([AFTER] if (project / AFTER).is_file() else [])]
    return " && ".join(f"pip install -r {name} -c constraints.txt" for name in files)


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
        f"this Python has version {found} of dbtmesh, the project requires {wanted}: {how(project)}"
    )
