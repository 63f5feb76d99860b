"""Workflows of members on dbt v2, executed: a deploy, its reader, pull requests.

tests/workflow_world.py says by what, and tests/actions.py what that cannot show.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleet import engines as v2
from tests.conftest import Render, dbt_of
from tests.engines import V2
from tests.workflow_world import Mesh, PullRequest, answers_of, git, opened, start

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]

MEMBERS = ("dbt_up", "dbt_down")


@pytest.fixture(scope="module")
def mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The upstream and its native reader, which reads by `ref`, in repositories of their own."""
    dbt = dbt_of(V2)
    if not v2.has_driver("snowflake"):
        pytest.skip("no ADBC driver of Snowflake here: python -m tests.engines brings it")
    folder = tmp_path_factory.mktemp("mesh_v2")
    answers = {name: {**answers_of(name, False), "engine": dbt.engine.value} for name in MEMBERS}
    answers["dbt_up"]["github_pages"] = False  # needs dbt Core
    members = {name: render_into(folder / name, **answers[name]) for name in MEMBERS}
    (packages,) = (v2.folder() / "v2/lib").glob("python*/site-packages")
    for made in opened(folder, members, False):
        # what `pip install --requirement requirements.txt` finds installed, and runs
        made.actions.environment |= {
            **dbt.environment,
            "PATH": f"{dbt.program.parent}{os.pathsep}{os.environ['PATH']}",
        }
        made.actions.packages = packages
        for name in members:
            start(made.folder(name), made.repository(name))
        yield made


def test_from_a_deploy_to_its_reader_and_a_pull_request(mesh: Mesh) -> None:
    up = mesh.deploy("dbt_up", "workflow_dispatch")
    assert up.ok, up
    assert " 2.0.0" in up.step("Build").output
    down = mesh.deploy("dbt_down", "workflow_dispatch")
    assert down.ok, down
    assert " 2.0.0" in down.step("Build").output
    assert len(mesh.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")) == 56
    assert {"run_results.json", "manifest.json", "catalog.json"} <= {
        path.name for path in (mesh.actions.artifacts / "dbt").rglob("*")
    }

    # a pull request from a branch: what it changes is built in PR_7, on top of prod
    git(mesh.folder("dbt_up"), "switch", "--quiet", "--create", "change")
    request = PullRequest(mesh, "dbt_up", 7)
    request.edit("models/marts/public_orders.sql", "final as (", "final as ( -- as it was")
    opened_run = request.push("opened")
    assert opened_run.ok, opened_run
    made = {name for schema, name in mesh.snowflake.relations("DBT_UP_DEV") if schema == "PR_7"}
    assert made == {"PUBLIC_ORDERS", "DAILY_REVENUE"}
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
    assert " 2.0.0" in fork.step("Build").output
