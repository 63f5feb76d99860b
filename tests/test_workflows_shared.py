"""Three members in folders of one repository, deployed as in the architecture: the branch
upstream/dbt_up deploys the upstream, and main the others (tests/workflow_world.py)."""

from __future__ import annotations

from tests.workflow_world import TOKEN, Mesh, git

pytest_plugins = "tests.workflow_world"


def test_branches_of_one_repository_deploy_its_members(shared: Mesh) -> None:
    clone = shared.checkout("dbt_up")
    git(clone, "switch", "--quiet", "upstream/dbt_up")
    first = shared.deploy("dbt_up", "push")
    assert first.ok, first
    git(clone, "switch", "--quiet", "main")
    run = shared.deploy("dbt_down", "push")
    assert run.ok, run

    git(clone, "switch", "--quiet", "upstream/dbt_up")
    again = shared.deploy("dbt_up", "push")
    assert again.ok, again
    (event,) = shared.github.repository("acme/mesh").dispatches
    assert event["client_payload"]["project"] == "dbt_up"
    assert event["client_payload"]["consumers"] == ["dbt_down"]
    # the job's own token will do within a repository: no App is needed
    (told,) = (each for each in shared.github.requests if each.path.endswith("/dispatches"))
    assert told.token == TOKEN

    git(clone, "switch", "--quiet", "main")
    for name in ("dbt_down", "dbt_down_loom"):
        run = shared.deploy(name, "repository_dispatch", shared.told(name))
        assert run.ok, run
        assert run.ran("Wait for the version it was told, and check it")
    deploys = {f"{name}/prod/deploy.json" for name in ("dbt_up", "dbt_down", "dbt_down_loom")}
    assert deploys <= shared.objects("state").keys()
    native, loom = (
        shared.rows(f"{name}_PROD.MARTS.DOWNSTREAM_ORDERS")
        for name in ("DBT_DOWN", "DBT_DOWN_LOOM")
    )
    assert native == loom
    assert len(native) == 56
