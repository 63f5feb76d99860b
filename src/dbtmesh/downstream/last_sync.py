"""Records what a sync read and asked, so that the next sync can start with the same requests.

Most syncs find nothing new. If everything that the last sync read is unchanged, the next one only
repeats the requests to the registry. It does not load the modules that read flags, YAML and
manifests, nor pathlib, because that takes longer than the registry takes to answer. If a file has
changed, or an answer is not `not modified`, a full sync follows, which reuses the answers.

state/.sync.json   the record (`LastSync`); it belongs to this machine

A file counts as unchanged if its inode, size and times are the same, as for git and make. Nobody
can choose these, so a record that was committed or copied has no effect. A record that does not
cover all necessary files is ignored.
"""

# No `from __future__ import annotations` here: see registry/store.py.

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dbtmesh import MeshError, parallel
from dbtmesh.files import MOST
from dbtmesh.registry.routing import open_routed
from dbtmesh.registry.store import Access, NotModified, Reader, Stored

if TYPE_CHECKING:
    from pathlib import Path

KEPT = "state/.sync.json"
LIBRARY = os.path.dirname(os.path.dirname(__file__))
VARIABLES = (
    *("DBT_MESH_REGISTRY", "DBT_MESH_BUCKET", "DBT_MESH_ENV", "DBT_MESH_HOME"),
    *("DBT_LOOM_CONFIG", "AZURE_CLIENT_ID"),
)
"""Environment variables that a sync reads, except those that a store reads itself to sign in."""

Marks = dict[str, list[int] | None]
"""Maps the path of a file to what changes whenever the file does; None if there is no file."""
Answer = Stored | Exception | None


class Asked(NamedTuple):
    """A request to the registry, and the version and ETag that it holds."""

    upstream: str
    version: str
    key: str
    etag: str


class Seen(NamedTuple):
    """Files and folders, and the marks of all files in them."""

    places: list[str]
    marks: Marks


class LastSync(NamedTuple):
    """The record of a sync.

    told: see `told`. home: a path, and the same path with its links resolved. seen: what was read.
    registry, elsewhere, access: the arguments of `open_routed`, without the member.
    """

    told: list[object]
    home: list[str]
    seen: Seen
    registry: str
    elsewhere: dict[str, str]
    access: Access
    asked: list[Asked]


def told(folder: str, words: Sequence[str]) -> list[object]:
    """Returns the inputs of a sync besides files: its folders, its flags, the environment."""
    variables = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    return [folder, os.getcwd(), LIBRARY, variables, [*words]]


def see(places: list[str]) -> Seen:
    """Returns the marks of each file at these places or below them."""
    found: Marks = {}
    folders = []
    for place in places:
        if os.path.isdir(place):
            folders.append(place)
        else:
            found[place] = _mark(place)
    for folder in folders:  # the list grows meanwhile
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != "__pycache__":
                            folders.append(entry.path)
                    elif not entry.path.endswith(f"/{KEPT}"):
                        found[entry.path] = _mark(entry.path)
        except OSError:  # the folder cannot be read
            found[folder] = None
    return Seen(places, found)


def _mark(path: str) -> list[int] | None:
    try:
        at = os.stat(path)
    except OSError:
        return None
    return [at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns]


def unchanged(upstream: str, version: str) -> str:
    """Returns the line to print for an upstream with nothing new."""
    return f"{upstream}: unchanged ({version})"


def ask(folder: str, words: Sequence[str]) -> dict[Asked, Answer]:
    """Repeats the requests of the last sync, and returns the registry's answers.

    Returns nothing if this sync has other inputs than the last one, or a file has changed.
    """
    try:
        last = _read(folder)
        if (
            last.told != told(folder, words)
            or not {LIBRARY, f"{folder}/mesh.yml"} <= {*last.seen.places}
            or last.seen != see(last.seen.places)
            or os.path.realpath(last.home[0]) != last.home[1]
        ):
            return {}
        store = open_routed(last.registry, last.elsewhere, last.access)
    except (OSError, MeshError, ValueError, TypeError, LookupError, RecursionError):
        return {}  # also for a damaged record, which only costs time

    def answer(asked: Asked) -> Answer:
        try:
            return store.read(asked.key, known=asked.etag)
        except (NotModified, MeshError) as error:
            return error

    return dict(zip(last.asked, parallel.each(answer, last.asked), strict=True))


def nothing_new(answers: Mapping[Asked, Answer]) -> list[str]:
    """Returns the lines to print if there is nothing new; empty if there may be something."""
    same = answers and all(isinstance(each, NotModified) for each in answers.values())
    return [unchanged(each.upstream, each.version) for each in answers] if same else []


class Answered:
    """A store with some answers known in advance: it returns each of those once."""

    def __init__(self, store: Reader, answers: Mapping[Asked, Answer]) -> None:
        self.url, self._store = store.url, store
        self._answers = {(asked.key, asked.etag): each for asked, each in answers.items()}

    def read(self, key: str, *, known: str | None = None, most: int = MOST) -> Stored | None:
        asked = (key, known or "")
        if asked not in self._answers:
            return self._store.read(key, known=known, most=most)
        answer = self._answers.pop(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _read(folder: str) -> LastSync:
    """Reads the record. Raises OSError, ValueError, TypeError or RecursionError without one."""
    with open(f"{folder}/{KEPT}", "rb") as file:
        kept = LastSync(*json.load(file))
    return kept._replace(
        seen=Seen(*kept.seen),
        registry=str(kept.registry),
        elsewhere={str(name): str(url) for name, url in dict(kept.elsewhere).items()},
        access=Access(*kept.access),
        asked=[Asked(*map(str, each)) for each in kept.asked],
    )


def keep(root: "Path", last: LastSync, before: Seen, wrote: Iterable[str]) -> None:
    """Writes a record for the next sync, unless other files have changed since `before`.

    before: the files before this sync read anything. wrote: the paths that it wrote, relative to
    the root. Raises OSError.
    """
    from dbtmesh.files import inside, write_whole

    ours = {str(root / path) for path in wrote}
    was, now = before.marks, last.seen.marks
    if any(was.get(path) != now.get(path) for path in (was.keys() | now.keys()) - ours):
        return
    write_whole(inside(root, KEPT), json.dumps(last).encode())
