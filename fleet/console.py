"""Escapes text of members, git and the registry for rich's console."""

from __future__ import annotations

from rich.markup import escape

from dbtmesh.output import terminal


def plain(text: str) -> str:
    """Text as it is, in one line: no markup, and nothing that is a command to a terminal or to
    GitHub's runner, wherever rich breaks the line."""
    return escape(terminal.line(text).replace("::", ":\\u003a"))
