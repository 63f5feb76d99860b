"""Builds this project's record of what it reads of each upstream, and writes it to the registry."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from dbtmesh import MeshError, checked, parallel
from dbtmesh.checked import Unfit
from dbtmesh.config import NAME, Member
from dbtmesh.downstream import lineage
from dbtmesh.manifest.decode import LINKED, Linked, Settings, is_published
from dbtmesh.manifest.graph import nearest
from dbtmesh.manifest.interface import reader_name
from dbtmesh.registry import keys
from dbtmesh.registry import records as consumers
from dbtmesh.registry import store as registry
from dbtmesh.registry.records import Read, Record
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place

if TYPE_CHECKING:
    from dbtmesh.downstream.columns import Listed

ATTEMPTS = 5
"""How often to try to write while other deploys of this project do the same, which is rare."""


_REFERENCE = re.compile(rb"\b(?:ref|source)\s*\(")


class _Config(Settings, rename={"pre_hook": "pre-hook", "post_hook": "post-hook"}):
    meta: dict[str, Any] = msgspec.field(default_factory=dict)
    incremental_strategy: str | None = None
    pre_hook: msgspec.Raw = msgspec.Raw()
    post_hook: msgspec.Raw = msgspec.Raw()

    @property
    def hooks_read(self) -> bool:
        """Whether the model's hooks read anything. dbt does not keep their compiled SQL."""
        return any(_REFERENCE.search(bytes(hooks)) for hooks in (self.pre_hook, self.post_hook))


class _Owner(msgspec.Struct):
    name: str | None = None
    email: str | list[str] | None = None


class _Group(msgspec.Struct):
    name: str
    owner: _Owner = msgspec.field(default_factory=_Owner)


class _Given(msgspec.Struct):
    """The rows for one input of a unit test."""

    input: str | None = None
    rows: list[dict[str, Any]] | str | None = None


class _Entry(msgspec.Struct):
    """The fields of an entry of any section that name its owner. given: a unit test's inputs."""

    group: str | None = None
    config: _Config | None = None
    owner: _Owner | None = None
    given: list[_Given] | None = None


class _Reader(Linked):
    """The fields of a node that tell its owner, what it reads and, once compiled, which columns."""

    compiled_code: str | None = None
    raw_code: str | None = None
    language: str | None = None
    group: str | None = None
    config: _Config = msgspec.field(default_factory=_Config)
    owner: _Owner | None = None


class Readers(msgspec.Struct):
    """The part of a full manifest from which a record is made."""

    nodes: dict[str, _Reader]
    exposures: dict[str, _Entry] = {}
    metrics: dict[str, _Entry] = {}
    semantic_models: dict[str, _Entry] = {}
    saved_queries: dict[str, _Entry] = {}
    unit_tests: dict[str, _Entry] = {}
    functions: dict[str, _Entry] = {}
    groups: dict[str, _Group] = {}

    def entry(self, uid: str) -> _Reader | _Entry:
        """Returns an entry of any section. Raises KeyError where no section has it."""
        for section in lineage.READING:
            if found := getattr(self, section).get(uid):
                return found  # type: ignore[no-any-return]
        raise KeyError(uid)

    def owners(self, uid: str) -> Iterator[str]:
        """Yields the owner of a node: that of its group, or else its `meta: owner` or `owner`."""
        node = self.entry(uid)
        in_group = node.group or (node.config and node.config.group)
        for group in self.groups.values():
            if group.name == in_group:
                email = group.owner.email
                yield group.owner.name or (email if isinstance(email, str) else group.name)
                return
        meta = node.config.meta if node.config else {}
        named = meta.get("owner") or (node.owner and node.owner.name)
        if isinstance(named, str):
            yield named


# Built at import: msgspec crashes if several threads use a type for the first time.
_READERS = msgspec.json.Decoder(Readers)


def readers(body: bytes) -> Readers:
    """Decodes the manifest in `body`. Raises MeshError where it cannot be decoded."""
    try:
        return checked.decode(body, _READERS)
    except Unfit as error:
        raise MeshError(f"is not a dbt manifest ({error}): run `dbt build` again") from None


