"""Compares the lists of projects that may read a model (`meta.consumers`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from dbtmesh.gate.changes import LAST_RESORT, Change, Finding, text, worst_first
from dbtmesh.gate.nodes import Node
from dbtmesh.gate.rules import RULES, Rule
from dbtmesh.manifest.interface import shared_with

_LIMITS = frozenset((Rule.CONSUMERS_LIMITED, Rule.CONSUMER_REMOVED, Rule.CONSUMERS_NAMED))


def sharing_findings(old: Node, new: Node) -> Iterator[Finding]:
    before, after = shared_with(old), shared_with(new)
    if before == after:
        return
    if after is None or (before is not None and before < after):
        now = "every project" if after is None else text(after)
        message = f"may be read by {now}, no longer only by {text(before) or 'no project'}"
        yield Finding(Rule.CONSUMERS_WIDENED, message, before, after)
    elif before is None:
        message = f"may be read only by {text(after) or 'no project'}"
        yield Finding(Rule.CONSUMERS_LIMITED, message, before, after)
    else:
        message = f"may no longer be read by {text(before - after)}"
        yield Finding(Rule.CONSUMER_REMOVED, message, before, after)


def limits(change: Change) -> bool:
    """Checks whether the change excludes projects that are not in the list `after`."""
    return change.rule in _LIMITS


def keeps(change: Change, consumer: str) -> bool:
    """Checks whether a change of the list makes no difference to `consumer`: it may still read the
    model, or was not allowed to read it before either."""
    return limits(change) and (
        _may_read(change.after, consumer) or not _may_read(change.before, consumer)
    )


def _may_read(named: object, consumer: str) -> bool:
    return not isinstance(named, frozenset) or consumer in named


def weighed(changes: Iterable[Change], left_out: Callable[[Change], bool]) -> list[Change]:
    """Rates a list of consumers as only risky if it excludes no known reader.

    left_out: tells whether a change may exclude a project that reads the model. Returns all
    changes, sorted again.
    """
    ruling = RULES[Rule.CONSUMERS_NAMED]
    advice = ruling.way_out + LAST_RESORT[ruling.severity]
    return worst_first(
        replace(
            change,
            severity=ruling.severity,
            rule=Rule.CONSUMERS_NAMED,
            way_out=advice.format(model=change.model),
        )
        if limits(change) and not left_out(change)
        else change
        for change in changes
    )
