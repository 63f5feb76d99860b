"""Decodes files, and encodes changed texts so that unchanged lines keep their bytes. Pure."""

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
"""The encoding of each byte order mark. UTF-32 is first: its mark begins with one of UTF-16."""
ENDING = re.compile("\r\n|\r|\n")
LINE = re.compile("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
UNKNOWN = "�"


@dataclass(frozen=True)
class Guess:
    """The probable text of a file that is not UTF-8. lost: how many characters of it are U+FFFD, in
    place of bytes that no known encoding decodes."""

    text: str
    encoding: str
    lost: int = 0


def as_utf_8(body: bytes) -> str | None:
    """Decodes a text, and ends its lines with LF. None where it is not UTF-8, or has a NUL."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else _plain(text)


def guess(body: bytes) -> Guess | None:
    """Guesses the encoding of a file that is not UTF-8. None where it is."""
    if as_utf_8(body) is not None:
        return None
    marked = next((name for mark, name in MARKS.items() if body.startswith(mark)), None)
    encoding = marked or _told_by_zeros(body) or "cp1252"
    if (text := _decoded(body, encoding)) is not None:
        return Guess(_plain(text), _told(encoding))
    text = body.decode("utf-8-sig", errors="replace").replace("\0", UNKNOWN)
    return Guess(_plain(text), "an unknown encoding", text.count(UNKNOWN))


def _told_by_zeros(body: bytes) -> str | None:
    """Detects UTF-16 without a mark: where most letters are ASCII, every other byte is 0."""
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
    """Encodes the new text of a file in UTF-8. Unchanged lines keep their bytes, and the others get
    the file's most frequent line ending. old: what the file holds now."""
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
    """Appends lines to a text. Its last line gets a newline if it has none."""
    before = text if not text or text.endswith("\n") else f"{text}\n"
    return before + "".join(f"{line}\n" for line in lines)


def _bare(line: str) -> str:
    return line.rstrip("\r\n")


def _matched(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """Maps the index of each unchanged line in `after` to its index in `before`."""
    import difflib  # imported here: each lint in CI loads this module, but writes nothing

    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return {each.b + n: each.a + n for each in blocks for n in range(each.size)}
