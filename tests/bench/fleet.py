"""Compares `fleet update` with `copier update` of each member in turn; measures `fleet status`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fleet import render as rendering
from tests import versions
from tests.bench.lab import Figure, Lab, Process, Word, bench
from tests.bench.rendering import FLAGS
from tests.conftest import BIN, ROOT
from tests.versions import git

MEMBERS = int(os.environ.get("BENCH_MEMBERS", "10"))
"""The budget is about 50 members, which take some minutes: BENCH_MEMBERS=50."""
STATUS_MEMBERS = 500
KINDS = ("upstream", "native", "loom")


@dataclass(frozen=True)
class Fleet:
    template: Path
    clones: Path

    @property
    def members(self) -> list[Path]:
        return sorted(self.clones.iterdir())

    def reset(self) -> None:
        """Undoes all updates."""
        for member in self.members:
            git(member, "reset", "--quiet", "--hard")
            git(member, "clean", "--quiet", "-dfx")
            for branch in git(member, "branch", "--format=%(refname:short)").split():
                if branch != "main":
                    git(member, "branch", "--quiet", "-D", branch)


def fleet_of(folder: Path, size: int) -> Fleet:
    """Makes members of all kinds, from the version before the newest."""
    fleet = Fleet(folder / "template", folder / "clones")
    versions.build(fleet.template)
    git(fleet.template, "gc", "--quiet")
    before = rendering.Source(str(fleet.template), versions.kept()[-1])
    for number in range(size):
        member = fleet.clones / f"member_{number}"
        rendering.render(before, member, {"kind": KINDS[number % len(KINDS)]})
        git(member, "init", "--quiet", "--initial-branch=main")
        git(member, "add", "--all")
        git(member, "commit", "--quiet", "--message", "rendered")
    return fleet


def command(fleet: Fleet, *arguments: str) -> Process:
    where = ("--clones", fleet.clones, "--template", fleet.template, "--json")
    return Process([BIN / "python", "-m", "fleet", *arguments, *where], ROOT, before=fleet.reset)


@bench
def fleet_update(lab: Lab) -> Iterator[Figure]:
    """Updates members in parallel on two cores, with one clone of the template."""
    fleet = lab.once("fleet", lambda folder: fleet_of(folder, MEMBERS))
    each = f'"{BIN / "copier"}" update {" ".join(FLAGS)}'
    in_turn = f'for member in */; do (cd "$member" && {each}) || exit 1; done'
    measured, baseline = replace(lab, runs=1).compare(
        f"{MEMBERS} members",
        command(fleet, "update", "--prepare", "--no-check", "--processes", "2"),
        Process(["bash", "-c", in_turn], fleet.clones, before=fleet.reset),
    )
    what = f"fleet update of {MEMBERS} members on two cores / copier update of each in turn"
    yield Figure(what, measured, baseline, 0.5)


@bench
def fleet_status(lab: Lab) -> Iterator[Figure]:
    """Reads many clones. For repositories on GitHub, one request reads a hundred."""
    fleet = lab.once("fleet", lambda folder: fleet_of(folder, MEMBERS))
    clones = lab.folder / "many"
    if not clones.exists():
        fleet.reset()  # of updated members, the library in vendor/ would be missing in the clones
        clones.mkdir()
        for number in range(STATUS_MEMBERS):
            original = fleet.members[number % MEMBERS]
            (clones / f"m{number}").mkdir()
            (clones / f"m{number}" / ".git").symlink_to(original / ".git")
            answers = ".copier-answers.yml"  # it must not be a link
            shutil.copy(original / answers, clones / f"m{number}" / answers)
    where: list[Word] = ["--clones", clones, "--template", fleet.template, "--json"]
    measured, baseline = lab.compare(
        f"status of {STATUS_MEMBERS}",
        Process([BIN / "python", "-m", "fleet", "status", *where], ROOT),
        Process([BIN / "python", "-m", "fleet", "status", *where, "--only", "m0"], ROOT),
    )
    what = f"fleet status of {STATUS_MEMBERS} clones / of one"
    yield Figure(what, measured, baseline, None)
