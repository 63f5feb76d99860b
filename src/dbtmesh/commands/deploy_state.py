"""Store and fetch the results of this project's deploys, in <state>/<project>/<env>/.

  pull      the full manifest of the last deploy, for `--state` in slim CI
  changed   is there anything to deploy: own code, or what an upstream has published?
  push      keeps run_results.json, docs and manifest of this deploy, and deploy.json about it

  python -m dbtmesh deploy-state changed --env prod    before a deploy
  python -m dbtmesh deploy-state push --env prod       after it; with --failed after a bad one

`changed` runs before the build. It notes in target/mesh_inputs.json which publications there are,
and `push` records that the build was against these. If a newer one is published meanwhile, the next
`changed` says so. A failed deploy keeps the manifest and the docs of the last good one, and the
record of what that was built from.

In GitHub Actions, `pull` sets the output `found`, and `changed` sets the output `changed`, to true
or false. The output `refused` names the upstreams that cannot be read, and why.

Exit status: 0 done (also where nothing is found, or changed), 1 it failed.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from dbtmesh import MeshError, cli, config, flags, parallel
from dbtmesh.checked import (
    Etag,
    Line,
    Moment,
    Project,
    Publication,
    Unfit,
    Word,
    decode,
)
from dbtmesh.ci.github import job, workflow_commands
from dbtmesh.downstream import committed
from dbtmesh.files import read_bounded, write_whole
from dbtmesh.registry import keys, latest
from dbtmesh.registry import store as registry
from dbtmesh.registry.routing import open_registry

ATTEMPTS = 5
"""How often to try to write while other deploys of this project do, which is rare."""
INPUTS = "mesh_inputs.json"


MOST_BYTES = 4 * 2**20
"""The limit for deploy.json, and for what `changed` notes: an entry for each upstream."""


class Input(msgspec.Struct, frozen=True):
    """A publication of an upstream, and its ETag, which tells whether it is still the latest."""

    version: Publication
    etag: Etag


class Built(msgspec.Struct):
    """What the last good deploy was built from, and what it published.

    code: git's hash of the project's folder, so that other folders of the repository may change.
    """

    at: Moment
    commit: Word | None
    run: Line | None
    code: Word | None
    upstreams: dict[Project, Input]
    published: Publication | None = None


class Deploy(msgspec.Struct):
    """deploy.json: the last deploy, and the last good one, which is the same unless it failed."""

    project: Project
    env: Word
    result: Literal["success", "failure"]
    at: Moment
    commit: Word | None
    run: Line | None
    built: Built | None = None


# Made here, not on first use: msgspec crashes where several threads meet a type for the first time.
_DEPLOY = msgspec.json.Decoder(Deploy)
_INPUTS = msgspec.json.Decoder(dict[Project, Input])


def main(words: Sequence[str], root: Path) -> int:
    arguments = _arguments(words)
    member = config.load_member(root)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    state = registry.open_store(place.state_url, member.access)
    command = {"pull": pull, "changed": changed, "push": push}[arguments.command]
    return command(arguments, member, place, state)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = flags.parser(__doc__ or "")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    flags.add_registry_flags(where)
    pulled = commands.add_parser("pull", parents=[where], help="the manifest of the last deploy")
    pulled.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where to put it (default target/deployed)"
    )
    commands.add_parser("changed", parents=[where], help="is there anything to deploy?")
    pushed = commands.add_parser("push", parents=[where], help="store the results of this deploy")
    pushed.add_argument("--failed", action="store_true", help="the deploy failed")
    pushed.add_argument(
        "--run-results",
        type=Path,
        metavar="FILE",
        help="default target/run_results.json, which `dbt docs generate` overwrites",
    )
    pushed.add_argument("--dry-run", action="store_true", help="show it, and write nothing")
    return parser.parse_args(words)


# ── pull ──────────────────────────────────────────────────────────────────────────────


def pull(
    arguments: argparse.Namespace,
    member: config.Member,
    place: config.Location,
    state: registry.Store,
) -> int:
    path = (arguments.into or member.root / "target" / "deployed") / "manifest.json"
    stored = state.read(keys.state(member.project, place.env))
    if stored:
        write_whole(path, stored.body)
        cli.say(f"{path}: the last deploy of {member.project} to {place.env}")
    else:
        path.unlink(missing_ok=True)  # it may be from another registry
        cli.say(f"{member.project} has no deploy to {place.env} on record yet ({state.url})")
    workflow_commands.output(found="true" if stored else "false")
    return cli.OK


# ── changed ───────────────────────────────────────────────────────────────────────────


def changed(
    _: argparse.Namespace, member: config.Member, place: config.Location, state: registry.Store
) -> int:
    """Prints whether there is something to deploy, and notes the publications for `push`.

    After that, raises MeshError where an upstream cannot be read.
    """
    last = last_deploy(state, member.project, place.env)[0]
    store = open_registry(member, place)
    before = last.built.upstreams if last and last.built else {}
    now, unread = published(member, place, store, before)
    write_whole(member.root / "target" / INPUTS, msgspec.json.encode(now))
    why = reasons(last, code_of(member.root), now)
    nothing = f"nothing to deploy: {member.project} is as it was built"
    cli.say(*why or ([] if unread else [nothing]))
    workflow_commands.output(changed="true" if why else "false")
    workflow_commands.refused(unread)
    if unread:
        raise MeshError("; ".join(unread))
    return cli.OK


def reasons(last: Deploy | None, code: str | None, now: Mapping[str, Input]) -> list[str]:
    """Returns the reasons to deploy; empty where there is nothing to deploy."""
    if last is None or last.built is None:
        return ["no deploy has succeeded yet"]
    why = []
    if last.result != "success":
        why.append(f"the last deploy failed ({last.run or last.at})")
    if code is None:
        why.append("it is not known which code this is: neither git nor $GITHUB_SHA tells")
    elif code != last.built.code:
        why.append(f"own code has changed since {last.built.commit or last.built.at}")
    for name, found in now.items():
        before = last.built.upstreams.get(name)
        if before is None:
            why.append(f"{name}: it is not known which version the last build read")
        elif before.version != found.version:
            why.append(
                f"{name}: {found.version} is published, the last build read {before.version}"
            )
    return why


def published(
    member: config.Member,
    place: config.Location,
    store: registry.Store,
    known: Mapping[str, Input],
) -> tuple[dict[str, Input], list[str]]:
    """Returns what each upstream publishes now, and why others cannot be read.

    A publication that is known and has not changed is not downloaded again. An upstream that cannot
    be read does not keep the others from being read.
    """

    def one(name: str) -> Input | str:
        before = known.get(name)
        etag = before.etag if before else None
        try:
            found = latest.get(store, member.upstream(name), place.env, known=etag)
        except registry.NotModified:
            assert before is not None
            return before
        except MeshError as error:
            return f"{name}: {error}"
        return Input(found.interface.version, found.etag)

    names = [upstream.name for upstream in member.upstreams]
    found = dict(zip(names, parallel.each(one, names), strict=True))
    now = {name: each for name, each in found.items() if isinstance(each, Input)}
    return now, [each for each in found.values() if isinstance(each, str)]


def code_of(root: Path) -> str | None:
    """Returns git's hash of the project's folder as committed, or else the workflow's commit."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD:./"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return job.event_commit()
    return done.stdout.strip()


