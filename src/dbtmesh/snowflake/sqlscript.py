"""Reads the SQL files of snowflake/ as data: every statement with its place, its role and its
meaning.

What the files say is what counts: plan, matrix and verify are derived from them, so a statement
that a member adds there is planned, shown and expected like those of the template. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.snowflake.objects import Grant, Object
from dbtmesh.snowflake.statements import Meaning, Verb, understand
from dbtmesh.warehouse.names import canonical

# Comments, strings and quoted names may hold a semicolon; $$…$$ is a body of a script.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One statement of a file, and what it says.

    role: the admin role that it runs under. why: the comment above it.
    """

    file: str
    line: int
    role: str
    statement: str
    why: str
    meaning: Meaning

    @property
    def verb(self) -> Verb:
        return self.meaning.verb

    @property
    def object(self) -> Object | None:
        return self.meaning.object

    @property
    def properties(self) -> Mapping[str, str]:
        return self.meaning.properties

    @property
    def grants(self) -> tuple[Grant, ...]:
        return self.meaning.grants

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_steps(scripts: Mapping[str, str]) -> list[Step]:
    """Every statement of the files, in the order given, but USE ROLE, which is the steps' role.

    scripts: file name → text. Raises MeshError, with file and line, where an update has left marks
    of a conflict, or where no USE ROLE says under which role a statement runs.
    """
    steps = []
    for file, text in scripts.items():
        refuse_conflicts(file, text)
        role = why = ""
        for line, comment, statement in split(text):
            why = comment or why
            if use := _USE_ROLE.fullmatch(statement):
                role, why = canonical(use[1]), ""
            elif not role:
                raise MeshError(
                    f"{file}:{line}: no USE ROLE before this statement: say which role runs it"
                )
            else:
                steps.append(Step(file, line, role, statement, why, understand(statement)))
    return steps


_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?\r?$", re.MULTILINE)


def refuse_conflicts(file: str, text: str) -> None:
    """Raises MeshError at the first line that a merge has left for somebody to decide."""
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise MeshError(
            f"{file}:{line}: `{found[0][:40]}` is the mark of a merge conflict: keep one of the "
            "two sides and delete the marks, or `scripts/doctor.py --fix --take yours|template`"
        )


def split(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, comment above, statement) of every statement, the semicolon left out.

    `snowflake.connector.util_text.split_statements` has neither lines nor comments, and importing
    the connector takes a second; the tests hold the two to the same statements.
    """
    start = at = 0
    comment: list[str] = []

    def statement(end: int) -> tuple[int, str, str] | None:
        body = text[start:end]
        sql = body.strip()
        if not sql:
            return None
        line = text.count("\n", 0, start + len(body) - len(body.lstrip())) + 1
        return line, " ".join(comment), sql

    for token in TOKEN.finditer(text):
        if token["end"]:
            if found := statement(token.start()):
                yield found
            start, comment = token.end(), []
        elif token["comment"] and not text[start : token.start()].strip():
            # Blank lines part a comment from what it is about: the header of a file, for one.
            if "\n\n" in text[at : token.start()]:
                comment = []
            comment.append(token["comment"].lstrip("-/* ").rstrip("*/ "))
            start = token.end()
        at = token.end()
    if found := statement(len(text)):
        yield found


_USE_ROLE = re.compile(r'USE\s+ROLE\s+("(?:[^"]|"")+"|[A-Za-z_][\w$]*)', re.IGNORECASE)
