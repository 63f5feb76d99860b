"""Defines the steps of a script of statements.

Placeholders in statements: {p} is the run's own name, {me} the current user, {key1} and so on are
public keys. A role that is not an administrator's is the run's own: OWN means {p}_OWN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.conformance.script import See
from tests.snowflake_standin.sources import Rule


@dataclass(frozen=True)
class SetUp:
    """A statement that has to succeed.

    gives: what it makes possible. It may be refused; then steps that need this are left out.
    needs: what another step has to have given.
    """

    role: str
    sql: str
    gives: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Question:
    """A statement whose answer is compared.

    keep: the columns of rows to compare.
    decides: the switch of the stand-in (`Behaviour`) that the answer sets; both are correct.
    """

    name: str
    rule: Rule
    role: str
    sql: str
    see: See = See.NUMBER
    keep: tuple[str, ...] = ()
    decides: str = ""
    needs: str = ""

    @property
    def asked(self) -> str:
        return f"as {self.role}: `{self.sql}`"

    def refusal(self, number: int) -> str:
        return f"{number:06d}"


Step = SetUp | Question

T, V, SCHEMA, PLAIN = "{p}_DB.MANAGED.T", "{p}_DB.MANAGED.V", "{p}_DB.MANAGED", "{p}_DB.PLAIN"
R1 = "DATABASE ROLE {p}_DB.R1"
GRANTS = ("privilege", "granted_on", "grantee_name")
HELD = ("privilege", "granted_on", "name")


def set_up(role: str, *statements: str) -> Iterable[SetUp]:
    return (SetUp(role, sql) for sql in statements)


def rows(name: str, rule: Rule, role: str, sql: str, *keep: str, decides: str = "") -> Question:
    return Question(name, rule, role, sql, See.ROWS, keep, decides)


def columns(name: str, sql: str, role: str = "SECURITYADMIN") -> Question:
    return Question(f"columns-{name}", Rule.COLUMNS, role, sql, See.COLUMNS)


def refused(name: str, rule: Rule, role: str, sql: str) -> Question:
    return Question(name, rule, role, sql, See.REFUSED)
