"""`fleet map`: shows the whole mesh from the registry as one page, as Mermaid or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.cli import note, say
from dbtmesh.config import ENVIRONMENT, NAME, Location, Member, locate
from dbtmesh.files import write_whole
from dbtmesh.output.words import counted
from dbtmesh.registry import latest
from dbtmesh.registry import records as consumers
from dbtmesh.registry.cycles import described
from dbtmesh.registry.keys import MOST_PROJECTS
from dbtmesh.registry.store import OutOfReach, Store, open_store
from fleet import map_html, map_mermaid
from fleet.errors import FleetError
from fleet.mesh_graph import (
    Interface,
    Mesh,
    as_json,
    build,
    drawn,
)

AT_ONCE = 8
"""Objects read in parallel: enough to hide S3's latency, few enough to fit into memory."""

# `locate` uses only a member's folder and bucket. This one stands in for a member of the demo, so
# that the default is the demo's registry.
_HERE = Member(
    root=Path("demo/fleet"),
    project="fleet",
    kind="upstream",
    publishes=False,
    database_prefix="FLEET",
    bucket=None,
    aws_region=None,
    upstreams=(),
)


def location(bucket: str | None, registry: str | None, env: str | None) -> Location:
    """Returns the registry and the environment to read.

    Flags come first, then environment variables, then the registry on this machine. Raises
    MeshError where there is none.
    """
    return locate(_HERE, bucket=bucket, registry=registry, env=env)


def gather(where: Location) -> Mesh:
    """Reads the registry. It notes what cannot be read, and leaves that out of the map.

    Raises MeshError where the registry is out of reach, FleetError where it has nothing to draw.
    """
    store = open_store(where.url)
    folders = (name.rstrip("/") for name in store.children("") if name.endswith("/"))
    names = sorted(islice(filter(NAME.fullmatch, folders), MOST_PROJECTS + 1))
    if len(names) > MOST_PROJECTS:
        note(f"{where.url} holds more than {MOST_PROJECTS:,} projects: the rest is left out")
        names.pop()
    if not names:
        raise FleetError(f"{where.url} is empty: publish a project first")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: _project(store, name, where.env), names))
    for problem in (problem for each in found for problem in each.problems):
        note(f"{problem}; left out of the map")
    interfaces = [each.interface for each in found if each.interface]
    records = {each.name: each.records for each in found if each.records}
    if not interfaces and not records:
        others = _others(store, names)
        raise FleetError(f"nothing is published for environment {where.env} in {where.url}{others}")
    return build(where.url, where.env, interfaces, records)


@dataclass
class _Found:
    """What the registry has of a project. problems: what is there but cannot be read."""

    name: str
    interface: Interface | None = None
    records: list[consumers.Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _project(store: Store, name: str, env: str) -> _Found:
    found = _Found(name)
    try:
        if published := latest.find(store, name, env):
            found.interface = drawn(published.interface)
    except OutOfReach:  # the whole registry is, so no other project can be read either
        raise
    except MeshError as error:
        found.problems.append(str(error))
    found.records, unread = consumers.recorded(store, name, env)
    found.problems += unread
    return found


def _others(store: Store, names: Iterable[str]) -> str:
    """Names the environments that exist, for a person who meant another one."""
    found: set[str] = set()
    for name in names:
        children = islice(store.children(f"{name}/"), MOST_PROJECTS)
        there = (child.rstrip("/") for child in children)
        found |= {child for child in there if ENVIRONMENT.fullmatch(child)}
    return f": it has {', '.join(sorted(found))} (--env)" if found else ""


def render(
    mesh: Mesh, form: str, *, models: bool = False, drawn_at: datetime | None = None
) -> bytes:
    """Returns the mesh as `html`, `mermaid` (projects, or models as well) or `json`."""
    if form == "json":
        return as_json(mesh)
    if form == "mermaid":
        drawn = map_mermaid.of_models(mesh) if models else map_mermaid.of_projects(mesh)
        return drawn.encode()
    return map_html.page(mesh, drawn_at or datetime.now(UTC)).encode()


def write(where: Location, path: Path) -> Mesh:
    """Writes the page of a registry and returns its mesh. Raises FleetError and MeshError."""
    mesh = gather(where)
    save(path, render(mesh, "html"))
    return mesh


def run(
    *,
    bucket: str | None,
    registry: str | None,
    env: str | None,
    form: str,
    models: bool,
    output: str | None,
) -> int:
    """Runs the command. output: a file, or `-` for stdout. Raises FleetError and MeshError."""
    where = location(bucket, registry, env)
    mesh = gather(where)
    body = render(mesh, form, models=models)
    if form == "mermaid" and map_mermaid.too_large(body.decode()):
        note("GitHub does not draw a Mermaid chart as large as this")
    for group in mesh.cycles:
        note(f"{described(group)}: their deploys start each other")
    target = output or ("mesh.html" if form == "html" else "-")
    if target == "-":
        sys.stdout.buffer.write(body)
        return 0
    save(Path(target), body)
    public = sum(node.kind == "public" for node in mesh.nodes)
    holds = f"{counted(len(mesh.projects), 'project')}, {counted(public, 'public model')}"
    say(f"{target}: {holds} of {mesh.env}")
    return 0


def save(path: Path, body: bytes) -> None:
    """Replaces the file atomically. Raises FleetError where it cannot be written."""
    try:
        write_whole(path, body)
    except OSError as error:
        raise FleetError(f"cannot write {path}: {error.strerror}") from None
