"""What the gate prints: lines for a terminal, and Markdown for a reviewer of a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbtmesh.gate.changes import Change, counted, stopping
from dbtmesh.gate.consumers import keeps, limits
from dbtmesh.gate.impact import Reader, Readers, concerns
from dbtmesh.gate.rules import RULES
from dbtmesh.output import markdown

SHOWN = 10
"""How many consumers, or models of one, are named; the others are a number."""
ROOM, WAYS = 50_000, 10
"""How many characters of changes, and how many ways out, a comment lists: GitHub takes no more than
65,536 characters."""


def lines(
    changes: Sequence[Change], readers: Readers | None = None, *, strict: bool = False
) -> list[str]:
    """The verdict as plain text without colours.

    One aligned line a change, with its readers beneath it; then the ways out of what stops the
    publication, each once; then the counts.
    """
    if not changes:
        return ["the public interface is unchanged"]
    table = _aligned([(c.severity, c.rule, c.where, c.message) for c in changes])
    listed = [
        line
        for change, row in zip(changes, table, strict=True)
        for line in (row, *(f"    {text}" for text in beneath(change, readers)))
    ]
    ways = dict.fromkeys(change.way_out for change in stopping(changes, strict=strict))
    verdict = f"{counted(changes)}: {'stopped' if ways else 'not stopped'}"
    return [*listed, *(f"way out: {way}" for way in ways), verdict]


def summary(
    project: str, env: str, changes: Sequence[Change], readers: Readers | None, *, strict: bool
) -> list[str]:
    """The comment on a pull request: Markdown, for a reviewer who does not know this command."""
    title = f"### What readers of {markdown.code(project)} would notice in {env}: "
    if not changes:
        return [f"{title}nothing"]
    stops = dict.fromkeys(stopping(changes, strict=strict))
    verdict = "**This stops the publication.**" if stops else "Nothing stops the publication."
    rows: list[list[str]] = []
    room = ROOM
    for change in changes:
        row = [
            f"**{change.severity}**" if change in stops else str(change.severity),
            markdown.code(change.where),
            f"{markdown.code(change.rule)}: {markdown.text(change.message)}",
            "<br>".join(map(markdown.text, beneath(change, readers))),
        ]
        room -= sum(map(len, row))
        if room < 0:
            rows.append(["", "", f"and {len(changes) - len(rows)} more", ""])
            break
        rows.append(row)
    ways = list(dict.fromkeys(change.way_out for change in stops))
    return [
        title + counted(changes),
        "",
        verdict,
        "",
        *markdown.table(["", "what", "change", "who reads it"], rows),
        *(["", "Ways out:", ""] if ways else ()),
        *(f"- {markdown.text(way)}" for way in ways[:WAYS]),
        *([f"- and {len(ways) - WAYS} more"] if len(ways) > WAYS else ()),
    ]


def beneath(change: Change, readers: Readers | None) -> list[str]:
    """Who reads what changed; nothing where nobody was asked, or nobody has to care."""
    if readers is None or not concerns(change):
        return []
    found = [_reader(reader) for reader in readers.of(change)]
    if found:
        return [*found[:SHOWN], *([f"and {len(found) - SHOWN} more"] if found[SHOWN:] else ())]
    staying = [name for name in readers.on_record(change) if keeps(change, name)]
    if limits(change) and staying:
        who = f"every reader on record may read on: {_some(staying)}"
        return [who if readers.complete else f"{who}, but not all records could be read"]
    if readers.complete:
        return ["nobody reads it, by what consumers have recorded"]
    return ["nobody is known to read it, but not all records could be read"]


def _reader(reader: Reader) -> str:
    """`dbt_down reads it: orders, since 2026-01-02 (Finance, acme/dbt-down)`"""
    reads = "reads it" if reader.certain else "may read it (its columns are not on record)"
    since = f", since {reader.since[:10]}" if reader.since else ""
    who = ", ".join(part for part in (reader.owner, reader.repository) if part)
    known = f" ({who})" if who else ""
    return f"{reader.consumer} {reads}: {_some(reader.models)}{since}{known}"


def allowed(changes: Iterable[Change]) -> str:
    """What the history keeps of changes that were published with --allow-breaking."""
    return _some([f"{change.rule} {change.where}" for change in changes])


def rule_lines() -> list[str]:
    """The rulebook as aligned lines: severity, rule, and why."""
    return _aligned([(ruling.severity, rule, ruling.why) for rule, ruling in RULES.items()])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines: every cell but the last as wide as its column."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(f"{c:{w}}" for c, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
