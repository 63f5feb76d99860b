"""Deploys of the three-member mesh, executed: tests/workflow_world.py says by what, and
tests/actions.py what that cannot show."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

import pytest

from tests.actions import Run
from tests.github_api import app_key
from tests.s3_server import BUCKET
from tests.workflow_world import DEPLOYMENTS, Mesh

pytest_plugins = "tests.workflow_world"
pytestmark = pytest.mark.timeout(1800)  # some of them run workflow after workflow

LATEST = "registry/dbt_up/prod/latest/manifest.json"
BUILT = {
    name: f"{name.upper()}_PROD.MARTS.DOWNSTREAM_ORDERS" for name in DEPLOYMENTS if "down" in name
}
WAIT = "Wait for the version it was told, and check it"
SYNC = "What other projects publish"
COPY_USED = "Was it built with the last good copy of a project?"
TELL, PLAN = "Tell them", "Who has to be told?"
RECORD = "registry/dbt_up/prod/consumers/dbt_down.json"
GONE = "registry/dbt_up/prod/consumers/gone.json"
KEEP = "Keep the state, for slim CI and for the next deploy"


@dataclass
class Story:
    """What happens in the first days of a mesh. Each deploy is followed by what Slack got of it.

    registry: what is in it, before and after a build that failed.
    """

    runs: dict[str, Run]
    alerts: dict[str, list[str]]
    registry: tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def story(mesh: Mesh) -> Story:
    runs: dict[str, Run] = {}
    alerts: dict[str, list[str]] = {}

    def deploy(what: str, name: str, event: str = "workflow_dispatch") -> None:
        known = len(mesh.slack.messages)
        payload = None
        if what.endswith("follows"):
            payload = mesh.told(name) if event == "workflow_dispatch" else mesh.told_by_event(name)
        runs[what] = mesh.deploy(name, event, payload)
        alerts[what] = mesh.slack.messages[known:]

    staging = "models/staging/stg_customers.sql"
    good = (mesh.folder("dbt_up") / staging).read_text()
    deploy("up", "dbt_up")
    deploy("down", "dbt_down")
    deploy("loom", "dbt_down_loom")
    before = mesh.objects("registry")
    mesh.commit("dbt_up", {staging: good.replace("trim(name)", "trim(no_such_column)")})
    deploy("up broken", "dbt_up")
    after = mesh.objects("registry")
    contracts = "models/marts/_marts.yml"
    changed = (mesh.folder("dbt_up") / contracts).read_text()
    # of a publication that has not changed nobody is told
    changed = changed.replace("Discount given.", "Discount that was given.")
    mesh.commit("dbt_up", {staging: good, contracts: changed})
    gone = {**json.loads(mesh.aws.s3.get(RECORD)), "consumer": "gone", "repository": "acme/gone"}
    mesh.aws.s3.put(GONE, json.dumps(gone).encode())
    deploy("up mended", "dbt_up")
    mesh.aws.s3.client().delete_object(Bucket=BUCKET, Key=GONE)
    deploy("down follows", "dbt_down")
    deploy("loom follows", "dbt_down_loom", "repository_dispatch")
    return Story(runs, alerts, (before, after))


def test_a_mesh_comes_into_being(mesh: Mesh, story: Story) -> None:
    for what, run in story.runs.items():
        assert run.ok != (what == "up broken"), run
    assert "dbt_up/prod/latest/manifest.json" in mesh.objects("registry")
    native, loom = (mesh.rows(relation) for relation in BUILT.values())
    assert native == loom
    assert len(native) == 56


def test_a_deploy_leaves_its_state_and_its_docs(mesh: Mesh, story: Story) -> None:
    keys = set(mesh.aws.s3.keys("state"))
    for name in DEPLOYMENTS:
        files = {"manifest.json", "run_results.json", "deploy.json"}
        files |= set() if name in mesh.dbts else {"index.html"}  # of dbt Core
        assert {f"{name}/prod/{file}" for file in files} == {
            key for key in keys if key.startswith(f"{name}/prod/")
        }
    page = mesh.aws.s3.get("state/dbt_down_loom/prod/index.html")
    assert b"public_orders" in page
    assert b"<html" in page
    results = json.loads(mesh.aws.s3.get("state/dbt_down/prod/run_results.json"))
    assert results["args"]["which"] == "build"
    for what, run in story.runs.items():
        assert run.jobs.get("pages") == ("success" if what in ("loom", "loom follows") else None)
    assert b"public_orders" in (mesh.actions.artifacts / "github-pages-1/index.html").read_bytes()
    kept = mesh.actions.artifacts / "dbt/target"
    assert {path.name for path in kept.iterdir()} == {
        *("manifest.json", "run_results.json", "static_index.html"),
        *(("catalog.json",) if mesh.dbts else ()),
    }


def test_readers_are_known_by_what_they_record_and_told_by_an_app(mesh: Mesh, story: Story) -> None:
    assert "nobody to tell" in story.runs["up"].step(PLAN).output
    assert not story.runs["up"].ran(TELL)
    registry = mesh.objects("registry")
    latest = hashlib.sha256(mesh.aws.s3.get(LATEST)).hexdigest()
    for name in ("dbt_down", "dbt_down_loom"):
        assert f"dbt_up/prod/consumers/{name}.json" in registry
        payload = mesh.told(name)["inputs"]
        assert payload["project"] == "dbt_up"
        assert registry[f"dbt_up/prod/history/{payload['version']}/manifest.json"] == latest
    told = [each for each in mesh.github.requests if each.path.endswith("/dispatches")]
    assert len(told) == 2
    assert [each.token for each in told] == mesh.github.issued  # one for each repository


def test_a_reader_whose_repository_is_gone_is_a_warning(story: Story) -> None:
    run = story.runs["up mended"]
    assert "gone is not told: acme/gone is gone, renamed, archived" in run.printed
    assert run.step(TELL).output.count("told acme/") == 2


def test_readers_wait_for_the_version_they_were_told(story: Story) -> None:
    for what in ("down follows", "loom follows"):
        assert story.runs[what].step(WAIT).result == "success"
    assert not story.runs["down"].ran(WAIT)


def test_a_failed_build_publishes_nothing(story: Story) -> None:
    run = story.runs["up broken"]
    assert run.step("Build").failed
    for name in ("Publish", "Docs", PLAN, TELL):
        assert not run.ran(name)
    before, after = story.registry
    assert after == before


def test_a_failed_deploy_keeps_what_dbt_said(story: Story) -> None:
    kept = story.runs["up broken"].step(KEEP)
    assert kept.result == "success"
    assert "(failure)" in kept.output


def test_slack_is_told_of_the_failure_and_of_the_recovery_and_of_nothing_else(
    story: Story,
) -> None:
    (failure,), (recovery,) = story.alerts.pop("up broken"), story.alerts.pop("up mended")
    assert not any(story.alerts.values())
    for part in ("dbt_up", "prod", "stg_customers", "/acme/dbt-up/actions/runs/"):
        assert part in failure
    assert "dbt_up" in recovery
    assert "stg_customers" not in recovery


def test_no_secret_is_in_a_log(mesh: Mesh, story: Story) -> None:
    app, _ = app_key()
    signed = [each.token for each in mesh.github.requests if each.path.endswith("/installation")]
    assert len(signed) == 3
    for run in story.runs.values():
        secrets = ("KEY-----", app.splitlines()[1], *signed, *mesh.github.issued, mesh.slack.url)
        for secret in secrets:
            assert secret not in run.printed
        assert not re.search(r"AWS_SECRET_ACCESS_KEY=(?!\*\*\*)", run.printed)


def test_a_rerun_changes_nothing(mesh: Mesh, story: Story) -> None:
    rows, registry = mesh.rows(BUILT["dbt_down"]), mesh.objects("registry")
    run = mesh.deploy("dbt_down", "workflow_dispatch", mesh.told("dbt_down"))
    assert run.ok, run
    assert mesh.rows(BUILT["dbt_down"]) == rows
    now = mesh.objects("registry")
    record = "dbt_up/prod/consumers/dbt_down.json"  # says when it was made
    assert {key for key in now if now[key] != registry.get(key)} <= {record}


def test_an_event_of_a_project_that_it_does_not_read_is_not_for_it(
    mesh: Mesh, story: Story
) -> None:
    event = mesh.told_by_event("dbt_down")
    event["client_payload"] = {**event["client_payload"], "project": "dbt_other"}
    run = mesh.deploy("dbt_down", "repository_dispatch", event)
    assert run.ok
    assert "deploy" not in run.jobs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "0" * 64}, "digest"),
        ({"version": "20260101T000000Z; rm -rf /", "digest": "$(touch pwned)"}, "version"),
    ],
)
def test_a_wrong_event_deploys_nothing(
    mesh: Mesh, story: Story, change: dict[str, str], message: str
) -> None:
    event = {"inputs": {**mesh.told("dbt_down")["inputs"], **change}}
    statements = len(mesh.snowflake.standin.statements)
    run = mesh.deploy("dbt_down", "workflow_dispatch", event)
    assert not run.ok
    assert run.step(WAIT).failed
    assert message in run.step(WAIT).output
    assert not run.ran("Build")
    assert len(mesh.snowflake.standin.statements) == statements


def test_nothing_is_deployed_where_every_branch_could(mesh: Mesh, story: Story) -> None:
    settings = mesh.github.repository("acme/dbt-up").settings
    closed = settings.environments.pop("prod")
    try:
        run = mesh.deploy("dbt_up", "workflow_dispatch")
    finally:
        settings.environments["prod"] = closed
    assert not run.ok
    assert run.jobs["closed"] == "failure"
    assert not run.ran("Build")
    assert "./setup_keypair_auth.sh create" in run.printed


def test_a_publication_that_is_refused_stops_no_deploy(mesh: Mesh, story: Story) -> None:
    """An upstream was taken over. Its readers deploy all else, with what they synced before; where
    they have nothing of it, dbt is not started. Both are red, and told of."""
    good, refused = mesh.aws.s3.get(LATEST), b'{"metadata": {}, "nodes": {}}'
    version = "20990101T000000.000000Z-0123456789ab"
    event = {"inputs": {**mesh.told("dbt_down")["inputs"], "version": version}}
    known = len(mesh.slack.messages)
    try:
        for key in (LATEST, f"registry/dbt_up/prod/history/{version}/manifest.json"):
            mesh.aws.s3.put(key, refused)
        stopped = mesh.deploy("dbt_down", "workflow_dispatch", event)
        (mesh.folder("dbt_down") / "state/dbt_up").mkdir(parents=True)
        mesh.commit("dbt_down", {"state/dbt_up/manifest.json": good.decode()})
        model = mesh.folder("dbt_down") / "models/downstream_orders.sql"
        mesh.commit("dbt_down", {"models/one_more.sql": model.read_text()})
        gone_on = mesh.deploy("dbt_down", "workflow_dispatch", event)
    finally:
        mesh.aws.s3.put(LATEST, good)
    for run in (stopped, gone_on):
        assert not run.ok
        assert run.step(WAIT).result == "success"
        assert "there is nothing to wait for" in run.step(WAIT).output
    assert stopped.step(SYNC).failed
    assert not stopped.ran("Build")
    assert "(success)" in gone_on.step(KEEP).output
    assert mesh.rows("DBT_DOWN_PROD.MARTS.ONE_MORE") == mesh.rows(BUILT["dbt_down"])
    assert [step.name for step in gone_on.steps if step.failed] == [COPY_USED]
    for alert in mesh.slack.messages[known:]:
        assert "the published manifest of dbt_up: metadata: " in alert
    assert len(mesh.slack.messages) == known + 2
    assert mesh.deploy("dbt_down", "workflow_dispatch").ok
