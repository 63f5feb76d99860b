"""Writes the mesh as a Mermaid flowchart, for READMEs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dbtmesh.output.words import counted
from fleet.mesh_graph import Mesh, Node, between_projects, public_counts

# GitHub's limits, which are Mermaid's own defaults.
MAX_EDGES, MAX_TEXT = 500, 50_000


def of_projects(mesh: Mesh) -> str:
    """Draws a box for each project, and an arrow for each pair where one reads the other."""
    number = {project.name: f"p{index}" for index, project in enumerate(mesh.projects)}
    counts = public_counts(mesh)
    lines = ["flowchart LR"]
    for name, identifier in number.items():
        published = counted(counts[name], "public model") if counts[name] else "reads only"
        lines.append(f'  {identifier}["{_text(name)}<br/>{published}"]')
    for (source, target), models in between_projects(mesh).items():
        lines.append(f'  {number[source]} -- "{counted(models, "model")}" --> {number[target]}')
    return "\n".join(lines) + "\n"


def of_models(mesh: Mesh) -> str:
    """Draws a box for each model in its project's frame, and an arrow to each of its readers."""
    number = {node.id: f"n{index}" for index, node in enumerate(mesh.nodes)}
    lines = ["flowchart LR"]
    for index, project in enumerate(mesh.projects):
        lines.append(f'  subgraph p{index}["{_text(project.name)}"]')
        lines += [
            f"    {number[node.id]}{_box(node)}"
            for node in mesh.nodes
            if node.project == project.name
        ]
        lines.append("  end")
    lines += [f"  {number[edge.source]} --> {number[edge.target]}" for edge in mesh.edges]
    lines += _classes(mesh, number)
    return "\n".join(lines) + "\n"


def too_large(drawn: str) -> bool:
    return len(drawn) > MAX_TEXT or drawn.count("-->") > MAX_EDGES


def _box(node: Node) -> str:
    label = _text(node.name) + (f" v{_text(node.version)}" if node.version else "")
    if node.deprecation_date:
        label += f"<br/>deprecated, until {_text(node.deprecation_date[:10])}"
    if node.kind == "missing":
        label += "<br/>no longer published"
    return f'(["{label}"])' if node.kind == "reader" else f'["{label}"]'


def _classes(mesh: Mesh, number: dict[str, str]) -> Iterator[str]:
    styles = {
        "deprecated": "stroke:#d97706,stroke-width:2px",
        "missing": "stroke:#dc2626,stroke-width:2px,stroke-dasharray:4",
    }
    members: dict[str, list[str]] = {"deprecated": [], "missing": []}
    for node in mesh.nodes:
        if node.kind == "missing":
            members["missing"].append(number[node.id])
        elif node.deprecation_date:
            members["deprecated"].append(number[node.id])
    for name, identifiers in members.items():
        if identifiers:
            yield f"  classDef {name} {styles[name]}"
            yield f"  class {','.join(identifiers)} {name}"


def _text(text: str) -> str:
    """Returns text for a quoted label. Mermaid has entities of its own instead of escapes."""
    codes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
    return " ".join("".join(codes.get(character, character) for character in text).split())
