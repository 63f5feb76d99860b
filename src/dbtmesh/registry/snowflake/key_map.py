"""Maps keys of the registry to tables and rows. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from dbtmesh.registry import keys


class Kind(Enum):
    LATEST = "latest"
    VERSION = "version"
    RECORD = "record"
    STATE = "state"


@dataclass(frozen=True)
class Place:
    """The place of an object. name: the version, the consumer of a record, or a file of the
    state."""

    kind: Kind
    project: str
    env: str
    name: str = ""


_SHAPES = {
    Kind.LATEST: re.compile(r"(\w+)/([^/]+)/latest/manifest\.json()"),
    Kind.VERSION: re.compile(rf"(\w+)/([^/]+)/history/({keys.VERSION.pattern})/manifest\.json"),
    Kind.RECORD: re.compile(r"(\w+)/([^/]+)/consumers/(\w+)\.json"),
    Kind.STATE: re.compile(r"(\w+)/([^/]+)/([^/]+)"),
}


def place_of(key: str) -> Place | None:
    """Returns the place of a key. Returns None for a key of any other shape: it has no place."""
    for kind, shape in _SHAPES.items():
        if found := shape.fullmatch(key):
            return Place(kind, *found.groups())
    return None


class Folder(Enum):
    PROJECTS = "projects"
    ENVIRONMENTS = "environments"
    PARTS = "parts"
    HISTORY = "history"
    RECORDS = "records"


_FOLDERS = {
    Folder.PROJECTS: re.compile("()()"),
    Folder.ENVIRONMENTS: re.compile(r"(\w+)/()"),
    Folder.PARTS: re.compile(r"(\w+)/([^/]+)/"),
    Folder.HISTORY: re.compile(r"(\w+)/([^/]+)/history/"),
    Folder.RECORDS: re.compile(r"(\w+)/([^/]+)/consumers/"),
}


def folder_of(prefix: str) -> tuple[Folder, str, str] | None:
    """Returns the folder that a prefix lists, its project and its environment; None where a prefix
    lists nothing."""
    for folder, shape in _FOLDERS.items():
        if found := shape.fullmatch(prefix):
            return folder, found[1], found[2]
    return None
