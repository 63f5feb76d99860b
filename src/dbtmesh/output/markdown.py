"""Writes Markdown: for the summary of a CI step, and the comment on a pull request.

What comes from elsewhere goes through text(), code() or fenced(): it is shown as it is. GitHub's
Markdown: https://github.github.com/gfm/; what it makes of the text after that (mentions of people
and issues, addresses) no backslash stops, so such a text is broken up by a space without width.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dbtmesh.output.escape import visible

_APART = "&#8203;"
# Markup, wherever it stands.
_MARKUP = re.compile(r"[\\`*_\[\]|~$]")
# What is markup at the start of a line only.
_START = re.compile(r"^(?:[#+=-]|\d+(?=[.)]))")
# What GitHub finds in plain text, and links: addresses, people, issues, and the `www.` of old.
_LINKED = re.compile(r"(?i)(?<=:)(?=//)|(?<=@)|(?<=#)(?=\d)|(?<=GH)(?=-\d)|(?<=www)(?=\.)")


def text(value: str) -> str:
    """Text as it is, in one line: no markup, no link, image or mention. Fits into a cell."""
    plain = " ".join(visible(value).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _MARKUP.sub(r"\\\g<0>", _LINKED.sub(_APART, plain))
    return _START.sub(_first, plain)


def _first(match: re.Match[str]) -> str:
    return f"{match[0]}{_APART}" if match[0].isdigit() else f"\\{match[0]}"


def code(value: str) -> str:
    """A name in code style, in one line. Fits into a cell."""
    shown = " ".join(visible(value).split())
    # A backtick would end it, and a bar the cell.
    if shown and not set("`|") & set(shown):
        return f"`{shown}`"
    return f"<code>{text(value)}</code>"


def fenced(lines: Iterable[str], language: str = "text") -> list[str]:
    """A block of lines as they are."""
    shown = [visible(line) for whole in lines for line in whole.split("\n")]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *shown, fence]


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