def last_deploy(state: registry.Store, project: str, env: str) -> tuple[Deploy | None, str | None]:
    """Returns the content of deploy.json, and its ETag. A file that is not valid has no content."""
    key = keys.state(project, env, "deploy.json")
    try:
        stored = state.read(key, most=MOST_BYTES)
    except registry.TooLarge as error:
        cli.note(f"{error}: ignored")
        return None, state.etag(key)
    if stored is None:
        return None, None
    try:
        return decode(stored.body, _DEPLOY), stored.etag
    except Unfit as error:
        cli.note(f"{state.url}/{key} is not what a deploy writes ({error}): ignored")
        return None, stored.etag


# ── push ──────────────────────────────────────────────────────────────────────────────


def push(
    arguments: argparse.Namespace,
    member: config.Member,
    place: config.Location,
    state: registry.Store,
) -> int:
    made = files(arguments, member)
    now = Deploy(
        project=member.project,
        env=place.env,
        result="failure" if arguments.failed else "success",
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=job.commit(member.root),
        run=job.run_url(),
    )
    own = None if arguments.failed else built(now, member, place)
    for name, body in made.items():
        key = keys.state(member.project, place.env, name)
        if arguments.dry_run:
            cli.say(f"would write {state.url}/{key} ({len(body):,} bytes)")
        else:
            put(state, key, body)
    key = keys.state(member.project, place.env, "deploy.json")
    for _ in range(ATTEMPTS):
        last, etag = last_deploy(state, member.project, place.env)
        # A failed deploy keeps the latest record of what the last good one was built from.
        now.built = own or (last.built if last else None)
        text = msgspec.json.format(msgspec.json.encode(now), indent=1) + b"\n"
        if arguments.dry_run:
            cli.say(f"would write {state.url}/{key} ({len(text):,} bytes)")
            cli.say(*text.decode().splitlines())
            return cli.OK
        try:
            state.write(key, text, replaces=etag)
        except registry.Changed:
            continue
        cli.say(f"kept what the deploy of {member.project} to {place.env} made ({now.result})")
        return cli.OK
    raise registry.contended(state, key)


