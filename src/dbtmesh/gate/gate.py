"""Compares a new interface with the published one, and refuses it if it breaks readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import cli
from dbtmesh.ci.github import job
from dbtmesh.gate import uncontracted
from dbtmesh.gate.verdict import Verdict, judge
from dbtmesh.manifest.interface import ALLOWED, Interface
from dbtmesh.output.words import shown, some

if TYPE_CHECKING:
    from dbtmesh.gate.candidate import Candidate
    from dbtmesh.registry.records import Record
    from dbtmesh.registry.store import Store


class Refused(Exception):
    """The gate stops the publication."""


@dataclass
class Gate:
    """Compares a candidate with the published interface, and refuses what breaks readers.

    lines: the verdict of the last comparison. notes: other lines to print about it. Both are empty
    before the first comparison.
    """

    store: Store
    env: str
    candidate: Candidate
    strict: bool
    allowing: bool
    verdict: Verdict | None = None
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _records: tuple[list[Record], bool] | None = None

    def check(self, current: Interface | None) -> Mapping[str, str] | None:
        """Returns the notes to add to the publication, or None. Raises Refused if it is stopped."""
        verdict = self.verdict = judge(
            current,
            self.candidate.interface,
            self._ask,
            today=datetime.now(UTC).date(),
            strict=self.strict,
        )
        self.notes = [*uncontracted.lines(verdict.partial), *self._unbuilt(current)]
        if not verdict.stops and not verdict.changes:  # the usual case, which loads nothing more
            self.lines = [verdict.sentence]
            return None
        from dbtmesh.gate import report

        self.lines = report.lines(verdict)
        if not verdict.stops:
            return None
        if not self.allowing:
            raise Refused
        self.lines.append("allowed (--allow-breaking); the history records this")
        return {ALLOWED: report.allowed(verdict)}

    def _unbuilt(self, current: Interface | None) -> list[str]:
        """Returns a note about new models that the last run did not build."""
        known = current.nodes if current else {}
        new = [uid for uid in self.candidate.interface.nodes if uid not in known]
        missing = self.candidate.build.unbuilt(new) if self.candidate.build else []
        names = some([uid.split(".", 2)[-1] for uid in missing])
        return [f"new, and not built by the last run of dbt: {names}"] if missing else []

    def _ask(self) -> tuple[list[Record], bool]:
        if self._records is None:
            from dbtmesh.registry import records

            found, unread = records.recorded(self.store, self.candidate.interface.project, self.env)
            for problem in unread:
                cli.note(f"not all readers are known: {problem}")
            for record in found:
                if record.claimed_in:
                    cli.note(
                        f"a record in {shown(record.claimed_in)} names {record.consumer} as a "
                        "reader, but neither the name nor the comment of that database shows that "
                        f"it belongs to {record.consumer} (docs/registry.md)"
                    )
            self._records = found, not unread
        return self._records

    def summarise(self, file: Path | None) -> None:
        """Writes the verdict as Markdown to `file`, and to the job's summary in GitHub Actions.

        Writes nothing if there was no published interface to compare with.
        """
        wanted = file or job.has_summary()
        if self.verdict is None or self.verdict.first or not wanted:
            return
        from dbtmesh.ci.github import workflow_commands
        from dbtmesh.gate import report

        workflow_commands.summarise(
            report.summary(self.candidate.interface.project, self.env, self.verdict), file
        )
