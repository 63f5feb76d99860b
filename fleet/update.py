"""`fleet update`: every member to a release of the template, side by side."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from fnmatch import fnmatchcase
from multiprocessing.connection import wait as wait_for

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleet.errors import FleetError
from fleet.members import ANSWERS, Member
from fleet.releases import Releases
from fleet.update_one import FINE, Goal, Order, Outcome, update

STYLES = {"conflict": "yellow", "check failed": "red", "refused": "yellow", "failed": "red"}
STOPPED = "stopped before its turn: run it again"
KILLED = "its process was killed: run it again"


def choose(members: Sequence[Member], patterns: Sequence[str]) -> list[Member]:
    """Those whose name matches one of the patterns; all without a pattern. Raises FleetError."""
    chosen = [
        member
        for member in members
        if not patterns or any(fnmatchcase(member.name, pattern) for pattern in patterns)
    ]
    if not chosen:
        names = ", ".join(member.name for member in members[:5])
        raise FleetError(f"--only matches none of the {len(members)} members ({names}, …)")
    return chosen


def run(
    members: Sequence[Member],
    releases: Releases,
    *,
    goal: Goal,
    checks: tuple[str, ...],
    canary: int,
    processes: int,
    as_json: bool,
) -> int:
    """The command: 0 where all went well, 2 where some need a person. Raises FleetError."""
    if goal == "propose" and not shutil.which("gh"):
        raise FleetError("gh is not on PATH: install it (cli.github.com), or --push, or --prepare")
    order = Order(releases, goal, checks)
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    outcomes, stopped = watch(members, order, canary, processes, progress)
    if as_json:
        print(
            json.dumps({"to": order.to, "members": [asdict(each) for each in outcomes]}, indent=2)
        )
    else:
        print_table(outcomes, order, Console(highlight=False))
    if stopped:
        return 130
    return 0 if all(outcome.result in FINE for outcome in outcomes) else 2


def watch(
    members: Sequence[Member], order: Order, canary: int, processes: int, console: Console
) -> tuple[list[Outcome], bool]:
    """The outcome of every member, in their order, and whether Ctrl-C cut it short."""
    known: dict[str, Outcome] = {}
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
            for outcome in in_waves(members, order, canary, processes):
                known[outcome.name] = outcome
                bar.advance(task)
                bar.console.print(line(outcome), soft_wrap=True)
        except KeyboardInterrupt:
            stopped = True
    rest = (
        Outcome(member.name, "not started", STOPPED)
        for member in members
        if member.name not in known
    )
    known |= {outcome.name: outcome for outcome in rest}
    return [known[member.name] for member in members], stopped


def in_waves(
    members: Sequence[Member], order: Order, canary: int, processes: int
) -> Iterator[Outcome]:
    """The first `canary` members, and the others only if all went well with those."""
    failed = []
    for outcome in side_by_side(members[:canary], order, processes):
        if outcome.result not in FINE:
            failed.append(outcome.name)
        yield outcome
    for member in members[canary:] if failed else ():
        yield Outcome(member.name, "not started", f"the canary {failed[0]} needs a person")
    if not failed:
        yield from side_by_side(members[canary:], order, processes)


def side_by_side(
    members: Iterable[Member],
    order: Order,
    processes: int,
    work: Callable[[Member, Order], Outcome] = update,
) -> Iterator[Outcome]:
    """Outcomes as they come. A process that is killed costs the member it worked on, no other; on
    Ctrl-C the members under way are finished, and then KeyboardInterrupt is raised."""
    waiting, interrupted = list(members), False
    while waiting:
        with ProcessPoolExecutor(
            min(processes, len(waiting)),
            # not a fork of a process that has threads
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start_process,
        ) as pool:
            running: dict[Future[Outcome], Member] = {}
            broken = False
            while (waiting or running) and not broken:
                try:
                    # no more than there are processes: the rest can still be taken back
                    while waiting and len(running) < processes:
                        future = pool.submit(work, waiting[0], order)
                        running[future] = waiting.pop(0)
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                except BrokenProcessPool:
                    break
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    waiting.clear()
                    print(f"stopping after {len(running)} members under way", file=sys.stderr)
                    continue
                for future in finished:
                    member = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        broken = True
                        yield Outcome(member.name, "failed", KILLED)
            for member in running.values():
                yield Outcome(member.name, "failed", KILLED)
    if interrupted:
        raise KeyboardInterrupt


def start_process() -> None:
    """Ctrl-C is the parent's to answer, while the members under way are finished; but when the
    parent is killed nobody waits for them any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


# ── what is shown ─────────────────────────────────────────────────────────────────────


def line(outcome: Outcome) -> str:
    style = STYLES.get(outcome.result, "green")
    return f"[{style}]{outcome.result}[/{style}] {escape(outcome.name)}  {escape(outcome.detail)}"


def print_table(outcomes: Sequence[Outcome], order: Order, console: Console) -> None:
    table = Table(title=f"Template {order.to}", title_justify="left")
    for column in ("member", "kind", "from", "result"):
        table.add_column(column, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for each in outcomes:
        style = STYLES.get(each.result, "")
        result = f"[{style}]{each.result}[/{style}]" if style else each.result
        table.add_row(
            escape(each.name), each.kind, escape(each.version), result, escape(each.detail)
        )
    console.print(table)
    counted = Counter(outcome.result for outcome in outcomes)
    console.print(", ".join(f"{count} {result}" for result, count in counted.items()))
    if counted["conflict"]:
        console.print(
            "Conflicts are left to the member's people, nothing was pushed: in their clone, "
            f"copier update --trust --vcs-ref {order.to} [--answers-file FOLDER/{ANSWERS}]",
            soft_wrap=True,
        )
