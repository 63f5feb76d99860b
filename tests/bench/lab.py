"""Tools of benches: they run processes in turns, take medians, and compare figures with budgets."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import render as rendering
from fleet.render import Source
from tests import conftest, s3_server, versions


@dataclass(frozen=True)
class Figure:
    """One line of the table: seconds, MB or a count, against a baseline or a fixed limit.

    ratio: the measured median divided by the baseline's; None without a baseline.
    budget: the maximum of the ratio, or of the measured value without a baseline; None if there is
    no budget.
    """

    what: str
    measured: float
    baseline: float | None
    budget: float | None
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        return self.measured / self.baseline if self.baseline else None

    @property
    def ok(self) -> bool | None:
        if self.budget is None:
            return None
        return (self.measured if self.ratio is None else self.ratio) <= self.budget


@dataclass(frozen=True)
class Process:
    """A command that is timed from start to end. `before` prepares each run, and is not timed."""

    command: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None


Say = Callable[[str], None]


@dataclass
class Lab:
    """Where benches work. runs: how often each process runs. say: shows what is going on."""

    folder: Path
    runs: int
    say: Say
    stack: ExitStack
    _kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[Path], Any]) -> Any:
        """Returns what several benches share. The first that asks makes it, in its own folder."""
        if name not in self._kept:
            self.say(f"preparing {name}")
            folder = self.folder / name.replace(" ", "_")
            folder.mkdir()
            self._kept[name] = make(folder)
        return self._kept[name]

    @property
    def template(self) -> Source:
        """This repository with its uncommitted changes, as a release of the template."""
        made = self.once("template", lambda folder: versions.snapshot(folder / "template"))
        return Source(str(made), versions.newest())

    @property
    def s3(self) -> s3_server.S3:
        made = self.once(
            "S3 server", lambda folder: self.stack.enter_context(s3_server.running(folder))
        )
        assert isinstance(made, s3_server.S3)
        return made

    def member(self, path: Path, **answers: Any) -> conftest.Member:
        home = path.parent / ".mesh"
        home.mkdir(exist_ok=True, parents=True)
        rendering.render(self.template, path, {"project_name": path.name, **answers})
        return conftest.Member(path, {"DBT_MESH_HOME": str(home)})

    def compare(
        self, what: str, *processes: Process, clock: Callable[[], float] = time.perf_counter
    ) -> list[float]:
        """Returns the median seconds of each process.

        The processes take turns, so that all of them see the same load on the machine. A first
        round, which fills caches, does not count.
        """
        rounds: list[list[float]] = [[] for _ in processes]
        for number in range(self.runs + 1):
            self.say(f"{what}: run {number} of {self.runs}" if number else f"{what}: warming up")
            for measured, process in zip(rounds, processes, strict=True):
                process.before()
                started = clock()
                run(process)
                measured.append(clock() - started)
        return [statistics.median(measured[1:]) for measured in rounds]

    def pairs(self, what: str, one: Process, other: Process) -> tuple[float, float]:
        """Compares the processor time of two processes that differ only a little.

        Returns the time of `one`, which is the median of `other` times the median ratio of pairs,
        and the median of `other`. Both of a pair see the same load on the machine. There are PAIRS
        pairs for each run, and the two processes take turns at running first.
        """
        ratios, baselines = [], []
        for number in range(self.runs * PAIRS + 1):
            self.say(f"{what}: pair {number} of {self.runs * PAIRS}" if number else what)
            spent = {}
            for process in (one, other) if number % 2 else (other, one):
                process.before()
                started = on_processors()
                run(process)
                spent[id(process)] = on_processors() - started
            if number:
                ratios.append(spent[id(one)] / spent[id(other)])
                baselines.append(spent[id(other)])
        baseline = statistics.median(baselines)
        return baseline * statistics.median(ratios), baseline


PAIRS = 3


def on_processors() -> float:
    """Returns the processor time so far of all processes that this one has started.

    It is the clock for work that waits for nothing, but starts so many processes and writes so many
    files that the load on the machine would distort the elapsed time.
    """
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def environment() -> dict[str, str]:
    """Returns the environment of measured processes. They keep compiled Python, as pip does."""
    return {key: each for key, each in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def run(process: Process, *wrapper: str | Path) -> str:
    """Runs the process once and returns its output. Raises RuntimeError with it where it fails."""
    done = subprocess.run(
        [*map(str, wrapper), *map(str, process.command)],
        cwd=process.folder,
        env={**environment(), **process.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{process.command} failed:\n{done.stdout[-2000:]}")
    return done.stdout


# The peak of a process starts with that of the process that forked it, which is large here. So
# there is a small process in between. Linux counts in KiB, macOS in bytes.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
"""


def peak_memory(process: Process) -> float:
    """Returns the peak memory of the process in MB."""
    process.before()
    return float(run(process, *python(PEAK)).splitlines()[-1])


Word = str | Path


def python(code: str, *arguments: Word) -> list[Word]:
    return [sys.executable, "-c", code, *arguments]


Bench = Callable[[Lab], Iterator[Figure]]
BENCHES: dict[str, Bench] = {}


def bench(function: Bench) -> Bench:
    """Registers a bench under its function's name. A bench yields its figures as it gets them."""
    BENCHES[function.__name__] = function
    return function
