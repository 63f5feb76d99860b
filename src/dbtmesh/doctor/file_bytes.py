"""Turns bytes into text, and text into bytes so that lines that stay keep theirs. Pure."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""How a file begins that says its encoding; that of UTF-32 begins as one of UTF-16."""
ENDING = re.compile("\r\n|\r|\n")
LINE = re.compile("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
UNKNOWN = "�"


@dataclass(frozen=True)
class Guess:
    """What a file that is not UTF-8 seems to say. lost: bytes that no encoding gives a meaning."""

    text: str
    encoding: str
    lost: int = 0


def as_utf_8(body: bytes) -> str | None:
    """The text, each line with an LF; None where it is not UTF-8."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else _plain(text)


def guess(body: bytes) -> Guess | None:
    """None where it is UTF-8."""
    if as_utf_8(body) is not None:
        return None
    marked = next((name for mark, name in MARKS.items() if body.startswith(mark)), None)
    encoding = marked or _told_by_zeros(body) or "cp1252"
    if (text := _decoded(body, encoding)) is not None:
        return Guess(_plain(text), _told(encoding))
    text = body.decode("utf-8-sig", errors="replace").replace("\0", UNKNOWN)
    return Guess(_plain(text), "no encoding that is known", text.count(UNKNOWN))


def _told_by_zeros(body: bytes) -> str | None:
    """UTF-16, of which every other byte is 0 where the letters are those from a to z."""
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if body[first::2].count(0) > len(body) * 0.3:
            return encoding
    return None


def _decoded(body: bytes, encoding: str) -> str | None:
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _told(encoding: str) -> str:
    return "Windows-1252" if encoding == "cp1252" else encoding[:6].upper().removesuffix("-")


def _plain(text: str) -> str:
    return ENDING.sub("\n", text)


def written(old: bytes, text: str) -> bytes:
    """A text in UTF-8, in place of what a file holds: lines that stay keep their bytes, and the
    others end as most of them."""
    if as_utf_8(old) is None:
        ending = "\r\n" if b"\r\n" in old.replace(b"\0", b"") else "\n"
        return text.replace("\n", ending).encode()
    before, after = LINE.findall(old.decode("utf-8-sig")), LINE.findall(text)
    endings = Counter(line[len(_bare(line)) :] for line in before if _bare(line) != line)
    usual = endings.most_common(1)[0][0] if endings else "\n"
    stay = _matched([*map(_bare, before)], [*map(_bare, after)])
    lines = []
    for at, line in enumerate(after):
        if at in stay:
            kept = before[stay[at]]
            is_open = kept == _bare(kept) and at < len(after) - 1
            lines.append(kept + usual if is_open else kept)
        else:
            lines.append(_bare(line) + (usual if line.endswith("\n") else ""))
    mark = codecs.BOM_UTF8 if old.startswith(codecs.BOM_UTF8) else b""
    return mark + "".join(lines).encode()


def appended(text: str, lines: Iterable[str]) -> str:
    """A text with lines behind its last one, which gets its end where it has none."""
    before = text if not text or text.endswith("\n") else f"{text}\n"
    return before + "".join(f"{line}\n" for line in lines)


def _bare(line: str) -> str:
    return line.rstrip("\r\n")


def _matched(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """Which line was which."""
    import difflib  # every lint of CI loads this module, and writes nothing

    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return {each.b + n: each.a + n for each in blocks for n in range(each.size)}
