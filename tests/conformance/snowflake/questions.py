"""The questions, in the order in which they are asked. They are only about what they create."""

from __future__ import annotations

from tests.conformance.snowflake import granting, reading, replacing, users
from tests.conformance.snowflake.script import Question, Step

ADMINS = ("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN")

SCRIPT: tuple[Step, ...] = (
    *reading.START,
    *reading.READING,
    *granting.MANAGED,
    *granting.FUTURES,
    *granting.DATABASE_ROLES,
    *replacing.REPLACING,
    *replacing.SECONDARY,
    *replacing.CONTAINED,
    *replacing.KINDS,
    *users.USERS,
    *users.COLUMNS,
    *users.END,
)
QUESTIONS = tuple(step for step in SCRIPT if isinstance(step, Question))

CLEAN_UP = (
    "ALTER USER IF EXISTS {p}_SVC UNSET AUTHENTICATION POLICY",
    *(f"DROP USER IF EXISTS {{p}}_{name}" for name in ("SVC", "PERSON", "OLD", "X")),
    *(f"DROP DATABASE IF EXISTS {{p}}_{name}" for name in ("DB", "DB2", "X")),
    *(f"DROP WAREHOUSE IF EXISTS {{p}}_{name}" for name in ("WH", "X")),
    *(f"DROP RESOURCE MONITOR IF EXISTS {{p}}_{name}" for name in ("RM", "RM2")),
    *(f"DROP ROLE IF EXISTS {{p}}_{name}" for name in ("OWN", "READ", "NONE", "DELE", "X")),
)
"""Run as ACCOUNTADMIN, which has all the other roles."""
