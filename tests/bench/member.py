"""Counts the files of a member, and what a fix of the library's logic changes in a member."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.lab import Figure, Lab, bench
from tests.bench.rendering import COPIER, FLAGS, RELEASES, git, this_repository

KINDS = {
    "upstream": (32, ["kind=upstream"]),
    "native": (32, ["kind=native"]),
    "loom": (32, ["kind=loom"]),
    "native hub": (34, ["kind=native", "publishes=true"]),
    "loom hub": (34, ["kind=loom", "publishes=true"]),
}
"""The budget of each kind, and the answers that make a member of it."""
OWN = ("models/", "seeds/", ".github/workflows/")
FIXED = "src/dbtmesh/gate/rules.py"


def rendered(template: Path, target: Path, version: str, *data: str) -> Path:
    answers = [word for each in data for word in ("--data", each)]
    copy = [COPIER, "copy", *FLAGS, "--vcs-ref", version, *answers, template, target]
    subprocess.run(list(map(str, copy)), check=True, capture_output=True)
    git(target, "init", "--quiet")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message", "rendered")
    return target


@bench
def member(lab: Lab) -> Iterator[Figure]:
    """Counts the files of a member of each kind, without its models, seeds and workflows."""
    template = lab.once("this repository", this_repository)
    for kind, (budget, data) in KINDS.items():
        folder = lab.folder / f"files_{kind.replace(' ', '_')}"
        listed = git(rendered(template, folder, RELEASES[0], *data), "ls-files").splitlines()
        files = [name for name in listed if not name.startswith(OWN)]
        yield Figure(f"files of a member: {kind}", len(files), None, budget, "files")


@bench
def fix(lab: Lab) -> Iterator[Figure]:
    """Counts what `copier update` changes in a member for a fix of the library's logic."""
    template = lab.once("this repository", this_repository)
    project = rendered(template, lab.folder / "fixed", RELEASES[1], "kind=upstream")
    library = template / FIXED
    library.write_text(library.read_text() + "\n# fixed\n")
    git(template, "commit", "--quiet", "--all", "--message", "three")
    git(template, "tag", "v9.0.2")
    update = [COPIER, "update", "--trust", "--defaults", "--quiet"]
    subprocess.run(list(map(str, update)), cwd=project, check=True, capture_output=True)
    git(project, "add", "--all")
    rows = [row.split("\t") for row in git(project, "diff", "--cached", "--numstat").splitlines()]
    lines = sum(int(number) for row in rows for number in row[:2] if number != "-")
    what = "a fix of library logic, in a member"
    yield Figure(f"{what}: files", len(rows), None, 3, "files")
    yield Figure(f"{what}: lines of text", lines, None, 10, "lines")
