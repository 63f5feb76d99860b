"""Runs statements on the one connection to Snowflake that a registry and its state share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dbtmesh import MeshError
from dbtmesh.ci.github import job
from dbtmesh.output.words import one_line
from dbtmesh.registry.snowflake.rows import CHUNK
from dbtmesh.registry.snowflake.sql import MOST_PARTS, Statement
from dbtmesh.registry.store import MOST_REASON, Access, OutOfReach
from dbtmesh.snowflake.session import INSUFFICIENT, MISSING, can_be_one

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from dbtmesh.config import Member

TARGET = "DBT_MESH_TARGET"
"""The target of profiles.yml, `prod` or `ci`, as whose service user a CI job signs in."""
LOGIN_TIMEOUT = 20
"""Seconds; short, so that a registry that does not answer is reported soon."""
STATEMENT_TIMEOUT = 900
"""Seconds, of which a statement may wait 600 for the warehouse. A view of another project can take
any time, and the account's own limit is two days."""
NO_WAREHOUSE, SUSPENDED = 606, 90073
CANCELLED, TIMED_OUT = 604, 630


class TookTooLong(OutOfReach):
    """Snowflake has stopped a statement. If it reads another project's relation, that project may
    be at fault: a view is as slow as its owner makes it."""


class Fault(NamedTuple):
    """The meaning of one of Snowflake's error numbers. kind: MeshError for an error about one
    object, OutOfReach for one about all of them."""

    kind: type[MeshError]
    advice: str


FAULTS = {
    **dict.fromkeys(
        MISSING,
        Fault(
            MeshError,
            "it is not there for your role: check that its project has run its snowflake/01 to 03 "
            "with registry: snowflake, and this project its 03",
        ),
    ),
    INSUFFICIENT: Fault(
        MeshError,
        "your role may not do this: only the project's own deploys write here (from this machine, "
        f"with {TARGET}=prod and their key in SNOWFLAKE_PRIVATE_KEY_PATH)",
    ),
    NO_WAREHOUSE: Fault(
        OutOfReach,
        "there is no warehouse that your role may use: run snowflake/02 of this project, or name "
        "one in SNOWFLAKE_WAREHOUSE or in your connection (warehouse = …)",
    ),
    SUSPENDED: Fault(OutOfReach, "the warehouse is suspended by its resource monitor"),
    # Like HTTP status 408: the fault is not that of one object.
    CANCELLED: Fault(OutOfReach, "the statement was stopped before it ended: try again later"),
    TIMED_OUT: Fault(TookTooLong, "the statement was stopped before it ended: try again later"),
}
OTHERWISE = "failed: check the account and the network, or try again later"


def is_of_server(number: int | None) -> bool:
    """Checks whether an error with this number is Snowflake's, not the connector's own."""
    return number is not None and number > 0 and number not in range(250_000, 260_000)


class Answer(NamedTuple):
    """The result of a statement. inserted: how many rows it inserted. columns: their names."""

    rows: list[Sequence[Any]]
    inserted: int
    columns: Sequence[str]


class Connection:
    """A connection that signs in when the first statement is sent. Threads may share it."""

    def __init__(self, account: str, access: Access) -> None:
        self._account, self._access = account, access
        self._lock = threading.Lock()
        self._opened: SnowflakeConnection | None = None

    def ask(self, statement: Statement, where: str) -> list[Sequence[Any]]:
        """Runs a query and returns its rows. where: what it reads, for messages. Raises
        MeshError."""
        return self._run(statement, where).rows

    def list(self, statement: Statement, where: str) -> list[dict[str, Any]]:
        """Runs a query and returns its rows by column name, for SHOW, whose order of columns is not
        documented. Raises MeshError."""
        answer = self._run(statement, where)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def insert(self, statement: Statement, where: str) -> int:
        """Runs a statement and returns how many rows it inserted. Raises MeshError."""
        return self._run(statement, where).inserted

    def _run(self, statement: Statement, where: str) -> Answer:
        with self._lock:
            try:
                opened = self._opened = self._opened or open_for(self._account, self._access)
            except MeshError as error:
                raise OutOfReach(str(error)) from None
        from snowflake.connector.errors import Error, ProgrammingError

        try:
            with opened.cursor() as cursor:
                cursor.execute(statement.text, statement.values or None)
                columns = [column.name for column in cursor.description or ()]
                return Answer(_rows(cursor, where), cursor.rowcount or 0, columns)
        except Error as error:
            # A ProgrammingError is about the statement; other errors are about the connection.
            other = Fault(
                MeshError if isinstance(error, ProgrammingError) else OutOfReach, OTHERWISE
            )
            fault = FAULTS.get(error.errno or 0, other)
            reason = one_line(error.raw_msg or str(error), MOST_REASON)
            says = "Snowflake says: " if is_of_server(error.errno) else ""
            raise fault.kind(f"{where}: {fault.advice}. {says}{reason}") from None


