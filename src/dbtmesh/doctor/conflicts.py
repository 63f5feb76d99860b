"""Takes one side of the conflicts that an update has left in a text. Pure."""

from __future__ import annotations

from dbtmesh.doctor.finding import Side

OURS, BASE, THEIRS, END = "<<<<<<< ", "||||||| ", "=======", ">>>>>>> "
"""How the lines begin that part the sides: the team's, what both began with, the template's."""


def resolved(text: str, side: Side) -> str | None:
    """None where the markers are not those of whole conflicts."""
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
