"""Turns objects into rows and rows into objects, and finds the latest publication. Pure."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from dbtmesh import MeshError, sha256
from dbtmesh.manifest.interface import VERSION
from dbtmesh.output.words import shown
from dbtmesh.registry import keys
from dbtmesh.registry.store import Stored

CHUNK = 8 * 2**20
"""How many characters a row's body holds at most. On every account, a VARCHAR without a length
holds 16 MB."""


_NUMBER = re.compile(r"[0-9]{1,12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(rf"{keys.VERSION.pattern}(?::[0-9]{{1,9}})?|[0-9]{{1,9}}:[0-9a-f]{{32}}")


class Damaged(ValueError):
    """The rows do not form an object: parts are missing, or their size or digest is wrong."""


class Packed(NamedTuple):
    """An object as the tables store it. digest: the SHA-256 of its bytes. parts: the compressed
    bytes in Base64, cut into pieces of CHUNK."""

    size: int
    digest: str
    parts: tuple[str, ...]


def packed(body: bytes) -> Packed:
    text = base64.b64encode(zlib.compress(body)).decode()
    parts = tuple(text[start : start + CHUNK] for start in range(0, len(text), CHUNK))
    return Packed(len(body), sha256(body), parts)


class Part(NamedTuple):
    """One row of an object. body: None where the reader knows it already, or it is too large."""

    tag: str
    part: int
    parts: int
    size: int
    digest: str
    body: str | None


def one_object(rows: Iterable[Sequence[object]]) -> list[Part]:
    """Returns the rows of one object in order, each part once.

    Two jobs that write the same object at once insert its parts twice. The table may be another
    project's, and hold anything. Raises Damaged where the rows do not form one object.
    """
    found: dict[int, Part] = {}
    for tag, part, parts, size, digest, body in rows:
        if part is None:
            raise Damaged(f"there is no version {str(tag).partition(':')[0]}")
        row = Part(
            _matching(_TAG, tag),
            int(_matching(_NUMBER, part)),
            int(_matching(_NUMBER, parts)),
            int(_matching(_NUMBER, size)),
            _matching(_SHA256, digest),
            None if body is None else str(body),
        )
        first = found.setdefault(row.part, row)
        if (first.digest, first.size, first.parts) != (row.digest, row.size, row.parts):
            raise Damaged("there are two of that name")
    whole = [found[number] for number in sorted(found)]
    if whole and (len(whole) != whole[0].parts or len({row.digest for row in whole}) > 1):
        raise Damaged(f"{len(whole)} of {whole[0].parts} parts are there")
    return whole


def _matching(pattern: re.Pattern[str], value: object) -> str:
    text = str(value)
    if not pattern.fullmatch(text):
        raise Damaged(f"{shown(value)} is not valid")
    return text


def unpacked(rows: Sequence[Part]) -> Stored:
    """Returns the object that the rows hold. Raises Damaged where its size or digest differs from
    what they state; never unpacks more than one byte beyond that size."""
    first = rows[0]
    try:
        data = base64.b64decode("".join(row.body or "" for row in rows), validate=True)
        opener = zlib.decompressobj()
        body = opener.decompress(data, first.size + 1)  # no more: it could expand without bound
    except (ValueError, zlib.error) as error:  # base64 raises ValueError, also if it is not ASCII
        raise Damaged(str(error)) from None
    if len(body) != first.size or sha256(body) != first.digest:
        raise Damaged("its digest does not match")
    return Stored(body, etag(first.tag, first.digest))


# ── What stands ───────────────────────────────────────────────────────────────────────


class Mark(NamedTuple):
    """A row that makes a version the latest. attempt: how often that version was made the latest,
    this time included."""

    version: str
    attempt: int


def marks(rows: Iterable[Sequence[object]]) -> list[Mark]:
    """Returns the marks in rows of (version, attempt). Raises Damaged where one is not valid."""
    return [
        Mark(_matching(keys.VERSION, version), int(_matching(_NUMBER, attempt)))
        for version, attempt in rows
    ]


_ETAG = re.compile(rf"({keys.VERSION.pattern}):([0-9]{{1,9}}):[0-9a-f]{{16}}")
_COUNTED = re.compile(r"([0-9]{1,9}:[0-9a-f]{32}):[0-9a-f]{16}")


def etag(tag: str, digest: str) -> str:
    """Returns an object's ETag. tag: `version:attempt` of the latest, `number:id` of a state or
    record, or a version of the history."""
    return f"{tag}:{digest[:16]}"


def mark_of(known: str) -> Mark | None:
    """Returns the mark in an ETag of the latest; None for an ETag of another store."""
    found = _ETAG.fullmatch(known)
    return Mark(found[1], int(found[2])) if found else None


def count_of(known: str) -> str | None:
    """Returns the `number:id` in an ETag of a state or record; None for one of another store."""
    found = _COUNTED.fullmatch(known)
    return found[1] if found else None


class Standing(Enum):
    """What became of a mark, as seen right after it was inserted."""

    LATEST = "it is what readers see, and nobody else came in between"
    WITHDRAW = "it is above another mark that it was not checked against"
    BEHIND = "a newer one is above it, or it was not inserted"


def judged(
    ours: str, follows: Mark | None, standing: Sequence[Mark]
) -> tuple[Standing, Mark | None]:
    """Returns what became of our mark, and the mark itself (None for BEHIND).

    standing: the two greatest marks that are not withdrawn. follows: the mark that ours was checked
    against. It is the greater one where a rollback replaces a version dated ahead of the clock.
    """
    if not standing or standing[0].version != ours:
        return Standing.BEHIND, None
    own, below = standing[0], standing[1] if len(standing) > 1 else None
    replaced = follows is not None and follows.version > ours
    if replaced or below == follows or (follows and follows.version == ours):
        return Standing.LATEST, own
    return Standing.WITHDRAW, own


class _Notes(msgspec.Struct):
    env: dict[str, str] = {}


class _Head(msgspec.Struct):
    metadata: _Notes


_HEAD = msgspec.json.Decoder(_Head)


def version_in(body: bytes) -> str:
    """Returns the version that a publication states in its metadata. Raises MeshError where the
    body is not a publication."""
    try:
        version = _HEAD.decode(body).metadata.env.get(VERSION, "")
    except msgspec.MsgspecError as error:
        raise MeshError(f"this is not a publication: {error}") from None
    if not keys.VERSION.fullmatch(version):
        raise MeshError("this is not a publication: its metadata has no valid version")
    return version
