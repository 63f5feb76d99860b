"""Pull requests and maintenance of the three-member mesh, executed: tests/workflow_world.py says by
what, and tests/actions.py what that cannot show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector

from tests.actions import Run
from tests.keypair_world import fingerprint, gh_standin
from tests.snowflake_standin import ADMIN
from tests.snowflake_standin.fixtures import rsa_key
from tests.workflow_world import Mesh, PullRequest, git

pytest_plugins = "tests.workflow_world"
pytestmark = pytest.mark.timeout(1800)  # some of them run workflow after workflow

PUBLIC_ORDERS = "models/marts/public_orders.sql"
CONTRACTS = "models/marts/_marts.yml"
BUILD = "Build what it changes, on top of what is deployed"
NOTICE = "What would consumers notice?"


@pytest.fixture(scope="module")
def deployed(quick_mesh: Mesh) -> Mesh:
    """The upstream and its native reader are deployed, and the reader has committed its sources."""
    for name in ("dbt_up", "dbt_down"):
        run = quick_mesh.deploy(name, "workflow_dispatch")
        assert run.ok, run
        assert (" 2.0.0" in run.step("Build").output) == bool(quick_mesh.dbts)
    quick_mesh.sync("dbt_down")
    return quick_mesh


@pytest.fixture
def branch(deployed: Mesh) -> Iterator[Any]:
    """branch(name, number) → PullRequest, on a branch that is gone after the test."""
    made: list[str] = []

    def make(name: str, number: int, **more: Any) -> PullRequest:
        git(deployed.folder(name), "switch", "--quiet", "--create", f"change-{number}")
        made.append(name)
        return PullRequest(deployed, name, number, **more)

    yield make
    for name in made:
        git(deployed.folder(name), "switch", "--quiet", "--force", "main")


def test_the_reader_has_the_rows_and_the_docs_of_its_engine_are_kept(deployed: Mesh) -> None:
    assert len(deployed.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")) == 56
    docs = "catalog.json" if deployed.dbts else "static_index.html"
    kept = deployed.actions.artifacts / "dbt/target"
    assert {path.name for path in kept.iterdir()} == {"run_results.json", "manifest.json", docs}


def test_a_fork_without_credentials_is_linted_and_built(branch: Any) -> None:
    request = branch("dbt_up", 3, fork=True)
    run = request.push("opened")
    assert run.ok, run
    assert run.step("Lint SQL").result == run.step("Build").result == "success"
    assert set(run.jobs) == {"lint", "local"}
    assert not request.comments


def test_a_fork_is_told_what_is_wrong(branch: Any) -> None:
    request = branch("dbt_down", 4, fork=True)
    path = "models/downstream_orders.sql"
    request.edit(path, "order_id,", "no_such_column,")
    request.edit(path, "with orders as (", "with unused as (select 1 as a), orders as (")
    run = request.push("opened")
    assert run.step("Lint SQL").failed
    assert "ST03" in run.step("Lint SQL").output
    assert run.step("Build").failed
    assert "no_such_column" in run.step("Build").output
    assert set(run.jobs) == {"lint", "local"}
    assert run.ran("Summary")


def test_what_a_pull_request_changes_is_built_beside_prod_and_dropped_when_it_closes(
    deployed: Mesh, branch: Any
) -> None:
    request = branch("dbt_down", 7)
    request.edit("models/downstream_orders.sql", "country_code,", "upper(country_code) as country,")
    before = deployed.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")
    run = request.push("opened")
    assert run.ok, run
    assert "PR_7" in deployed.schemas("DBT_DOWN_DEV")
    assert len(deployed.rows("DBT_DOWN_DEV.PR_7.DOWNSTREAM_ORDERS")) == len(before)
    assert deployed.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS") == before
    sent = deployed.snowflake.standin.statements
    users = {record.user for record in sent if "PR_7" in record.sql}
    assert users - {ADMIN} == {"DBT_DOWN_CI_SVC"}
    (comment,) = request.comments
    assert "downstream_orders" in comment
    assert "passed" in comment

    git(deployed.folder("dbt_down"), "switch", "--quiet", "main")
    closed = request.push("closed")
    assert closed.ok, closed
    assert set(closed.jobs) == {"drop"}
    assert "PR_7" not in deployed.schemas("DBT_DOWN_DEV")


def test_only_what_is_changed_is_built(deployed: Mesh, branch: Any) -> None:
    """A model in the middle: what it reads is prod's, and what reads it is built as well."""
    request = branch("dbt_up", 8)
    request.edit(PUBLIC_ORDERS, "final as (", "final as ( -- as it was")
    run = request.push("opened")
    assert run.ok, run
    assert deployed.snowflake.names_in("DBT_UP_DEV", "PR_8") == {"PUBLIC_ORDERS", "DAILY_REVENUE"}
    clones = deployed.snowflake.clones_into("PR_8")
    assert len(clones) == 1  # the incremental model starts from what prod has
    assert "DAILY_REVENUE" in clones[0].upper()
    (comment,) = request.comments
    assert "`model daily_revenue`" in comment  # and is built after that


