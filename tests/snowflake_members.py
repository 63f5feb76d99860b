"""What tests of access on Snowflake run against: rendered members, the model, a laptop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbtmesh.snowflake.session import Refused
from tests.conftest import ROOT, Member, Render
from tests.snowflake_standin import (
    ADMIN,
    READS,
    Laptop,
    Model,
    SnowflakeError,
    Standin,
    matrix,
)

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
    """The SQL that sets a member up, by file name, in order."""
    files = sorted(member.path.glob("snowflake/0*.sql"))
    return {f"snowflake/{file.name}": file.read_text() for file in files}


class ModelSession:
    """A session, straight on the pure model: no server, no connector."""

    user = ADMIN
    name = "the model"

    def __init__(self, model: Model) -> None:
        self.model = model
        self.sent: list[str] = []
        self.role = "PUBLIC"

    def use(self, role: str) -> None:
        self.role = role

    def rows(self, sql: str, role: str = "SECURITYADMIN") -> list[Mapping[str, str]]:
        self.sent.append(sql)
        try:
            answer = self.model.execute(sql, role)
        except SnowflakeError as error:
            raise Refused(error.message, error.errno) from None
        return [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in answer.dicts()
        ]

    def run(self, sql: str, role: str) -> None:
        self.rows(sql, role)


@dataclass
class World:
    """A stand-in with members that are set up, and a laptop with the keys of their users."""

    standin: Standin
    laptop: Laptop
    members: dict[str, Member]

    def readable(self, role: str, database: str = "DBT_UP_PROD") -> set[str]:
        """Relations of a database that a role can select from."""
        return {
            fact.object.removeprefix(f"{database}.")
            for fact in matrix(self.standin.model)
            if fact.role == role and fact.privilege == READS
            if fact.object.startswith(f"{database}.")
        }

    def denied(self, user: str) -> list[str]:
        """Statements of a user that the stand-in refused for want of a privilege."""
        return [
            f"{record.sql}: {record.error}"
            for record in self.standin.statements
            if record.user == user and record.error and record.error[:6] in ("003001", "002003")
        ]


def write_models(member: Member, **models: str) -> None:
    """Models by name, as `access materialisation [schema] [for consumer,consumer]`; those that are
    not named are gone."""
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
    with Standin(copy_grants_on_replace=kept) as standin:
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
            member.ok("scripts/snowflake_access.py", "apply", "--connection", "admin", "--yes")
            laptop.give_keys(f"{name.upper()}_SVC", f"{name.upper()}_CI_SVC")
        yield World(standin, laptop, members)
