"""Bring in what the upstream projects publish, as dbt sources.

For each upstream this writes, if anything changed:

  models/_mesh_<upstream>.yml     a source with a table for each public model
  state/<upstream>/manifest.json  the published interface itself (for --defer --state)

  scripts/sync_mesh.py                      from the registry on this machine
  scripts/sync_mesh.py --env prod           from the registry on S3 (mesh.yml names the bucket)
  scripts/sync_mesh.py --upstream dbt_up --version 20260102T…   stay on one publication

Then use the models: select * from {{ source('dbt_up', 'public_orders') }}

A download is checked before anything is replaced; out of reach, the last good copy stays, and
the command says so and fails. With --offline it is content with that copy.

Exit status: 0 done, 1 it failed, 2 an upstream is stale (--max-age).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, config, sha256
from dbtmesh.downstream import freshness
from dbtmesh.registry import store as registry

if TYPE_CHECKING:
    from dbtmesh.manifest.interface import Interface


@dataclass(frozen=True)
class Seen:
    """What the last sync of an upstream saw and wrote; kept in state/<upstream>/.sync.json.

    generator: digest of the code that wrote it. written: path below the member's root → SHA-256
    of what was written there.
    """

    url: str
    env: str
    pinned: str | None
    etag: str
    version: str
    generated_at: str
    generator: str
    written: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What a sync found; `written`: path → content, to be written when it differs."""

    upstream: str
    seen: Seen
    written: dict[str, bytes]
    summary: str


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument(
        "--upstream", action="append", metavar="U", help="only this one (may be given again)"
    )
    parser.add_argument(
        "--version", type=cli.given, metavar="V", help="this publication instead of the latest"
    )
    parser.add_argument("--offline", action="store_true", help="use the last good copy, ask nobody")
    parser.add_argument(
        "--max-age",
        type=freshness.hours,
        metavar="H",
        help="exit 2 where a publication is older than H hours",
    )
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    names = arguments.upstream or [upstream.name for upstream in member.upstreams]
    for name in names:
        member.upstream(name)
    if not names:
        raise MeshError("mesh.yml names no upstream: `copier update --trust --ask upstreams`")
    if arguments.version and len(names) > 1:
        raise MeshError("--version is of one project: say which with --upstream")
    one = partial(offline, member.root, member.project)
    if not arguments.offline:
        place = config.locate(
            member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
        )
        store = registry.open_store(place.url, member.aws_region)
        one = partial(sync, member.root, member.project, store, place, arguments.version)
    with ThreadPoolExecutor(max_workers=8) as pool:
        done = list(pool.map(partial(attempt, member.root, one), dict.fromkeys(names)))
    results = [each for each in done if isinstance(each, Result)]
    failures = [each for each in done if isinstance(each, str)]
    for result in results:
        try:
            apply(member.root, result)
        except OSError as error:
            failures.append(f"{result.upstream}: cannot write {cli.explain(error)}")
        else:
            print(f"{result.upstream}: {result.summary}")
    for project, paths in left_behind(member.root, {each.name for each in member.upstreams}):
        cli.note(
            f"{project} is no upstream any more (mesh.yml), but its contracts are still here: "
            f"when no model reads it, `rm -r {' '.join(paths)}` and commit that"
        )
    if failures:
        raise MeshError("\n       ".join(failures))
    return cli.FOUND if stale(results, arguments.max_age) else cli.OK


def attempt(root: Path, one: Callable[[str], Result], upstream: str) -> Result | str:
    """Syncs one upstream; what went wrong comes back as text, so that the others go on."""
    try:
        return one(upstream)
    except MeshError as error:
        copy = last_copy(root, upstream)
        kept = f"; the last good copy stays ({copy.version})" if copy else ""
        return f"{upstream}: {error}{kept}"


def sync(
    root: Path,
    reader: str,
    store: registry.Store,
    place: config.Location,
    version: str | None,
    upstream: str,
) -> Result:
    seen = last_seen(root, upstream)
    asked = (store.url, place.env, version, generator())
    same = seen and (seen.url, seen.env, seen.pinned, seen.generator) == asked
    whole = seen is not None and intact(root, seen)
    key = (
        registry.version_key(upstream, place.env, version)
        if version
        else registry.latest_key(upstream, place.env)
    )
    try:
        stored = store.read(key, known=seen.etag if seen and same and whole else None)
    except registry.NotModified:
        assert seen is not None
        return Result(upstream, seen, {}, f"unchanged ({seen.version})")
    if stored is None:
        raise MeshError(
            f"nothing at {store.url}/{key}: "
            + (
                "is there such a version?"
                if version
                else f"has {upstream} published to {place.env}? (scripts/publish_manifest.py there)"
            )
        )
    return written(root, reader, upstream, stored, store.url, place.env, version)


