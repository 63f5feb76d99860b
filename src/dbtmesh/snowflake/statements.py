"""Parses the SQL statements of set-up scripts with a closed grammar. Pure.

A statement that no rule matches has the verb OTHER: it is shown and run, but nothing is derived
from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dbtmesh.snowflake.objects import (
    ACCOUNT,
    ALL_PRIVILEGES,
    KINDS,
    Grant,
    Object,
    Scope,
    canonical,
    plural,
)


class Verb(Enum):
    """What a statement does. OTHER: the grammar does not know it."""

    CREATE = "CREATE"
    ALTER = "ALTER"
    GRANT = "GRANT"
    REVOKE = "REVOKE"
    DROP = "DROP"
    OTHER = ""


MANAGED_ACCESS = "MANAGED ACCESS"
AUTHENTICATION_POLICY = "AUTHENTICATION POLICY"
"""Properties that are set without an equals sign."""


@dataclass(frozen=True)
class Meaning:
    """The meaning of a statement.

    object: the object that it is about. properties: name → value of each property that it sets, as
    written; an empty text for UNSET. grants: the grants that it gives, or that it takes if the verb
    is REVOKE. if_exists: whether it has IF EXISTS, or IF NOT EXISTS for CREATE.
    """

    verb: Verb = Verb.OTHER
    object: Object | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    if_exists: bool = False


_PART = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_NAME = rf"{_PART}(?:\.{_PART})*"
_VALUE = r"""\((?:[^()']|'(?:[^']|'')*')*\)|'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")+"|[\w$.\-]+"""


def _rule(pattern: str) -> re.Pattern[str]:
    """Compiles a rule, in which a space matches any white space.

    {kind}, {kinds}, {name}, {function} and {grantee} are groups: a kind of object, its plural, a
    name, a name with types of arguments, and a grantee.
    """
    kinds = sorted(KINDS, key=len, reverse=True)
    text = pattern.replace("{kinds}", f"({'|'.join(map(plural, kinds))})")
    text = text.replace("{kind}", f"({'|'.join(kinds)})").replace("{name}", f"({_NAME})")
    text = text.replace("{function}", rf"({_NAME}\s*\([^()]*\))")
    text = text.replace("{grantee}", rf"(DATABASE ROLE|ROLE|USER)\s+({_NAME})")
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


_CREATE = _rule("CREATE(?: SECURE)? {kind}( IF NOT EXISTS)? {name}(.*)")
_ALTER = _rule(r"ALTER {kind}( IF EXISTS)? {name} (SET|UNSET|ENABLE|DISABLE)\b(.*)")
_COMMENT = _rule(rf"COMMENT( IF EXISTS)? ON {{kind}} {{name}} IS ({_VALUE})")
_DROP = _rule("DROP {kind}( IF EXISTS)? {name}")
_TAIL = r"(?: WITH GRANT OPTION| (?:COPY|REVOKE) CURRENT GRANTS| CASCADE| RESTRICT)?"
_GRANT = {
    word: {
        "role": _rule(f"{verb} (DATABASE ROLE|ROLE) {{name}} {to} {{grantee}}"),
        "account": _rule(f"{verb} (.+?) ON ACCOUNT {to} {{grantee}}{_TAIL}"),
        "many": _rule(
            f"{verb} (.+?) ON (ALL|FUTURE) {{kinds}} IN (?:DATABASE|SCHEMA) {{name}} "
            f"{to} {{grantee}}{_TAIL}"
        ),
        "function": _rule(
            f"{verb} (.+?) ON (FUNCTION|PROCEDURE) {{function}} {to} {{grantee}}{_TAIL}"
        ),
        "one": _rule(f"{verb} (.+?) ON {{kind}} {{name}} {to} {{grantee}}{_TAIL}"),
        "relation": _rule(f"{verb} (.+?) ON {{name}} {to} {{grantee}}{_TAIL}"),
    }
    for word, verb, to in ((Verb.GRANT, "GRANT", "TO"), (Verb.REVOKE, "REVOKE", "FROM"))
}
_PROPERTY = re.compile(rf"(\w+)\s*=\s*({_VALUE})")
_WITHOUT_EQUALS = re.compile(rf"\s+AUTHENTICATION\s+POLICY(?:\s+({_NAME}))?(?:\s+FORCE)?", re.I)
_SINGULAR = {plural(kind): kind for kind in KINDS}


def understand(statement: str) -> Meaning:
    """Returns the meaning of a statement, which is given without its semicolon."""
    word = statement.split(None, 1)[0].upper() if statement.strip() else ""
    if word == "CREATE" and (found := _CREATE.fullmatch(statement)):
        return Meaning(
            Verb.CREATE,
            _object(found[1], found[3]),
            _properties(found[4]),
            if_exists=bool(found[2]),
        )
    if word == "ALTER" and (found := _ALTER.fullmatch(statement)):
        thing, action, rest = _object(found[1], found[3]), found[4].upper(), found[5]
        properties = _unset(rest) if action == "UNSET" else _properties(rest)
        if action in ("ENABLE", "DISABLE"):
            properties = {MANAGED_ACCESS: str(action == "ENABLE").upper()}
        return Meaning(Verb.ALTER, thing, properties, if_exists=bool(found[2]))
    if word == "COMMENT" and (found := _COMMENT.fullmatch(statement)):
        thing = _object(found[2], found[3])
        return Meaning(Verb.ALTER, thing, {"COMMENT": found[4]}, if_exists=bool(found[1]))
    if word == "DROP" and (found := _DROP.fullmatch(statement)):
        return Meaning(Verb.DROP, _object(found[1], found[3]), if_exists=bool(found[2]))
    if word in ("GRANT", "REVOKE"):
        verb = Verb(word)
        if grants := _grants(statement, _GRANT[verb]):
            return Meaning(verb, grants[0].on, grants=grants)
    return Meaning()


class View(NamedTuple):
    """A view, as CREATE VIEW defines it, without its name, columns and comment.

    query: its words and signs, so that line breaks and upper or lower case do not matter.
    """

    secure: bool
    query: tuple[str, ...]


_SIGN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*"|[\w$]+|[^\s\w]""", re.DOTALL
)


def view(statement: str) -> View | None:
    """Reads a CREATE VIEW, as written in SQL or as SHOW VIEWS prints it. Returns None for any other
    statement."""
    found = (sign for sign in _SIGN.findall(statement) if not sign.startswith(("--", "/*")))
    signs = [sign if sign[0] in "'\"" else sign.upper() for sign in found]
    if signs[:1] != ["CREATE"] or "AS" not in signs:
        return None
    at = signs.index("AS")
    head, query = signs[:at], signs[at + 1 :]
    while query[-1:] == [";"]:
        query.pop()
    return View("SECURE" in head, tuple(query)) if "VIEW" in head else None


_CREATE_VIEW = _rule("CREATE(?: OR REPLACE)?((?: SECURE)? VIEW)(?: IF NOT EXISTS)? {name}")


def replacing(statement: str) -> str:
    """Returns a CREATE VIEW as CREATE OR REPLACE, which keeps the grants on the view."""
    return _CREATE_VIEW.sub(r"CREATE OR REPLACE\1 \2\n  COPY GRANTS", statement, count=1)


def _grants(statement: str, rules: Mapping[str, re.Pattern[str]]) -> tuple[Grant, ...]:
    if found := rules["role"].fullmatch(statement):
        on, to = _object(found[1], found[2]), _object(found[3], found[4])
        return (Grant("USAGE", on, to),)
    if found := rules["account"].fullmatch(statement):
        return _each(found[1], ACCOUNT, _object(found[2], found[3]), Scope.ONE)
    if found := rules["many"].fullmatch(statement):
        kind = _SINGULAR[_words(found[3])]
        on, to = Object(kind, canonical("", found[4])), _object(found[5], found[6])
        return _each(found[1], on, to, Scope(found[2].upper()))
    if found := rules["function"].fullmatch(statement) or rules["one"].fullmatch(statement):
        on, to = _object(found[2], found[3]), _object(found[4], found[5])
        return _each(found[1], on, to, Scope.ONE)
    if found := rules["relation"].fullmatch(statement):
        on, to = _object("TABLE", found[2]), _object(found[3], found[4])
        return _each(found[1], on, to, Scope.ONE)
    return ()


def _words(text: str) -> str:
    return " ".join(text.upper().split())


def _object(kind: str, name: str) -> Object:
    kind = _words(kind)
    return Object(kind, canonical(kind, name))


def _each(privileges: str, on: Object, to: Object, scope: Scope) -> tuple[Grant, ...]:
    words = [_words(privilege) for privilege in privileges.split(",")]
    each = [ALL_PRIVILEGES if word == "ALL PRIVILEGES" else word for word in words]
    return tuple(Grant(word, on, to, scope) for word in each)


def _properties(text: str) -> dict[str, str]:
    found = {key.upper(): value for key, value in _PROPERTY.findall(text)}
    if re.search(r"\bWITH\s+MANAGED\s+ACCESS\b", text, re.IGNORECASE):
        found[MANAGED_ACCESS] = "TRUE"
    if policy := _WITHOUT_EQUALS.match(text):
        found[AUTHENTICATION_POLICY] = canonical("", policy[1])
    return found


def _unset(text: str) -> dict[str, str]:
    if _WITHOUT_EQUALS.match(text):
        return {AUTHENTICATION_POLICY: ""}
    return {word.upper(): "" for word in re.findall(r"\w+", text)}
