"""Workflows of members on other engines than the rest of the tests, executed: a deploy, its reader,
pull requests.

tests/workflow_world.py says by what, and tests/actions.py what that cannot show.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet import dbt_v2
from tests.conftest import Render, dbt_of
from tests.engines import PINS, V2, Dbt
from tests.warm import tools
from tests.workflow_world import Mesh, PullRequest, answers_of, git, opened, start

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]

MEMBERS = ("dbt_up", "dbt_down")
UNUSED = ("dbt_core_experimental_parser-2.0.0", "rapidfuzz-3.14.0", "tabulate-0.9.0")
"""Packages that dbt Core 1.12 demands and runs without. The build of the first fetches a binary."""


@dataclass
class World:
    """The upstream and its native reader in repositories of their own, on a dbt."""

    mesh: Mesh
    dbt: Dbt

    @property
    def version(self) -> str:
        """What the dbt of a job says it is."""
        return " 2.0.0" if self.dbt.release == V2 else f"dbt={self.dbt.release}."

    @property
    def docs(self) -> str:
        return "catalog.json" if self.dbt.release == V2 else "static_index.html"


def demand(constraints: Path, pins: tuple[str, ...]) -> None:
    """Makes a member ask for other versions, as its people would."""
    named = {pin.partition("==")[0] for pin in pins}
    kept = [
        line
        for line in constraints.read_text().splitlines()
        if line.partition("==")[0] not in named
    ]
    constraints.write_text("\n".join([*kept, *pins]) + "\n")


def installed(dbt: Dbt, folder: Path) -> Path:
    """What `pip install --requirement requirements.txt` finds installed, and runs."""
    home = dbt.program.parents[1]
    (packages,) = (home / "lib").glob("python*/site-packages")
    if dbt.release == V2:
        return packages
    folder.mkdir()
    for path in packages.iterdir():
        (folder / path.name).symlink_to(path)
    for package in UNUSED:
        stub = folder / f"{package}.dist-info"
        stub.mkdir()
        name, _, version = package.partition("-")
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (stub / "METADATA").write_text(text)
    return folder


@pytest.fixture(scope="module", params=["1.10", "1.12", V2])
def world(
    request: pytest.FixtureRequest, render_into: Render, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """On v2 the reader reads by `ref`."""
    dbt = dbt_of(request.param)
    if dbt.release == V2 and not dbt_v2.has_driver("snowflake"):
        pytest.skip("no ADBC driver of Snowflake here: python -m tests.engines brings it")
    folder = tmp_path_factory.mktemp("mesh")
    answers = {name: {**answers_of(name, False), "engine": dbt.engine.value} for name in MEMBERS}
    answers["dbt_up"]["github_pages"] = False  # needs dbt Core
    members = {name: render_into(folder / name, **answers[name]) for name in MEMBERS}
    for member in members.values() if dbt.release in PINS else ():
        demand(member.path / "constraints.txt", PINS[dbt.release])
    program = dbt.program if dbt.release == V2 else dbt.server.program("dbt")
    for mesh in opened(folder, members, False):
        mesh.actions.environment |= {
            **dbt.environment,
            "PATH": os.pathsep.join([str(program.parent), str(tools()), os.environ["PATH"]]),
        }
        mesh.actions.packages = installed(dbt, folder / "packages")
        for name in members:
            start(mesh.folder(name), mesh.repository(name))
        yield World(mesh, dbt)


def test_from_a_deploy_to_its_reader_and_a_pull_request(world: World) -> None:
    mesh = world.mesh
    up = mesh.deploy("dbt_up", "workflow_dispatch")
    assert up.ok, up
    assert world.version in up.step("Build").output
    down = mesh.deploy("dbt_down", "workflow_dispatch")
    assert down.ok, down
    assert world.version in down.step("Build").output
    assert len(mesh.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")) == 56
    assert {"run_results.json", "manifest.json", world.docs} <= {
        path.name for path in (mesh.actions.artifacts / "dbt").rglob("*")
    }

    # a pull request from a branch: what it changes is built in PR_7, on top of prod
    git(mesh.folder("dbt_up"), "switch", "--quiet", "--create", "change")
    request = PullRequest(mesh, "dbt_up", 7)
    request.edit("models/marts/public_orders.sql", "final as (", "final as ( -- as it was")
    opened_run = request.push("opened")
    assert opened_run.ok, opened_run
    assert mesh.snowflake.names_in("DBT_UP_DEV", "PR_7") == {"PUBLIC_ORDERS", "DAILY_REVENUE"}
    clones = mesh.snowflake.clones_into("PR_7")
    assert len(clones) == 1  # the incremental model starts from what prod has
    (comment,) = request.comments
    assert "passed" in comment

    # one that breaks a contract is red before anything is built, and names who reads it
    for path in ("_marts.yml", "public_orders.sql", "daily_revenue.sql"):
        request.edit(f"models/marts/{path}", "customer_order_number", "number_of_order")
    breaking = request.push()
    assert breaking.step("What would consumers notice?").failed, breaking
    assert "dbt_down" in breaking.step("What would consumers notice?").output

    # one of a fork has no credentials: it is linted, and built on DuckDB
    git(mesh.folder("dbt_up"), "switch", "--quiet", "--force", "main")
    fork = PullRequest(mesh, "dbt_up", 8, fork=True).push("opened")
    assert fork.ok, fork
    assert world.version in fork.step("Build").output
