"""Publish this project's public interface to the mesh's registry.

Other projects see a valid dbt manifest with the public models only: columns, types, contracts,
versions and docs, no SQL and nothing private. The full manifest is kept beside the registry, for
this project's own slim CI.

  dbt build --target prod && scripts/publish_manifest.py --env prod
  scripts/publish_manifest.py --check        what would readers notice? publishes nothing
  scripts/publish_manifest.py --dry-run      what would be written? writes nothing
  scripts/publish_manifest.py --history      what was published before, and what it changed
  scripts/publish_manifest.py --rollback 20260102T…   publish that interface again
  scripts/publish_manifest.py --move-to az://…        take all of it to another registry

Readers see the whole old interface or the whole new one. A change that would break readers is
refused, and those on record are named. Keep the old shape in a version of the model (with a
deprecation_date), or talk to them and pass --allow-breaking, which the history records. --strict
refuses risky changes too, and public models without a contract. In GitHub Actions the findings also
go to the step's summary, as Markdown; --summary FILE writes them for a comment.

A manifest that is older than the project's files, or from a run of dbt that failed, is refused: run
`dbt build` again, or pass --allow-stale or --allow-failed. A manifest given with --manifest is
taken as it is. A build for a laptop or for dev is not published as prod, where readers would look
for tables that do not exist: build with --target prod, or pass --allow-target.

A rollback restores the interface, not the data: build and deploy the code of that version as well.

A move copies the history, the records of readers and this project's state. It copies every
environment but local, or only the one that --env names. Nothing is removed from the old registry.
Run it again to copy what has been published since.

Exit status: 0 done, 1 it failed, 2 the change was refused and nothing was published.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.ci.github import job
from dbtmesh.files import write_whole
from dbtmesh.gate.candidate import Candidate, at_hand
from dbtmesh.gate.gate import Gate, Refused
from dbtmesh.manifest import loom
from dbtmesh.manifest.interface import Interface, shared_with
from dbtmesh.manifest.seal import annotated
from dbtmesh.output.words import counted
from dbtmesh.registry import keys, publication
from dbtmesh.registry.store import Store, described, open_store


def main(words: Sequence[str], root: Path) -> int:
    arguments = _parser().parse_args(words)
    member = config.load_member(root)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = open_store(place.url, member.access)
    if arguments.move_to:
        return move_to(member, place, arguments.move_to, arguments.env, arguments.dry_run)
    if arguments.history is not None:
        return show_history(store, member.project, place.env, arguments.history)
    repair = arguments.allow_breaking
    is_laptops = place.url == config.laptop_registry(root)
    if arguments.rollback is not None:
        current, _ = publication.published(store, member.project, place.env, repair=repair)
        candidate = Candidate(earlier(store, place.env, arguments.rollback, member, current))
        is_ahead = current and publication.is_ahead(current, datetime.now(UTC))
        if current and current.nodes == candidate.interface.nodes and not is_ahead:
            cli.say(f"readers have the interface of {arguments.rollback} already")
            return cli.OK
    else:
        candidate = at_hand(
            member,
            place.env,
            manifest=arguments.manifest,
            commit=job.commit(member.root),
            allow_stale=arguments.allow_stale,
            allow_failed=arguments.allow_failed,
            allow_target=arguments.allow_target or is_laptops,
        )
    gate = Gate(store, place.env, candidate, arguments.strict, arguments.allow_breaking)
    try:
        if arguments.check or arguments.dry_run:
            current, _ = publication.published(store, member.project, place.env, repair=repair)
            notes = gate.check(current)
            cli.say(*gate.lines)
            if arguments.dry_run:
                cli.say(*Plan.of(candidate, place, current, notes).lines)
            status = cli.OK
        else:
            state = open_store(place.state_url, member.access)
            before = publication.Before.of(state, member.project, place.env)
            outcome = publication.publish(
                store, place.env, candidate.interface, gate.check, repair=repair
            )
            status = report(member, place, store, candidate, gate, outcome)
            if outcome.newer is None and candidate.manifest is not None:
                publication.keep_state(
                    state, store, place.env, candidate.interface, candidate.manifest, before
                )
            if outcome.newer is None and is_laptops and place.env == "local":
                on_this_machine(member, candidate.interface)
    except Refused:
        cli.say(*gate.lines, "nothing was published")
        status = cli.FOUND
    finally:
        gate.summarise(arguments.summary)
    # Notes are not printed after an error: its one line would be lost among them.
    for note in (*candidate.notes, *gate.notes):
        cli.note(note)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = flags.parser(__doc__)
    flags.add_registry_flags(parser)
    parser.add_argument(
        "--manifest",
        type=flags.file,
        metavar="FILE",
        help="take this manifest as it is (default: target/manifest.json, if it is current)",
    )
    parser.add_argument(
        "--check", action="store_true", help="compare only; exit status 2 if it breaks readers"
    )
    parser.add_argument(
        "--allow-breaking", action="store_true", help="publish although it breaks readers"
    )
    parser.add_argument(
        "--allow-stale",
        action="store_true",
        help="publish a manifest that is older than the project's files",
    )
    parser.add_argument(
        "--allow-failed", action="store_true", help="publish although dbt's last run failed"
    )
    parser.add_argument(
        "--allow-target", action="store_true", help="publish although built for another target"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be written, and write nothing"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="also refuse risky changes, and public models without a contract",
    )
    parser.add_argument(
        "--summary", type=flags.file, metavar="FILE", help="also write the findings as Markdown"
    )
    parser.add_argument(
        "--rollback",
        type=a_version,
        metavar="VERSION",
        help="publish the interface of that version again",
    )
    parser.add_argument(
        "--history",
        nargs="?",
        type=flags.positive,
        const=10,
        metavar="N",
        help="list the last N publications (10) and what each changed",
    )
    parser.add_argument(
        "--move-to",
        type=flags.given,
        metavar="URL",
        help="copy the history, records and state to this registry; with --dry-run only say what",
    )
    return parser


def earlier(
    store: Store, env: str, version: str, member: config.Member, current: Interface | None
) -> Interface:
    """Returns an earlier interface, to be published again."""
    from dbtmesh.registry import history

    old = history.fetch(store, member.project, env, version)
    return history.restored(old, current, datetime.now(UTC))


@dataclass(frozen=True)
class Plan:
    """What a publication would write. replaces: the version that readers have now."""

    place: config.Location
    interface: Interface
    replaces: str | None
    keeps_state: bool

    @classmethod
    def of(
        cls,
        candidate: Candidate,
        place: config.Location,
        current: Interface | None,
        notes: Mapping[str, str] | None,
    ) -> Plan:
        interface = candidate.interface
        return cls(
            place,
            annotated(interface, notes) if notes else interface,
            current.version if current else None,
            candidate.manifest is not None,
        )

    @property
    def lines(self) -> list[str]:
        built, place = self.interface, self.place
        now = f"now {self.replaces}" if self.replaces else "now nothing"
        state = f"  {place.state_url}/{keys.state(built.project, place.env)}"
        return [
            f"would publish {models(built)} ({len(built.body):,} bytes) as version"
            f" {built.version}:",
            f"  {place.url}/{keys.publication(built.project, place.env, built.version)}",
            f"  {place.url}/{keys.latest(built.project, place.env)}  ({now})",
            *([state] if self.keeps_state else ()),
            *(f"    {uid}" for uid in built.nodes),
        ]


def report(
    member: config.Member,
    place: config.Location,
    store: Store,
    candidate: Candidate,
    gate: Gate,
    outcome: publication.Outcome,
) -> int:
    """Prints what became of the publication, and returns the exit status."""
    if outcome.ahead:
        cli.say(
            f"{outcome.newer} is what consumers read, and is dated ahead of the clock, so no "
            "publication replaces it; this build is in the history: put it in place with "
            f"scripts/publish_manifest.py --env {place.env} --rollback {outcome.version}"
        )
        return cli.FOUND
    if outcome.newer:
        cli.note(
            f"a newer build is published already ({outcome.newer}) and stays; this one is in the "
            "history"
        )
        return cli.OK
    where = f"of {member.project} to {place.url} ({place.env}), version {outcome.version}"
    if gate.verdict is None:
        cli.say(f"published already: {models(candidate.interface)} {where}")
    elif gate.verdict.unchanged:
        cli.say(f"published {models(candidate.interface)} {where}; the interface is unchanged")
    else:
        cli.say(*gate.lines)
        cli.say(f"published {models(candidate.interface)} {where}")
    name_cycles(member, place.env, store)
    return cli.OK


def on_this_machine(member: config.Member, built: Interface) -> None:
    """Writes the models that all projects may read for dbt-loom (dbt_loom.config.yml).

    dbt-loom finds them there before a sync. The file does not come from a registry, so nobody else
    can have written it. dbt-loom reads it after a sync, too, so it holds only what dbt-loom needs.
    Raises MeshError.
    """
    path = config.mesh_home(member.root) / "published" / member.project / "manifest.json"
    shared = {uid: node for uid, node in built.nodes.items() if shared_with(node) is None}
    try:
        write_whole(path, msgspec.json.encode(loom.document(built.manifest["metadata"], shared)))
    except OSError as error:
        raise MeshError(f"cannot write {cli.explain(error)}") from None


def name_cycles(member: config.Member, env: str, store: Store) -> None:
    if not (upstreams := {upstream.name for upstream in member.upstreams}):
        return
    from dbtmesh.registry import cycles, reader_cycles

    for group in reader_cycles.rings(store, env, member.project, upstreams):
        cli.note(
            f"{cycles.described(group)} (a cycle): a change in one of them may deploy all, and one"
            " may build from the others' last deploy. To end it, move what both need into a"
            " project that reads neither"
        )


def move_to(
    member: config.Member, place: config.Location, url: str, only: str | None, dry: bool
) -> int:
    """Copies all that the project has published to the registry at `url`.

    only: the one environment to copy. Raises MeshError, also where there is nothing to copy.
    """
    from dbtmesh.registry import move

    there = config.locate(member, bucket=None, registry=url, env=place.env)
    if there.url == place.url:
        raise MeshError(f"{member.project} publishes to {place.url} already")
    source = open_store(place.url, member.access), open_store(place.state_url, member.access)
    target = open_store(there.url, member.access), open_store(there.state_url, member.access)
    found = move.environments(source[0], member.project)
    envs = [env for env in found if env == only or (only is None and env != "local")]
    if not envs:
        where = f"{only} of {described(place.url)}" if only else described(place.url)
        known = f" (but to {', '.join(found)})" if found else ""
        raise MeshError(
            f"there is nothing to copy: {member.project} has published nothing to {where}{known}"
        )
    readers: set[str] = set()
    for env in envs:
        moved = move.move(source, target, member.project, env, dry)
        readers |= set(moved.readers)
        cli.say(
            f"{env}: {'would copy' if dry else 'copied'} {counted(moved.versions, 'publication')} "
            f"and {counted(moved.records, 'record')} of readers to {there.url}"
            + (f"; {counted(moved.there, 'publication')} there already" if moved.there else "")
        )
        if moved.readers and target[0].keeps_own_records:
            readers_left = counted(len(moved.readers), "reader")
            cli.say(f"  {readers_left} will write a record there at the next deploy")
    if not dry and (data := move.answers(there.url)):
        whom = f", and in {', '.join(sorted(readers))}" if readers else ""
        answers = " ".join(f"--data {each}" for each in data)
        cli.say(f"next, here{whom}: copier update --trust --skip-answered {answers}")
    return cli.OK


# --- Flags --------------------------------------------------------------------------------------


def a_version(text: str) -> str:
    # An unset shell variable: without a version, the present build would be published.
    if not text:
        raise argparse.ArgumentTypeError("name a version (--history lists them)")
    return text


def show_history(store: Store, project: str, env: str, number: int) -> int:
    from dbtmesh.registry import history

    current, _ = publication.published(store, project, env, repair=True)
    listed, unread = history.read_last(store, project, env, number)
    for problem in unread:
        cli.note(problem)
    for before, after in listed:
        cli.say(*history.line(before, after, current.version if current else None))
    if not listed and not unread:
        cli.say(f"{project} has published nothing to {env} yet ({described(store.url)})")
    return cli.OK


def models(built: Interface) -> str:
    return counted(len(built.nodes), "public model")
