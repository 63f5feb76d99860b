"""What a consumer reads of an upstream, as each keeps it on record in the upstream's registry.

A downstream writes its record when it deploys (validate_lineage.py --record); an upstream reads
them to tell who a change would break (publish_manifest.py), and the map to draw edges.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec

from dbtmesh import MeshError
from dbtmesh.registry import keys
from dbtmesh.registry.store import Store


class Read(msgspec.Struct):
    """One model that is read. columns: which of them, None where that is not known; by: the
    consumer's own nodes that read it; since: when it was first recorded."""

    model: str
    name: str
    columns: list[str] | None = None
    by: list[str] = []
    since: str | None = None


class Record(msgspec.Struct, omit_defaults=True):
    """What one consumer reads of one upstream; nothing any more where `reads` is empty.

    read_version: the upstream's publication that it was checked against. deployment: when it
    deploys, as mesh.yml says. feeds: of nodes that read and are not public, the consumer's public
    models that are made of them, so that a chain of projects does not end at a private model.
    """

    consumer: str
    reads: list[Read]
    kind: str | None = None
    env: str | None = None
    recorded_at: str | None = None
    owner: str | None = None
    repository: str | None = None
    deployment: str | None = None
    read_version: str | None = None
    feeds: dict[str, list[str]] = {}


# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_RECORD = msgspec.json.Decoder(Record)


def decode(body: bytes, where: str) -> Record:
    """Raises MeshError where the bytes of `where` are no record."""
    try:
        return _RECORD.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeshError(f"{where} is no consumer's record ({error})") from None


def encode(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def recorded(store: Store, upstream: str, env: str) -> tuple[list[Record], list[str]]:
    """The records of all who read the upstream, by name, read side by side; and what kept others
    from being read. That stops nobody: a bad record of one project is not another's fault."""
    place = keys.records(upstream, env)

    def one(name: str) -> Record | str | None:
        try:
            stored = store.read(place + name)
            return decode(stored.body, f"{store.url}/{place}{name}") if stored else None
        except MeshError as error:
            return str(error)

    try:
        names = sorted(name for name in store.children(place) if name.endswith(".json"))
    except MeshError as error:
        return [], [str(error)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(one, names))
    records = [each for each in found if isinstance(each, Record) and each.reads]
    return records, [each for each in found if isinstance(each, str)]