def written(
    root: Path,
    reader: str,
    upstream: str,
    stored: registry.Stored,
    url: str,
    env: str,
    version: str | None,
) -> Result:
    """Checks a download and works out the files it becomes."""
    from dbtmesh.downstream import sources
    from dbtmesh.manifest import interface

    published, withheld = sources.shared(interface.read(stored.body, upstream), reader)
    document = sources.sources(published)
    files = {
        f"state/{upstream}/manifest.json": stored.body,
        f"models/_mesh_{upstream}.yml": sources.to_yaml(document, upstream),
    }
    seen = Seen(
        url=url,
        env=env,
        pinned=version,
        etag=stored.etag,
        version=published.version,
        generated_at=published.generated_at.isoformat(),
        generator=generator(),
        written={path: sha256(body) for path, body in files.items()},
    )
    changed = {path: body for path, body in files.items() if not same_file(root / path, body)}
    models = len(published.nodes)
    summary = f"{models} public model{'' if models == 1 else 's'} ({published.version})"
    if withheld:
        summary += f"\n  left out, for {upstream} does not share it with {reader}: "
        summary += sources.some(withheld)
    if not changed:
        return Result(upstream, seen, changed, f"{summary}, nothing to write")
    old = last_names(root, upstream)
    new = interface.names(stored.body, upstream)
    lines = [] if old is None else sources.differences(old - withheld, new - withheld)
    return Result(upstream, seen, changed, "\n  ".join([summary, *lines]))


def last_copy(root: Path, upstream: str) -> Interface | None:
    """What the last sync brought in; None where it is missing or unreadable."""
    from dbtmesh.manifest import interface

    try:
        return interface.read((root / "state" / upstream / "manifest.json").read_bytes(), upstream)
    except (OSError, MeshError):
        return None


def last_names(root: Path, upstream: str) -> frozenset[str] | None:
    """The tables that the last sync brought in; None where that is missing or unreadable."""
    from dbtmesh.manifest import interface

    try:
        return interface.names((root / "state" / upstream / "manifest.json").read_bytes(), upstream)
    except (OSError, MeshError):
        return None


def apply(root: Path, result: Result) -> None:
    """Writes the files, and last what was seen: interrupted before that, the next sync asks for
    the whole interface again."""
    note = seen_file(root, result.upstream)
    text = json.dumps(asdict(result.seen), indent=2).encode()
    for path, body in result.written.items():
        registry.write_whole(root / path, body)
    if not same_file(note, text):
        registry.write_whole(note, text)


GENERATED = b"# Generated by scripts/sync_mesh.py "
"""How sources of every version of this command begin."""


def left_behind(root: Path, upstreams: set[str]) -> list[tuple[str, list[str]]]:
    """Projects that were synced once and are no upstreams any more, and what is left of them.

    Nothing is removed: models may still read it, and a file of that name may be somebody's own.
    """
    sources = {
        path.stem.removeprefix("_mesh_")
        for path in (root / "models").glob("_mesh_*.yml")
        if path.stem.removeprefix("_mesh_") not in upstreams
        if path.read_bytes().startswith(GENERATED)
    }
    copies = {path.parent.name for path in (root / "state").glob("*/.sync.json")} - upstreams
    found = []
    for project in sorted(sources | copies):
        paths = (f"models/_mesh_{project}.yml", f"state/{project}")
        found.append((project, [path for path in paths if (root / path).exists()]))
    return found


def offline(root: Path, reader: str, upstream: str) -> Result:
    """The last good copy, and the sources made of it again where they were edited or lost."""
    manifest = root / "state" / upstream / "manifest.json"
    try:
        body = manifest.read_bytes()
    except OSError as error:
        raise MeshError(
            f"no copy to use, {manifest}: {error.strerror}: sync once without --offline"
        ) from None
    seen = last_seen(root, upstream)
    try:
        result = written(
            root,
            reader,
            upstream,
            registry.Stored(body, seen.etag if seen else ""),
            seen.url if seen else "",
            seen.env if seen else "",
            seen.pinned if seen else None,
        )
    except MeshError:
        raise MeshError(f"{manifest} is not what was synced: sync once without --offline") from None
    return Result(upstream, result.seen, result.written, f"{result.summary}, offline")


def stale(results: Iterable[Result], max_age: float | None) -> bool:
    """Says which publications are older than `max_age` hours."""
    if max_age is None:
        return False
    now = datetime.now(UTC)
    aged = (
        freshness.publication(
            each.upstream, datetime.fromisoformat(each.seen.generated_at), max_age, now
        )
        for each in results
    )
    found = [each for each in aged if each.stale]
    for each in found:
        print(each)
    return bool(found)


def seen_file(root: Path, upstream: str) -> Path:
    return root / "state" / upstream / ".sync.json"


def last_seen(root: Path, upstream: str) -> Seen | None:
    """What the last sync noted; None where it is missing or unreadable, which costs a download."""
    import msgspec

    try:
        return msgspec.json.decode(seen_file(root, upstream).read_bytes(), type=Seen)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def generator() -> str:
    """Digest of the code that makes the files: what `copier update` has mended is made again."""
    library = Path(__file__).parents[1]
    folders = (library / "manifest", library / "downstream", library / "warehouse")
    code = (Path(__file__), *(path for each in folders for path in sorted(each.glob("*.py"))))
    return sha256(b"".join(path.read_bytes() for path in code))


def intact(root: Path, seen: Seen) -> bool:
    """Do the files lie there as they were written?"""
    try:
        return all(
            sha256((root / path).read_bytes()) == expected
            for path, expected in seen.written.items()
        )
    except OSError:
        return False


def same_file(path: Path, body: bytes) -> bool:
    try:
        return path.read_bytes() == body
    except OSError:
        return False
