"""`fleet update`: updates every member to a release of the template, several at a time."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from multiprocessing.connection import wait as wait_for

from next_steps import SAY_WHO_COMMITS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dbtmesh.cli import note, say_json
from fleet import sandbox
from fleet.console import plain
from fleet.errors import FleetError
from fleet.git import SECONDS, GitError
from fleet.git import run as run_command
from fleet.members import Member
from fleet.outcome import FINE, Goal, Order, Outcome, Result
from fleet.releases import Releases
from fleet.update_one import update

STYLES = {
    Result.CONFLICT: "yellow",
    Result.CHECK_FAILED: "red",
    Result.REFUSED: "yellow",
    Result.FAILED: "red",
}
NOT_STARTED = "stopped before its turn: run it again"
STOPPED = "under way when stopped: run it again"
KILLED = "its process was killed: run it again"
PATIENCE = 0.2
"""Seconds between checks whether Ctrl-C was pressed."""


def choose(members: Sequence[Member], patterns: Sequence[str]) -> list[Member]:
    """Returns members whose name matches a pattern; all without patterns. Raises FleetError."""
    if not members:
        raise FleetError("there are no members: name them, --members FILE or --clones FOLDER")
    for pattern in patterns:
        if not any(fnmatchcase(member.name, pattern) for member in members):
            shown = [*(member.name for member in members[:5]), *("…" for _ in members[5:6])]
            raise FleetError(
                f"--only {pattern!r} matches none of the {len(members)} members "
                f"({', '.join(shown)})"
            )
    return [
        member
        for member in members
        if not patterns or any(fnmatchcase(member.name, pattern) for pattern in patterns)
    ]


def commands(checks: Sequence[str]) -> tuple[str, ...]:
    """Returns the checks. Raises FleetError where one is not a command."""
    for check in checks:
        try:
            words = shlex.split(check)
        except ValueError as error:
            reason = str(error).lower()
            raise FleetError(f"--check {check!r} is not a command: {reason}") from None
        if not words:
            raise FleetError("--check is empty: name a command, or --no-check")
    return tuple(checks)


def run(
    members: Sequence[Member],
    releases: Releases,
    *,
    goal: Goal,
    checks: tuple[str, ...],
    moved_to: str = "",
    canary: int,
    processes: int,
    as_json: bool,
) -> int:
    """Runs the command. Returns 0 if all went well, 2 if some need a person. Raises FleetError."""
    for missing in lacking(goal):
        if goal is not Goal.DRY_RUN:
            raise FleetError(missing)
        note(missing)
    order = Order(releases, goal, checks, moved_to)
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    outcomes, stopped = watch(members, order, canary, processes, progress)
    if as_json:
        say_json({"to": order.to, "members": [asdict(each) for each in outcomes]})
    else:
        print_table(outcomes, order, Console(highlight=False))
    if stopped:
        return 130
    return 0 if all(outcome.result in FINE for outcome in outcomes) else 2


def lacking(goal: Goal) -> Iterator[str]:
    """Yields what the operator lacks: without it, every member would fail after all the work."""
    if goal in (Goal.PROPOSE, Goal.DRY_RUN):
        if not shutil.which("gh"):
            yield "gh is not on PATH: install it (cli.github.com), or --push, or --prepare"
        elif not succeeds("gh", "auth", "token"):
            yield "gh is not signed in: `gh auth login` (or set GH_TOKEN), or --push, or --prepare"
    if not succeeds("git", "var", "GIT_COMMITTER_IDENT"):
        yield f"git does not know who commits: {SAY_WHO_COMMITS}"


def succeeds(*command: str) -> bool:
    try:
        run_command([*command], None, seconds=SECONDS)
    except GitError:
        return False
    return True


def watch(
    members: Sequence[Member], order: Order, canary: int, processes: int, console: Console
) -> tuple[list[Outcome], bool]:
    """Shows the progress. Returns each member's outcome, in order, and whether Ctrl-C ended it."""
    known: dict[Member, Outcome] = {}
    stopped = False
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(f"to {order.to}", total=len(members))
        try:
            for member, outcome in in_waves(members, order, canary, processes):
                known[member] = outcome
                bar.advance(task)
                bar.console.print(line(outcome), soft_wrap=True)
        except KeyboardInterrupt:
            stopped = True
    outcomes = [
        known.get(member) or Outcome(member.name, Result.NOT_STARTED, NOT_STARTED)
        for member in members
    ]
    return outcomes, stopped


