"""Resolves the conflicts that an update has left in a text, all in favour of one side. Pure."""

from __future__ import annotations

from dbtmesh.doctor.finding import Side

OURS, BASE, THEIRS, END = "<<<<<<< ", "||||||| ", "=======", ">>>>>>> "
"""Prefixes of the markers: before the team's lines, their common ancestor, the template's lines,
and at the end of a conflict."""


def resolved(text: str, side: Side) -> str | None:
    """Returns the text with one side of each conflict. None where a conflict has no end."""
    kept, part = [], ""
    for line in text.split("\n"):
        if line.startswith(OURS) and not part:
            part = OURS
        elif part == OURS and line.startswith(BASE.rstrip()):
            part = BASE
        elif part in (OURS, BASE) and line == THEIRS:
            part = THEIRS
        elif part == THEIRS and line.startswith(END):
            part = ""
        elif not part or part == (OURS if side is Side.YOURS else THEIRS):
            kept.append(line)
    return None if part else "\n".join(kept)
