"""Who notices a change of the interface, by what consumers have put on record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbtmesh.gate.contract import (
    Change,
    Manifest,
    Severity,
    counted,
    latest_versions,
    limits,
    stopping,
)
from dbtmesh.output import markdown
from dbtmesh.registry.records import Read, Record

TOLD = ("deprecation_set", "model_retired")
"""Rules whose readers have to move, though nothing stops the change."""
SHOWN = 10
"""How many consumers, or models of one, are named; the rest is a number."""
ROOM, WAYS = 50_000, 10
"""How many characters of changes, and how many ways out, a comment lists: GitHub takes no more than
65,536 characters."""


@dataclass(frozen=True)
class Reader:
    """A consumer that a change concerns. certain: False where it has recorded which model it
    reads, but not which columns."""

    consumer: str
    models: Sequence[str]
    since: str | None
    owner: str | None
    repository: str | None
    certain: bool

    def __str__(self) -> str:
        """`dbt_down reads it: orders, since 2026-01-02 (Finance, acme/dbt-down)`"""
        reads = "reads it" if self.certain else "may read it (its columns are not on record)"
        since = f", since {self.since[:10]}" if self.since else ""
        who = ", ".join(part for part in (self.owner, self.repository) if part)
        return f"{self.consumer} {reads}: {_some(self.models)}{since}{f' ({who})' if who else ''}"


class Readers:
    """Who reads what, from the records of all consumers. complete: False where some could not be
    read; old, new: what is published, and what takes its place."""

    def __init__(
        self,
        records: Iterable[Record],
        *,
        complete: bool = True,
        old: Manifest | None = None,
        new: Manifest | None = None,
    ) -> None:
        self._complete = complete
        self._all: list[tuple[Record, Read]] = []
        self._by_model: dict[str, list[tuple[Record, Read]]] = {}
        latest = [latest_versions(each) for each in (old, new) if each]
        published = old["nodes"] if old else {}
        for record in records:
            for read in record.reads:
                self._all.append((record, read))
                gone = read.model not in published
                for uid in {read.model, *(_meant(read.model, latest) if gone else ())}:
                    self._by_model.setdefault(uid, []).append((record, read))

    def of(self, change: Change) -> list[Reader]:
        """Those whom the change concerns: of a column, those who read it or may do so."""
        return [
            Reader(
                record.consumer,
                [uid.split(".", 2)[-1] for uid in read.by] or ["(somewhere)"],
                read.since or record.recorded_at,
                record.owner,
                record.repository,
                change.column is None or read.columns is not None,
            )
            for record, read in self._found(change)
            if not _stays(change, record.consumer) and _reads(read, change.column)
        ]

    def left_out(self, change: Change) -> bool:
        """May a list of consumers leave out somebody who reads the model? Of whom nothing is known
        where nobody is on record."""
        return not self._complete or not self._found(change) or bool(self.of(change))

    def _found(self, change: Change) -> list[tuple[Record, Read]]:
        return self._by_model.get(change.unique_id, []) if change.unique_id else self._all

    def lines(self, change: Change) -> list[str]:
        """What to say beneath a change; nothing where nobody has to care."""
        if not concerns(change):
            return []
        readers = [str(reader) for reader in self.of(change)]
        more = [f"and {len(readers) - SHOWN} more"] if len(readers) > SHOWN else []
        known = dict.fromkeys(record.consumer for record, _ in self._found(change))
        if limits(change) and (stay := [name for name in known if _stays(change, name)]):
            nobody = f"all who are on record as readers stay: {_some(stay)}"
            nobody += "" if self._complete else ", but not all records could be read"
        elif self._complete:
            nobody = "nobody reads it, by what consumers have recorded"
        else:
            nobody = "nobody is known to read it, but not all records could be read"
        return [*readers[:SHOWN], *more] or [nobody]


def concerns(change: Change) -> bool:
    """Is it worth asking who reads it?"""
    return change.severity is not Severity.FINE or change.rule in TOLD


def _meant(model: str, latest: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """What a recorded model that is not published any more is by now.

    It had no versions when it was recorded, or other ones, or lost them since; and who pinned none
    has read the latest from then on. `latest`: before the change, and after it.
    """
    base = model.rpartition(".v")[0]
    yield from (each[name] for each in latest for name in (model, base) if name in each)
    yield base


def _stays(change: Change, consumer: str) -> bool:
    """Does it not concern this one, for a list of consumers names it, or has never done so?"""
    if not limits(change):
        return False
    before, after = ((names or "").split(", ") for names in (change.before, change.after))
    return consumer in after or (change.before is not None and consumer not in before)


def _reads(read: Read, column: str | None) -> bool:
    if column is None or read.columns is None:
        return True
    return column.casefold() in {each.casefold() for each in read.columns}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def allowed(changes: Iterable[Change]) -> str:
    """What the history keeps of changes that were published with --allow-breaking."""
    return _some([f"{change.rule} {change.where}" for change in changes])


def summary(
    project: str, env: str, changes: Sequence[Change], readers: Readers, *, strict: bool
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
            "<br>".join(map(markdown.text, readers.lines(change))),
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
