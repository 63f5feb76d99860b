"""The SQL files of snowflake/ as data: every statement with its place, its role and its meaning.

What the files say is what counts: plan, matrix and verify are derived from them, so a statement
that a member adds there is planned, shown and expected like those of the template. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from dbtmesh import MeshError
from dbtmesh.snowflake.objects import Grant, Object, Scope
from dbtmesh.warehouse.names import canonical

# Comments, strings and quoted names may hold a semicolon; $$…$$ is a body of a script.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*))*'
OBJECT_KINDS = (
    "AUTHENTICATION POLICY",
    "NETWORK POLICY",
    "RESOURCE MONITOR",
    "DATABASE ROLE",
    "DYNAMIC TABLE",
    "WAREHOUSE",
    "DATABASE",
    "SCHEMA",
    "TABLE",
    "VIEW",
    "ROLE",
    "USER",
)
VALUE = r"\((?:[^()']|'(?:[^']|'')*')*\)|'(?:[^']|'')*'|[\w$.\-]+"


class Verb(Enum):
    """What a statement does; OTHER is one that the template does not write."""

    CREATE = "CREATE"
    ALTER = "ALTER"
    GRANT = "GRANT"
    DROP = "DROP"
    OTHER = ""


@dataclass(frozen=True)
class Step:
    """One statement of a file.

    role: the admin role that it runs under. why: the comment above it.
    properties: of CREATE and ALTER … SET, by name, as written.
    """

    file: str
    line: int
    role: str
    statement: str
    why: str
    verb: Verb = Verb.OTHER
    object: Object | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()

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
                steps.append(_understood(Step(file, line, role, statement, why)))
    return steps


_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?$", re.MULTILINE)


def refuse_conflicts(file: str, text: str) -> None:
    """Raises MeshError at the first line that a merge has left for somebody to decide."""
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise MeshError(
            f"{file}:{line}: `{found[0][:40]}` is the mark of a merge conflict: keep one of the "
            "two sides and delete the marks"
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


def _rule(pattern: str) -> re.Pattern[str]:
    """A pattern in which a blank is any white space, {kind} a kind of object and {name} a name."""
    kinds = "|".join(OBJECT_KINDS)
    text = pattern.replace("{kind}", f"({kinds})").replace("{kinds}", f"({kinds})S")
    text = text.replace("{name}", f"({NAME})")
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


_USE_ROLE = _rule("USE ROLE {name}")
_CREATE = _rule("CREATE {kind} IF NOT EXISTS {name}(.*)")
_ALTER = _rule(r"ALTER {kind}(?: IF EXISTS)? {name} ((?:UN)?SET\b.*)")
_DROP = _rule("DROP {kind} IF EXISTS {name}")
_GRANT_ROLE = _rule("GRANT (DATABASE ROLE|ROLE) {name} TO (DATABASE ROLE|ROLE|USER) {name}")
_GRANT_MANY = _rule(
    "GRANT (.+?) ON (ALL|FUTURE) {kinds} IN (?:DATABASE|SCHEMA) {name} "
    "TO (DATABASE ROLE|ROLE) {name}"
)
_GRANT_ONE = _rule(
    "GRANT (.+?) ON {kind} {name} TO (DATABASE ROLE|ROLE) {name}"
    "(?: (?:COPY|REVOKE) CURRENT GRANTS)?"
)
_PROPERTY = re.compile(rf"(\w+)\s*=\s*({VALUE})")


def _understood(step: Step) -> Step:
    """The step with what its statement says; as it is where no rule knows the statement."""
    statement = step.statement
    if found := _CREATE.fullmatch(statement) or _ALTER.fullmatch(statement):
        return replace(
            step,
            verb=Verb.CREATE if found.re is _CREATE else Verb.ALTER,
            object=_object(found[1], found[2]),
            properties={key.upper(): value for key, value in _PROPERTY.findall(found[3])},
        )
    if found := _DROP.fullmatch(statement):
        return replace(step, verb=Verb.DROP, object=_object(found[1], found[2]))
    if found := _GRANT_ROLE.fullmatch(statement):
        on, to = _object(found[1], found[2]), _object(found[3], found[4])
        return replace(step, verb=Verb.GRANT, object=on, grants=(Grant("USAGE", on, to),))
    if found := _GRANT_MANY.fullmatch(statement):
        on, to = _object(found[3], found[4]), _object(found[5], found[6])
        return replace(
            step,
            verb=Verb.GRANT,
            object=on,
            grants=_each(found[1], on, to, Scope(found[2].upper())),
        )
    if found := _GRANT_ONE.fullmatch(statement):
        on, to = _object(found[2], found[3]), _object(found[4], found[5])
        return replace(step, verb=Verb.GRANT, object=on, grants=_each(found[1], on, to, Scope.ONE))
    return step


def _object(kind: str, name: str) -> Object:
    return Object(" ".join(kind.upper().split()), canonical(name))


def _each(privileges: str, on: Object, to: Object, scope: Scope) -> tuple[Grant, ...]:
    words = (" ".join(privilege.upper().split()) for privilege in privileges.split(","))
    return tuple(Grant(word, on, to, scope) for word in words)