def uncompiled(found: Iterable[lineage.Edge], nodes: Readers) -> list[str]:
    """Returns readers whose SQL dbt has not compiled, so that their columns are unknown."""
    uids = dict.fromkeys(edge.node for edge in found if edge.node in nodes.nodes)
    return [uid for uid in uids if nodes.nodes[uid].compiled_code is None]


def _feeds(reading: Iterable[str], nodes: Readers, project: str) -> dict[str, list[str]]:
    """Maps each private node in `reading` to the nearest public models that are built from it."""
    below: dict[str, list[str]] = {}
    public = []
    for uid, node in nodes.nodes.items():
        if uid.startswith(LINKED):
            for parent in (node.depends_on and node.depends_on.nodes) or ():
                below.setdefault(parent, []).append(uid)
        if uid.startswith("model.") and node.package_name == project and is_published(node):
            public.append(uid)
    private = sorted(set(reading).difference(public))
    found = nearest(private, public, lambda uid: below.get(uid, ()))
    return {uid: models for uid, models in found.items() if models}


def records(
    member: Member,
    env: str,
    repository: str | None,
    found: Iterable[lineage.Edge],
    nodes: Readers,
    published: Mapping[str, lineage.Published],
    warehouse: Warehouse,
) -> list[Record]:
    """Returns a record, without dates, for each project in `published`.

    Every edge has to resolve.
    """
    by_node: dict[str, list[tuple[lineage.Edge, Mapping[str, Any]]]] = {}
    for edge in found:
        model = published[edge.upstream].model(edge)
        assert model is not None
        by_node.setdefault(edge.node, []).append((edge, model))
    reads: dict[str, dict[str, Read]] = {name: {} for name in published}
    owners: dict[str, set[str]] = {name: set() for name in published}
    for uid, edges in sorted(by_node.items()):
        columns = _columns(nodes.entry(uid), edges, warehouse)
        for edge, model in edges:
            name = model["unique_id"]
            read = reads[edge.upstream].setdefault(name, Read(name, reader_name(model), []))
            seen = columns.get(edge.place)
            if seen is None or read.columns is None:
                read.columns = None
            else:
                read.columns = sorted({*read.columns, *seen})
            if uid not in read.by:
                read.by.append(uid)
            owners[edge.upstream].update(nodes.owners(uid))
    fed = _feeds(by_node, nodes, member.project) if member.publishes else {}
    return [
        Record(
            consumer=member.project,
            kind=member.kind,
            env=env,
            owner=", ".join(sorted(owners[name])) or None,
            repository=repository,
            deployment=member.deployment,
            workflow=member.deploy_workflow,
            branch=member.deploy_branch if member.deploy_workflow else None,
            read_version=upstream.interface.version,
            reads=[read for _, read in sorted(reads[name].items())],
            feeds={
                uid: fed[uid]
                for uid in sorted({uid for read in reads[name].values() for uid in read.by})
                if uid in fed
            },
        )
        for name, upstream in published.items()
    ]


def _columns(
    reader: _Reader | _Entry,
    edges: Iterable[tuple[lineage.Edge, Mapping[str, Any]]],
    warehouse: Warehouse,
) -> dict[Place, set[str] | None]:
    """Maps each place to the columns that are read there, as the upstream's interface names them.

    A place that is missing, or mapped to None, stands for all of its columns.
    """
    edges = list(edges)
    if isinstance(reader, _Entry):
        return _given_columns(reader.given or (), edges)
    if not reader.compiled_code or reader.language != "sql" or reader.config.hooks_read:
        return {}
    from dbtmesh.downstream.columns import Listed, read_columns

    stored = {
        edge.place: {
            warehouse.stored(name, quoted=bool(column.get("quote"))): name
            for name, column in (model.get("columns") or {}).items()
        }
        for edge, model in edges
    }
    listed = {
        edge.place: Listed(list(stored[edge.place]), whole=lists_all_columns(model))
        for edge, model in edges
    }
    read = read_columns(reader.compiled_code, listed, warehouse)
    if reader.config.materialized == "incremental":
        for place, seen in read.items():
            read[place] = _in_other_runs(seen, listed[place], reader.raw_code or "", warehouse)
    for edge, model in edges:
        # dbt itself filters by this column when it runs the reader's batches
        event_time = (model.get("config") or {}).get("event_time")
        seen = read.get(edge.place)
        if event_time and seen is not None and reader.config.incremental_strategy == "microbatch":
            seen.add(str(event_time))
    return {
        place: names and {stored[place].get(name, name) for name in names}
        for place, names in read.items()
    }


