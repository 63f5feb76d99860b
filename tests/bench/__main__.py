"""python -m tests.bench [names…]: measures the design's budgets as ratios, and prints one table."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests import bench, memory
from tests.bench.lab import BENCHES, Figure, Lab


def discover() -> None:
    """Imports every module here, which registers its benches."""
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name != "__main__":
            importlib.import_module(f"tests.bench.{module.name}")


def main(arguments: list[str] | None = None) -> int:
    discover()
    parser = argparse.ArgumentParser(
        prog="tests.bench",
        description=__doc__,
        epilog="A missed budget is shown, and is a failure only with --strict. Exit status: "
        "0 measured, 1 a bench crashed, 2 a budget is missed (--strict). The budget of `make "
        "test`, 10 minutes on two cores, is not measured here: it prints its time at its end. "
        "Rendering is measured as processor time. Temporary files are in memory if they fit, like "
        "those of the tests; set TMPDIR to have them on a disk.",
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"benches: {', '.join(BENCHES)}")
    parser.add_argument("--runs", type=int, default=5, help="runs of each process (default 5)")
    parser.add_argument("--strict", action="store_true", help="exit with 2 if a budget is missed")
    parser.add_argument("--json", action="store_true", help="print figures as JSON, not as a table")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - BENCHES.keys():
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")

    memory.use()
    progress = Console(stderr=True, highlight=False)
    started = time.monotonic()
    figures, crashed = measure(options.names or list(BENCHES), options.runs, progress)
    if options.json:
        lines = [{**asdict(each), "ratio": each.ratio, "ok": each.ok} for each in figures]
        print(json.dumps(lines, indent=2))
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table(figures))
    progress.print(f"{time.monotonic() - started:.0f} s, {options.runs} runs each")
    if crashed:
        progress.print(f"crashed: {', '.join(crashed)}")
        return 1
    return 2 if options.strict and any(each.ok is False for each in figures) else 0


def measure(names: list[str], runs: int, progress: Console) -> tuple[list[Figure], list[str]]:
    """Runs benches. Returns their figures, and the names of those that crashed."""
    figures, crashed = [], []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        status = stack.enter_context(progress.status("…"))
        lab = Lab(Path(folder), runs, status.update, stack)
        for name in names:
            try:
                for figure in BENCHES[name](lab):
                    figures.append(figure)
                    progress.print(describe(figure))
            except Exception:
                progress.print(traceback.format_exc(), markup=False)
                crashed.append(name)
    return figures, crashed


def describe(figure: Figure) -> str:
    ratio = f"{figure.ratio:.2f} x" if figure.ratio is not None else value(figure.measured, figure)
    return f"  {figure.what}: {ratio}"


def value(number: float | None, figure: Figure) -> str:
    if number is None:
        return ""
    return f"{number:.2f} s" if figure.unit == "s" else f"{number:.0f} {figure.unit}"


def table(figures: list[Figure]) -> Table:
    drawn = Table("what", title="Budgets, as ratios measured in one run", title_justify="left")
    for column in ("measured", "baseline", "ratio", "budget", "ok?"):
        drawn.add_column(column, justify="right", no_wrap=True)
    for each in figures:
        budget = "" if each.budget is None else f"{each.budget:g} x"
        if each.ratio is None and each.budget is not None:
            budget = value(each.budget, each)
        drawn.add_row(
            each.what,
            value(each.measured, each),
            value(each.baseline, each),
            "" if each.ratio is None else f"{each.ratio:.2f}",
            budget,
            {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}[each.ok],
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
