"""Repairs common mistakes in dbt's YAML files that can mean only one thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from dbtmesh.doctor.yaml_nodes import CannotEdit, loaded

BARE_JINJA = re.compile(
    r"^(?P<head>\s*(?:- +)*(?:[\w+.'\"-]+: +)?)(?P<value>\{\{.*\}\})(?P<tail>\s*(?: #.*)?)$"
)
TAB = 2
"""How many spaces replace a tab. Any number will do, as long as it is the same for all tabs."""


def repaired(text: str) -> str | None:
    """Returns the text, repaired to be a YAML mapping. None where it is one already, or where no
    repair makes it one."""
    if _is_mapping(text):
        return None
    return next((each for each in _repairs(text) if _is_mapping(each)), None)


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(loaded(text), dict)
    except CannotEdit:
        return False


def _repairs(text: str) -> Iterator[str]:
    """Yields the text after each of the repairs, and then after each combination of them."""
    for number in range(1, len(REPAIRS) + 1):
        for chosen in combinations(REPAIRS, number):
            mended = text
            for repair in chosen:
                mended = repair(mended)
            yield mended


def _without_tabs(text: str) -> str:
    """Replaces tabs at the start and the end of lines and before comments, where YAML does not
    allow them."""
    return re.sub(
        r"^[ \t]*\t[ \t]*(?=\S)|[ \t]*\t[ \t]*(?=#|$)",
        lambda found: found[0].replace("\t", " " * TAB),
        text,
        flags=re.MULTILINE,
    )


def _with_quoted_jinja(text: str) -> str:
    """Quotes the value of `key: {{ value }}`, which YAML reads as a mapping in a mapping."""
    return "\n".join(map(_quoted, text.split("\n")))


def _quoted(line: str) -> str:
    found = BARE_JINJA.match(line)
    if not found:
        return line
    value = found["value"].replace("\\", "\\\\").replace('"', '\\"')
    return f'{found["head"]}"{value}"{found["tail"]}'


REPAIRS: tuple[Callable[[str], str], ...] = (_without_tabs, _with_quoted_jinja)
