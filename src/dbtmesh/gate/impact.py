"""Finds the readers that a change affects, from consumers' records. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbtmesh.gate.changes import Change
from dbtmesh.gate.consumer_changes import keeps
from dbtmesh.gate.nodes import Manifest, Node
from dbtmesh.gate.rules import Rule, Severity
from dbtmesh.gate.version_changes import Published
from dbtmesh.registry.records import Read, Record

_TOLD = frozenset((Rule.DEPRECATION_SET, Rule.MODEL_RETIRED))
"""Rules whose readers have to move, though nothing stops the change."""


@dataclass(frozen=True)
class Reader:
    """A consumer that a change concerns.

    `models` are the consumer's own nodes that read; `since` is an ISO 8601 time. `certain` is False
    where the record names the model, but not which of its columns are read.
    """

    consumer: str
    models: Sequence[str]
    since: str | None
    owner: str | None
    repository: str | None
    certain: bool


class Readers:
    """Who reads what, from the records of all consumers.

    `complete` is False where some records could not be read. `old` is the published manifest,
    `new` the one that takes its place.
    """

    def __init__(
        self,
        records: Iterable[Record],
        *,
        complete: bool = True,
        old: Manifest | None = None,
        new: Manifest | None = None,
    ) -> None:
        self.complete = complete
        self._all: list[tuple[Record, Read]] = []
        self._by_model: dict[str, list[tuple[Record, Read]]] = {}
        latest = [Published.of(each).latest for each in (old, new) if each]
        published = old["nodes"] if old else {}
        for record in records:
            for read in record.reads:
                self._all.append((record, read))
                gone = read.model not in published
                for uid in {read.model, *(_meant(read.model, latest) if gone else ())}:
                    self._by_model.setdefault(uid, []).append((record, read))

    def of(self, change: Change) -> list[Reader]:
        """The readers that a change concerns: of a column, those who read it or may read it."""
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
            if not keeps(change, record.consumer) and _reads(read, change.column)
        ]

    def on_record(self, change: Change) -> list[str]:
        """The consumers that read the changed model at all, each once."""
        return [*dict.fromkeys(record.consumer for record, _ in self._found(change))]

    def left_out(self, change: Change) -> bool:
        """Whether a list of consumers may leave out a project that reads the model.

        Where no reader is on record, nothing is known, so it may.
        """
        return not self.complete or not self._found(change) or bool(self.of(change))

    def unlisted(self, unique_id: str, node: Node) -> list[str]:
        """The columns that somebody reads of a published model, and that it does not list."""
        listed = {name.casefold() for name in node.get("columns") or ()}
        read = {
            name
            for _, read in self._by_model.get(unique_id, [])
            for name in read.columns or ()
            if name.casefold() not in listed
        }
        return sorted(read)

    def _found(self, change: Change) -> list[tuple[Record, Read]]:
        return self._by_model.get(change.unique_id, []) if change.unique_id else self._all


def concerns(change: Change) -> bool:
    """Whether readers have to know of the change."""
    return change.severity is not Severity.FINE or change.rule in _TOLD


def _meant(model: str, latest: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """What a recorded model that is no longer published may be by now.

    It had no versions when it was recorded, or other ones, or lost them since; and who pinned none
    has read the latest from then on. `latest`: before the change, and after it.
    """
    base = model.rpartition(".v")[0]
    yield from (each[name] for each in latest for name in (model, base) if name in each)
    yield base


def _reads(read: Read, column: str | None) -> bool:
    if column is None or read.columns is None:
        return True
    return column.casefold() in {each.casefold() for each in read.columns}
