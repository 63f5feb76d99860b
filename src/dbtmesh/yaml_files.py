"""Loads YAML as people write it, with errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbtmesh.files import read_bounded
from dbtmesh.output.words import one_line

MOST = 8 * 2**20
"""The limit in bytes for a YAML file. PyYAML takes a minute for so many."""
MOST_VALUES = 1_000_000
"""The limit for the values in a YAML file, with all that its aliases stand for."""
LONGEST = 200
"""How many characters of PyYAML's messages are shown."""


class NotYaml(ValueError):
    """A text is not valid YAML. The message is the reason. where: ` (line 3)`, or empty where that
    is not known."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.where = "" if line is None else f" (line {line})"


def load(body: bytes | str) -> Any:
    """Loads a YAML text, with safe types only.

    Raises NotYaml for any other text, also where it nests, or its aliases multiply, without end.
    """
    import yaml

    if len(body) > MOST:
        raise NotYaml(f"it has more than {MOST:,} bytes")
    try:
        # Not by PyYAML's faster loader in C: a text that nests without end would crash the process.
        value = yaml.safe_load(body)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(_problem(error), mark.line + 1 if mark else None) from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None
    except ValueError as error:  # a date such as 2026-13-01
        reason = one_line(error, LONGEST)
        raise NotYaml(f"it holds a value that does not fit its type ({reason})") from None
    except (LookupError, AttributeError, TypeError, OverflowError):  # `!!bool x`
        raise NotYaml("it holds a value that does not fit its type") from None
    if (b"&" if isinstance(body, bytes) else "&") in body:  # type: ignore[operator]
        _count(value, {}, set())
    return value


def mapping(path: Path) -> dict[str, Any]:
    """Returns the mapping in a YAML file; an empty one where the file cannot be read, or holds
    anything else. Callers leave it to others to report that."""
    try:
        loaded = load(read_bounded(path))
    except (OSError, NotYaml):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _problem(error: Exception) -> str:
    problem = getattr(error, "problem", None)
    return one_line(problem or "a character that YAML does not allow", LONGEST)


def _count(value: Any, known: dict[int, int], above: set[int]) -> int:
    """Counts the values in a value, with all that aliases stand for, as often as they are used.
    Raises NotYaml where there are too many, or where one contains itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in above:
        raise NotYaml("an alias stands for a value that contains it")
    if id(value) not in known:
        above.add(id(value))
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(part, known, above) for part in parts)
        above.remove(id(value))
        if known[id(value)] > MOST_VALUES:
            raise NotYaml(f"its aliases stand for more than {MOST_VALUES:,} values")
    return known[id(value)]
