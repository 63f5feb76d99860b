"""Defines one difference between two interfaces as data: a `Finding`, rated as a `Change`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from dbtmesh.gate.nodes import Node, display
from dbtmesh.gate.rules import RULES, Rule, Severity

Value = str | date | bool | tuple[str, ...] | frozenset[str] | None
"""A value before or after a change. A tuple is a list whose order matters (columns, the parts of a
relation's name), and a frozenset holds the projects in a list of consumers. None means no value."""


class Finding(NamedTuple):
    """A difference, not yet attributed to a model."""

    rule: Rule
    message: str
    before: Value = None
    after: Value = None
    column: str | None = None


@dataclass(frozen=True)
class Change:
    """One difference between two interfaces, rated by the rules.

    model: the name that a dbt selector takes (`orders`, `orders.v1`). unique_id: the published node
    that changed, by which readers are found. For a change of the whole project, `model` is the
    project's name and `unique_id` is empty. column: the name that readers know, which is the old
    name if there is one. way_out: empty for a change that is fine.
    """

    severity: Severity
    rule: Rule
    model: str
    unique_id: str
    column: str | None
    before: Value
    after: Value
    message: str
    way_out: str

    @classmethod
    def of(cls, finding: Finding, unique_id: str, node: Node) -> Change:
        """Returns the finding, rated by the rules. node: as last published, or else the new one."""
        return cls(
            severity=RULES[finding.rule].severity,
            rule=finding.rule,
            model=display(node),
            unique_id=unique_id,
            column=finding.column,
            before=finding.before,
            after=finding.after,
            message=finding.message,
            way_out=_way_out(finding, node),
        )

    @property
    def where(self) -> str:
        return f"{self.model}.{self.column}" if self.column else self.model


def worst_first(changes: Iterable[Change]) -> list[Change]:
    return sorted(
        changes, key=lambda c: (_SEVERITY_ORDER[c.severity], c.unique_id, _RULE_ORDER[c.rule])
    )


def stopping(changes: Iterable[Change], *, strict: bool = False) -> list[Change]:
    """Returns the changes that stop a publication: breaking ones, and with `strict` risky ones."""
    stops = (Severity.BREAKING, Severity.RISKY) if strict else (Severity.BREAKING,)
    return [change for change in changes if change.severity in stops]


def counted(changes: Iterable[Change]) -> str:
    """Returns a text such as `1 breaking, 0 risky, 2 fine`."""
    count = Counter(change.severity for change in changes)
    return ", ".join(f"{count[severity]} {severity}" for severity in Severity)


def text(value: Value) -> str:
    """Returns a value as messages show it."""
    match value:
        case frozenset():
            return ", ".join(sorted(value))
        case tuple():
            return ", ".join(value)
        case _:
            return str(value)


LAST_RESORT: Mapping[Severity, str] = {
    Severity.BREAKING: ", or publish with --allow-breaking",
    Severity.RISKY: ", or publish without --strict",
    Severity.FINE: "",
}
_SEVERITY_ORDER = {severity: place for place, severity in enumerate(Severity)}
_RULE_ORDER = {rule: place for place, rule in enumerate(Rule)}


def _way_out(finding: Finding, node: Node) -> str:
    ruling = RULES[finding.rule]
    if ruling.severity is Severity.FINE:
        return ""
    model, name = display(node), node["name"]
    if node.get("version") is None:
        new_version = (
            f"make the change in a version 2 and keep {model} as version 1"
            f" (alias: {node.get('alias') or name}, latest_version: 1) with a deprecation_date"
        )
    else:
        new_version = (
            f"make the change in a new version of {name}, keep {model} and latest_version"
            f" unchanged, and give {model} a deprecation_date"
        )
    advice = ruling.way_out.format(
        model=model, before=text(finding.before), new_version=new_version
    )
    return advice + LAST_RESORT[ruling.severity]