def test_a_breaking_change_is_red_and_names_who_reads_it(deployed: Mesh, branch: Any) -> None:
    request = branch("dbt_up", 9)
    for path in (CONTRACTS, PUBLIC_ORDERS, "models/marts/daily_revenue.sql"):
        request.edit(path, "customer_order_number", "number_of_order")
    run = request.push("opened")
    assert not run.ok
    assert run.step(NOTICE).failed
    for part in ("public_orders", "customer_order_number", "dbt_down"):
        assert part in run.step(NOTICE).output
    assert not run.ran(BUILD)
    (comment,) = request.comments
    assert "customer\\_order\\_number" in comment or "customer_order_number" in comment
    assert "dbt_down" in comment or "dbt\\_down" in comment


def test_without_a_key_the_contract_is_checked_all_the_same(branch: Any) -> None:
    request = branch("dbt_up", 10)
    run = request.push("opened", without=("SNOWFLAKE_PRIVATE_KEY",))
    assert run.ok, run
    assert run.ran(NOTICE)
    assert "not run on Snowflake: this job has no secret SNOWFLAKE_PRIVATE_KEY" in run.log
    assert "with --user DBT_UP_CI_SVC for pull requests" in run.log
    assert f"PR_{request.number}" not in request.mesh.schemas("DBT_UP_DEV")


# ── maintenance ───────────────────────────────────────────────────────────────────────


def maintain(mesh: Mesh, name: str, task: str, **more: Any) -> Run:
    inputs = {"inputs": {"task": task}}
    environment = more.pop("environment", "ci")
    return mesh.run(
        name, "maintenance.yml", "workflow_dispatch", inputs, environment=environment, **more
    )


def test_the_sweep_drops_schemas_of_closed_pull_requests_only(deployed: Mesh) -> None:
    user = "DBT_DOWN_CI_SVC"
    key = rsa_key(user).private_der
    with deployed.snowflake.standin.connect(user=user, private_key=key) as connection:
        for schema in ("PR_20", "PR_21", "ADA_DEV"):
            connection.cursor().execute(f"CREATE SCHEMA DBT_DOWN_DEV.{schema}")
    deployed.github.repository(deployed.repository("dbt_down")).pulls |= {20: "open", 21: "closed"}
    run = maintain(deployed, "dbt_down", "sweep")
    assert run.ok, run
    assert set(run.jobs) == {"sweep"}
    assert {"PR_20", "ADA_DEV"} <= deployed.schemas("DBT_DOWN_DEV")
    assert "PR_21" not in deployed.schemas("DBT_DOWN_DEV")


def test_freshness_is_checked(deployed: Mesh) -> None:
    run = maintain(deployed, "dbt_down", "freshness")
    assert run.ok, run
    assert set(run.jobs) == {"freshness"}
    assert "dbt_up" in run.step("Manifests and data").output


def test_key_pairs_are_rotated(deployed: Mesh, tmp_path: Path) -> None:
    gh = tmp_path / "gh"
    gh.write_text(gh_standin(tmp_path / "gh.log"))
    gh.chmod(0o755)
    users = {"DBT_UP_SVC": "prod", "DBT_UP_CI_SVC": "ci"}
    old = {user: accepted(deployed, user) for user in users}
    more = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = maintain(deployed, "dbt_up", "keys", environment="prod", **more)
    try:
        assert run.ok, run
        assert set(run.jobs) == {"closed", "keys"}
        calls = [json.loads(line) for line in (tmp_path / "gh.log").read_text().splitlines()]
        handed = {
            call["asked"][4]: fingerprint(call["given"].encode())
            for call in calls
            if call["asked"][:3] == ["secret", "set", "SNOWFLAKE_PRIVATE_KEY"]
        }
        for user, environment in users.items():
            new = accepted(deployed, user)
            assert new == {handed[environment]}
            assert not new & old[user]
            before = rsa_key(user).private_der
            with pytest.raises(snowflake.connector.errors.Error):
                deployed.snowflake.standin.connect(user=user, private_key=before)
        assert "PRIVATE KEY-----" not in run.printed
    finally:
        for user in users:
            deployed.snowflake.standin.model.execute(
                f"ALTER USER {user} SET RSA_PUBLIC_KEY = '{rsa_key(user).public}'"
            )


def test_there_has_to_be_a_key_to_rotate(deployed: Mesh) -> None:
    without = ("SNOWFLAKE_PRIVATE_KEY",)
    run = maintain(deployed, "dbt_up", "keys", environment="prod", without=without)
    assert not run.ok
    assert run.step("The key in use").failed
    assert "./setup_keypair_auth.sh create" in run.log
    assert not run.ran("Rotate the key that deploys")


def accepted(mesh: Mesh, user: str) -> set[str]:
    """Fingerprints of the keys that a user may sign in with."""
    answer = mesh.snowflake.standin.model.execute(f"DESC USER {user}", "ACCOUNTADMIN")
    return {
        str(row["value"])
        for row in answer.dicts()
        if str(row["property"]).endswith("_FP") and row["value"] not in (None, "null", "")
    }
