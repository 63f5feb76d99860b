"""Names the objects of the registry: its paths, or keys.

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
"""Of a publication: when it was compiled, and the beginning of its digest."""
MOST_PROJECTS = 10_000
"""Of one registry: what more folders there are is not looked at."""


def latest(project: str, env: str) -> str:
    return f"{project}/{env}/latest/manifest.json"


def publication(project: str, env: str, version: str) -> str:
    return f"{project}/{env}/history/{version}/manifest.json"


def wanted(project: str, env: str, version: str | None) -> str:
    """The publication of that version, or the latest."""
    return publication(project, env, version) if version else latest(project, env)


def state(project: str, env: str, name: str = "manifest.json") -> str:
    return f"{project}/{env}/{name}"


def history(project: str, env: str) -> str:
    """The folder of all publications."""
    return f"{project}/{env}/history/"


def records(project: str, env: str) -> str:
    """The folder of what its readers keep on record."""
    return f"{project}/{env}/consumers/"


def record(project: str, env: str, consumer: str) -> str:
    return f"{records(project, env)}{consumer}.json"
