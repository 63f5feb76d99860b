"""Wait for the publication that started this deploy, and compare its digest.

An upstream tells the projects that read it (`announce`) the version that it has published, and its
digest. A deploy that this event has started begins with this command. It waits until the registry
has that version, or a newer one, and compares the digest with that of the version in the registry's
history. The event is trusted for nothing else.

  python -m dbtmesh await-upstream --project dbt_up --version 20260102T… --digest 1b4e28ba…

In a workflow the three come as $MESH_PROJECT, $MESH_VERSION and $MESH_DIGEST, so that no shell
sees what others have written.

Exit status: 0 it is there, 1 it failed or took too long, 2 the digest differs: deploy nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.ci.github import workflow_commands
from dbtmesh.downstream import keep_going
from dbtmesh.manifest import interface
from dbtmesh.registry import keys, latest
from dbtmesh.registry import store as registry
from dbtmesh.registry.routing import open_registry

DIGEST = re.compile(r"[0-9a-f]{64}")
PAUSE = 5.0
"""Seconds between two looks at the registry."""


class TooLate(MeshError):
    """The version has not been published in time."""


class OtherDigest(Exception):
    """The publication in the registry is not the one that the event names."""


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    parser.add_argument("--project", metavar="U", help="the upstream ($MESH_PROJECT)")
    parser.add_argument("--version", metavar="V", help="its publication ($MESH_VERSION)")
    parser.add_argument("--digest", metavar="D", help="SHA-256 of it ($MESH_DIGEST)")
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="how long to wait (600)"
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="a publication that is refused ends the wait: the sync that follows names it",
    )
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    project = given("--project", arguments.project, "MESH_PROJECT", config.NAME)
    version = given("--version", arguments.version, "MESH_VERSION", keys.VERSION)
    digest = given("--digest", arguments.digest, "MESH_DIGEST", DIGEST)
    upstream = member.upstream(project)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = open_registry(member, place)
    try:
        found = await_version(store, upstream, place.env, version, digest, arguments.timeout)
    except OtherDigest as error:
        cli.say(str(error))
        return cli.FOUND
    except TooLate:
        raise
    except MeshError as error:
        if not (arguments.keep_going and keep_going.is_upstreams_fault(error)):
            raise
        cli.note(f"{error}; there is nothing to wait for")
        return cli.OK
    newer = "" if found.version == version else f", and {found.version} since"
    cli.say(f"{project} has published {version}, as told{newer}")
    workflow_commands.output(version=found.version)
    return cli.OK


def given(flag: str, value: str | None, variable: str, pattern: re.Pattern[str]) -> str:
    """Returns what the event names, from a flag or a variable. Raises MeshError where it is not
    valid."""
    value = value or os.environ.get(variable)
    if not value:
        raise MeshError(f"{flag} (or ${variable}) is missing: the event names it")
    if not pattern.fullmatch(value):
        raise MeshError(f"{flag} is {value[:80]!r}, which is not a valid {flag.strip('-')}")
    return value


def await_version(
    store: registry.Store,
    upstream: config.Upstream,
    env: str,
    version: str,
    digest: str,
    timeout: float,
) -> interface.Interface:
    """Waits for the version or a newer one, and returns it. Versions sort by time.

    Raises OtherDigest, TooLate, and MeshError where a publication cannot be read or is refused.
    """
    project = upstream.name
    deadline = time.monotonic() + timeout
    checked = False
    etag = None
    seen = "nothing"
    while True:
        checked = checked or told(store, upstream, env, version, digest)
        try:
            found = latest.find(store, upstream, env, known=etag)  # checks its seal, too
        except registry.NotModified:
            found = None
        if found:
            current = found.interface
            if current.version == version and current.digest != digest:
                raise OtherDigest(_differs(project, version, current.digest, digest))
            if checked and current.version >= version:
                return current
            # Only a publication that is too old is not read again while its ETag is the same.
            etag = found.etag if current.version < version else None
            seen = current.version
        if (left := deadline - time.monotonic()) <= 0:
            missing = "" if checked else f", and there is no history/{version} of it"
            raise TooLate(
                f"{project} has not published {version} to {env} in {timeout:g} s: latest is "
                f"{seen}{missing}: look at its deploy, then run this again"
            )
        time.sleep(min(PAUSE, left))


def told(
    store: registry.Store, upstream: config.Upstream, env: str, version: str, digest: str
) -> bool:
    """Checks whether the version is in the history. Raises OtherDigest where it has another
    digest."""
    try:
        found = latest.find(store, upstream, env, version=version)
    except latest.OtherVersion as error:
        raise OtherDigest(f"{error}; nothing is deployed") from None
    if found and found.interface.digest != digest:
        raise OtherDigest(_differs(upstream.name, version, found.interface.digest, digest))
    return found is not None


def _differs(project: str, version: str, found: str, told: str) -> str:
    return (
        f"{project} {version} has digest {found[:12]}… in the registry, and {told[:12]}… in the "
        "event: nothing is deployed; find out who sent it"
    )
