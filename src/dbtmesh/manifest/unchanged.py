"""Checks a publication that is byte for byte what this library writes, without rebuilding it. Pure.

Nearly all publications are of this kind. Nothing in them has to be left out, cleaned or respelled,
so they are decoded once, into types that msgspec checks while it decodes. This costs less than
decoding into plain values, which happens only where they are needed (`Interface.manifest`). For a
publication in doubt, `read` returns None; `manifest.decode` then reads everything that is allowed,
and says what is wrong with the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from dbtmesh.checked import Digest, Free, Line, Moment, Name, NodeId, Unfit, Word, is_clean
from dbtmesh.manifest import versions
from dbtmesh.manifest.decode import (
    MOST_COLUMNS,
    MOST_MODELS,
    Places,
    bounded_version,
    deprecation,
    event_time,
    freshness,
    head_of,
    meta_of,
    tell_apart,
)
from dbtmesh.manifest.document import EMPTY_SECTIONS, metadata_of
from dbtmesh.manifest.fields import PUBLISHED_METADATA, Freshness, PublishedGroup, Version
from dbtmesh.manifest.graph import MOST_LINKS, refuse_circles
from dbtmesh.manifest.interface import DIGEST, VERSION, WHOLE, Interface
from dbtmesh.manifest.seal import is_whole

Prose = Annotated[str, Meta(min_length=1, max_length=100_000)]
Names = Annotated[list[Name], Meta(min_length=1)]
Tags = Annotated[list[Line], Meta(min_length=1)]
Short = Annotated[str, Meta(min_length=1, max_length=255)]
"""A Name or a Word. `_hold` checks all such texts of the document together, each only once."""
Nothing = Annotated[dict[str, None], Meta(max_length=0)]


RAW = cast(msgspec.Raw, None)
"""The default of a field that is kept as the bytes in the document.

These are `constraints`, of which there are few distinct ones, each checked once, and the second of
two copies of `meta` that have to be equal.
"""


class Fields(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A struct whose fields can be read like those of a mapping: by `get` and by `[…]`.

    The fields are declared in the order in which they are written. No instance is part of a
    reference cycle, so the garbage collector need not track them (`gc=False`).
    """

    get = object.__getattribute__
    __getitem__ = object.__getattribute__


class Constraint(Fields):
    type: Literal["check", "not_null", "unique", "primary_key", "foreign_key", "custom"]
    columns: Names | None = None


class ColumnConfig(Fields):
    meta: Free | None = None
    tags: Tags | None = None


class Column(Fields):
    name: Short
    description: Prose | None = None
    data_type: Annotated[str, Meta(min_length=1, max_length=10_000)] | None = None
    quote: bool | None = None
    constraints: msgspec.Raw = RAW
    meta: msgspec.Raw = RAW
    tags: Tags | None = None
    config: ColumnConfig | None = None


class Contract(Fields):
    enforced: bool


class Checksum(Fields):
    name: Literal["sha256", "none"]
    checksum: str


class Config(Fields, kw_only=True):
    access: Literal["public"]
    group: Word | None = None
    contract: Contract
    meta: Free | None = None
    tags: Tags | None = None
    materialized: Short | None = None
    event_time: Name | None = None
    freshness: Freshness | None = None


class DependsOn(Fields):
    macros: Annotated[list[None], Meta(max_length=0)]
    nodes: list[str]


class Node(Fields, kw_only=True):
    database: Short
    schema: Short
    name: Short
    resource_type: Literal["model"]
    package_name: str
    path: Literal[""]
    original_file_path: Literal[""]
    unique_id: str
    fqn: list[str]
    alias: Short
    checksum: Checksum
    config: Config
    description: Prose | None = None
    version: Version | None = None
    latest_version: Version | None = None
    deprecation_date: Moment | None = None
    relation_name: Annotated[str, Meta(min_length=1, max_length=1_000)] | None = None
    access: Literal["public"]
    group: Word | None = None
    contract: Contract
    meta: msgspec.Raw = RAW
    tags: Tags | None = None
    columns: Annotated[dict[str, Column], Meta(min_length=1, max_length=MOST_COLUMNS)] | None = None
    constraints: msgspec.Raw = RAW
    depends_on: DependsOn