def _in_other_runs(
    seen: set[str] | None, listed: Listed, raw_code: str, warehouse: Warehouse
) -> set[str] | None:
    """Returns the columns that an incremental model may read in any run.

    Its SQL is compiled for one run only, and that of the first run differs from that of later runs.
    So each listed column whose name is in the model's text counts.
    """
    if seen is None or not listed.whole:
        return None
    words = set(re.findall(r"\w+", raw_code.upper()))
    return seen | {column for column in listed.columns if column.upper() in words}


def lists_all_columns(model: Mapping[str, Any]) -> bool:
    """Checks whether the interface lists every column of a model: a contract guarantees that."""
    contract = model.get("contract") or (model.get("config") or {}).get("contract") or {}
    return bool(contract.get("enforced"))


def _given_columns(
    given: Iterable[_Given], edges: Iterable[tuple[lineage.Edge, Mapping[str, Any]]]
) -> dict[Place, set[str] | None]:
    """Returns the columns for which a unit test gives values: it fails if one does not exist."""
    by_input = {lineage.given_name(each.input): each.rows for each in given}
    found: dict[Place, set[str] | None] = {}
    for edge, model in edges:
        rows = by_input.get((edge.upstream, str(model["name"])))
        if rows is None:
            rows = by_input.get((edge.upstream, edge.name))
        if isinstance(rows, list):
            found[edge.place] = {name for row in rows for name in row}
    return found


def dated(record: Record, old: Record | None, now: datetime) -> Record | None:
    """Returns the record with its dates; None if there is nothing to write.

    That is so if `old` has the same content, or if there are neither reads nor an old record.
    """
    today = now.isoformat(timespec="seconds")
    since = {read.model: read.since or old.recorded_at for read in old.reads} if old else {}
    new = msgspec.structs.replace(
        record,
        recorded_at=today,
        reads=[
            msgspec.structs.replace(read, since=since.get(read.model) or today)
            for read in record.reads
        ],
    )
    same = old and msgspec.structs.replace(new, recorded_at=old.recorded_at) == old
    return None if same or not (old or new.reads) else new


def plan(store: registry.Store, upstream: str, record: Record) -> tuple[Record | None, str | None]:
    """Returns the record to write, if there is one, and the ETag of the object that it replaces.

    An old record that cannot be read is replaced, because the new one is complete.
    """
    key = keys.record(upstream, str(record.env), record.consumer)
    try:
        stored = store.read(key, most=consumers.MOST_BYTES)
    except registry.TooLarge:
        return dated(record, None, datetime.now(UTC)), store.etag(key)
    old = None
    if stored:
        with contextlib.suppress(MeshError):
            old = consumers.decode(stored.body, record.consumer, key)
    return dated(record, old, datetime.now(UTC)), stored.etag if stored else None


def keep(store: registry.Store, upstream: str, record: Record) -> Record | None:
    """Writes the record if its content is new, and returns what was written. Raises MeshError."""
    key = keys.record(upstream, str(record.env), record.consumer)
    for _ in range(ATTEMPTS):
        new, etag = plan(store, upstream, record)
        if new is None:
            return None
        try:
            store.write(key, consumers.encode(new), replaces=etag)
        except registry.Changed:
            continue
        return new
    raise registry.contended(store, key)


def former(store: registry.Store, env: str, consumer: str, current: Iterable[str]) -> list[str]:
    """Returns projects that are no longer read, but still have a record of this project.

    They include projects that mesh.yml no longer names.
    """
    known = set(current)
    folders = (name.rstrip("/") for name in store.children("") if name.endswith("/"))
    projects = sorted(islice(filter(NAME.fullmatch, folders), keys.MOST_PROJECTS))
    others = [name for name in projects if name not in known]
    etags = parallel.each(lambda name: store.etag(keys.record(name, env, consumer)), others)
    return [name for name, etag in zip(others, etags, strict=True) if etag]
