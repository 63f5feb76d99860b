"""What a script of requests is made of.

In paths and bodies {p} is the run's own name, {r} the repository, {owner} its owner, {branch} its
default branch, {me} and {id} who asks; others are captured from answers. A path without a slash at
its beginning is one of the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.script import See
from tests.github_rules import Rule

SECRET = "gh secret set"
"""Not a request, but the command: the path is a name and an environment."""


@dataclass(frozen=True)
class SetUp:
    """A request that has to succeed. file: text that is sent as the body's `content`. gives: it may
    be refused, and then what `needs` that is not asked. captures: names → where in the answer.
    until: where in the answer, and what has to be there; it is asked again until then."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    file: str = ""
    gives: str = ""
    needs: str = ""
    captures: Mapping[str, str] = field(default_factory=dict)
    until: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        path = self.path if self.path.startswith("/") else f"/repos/{{r}}/{self.path}"
        if self.method == SECRET:
            name, _, environment = self.path.partition(" ")
            return f"{SECRET} {name} --env {environment} --repo {{r}}"
        body = dict(self.body or {}) | ({"content": "<a file>"} if self.file else {})
        sent = "" if self.body is None else json.dumps(body)
        return " ".join(filter(None, (self.method, path, sent)))


@dataclass(frozen=True)
class Question(SetUp):
    """A request whose answer is compared. of: where its rows are; where: only rows in which a key
    has a value; keep: keys, where rows count."""

    name: str = ""
    rule: Rule = Rule.ENVIRONMENT_SHOWN
    see: See = See.NUMBER
    of: str = ""
    where: tuple[str, str] = ("", "")
    keep: tuple[str, ...] = ()
    decides: str = ""

    @property
    def asked(self) -> str:
        return f"`{self}`"

    def refusal(self, number: int) -> str:
        return str(number)


Step = SetUp | Question


@dataclass(frozen=True)
class Away:
    """What is to be taken away: the entries of a list in whose `key` there is the run's name, each
    by these requests, with its keys in their paths and bodies."""

    list: str
    of: str
    key: str
    requests: tuple[tuple[str, str, Mapping[str, Any] | None], ...]

    @property
    def told(self) -> Iterator[str]:
        yield str(SetUp("GET", self.list))
        for method, path, body in self.requests:
            yield f"  each with {{p}} in `{self.key}`: {SetUp(method, path, body)}"


def at(answer: Any, path: str) -> Any:
    """What is at a path such as `jobs.0.name`; None where nothing is."""
    for part in filter(None, path.split(".")):
        if isinstance(answer, list):
            answer = answer[int(part)] if part.isdigit() and int(part) < len(answer) else None
        else:
            answer = answer.get(part) if isinstance(answer, dict) else None
    return answer
