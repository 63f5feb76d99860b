"""Validates what somebody else wrote: types with limits, and the one way to decode bytes into them.

Everything that is read from the registry or from a committed file is decoded here. So no later code
meets a control character, an impossible date, or nesting that exhausts the stack. What does not fit
is refused, and the message names the field and its value. Only prose (descriptions, values of
`meta`) is kept, with `�` in place of characters that are not allowed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from dbtmesh.output.escape import UNSEEN
from dbtmesh.output.words import LONGEST, shown

T = TypeVar("T")

# ── Text ──────────────────────────────────────────────────────────────────────────────

_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Characters that turn the direction of the text around them, so that it reads differently."""
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters except tab and newline, and line ends that only some programs know."""
_HIDDEN = r"\U000e0000-\U000e007f"
"""Tag characters, which spell invisible ASCII."""

_NOT_PROSE = re.compile(f"[{_CONTROL}{_BIDI}{_HIDDEN}]")
# Both search the UTF-8 of a JSON text as msgspec writes it. The first is fast because all of its
# matches begin with the same byte. The second is for what is left of a text without its ASCII.
_ACTING_ESCAPE = re.compile(rb"\\(?:u00|[bfr])")
_ACTING_BYTES = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
    rb"|\xf3\xa0[\x80\x81]"
)
_ASCII = bytes(range(0x7F))
_LINE_END = re.compile(r"\r\n?")


def prose(text: str) -> str:
    """Replaces characters in a text of several lines that act on a terminal, a log or the eye."""
    return _NOT_PROSE.sub("\N{REPLACEMENT CHARACTER}", _LINE_END.sub("\n", text))


def is_printable(encoded: bytes) -> bool:
    """Checks whether a JSON document has only printable ASCII, and escapes.

    Quotes and control characters are always escaped: msgspec does not accept others.
    """
    return encoded.isascii() and b"\x7f" not in encoded


def is_clean(encoded: bytes) -> bool:
    """Checks whether `prose` would change no text of a JSON document that msgspec wrote.

    This looks at the bytes once, not at each text. It may return False for a clean document.
    """
    if _ACTING_ESCAPE.search(encoded):
        return False
    return is_printable(encoded) or not _ACTING_BYTES.search(encoded.translate(None, _ASCII))


# ── Types ─────────────────────────────────────────────────────────────────────────────

_LATIN = r"A-Za-z\xaa\xba\xc0-\u024f\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua7ff"
_ALIKE = (
    # Cyrillic, Armenian, Cherokee, Coptic, Lisu
    r"\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f\u0531-\u0587\u13a0-\u13ff\uab70-\uabbf"
    r"\u2c80-\u2cff\ua4d0-\ua4ff"
    # Greek, except letters that nobody takes for Latin ones, such as μ and Δ
    r"ΑΒΕΖΗΙΚΜΝΟΡΤΥΧΆΈΉΊΌΎαγικνορυχάίόύϊϋϲϳϹͿ"
    # Latin letters for mathematics, and full-width ones
    r"\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a"
)
"""Letters that look like Latin ones: a word that mixes both reads like another name."""
_WORD_OF_ONE = rf"(?:[^\W\d_{_ALIKE}]++|[^\W\d_{_LATIN}]++)(?![^\W\d_])"
_UNMIXED = rf"(?=(?:[\W\d_]++|{_WORD_OF_ONE})*+\Z)"

# Quantifiers are possessive (`*+`): somebody else chooses the text, and refusing it must not take
# long. The characters of most texts come first: a small class is matched several times as fast.
PATTERNS = {
    # No invisible characters are allowed: names that look the same have to be the same.
    (_LINE := rf"\A[ -~]*+[^\n\t{UNSEEN}]*+\Z"): "is not one line of plain text",
    (_NAME := rf'\A(?!\Z)(?:[ !#-~]*+\Z|{_UNMIXED}[^"\n\t{UNSEEN}]*+\Z)'): "is not a valid name",
    (_WORD := rf"\A(?=\w)(?:[A-Za-z0-9_.+\-]*+\Z|{_UNMIXED}[\w.+\-]*+\Z)"): "is not a valid name",
    (_PROJECT := r"\A[A-Za-z_][A-Za-z0-9_]*+\Z"): "is not a valid name of a dbt project",
    (
        _NODE := rf"\A[a-z_]++\.(?=\w)(?:[A-Za-z0-9_.+\- ]*+\Z|{_UNMIXED}[\w.+\- ]*+\Z)"
    ): "is not a valid unique_id",
    (_HEX := r"\A[0-9a-f]*\Z"): "is not hexadecimal",
    (_SHA256 := r"\A[0-9a-f]{64}\Z"): "is not a SHA-256 in hexadecimal",
    (
        _PUBLICATION := r"\A[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{12}\Z"
    ): "is not a version of a publication",
    (_ETAG := r"\A[\x21-\x7e]*\Z"): "is not an ETag",
    (
        _MOMENT
        := r"(?a:\A(?:19|[2-9]\d)\d\d-\d\d-\d\d(?:[T ][\d:.]{5,18}(?:Z|[+-]\d\d:?\d\d)?)?\Z)"
    ): "is not a date since 1900",
}
"""Pattern → what is wrong with a text that does not match it."""

Prose = Annotated[str, Meta(max_length=100_000)]
"""Text of several lines. `prose` cleans it."""
Text = Annotated[str, Meta(max_length=10_000)]
"""Short prose, for a union with a list of texts or a mapping. msgspec 0.22 corrupts memory if such
a union has a text with a pattern."""
Line = Annotated[str, Meta(pattern=_LINE, max_length=10_000)]
"""One line of text that people read: an owner, a data type."""
Name = Annotated[str, Meta(pattern=_NAME, max_length=255)]
"""A name that SQL may have to quote: a column's, one part of a relation's."""
Word = Annotated[str, Meta(pattern=_WORD, max_length=255)]
"""A name of letters, digits, `_`, `.`, `+` and `-`: a model's, a group's, an adapter's."""
Version = Annotated[str, Meta(pattern=_WORD, max_length=64)]
"""The version of a model, if it is a text."""
Project = Annotated[str, Meta(pattern=_PROJECT, max_length=255)]
"""The name of a dbt project, by dbt's own rule, which allows capitals."""
NodeId = Annotated[str, Meta(pattern=_NODE, max_length=1_000)]
"""A `unique_id`: `model.dbt_up.public_orders`."""
Commit = Annotated[str, Meta(pattern=_HEX, max_length=64)]
Digest = Annotated[str, Meta(pattern=_SHA256)]
Publication = Annotated[str, Meta(pattern=_PUBLICATION)]
"""A version of a publication, such as `20260102T030405.678901Z-0123456789ab`: they sort by time."""
Etag = Annotated[str, Meta(pattern=_ETAG, max_length=255)]
"""The ETag of an object, from its store; empty where it is not known. Requests have it in a
header."""
Moment = Annotated[str, Meta(pattern=_MOMENT)]
"""A date, or date and time, in ISO 8601; `moment` and `day` check the calendar."""

Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""An integer that every JSON parser reads exactly."""
_Leaf = Prose | Whole | float | bool | None
_Depth1 = Prose | Whole | float | bool | None | list[_Leaf] | dict[Line, _Leaf]
_Depth2 = Prose | Whole | float | bool | None | list[_Depth1] | dict[Line, _Depth1]
_Depth3 = Prose | Whole | float | bool | None | list[_Depth2] | dict[Line, _Depth2]
_Depth4 = Prose | Whole | float | bool | None | list[_Depth3] | dict[Line, _Depth3]
_Depth5 = Prose | Whole | float | bool | None | list[_Depth4] | dict[Line, _Depth4]
Free = dict[Line, _Depth5]
"""Keys and values that a team chooses (`meta`), nested at most six deep."""


def is_name(text: str) -> bool:
    """Checks whether a text is a `Name`, except for its length."""
    return bool(re.match(_NAME, text))


def is_mixed(text: str) -> bool:
    """Checks whether a word in a text mixes letters of alphabets that look the same, such as
    `оrders` with a Cyrillic `о`."""
    return not re.match(_UNMIXED, text)


class Unfit(ValueError):
    """A value is not valid. The message says where it is, and what is wrong with it, such as
    `meta: 1 is not valid`."""


def moment(text: str) -> datetime:
    """Returns the time of a `Moment` in UTC, which is also its zone if it has none. Raises
    Unfit."""
    try:
        when = datetime.fromisoformat(text)
        when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Unfit(f"{shown(text)} is not a date") from None
    if not 1900 <= when.year < 2200:
        raise Unfit(f"{shown(text)} is not a date from 1900 to 2199")
    return when


def day(text: str) -> date:
    """Returns the day of a `Moment`, in its own zone. Raises Unfit."""
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise Unfit(f"{shown(text)} is not a date") from None


# ── Decoding ──────────────────────────────────────────────────────────────────────────


def decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Decodes a JSON text. Raises Unfit, with the field and the value that are at fault."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Unfit(_explained(bytes(body), decoder.type, str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unfit(f"it is not a whole JSON file ({error})") from None
    except RecursionError:
        raise Unfit("it is nested too deeply") from None


MOST_VALUES = 5_000_000
"""How many values a JSON text that somebody else wrote may hold. The interface of 100,000 models
has fewer. In memory, a value takes many times the size of its JSON."""
MOST_EXPLAINED = 500_000
"""How many values a JSON text may hold for an error in it to be located."""


def bounded(body: bytes) -> bytes:
    """Returns the same JSON text. Raises Unfit where it may hold more than MOST_VALUES values."""
    if len(body) > MOST_VALUES and body.count(b",") > MOST_VALUES:
        raise Unfit(f"it holds more than {MOST_VALUES:,} values")
    return body


_AT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_REGEX = re.compile(r"Expected `[^`]*` matching regex (?P<regex>'.*')", re.DOTALL)


def _explained(body: bytes, kind: Any, error: str) -> str:
    """Returns msgspec's message with the value, and with the names of keys, which it leaves out."""
    found = _AT.fullmatch(error)
    assert found
    what = found["what"][:1].lower() + found["what"][1:]
    try:
        if body.count(b",") > MOST_EXPLAINED:
            raise LookupError
        keys, value = _found(msgspec.json.decode(body), kind, error, found)
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError):
        return f"{what} at {found['path'] or 'the top'}"
    where = ".".join(map(place, keys))
    if regex := _REGEX.fullmatch(found["what"]):
        meaning = next((text for key, text in PATTERNS.items() if repr(key) == regex["regex"]), "")
        if is_mixed(str(value)):
            meaning += f": it mixes letters that look the same ({ascii(value)[:LONGEST]})"
        return f"{where}: {shown(value)} {meaning or 'is not valid'}"
    if isinstance(value, dict | list):
        return f"{where}: {what}" if where else what
    return f"{f'{where}: ' if where else ''}{shown(value)} is not valid ({what})"


