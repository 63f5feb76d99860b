"""Asks an account, real or not, the script's questions, and drops everything again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error, ProgrammingError

from tests.conformance.running import Asked, Stopped, cleaned_up
from tests.conformance.script import NOT_ASKED, Answer, See
from tests.conformance.snowflake.questions import ADMINS, CLEAN_UP, SCRIPT
from tests.conformance.snowflake.script import Question, Step
from tests.snowflake_standin.fixtures import rsa_key

Connect = Callable[[], SnowflakeConnection]
SECONDS = 20 * 60
"""The limit of a run: a third of a credit of an XSMALL warehouse, if it never suspends."""


@dataclass(frozen=True)
class Run:
    """The names of one run. prefix: of all that it creates. user: the current user, as in SQL."""

    prefix: str
    user: str

    def sql(self, text: str) -> str:
        """Returns a statement of the script with the run's names."""
        keys = {
            f"{{key{n}}}": rsa_key(f"conformance {n}").public
            for n in range(1, 5)
            if f"{{key{n}}}" in text
        }
        for placeholder, value in {"{p}": self.prefix, "{me}": self.user, **keys}.items():
            text = text.replace(placeholder, value)
        return text

    def role(self, step: Step) -> str:
        return step.role if step.role in ADMINS else f"{self.prefix}_{step.role}"

    def neutral(self, value: object) -> str:
        """Returns a cell with placeholders instead of the run's names."""
        text = str(value).replace(self.prefix, "{p}")
        return "{me}" if text == self.user.strip('"') else text


def statements(run: Run) -> Iterator[str]:
    """Yields every statement of a run, in order."""
    role = ""
    yield "USE SECONDARY ROLES NONE"
    for step in SCRIPT:
        if run.role(step) != role:
            role = run.role(step)
            yield f"USE ROLE {role}"
        yield run.sql(step.sql)
    yield "USE ROLE ACCOUNTADMIN"
    yield from (run.sql(sql) for sql in CLEAN_UP)


def ask(connect: Connect, run: Run, progress: Callable[[int], None] = lambda _: None) -> Asked:
    """Asks everything, and cleans up at the end, also after an error, Ctrl-C or a termination.

    Raises:
        Stopped: where it cannot go on, or something is left.
    """
    connection = connect()
    with cleaned_up(lambda: _clean_up(connection, connect, run)):
        try:
            return _ask(connection, run, progress)
        except Error as error:
            raise Stopped(f"the connection failed: {error.errno}") from None


def _ask(connection: SnowflakeConnection, run: Run, progress: Callable[[int], None]) -> Asked:
    asked, role, begun = Asked(), "", time.monotonic()
    cursor = connection.cursor()
    cursor.execute("USE SECONDARY ROLES NONE")
    for number, step in enumerate(SCRIPT):
        progress(number)
        if time.monotonic() - begun > SECONDS:
            raise Stopped(f"it took longer than {SECONDS // 60} minutes")
        if step.needs in asked.lacks:
            if isinstance(step, Question):
                asked.answers[step.name] = Answer(NOT_ASKED)
            continue
        try:
            if run.role(step) != role:
                role = run.role(step)
                cursor.execute(f"USE ROLE {role}")
            cursor.execute(run.sql(step.sql))
            found = cursor.fetchall()
        except ProgrammingError as error:
            _refused(asked, step, error)
            continue
        if isinstance(step, Question):
            columns = [column.name.lower() for column in cursor.description]
            asked.answers[step.name] = Answer(0, tuple(_cells(step, run, columns, found)))
    return asked


def _refused(asked: Asked, step: Step, error: ProgrammingError) -> None:
    if isinstance(step, Question):
        number = 1 if step.see is See.REFUSED else int(error.errno or 0) or 1
        asked.answers[step.name] = Answer(number)
    elif step.gives:
        asked.lacks.add(step.gives)
    else:
        raise Stopped(f"setting up was refused with {error.errno:06d}: {step.sql}")


def _cells(
    question: Question, run: Run, columns: Sequence[str], rows: Sequence[Any]
) -> Iterator[tuple[str, ...]]:
    if question.see is See.COLUMNS:
        yield from sorted((name,) for name in columns)
    if question.see is See.ROWS:
        dicts: list[Mapping[str, object]] = [dict(zip(columns, r, strict=True)) for r in rows]
        yield from sorted(
            tuple(run.neutral(row.get(name, "no such column")) for name in question.keep)
            for row in dicts
        )


def _clean_up(connection: SnowflakeConnection, connect: Connect, run: Run) -> None:
    """Drops all that the run may have created. If that fails, a new connection tries once more."""
    left: list[str] = []
    for attempt in (connection, None):
        try:
            left = _drop(attempt or connect(), run)
        except Error:
            left = [run.sql(sql) for sql in CLEAN_UP]
        if not left:
            return
    print("what is left has to be dropped by hand, as ACCOUNTADMIN:", file=sys.stderr)
    print(*(f"  {sql};" for sql in left), sep="\n", file=sys.stderr)
    raise Stopped("not everything could be dropped")


def _drop(connection: SnowflakeConnection, run: Run) -> list[str]:
    cursor = connection.cursor()
    cursor.execute("USE ROLE ACCOUNTADMIN")
    left = []
    for sql in CLEAN_UP:
        try:
            cursor.execute(run.sql(sql))
        except ProgrammingError:
            left.append(run.sql(sql))
    connection.close()
    return left
