"""Makes YAML of a text that nearly is: the mistakes that people make in dbt's files, of which each
has one meaning only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from dbtmesh.doctor.yaml_nodes import CannotEdit, loaded

BARE_JINJA = re.compile(
    r"^(?P<head>\s*(?:- +)*(?:[\w+.'\"-]+: +)?)(?P<value>\{\{.*\}\})(?P<tail>\s*(?: #.*)?)$"
)
TAB = 2
"""Blanks that stand for a tab; how many does not matter, as long as all have as many."""


def repaired(text: str) -> str | None:
    """The text as a mapping that YAML has; None where it is one, or where it cannot be told which
    was meant."""
    if _is_mapping(text):
        return None
    return next((each for each in _repairs(text) if _is_mapping(each)), None)


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(loaded(text), dict)
    except CannotEdit:
        return False


def _repairs(text: str) -> Iterator[str]:
    """The text with one of the mistakes mended, or with more of them."""
    for number in range(1, len(REPAIRS) + 1):
        for chosen in combinations(REPAIRS, number):
            mended = text
            for repair in chosen:
                mended = repair(mended)
            yield mended


def _without_tabs(text: str) -> str:
    """Tabs at the start of lines and before comments, which YAML does not take there."""
    return re.sub(
        r"^[ \t]*\t[ \t]*(?=\S)|[ \t]*\t[ \t]*(?=#|$)",
        lambda found: found[0].replace("\t", " " * TAB),
        text,
        flags=re.MULTILINE,
    )


def _with_quoted_jinja(text: str) -> str:
    """`key: {{ value }}`, which YAML reads as a mapping in a mapping."""
    return "\n".join(map(_quoted, text.split("\n")))


def _quoted(line: str) -> str:
    found = BARE_JINJA.match(line)
    if not found:
        return line
    value = found["value"].replace("\\", "\\\\").replace('"', '\\"')
    return f'{found["head"]}"{value}"{found["tail"]}'


REPAIRS: tuple[Callable[[str], str], ...] = (_without_tabs, _with_quoted_jinja)
