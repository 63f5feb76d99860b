"""Matches models across versions, and compares the old latest version with the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from dbtmesh.gate.changes import Change, Finding
from dbtmesh.gate.consumer_changes import sharing_findings
from dbtmesh.gate.deprecation import deprecation
from dbtmesh.gate.model_changes import deprecation_findings, promise_findings
from dbtmesh.gate.nodes import Manifest, Node, base_id, display, is_public
from dbtmesh.gate.rules import RULES, Rule, Severity
from dbtmesh.warehouse.adapter import Warehouse


@dataclass(frozen=True)
class Published:
    """The public models of a manifest by unique_id.

    latest: maps the unique_id of a versioned model, without its version, to that of the latest one.
    """

    models: Mapping[str, Node]
    latest: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> Published:
        models: dict[str, Node] = {
            unique_id: node
            for unique_id, node in manifest["nodes"].items()
            if node.get("resource_type", "model") == "model" and is_public(node)
        }
        latest = {}
        for unique_id, node in models.items():
            if node.get("version") is not None:
                base = base_id(unique_id, node)
                latest[base] = f"{base}.v{node.get('latest_version')}"
        return cls(models, latest)


def heirs(before: Published, after: Published) -> dict[str, str]:
    """Maps the old unique_id of every model that still exists to its new unique_id.

    The two are almost always the same. If a model gained or lost its versions, the new one is what
    a `ref` without a version finds.
    """
    found = {}
    for unique_id, node in before.models.items():
        heir: str | None = unique_id
        if unique_id not in after.models:
            base = base_id(unique_id, node)
            if base == unique_id:
                heir = after.latest.get(base)
            else:
                heir = base if before.latest[base] == unique_id else None
        if heir and heir in after.models:
            found[unique_id] = heir
    return found


def versioning_findings(old: Node, new: Node) -> Iterator[Finding]:
    """Yields the finding for a model that gained or lost its versions."""
    was, now = display(old), display(new)
    if new.get("version") is None:
        yield Finding(Rule.MODEL_UNVERSIONED, "no longer has versions", was, now)
    else:
        message = f"now has versions; a `ref` without a version finds {now}"
        yield Finding(Rule.MODEL_VERSIONED, message, was, now)


def latest_changes(
    before: Published, after: Published, warehouse: Warehouse, today: date
) -> Iterator[Change]:
    """Compares the old latest version with the new one, as readers without a version get them."""
    for base, old_id in before.latest.items():
        new_id = after.latest.get(base, old_id)
        old, new = before.models.get(old_id), after.models.get(new_id)
        if new_id == old_id or old is None:
            continue
        was, now = (unique_id.removeprefix(f"{base}.v") for unique_id in (old_id, new_id))
        broken = ["it is not public"] if new is None else _broken(old, new, warehouse, today)
        due = deprecation(old)
        message = f"without a version, readers now get {now}, not {was}"
        if come := due is not None and due <= today:
            message += f", whose deprecation date has come ({due})"
        rule = Rule.LATEST_INCOMPATIBLE if broken and not come else Rule.LATEST_MOVED
        finding = Finding(rule, "; ".join([message, *broken]), was, now)
        yield Change.of(finding, old_id, old)


def _broken(old: Node, new: Node, warehouse: Warehouse, today: date) -> list[str]:
    """Returns what breaks readers of `old` that now get `new`, apart from the relation's place."""
    findings = (
        *promise_findings(old, new, warehouse),
        *sharing_findings(old, new),
        *deprecation_findings(old, new, today),
    )
    return [
        f"{finding.rule} {finding.column}"
        if finding.column
        else f"{finding.rule}: {finding.message}"
        for finding in findings
        if RULES[finding.rule].severity is Severity.BREAKING
    ]
