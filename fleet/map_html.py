"""Writes the mesh as one HTML page that needs no network and no server.

It is pure, except that it reads its own sources in map_page/. All data is compressed and encoded in
base64, so it cannot end a script or be parsed as markup. The page reads the index (names, states,
edges) when it opens. What it shows only on a click (descriptions, types) is in one piece for each
project and is read when needed. That is why 50,000 models open as fast as three.
"""

from __future__ import annotations

import base64
import html
import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fleet.mesh_graph import Mesh, Node

PAGE = Path(__file__).parent / "map_page"
SCRIPTS = (
    "vendor/cytoscape.min.js",
    "vendor/dagre.min.js",
    "mesh.js",
    "drawing.js",
    "panels.js",
    "canvas.js",
    "events.js",
    "main.js",
)
KINDS = {"public": 0, "reader": 1, "missing": 2}


def page(mesh: Mesh, drawn_at: datetime) -> str:
    """Returns the whole page."""
    parts = {
        "title": html.escape(f"dbt mesh · {mesh.env}"),
        "style": (PAGE / "style.css").read_text(encoding="utf-8"),
        "data": "\n".join(_data(mesh, drawn_at)),
        "scripts": "\n".join(f"<script>\n{_script(name)}\n</script>" for name in SCRIPTS),
    }
    template = (PAGE / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], template)


def _script(name: str) -> str:
    # a source map is another file, which a browser's developer tools would request
    return re.sub(r"\n//# sourceMappingURL=\S+\s*$", "", (PAGE / name).read_text(encoding="utf-8"))


def _data(mesh: Mesh, drawn_at: datetime) -> Iterable[str]:
    yield _piece("index", _index(mesh, drawn_at))
    public: dict[str, list[Node]] = {project.name: [] for project in mesh.projects}
    for node in mesh.nodes:
        if node.kind == "public":
            public[node.project].append(node)
    for number, nodes in enumerate(public.values()):
        if nodes:
            yield _piece(f"details-{number}", {node.id: _details(node) for node in nodes})


def _piece(name: str, value: Any) -> str:
    packed = base64.b64encode(zlib.compress(msgspec.json.encode(value), 1)).decode()
    return f'<script type="application/octet-stream" id="{name}">{packed}</script>'


def _index(mesh: Mesh, drawn_at: datetime) -> dict[str, Any]:
    """Returns what the list, search and drawing need, with numbers in place of recurring names."""
    projects = {project.name: number for number, project in enumerate(mesh.projects)}
    numbers = {node.id: number for number, node in enumerate(mesh.nodes)}
    columns: dict[str, int] = {}

    def column(name: str) -> int:
        return columns.setdefault(name, len(columns))

    nodes = [
        (
            node.id,
            node.name,
            projects[node.project],
            KINDS[node.kind],
            int(node.contract),
            node.version,
            int(node.latest),
            node.deprecation_date,
            node.group,
            [column(each.name) for each in node.columns],
        )
        for node in mesh.nodes
    ]
    edges = [
        (
            numbers[edge.source],
            numbers[edge.target],
            None if edge.columns is None else [column(name) for name in edge.columns],
            edge.since,
        )
        for edge in mesh.edges
    ]
    return {
        "env": mesh.env,
        "registry": mesh.registry,
        "drawn_at": drawn_at,
        "projects": mesh.projects,
        "cycles": mesh.cycles,
        "columns": list(columns),
        "nodes": nodes,
        "edges": edges,
    }


def _details(node: Node) -> tuple[Any, ...]:
    return node.description, node.relation, node.materialized, node.constraints, node.columns
