"""Sends the script's requests to a repository, real or not, and removes everything again."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dbtmesh import MeshError
from tests.conformance.github.questions import CLEAN_UP, SCRIPT
from tests.conformance.github.script import SECRET, Away, Question, SetUp, Step, at
from tests.conformance.running import Asked, Stopped, cleaned_up
from tests.conformance.script import NOT_ASKED, Answer, See

LOOKS, PAUSE = 120, 5.0
"""How often it checks what is not ready, and the seconds in between."""
GONE = 404


class Asks(Protocol):
    """Sends requests."""

    def send(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Returns status and JSON. Raises MeshError where there is no response."""

    def set_secret(self, name: str, environment: str, repository: str) -> bool:
        """Sets a secret to a value that is not secret. Returns whether that was possible."""


@dataclass
class Run:
    """The names of one run, by placeholder, with what is captured from responses.

    repository: owner/name.
    prefix: the prefix of all names that the run creates.
    """

    repository: str
    prefix: str
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = self.repository.partition("/")[0]
        names = {"p": self.prefix, "P": self.prefix.upper(), "r": self.repository, "owner": owner}
        self.names = {**names, **self.names}

    def text(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def path(self, step: SetUp) -> str:
        path = step.path if step.path.startswith("/") else f"/repos/{{r}}/{step.path}"
        return self.text(path)

    def body(self, step: SetUp) -> bytes:
        body = dict(step.body or {})
        if step.file:
            body["content"] = base64.b64encode(self.text(step.file).encode()).decode()
        if not body and step.body is None:
            return b""
        number = self.names.get("id", "0")
        return self.text(json.dumps(body).replace('"{id}"', number)).encode()

    def neutral(self, value: object) -> str:
        """Returns a value with placeholders instead of the run's names."""
        text = str(value).replace(self.prefix, "{p}")
        whole = {self.names.get("branch"): "{branch}", self.names.get("me"): "{me}"}
        return whole.get(text, text)


def requests() -> Iterator[str]:
    """Yields every request of a run, in order; a repeated one only once."""
    yield "GET /user"
    yield "GET /repos/{r}"
    yield "GET /repos/{r}/git/ref/heads/{branch}"
    yield "only where it is empty: PUT /repos/{r}/contents/README.md (this stays)"
    for step in SCRIPT:
        text = str(step)
        key, value = step.until
        yield f"{text}  (again until {key} is {value})" if key else text
    for away in CLEAN_UP:
        yield from away.told


def ask(
    asks: Asks,
    run: Run,
    progress: Callable[[int], None] = lambda _: None,
    pause: float = PAUSE,
) -> Asked:
    """Asks everything, and cleans up at the end, also after an error, Ctrl-C or a termination.

    Raises:
        Stopped: where it cannot go on, or something is left.
    """
    try:
        _begin(asks, run)
        with cleaned_up(lambda: _clean_up(asks, run, pause)):
            return _ask(asks, run, progress, pause)
    except MeshError as error:
        raise Stopped(str(error)) from None


def _begin(asks: Asks, run: Run) -> None:
    """Reads user and repository. An empty repository gets its first commit. Raises MeshError."""
    _, me = asks.send("GET", "/user", b"")
    status, here = asks.send("GET", f"/repos/{run.repository}", b"")
    if status >= 300:
        raise Stopped(
            f"GitHub answers {status} for {run.repository}: it does not exist or is hidden"
        )
    run.names |= {"me": str(at(me, "login")), "id": str(at(me, "id"))}
    run.names["branch"] = str(at(here, "default_branch"))
    status, _ = asks.send("GET", run.text("/repos/{r}/git/ref/heads/{branch}"), b"")
    if status >= 300:
        text = "Questions are asked here of GitHub; this repository can be deleted.\n"
        first = SetUp("PUT", "contents/README.md", {"message": "First commit"}, text)
        status, _ = asks.send("PUT", run.path(first), run.body(first))
        if status >= 300:
            raise Stopped(f"the first commit is refused with {status}: write access is needed")


def _ask(asks: Asks, run: Run, progress: Callable[[int], None], pause: float) -> Asked:
    asked = Asked()
    for number, step in enumerate(SCRIPT):
        progress(number)
        if step.needs in asked.lacks:
            if isinstance(step, Question):
                asked.answers[step.name] = Answer(NOT_ASKED)
            continue
        status, answer = _send(asks, run, step)
        key, value = step.until
        looks = 1
        while key and str(at(answer, key)) != value:
            if looks == LOOKS:
                raise Stopped(f"{key} is not {value} after {looks} looks: {run.text(str(step))}")
            time.sleep(pause)
            status, answer = _send(asks, run, step)
            looks += 1
        run.names |= {name: str(at(answer, path)) for name, path in step.captures.items()}
        if isinstance(step, Question):
            asked.answers[step.name] = _answer(step, run, status, answer)
        elif status >= 300 and step.gives:
            asked.lacks.add(step.gives)
        elif status >= 300:
            raise Stopped(f"setting up was refused with {status}: {step}")
    return asked


def _send(asks: Asks, run: Run, step: Step) -> tuple[int, Any]:
    if step.method == SECRET:
        name, _, environment = run.text(step.path).partition(" ")
        return (200 if asks.set_secret(name, environment, run.repository) else GONE), None
    return asks.send(step.method, run.path(step), run.body(step))


def _answer(question: Question, run: Run, status: int, answer: Any) -> Answer:
    if status >= 300:
        return Answer(1 if question.see is See.REFUSED else status)
    if question.see is See.COLUMNS:
        return Answer(0, tuple(sorted((key,) for key in answer or ())))
    if question.see is not See.ROWS:
        return Answer(0)
    found = at(answer, question.of)
    rows: Sequence[Any] = found if isinstance(found, list) else [found]
    key, value = question.where
    return Answer(
        0,
        tuple(
            sorted(
                tuple(run.neutral(at(row, name)) for name in question.keep)
                for row in rows
                if not key or at(row, key) == value
            )
        ),
    )


def _clean_up(asks: Asks, run: Run, pause: float) -> None:
    """Removes all that the run may have made, and retries what could not be removed yet."""
    left: list[str] = []
    for attempt in range(3):
        if attempt:
            time.sleep(pause)
        left = [line for away in CLEAN_UP for line in _take_away(asks, run, away)]
        if not left:
            return
    print(f"what is left in {run.repository} has to be removed by hand:", file=sys.stderr)
    print(*(f"  {line}" for line in left), sep="\n", file=sys.stderr)
    raise Stopped("not everything could be removed")


def _take_away(asks: Asks, run: Run, away: Away) -> Iterator[str]:
    """Removes entries of a list. Yields those that are left."""
    try:
        for entry in _entries(asks, run, away):
            names = {key: str(value) for key, value in entry.items()}
            its = Run(run.repository, run.prefix, names)
            for method, path, body in away.requests:
                step = SetUp(method, path, body)
                status, _ = asks.send(method, its.path(step), its.body(step))
            if status >= 300 and status != GONE:
                yield f"{method} {its.path(step)}: {status}"
    except MeshError as error:
        yield f"{run.text(away.list)}: {error}"


def _entries(asks: Asks, run: Run, away: Away) -> list[dict[str, Any]]:
    status, answer = asks.send("GET", run.path(SetUp("GET", away.list)), b"")
    if status >= 300:
        return []
    found = at(answer, away.of)
    entries = found if isinstance(found, list) else []
    return [each for each in entries if run.prefix in str(at(each, away.key))]
