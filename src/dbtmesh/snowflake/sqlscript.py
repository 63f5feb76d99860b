"""Reads the SQL files of snowflake/ as data: each statement with its place, role and meaning. Pure.

The plan, the matrix and `verify` are derived from these files. So a statement that a member adds is
planned, shown and expected like those of the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.snowflake.objects import Grant, Object
from dbtmesh.snowflake.statements import Meaning, Verb, understand
from dbtmesh.warehouse.names import canonical

# Comments, strings and quoted names may contain semicolons; $$…$$ encloses the body of a script.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One statement of a file, and its meaning.

    role: the admin role that runs it. why: the comment above it.
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
    """Returns the statements of the files, in the given order. USE ROLE is no step of its own, but
    the role of those after it.

    scripts: file name → text. Raises MeshError, with file and line, where an update has left the
    markers of a conflict, or where there is no USE ROLE before a statement.
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
    """Raises MeshError at the first marker of a merge conflict."""
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise MeshError(
            f"{file}:{line}: `{found[0][:40]}` is a marker of a merge conflict: keep one of the "
            "two sides and delete the markers, or `scripts/doctor.py --fix --take yours|template`"
        )


def split(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields (line, comment above, statement) for each statement, without its semicolon.

    `snowflake.connector.util_text.split_statements` returns neither lines nor comments, and
    importing the connector takes a second. Tests check that both find the same statements.
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
            # A blank line separates a comment, such as a file's header, from what follows.
            if "\n\n" in text[at : token.start()]:
                comment = []
            comment.append(token["comment"].lstrip("-/* ").rstrip("*/ "))
            start = token.end()
        at = token.end()
    if found := statement(len(text)):
        yield found


_USE_ROLE = re.compile(r'USE\s+ROLE\s+("(?:[^"]|"")+"|[A-Za-z_][\w$]*)', re.IGNORECASE)
