"""Defines Snowflake as a service that a conformance run compares with the stand-in."""

from __future__ import annotations

from dataclasses import asdict

from tests.conformance.script import Answers, Service
from tests.conformance.snowflake.ask import Run, ask
from tests.conformance.snowflake.questions import QUESTIONS
from tests.snowflake_standin import ADMIN, Behaviour, Standin
from tests.snowflake_standin.show import COLUMNS as SHOWN
from tests.snowflake_standin.vocabulary import PRIVILEGES


def _expected(behaviour: Behaviour) -> Answers:
    with Standin(**asdict(behaviour)) as standin:
        return ask(standin.admin_connection, Run("DBTMESH_CONFORMANCE_OURS", ADMIN)).answers


SNOWFLAKE = Service(
    "Snowflake",
    QUESTIONS,
    Behaviour,
    _expected,
    frozenset(
        {
            *("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN", "PUBLIC", "OWNERSHIP"),
            *("ROLE", "USER", "DATABASE_ROLE", "BASE TABLE", "MATERIALIZED VIEW"),
            *("EXTERNAL TABLE", "Y", "N", "YES", "NO", '["ALL"]', "[]", "ACTIVE", "DISABLED"),
            *("EXPIRED", "MANAGED ACCESS", "INFORMATION_SCHEMA"),
            *PRIVILEGES,
            *(privilege for each in PRIVILEGES.values() for privilege in each),
            *(column for columns in SHOWN.values() for column in columns),
        }
    ),
    switches_are_independent=True,
)
