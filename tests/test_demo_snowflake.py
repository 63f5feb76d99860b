"""`make demo TARGET=snowflake`: on the stand-in, with the real connector and real dbt-snowflake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.conftest import ROOT, Member
from tests.snowflake_members import DEMO, World
from tests.snowflake_standin import Laptop, Standin
from tests.warm import run
from tests.warm.serve import KEY_BITS

ACCESS = "scripts/snowflake_access.py"


class DemoLaptop(Laptop):
    """A laptop with a folder for the demo."""

    @property
    def folder(self) -> Path:
        return self.home / "the demo"

    @property
    def environment(self) -> dict[str, str]:
        # a key as long as people get one takes a dbt a second in each run
        return {**os.environ, **super().environment, "COLUMNS": "150", KEY_BITS: "2048"}

    def command(self, *arguments: str) -> list[str]:
        return [
            "-m",
            "fleet",
            "demo",
            "--target",
            "snowflake",
            "--folder",
            str(self.folder),
            *arguments,
        ]

    def demo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *self.command(*arguments)]
        return run(command, ROOT, self.environment, timeout=600)


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with Standin() as started:
        yield started


@pytest.fixture(scope="module")
def laptop(standin: Standin, tmp_path_factory: pytest.TempPathFactory) -> DemoLaptop:
    return DemoLaptop(tmp_path_factory.mktemp("laptop"), standin)


def test_bad_input_is_one_line_and_creates_nothing(laptop: DemoLaptop, standin: Standin) -> None:
    for arguments, says in [
        ((), "which account?"),
        (("--connection", "nobody"), "nobody"),
        (("--connection", "admin"), "--yes"),
    ]:
        done = laptop.demo(*arguments)
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not laptop.folder.exists()
    assert not [record for record in standin.statements if record.sql.startswith("CREATE")]


def test_it_says_what_it_creates_and_costs_before_it_asks(laptop: DemoLaptop) -> None:
    child = pexpect.spawn(
        sys.executable,
        laptop.command("--connection", "admin"),
        cwd=str(ROOT),
        env=laptop.environment,
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 200),
    )
    child.expect_exact("Create it? [y/N]")
    for thing in (
        "no bucket",
        "DBT_DOWN_LOOM_PROD",
        "DBT_UP_WH",
        "DBT_UP_SVC",
        "credit",
        "demo-destroy",
    ):
        assert thing in child.before
    child.sendline("n")
    child.expect_exact("nothing was changed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert not laptop.folder.exists()


def pull_request_builds_in_a_schema_of_its_own(world: World) -> None:
    """And cannot write prod, as whose user it builds whatever its profile says."""
    down = world.members["dbt_down"]
    world.laptop.give_keys("DBT_DOWN_CI_SVC")
    down.dbt("run", "--target", "ci", DBT_PR_NUMBER="7")
    assert {schema for schema, _ in world.relations("DBT_DOWN_DEV")} == {"PR_7"}
    profiles = down.path / "profiles.yml"
    text = profiles.read_text()
    changed = text.replace("      database: DBT_DOWN_DEV", "      database: DBT_DOWN_PROD")
    assert changed != text
    profiles.write_text(changed)
    done = down.run("dbt", "run", "--target", "ci", DBT_PR_NUMBER="8")
    profiles.write_text(text)
    (world.laptop.keys / "DBT_DOWN_CI_SVC.p8").unlink()
    assert done.returncode in (1, 2)
    assert "Insufficient privileges" in done.stdout


def everybody_builds_at_home_and_nowhere_else(world: World) -> None:
    owners = {
        thing.ref.name[0]: thing.owner.name[0]
        for kind in ("TABLE", "VIEW")
        for thing in world.standin.model.account.of_kind(kind)
        if thing.owner and thing.ref.name[1] != "MESH"
    }
    assert owners == {
        "DBT_UP_PROD": "DBT_UP_ROLE",
        "DBT_DOWN_PROD": "DBT_DOWN_ROLE",
        "DBT_DOWN_DEV": "DBT_DOWN_DEV_ROLE",
        "DBT_DOWN_LOOM_PROD": "DBT_DOWN_LOOM_ROLE",
    }
    assert {schema for schema, _ in world.relations("DBT_UP_PROD")} == {
        *("RAW", "STAGING", "MARTS", "MESH")
    }
    signed_in = {(record.user, record.role) for record in world.standin.sign_ins if record.ok}
    assert {each for each in signed_in if each[0] != "STANDIN_ADMIN"} == {
        ("DBT_UP_SVC", "DBT_UP_ROLE"),
        ("DBT_DOWN_SVC", "DBT_DOWN_ROLE"),
        ("DBT_DOWN_CI_SVC", "DBT_DOWN_DEV_ROLE"),
        ("DBT_DOWN_LOOM_SVC", "DBT_DOWN_LOOM_ROLE"),
    }


def test_the_demo_on_an_account_and_away_with_it(laptop: DemoLaptop, standin: Standin) -> None:
    done = laptop.demo("--connection", "admin", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"(\w+\.\w+)\s*│\s*(\d+)", done.stdout))
    assert counts["dbt_down.downstream_orders"] == counts["dbt_down_loom.downstream_orders"]
    assert int(counts["dbt_down.downstream_orders"]) > 0

    # contracts lie in Snowflake, and no folder or bucket is a registry
    written = {
        (r.user, table)
        for r in standin.statements
        if not r.error and r.sql.lstrip().upper().startswith("INSERT")
        for table in re.findall(r"MESH\W+(PUBLICATIONS|STATE|READS)", r.sql)
    }
    assert written == {
        ("DBT_UP_SVC", "PUBLICATIONS"),
        ("DBT_UP_SVC", "STATE"),
        ("DBT_DOWN_SVC", "READS"),
        ("DBT_DOWN_LOOM_SVC", "READS"),
    }
    assert not list(laptop.folder.rglob("registry"))

    # each member builds as its own service user, none as the administrator
    builders = {r.user for r in standin.statements if re.search(r"(?i)create or replace", r.sql)}
    assert builders == {"DBT_UP_SVC", "DBT_DOWN_SVC", "DBT_DOWN_LOOM_SVC"}
    for key in laptop.keys.glob("*.p8"):
        assert key.stat().st_mode & 0o077 == 0

    # who may do what
    members = {
        name: Member(laptop.folder / name, {**laptop.environment, **standin.reach}) for name in DEMO
    }
    world = World(standin, laptop, members)
    for consumer in ("DBT_DOWN", "DBT_DOWN_LOOM"):
        for role in (f"{consumer}_ROLE", f"{consumer}_DEV_ROLE"):
            assert world.readable(role) == {"MARTS.PUBLIC_ORDERS", "MESH.PUBLISHED"}
    text = members["dbt_up"].ok(ACCESS, "matrix")
    assert "`DBT_UP_PROD.MARTS.PUBLIC_ORDERS` (public model) | SELECT" in text
    assert "DAILY_REVENUE" not in text
    pull_request_builds_in_a_schema_of_its_own(world)
    everybody_builds_at_home_and_nowhere_else(world)
    for member in members.values():
        member.ok(ACCESS, "verify", "--connection", "admin")

    # run again: nothing new to create, all built anew
    again = laptop.demo("--connection", "admin", "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "kept as it is" in again.stdout
    comments = world.query_comments("DBT_UP_SVC")
    assert {(each["project"], each["target"]) for each in comments} == {("dbt_up", "prod")}
    assert len({each["invocation_id"] for each in comments}) == 2
    assert "model.dbt_up.public_orders" in {each["node_id"] for each in comments}

    gone = laptop.demo("--clean", "--connection", "admin", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    with standin.admin_connection() as admin:
        cursor = admin.cursor()
        for kind in ("DATABASES", "WAREHOUSES", "ROLES", "USERS"):
            cursor.execute(f"SHOW {kind} LIKE 'DBT_%'")
            assert cursor.fetchall() == [], kind
    assert not laptop.folder.exists()
    assert list(laptop.keys.glob("*.p8")) == []
    assert "nothing to destroy" in laptop.demo("--clean", "--connection", "admin", "--yes").stderr
