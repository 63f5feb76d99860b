"""Provides rendered members, the model and a laptop for tests of access on Snowflake."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import yaml
from snowflake.connector.errors import ProgrammingError

from dbtmesh import cli
from dbtmesh.commands import snowflake_access
from dbtmesh.snowflake.session import Session
from tests.conftest import ROOT, Member, Render
from tests.snowflake_standin import (
    ADMIN,
    READS,
    Laptop,
    Model,
    Record,
    SnowflakeError,
    Standin,
    matrix,
)

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

ACCOUNT = "TESTORG-STANDIN"
DEMO = ("dbt_up", "dbt_down", "dbt_down_loom")
HUB = {
    "kind": "native",
    "project_name": "hub",
    "upstreams": "dbt_up, fin=FINANCE",
    "publishes": True,
    "warehouse_size": "SMALL",
    "allowed_ips": "203.0.113.0/24, 198.51.100.7",
    "authentication_policy": True,
    "auth": "workload_identity",
    "github_repository": "acme/hub",
}


def demo_answers(name: str) -> dict[str, Any]:
    return {
        **yaml.safe_load((ROOT / f"fleet/demo_members/{name}.yml").read_text()),
        "snowflake_account": ACCOUNT,
    }


def render_demo(render_into: Render, folder: Path) -> dict[str, Member]:
    return {name: render_into(folder / name, **demo_answers(name)) for name in DEMO}


def scripts_of(member: Member) -> dict[str, str]:
    """Returns the SQL that sets up a member, by file name, in order."""
    files = sorted(member.path.glob("snowflake/0*.sql"))
    return {f"snowflake/{file.name}": file.read_text() for file in files}


ACCESS = "scripts/snowflake_access.py"


class _Cursor:
    """A cursor that runs statements directly on the pure model, without server, network or data."""

    def __init__(self, connection: ModelConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[SimpleNamespace] = []

    def execute(self, sql: str) -> None:
        session = self._connection.session
        error = None
        try:
            answer = self._connection.model.execute_in(session, sql)
        except SnowflakeError as refusal:
            error = str(refusal)
            raise ProgrammingError(refusal.message, errno=refusal.errno) from None
        finally:
            record = Record(session.user, session.role, sql, error)
            self._connection.statements.append(record)
        self._rows = list(answer.rows)
        self.description = [SimpleNamespace(name=column.name) for column in answer.columns]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


class ModelConnection:
    """The part of the connector's connection that Session needs, on the model."""

    def __init__(self, model: Model, user: str = ADMIN, statements: Any = None) -> None:
        self.model, self.user = model, user
        self.session = model.session(user=user)
        self.statements: list[Record] = [] if statements is None else statements

    @property
    def role(self) -> str:
        return self.session.role

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def close(self) -> None:
        pass


def model_session(model: Model, user: str = ADMIN, statements: Any = None) -> Session:
    """Returns a real Session on the model."""
    connection = cast("SnowflakeConnection", ModelConnection(model, user, statements))
    return Session(connection, "connection admin")


class Account:
    """An account on which teams run scripts/snowflake_access.py.

    The script runs in this process, which takes a tenth of the time.
    """

    def __init__(self, **model: Any) -> None:
        self.model = Model(**model)
        self.statements: list[Record] = []
        self.user = ADMIN

    @classmethod
    def of(cls, standin: Standin) -> Account:
        """Returns the stand-in's account, so that grants here apply to builds there."""
        made = cls()
        made.model, made.statements = standin.model, standin.statements
        return made

    def on(self, member: Member) -> Desk:
        return Desk(member.path, member.environment, self)


