"""Decodes consumers' records: which models and columns each consumer reads of an upstream.

A downstream writes its record when it deploys (validate_lineage.py --record); an upstream reads
them to tell who a change would break (publish_manifest.py), and the map to draw edges.
"""

from __future__ import annotations

import threading
from itertools import islice

import msgspec

from dbtmesh import MeshError, checked, parallel
from dbtmesh.checked import Line, Moment, Name, NodeId, Project, Unfit, Word, moment
from dbtmesh.config import NAME
from dbtmesh.output.words import shown
from dbtmesh.registry import keys
from dbtmesh.registry.store import Store


class Read(msgspec.Struct):
    """One model that is read. columns: which of them, None where that is not known; by: the
    consumer's own nodes that read it; since: when it was first recorded."""

    model: NodeId
    name: Word
    columns: list[Name] | None = None
    by: list[NodeId] = []
    since: Moment | None = None

    def __post_init__(self) -> None:
        if self.since:
            moment(self.since)


class Record(msgspec.Struct, omit_defaults=True):
    """What one consumer reads of one upstream; nothing any more where `reads` is empty.

    read_version: the upstream's publication that it was checked against. deployment: when it
    deploys, as mesh.yml says. workflow, branch: what starts its deploy; none of a template before
    0.3.0. feeds: of nodes that read and are not public, the consumer's public models that are made
    of them, so that a chain of projects does not end at a private model. claimed_in: see
    `store.Stored`; whatever a record says of itself, it is set when it is read.
    """

    consumer: Project
    reads: list[Read]
    kind: Word | None = None
    env: Word | None = None
    recorded_at: Moment | None = None
    owner: Line | None = None
    repository: Line | None = None
    deployment: Word | None = None
    workflow: Word | None = None
    branch: Line | None = None
    read_version: Line | None = None
    feeds: dict[NodeId, list[NodeId]] = {}
    claimed_in: Line | None = None

    def __post_init__(self) -> None:
        if self.recorded_at:
            moment(self.recorded_at)


MOST_RECORDS = 10_000
"""Of one project."""
MOST_BYTES = 16 * 2**20
"""Of one record: 10,000 models, each with a hundred columns."""
MOST_TOGETHER = 256 * 2**20
"""Bytes of all records of one project."""

# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_RECORD = msgspec.json.Decoder(Record)


def decode(body: bytes, consumer: str, where: str) -> Record:
    """Raises MeshError where the bytes, found at `where`, are not the record of that consumer."""
    try:
        record = checked.decode(checked.bounded(body), _RECORD)
        if record.consumer != consumer:
            raise Unfit(f"consumer: {shown(record.consumer)} is not whose record it should be")
    except Unfit as error:
        raise MeshError(f"{where} is not a valid record: {error}") from None
    return record


def encode(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def recorded(store: Store, upstream: str, env: str) -> tuple[list[Record], list[str]]:
    """The records of all who read the upstream, by name, read side by side; and what kept others
    from being read. That stops nobody: a bad record of one project is not another's fault."""
    place = keys.records(upstream, env)
    room, lock = MOST_TOGETHER, threading.Lock()

    def one(name: str) -> Record | str | None:
        where, consumer = f"{store.url}/{place}{name}", name.removesuffix(".json")
        if not NAME.fullmatch(consumer):
            return f"{shown(where)} is not named after a project"
        nonlocal room
        try:
            stored = store.read(place + name, most=min(MOST_BYTES, max(room, 0)))
            with lock:
                room -= len(stored.body) if stored else 0
            if stored is None:
                return None
            record = decode(stored.body, consumer, where)
            record.claimed_in = stored.claimed_in
            return record
        except MeshError as error:
            return str(error)

    try:
        files = (name for name in store.children(place) if name.endswith(".json"))
        names = sorted(islice(files, MOST_RECORDS + 1))
    except MeshError as error:
        return [], [str(error)]
    more = len(names) > MOST_RECORDS
    found = parallel.each(one, names[:MOST_RECORDS])
    records = [each for each in found if isinstance(each, Record) and each.reads]
    problems = [each for each in found if isinstance(each, str)]
    if more:
        problems.append(
            f"{store.url}/{place} holds more than {MOST_RECORDS:,} records: the others are not read"
        )
    return records, problems
