#!/usr/bin/env python3
"""Check that everything this project reads of other projects is published by them.

Takes every edge of target/manifest.json that crosses a project's boundary, through a source or
through ref, and looks it up in what the upstream publishes now. Finds models that are gone or
never were public, relations that have moved, and sources that reach into an upstream's database
past its contract.

  dbt parse && scripts/validate_lineage.py              against the registry on this machine
  scripts/validate_lineage.py --env prod                against the registry on S3
  scripts/validate_lineage.py --offline                 against state/<upstream>/manifest.json

Exit status: 0 every edge resolves, 1 it failed, 2 at least one does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mesh import MeshError, cli, config, interface, lineage, registry


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="default target/manifest.json")
    parser.add_argument("--offline", action="store_true", help="compare with the last good copies")
    arguments = parser.parse_args()

    member = config.load_member()
    manifest = read_manifest(
        arguments.manifest or member.root / "target" / "manifest.json", member.project
    )
    found = lineage.edges(manifest, member)
    upstreams = sorted({edge.upstream for edge in found})
    if arguments.offline:
        interfaces = {name: last_copy(member.root, name) for name in upstreams}
    else:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        interfaces = current(registry.open_store(place.url, member.aws_region), upstreams, place.env)
    lines = lineage.problems(found, interfaces)
    for line in deprecations(found, interfaces, datetime.now(UTC).date()):
        cli.note(line)
    for line in lines:
        print(line)
    print(
        f"{len(found)} edges to {len(upstreams)} projects, "
        + (f"{len(lines)} do not resolve" if lines else "all resolve")
    )
    return cli.FOUND if lines else cli.OK


def read_manifest(path: Path, project: str) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
        owner = manifest["metadata"]["project_name"]
        manifest["nodes"].items()
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: run `dbt parse` first") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MeshError(f"{path} is no dbt manifest: run `dbt parse` again") from None
    if owner != project:
        raise MeshError(f"{path} is of project {owner!r}, not {project!r}")
    return dict(manifest)


def current(
    store: registry.Store, upstreams: Iterable[str], env: str
) -> dict[str, interface.Interface]:
    def fetch(upstream: str) -> interface.Interface:
        stored = store.read(registry.latest_key(upstream, env))
        if stored is None:
            raise MeshError(f"{upstream} has published nothing to {store.url} ({env})")
        return interface.read(stored.body, upstream)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return {each.project: each for each in pool.map(fetch, upstreams)}


def last_copy(root: Path, upstream: str) -> interface.Interface:
    path = root / "state" / upstream / "manifest.json"
    try:
        return interface.read(path.read_bytes(), upstream)
    except FileNotFoundError:
        raise MeshError(f"no copy of {upstream} at {path}: run it without --offline") from None


def deprecations(
    found: Iterable[lineage.Edge], interfaces: dict[str, interface.Interface], today: date
) -> list[str]:
    """One line for each model in use that its owner has given a date to."""
    lines = {}
    for edge in found:
        node = interfaces[edge.upstream].nodes.get(edge.model or "")
        if node and node.get("deprecation_date"):
            until = datetime.fromisoformat(str(node["deprecation_date"])).date()
            left = (until - today).days
            when = f"in {left} days" if left >= 0 else f"{-left} days ago"
            lines[edge.upstream, edge.name] = (
                f"{edge}, which is deprecated on {until} ({when}): move to its latest version"
            )
    return list(lines.values())


if __name__ == "__main__":
    cli.run(main)
