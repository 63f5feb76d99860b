"""Provides registries in the stand-in for Snowflake, in which projects have their schema MESH.

A pytest plugin, as tests/s3_server.py is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import jinja2
import pytest

from dbtmesh.config import Member, Upstream
from dbtmesh.registry.snowflake import connection
from dbtmesh.registry.store import Access, Store, open_store
from tests.snowflake_standin import Standin
from tests.snowflake_standin.fixtures import rsa_key

GRANTS = """
    GRANT USAGE ON DATABASE {db} TO ROLE {role};
    GRANT USAGE ON SCHEMA {db}.MESH TO ROLE {role};
    GRANT SELECT, INSERT ON TABLE {db}.MESH.PUBLICATIONS TO ROLE {role};
    GRANT SELECT, INSERT ON TABLE {db}.MESH.STATE TO ROLE {role};
    GRANT SELECT, INSERT ON TABLE {db}.MESH.READS TO ROLE {role};
    GRANT USAGE ON SCHEMA {db}.MESH TO DATABASE ROLE {db}.PUBLIC_READ;
    GRANT SELECT ON VIEW {db}.MESH.PUBLISHED TO DATABASE ROLE {db}.PUBLIC_READ;
    GRANT USAGE ON SCHEMA {db}.MESH TO DATABASE ROLE {db}.MESH_READS;
    GRANT SELECT ON TABLE {db}.MESH.READS TO DATABASE ROLE {db}.MESH_READS;
"""
PROJECT = """
    USE ROLE USERADMIN;
    CREATE ROLE {prefix}_ROLE;
    CREATE USER {prefix}_SVC TYPE = SERVICE DEFAULT_SECONDARY_ROLES = () RSA_PUBLIC_KEY = '{key}';
    USE ROLE SECURITYADMIN;
    GRANT ROLE {prefix}_ROLE TO USER {prefix}_SVC;
    GRANT ROLE {prefix}_ROLE TO ROLE SYSADMIN;
    USE ROLE SYSADMIN;
    CREATE WAREHOUSE {prefix}_WH;
    GRANT USAGE ON WAREHOUSE {prefix}_WH TO ROLE {prefix}_ROLE;
"""
READER = """
    USE ROLE SYSADMIN;
    CREATE DATABASE ROLE IF NOT EXISTS {db}.READ_{consumer};
    GRANT DATABASE ROLE {db}.PUBLIC_READ TO ROLE {prefix}_ROLE;
    GRANT DATABASE ROLE {db}.READ_{consumer} TO ROLE {prefix}_ROLE;
"""
PROJECTS = {"dbt_up": "UP", "dbt_down": "DOWN", "dbt_other": "OTHER"}

_numbers = itertools.count(1)


@cache
def _databases() -> jinja2.Template:
    """Returns snowflake/01 of the template."""
    folder = Path(__file__).parents[1] / "template" / "{{ member }}" / "snowflake"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    text = (folder / "01_create_databases_and_warehouses.sql.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def schema_of(member: Member) -> str:
    """Returns the SQL of snowflake/01 for a member that publishes and reads."""
    database = member.prod_database
    return _databases().render(
        project_name=member.project,
        database_prefix=member.database_prefix,
        owns_warehouse=False,
        warehouse=f"{member.database_prefix}_WH",
        prod_database=database,
        prod_databases=[database],
        prod_schemas=[],
        dev_database=f"{database}_DEV",
        is_publisher=True,
        registry="snowflake",
        mesh_schema=f"{database}.MESH",
        upstream_projects=[{"in_snowflake": True}],
    )


def project_of(name: str, database: str, *upstreams: Member) -> Member:
    """Returns a member as loaded from its mesh.yml."""
    prefix = PROJECTS[name]
    return Member(
        root=Path("/nowhere") / database,
        project=name,
        kind="upstream",
        publishes=True,
        database_prefix=prefix,
        bucket=None,
        aws_region=None,
        upstreams=tuple(
            Upstream(each.project, each.database_prefix, each.prod_database) for each in upstreams
        ),
        snowflake={
            "account": "TESTORG-STANDIN",
            "prod_database": database,
            "warehouse": f"{prefix}_WH",
            "role": f"{prefix}_ROLE",
            "service_user": f"{prefix}_SVC",
        },
    )


@dataclass(frozen=True)
class Account:
    """The stand-in with the roles of three projects. Each test has its own databases."""

    standin: Standin

    @property
    def url(self) -> str:
        return f"snowflake://{self.standin.model.account_name}"

    def run(self, sql: str) -> None:
        with self.standin.admin_connection() as admin:
            for _ in admin.execute_string(sql):
                pass

    def govern(self, sql: str) -> None:
        """Runs SQL as an administrator. It changes no data, so nobody has to sign in."""
        self.standin.model.run_script(sql)

    def project(self, name: str, *upstreams: Member) -> Member:
        """Sets up a project with its own database, which reads these upstreams."""
        member = project_of(name, f"{PROJECTS[name]}_{next(_numbers)}", *upstreams)
        self.set_up(member)
        return member

    def join(self, prefix: str) -> None:
        """Creates roles, a service user and a warehouse."""
        self.govern(PROJECT.format(prefix=prefix, key=rsa_key().public))

    def set_up(self, member: Member) -> None:
        """Creates the database of a project that has joined, and grants what it reads."""
        own = member.database_prefix
        self.run(schema_of(member))
        self.govern(GRANTS.format(db=member.prod_database, role=f"{own}_ROLE"))
        for each in member.upstreams:
            consumer = member.project.upper()
            self.govern(
                READER.format(db=each.prod_database, consumer=consumer, prefix=own)
                + f"GRANT DATABASE ROLE {member.prod_database}.MESH_READS "
                f"TO ROLE {each.database_prefix}_ROLE;"
            )

    def environment(self, identity: str = "admin") -> dict[str, str]:
        """Returns the variables of a job that deploys. `consumer` has a key that is not known."""
        key = rsa_key() if identity == "admin" else rsa_key(identity)
        return {
            **self.standin.reach,
            "SNOWFLAKE_ACCOUNT": self.standin.model.account_name,
            "SNOWFLAKE_PRIVATE_KEY": key.private_pem,
            "DBT_MESH_TARGET": "prod",
        }

    def store(self, member: Member, root: str = "") -> Store:
        return open_store(self.url + root, Access(member=member))

    def withdrawn(self, member: Member) -> set[str]:
        """Returns the versions of a project that were withdrawn at least once."""
        with self.standin.admin_connection("SYSADMIN") as admin:
            admin.cursor().execute(f"USE WAREHOUSE {member.database_prefix}_WH")
            found = admin.cursor().execute(
                f"SELECT VERSION FROM {member.prod_database}.MESH.PUBLICATIONS "
                "WHERE KIND = 'withdrawn'"
            )
            return {str(version) for (version,) in found or ()}

    def sent(self, since: int = 0) -> Sequence[str]:
        """Returns the statements that clients have sent after the first `since`."""
        return [record.sql for record in self.standin.statements[since:]]


@pytest.fixture(scope="session")
def snowflake_account() -> Iterator[Account]:
    with Standin(parallel_inserts=True) as standin:
        account = Account(standin)
        for prefix in PROJECTS.values():
            account.join(prefix)
        yield account


@pytest.fixture
def account(snowflake_account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account, with the variables of a job that deploys."""
    for name, value in snowflake_account.environment().items():
        monkeypatch.setenv(name, value)
    signed_out()
    return snowflake_account


def signed_out() -> None:
    """Makes the next statement sign in again."""
    connection._SHARED.clear()


__all__ = ["Account", "project_of", "replace", "signed_out"]
