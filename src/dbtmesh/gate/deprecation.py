"""Decides how long readers must know of a deprecation date before it comes: the notice period.

After its `deprecation_date` a model may go. A date that leaves readers less time therefore breaks
them, as the removal that it allows would.
"""

from __future__ import annotations

from datetime import date

from dbtmesh.gate.nodes import Node

NOTICE_DAYS = 14
"""How many days ahead, at least, readers learn of a deprecation date."""


def is_short_notice(was: date | None, now: date, today: date) -> bool:
    """Whether moving the date from `was` (None: there was none) to `now` leaves readers too little
    time. Once a date has come, readers have had their notice."""
    return (was is None or was > today) and (now - today).days < NOTICE_DAYS


def deprecation(node: Node) -> date | None:
    # dbt writes a date as midnight in the zone of the machine that parsed it: only the day counts.
    text = node.get("deprecation_date")
    return date.fromisoformat(str(text)[:10]) if text else None
