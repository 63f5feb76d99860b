"""Findings as Markdown: for the summary of a CI step, and the comment on a pull request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

_ESCAPES = str.maketrans(
    {
        "|": "\\|",
        "<": "&lt;",
        "\n": " ",
        "\r": " ",
        "*": "\\*",
        "_": "\\_",
        "`": "\\`",
        "@": "&#64;",
    }
)


def text(value: str) -> str:
    """Text as it is: no markup, no mention of people."""
    return value.translate(_ESCAPES)


def code(value: str) -> str:
    """A name in code style, in which nothing but its own end has a meaning."""
    return "`" + value.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def cut(text: str, size: int, rest: str) -> str:
    """The text, of which as many lines are left as fit into `size` bytes; `rest`: where to look."""
    body = text.encode()
    if len(body) <= size:
        return text
    note = f"\n\n… cut: {rest}"
    kept = body[: max(size - len(note.encode()), 0)].decode(errors="ignore")
    # A line may be longer than all of it.
    whole = kept.rpartition("\n")[0] or kept
    return whole + note


LONGEST_SUMMARY = 1_000_000
"""Bytes. GitHub shows nothing of a step's summary that is longer than 1 MiB."""


def publish(lines: Sequence[str], file: Path | None) -> None:
    """To `file` (replaced), and to the summary of the step of GitHub Actions that this runs in, as
    far as there is room in it."""
    body = "\n".join(lines) + "\n"
    if file:
        file.write_text(body, encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as summary:
            room = LONGEST_SUMMARY - summary.tell()
            summary.write(cut(body, room, "the rest is in the log"))
