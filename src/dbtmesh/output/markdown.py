"""Writes Markdown for the summary of a CI step, and for the comment on a pull request.

Text from elsewhere passes through text(), code() or fenced(), so that it is shown literally.
GitHub's Markdown: https://github.github.com/gfm/. After rendering, GitHub also links mentions of
people and issues, and addresses. Backslashes do not prevent that, so such texts are broken up by a
zero-width space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dbtmesh.output.escape import visible

_APART = "&#8203;"
# Markup anywhere in a line.
_MARKUP = re.compile(r"[\\`*_\[\]|~$]")
# Markup only at the start of a line.
_START = re.compile(r"^(?:[#+=-]|\d+(?=[.)]))")
# Places in what GitHub links in plain text: addresses, people, issues, and `www.`.
_LINKED = re.compile(r"(?i)(?<=:)(?=//)|(?<=@)|(?<=#)(?=\d)|(?<=GH)(?=-\d)|(?<=www)(?=\.)")


def text(value: str) -> str:
    """Returns text to show literally, in one line and without links. Fits into a table cell."""
    plain = " ".join(visible(value).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _MARKUP.sub(r"\\\g<0>", _LINKED.sub(_APART, plain))
    return _START.sub(_first, plain)


def _first(match: re.Match[str]) -> str:
    return f"{match[0]}{_APART}" if match[0].isdigit() else f"\\{match[0]}"


def code(value: str) -> str:
    """Returns a name in code style, in one line. Fits into a table cell."""
    shown = " ".join(visible(value).split())
    # A backtick would end the code, and a bar the cell.
    if shown and not set("`|") & set(shown):
        return f"`{shown}`"
    return f"<code>{text(value)}</code>"


def fenced(lines: Iterable[str], language: str = "text") -> list[str]:
    """Returns a code block that shows the lines literally."""
    shown = [visible(line) for whole in lines for line in whole.split("\n")]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *shown, fence]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a table. The cells must already be Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def cut(text: str, size: int, rest: str) -> str:
    """Returns as many lines of the text as fit into `size` bytes. rest: says where the rest is."""
    body = text.encode()
    if len(body) <= size:
        return text
    note = f"\n\n… cut: {rest}"
    kept = body[: max(size - len(note.encode()), 0)].decode(errors="ignore")
    # The first line alone may be too long.
    whole = kept.rpartition("\n")[0] or kept
    return whole + note
