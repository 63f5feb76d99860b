"""Builds the keys of the objects in the registry, which are paths below its root.

<root>/<project>/<env>/latest/manifest.json             what consumers read
<root>/<project>/<env>/history/<version>/manifest.json  immutable, every publication
<root>/<project>/<env>/consumers/<consumer>.json        what each consumer reads of it
<state>/<project>/<env>/manifest.json                   the member's own full manifest
<state>/<project>/<env>/deploy.json                     its last deploy, with run_results.json
                                                        and its docs, index.html
"""

from __future__ import annotations

import re

VERSION = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{12}")
"""The version of a publication: when it was compiled, and the beginning of its digest."""
MOST_PROJECTS = 10_000
"""How many projects of one registry are read at most; further folders are ignored."""


def latest(project: str, env: str) -> str:
    return f"{project}/{env}/latest/manifest.json"


def publication(project: str, env: str, version: str) -> str:
    return f"{project}/{env}/history/{version}/manifest.json"


def wanted(project: str, env: str, version: str | None) -> str:
    """Returns the key of the publication with that version, or of the latest for None."""
    return publication(project, env, version) if version else latest(project, env)


def state(project: str, env: str, name: str = "manifest.json") -> str:
    return f"{project}/{env}/{name}"


def history(project: str, env: str) -> str:
    """Returns the folder of all publications."""
    return f"{project}/{env}/history/"


def records(project: str, env: str) -> str:
    """Returns the folder of the consumers' records."""
    return f"{project}/{env}/consumers/"


def record(project: str, env: str, consumer: str) -> str:
    return f"{records(project, env)}{consumer}.json"
