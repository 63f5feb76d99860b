"""Compares rendering and updating members with a Copier template of two files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.lab import Figure, Lab, Process, bench, on_processors, python
from tests.conftest import BIN, ROOT

COPIER = BIN / "copier"
FLAGS = ("--trust", "--defaults", "--quiet")

TWO_FILES = {
    "copier.yml": "_subdirectory: template\nname: {type: str, default: x}\n",
    "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
    "template/file.txt.jinja": "{{ name }}\n",
}

RELEASES = ("v9.0.0", "v9.0.1")
"""Later than all versions with migrations of their own, as the next release will be."""

RENDER = """
import sys
from pathlib import Path
import yaml
from fleet import render
from fleet.demo_mesh import DATA_FILES
for member in sys.argv[3:]:
    answers = yaml.safe_load((DATA_FILES / f"{member}.yml").read_text())
    render.render(render.Source(sys.argv[2]), Path(sys.argv[1]) / member, answers)
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def two_files(folder: Path) -> Path:
    for name, text in TWO_FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(folder, "init", "--quiet")
    release(folder, folder / "template" / "file.txt.jinja")
    return folder


def this_repository(folder: Path) -> Path:
    """Makes a clone with the working tree's changes, as if they were released."""
    git(folder, "clone", "--quiet", "--no-tags", str(ROOT), ".")
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(
        "\0"
    ):
        here, there = ROOT / name, folder / name
        if here.is_file():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)
        elif name:
            there.unlink(missing_ok=True)
    release(folder, folder / "template/{{ member }}/profiles.yml.jinja")
    return folder


def release(template: Path, changed: Path) -> None:
    """Tags two versions, between which one file has changed."""
    git(template, "add", "--all")
    git(template, "commit", "--quiet", "--allow-empty", "--message", "one")
    git(template, "tag", RELEASES[0])
    changed.write_text(changed.read_text() + "# changed\n")
    git(template, "commit", "--quiet", "--all", "--message", "two")
    git(template, "tag", RELEASES[1])
    git(template, "gc", "--quiet")  # one pack, as a clone from a server has it


@bench
def render(lab: Lab) -> Iterator[Figure]:
    """Renders one member, and the three of the demo mesh."""
    ours = lab.once("this repository", this_repository)
    theirs = lab.once("template of two files", two_files)

    def copy(template: Path, *flags: str) -> Process:
        target = lab.folder / f"copy_{template.name}"
        return Process(
            [COPIER, "copy", *FLAGS, *flags, template, target],
            lab.folder,
            before=lambda: shutil.rmtree(target, ignore_errors=True),
        )

    member = copy(ours, "--data", "kind=upstream", "--data", "project_name=dbt_up")
    measured, baseline = lab.compare("one member", member, copy(theirs), clock=on_processors)
    files = sum(path.is_file() for path in Path(member.command[-1]).rglob("*"))
    what = f"render one member ({files} files) / a Copier template of two files"
    yield Figure(what, measured, baseline, 2)

    def mesh(*members: str) -> Process:
        target = lab.folder / f"mesh_{len(members)}"
        return Process([*python(RENDER), target, ours, *members], ROOT)

    measured, baseline = lab.compare(
        "three members",
        mesh("dbt_up", "dbt_down", "dbt_down_loom"),
        mesh("dbt_up"),
        clock=on_processors,
    )
    what = "render three members in one process / one member so"
    yield Figure(what, measured, baseline, 2.5)


@bench
def update(lab: Lab) -> Iterator[Figure]:
    """Updates a member from one tag to the next."""

    def process(template: Path, *flags: str) -> Process:
        project = lab.folder / f"update_{template.name}"
        copy = [COPIER, "copy", *FLAGS, "--vcs-ref", RELEASES[0], *flags, template, project]
        subprocess.run(list(map(str, copy)), check=True, capture_output=True)
        git(project, "init", "--quiet")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message", "rendered")

        def reset() -> None:
            git(project, "reset", "--quiet", "--hard")
            git(project, "clean", "--quiet", "-dfx")

        # not quiet, like a person who reads what changed
        return Process([COPIER, "update", "--trust", "--defaults"], project, before=reset)

    ours = lab.once("this repository", this_repository)
    theirs = lab.once("template of two files", two_files)
    measured, baseline = lab.compare(
        "update",
        process(ours, "--data", "kind=upstream", "--data", "project_name=dbt_up"),
        process(theirs),
        clock=on_processors,
    )
    what = "update one member / update of the template of two files"
    yield Figure(what, measured, baseline, 3)