_CONSTRAINTS = msgspec.json.Decoder(Annotated[list[Constraint], Meta(min_length=1)])
# Built at import: msgspec crashes if several threads use a type for the first time.
_DOCUMENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "Document",
        [
            ("metadata", msgspec.Raw),
            ("nodes", Annotated[dict[str, Node], Meta(max_length=MOST_MODELS)]),
            ("groups", dict[str, PublishedGroup]),
            *((section, Nothing) for section in EMPTY_SECTIONS),
        ],
        forbid_unknown_fields=True,
    )
)


def read(body: bytes, project: str, databases: Collection[str] | None) -> Interface | None:
    """Reads the interface in a publication's bytes.

    Returns None unless this library would write the same bytes again. databases: see
    `manifest.decode.read`.
    """
    try:
        document = _DOCUMENT.decode(body)
        metadata, generated_at, warehouse = head_of(document.metadata, project, PUBLISHED_METADATA)
        notes = cast(dict[str, str], metadata.get("env") or {})
        version, digest = notes.pop(VERSION, None), notes.pop(DIGEST, None)
        if version is None or digest is None:
            return None
        notes |= {VERSION: version, DIGEST: digest}
        places = Places(warehouse, databases)
        if not (
            _is_written_so(project, document.nodes, document.groups, places)
            and msgspec.json.encode(metadata_of(metadata, notes)) == bytes(document.metadata)
            and msgspec.json.encode(document) == body
            and is_clean(body)
            and is_whole(body, digest)
        ):
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unfit):
        return None
    return Interface(
        project=project,
        version=version,
        digest=notes.get(WHOLE) or digest,
        generated_at=generated_at,
        warehouse=warehouse,
        private=frozenset(),
        body=body,
        typed=document.nodes,
    )


def _is_written_so(
    project: str, nodes: Mapping[str, Node], groups: Mapping[str, PublishedGroup], places: Places
) -> bool:
    """Checks that `manifest.decode` would refuse, leave out and change nothing in these.

    Raises Unfit or msgspec.DecodeError in some of the cases where it would.
    """
    models = [*nodes.values()]
    versioned = [node for node in models if node.version is not None]
    links, keys, columns = list[str](), list[str](), list[Column]()
    for node in models:
        links += node.depends_on.nodes
        if node.columns:
            keys += node.columns
            columns += node.columns.values()
    used = {node.group for node in models}
    _hold(NodeId, (node.unique_id for node in versioned))
    _hold(Word, (node.name for node in models))
    _hold(Word, (node.config.materialized for node in models))
    for part in ({node.database for node in models}, {node.schema for node in models}, {*keys}):
        _hold(Name, part)
    _hold(Name, (node.alias for node in models))
    _hold(Line, {column.data_type for column in columns})
    # not by `_hold`: an identifier is not a digest
    digests = {node.checksum.checksum for node in models}
    msgspec.convert([each for each in digests if each], list[Digest])
    _hold_constraints([each.constraints for each in columns])
    _hold_constraints([each.constraints for each in models])
    return (
        [node.unique_id for node in models] == sorted(nodes)
        and [column.name for column in columns] == keys
        and all(_is_settled(project, node) for node in models)
        and all(
            _is_written_twice(column)
            for column in columns
            if column.config or column.tags or column.meta is not None
        )
        and len(links) <= MOST_LINKS
        and nodes.keys() >= {*links}
        and all(
            each["package_name"] == project and each["name"] in used for each in groups.values()
        )
        and [*groups] == sorted(groups)
        and _are_settled(versioned)
        and len({(each.database, each.schema, each.alias) for each in models}) == len(models)
        and _fit_together(nodes, versioned)
        and _lie_there(models, places)
    )


def _hold(kind: Any, texts: Iterable[str | None]) -> None:
    """Raises msgspec.ValidationError where a text is not of that kind.

    Nearly all texts are ASCII identifiers, which are valid for each kind that is checked here.
    """
    others = {each for each in texts if each and not (each.isascii() and each.isidentifier())}
    if others:
        msgspec.convert([*others], list[kind])


