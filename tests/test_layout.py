"""The layout that README.md and docs/architecture.md promise to whoever looks for a place."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "src/dbtmesh"
GITHUB = re.compile(r"""environ(?:\.get\(|\[)["'](?:GITHUB|ACTIONS|RUNNER)_""")
TO_MAKE = ("{{ gitlab }}", "{{ on_x }}")
"""Layers that a change of the table would add."""
SOURCES = (LIBRARY, *(ROOT / folder for folder in ("src", "tests", "extensions", "fleet", "docs")))


def reads_github(code: str) -> bool:
    return bool(GITHUB.search(code))


def missing(page: str) -> list[str]:
    """Paths that a page names and that are not there, in the repository or in the library."""
    named = re.findall(r"`([^`\n]*?(?:\w/|\.(?:py|md|js|html|jinja)))`", page)
    return [path for path in dict.fromkeys(named) if not is_there(path)]


def is_there(path: str) -> bool:
    if any(layer in path for layer in TO_MAKE):
        return True
    pattern = path.replace("…", "*").rstrip("/")
    if "/" in pattern:
        return any(any(folder.glob(pattern)) for folder in (ROOT, *SOURCES))
    return path.endswith("/") or any(any(folder.rglob(pattern)) for folder in SOURCES)


def modules() -> list[Path]:
    return sorted(LIBRARY.rglob("*.py"))


def test_variables_of_github_are_read_in_one_package() -> None:
    assert reads_github('os.environ.get("GITHUB_SHA")')
    assert reads_github("os.environ['ACTIONS_ID_TOKEN_REQUEST_URL']")
    there = LIBRARY / "ci/github"
    others = [path for path in modules() if there not in path.parents]
    assert len(others) > 100
    assert not [path for path in others if reads_github(path.read_text(encoding="utf-8"))]


def test_every_place_that_the_guide_for_contributors_names_is_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert missing("`src/dbtmesh/gate/rules.py`, `gate/no_rules.py`") == ["gate/no_rules.py"]
    assert not missing(page)


def test_every_module_says_what_it_does() -> None:
    silent = [path for path in modules() if not path.read_bytes().startswith(b'"""')]
    assert not silent


def test_the_readme_is_short() -> None:
    """What it is, see it run, make a member, where to read on: the rest is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