MOST_ROWS = 1_000_000
MOST_CHARACTERS = 2 * MOST_PARTS * CHUNK
"""The limits of an answer: it may come from tables of other projects, which can hold anything."""


def _rows(cursor: Iterable[Any], where: str) -> list[Sequence[Any]]:
    found, characters = list[Sequence[Any]](), 0
    for row in cursor:
        characters += sum(len(cell) for cell in row if isinstance(cell, str))
        if characters > MOST_CHARACTERS or len(found) >= MOST_ROWS:
            raise MeshError(f"{where}: Snowflake answers with more than an object may hold")
        found.append(row)
    return found


def open_for(account: str, access: Access) -> SnowflakeConnection:
    """Signs in as a service user of the member in CI, else as a person. Raises MeshError."""
    from dbtmesh.snowflake import session

    member = access.member
    options: dict[str, Any] = {
        "paramstyle": "qmark",
        "autocommit": True,  # the account's default may differ
        "login_timeout": LOGIN_TIMEOUT,
        "session_parameters": {"STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT},
        "secondary_roles": "NONE",  # a person reads only what the role named here may read
    }
    named = member.snowflake.get("account") if member else None
    if member and named and not can_be_one(str(named), account):
        raise MeshError(
            f"snowflake://{account} is not the account of this project, {named} (mesh.yml): a "
            "registry in Snowflake is read from within its account"
        )
    if member and (target := target_of()):
        return session.open_as(member, target, options)[0]
    return session.open_personal(None, account, {**options, **_personal(member)})[0]


def target_of() -> str | None:
    """Returns the target of profiles.yml as whose user a CI job signs in; None for a person."""
    target = os.environ.get(TARGET)
    if target not in (None, "", "ci", "prod"):
        raise MeshError(f"${TARGET} is {target!r}: set it to ci or prod")
    if target or os.environ.get("SNOWFLAKE_USER"):
        return target or None
    keys = ("SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_TOKEN")
    if not (job.has_identity() or any(os.environ.get(name) for name in keys)):
        return None
    return "ci" if job.is_of_pull_request() else "prod"


def _personal(member: Member | None) -> dict[str, Any]:
    """Returns the options for a person's login: the role for people and pull requests, and the
    warehouse, unless the environment names others."""
    role, warehouse = os.environ.get("SNOWFLAKE_ROLE"), os.environ.get("SNOWFLAKE_WAREHOUSE")
    if member:
        from dbtmesh.snowflake.names import names_of

        names = names_of(member)
        role, warehouse = role or names.dev_role.name, warehouse or names.warehouse.name
    found = {"role": role, "warehouse": warehouse, "authenticator": _browser()}
    return {name: value for name, value in found.items() if value}


def _browser() -> str | None:
    """Returns the authenticator of dbt's target `dev`; None where the environment holds another way
    to sign in."""
    named = ("AUTHENTICATOR", "PASSWORD", "PRIVATE_KEY_PATH", "TOKEN", "DEFAULT_CONNECTION_NAME")
    if any(os.environ.get(f"SNOWFLAKE_{name}") for name in named):
        return None
    return "externalbrowser"


_SHARED: dict[str, Connection] = {}


def shared(account: str, access: Access) -> Connection:
    """Returns this process's connection for an account and a member. It is shared, because signing
    in takes longer than a statement."""
    member = access.member
    key = f"{account} {member.root if member else ''}"
    return _SHARED.setdefault(key, Connection(account, access))
