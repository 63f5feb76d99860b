"""Three members in folders of one repository, deployed as in the architecture: the branch
upstream/dbt_up deploys the upstream, and main the others, of which one has its own schedule
(tests/workflow_world.py)."""

from __future__ import annotations

import pytest

from tests.actions import Run
from tests.workflow_world import TOKEN, Mesh, git

pytest_plugins = "tests.workflow_world"
pytestmark = pytest.mark.timeout(1800)  # some of them run workflow after workflow

LOOM = "DBT_DOWN_LOOM_PROD.MARTS.DOWNSTREAM_ORDERS"


def test_branches_of_one_repository_deploy_its_members(shared: Mesh) -> None:
    def deploy(name: str, event: str) -> Run:
        branch = "upstream/dbt_up" if name == "dbt_up" else "main"
        git(shared.checkout(name), "switch", "--quiet", branch)
        payload = shared.told(name) if event == "workflow_dispatch" else None
        run = shared.deploy(name, event, payload)
        assert run.ok, run
        return run

    deploy("dbt_up", "push")
    deploy("dbt_down", "push")
    assert deploy("dbt_down_loom", "schedule").ran("Build")
    quiet = deploy("dbt_down_loom", "schedule")
    assert "nothing to deploy" in quiet.step("Look").output
    assert not quiet.ran("Build")
    assert not quiet.ran("Docs")
    # another member's code has changed, in the same repository
    git(shared.checkout("dbt_down"), "rm", "-r", "--quiet", "dbt_down/snowflake")
    git(shared.checkout("dbt_down"), "commit", "--quiet", "--message", "of dbt_down")
    assert not deploy("dbt_down_loom", "schedule").ran("Build")

    # of the same commit with the same interface nobody is told
    git(shared.checkout("dbt_up"), "switch", "--quiet", "upstream/dbt_up")
    shared.commit("dbt_up")
    deploy("dbt_up", "push")
    (started,) = shared.github.repository("acme/mesh").started
    assert started["workflow"] == "dbt_down-deploy.yml"  # the other one looks by itself
    assert started["inputs"]["project"] == "dbt_up"
    # the job's own token will do within a repository: no App is needed
    (told,) = (each for each in shared.github.requests if each.path.endswith("/dispatches"))
    assert told.token == TOKEN

    assert deploy("dbt_down", "workflow_dispatch").ran(
        "Wait for the version it was told, and check it"
    )
    loud = deploy("dbt_down_loom", "schedule")
    assert "dbt_up: " in loud.step("Look").output
    assert loud.ran("Build")
    assert len(shared.rows(LOOM)) == 56
    deploys = {f"{name}/prod/deploy.json" for name in ("dbt_up", "dbt_down", "dbt_down_loom")}
    assert deploys <= shared.objects("state").keys()
