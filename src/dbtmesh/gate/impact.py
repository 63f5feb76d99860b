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
"""Rules after which readers have to act, although the change is fine."""


@dataclass(frozen=True)
class Reader:
    """A consumer that a change affects.

    models: the consumer's own nodes that read the model. since: an ISO 8601 time. certain: False if
    the record names the model, but not the columns that are read.
    """

    consumer: str
    models: Sequence[str]
    since: str | None
    owner: str | None
    repository: str | None
    certain: bool


class Readers:
    """The readers of each model, from the records of all consumers.

    complete: False if some records could not be read. old: the published manifest. new: the
    manifest that replaces it.
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
        """Returns the readers that a change affects: for a column, all that read or may read it."""
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
        """Returns the consumers that read any part of the changed model, each once."""
        return [*dict.fromkeys(record.consumer for record, _ in self._found(change))]

    def left_out(self, change: Change) -> bool:
        """Checks whether a list of consumers may exclude a project that reads the model.

        It may if not all records could be read, or if no reader of the model is recorded.
        """
        return not self.complete or not self._found(change) or bool(self.of(change))

    def unlisted(self, unique_id: str, node: Node) -> list[str]:
        """Returns the columns of a published model that are read, but that it does not list."""
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
    """Checks whether readers have to know of the change."""
    return change.severity is not Severity.FINE or change.rule in _TOLD


def _meant(model: str, latest: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Yields the unique_ids that may stand for a recorded model that is no longer published.

    Since it was recorded, the model may have gained, changed or lost its versions. A reader that
    pinned no version has read the latest one since then. latest: `Published.latest` of the old and
    of the new manifest.
    """
    base = model.rpartition(".v")[0]
    yield from (each[name] for each in latest for name in (model, base) if name in each)
    yield base


def _reads(read: Read, column: str | None) -> bool:
    if column is None or read.columns is None:
        return True
    return column.casefold() in {each.casefold() for each in read.columns}
