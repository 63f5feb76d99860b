"""Decides how long before a deprecation date readers must know of it: the notice period.

After its `deprecation_date`, a model may be removed. A date that leaves readers less time than the
notice period is therefore as breaking as the removal itself.
"""

from __future__ import annotations

from datetime import date

from dbtmesh.gate.nodes import Node

NOTICE_DAYS = 14
"""The least number of days between the announcement of a deprecation date and the date."""


def is_short_notice(was: date | None, now: date, today: date) -> bool:
    """Checks whether moving the date from `was` to `now` leaves readers too little time.

    was: None if there was no date. If that date has passed, readers have had their notice.
    """
    return (was is None or was > today) and (now - today).days < NOTICE_DAYS


def deprecation(node: Node) -> date | None:
    # dbt writes midnight in the time zone of the machine that parsed the file: only the day counts.
    text = node.get("deprecation_date")
    return date.fromisoformat(str(text)[:10]) if text else None
