"""Saves the answers given before Ctrl-C to a data file, and prints the command that continues.

Copier passes the answers so far to every template that it renders, also to the defaults and
validators of questions. If the program ends while it asks questions, the last answers seen are
written to a file. With `--data-file`, Copier does not ask for them again.
"""

from __future__ import annotations

import atexit
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from copier_template_extensions import ContextHook

OPERATIONS = ("copy", "update", "recopy")
DATA_FILE = "--data-file"


@dataclass(frozen=True)
class Seen:
    """The answers at one moment.

    answers: all answers so far.
    given: those of --data.
    recorded: the answers file of an existing member.
    """

    answers: Mapping[str, Any]
    given: Mapping[str, Any]
    recorded: Path


class State:
    """The state of this process, in which Copier asks questions once.

    asked: keys of the questions that are asked; empty until then.
    last: None while no question is open.
    """

    asked: frozenset[str] = frozenset()
    last: Seen | None = None


class Unfinished(ContextHook):
    """Observes the answers while Copier asks. It changes nothing."""

    def hook(self, context: dict[str, Any]) -> None:
        if context.get("_copier_phase") != "prompt":
            State.last = None
            return
        conf = context["_copier_conf"]
        if conf["defaults"] or not sys.stdin.isatty():
            return
        if not State.asked:
            # read now, because the template's clone is gone at the end
            questions = _mapping(Path(conf["src_path"], "copier.yml"))
            State.asked = frozenset(
                key for key, each in questions.items() if each.get("ask") is not False
            )
            atexit.register(tell)
        if answers_file := str(conf["answers_file"]):  # empty until Copier has rendered its name
            State.last = Seen(
                answers=dict(context["_copier_answers"]),
                given=dict(conf["data"]),
                recorded=Path(conf["dst_path"], answers_file),
            )


def tell() -> None:
    """Saves the answers at the end of the program, unless all questions were answered or none."""
    seen, State.last = State.last, None
    operation = next((word for word in sys.argv[1:] if word in OPERATIONS), None)
    if not seen or not operation:
        return
    try:
        kept = typed(seen)
        if kept.keys() <= seen.given.keys():
            return
        handle, path = tempfile.mkstemp(prefix="copier-dbt-mesh-", suffix=".yml")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(kept, file, sort_keys=False, allow_unicode=True)
    except OSError as error:
        print(f"note: your answers could not be saved: {error.strerror}", file=sys.stderr)
        return
    command = shlex.join(["copier", *again(sys.argv[1:], operation, path)])
    print(f"Your answers are saved. To go on from there:\n  {command}", file=sys.stderr)


def typed(seen: Seen) -> dict[str, Any]:
    """Returns the answers of --data, and those typed at prompts that differ from recorded ones."""
    recorded = _mapping(seen.recorded)
    return {
        key: value
        for key, value in seen.answers.items()
        if key in seen.given
        or (key in State.asked and not (key in recorded and recorded[key] == value))
    }


def _mapping(path: Path) -> dict[str, Any]:
    """Returns a YAML file's mapping without Copier's own keys (`_…`); empty if it is unreadable."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, RecursionError):
        return {}
    except (ValueError, LookupError, AttributeError, TypeError, OverflowError):  # `!!bool x`
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {key: value for key, value in loaded.items() if not str(key).startswith("_")}


def again(words: Sequence[str], operation: str, path: str) -> list[str]:
    """Returns the same command with this data file, which includes what an earlier one said."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word.startswith(f"{DATA_FILE}="):
            skip = False
        elif word == DATA_FILE:
            skip = True
        else:
            kept.append(word)
    at = kept.index(operation) + 1
    return [*kept[:at], DATA_FILE, path, *kept[at:]]
