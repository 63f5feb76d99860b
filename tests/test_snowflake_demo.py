"""The demo on Snowflake: real dbt-snowflake, each member as its own user and role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Render
from tests.snowflake_members import World, make_world, render_demo

ACCESS = "scripts/snowflake_access.py"
ON = ("--connection", "admin")


@pytest.fixture(scope="module")
def demo(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The three members deployed, the first of them twice, and a pull request on the second."""
    folder = tmp_path_factory.mktemp("demo")
    for world in make_world(folder, render_demo(render_into, folder)):
        up, down, loom = world.members.values()
        for _ in range(2):
            up.dbt("build", "--target", "prod")
        up.ok("scripts/publish_manifest.py")
        down.ok("scripts/sync_mesh.py")
        down.dbt("build", "--target", "prod")
        loom.ok("scripts/sync_mesh.py")
        for _ in range(2):
            loom.dbt("build", "--target", "prod")
        down.dbt("build", "--target", "ci", DBT_PR_NUMBER="7")
        yield world


def test_consumers_read_the_public_model_and_nothing_else(demo: World) -> None:
    for consumer in ("DBT_DOWN", "DBT_DOWN_LOOM"):
        for role in (f"{consumer}_ROLE", f"{consumer}_DEV_ROLE"):
            assert demo.readable(role) == {"MARTS.PUBLIC_ORDERS"}


def test_everybody_builds_at_home_and_nowhere_else(demo: World) -> None:
    owners = {
        thing.ref.name[0]: thing.owner.name[0]
        for kind in ("TABLE", "VIEW")
        for thing in demo.standin.model.account.of_kind(kind)
        if thing.owner
    }
    assert owners == {
        "DBT_UP_PROD": "DBT_UP_ROLE",
        "DBT_DOWN_PROD": "DBT_DOWN_ROLE",
        "DBT_DOWN_DEV": "DBT_DOWN_DEV_ROLE",
        "DBT_DOWN_LOOM_PROD": "DBT_DOWN_LOOM_ROLE",
    }
    signed_in = {(record.user, record.role) for record in demo.standin.sign_ins}
    assert signed_in - {("STANDIN_ADMIN", "ACCOUNTADMIN")} == {
        ("DBT_UP_SVC", "DBT_UP_ROLE"),
        ("DBT_DOWN_SVC", "DBT_DOWN_ROLE"),
        ("DBT_DOWN_CI_SVC", "DBT_DOWN_DEV_ROLE"),
        ("DBT_DOWN_LOOM_SVC", "DBT_DOWN_LOOM_ROLE"),
    }


def test_schemas_are_those_of_the_target(demo: World) -> None:
    def schemas(database: str) -> set[str]:
        return {schema for schema, _ in demo.relations(database)}

    assert schemas("DBT_UP_PROD") == {"RAW", "STAGING", "MARTS"}
    assert schemas("DBT_DOWN_DEV") == {"PR_7"}


def test_verify_agrees(demo: World) -> None:
    for member in demo.members.values():
        member.ok(ACCESS, "verify", *ON)


def test_the_matrix_names_the_public_models(demo: World) -> None:
    text = demo.members["dbt_up"].ok(ACCESS, "matrix")
    assert "`DBT_UP_PROD.MARTS.PUBLIC_ORDERS` (public model) | SELECT" in text
    assert "DAILY_REVENUE" not in text


def test_an_auditor_can_tell_project_run_and_model(demo: World) -> None:
    comments = demo.query_comments("DBT_UP_SVC")
    assert {(c["project"], c["target"]) for c in comments} == {("dbt_up", "prod")}
    assert len({c["invocation_id"] for c in comments}) == 2
    assert "model.dbt_up.public_orders" in {c["node_id"] for c in comments}


def test_a_pull_request_cannot_write_prod(demo: World) -> None:
    down = demo.members["dbt_down"]
    profiles = (down.path / "profiles.yml").read_text()
    try:
        # As it would be done: in the pull request, the profile points its user at prod.
        (down.path / "profiles.yml").write_text(
            profiles.replace("      database: DBT_DOWN_DEV", "      database: DBT_DOWN_PROD")
        )
        done = down.run("dbt", "run", "--target", "ci", DBT_PR_NUMBER="8")
        assert done.returncode in (1, 2)
        assert "Insufficient privileges" in done.stdout
    finally:
        (down.path / "profiles.yml").write_text(profiles)
