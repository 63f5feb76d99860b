"""Members on dbt v2 on Snowflake: the real ADBC driver, against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import engines
from tests.conftest import Render, dbt_of
from tests.snowflake_members import World, demo_answers, make_world

PULL_REQUEST = {"DBT_PR_NUMBER": "7", "DBT_DEFER": "true"}


@dataclass(frozen=True)
class Deployed:
    """dbt_up and dbt_down after two deploys each. ended: of each deploy, with what it printed."""

    world: World
    ended: list[tuple[int, str]]


@pytest.fixture(scope="module")
def deployed(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    dbt_of(engines.V2)
    folder = tmp_path_factory.mktemp("on Snowflake")
    members = {
        name: render_into(folder / name, **demo_answers(name), engine="v2")
        for name in ("dbt_up", "dbt_down")
    }
    for world in make_world(folder, members):
        up, down = world.members.values()
        ended = []
        for _ in range(2):
            for member in (up, down):
                if member is down:
                    down.ok("scripts/sync_mesh.py")
                done = member.run("dbt", "build", "--target", "prod")
                ended.append((done.returncode, done.stdout))
                if member is up and not done.returncode:
                    up.ok("scripts/publish_manifest.py")
        yield Deployed(world, ended)


def test_deploys_succeed_the_second_into_what_is_there(deployed: Deployed) -> None:
    for status, said in deployed.ended:
        assert status == 0, said
    assert not deployed.world.denied("DBT_UP_SVC")
    assert not deployed.world.denied("DBT_DOWN_SVC")


def test_who_may_read_follows_access(deployed: Deployed) -> None:
    for role in ("DBT_DOWN_ROLE", "DBT_DOWN_DEV_ROLE"):
        assert deployed.world.readable(role) == {"MARTS.PUBLIC_ORDERS"}


def test_it_signs_in_by_key_as_the_user_of_the_token(deployed: Deployed) -> None:
    signed_in = {(each.user, each.role) for each in deployed.world.standin.sign_ins}
    assert {("DBT_UP_SVC", "DBT_UP_ROLE"), ("DBT_DOWN_SVC", "DBT_DOWN_ROLE")} <= signed_in


def test_statements_tell_where_they_come_from(deployed: Deployed) -> None:
    sent = [each.sql for each in deployed.world.standin.statements if each.user == "DBT_UP_SVC"]
    built = next(sql for sql in sent if "create or replace" in sql and "stg_customers" in sql)
    comment = json.loads(built[built.rindex("/*") + 2 : built.rindex("*/")])
    assert comment["project"] == "dbt_up"
    assert comment["node_id"] == "model.dbt_up.stg_customers"


def test_a_pull_request_builds_what_it_changes(deployed: Deployed) -> None:
    up = deployed.world.members["dbt_up"]
    deployed_state = up.path / "target/deployed"
    deployed_state.mkdir(parents=True)
    manifest = Path(up.path / "target/manifest.json")
    (deployed_state / "manifest.json").write_bytes(manifest.read_bytes())
    model = up.path / "models/marts/public_orders.sql"
    model.write_text(model.read_text() + "-- changed\n")
    state = ("--target", "ci", "--state", "target/deployed", "--select")
    up.dbt(
        "clone", *state, "state:modified+,config.materialized:incremental,state:old", **PULL_REQUEST
    )
    up.dbt("build", *state, "state:modified+", **PULL_REQUEST)
    there = {
        thing.ref.name[-1]
        for kind in ("TABLE", "VIEW")
        for thing in deployed.world.standin.model.account.of_kind(kind)
        if thing.ref.name[:2] == ("DBT_UP_DEV", "PR_7")
    }
    assert {"PUBLIC_ORDERS", "DAILY_REVENUE"} <= there
    assert "STG_CUSTOMERS" not in there
