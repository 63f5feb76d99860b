"""Escapes text of members, git and the registry for rich's console."""

from __future__ import annotations

from rich.markup import escape

from dbtmesh.output import terminal


def plain(text: str) -> str:
    """Returns the text for rich, in one line and without markup.

    It contains no command to a terminal or to GitHub's runner, wherever rich breaks the line.
    """
    return escape(terminal.line(text).replace("::", ":\\u003a"))
