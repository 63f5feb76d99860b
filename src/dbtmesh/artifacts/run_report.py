"""Reports what a dbt run did, from target/run_results.json.

It uses only the standard library, because alerts use it, too.

Statuses: https://docs.getdbt.com/reference/artifacts/run-results-json
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbtmesh import MeshError
from dbtmesh.output import markdown

BAD = ("error", "fail", "runtime error", "partial success")
SHOWN = 30
"""The number of nodes that a summary names; the rest are only counted."""
MORE = re.compile(r"… and (\d+) more")


@dataclass(frozen=True)
class Node:
    """A node of a run. unique_id: such as model.dbt_up.public_orders. message: dbt's, in full."""

    unique_id: str
    status: str
    message: str
    seconds: float

    @property
    def name(self) -> str:
        """A name such as `model public_orders`, without the hash at the end of a test's name."""
        kind, _, name, *_ = [*self.unique_id.split("."), "", ""]
        return f"{kind} {name}"

    @property
    def first_line(self) -> str:
        """The first informative line of the message: dbt's first may only say where it failed."""
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        telling = [line for line in lines if not line.startswith(("Database Error in", "Runtime"))]
        return (telling or lines or [""])[0][:200]


@dataclass(frozen=True)
class Run:
    """A dbt run. nodes: in the order in which they ended. elapsed: seconds. dbt: its version."""

    nodes: Sequence[Node]
    elapsed: float
    dbt: str = ""


def read(path: Path) -> Run | None:
    """Reads run_results.json; None if dbt stopped before it wrote the file.

    Raises MeshError where the file is not what dbt writes.
    """
    try:
        loaded = json.loads(path.read_bytes())
        nodes = [
            Node(
                unique_id=str(each["unique_id"]),
                status=str(each["status"]),
                message=_message(each),
                seconds=float(each.get("execution_time") or 0),
            )
            for each in loaded["results"]
        ]
        version = (loaded.get("metadata") or {}).get("dbt_version")
        return Run(nodes, float(loaded.get("elapsed_time") or 0), str(version or ""))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise MeshError(f"{path} is not what dbt writes: run dbt again") from None


def _message(result: Mapping[str, Any]) -> str:
    """Returns dbt's message, or the number of failures if dbt v2 says only `Error` or the like."""
    message = str(result.get("message") or "")
    failed = result.get("failures")
    if message in ("Error", "Fail", "Warn") and failed:
        return f"Got {failed} result{'' if failed == 1 else 's'}, expected none"
    return message


def failures(run: Run | None) -> list[str]:
    """Returns a line for each node that failed: its name, and why."""
    if run is None:
        return []
    return [f"{node.name}: {node.first_line}" for node in run.nodes if node.status in BAD]


def named(lines: Sequence[str]) -> list[str]:
    """Returns the first SHOWN lines, and how many more there are; MORE matches the number."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"… and {more} more"] if more > 0 else [])]


def summary(title: str, run: Run | None) -> list[str]:
    """Returns the run as Markdown."""
    if run is None:
        return [f"### {markdown.text(title)}", "", "dbt stopped before it built anything.", ""]
    counted = Counter(node.status for node in run.nodes)
    failed = [node for node in run.nodes if node.status in BAD]
    warned = [node for node in run.nodes if node.status == "warn"]
    built = [node for node in run.nodes if not node.unique_id.startswith(("test.", "unit_test."))]
    verdict = "❌ failed" if failed else "✅ passed"
    counts = ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))
    engine = f", on dbt {markdown.code(run.dbt)}" if run.dbt else ""
    lines = [
        f"### {markdown.text(title)}",
        "",
        f"{verdict}: {counts or 'nothing to do'}, in {run.elapsed:.0f} s{engine}",
        "",
    ]
    if failed or warned:
        rows = [
            [markdown.code(node.name), node.status, markdown.text(node.first_line)]
            for node in [*failed, *warned][:SHOWN]
        ]
        lines += [*markdown.table(("node", "", "why"), rows), ""]
        lines += _rest(len(failed) + len(warned))
    if built:
        rows = [
            [markdown.code(node.name), node.status, f"{node.seconds:.1f} s"]
            for node in sorted(built, key=lambda node: -node.seconds)[:SHOWN]
        ]
        lines += [f"<details><summary>{len(built)} built</summary>", ""]
        lines += [*markdown.table(("node", "", "took"), rows), ""]
        lines += [*_rest(len(built)), "</details>", ""]
    return lines


def _rest(number: int) -> list[str]:
    return [f"and {number - SHOWN} more", ""] if number > SHOWN else []