def _hold_constraints(written: list[msgspec.Raw]) -> None:
    """Raises msgspec.DecodeError where one is not a list of constraints, and Unfit where this
    library would write it differently."""
    given = [each for each in written if each is not None]
    *listed, rest = (msgspec.json.encode(given)[1:-1] + b"," * bool(given)).split(b"],")
    # JSON is unambiguous: if each piece between these separators is a list of constraints, then the
    # pieces are the lists that were joined.
    for each in {*listed, *([rest] if rest else [])}:
        text = each + b"]"
        if msgspec.json.encode(_CONSTRAINTS.decode(text)) != text:
            raise Unfit("constraints: they are written otherwise")


def _is_settled(project: str, node: Node) -> bool:
    """Checks a node by itself, except for its columns and the spelling of its version."""
    config, above, uid = node.config, node.depends_on.nodes, f"model.{project}.{node.name}"
    if node.version is None:
        fits = node.unique_id == uid and node.latest_version is None
        fits = fits and node.fqn == [project, node.name]
    else:
        fits = node.unique_id.startswith(f"{uid}.v")
        fits = fits and node.fqn == [project, node.name, f"v{node.version}"]
    return (
        fits
        and node.package_name == project
        and config.materialized != "ephemeral"
        and node.group == config.group
        and node.contract.enforced is config.contract.enforced
        and node.tags == config.tags
        and _is_same(config, node.meta)
        and (config.event_time is None or event_time(config.event_time) is not None)
        and (config.freshness is None or freshness(config.freshness) == config.freshness != {})
        and (node.deprecation_date is None or _is_midnight(node.deprecation_date))
        and (node.checksum.name == "sha256") is bool(node.checksum.checksum)
        and (len(above) < 2 or above == sorted({*above}))
    )


def _lie_there(models: Iterable[Node], places: Places) -> bool:
    """Checks whether each model's fields and `relation_name` agree, and its database is permitted.

    A name that differs from an accepted one only in its last part is accepted as well, if that part
    is an ASCII identifier.
    """
    fit = set[tuple[str, ...]]()
    for node in models:
        before, alias, after = (node.relation_name or "").rpartition(node.alias)
        around = before, after, node.database, node.schema
        plain = alias.isascii() and alias.isidentifier()
        if plain and around in fit:
            continue
        if places.place(node) != (node.database, node.schema, node.alias):  # type: ignore[arg-type]
            return False
        if plain:
            fit.add(around)
    return True


def _is_written_twice(column: Column) -> bool:
    """Checks whether a column has settings under `config`, and the same ones beside it."""
    config = column.config
    return (
        config is not None
        and (config.meta is not None or config.tags is not None)
        and column.tags == config.tags
        and _is_same(config, column.meta)
    )


def _is_same(config: Config | ColumnConfig, beside: msgspec.Raw) -> bool:
    """Checks whether `meta` under `config` equals the one beside it, and has no private keys."""
    if not config.meta:
        return config.meta is None and beside is None
    return meta_of(config.meta) == config.meta and msgspec.json.encode(config.meta) == bytes(beside)


def _is_midnight(day: str) -> bool:
    return deprecation(day) == day


def _fit_together(nodes: Mapping[str, Node], versioned: Collection[Node]) -> bool:
    """Returns True. Raises Unfit where two models have the same name for readers, or one depends on
    itself. Names can only be the same where there are versions."""
    if versioned:
        tell_apart(nodes)
    refuse_circles({uid: node.depends_on.nodes for uid, node in nodes.items()})
    return True


def _are_settled(nodes: list[Node]) -> bool:
    """Checks whether the versions of these models are spelled as `versions.settle` spells them."""
    keys = ("name", "version", "latest_version")
    settled = [{key: node[key] for key in keys} for node in nodes]
    versions.settle(settled)
    return all(
        all(
            repr(node[key]) == repr(each[key]) == repr(bounded_version(key, node[key]))
            for key in keys[1:]
        )
        for node, each in zip(nodes, settled, strict=True)
    )
