#!/usr/bin/env python3
"""Publish this project's public interface to the mesh's registry.

What other projects get to see is a valid dbt manifest with the public models only: columns,
types, contracts, versions and docs, no SQL and nothing private. The full manifest is kept beside
the registry, for this project's own slim CI.

  dbt build --target prod && scripts/publish_manifest.py --env prod
  scripts/publish_manifest.py --check        what would consumers notice? publishes nothing
  scripts/publish_manifest.py --dry-run      what would be written? writes nothing

Consumers see the old interface or the new one, whole. A change that would break them is refused:
keep the old shape in a version of the model (with a deprecation_date), or, having talked to
them, pass --allow-breaking.

Exit status: 0 done, 1 it failed, 2 a breaking change was found and nothing was published.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from mesh import MeshError, cli, config, contract, interface, publication, registry


class Breaking(Exception):
    """Consumers would break: the lines to print."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))


def main() -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="default target/manifest.json"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare only; exit 2 if it breaks consumers"
    )
    parser.add_argument(
        "--allow-breaking", action="store_true", help="publish although it breaks consumers"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be written, and write nothing"
    )
    arguments = parser.parse_args()

    member = config.load_member()
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    path = arguments.manifest or member.root / "target" / "manifest.json"
    manifest = read_manifest(path)
    commit = os.environ.get("GITHUB_SHA")
    built = interface.extract(manifest, member.project, commit=commit, source=str(path))
    warn(built, member.database_prefix, place.env)
    store = registry.open_store(place.url, member.aws_region)
    repair = arguments.allow_breaking
    verdict: list[str] = []

    def check(current: interface.Interface | None) -> None:
        nonlocal verdict
        if current is None:
            verdict = ["nothing to compare with: nobody reads it yet"]
            return
        changes = contract.compare(
            current.manifest,
            built.manifest,
            today=datetime.now(UTC).date(),
            private=built.private,
        )
        blocked, verdict = contract.summarise(changes)
        if blocked and not arguments.allow_breaking:
            raise Breaking(verdict)

    try:
        if arguments.check or arguments.dry_run:
            current, _ = publication.published(store, member.project, place.env, repair=repair)
            check(current)
            print("\n".join(verdict))
            if arguments.dry_run:
                explain(built, place, current)
            return cli.OK
        outcome = publication.publish(store, place.env, built, check, repair=repair)
    except Breaking as error:
        print(f"{error}\nnothing was published")
        return cli.FOUND
    if outcome.newer:
        cli.note(
            f"a newer build is published already ({outcome.newer}) and stays; this one is in the "
            "history"
        )
        return cli.OK
    print("\n".join(verdict or ["published already"]))
    print(
        f"published {counted(built)} of {member.project} to {place.url} ({place.env}), "
        f"version {outcome.version}"
    )
    state = registry.open_store(place.state_url, member.aws_region)
    publication.keep_state(state, store, place.env, built, manifest)
    return cli.OK


def read_manifest(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MeshError(f"{path} is missing: run `dbt build` (or `dbt parse`) first") from None


def warn(built: interface.Interface, database_prefix: str, env: str) -> None:
    """Says what is legal but hardly meant."""
    if not built.nodes:
        cli.note("no model has `access: public`: consumers will find nothing to read")
    for node in built.nodes.values():
        database = str(node.get("database") or "").upper()
        if env != "local" and database == f"{database_prefix}_LOCAL":
            cli.note(f"{node['name']} was built for {database}, but is published as {env}")
            break


def explain(
    built: interface.Interface, place: config.Location, current: interface.Interface | None
) -> None:
    print(f"would publish {counted(built)} ({len(built.body):,} bytes) as version {built.version}:")
    print(f"  {place.url}/{registry.version_key(built.project, place.env, built.version)}")
    replaced = f"  (now {current.version})" if current else "  (now nothing)"
    print(f"  {place.url}/{registry.latest_key(built.project, place.env)}{replaced}")
    print(f"  {place.state_url}/{registry.state_key(built.project, place.env)}")
    for uid in built.nodes:
        print(f"    {uid}")


def counted(built: interface.Interface) -> str:
    number = len(built.nodes)
    return f"{number} public model{'' if number == 1 else 's'}"


if __name__ == "__main__":
    cli.run(main)