@dataclass(frozen=True)
class Desk(Member):
    """A member whose team is connected to an account."""

    account: Account

    def run(
        self, command: str, *arguments: str | Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        if command != ACCESS:
            return super().run(command, *arguments, **environment)
        words = [str(argument) for argument in arguments]
        out, err = io.StringIO(), io.StringIO()
        account = self.account

        def connect(*_: object) -> Session:
            return model_session(account.model, account.user, account.statements)

        with (
            mock.patch("dbtmesh.snowflake.session.connect", connect),
            mock.patch("sys.stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                cli.run(lambda: snowflake_access.main(words, self.path))
            except SystemExit as end:
                status = int(str(end.code or 0))
        return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


@dataclass
class World:
    """A stand-in in which members are set up, and a laptop with the keys of their users."""

    standin: Standin
    laptop: Laptop
    members: dict[str, Member]

    def readable(self, role: str, database: str = "DBT_UP_PROD") -> set[str]:
        """Returns the relations of a database that a role can select from."""
        return {
            fact.object.removeprefix(f"{database}.")
            for fact in matrix(self.standin.model)
            if fact.role == role and fact.privilege == READS
            if fact.object.startswith(f"{database}.")
        }

    def names_in(self, database: str, schema: str) -> set[str]:
        """Returns the tables and views of a schema."""
        return {name for where, name in self.relations(database) if where == schema}

    def relations(self, database: str) -> set[tuple[str, ...]]:
        """Returns schema and name of the tables and views of a database."""
        return {
            thing.ref.name[1:]
            for kind in ("TABLE", "VIEW")
            for thing in self.standin.model.account.of_kind(kind)
            if thing.ref.name[0] == database
        }

    def clones_into(self, schema: str) -> list[str]:
        """Returns the statements that cloned something into a schema."""
        sent = (record.sql for record in self.standin.statements)
        return [sql for sql in sent if " clone " in sql.lower() and schema in sql]

    def query_comments(self, user: str) -> list[dict[str, Any]]:
        """Returns the comments of a user's statements, which name project, run and model."""
        return [
            json.loads(found[1])
            for record in self.standin.statements
            if record.user == user
            if (found := re.search(r"/\* (\{\"app\": \"dbt\"[^}]*\}) \*/", record.sql))
        ]

    def denied(self, user: str) -> list[str]:
        """Returns the statements of a user that the stand-in refused for lack of a privilege."""
        return [
            f"{record.sql}: {record.error}"
            for record in self.standin.statements
            if record.user == user and record.error and record.error[:6] in ("003001", "002003")
        ]


def write_models(member: Member, **models: str) -> None:
    """Writes models, given as `access materialization [schema] [for consumer,consumer]` by name.

    It removes all other models.
    """
    folder = member.path / "models/marts"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*"):
        file.unlink()
    for name, words in models.items():
        what, named, consumers = words.partition(" for")
        access, materialized, *schema = what.split()
        config = f"access='{access}', materialized='{materialized}'"
        config += f", schema='{schema[0]}'" if schema else ""
        config += f", meta={{'consumers': {consumers.strip().split(',')}}}" if named else ""
        (folder / f"{name}.sql").write_text(f"{{{{ config({config}) }}}}\nselect 1 as id\n")


def make_world(folder: Path, members: dict[str, Member], *, kept: bool = False) -> Iterator[World]:
    """Sets up members, each by its own command. Later questions about access run in this process.

    kept: whether the account has the behaviour changes BCR-2433 and bcr-2371.
    """
    with Standin(copy_grants_on_replace=kept, exact_kinds=kept) as standin:
        laptop = Laptop(folder / "home", standin)
        environment = {
            **laptop.environment,
            **standin.reach,
            "DBT_MESH_ENV": "prod",
            "DBT_MESH_REGISTRY": (folder / "registry").as_uri(),
        }
        members = {
            name: Member(member.path, {**member.environment, **environment})
            for name, member in members.items()
        }
        for name, member in members.items():
            member.ok(
                "scripts/snowflake_access.py",
                "apply",
                "--connection",
                "admin",
                "--yes",
                "--no-github",
            )
            laptop.give_keys(f"{name.upper()}_SVC", f"{name.upper()}_CI_SVC")
        account = Account.of(standin)
        yield World(standin, laptop, {name: account.on(each) for name, each in members.items()})
