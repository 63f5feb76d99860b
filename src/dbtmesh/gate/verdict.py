"""Decides whether an interface may replace the published one. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from dbtmesh.gate.changes import LAST_RESORT, Change, Finding, stopping
from dbtmesh.gate.compare import compare
from dbtmesh.gate.consumer_changes import limits, weighed
from dbtmesh.gate.rules import Rule
from dbtmesh.gate.uncontracted import Partial, partial
from dbtmesh.manifest.interface import Interface

if TYPE_CHECKING:
    from dbtmesh.gate.impact import Readers
    from dbtmesh.registry.records import Record

Ask = Callable[[], "tuple[list[Record], bool]"]
"""Returns the records of all consumers, and False if some of them could not be read."""


@dataclass(frozen=True)
class Verdict:
    """The result of comparing two interfaces.

    changes: None if nothing is published yet. partial: the models without an enforced contract.
    readers: None if nothing is published yet, or nothing has changed. strict: whether risky changes
    and partial models stop the publication, too.
    """

    changes: tuple[Change, ...] | None
    partial: tuple[Partial, ...] = ()
    readers: Readers | None = None
    strict: bool = False

    @property
    def stopping(self) -> list[Change]:
        return stopping(self.changes or (), strict=self.strict)

    @property
    def stops(self) -> bool:
        return bool(self.stopping or (self.strict and self.partial))

    @property
    def first(self) -> bool:
        """True if nothing is published yet."""
        return self.changes is None

    @property
    def unchanged(self) -> bool:
        return self.changes == ()

    @property
    def sentence(self) -> str:
        """The sentence to print if there are no changes."""
        if self.first:
            return "nothing to compare with: nobody reads it yet"
        if any(not each.complete for each in self.partial):
            return "the public interface is unchanged, as far as its columns are listed"
        return "the public interface is unchanged"


def judge(
    current: Interface | None, built: Interface, ask: Ask, *, today: date, strict: bool
) -> Verdict:
    """Compares two interfaces, and returns the verdict.

    ask: called only if readers matter, so a publication that changes nothing reads no records.
    """
    lacking = tuple(partial(built.manifest))
    if current is None:
        return Verdict(None, lacking, strict=strict)
    changes = compare(current.manifest, built.manifest, today=today, private=built.private)
    comparable = _digests_words(current) is _digests_words(built)
    unsure = [
        each.unique_id
        for each in lacking
        if comparable
        and not each.complete
        and _rewritten(current.nodes.get(each.unique_id), built.nodes[each.unique_id])
    ]
    if not changes and not unsure:
        return Verdict((), lacking, strict=strict)
    from dbtmesh.gate.impact import Readers, concerns

    records, complete = ask() if unsure or any(map(concerns, changes)) else ([], True)
    readers = Readers(records, complete=complete, old=current.manifest, new=built.manifest)
    for uid in unsure:
        node = built.nodes[uid]
        for column in readers.unlisted(uid, node):
            message = "is read, but not listed, and the model has changed"
            changes.append(
                Change.of(Finding(Rule.READ_UNLISTED, message, column=column), uid, node)
            )
    judged = [_advised(change, readers) for change in weighed(changes, readers.left_out)]
    return Verdict(tuple(judged), lacking, readers, strict)


def _advised(change: Change, readers: Readers) -> Change:
    """Replaces the way out of a list of consumers if the model has no recorded reader to name."""
    if not limits(change) or not readers.complete or readers.on_record(change):
        return change
    way_out = (
        f"no project is recorded as a reader of {change.model}: if a project reads it, let it"
        f" deploy once, so that it is recorded, and name it{LAST_RESORT[change.severity]}"
    )
    return replace(change, way_out=way_out)


def _rewritten(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Checks whether the SQL of a published model changed."""
    return old is not None and old.get("checksum") != new.get("checksum")


def _digests_words(interface: Interface) -> bool:
    """Checks whether the checksums ignore white space, as those of dbt since 1.12 do.

    Older checksums are those of the whole text. The two kinds cannot be compared.
    """
    written_by = str(interface.manifest["metadata"].get("dbt_version"))
    found = re.match(r"(\d+)\.(\d+)", written_by)
    return found is not None and (int(found[1]), int(found[2])) >= (1, 12)
