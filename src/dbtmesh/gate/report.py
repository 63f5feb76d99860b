"""Writes the gate's verdict: lines for a terminal, and Markdown for reviewers of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from dbtmesh.gate import uncontracted
from dbtmesh.gate.changes import LAST_RESORT, Change, counted
from dbtmesh.gate.consumer_changes import keeps, limits
from dbtmesh.gate.impact import Reader, Readers, concerns
from dbtmesh.gate.rules import Severity
from dbtmesh.gate.verdict import Verdict
from dbtmesh.output import markdown
from dbtmesh.output.words import SHOWN, some

ROOM, WAYS = 50_000, 10
"""The limits of a comment: characters for changes, and number of ways out. GitHub accepts at most
65,536 characters."""


def lines(verdict: Verdict) -> list[str]:
    """Returns the verdict as plain text without colours.

    Each change is one aligned line, with its readers below. Then follow the ways out for the
    changes that stop the publication, each once, and the counts.
    """
    changes = verdict.changes or ()
    table = _aligned([(c.severity, c.rule, c.where, c.message) for c in changes])
    listed = [
        line
        for change, row in zip(changes, table, strict=True)
        for line in (row, *(f"    {text}" for text in beneath(change, verdict.readers)))
    ]
    found = counted(changes) if changes else verdict.sentence
    ways = [f"way out: {way}" for way in _ways_out(verdict)]
    return [*listed, *ways, f"{found}: {'stopped' if verdict.stops else 'not stopped'}"]


def _ways_out(verdict: Verdict) -> list[str]:
    ways = dict.fromkeys(change.way_out for change in verdict.stopping)
    if verdict.strict and verdict.partial:
        names = some([each.model for each in verdict.partial])
        ways[f"for {names}: {uncontracted.WAY_OUT}{LAST_RESORT[Severity.RISKY]}"] = None
    return [*ways]


def summary(project: str, env: str, verdict: Verdict) -> list[str]:
    """Returns the comment on a pull request, for reviewers who do not know this command."""
    title = f"### What readers of {markdown.code(project)} would notice in {env}: "
    stops = dict.fromkeys(verdict.stopping)
    stopped = "**This stops the publication.**" if verdict.stops else ""
    lacking = [f"- {markdown.text(line)}" for line in uncontracted.lines(verdict.partial)]
    ways = _ways_out(verdict)
    advice = [
        *(["", "Ways out:", ""] if ways else ()),
        *(f"- {markdown.text(way)}" for way in ways[:WAYS]),
        *([f"- and {len(ways) - WAYS} more"] if len(ways) > WAYS else ()),
    ]
    if not verdict.changes:
        told = ["", stopped] if stopped else []
        return [f"{title}nothing", *told, *(["", *lacking] if lacking else ()), *advice]
    changes = verdict.changes
    rows: list[list[str]] = []
    room = ROOM
    for change in changes:
        row = [
            f"**{change.severity}**" if change in stops else str(change.severity),
            markdown.code(change.where),
            f"{markdown.code(change.rule)}: {markdown.text(change.message)}",
            "<br>".join(map(markdown.text, beneath(change, verdict.readers))),
        ]
        room -= sum(map(len, row))
        if room < 0:
            rows.append(["", "", f"and {len(changes) - len(rows)} more", ""])
            break
        rows.append(row)
    return [
        title + counted(changes),
        "",
        stopped or "Nothing stops the publication.",
        "",
        *markdown.table(["", "what", "change", "who reads it"], rows),
        *(["", *lacking] if lacking else ()),
        *advice,
    ]


def beneath(change: Change, readers: Readers | None) -> list[str]:
    """Returns the lines about the readers of a change.

    They are empty if records were not read, or if readers need not know of the change.
    """
    if readers is None or not concerns(change):
        return []
    found = [_reader(reader) for reader in readers.of(change)]
    if found:
        return [*found[:SHOWN], *([f"and {len(found) - SHOWN} more"] if found[SHOWN:] else ())]
    staying = [name for name in readers.on_record(change) if keeps(change, name)]
    if limits(change) and staying:
        who = f"every recorded reader may still read it: {some(staying)}"
        return [who if readers.complete else f"{who}, but not all records could be read"]
    if readers.complete:
        return ["no consumer has recorded that it reads it"]
    return ["nobody is known to read it, but not all records could be read"]


def _reader(reader: Reader) -> str:
    """Returns `dbt_down reads it: orders, since 2026-01-02 (Finance, acme/dbt-down)`."""
    reads = "reads it" if reader.certain else "may read it (its columns are not on record)"
    since = f", since {reader.since[:10]}" if reader.since else ""
    who = ", ".join(part for part in (reader.owner, reader.repository) if part)
    known = f" ({who})" if who else ""
    return f"{reader.consumer} {reads}: {some(reader.models)}{since}{known}"


def allowed(verdict: Verdict) -> str:
    """Returns what the history records about a verdict that --allow-breaking overrode."""
    changes = [f"{change.rule} {change.where}" for change in verdict.stopping]
    lacking = [f"no contract {each.model}" for each in verdict.partial] if verdict.strict else []
    return some([*changes, *lacking])


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns rows as lines, with every cell but the last padded to the width of its column."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(f"{c:{w}}" for c, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
