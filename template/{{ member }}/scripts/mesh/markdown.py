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


def publish(lines: Sequence[str], file: Path | None) -> None:
    """To `file` (replaced), and to the summary of the step of GitHub Actions that this runs in."""
    body = "\n".join(lines) + "\n"
    if file:
        file.write_text(body, encoding="utf-8")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as summary:
            summary.write(body)
