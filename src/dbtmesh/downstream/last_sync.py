"""Records what a sync read and asked, for the next one to begin with.

Most syncs find nothing new. Where all that the last one read lies as it lay then, the next one has
to ask the registry what that one asked, and no more: what reads flags, YAML and manifests takes
longer to load than the answer takes to come, and so does pathlib. Where anything is another, or an
answer is not `not modified`, the sync goes the whole way, and takes the answers along.

state/.sync.json   the record (`LastSync`); it belongs to this machine

A file is the same by what git and make go by: its inode, its size and its times. Nobody chooses
these, so that a record which was committed or copied is of no use; one that looks at less than it
has to is none.
"""

# Annotations are no texts here: see registry/store.py.

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
"""Of the environment, what a sync looks at. What a store signs in with, that reads each time."""

Marks = dict[str, list[int] | None]
"""Path of a file → what changes when it does; None where there is none."""
Answer = Stored | Exception | None


class Asked(NamedTuple):
    """What was asked of the registry, and what it holds."""

    upstream: str
    version: str
    key: str
    etag: str


class Seen(NamedTuple):
    """Files and folders, and the marks of the files there."""

    places: list[str]
    marks: Marks


class LastSync(NamedTuple):
    """told: see `told`. home: a path, and where links lead it to. seen: what was read. registry,
    elsewhere, access: as `open_routed` takes them, but for the member."""

    told: list[object]
    home: list[str]
    seen: Seen
    registry: str
    elsewhere: dict[str, str]
    access: Access
    asked: list[Asked]


def told(folder: str, words: Sequence[str]) -> list[object]:
    """What a sync is told, beside files: where it is, its flags, the environment."""
    variables = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    return [folder, os.getcwd(), LIBRARY, variables, [*words]]


def see(places: list[str]) -> Seen:
    """How each file at these places, or below them, lies there."""
    found: Marks = {}
    folders = []
    for place in places:
        if os.path.isdir(place):
            folders.append(place)
        else:
            found[place] = _mark(place)
    for folder in folders:  # which grows
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != "__pycache__":
                            folders.append(entry.path)
                    elif not entry.path.endswith(f"/{KEPT}"):
                        found[entry.path] = _mark(entry.path)
        except OSError:  # it may not be read
            found[folder] = None
    return Seen(places, found)


def _mark(path: str) -> list[int] | None:
    try:
        at = os.stat(path)
    except OSError:
        return None
    return [at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns]


def unchanged(upstream: str, version: str) -> str:
    """What is said of an upstream that has nothing new."""
    return f"{upstream}: unchanged ({version})"


def ask(folder: str, words: Sequence[str]) -> dict[Asked, Answer]:
    """What the registry says to what the last sync asked; nothing where this is another sync, or
    anything that it reads is not as it was."""
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
        return {}  # of a record that is damaged, too: that costs time only

    def answer(asked: Asked) -> Answer:
        try:
            return store.read(asked.key, known=asked.etag)
        except (NotModified, MeshError) as error:
            return error

    return dict(zip(last.asked, parallel.each(answer, last.asked), strict=True))


def nothing_new(answers: Mapping[Asked, Answer]) -> list[str]:
    """What is said where there is nothing new; empty where there may be."""
    same = answers and all(isinstance(each, NotModified) for each in answers.values())
    return [unchanged(each.upstream, each.version) for each in answers] if same else []


class Answered:
    """A store that was asked some of it already: it gives those answers first, each once."""

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
    """The record. Raises OSError, ValueError, TypeError or RecursionError where there is none."""
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
    """Leaves a record for the next sync, unless something else was written since `before`, when
    nothing had been read yet. wrote: what this sync wrote, below the root. Raises OSError."""
    from dbtmesh.files import inside, write_whole

    ours = {str(root / path) for path in wrote}
    was, now = before.marks, last.seen.marks
    if any(was.get(path) != now.get(path) for path in (was.keys() | now.keys()) - ours):
        return
    write_whole(inside(root, KEPT), json.dumps(last).encode())