def in_waves(
    members: Sequence[Member], order: Order, canary: int, processes: int
) -> Iterator[tuple[Member, Outcome]]:
    """Updates the first `canary` members, and the others only if all of those succeeded."""
    failed = []
    for member, outcome in side_by_side(members[:canary], order, processes):
        if outcome.result not in FINE:
            failed.append(outcome.name)
        yield member, outcome
    for member in members[canary:] if failed else ():
        reason = f"the canary {failed[0]} needs a person"
        yield member, Outcome(member.name, Result.NOT_STARTED, reason)
    if not failed:
        yield from side_by_side(members[canary:], order, processes)


def side_by_side(
    members: Iterable[Member],
    order: Order,
    processes: int,
    work: Callable[[Member, Order], Outcome] = update,
) -> Iterator[tuple[Member, Outcome]]:
    """Yields outcomes as they come in. If a process is killed, only its own member fails.

    Ctrl-C lets the members under way finish, a second one stops them. Then KeyboardInterrupt is
    raised.
    """
    waiting = list(members)
    with interrupts() as pressed:
        told = False
        while waiting:
            with ProcessPoolExecutor(
                min(processes, len(waiting)),
                # this process has threads, so it must not fork
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_process,
            ) as pool:
                running: dict[Future[Outcome], Member] = {}
                broken = False
                while (waiting or running) and not broken:
                    if len(pressed) > 1:
                        break
                    if pressed and not told:
                        told = True
                        waiting.clear()
                        count = f"{len(running)} members under way"
                        print(f"stopping after {count} (Ctrl-C again: now)", file=sys.stderr)
                        continue
                    try:
                        # one for each process: what is submitted cannot be withdrawn on Ctrl-C
                        while waiting and len(running) < processes and not pressed:
                            with held_back():
                                future = pool.submit(work, waiting[0], order)
                            running[future] = waiting.pop(0)
                    except BrokenProcessPool:
                        break
                    finished, _ = wait(running, timeout=PATIENCE, return_when=FIRST_COMPLETED)
                    for future in finished:
                        member = running.pop(future)
                        try:
                            yield member, future.result()
                        except BrokenProcessPool:
                            broken = True
                            yield member, Outcome(member.name, Result.FAILED, KILLED)
                if len(pressed) > 1:
                    kill_processes()
                for member in running.values():
                    if len(pressed) > 1:
                        yield member, Outcome(member.name, Result.STOPPED, STOPPED)
                    else:
                        yield member, Outcome(member.name, Result.FAILED, KILLED)
            if pressed:
                break
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Appends each Ctrl-C to the list that it yields, instead of raising KeyboardInterrupt."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in a shell's background
        yield pressed
        return
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def held_back() -> Iterator[None]:
    """Delays Ctrl-C, also for a process that is started meanwhile.

    A terminal sends it to all processes, and a new one has not run `start_process` yet.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_process() -> None:
    """Prepares a process of the pool, in which Ctrl-C must not end the member under way.

    The parent handles Ctrl-C. This process and those that it starts get a session of their own, to
    which no terminal sends signals. If the parent is killed, nobody waits for them any more, and
    all of them end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: end_here())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.setsid()
    parent = multiprocessing.parent_process()
    assert parent

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        end_here()

    threading.Thread(target=end_with_parent, daemon=True).start()


def end_here() -> None:
    """Kills this process of the pool and all that it has started."""
    sandbox.kill_all()
    os.killpg(0, signal.SIGKILL)


def kill_processes() -> None:
    """Kills the processes of the pool and all that they have started."""
    processes = multiprocessing.active_children()
    for process in processes:
        process.terminate()
    end = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0, end - time.monotonic()))
        assert process.pid
        with suppress(ProcessLookupError):  # it has ended, or does not have its own session yet
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


# ── what is shown ─────────────────────────────────────────────────────────────────────


def line(outcome: Outcome) -> str:
    style = STYLES.get(outcome.result, "green")
    return f"[{style}]{outcome.result}[/{style}] {plain(outcome.name)}  {plain(outcome.detail)}"


def print_table(outcomes: Sequence[Outcome], order: Order, console: Console) -> None:
    table = Table(title=f"Template {order.to}", title_justify="left")
    for column in ("member", "kind", "from", "result"):
        table.add_column(column, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for each in outcomes:
        style = STYLES.get(each.result, "")
        result = f"[{style}]{each.result}[/{style}]" if style else each.result
        table.add_row(
            plain(each.name), plain(each.kind), plain(each.version), result, plain(each.detail)
        )
    console.print(table)
    counted = Counter(outcome.result for outcome in outcomes)
    console.print(", ".join(f"{count} {result}" for result, count in counted.items()))
    if counted[Result.CONFLICT]:
        console.print(
            "The member's team has to resolve conflicts; nothing was pushed. They do so on the "
            "branch, if it exists already, or in their clone with "
            f"copier update --trust --vcs-ref {order.to} [--answers-file FILE]",
            soft_wrap=True,
        )
