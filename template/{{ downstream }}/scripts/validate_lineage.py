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

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from mesh import MeshError, cli, config, interface, lineage, registry


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="default target/manifest.json"
    )
    parser.add_argument("--offline", action="store_true", help="compare with the last good copies")
    arguments = parser.parse_args()

    member = config.load_member()
    manifest = read_manifest(
        arguments.manifest or member.root / "target" / "manifest.json", member.project
    )
    found = lineage.edges(manifest, member)
    known = {upstream.name for upstream in member.upstreams}
    upstreams = sorted({edge.upstream for edge in found} & known)
    if arguments.offline:
        interfaces = [last_copy(member.root, name) for name in upstreams]
    else:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        store = registry.open_store(place.url, member.aws_region)
        interfaces = current(store, upstreams, place.env)
    published = {each.project: lineage.Published(each) for each in interfaces}
    lines = lineage.problems(found, published)
    for line in lineage.deprecations(found, published, datetime.now(UTC).date()):
        cli.note(line)
    for line in lines:
        print(line)
    print(
        f"{counted(len(found), 'edge')} to {counted(len(upstreams), 'project')}, "
        + (f"{len(lines)} of them unresolved" if lines else "all resolve")
    )
    return cli.FOUND if lines else cli.OK


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def read_manifest(path: Path, project: str) -> lineage.Manifest:
    try:
        return lineage.read(path.read_bytes(), project)
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: run `dbt parse` first") from None
    except MeshError as error:
        raise MeshError(f"{path} {error}") from None


def current(store: registry.Store, upstreams: Iterable[str], env: str) -> list[interface.Interface]:
    def fetch(upstream: str) -> interface.Interface:
        stored = store.read(registry.latest_key(upstream, env))
        if stored is None:
            raise MeshError(f"{upstream} has published nothing to {store.url} ({env})")
        return interface.read(stored.body, upstream)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(fetch, upstreams))


def last_copy(root: Path, upstream: str) -> interface.Interface:
    path = root / "state" / upstream / "manifest.json"
    try:
        return interface.read(path.read_bytes(), upstream)
    except FileNotFoundError:
        raise MeshError(f"no copy of {upstream} at {path}: run it without --offline") from None
    except MeshError:
        raise MeshError(f"{path} is not what was synced: run it without --offline") from None


if __name__ == "__main__":
    cli.run(main)
