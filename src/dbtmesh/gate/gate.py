"""Compares a new interface with the published one, and refuses it where it breaks readers."""

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
    """Compares a candidate with what is published, and refuses what breaks readers.

    Of the last comparison, and empty before the first: `lines` is the verdict, `notes` what else
    is worth knowing.
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
        """What the publication is to note of itself. Raises Refused where it is refused."""
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
        self.lines.append("allowed (--allow-breaking), which the history keeps")
        return {ALLOWED: report.allowed(verdict)}

    def _unbuilt(self, current: Interface | None) -> list[str]:
        """Models that readers see for the first time, though the last run did not build them."""
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
                        f"{record.consumer} is a reader by a record in {shown(record.claimed_in)}, "
                        "of which neither the name nor the comment tells that it is that project's "
                        "(docs/registry.md)"
                    )
            self._records = found, not unread
        return self._records

    def summarise(self, file: Path | None) -> None:
        """The findings as Markdown, where somebody wants them and there are any."""
        wanted = file or job.has_summary()
        if self.verdict is None or self.verdict.first or not wanted:
            return
        from dbtmesh.ci.github import workflow_commands
        from dbtmesh.gate import report

        workflow_commands.summarise(
            report.summary(self.candidate.interface.project, self.env, self.verdict), file
        )