def files(arguments: argparse.Namespace, member: config.Member) -> dict[str, bytes]:
    """Returns the files of this deploy to keep, by name. Raises MeshError where a good deploy lacks
    one."""
    target = member.root / "target"
    needed = {"run_results.json": arguments.run_results or target / "run_results.json"}
    if not arguments.failed and not member.publishes:
        # publish_manifest.py keeps a publisher's manifest, with the publication it belongs to.
        needed["manifest.json"] = target / "manifest.json"
    for path in needed.values():
        if not arguments.failed and not path.is_file():
            raise MeshError(f"{path} is missing: run `dbt build` first")
    wanted = needed if arguments.failed else {**needed, "index.html": target / "static_index.html"}
    return {name: path.read_bytes() for name, path in wanted.items() if path.is_file()}


def built(now: Deploy, member: config.Member, place: config.Location) -> Built:
    """Returns what this deploy was built from, and what it has published."""
    version = None
    if member.publishes:
        store = registry.open_store(place.url, member.access)
        if found := latest.find(store, member.project, place.env):
            version = found.interface.version
    return Built(
        at=now.at,
        commit=now.commit,
        run=now.run,
        code=code_of(member.root),
        upstreams=inputs(member, place.env),
        published=version,
    )


def inputs(member: config.Member, env: str) -> dict[str, Input]:
    """Returns the publications that the build read: as synced, or else as `changed` noted them.

    An upstream that neither knows is left out, so that the next `changed` asks for a deploy.
    """
    noted = _noted(member.root / "target" / INPUTS)
    found = {}
    for name in (upstream.name for upstream in member.upstreams):
        synced = committed.note(member.root, name)
        if synced and synced.env == env:
            found[name] = Input(synced.version, synced.etag)
        elif name in noted:
            found[name] = noted[name]
    return found


def _noted(path: Path) -> dict[str, Input]:
    """Reads the notes of `changed`. Empty where the file is missing or is not valid."""
    try:
        return decode(read_bounded(path, MOST_BYTES), _INPUTS)
    except (OSError, Unfit):
        return {}


def put(store: registry.Store, key: str, body: bytes) -> None:
    """Writes an object, and replaces any earlier one. Raises MeshError where others keep writing
    it."""
    for _ in range(ATTEMPTS):
        try:
            return store.write(key, body, replaces=store.etag(key))
        except registry.Changed:
            continue
    raise registry.contended(store, key)
