"""Refuses invalid answers that nobody typed at a prompt, in one line, before anything is written.

Copier itself prints a traceback for an invalid answer from `--data` or a data file. It silently
accepts keys that are not questions, also in `--ask`, and it replaces an invalid answer in the
answers file by the default. The first question's `ask` calls this filter, which refuses all of
these with Copier's own error for people (`UserMessageError`: one line, exit status 1).
"""

from __future__ import annotations

import difflib
import fnmatch
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from copier.errors import UserMessageError
from jinja2 import Environment, nodes, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

Question = Mapping[str, Any]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C: the one in Python would take a tenth of the time of a copy."""

TRUE, FALSE = {"y", "yes", "t", "true", "on", "1"}, {"n", "no", "f", "false", "off", "0"}
"""What Copier accepts as yes and as no."""


def text(answer: Any) -> str:
    """Reads an answer of type `str`, as Copier does. Raises ValueError, as the next two do."""
    if not isinstance(answer, str):  # 1.10 of a YAML file would be 1.1 here
        raise ValueError(f"{answer!r} is not text: put it in quotes")
    return answer


def whole_number(answer: Any) -> int:
    try:
        if isinstance(answer, str | int) and not isinstance(answer, bool):
            return int(answer)
    except ValueError:
        pass
    raise ValueError(f"{answer!r} is not a whole number")


def yes_or_no(answer: Any) -> bool:
    word = str(answer).lower()
    if word not in TRUE | FALSE:
        raise ValueError(f"{answer!r} is neither yes nor no")
    return word in TRUE


TYPES: Mapping[str, Callable[[Any], Any]] = {"str": text, "int": whole_number, "bool": yes_or_no}


def values_of(choices: Any) -> list[Any]:
    """Returns the answers that a question offers, in any of the forms that copier.yml allows.

    These are a list, answers by label, and answers with a validator by label.
    """
    offered = choices.values() if isinstance(choices, dict) else choices or []
    return [each["value"] if isinstance(each, dict) else each for each in offered]


class Form:
    """The questions, and the answers given so far.

    A question without an answer has its default, which is computed when a validator needs it.
    """

    def __init__(
        self, questions: Mapping[str, Question], given: Mapping[str, Any], context: Context
    ) -> None:
        self.questions = questions
        self.environment: Environment = context.environment
        self.values: dict[str, Any] = {
            key: value for key, value in context.get_all().items() if key not in questions
        }
        self.given = given

    def problem(self, key: str) -> str:
        """Says in one line what is wrong with the answer to a question; empty if it is valid."""
        question = self.questions[key]
        try:
            answer = self.value(key)
        except ValueError as error:
            return str(error)
        allowed = values_of(question.get("choices"))
        if allowed and answer not in allowed:
            return f"{answer!r} is not one of {', '.join(allowed)}"
        return self.rendered(question.get("validator", "")).strip()

    def value(self, key: str) -> Any:
        """Returns the answer, or the default. Raises ValueError where it is of a wrong type."""
        if key not in self.values:
            question = self.questions[key]
            answer = self.given[key] if key in self.given else self.default(question)
            of_type = TYPES.get(question["type"])
            self.values[key] = of_type(answer) if of_type else answer
        return self.values[key]

    def default(self, question: Question) -> Any:
        default = question["default"]
        return self.rendered(default) if isinstance(default, str) else default

    def rendered(self, template: str) -> str:
        if "{" not in template:
            return template
        parsed = self.environment.parse(template)
        # includes variables that the template sets itself; `jinja2.meta` would have to compile it
        names = {name.name for name in parsed.find_all(nodes.Name)}
        seen = {name: self.value(name) for name in names & self.questions.keys()}
        return self.environment.from_string(parsed).render({**self.values, **seen})


@pass_context
def accepted(context: Context, recorded: Mapping[str, Any], conf: Mapping[str, Any]) -> bool:
    """Returns True. Raises UserMessageError on the first answer that is not valid.

    recorded: `_copier_answers`, which at the first question holds only recorded answers.
    conf: `_copier_conf`.
    """
    data: Mapping[str, Any] = conf["data"]
    # for an update, Copier renders the old version with a whole answers file as data
    whole_file = "_commit" in data
    source = Path(conf["src_path"], "copier.yml").read_text(encoding="utf-8")
    every = yaml.load(source, LOADER)  # noqa: S506  a safe one
    questions = {key: each for key, each in every.items() if not key.startswith("_")}
    asked = [key for key, each in questions.items() if each.get("when") is not False]
    for key in () if whole_file else data:
        if key not in asked:
            raise UserMessageError(f"error: {unknown(key, asked)}")
    for pattern in () if whole_file else to_ask(sys.argv):
        if not fnmatch.filter(asked, pattern):
            raise UserMessageError(f"error: --ask: {unknown(pattern, asked)}")
    given = {**recorded, **data}
    for key in given.keys() & questions.keys() - set(asked):
        # Copier would use this value instead of computing it
        raise UserMessageError(
            f"error: {conf['answers_file']}: {key} is computed from other answers: remove it"
        )
    form = Form(questions, given, context)
    for key in asked:
        if key in form.given and (problem := form.problem(key)):
            where, way_out = "", ""
            if whole_file or key not in data:
                where = f"{conf['answers_file']}: "
                way_out = " (correct it there)" if whole_file else f" (give it by --data {key}=…)"
            raise UserMessageError(f"error: {where}{key}: {problem}{way_out}")
    return True


def to_ask(words: Sequence[str]) -> list[str]:
    """Returns the patterns of `--ask` in Copier's command line.

    Copier ignores patterns that match nothing, and does not pass them to templates.
    """
    if Path(words[0]).stem != "copier":
        return []
    flag = "--ask"
    given = [word.removeprefix(f"{flag}=") for word in words if word.startswith(f"{flag}=")]
    return given + [word for before, word in pairwise(words) if before == flag]


def unknown(key: str, asked: list[str]) -> str:
    near = difflib.get_close_matches(key, asked, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "copier.yml of the template lists them"
    shown = key if key.isidentifier() else repr(key)
    return f"{shown} is not a question of this template: {hint}"


class GivenAnswers(Extension):
    """Adds the filter `accepted` to Copier's Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["accepted"] = accepted
