"""Snowflake's error answers, with the numbers and SQL states its clients look at."""

from __future__ import annotations

from .names import Name, render
from .vocabulary import RELATION_KINDS


class SnowflakeError(Exception):
    """A statement or a sign-in that the stand-in refuses, as Snowflake would answer it."""

    def __init__(self, errno: int, sqlstate: str, message: str) -> None:
        super().__init__(f"{errno:06d} ({sqlstate}): {message}")
        self.errno = errno
        self.sqlstate = sqlstate
        self.message = message


def unknown_statement(sql: str, why: str = "") -> SnowflakeError:
    """Returns the closed grammar's error: it refuses what it does not know, and ignores nothing."""
    shown = " ".join(sql.split())[:200]
    return SnowflakeError(
        1003, "42000", f"stand-in: unknown statement{f' ({why})' if why else ''}: {shown}"
    )


def syntax_error(text: str) -> SnowflakeError:
    """Returns the error for a word that Snowflake does not know, or that has no source here."""
    return SnowflakeError(
        1003,
        "42000",
        f"SQL compilation error:\nsyntax error line 1 unexpected '{text}'. "
        "(stand-in: Snowflake does not know it, or the stand-in has no source for it)",
    )


def not_authorized(kind: str, name: Name) -> SnowflakeError:
    """Returns the error for missing and for forbidden objects, so that names cannot be probed."""
    label = _label(kind)
    sqlstate = "42S02" if label == "Object" else "02000"
    return SnowflakeError(
        2003,
        sqlstate,
        f"SQL compilation error:\n{label} '{render(name)}' does not exist or not authorized.",
    )


def no_such_object() -> SnowflakeError:
    """Returns the error of statements that operate on an object (ALTER, USE, …), without a name."""
    return SnowflakeError(
        2043,
        "02000",
        "SQL compilation error:\nObject does not exist, or operation cannot be performed.",
    )


def insufficient(kind: str, name: Name) -> SnowflakeError:
    what = kind.replace("_", " ").lower()
    target = f"{what} '{render(name)}'" if name else what
    return SnowflakeError(
        3001,
        "42501",
        f"SQL access control error:\nInsufficient privileges to operate on {target}",
    )


def already_exists(name: Name) -> SnowflakeError:
    return SnowflakeError(
        2002, "42710", f"SQL compilation error:\nObject '{render(name)}' already exists."
    )


def no_warehouse() -> SnowflakeError:
    return SnowflakeError(
        606,
        "57P03",
        "No active warehouse selected in the current session.  "
        "Select an active warehouse with the 'use warehouse' command.",
    )


def no_current(kind: str) -> SnowflakeError:
    errno = 90105 if kind == "database" else 90106
    return SnowflakeError(
        errno,
        "22000",
        f"Cannot perform operation. This session does not have a current {kind}. "
        f"Call 'USE {kind.upper()}', or use a qualified name.",
    )


def unknown_function(name: str) -> SnowflakeError:
    return SnowflakeError(
        2140, "42601", f"SQL compilation error:\nUnknown function {name.upper()}."
    )


def invalid(message: str) -> SnowflakeError:
    """Returns the error for a refused value; its number is a general one if not known."""
    return SnowflakeError(1008, "22023", f"SQL compilation error:\n{message}")


def _label(kind: str) -> str:
    if kind in (*RELATION_KINDS, "STAGE", "SEQUENCE"):
        return "Object"
    return kind.replace("_", " ").capitalize()
