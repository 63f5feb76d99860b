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
    """A model that is read.

    columns: the columns that are read; None where they are not known. by: the consumer's own nodes
    that read the model. since: when the read was first recorded.
    """

    model: NodeId
    name: Word
    columns: list[Name] | None = None
    by: list[NodeId] = []
    since: Moment | None = None

    def __post_init__(self) -> None:
        if self.since:
            moment(self.since)


class Record(msgspec.Struct, omit_defaults=True):
    """What one consumer reads of one upstream. `reads` is empty once it reads nothing any more.

    read_version: the upstream's publication that the consumer was checked against. deployment: when
    the consumer deploys, as mesh.yml says. workflow, branch: what starts its deploy; templates
    before 0.3.0 do not record these. feeds: private nodes that read the upstream, each with the
    consumer's public models that are built from it, so that a chain of projects does not end at a
    private model. claimed_in: see `store.Stored`. It is set when the record is read, and replaces
    what the record itself contains.
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
"""How many records of one project are read at most."""
MOST_BYTES = 16 * 2**20
"""The size of one record at most: 10,000 models, each with a hundred columns."""
MOST_TOGETHER = 256 * 2**20
"""The size of all records of one project at most."""

# Built at import: msgspec crashes if several threads use a type for the first time.
_RECORD = msgspec.json.Decoder(Record)


def decode(body: bytes, consumer: str, where: str) -> Record:
    """Decodes the record of a consumer. Raises MeshError where the bytes, found at `where`, are not
    a record of that consumer."""
    try:
        record = checked.decode(checked.bounded(body), _RECORD)
        if record.consumer != consumer:
            raise Unfit(f"consumer: {shown(record.consumer)} is not the one it is named after")
    except Unfit as error:
        raise MeshError(f"{where} is not a valid record: {error}") from None
    return record


def encode(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def recorded(store: Store, upstream: str, env: str) -> tuple[list[Record], list[str]]:
    """Returns the records of all consumers that read the upstream, sorted by name, and the errors
    of those that cannot be read.

    The records are read in parallel. A bad record does not stop the others, because it is one
    project's fault. Records without any read are left out.
    """
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