def _found(whole: Any, kind: Any, error: str, at: re.Match[str]) -> tuple[list[str | int], Any]:
    """Returns the path to what msgspec's error is about, and the value there, or the key itself.

    Raises LookupError or TypeError where it cannot be found.
    """
    path: list[re.Match[str] | None] = [*_STEP.finditer(at["path"] or "")]
    value: Any = whole
    keys: list[str | int] = []
    for step in [*path, None] if at["key"] else path:
        keys.append(_next(whole, keys, value, step, kind, error))
        value = value[keys[-1]]
    return keys, keys[-1] if at["key"] else value


def place(key: str | int) -> str:
    """Formats a key for a path such as `columns.id.name`."""
    return key if isinstance(key, str) and re.fullmatch(_WORD, key) else shown(key)


def _next(
    whole: Any, keys: list[Any], value: Any, step: re.Match[str] | None, kind: Any, error: str
) -> str | int:
    """Returns the key that a step of msgspec's path stands for."""
    if step is not None and step["field"]:
        return step["field"]
    if step is not None and step["index"]:
        return int(step["index"])
    # `[...]` stands for any value of a mapping. A binary search, as there may be many, finds the
    # one with which the whole has that error.
    candidates = [*value]
    while len(candidates) > 1:
        half = candidates[: len(candidates) // 2]
        try:
            msgspec.convert(_with(whole, keys, {key: value[key] for key in half}), kind)
        except msgspec.ValidationError as found:
            candidates = half if str(found) == error else candidates[len(half) :]
        else:
            candidates = candidates[len(half) :]
    return str(candidates[0])


def _with(whole: Any, keys: list[Any], new: Any) -> Any:
    """Returns a copy of `whole` with another value at the path `keys`."""
    if not keys:
        return new
    copy = list(whole) if isinstance(whole, list) else dict(whole)
    copy[keys[0]] = _with(whole[keys[0]], keys[1:], new)
    return copy
