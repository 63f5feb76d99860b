"""Deploys of the three-member mesh, executed: tests/workflow_world.py says by what, and
tests/actions.py what that cannot show."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.actions import Run
from tests.workflow_world import APP_TOKEN, DEPLOYMENTS, Mesh

pytest_plugins = "tests.workflow_world"

BUILT = {
    name: f"{name.upper()}_PROD.MARTS.DOWNSTREAM_ORDERS" for name in DEPLOYMENTS if "down" in name
}
WAIT = "Wait for the version it was told, and check it"
KEEP = "Keep the state, for slim CI and for the next deploy"


@pytest.fixture(scope="module")
def first(mesh: Mesh) -> dict[str, Run]:
    """What happens when a mesh comes into being: the upstream deploys, its readers do for the
    first time, and it deploys again, with nothing changed but that it has readers now."""
    runs = {"up": mesh.deploy("dbt_up", "workflow_dispatch")}
    for name in ("dbt_down", "dbt_down_loom"):
        runs[name] = mesh.deploy(name, "workflow_dispatch")
    runs["up again"] = mesh.deploy("dbt_up", "workflow_dispatch")
    return runs


@pytest.fixture(scope="module")
def second(mesh: Mesh, first: dict[str, Run]) -> dict[str, Run]:
    """Both readers follow the event."""
    return {
        name: mesh.deploy(name, "repository_dispatch", mesh.told(name))
        for name in ("dbt_down", "dbt_down_loom")
    }


def test_a_mesh_comes_into_being(mesh: Mesh, first: dict[str, Run]) -> None:
    for run in first.values():
        assert run.ok, run
    keys = set(mesh.aws.s3.keys("registry"))
    assert {"dbt_up/prod/latest/manifest.json"} <= keys
    for name in ("dbt_down", "dbt_down_loom"):
        assert f"dbt_up/prod/consumers/{name}.json" in keys
    native, loom = (mesh.rows(relation) for relation in BUILT.values())
    assert native == loom
    assert len(native) == 56


def test_a_deploy_leaves_its_state_and_its_docs(mesh: Mesh, first: dict[str, Run]) -> None:
    keys = set(mesh.aws.s3.keys("state"))
    for name in DEPLOYMENTS:
        files = ("manifest.json", "run_results.json", "index.html", "deploy.json")
        assert {f"{name}/prod/{file}" for file in files} <= keys
        page = mesh.aws.s3.get(f"state/{name}/prod/index.html")
        assert b"public_orders" in page
        assert b"<html" in page
    results = json.loads(mesh.aws.s3.get("state/dbt_down/prod/run_results.json"))
    assert results["args"]["which"] == "build"
    kept = mesh.actions.artifacts / "dbt/target"
    assert {path.name for path in kept.iterdir()} == {
        *("manifest.json", "run_results.json", "static_index.html")
    }


def test_readers_are_told_when_there_are_any(mesh: Mesh, first: dict[str, Run]) -> None:
    assert first["up"].step("Who reads it?").output.strip() == "nobody to tell"
    assert not first["up"].ran("Tell them")
    for name in ("dbt_down", "dbt_down_loom"):
        event = mesh.told(name)
        assert event["action"] == "mesh_published"
        payload = event["client_payload"]
        assert payload["project"] == "dbt_up"
        latest = json.loads(mesh.aws.s3.get("registry/dbt_up/prod/latest/manifest.json"))
        assert payload["version"] in json.dumps(latest["metadata"])
        assert f"registry/dbt_up/prod/history/{payload['version']}" in " ".join(
            f"registry/{key}" for key in mesh.aws.s3.keys("registry")
        )
    for request in mesh.github.requests:
        if request.path.endswith("/dispatches"):
            assert request.token == APP_TOKEN


def test_readers_follow(mesh: Mesh, second: dict[str, Run]) -> None:
    for run in second.values():
        assert run.ok, run
        assert run.ran(WAIT)


def test_a_rerun_changes_nothing(mesh: Mesh, second: dict[str, Run]) -> None:
    before = mesh.rows(BUILT["dbt_down"]), mesh.objects("registry")
    run = mesh.deploy("dbt_down", "repository_dispatch", mesh.told("dbt_down"))
    assert run.ok, run
    rows, registry = before
    assert mesh.rows(BUILT["dbt_down"]) == rows
    record = "dbt_up/prod/consumers/dbt_down.json"
    now = mesh.objects("registry")
    assert {key for key in now if now[key] != registry.get(key)} <= {record}


def test_an_event_of_a_project_that_it_does_not_read_is_not_for_it(
    mesh: Mesh, second: dict[str, Run]
) -> None:
    event = mesh.told("dbt_down")
    event["client_payload"] = {**event["client_payload"], "project": "dbt_other"}
    run = mesh.deploy("dbt_down", "repository_dispatch", event)
    assert run.ok
    assert "deploy" not in run.jobs


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"digest": "0" * 64}, 2, "digest"),
        ({"version": "20260101T000000Z-nonsense; rm -rf /"}, 1, "version"),
        ({"digest": "$(touch pwned)"}, 1, "digest"),
    ],
)
def test_a_wrong_event_deploys_nothing(
    mesh: Mesh, second: dict[str, Run], change: dict[str, str], status: int, message: str
) -> None:
    event = mesh.told("dbt_down")
    event["client_payload"] = {**event["client_payload"], **change}
    statements = len(mesh.snowflake.standin.statements)
    run = mesh.deploy("dbt_down", "repository_dispatch", event)
    assert not run.ok
    step = run.step(WAIT)
    assert step.failed
    assert message in step.output
    assert not run.ran("Build")
    assert len(mesh.snowflake.standin.statements) == statements


# ── a build that fails ────────────────────────────────────────────────────────────────


@dataclass
class Broken:
    """What happens when staging of the upstream breaks and is mended: its three deploys, what is
    in the registry and who was told before and after the first, and what Slack got of each."""

    runs: list[Run]
    before: tuple[dict[str, str], list[str]]
    after: tuple[dict[str, str], list[str]]
    alerts: list[list[str]]


@pytest.fixture(scope="module")
def broken(mesh: Mesh, second: dict[str, Run]) -> Broken:
    path = "models/staging/stg_customers.sql"
    good = (mesh.folder("dbt_up") / path).read_text()
    told: list[Run] = []
    alerts: list[list[str]] = []

    def deploy(text: str) -> tuple[dict[str, str], list[str]]:
        mesh.commit("dbt_up", {path: text})
        known = len(mesh.slack.messages)
        told.append(mesh.deploy("dbt_up", "workflow_dispatch"))
        alerts.append(mesh.slack.messages[known:])
        return mesh.objects("registry"), mesh.github.seen("POST")

    before = mesh.objects("registry"), mesh.github.seen("POST")
    after = deploy(good.replace("trim(name)", "trim(no_such_column)"))
    deploy(good)
    deploy(good)
    return Broken(told, before, after, alerts)


def test_a_failed_build_publishes_nothing(broken: Broken) -> None:
    run = broken.runs[0]
    assert not run.ok
    assert run.step("Build").failed
    for name in ("Publish", "Docs", "Who reads it?", "Tell them"):
        assert not run.ran(name)
    assert broken.after == broken.before


def test_a_failed_deploy_keeps_what_dbt_said_and_the_last_good_state(broken: Broken) -> None:
    kept = broken.runs[0].step(KEEP)
    assert kept.result == "success"
    assert "(failure)" in kept.output


def test_slack_is_told_of_the_failure_and_of_the_recovery_and_of_nothing_else(
    mesh: Mesh, broken: Broken
) -> None:
    (failure,), (recovery,), silence = broken.alerts
    assert not silence
    for part in ("dbt_up", "prod", "stg_customers", "/acme/dbt-up/actions/runs/"):
        assert part in failure
    assert "dbt_up" in recovery
    assert "stg_customers" not in recovery
    assert all(run.ok for run in broken.runs[1:])


def test_no_secret_is_in_a_log(mesh: Mesh, broken: Broken) -> None:
    for run in broken.runs:
        assert "PRIVATE KEY-----" not in run.log
        assert mesh.slack.url not in run.log
        assert APP_TOKEN not in run.log
