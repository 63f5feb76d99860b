"""dbt v2 on Snowflake: the real ADBC driver against the stand-in, each member as its own user.

Where CREATE OR REPLACE drops grants: where it keeps them is in test_snowflake_public_read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest

from fleet import dbt_v2
from tests.conftest import Render, dbt_of
from tests.engines import V2
from tests.snowflake_members import World, demo_answers, make_world

ACCESS, ON = "scripts/snowflake_access.py", ("--connection", "admin")


@pytest.fixture(scope="module")
def world(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The upstream and the native member of the demo, set up."""
    dbt = dbt_of(V2)
    if not dbt_v2.has_driver("snowflake"):
        pytest.skip("no ADBC driver of Snowflake here: python -m tests.engines brings it")
    folder = tmp_path_factory.mktemp("v2")
    members = {
        name: render_into(folder / name, **demo_answers(name), engine=dbt.engine)
        for name in ("dbt_up", "dbt_down")
    }
    yield from make_world(folder, members)


def test_from_a_deploy_to_a_reader_and_a_pull_request(world: World) -> None:
    up, down = world.members.values()
    first = up.dbt("build", "--target", "prod").stdout
    assert "dbt-core 2." in first

    # a second run: the incremental model gets its last days, and nothing is granted or revoked
    begun = len(world.standin.statements)
    again = up.dbt("build", "--target", "prod").stdout
    assert "PUBLIC_READ" not in again
    sent = [record.sql.lower() for record in world.standin.statements[begun:]]
    for change in ("delete from", "insert into"):
        assert any(re.search(rf"{change}\s+\S+\.daily_revenue\b", sql) for sql in sent), change
    up.ok("scripts/publish_manifest.py")
    down.ok("scripts/sync_mesh.py")
    down.dbt("build", "--target", "prod")
    for role in ("DBT_DOWN_ROLE", "DBT_DOWN_DEV_ROLE"):
        assert world.readable(role) == {"MARTS.PUBLIC_ORDERS"}

    # slim CI: what a pull request changed is built in PR_7, the rest is read in prod
    shutil.copytree(up.path / "target", up.path / "kept")
    model = up.path / "models/marts/daily_revenue.sql"
    model.write_text(model.read_text() + "\n-- changed\n")
    slim = ("--select", "state:modified+", "--defer", "--state", "kept")
    built = up.dbt("build", "--target", "ci", *slim, DBT_PR_NUMBER="7").stdout
    assert "daily_revenue" in built
    relations = world.relations("DBT_UP_DEV")
    assert {name for _, name in relations} == {"DAILY_REVENUE"}
    assert all(schema.startswith("PR_7") for schema, _ in relations)

    # each as its own user and role, and no statement that a role may not run
    signed_in = {(record.user, record.role) for record in world.standin.sign_ins if record.ok}
    assert signed_in - {("STANDIN_ADMIN", "ACCOUNTADMIN")} == {
        ("DBT_UP_SVC", "DBT_UP_ROLE"),
        ("DBT_DOWN_SVC", "DBT_DOWN_ROLE"),
        ("DBT_UP_CI_SVC", "DBT_UP_DEV_ROLE"),
    }
    for user in ("DBT_UP_SVC", "DBT_DOWN_SVC", "DBT_UP_CI_SVC"):
        assert world.denied(user) == []
    for member in world.members.values():
        member.ok(ACCESS, "verify", *ON)


def test_a_model_that_is_not_public_any_more_is_not_readable_while_it_is_built(
    world: World,
) -> None:
    up = world.members["dbt_up"]
    properties = up.path / "models/marts/_marts.yml"
    text = properties.read_text()
    assert "access: public" in text
    properties.write_text(text.replace("access: public", "access: protected"))
    try:
        begun = len(world.standin.statements)
        up.dbt("run", "--target", "prod", "--select", "public_orders")
        assert world.readable("DBT_DOWN_ROLE") == set()
        sent = [record.sql.lower() for record in world.standin.statements[begun:]]
        revoked = next(n for n, sql in enumerate(sent) if sql.startswith("revoke select"))
        replaced = next(n for n, sql in enumerate(sent) if "table dbt_up_prod.marts.public" in sql)
        assert revoked < replaced
    finally:
        properties.write_text(text)
    up.dbt("run", "--target", "prod", "--select", "public_orders")
    assert world.readable("DBT_DOWN_ROLE") == {"MARTS.PUBLIC_ORDERS"}


def test_an_auditor_can_tell_project_run_and_model(world: World) -> None:
    comments = world.query_comments("DBT_UP_SVC")
    assert {(each["project"], each["target"]) for each in comments} == {("dbt_up", "prod")}
    assert "model.dbt_up.public_orders" in {each["node_id"] for each in comments}
