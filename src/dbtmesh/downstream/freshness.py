"""Finds how old the publications and the data of other projects are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dbtmesh import MeshError
from dbtmesh.registry.publication import AHEAD
from dbtmesh.warehouse.names import Place

DBT_SAYS = {
    "error": "is stale",
    "warn": "is almost stale",
    "runtime error": "could not be read",
}


@dataclass(frozen=True)
class Finding:
    """The age of a publication or of its data.

    what: what was checked; '' for the publication itself. seen: the result, as text. stale: whether
    somebody has to be told.
    """

    upstream: str
    what: str
    seen: str
    stale: bool = False

    def __str__(self) -> str:
        return f"{self.upstream}{self.what and f': {self.what}'} {self.seen}"


def hours(text: str) -> float:
    """Parses an age in hours from the command line. Raises ValueError."""
    number = float(text)
    if not 0 <= number < 1_000_000:  # also refuses nan
        raise ValueError
    return number


def publication(upstream: str, generated_at: datetime, max_age: float, now: datetime) -> Finding:
    """Checks the age of a publication.

    A publication dated in the future counts as stale, because no later build replaces it.
    """
    if generated_at > now + AHEAD:
        ahead = (generated_at - now) / timedelta(hours=1)
        seen = f"is dated {ahead:.1f} hours ahead of the clock, so its age is not known"
        way_out = "ask its owners to publish with --rollback"
        return Finding(upstream, "", f"{seen}: {way_out}", stale=True)
    return _aged(upstream, "", "built", generated_at, max_age, now)


def _aged(
    upstream: str, what: str, done: str, when: datetime, max_age: float, now: datetime
) -> Finding:
    age = (now - when) / timedelta(hours=1)
    stale = age > max_age
    seen = f"is stale: {done} {age:.1f} hours ago, {max_age:g} allowed"
    return Finding(upstream, what, seen if stale else f"{done} {age:.1f} hours ago", stale)


def data(
    upstream: str,
    places: Iterable[Place],
    rows: Sequence[Mapping[str, str]],
    max_age: float,
    now: datetime,
) -> list[Finding]:
    """Checks the age of each relation that is read, by its row in INFORMATION_SCHEMA.TABLES.

    For a view, that row only tells when the view was created, which says nothing about its data.
    The age of a table is a lower bound: LAST_ALTERED also changes with statements that change no
    rows, and with Snowflake's own maintenance.
    """
    known = {(row["table_catalog"], row["table_schema"], row["table_name"]): row for row in rows}
    findings = []
    for place in sorted(places):
        what = f"data of {'.'.join(place)}"
        row = known.get(place)
        if row is None:
            seen = "cannot be read: it is not there, or this role has no SELECT on it"
            findings.append(Finding(upstream, what, seen, stale=True))
        elif row["table_type"].endswith("VIEW") or not row["last_altered"]:
            findings.append(Finding(upstream, what, "has no known age (a view)"))
        else:
            when = datetime.fromisoformat(row["last_altered"])
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            findings.append(_aged(upstream, what, "changed", when, max_age, now))
    return findings


def of_dbt(document: Any) -> list[Finding]:
    """Returns what `dbt source freshness` found (target/sources.json), by its own thresholds.

    Raises MeshError where the document is something else.
    """
    try:
        findings = []
        for each in document["results"]:
            _, _, source, table = each["unique_id"].split(".", 3)
            status = str(each["status"])
            loaded = each.get("max_loaded_at")
            seen = f"{DBT_SAYS.get(status, 'is fresh')}, says dbt"
            seen += f" (loaded at {loaded})" if loaded else ""
            bad = status in ("error", "runtime error")
            findings.append(Finding(source, f"source {table}", seen, stale=bad))
        return findings
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MeshError("is not what `dbt source freshness` writes") from None
