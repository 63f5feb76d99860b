"""Who may read a model follows the consumers that it names, whoever is set up first.

As in test_snowflake_public_read, on dbt Core where CREATE OR REPLACE drops grants, and on dbt v2
where it keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Render
from tests.snowflake_members import Account, World, demo_answers, make_world, write_models
from tests.snowflake_standin import SnowflakeError
from tests.snowflake_standin.names import Ref

ACCESS = "scripts/snowflake_access.py"
ON = ("--connection", "admin")
LATE = {
    "kind": "native",
    "project_name": "dbt_late",
    "upstreams": "dbt_up",
    "warehouse": "DBT_DOWN_WH",
    "starter": False,
}


CORE, QUICK = "core, replace drops", "v2, replace keeps"
on_both = pytest.mark.parametrize("world", [CORE, QUICK], indirect=True)
on_v2 = pytest.mark.parametrize("world", [QUICK], indirect=True)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
    quick_on_snowflake: dict[str, str],
) -> Iterator[World]:
    """A publisher of models for all, one, two and none of its readers; two of them are set up."""
    folder = tmp_path_factory.mktemp("consumers")
    engine = {} if request.param == CORE else quick_on_snowflake
    members = {}
    for name in ("dbt_up", "dbt_down", "dbt_down_loom"):
        more = engine if name == "dbt_up" else {}  # it alone is built here
        members[name] = render_into(folder / name, **demo_answers(name), **more, starter=False)
    for made in make_world(folder, members, kept=request.param == QUICK):
        write_models(
            made.members["dbt_up"],
            everybody="public table",
            down="public table for dbt_down",
            two="public view for dbt_down,dbt_down_loom",
            nobody="public incremental for",
            late="public table for dbt_late",
            elsewhere="public table FINANCE for dbt_down",
            inside="protected table for dbt_down",
        )
        yield made


def deploy(world: World, *arguments: str) -> str:
    """With one thread: each signs in for itself, and that takes longer than to build a model."""
    command = ("run", "--target", "prod", "--threads", "1", *arguments)
    return world.members["dbt_up"].dbt(*command).stdout


def reads(world: World, consumer: str) -> set[str]:
    """What deploys of a consumer can read, which its people and pull requests can read too."""
    found = world.readable(f"{consumer}_ROLE")
    assert world.readable(f"{consumer}_DEV_ROLE") == found
    return found


def admin(world: World, sql: str) -> None:
    world.standin.model.run_script(f"USE ROLE SECURITYADMIN; {sql};")


def verified(world: World, *names: str) -> None:
    for name in names or world.members:
        world.members[name].ok(ACCESS, "verify", *ON)


@on_both
def test_readers_follow_the_names_through_every_change(world: World, render_into: Render) -> None:
    up, model = world.members["dbt_up"], world.standin.model
    said = deploy(world)
    assert reads(world, "DBT_DOWN") == {
        "MARTS.EVERYBODY", "MARTS.DOWN", "MARTS.TWO", "FINANCE.ELSEWHERE"
    }  # fmt: skip
    assert reads(world, "DBT_DOWN_LOOM") == {"MARTS.EVERYBODY", "MARTS.TWO"}
    assert not model.can("DBT_DOWN_LOOM_ROLE", "USAGE", "DBT_UP_PROD.FINANCE")
    # one that is not set up is no error: it is told of, and gets it later
    assert (
        "note: dbt_late may read late, but is not set up here: its people run "
        "`scripts/snowflake_access.py apply`, and the next run that builds it grants it" in said
    )
    verified(world, "dbt_up")

    # built again, unchanged: nothing is granted or revoked, at the start or at the end, and nothing
    # asked per model
    before = len(world.standin.statements)
    said = deploy(world)
    assert not [line for line in said.splitlines() if "READ_" in line]
    asked = [
        record.sql.splitlines()[0]
        for record in world.standin.statements[before:]
        if record.user == "DBT_UP_SVC" and "database role" in record.sql.lower()
        if record.sql.lower().startswith("show")
    ]
    roles = [
        f"show grants to database role DBT_UP_PROD.{name}"
        for name in ("PUBLIC_READ", "READ_DBT_DOWN", "READ_DBT_DOWN_LOOM")
    ]
    assert asked == ["show database roles in database DBT_UP_PROD", *roles, *roles]

    # from all to one, from one to another, to fewer and to all, and to nobody outside; in a run
    # that builds only one of them
    write_models(
        up,
        everybody="public table for dbt_down",
        down="public table for dbt_down_loom",
        two="public view for dbt_down_loom",
        nobody="public incremental",
        late="public table for dbt_late",
        elsewhere="protected table FINANCE for dbt_down",
        inside="public table for dbt_down",
    )
    said = deploy(world, "--select", "everybody", "inside")
    assert reads(world, "DBT_DOWN") == {"MARTS.EVERYBODY", "MARTS.INSIDE"}
    assert reads(world, "DBT_DOWN_LOOM") == {"MARTS.DOWN", "MARTS.TWO"}
    # nobody could read it before: it may be older than its being public
    assert "dbt build --target prod --select nobody" in said
    deploy(world, "--select", "nobody")
    assert reads(world, "DBT_DOWN") == {"MARTS.EVERYBODY", "MARTS.INSIDE", "MARTS.NOBODY"}
    assert reads(world, "DBT_DOWN_LOOM") == {"MARTS.DOWN", "MARTS.TWO", "MARTS.NOBODY"}
    assert not model.can("DBT_DOWN_ROLE", "USAGE", "DBT_UP_PROD.FINANCE")
    verified(world)

    # who is set up later reads what names it once it is built again; until then verify says so
    late = render_into(up.path.parent / "dbt_late", **demo_answers("dbt_down") | LATE)
    late = Account.of(world.standin).on(late)
    late.ok(ACCESS, "apply", *ON, "--yes")
    assert reads(world, "DBT_LATE") == {"MARTS.NOBODY"}
    assert (
        "missing  SELECT ON TABLE DBT_UP_PROD.MARTS.LATE "
        "TO DATABASE ROLE DBT_UP_PROD.READ_DBT_LATE" in up.refused(ACCESS, "verify", *ON, status=2)
    )
    assert "--select late" in deploy(world, "--select", "nobody")
    assert reads(world, "DBT_LATE") == {"MARTS.NOBODY"}
    assert "note:" not in deploy(world, "--select", "late")
    assert reads(world, "DBT_LATE") == {"MARTS.NOBODY", "MARTS.LATE"}
    verified(world, "dbt_up")

    # and who leaves takes its role along
    assert "READ_DBT_LATE" in late.ok(ACCESS, "teardown", *ON, "--yes")
    assert Ref("DATABASE_ROLE", ("DBT_UP_PROD", "READ_DBT_LATE")) not in model.account.things
    assert "note: dbt_late may read late" in deploy(world, "--select", "nobody")
    verified(world, "dbt_up")
    assert world.denied("DBT_UP_SVC") == []


@on_v2
def test_verify_finds_what_was_granted_by_hand(world: World) -> None:
    up, down = world.members["dbt_up"], world.members["dbt_down"]
    write_models(up, down="public table for dbt_down")
    deploy(world)
    for_down = "SELECT ON TABLE DBT_UP_PROD.MARTS.DOWN TO DATABASE ROLE DBT_UP_PROD"
    admin(world, f"GRANT {for_down}.PUBLIC_READ; GRANT {for_down}.READ_DBT_DOWN_LOOM")
    admin(world, "GRANT DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE PUBLIC")
    admin(world, "GRANT DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE DBT_DOWN_LOOM_ROLE")

    found = json.loads(up.refused(ACCESS, "verify", *ON, "--json", status=2))
    assert set(found["extra"]) == {
        f"{for_down}.PUBLIC_READ",
        f"{for_down}.READ_DBT_DOWN_LOOM",
        "USAGE ON DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE PUBLIC",
    }
    # whose role it is knows who else should not have it
    assert (
        "extra    USAGE ON DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE DBT_DOWN_LOOM_ROLE"
        in down.refused(ACCESS, "verify", *ON, status=2)
    )
    down.ok(ACCESS, "verify", *ON, "--fix")
    up.ok(ACCESS, "verify", *ON, "--fix")
    assert reads(world, "DBT_DOWN_LOOM") == set()


@on_v2
def test_the_matrix_has_a_row_for_each_consumer(world: World) -> None:
    up, down = world.members["dbt_up"], world.members["dbt_down"]
    write_models(up, all="public table", down="public table for dbt_down,dbt_late")
    up.dbt("parse", "--target", "prod")
    rows = up.ok(ACCESS, "matrix").splitlines()
    for project in ("dbt_down", "dbt_late"):
        role = f"DBT_UP_PROD.READ_{project.upper()}"
        model = "`DBT_UP_PROD.MARTS.DOWN` (public model)"
        assert f"| `{role}` | {project} | {model} | SELECT |" in rows
    assert not [row for row in rows if "PUBLIC_READ" in row and "MARTS.DOWN`" in row]
    assert "`DBT_UP_PROD.READ_DBT_DOWN` (database role) | USAGE" in down.ok(ACCESS, "matrix")


@on_v2
def test_deploys_grant_to_consumers_and_decide_nothing_else(world: World) -> None:
    """The roles are made by administrators: code that is deployed cannot hand them on."""
    model = world.standin.model
    for sql in (
        "CREATE DATABASE ROLE DBT_UP_PROD.READ_MORE",
        "GRANT DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN TO ROLE DBT_DOWN_LOOM_ROLE",
        "DROP DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN",
    ):
        with pytest.raises(SnowflakeError, match="Insufficient privileges"):
            model.execute(sql, "DBT_UP_ROLE", "DBT_UP_SVC")


@on_v2
def test_a_role_that_only_looks_like_a_consumers_is_left_alone(world: World) -> None:
    up, model = world.members["dbt_up"], world.standin.model
    role = "DATABASE ROLE DBT_UP_PROD.READ_STRANGER"
    model.execute(f"CREATE {role} COMMENT = 'of the auditors'", "SYSADMIN")
    write_models(up, all="public table", stranger="public table for stranger,DBT_DOWN")
    said = deploy(world)
    assert "note: stranger may read stranger, but is not set up here" in said
    assert "note: DBT_DOWN may read stranger" in said  # no project is called that
    assert reads(world, "DBT_DOWN") == {"MARTS.ALL"}
    assert "READ_STRANGER" in up.refused(ACCESS, "verify", *ON, status=2)
    model.execute(f"DROP {role}", "SYSADMIN")


@on_v2
def test_a_consumers_role_that_is_somebody_elses(world: World) -> None:
    down, model = world.members["dbt_down"], world.standin.model
    role = "DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN"
    model.execute(f"COMMENT ON {role} IS 'of the auditors'", "SYSADMIN")
    for command in ("plan", "apply", "teardown"):
        said = down.refused(ACCESS, command, *ON, *([] if command == "plan" else ["--yes"]))
        assert f"{role} exists and is not dbt_down's" in said
    model.execute(f"COMMENT ON {role} IS 'dbt mesh: dbt_down'", "SYSADMIN")
    assert "Nothing to change" in down.ok(ACCESS, "plan", *ON)


@on_v2
def test_round_trips_grow_with_consumers_and_not_with_models(world: World) -> None:
    up, standin = world.members["dbt_up"], world.standin

    def trips(numbers: range) -> int:
        for number in numbers:
            name = f"DBT_UP_PROD.MARTS.T{number}"
            to = "DATABASE ROLE DBT_UP_PROD.READ_DBT_DOWN"
            for sql in (f"CREATE TABLE {name} (ID INT)", f"GRANT SELECT ON {name} TO {to}"):
                standin.model.execute(sql, "DBT_UP_ROLE", "DBT_UP_SVC")
        before = len(standin.statements)
        assert "T0" in up.run(ACCESS, "verify", *ON).stdout
        return len(standin.statements) - before

    assert trips(range(1)) == trips(range(1, 300))


@on_v2
def test_a_producer_that_leaves_takes_its_readers_roles_along(world: World) -> None:
    """Last: it takes all of them down, the producer first."""
    said = world.members["dbt_up"].ok(ACCESS, "teardown", *ON, "--yes")
    assert "warning: these roles can no longer read its public models: " in said
    assert "DBT_DOWN_LOOM_ROLE" in said
    for name in ("dbt_down_loom", "dbt_down"):
        world.members[name].ok(ACCESS, "teardown", *ON, "--yes")
    left = world.standin.model.account.things
    assert not [ref for ref in left if ref.name and ref.name[0].startswith("DBT_")]
