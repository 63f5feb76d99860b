"""Publish this project's public interface to the mesh's registry.

What other projects get to see is a valid dbt manifest with the public models only: columns,
types, contracts, versions and docs, no SQL and nothing private. The full manifest is kept beside
the registry, for this project's own slim CI.

  dbt build --target prod && scripts/publish_manifest.py --env prod
  scripts/publish_manifest.py --check        what would consumers notice? publishes nothing
  scripts/publish_manifest.py --dry-run      what would be written? writes nothing
  scripts/publish_manifest.py --history      what was published before, and what it changed
  scripts/publish_manifest.py --rollback 20260102T…   publish that interface again

Consumers see the old interface or the new one, whole. A change that would break them is refused,
and whoever has recorded that they read it is named: keep the old shape in a version of the model
(with a deprecation_date), or, having talked to them, pass --allow-breaking, which the history
keeps. --strict refuses risky changes too. In GitHub Actions the findings go to the step's summary
as well, as Markdown; --summary FILE writes them for a comment.

A rollback puts back the interface, not the data: build and deploy the code it was of as well.

Exit status: 0 done, 1 it failed, 2 a breaking change was found and nothing was published.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli, config
from dbtmesh.gate.changes import Change, stopping
from dbtmesh.gate.compare import compare
from dbtmesh.gate.consumers import weighed
from dbtmesh.manifest import interface, misplaced
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.seal import annotated
from dbtmesh.registry import keys, publication
from dbtmesh.registry import store as registry

if TYPE_CHECKING:
    from dbtmesh.gate.impact import Readers
    from dbtmesh.registry.records import Record


class Breaking(Exception):
    """Consumers would break: the lines to print."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(*lines)
        self.lines = lines


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    cli.add_registry_flags(parser)
    parser.add_argument(
        "--manifest", type=cli.file, metavar="FILE", help="default target/manifest.json"
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
    parser.add_argument("--strict", action="store_true", help="refuse risky changes, too")
    parser.add_argument(
        "--summary", type=cli.file, metavar="FILE", help="write the findings as Markdown, too"
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
        type=positive,
        const=10,
        metavar="N",
        help="list the last N publications (10) and what each changed",
    )
    arguments = parser.parse_args(words)

    member = config.load_member(root)
    place = config.locate(
        member, bucket=arguments.bucket, registry=arguments.registry, env=arguments.env
    )
    store = registry.open_store(place.url, member.aws_region)
    repair = arguments.allow_breaking
    if arguments.history is not None:
        return show_history(store, member.project, place.env, arguments.history)
    manifest = None
    if arguments.rollback is not None:
        current, _ = publication.published(store, member.project, place.env, repair=repair)
        built = earlier(store, place.env, arguments.rollback, member.project, current)
        if current and current.nodes == built.nodes:
            cli.say(f"consumers read the interface of {arguments.rollback} already")
            return cli.OK
    else:
        path = arguments.manifest or member.root / "target" / "manifest.json"
        manifest = read_manifest(path)
        commit = None
        if os.environ.get("GITHUB_SHA"):  # in a workflow
            from dbtmesh.ci import github

            commit = github.commit(member.root)
        built = extract(manifest, member.project, commit=commit, source=str(path))
        if wrong := misplaced.told(member.root, manifest, member.project):
            raise MeshError(f"{wrong}; nothing was published")
        warn(built, member.database_prefix, place.env)
    gate = Gate(store, place.env, built, arguments.strict, arguments.allow_breaking)
    try:
        if arguments.check or arguments.dry_run:
            current, _ = publication.published(store, member.project, place.env, repair=repair)
            notes = gate.check(current)
            cli.say(*(gate.lines))
            if arguments.dry_run:
                noted = annotated(built, notes) if notes else built
                explain(noted, place, current, manifest is not None)
            return cli.OK
        outcome = publication.publish(store, place.env, built, gate.check, repair=repair)
    except Breaking as error:
        cli.say(*error.lines, "nothing was published")
        return cli.FOUND
    finally:
        gate.summarise(arguments.summary)
    if outcome.newer:
        cli.note(
            f"a newer build is published already ({outcome.newer}) and stays; this one is in the "
            "history"
        )
        return cli.OK
    cli.say(*(gate.lines or ["published already"]))
    cli.say(
        f"published {counted(built)} of {member.project} to {place.url} ({place.env}), "
        f"version {outcome.version}"
    )
    if manifest is not None:
        state = registry.open_store(place.state_url, member.aws_region)
        publication.keep_state(state, store, place.env, built, manifest)
    return cli.OK


class Gate:
    """Compares with what is published, says who would notice, and refuses what breaks them.

    lines: what to print of the last comparison; empty before the first.
    """

    def __init__(
        self,
        store: registry.Store,
        env: str,
        built: interface.Interface,
        strict: bool,
        allowing: bool,
    ) -> None:
        self._store, self._env, self._built = store, env, built
        self._strict, self._allowing = strict, allowing
        self._changes: list[Change] | None = None
        self._records: tuple[list[Record], bool] | None = None  # and whether these are all
        self._readers: Readers | None = None
        self.lines: list[str] = []

    def check(self, current: interface.Interface | None) -> Mapping[str, str] | None:
        """What the publication is to note of itself. Raises Breaking where it is refused."""
        if current is None:
            self.lines = ["nothing to compare with: nobody reads it yet"]
            return None
        self._changes = compare(
            current.manifest,
            self._built.manifest,
            today=datetime.now(UTC).date(),
            private=self._built.private,
        )
        if not self._changes:  # the usual case: nobody has to be asked
            self.lines = ["the public interface is unchanged"]
            return None
        from dbtmesh.gate import impact, report
        from dbtmesh.registry import records as consumers

        if self._records is None and any(map(impact.concerns, self._changes)):
            records, unread = consumers.recorded(self._store, self._built.project, self._env)
            for problem in unread:
                cli.note(f"who reads what is not all known: {problem}")
            self._records = records, not unread
        records, complete = self._records or ([], True)
        readers = self._readers = impact.Readers(
            records, complete=complete, old=current.manifest, new=self._built.manifest
        )
        self._changes = weighed(self._changes, readers.left_out)
        self.lines = report.lines(self._changes, readers, strict=self._strict)
        stops = stopping(self._changes, strict=self._strict)
        if not stops:
            return None
        if not self._allowing:
            raise Breaking(self.lines)
        self.lines.append("allowed (--allow-breaking), which the history keeps")
        return {interface.ALLOWED: report.allowed(stops)}

    def summarise(self, file: Path | None) -> None:
        """The findings as Markdown, where somebody wants them and there are any."""
        if self._changes is None or not (file or os.environ.get("GITHUB_STEP_SUMMARY")):
            return
        from dbtmesh.gate import report
        from dbtmesh.output import workflow

        lines = report.summary(
            self._built.project, self._env, self._changes, self._readers, strict=self._strict
        )
        workflow.summarise(lines, file)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def a_version(text: str) -> str:
    # An unset variable of a shell: without a version, the build at hand would be published.
    if not text:
        raise argparse.ArgumentTypeError("name a version (--history lists them)")
    return text


def earlier(
    store: registry.Store,
    env: str,
    version: str,
    project: str,
    current: interface.Interface | None,
) -> interface.Interface:
    """An earlier interface, to be published again."""
    from dbtmesh.registry import history

    old = history.fetch(store, project, env, version)
    return history.restored(old, current, datetime.now(UTC))


def show_history(store: registry.Store, project: str, env: str, number: int) -> int:
    from dbtmesh.registry import history

    current, _ = publication.published(store, project, env, repair=True)
    listed = history.read_last(store, project, env, number)
    for before, after in listed:
        cli.say(*(history.line(before, after, current.version if current else None)))
    if not listed:
        cli.say(f"{project} has published nothing to {env} yet ({store.url})")
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
    built: interface.Interface,
    place: config.Location,
    current: interface.Interface | None,
    with_state: bool,
) -> None:
    cli.say(
        f"would publish {counted(built)} ({len(built.body):,} bytes) as version {built.version}:"
    )
    cli.say(f"  {place.url}/{keys.publication(built.project, place.env, built.version)}")
    replaced = f"  (now {current.version})" if current else "  (now nothing)"
    cli.say(f"  {place.url}/{keys.latest(built.project, place.env)}{replaced}")
    if with_state:
        cli.say(f"  {place.state_url}/{keys.state(built.project, place.env)}")
    for uid in built.nodes:
        cli.say(f"    {uid}")


def counted(built: interface.Interface) -> str:
    number = len(built.nodes)
    return f"{number} public model{'' if number == 1 else 's'}"
