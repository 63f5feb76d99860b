"""Defines the steps of a script of requests.

Placeholders in paths and bodies: {p} is the run's own name, {r} the repository, {owner} its owner,
{branch} its default branch, {me} and {id} the login and id of the user. Others are captured from
responses. A path without a leading slash is relative to the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.script import See
from tests.github_rules import Rule

SECRET = "gh secret set"
"""In place of a method: this command of `gh`. The path is then a name and an environment."""


@dataclass(frozen=True)
class SetUp:
    """A request that has to succeed.

    file: text to send as the body's `content`.
    gives: what it makes possible. It may be refused; then steps that need this are left out.
    needs: what another step has to have given.
    captures: names, and the paths of their values in the response.
    until: a path in the response and its expected value. The request is repeated until then.
    """

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
    """A request whose response is compared.

    of: the path of its rows.
    where: a key and a value, to compare only rows with that value.
    keep: the keys of rows to compare.
    """

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
    """What to remove: the entries of a list whose `key` contains the run's name.

    Each is removed by these requests, with the entry's values in paths and bodies.
    """

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
    """Returns the value at a path such as `jobs.0.name`; None if there is none."""
    for part in filter(None, path.split(".")):
        if isinstance(answer, list):
            answer = answer[int(part)] if part.isdigit() and int(part) < len(answer) else None
        else:
            answer = answer.get(part) if isinstance(answer, dict) else None
    return answer
