"""Makes answers of the model from rows by column."""

from __future__ import annotations

from collections.abc import Iterable

from .context import Column, Result

Row = dict[str, object]
_TIMES = frozenset({"created_on", "expires_at", "last_used_on", "updated_on", "resumed_on"})
_NUMBERS = frozenset({"rows", "bytes", "assigned_to_users", "granted_to_roles", "granted_roles"})


def result(columns: Iterable[str], rows: Iterable[Row]) -> Result:
    """Rows as an answer; times are seconds since the epoch until they are serialised."""
    names = tuple(columns)

    def type_of(name: str) -> str:
        return "timestamp_ltz" if name in _TIMES else "fixed" if name in _NUMBERS else "text"

    return Result(
        tuple(Column(name, type_of(name)) for name in names),
        tuple(tuple(row.get(name) for name in names) for row in rows),
    )
