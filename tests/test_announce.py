"""announce.py: who is told of a publication, what, and with what care for the token."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests import warm
from tests.conftest import Member
from tests.github_actions import Workflow
from tests.github_api import APP, NEWS, TOKEN, GitHubApi, app_key
from tests.registry_world import LATEST, Place, Publish, at, exporting
from tests.snowflake_standin.fixtures import rsa_key

pytest_plugins = ("tests.s3_server", "tests.registry_world", "tests.github_api")

ANNOUNCE = "announce"
READS = [{"model": "model.dbt_up.public_0", "name": "public_0"}]


OF_BEFORE: dict[str, Any] = {"workflow": None, "branch": None}
"""Facts that are missing in the record of a project whose template is older than 0.3.0."""


def record(place: Place, consumer: str, repository: str | None, **facts: Any) -> None:
    started = {"workflow": "deploy.yml", "branch": "main"}
    document = {"consumer": consumer, "reads": READS, "repository": repository, **started, **facts}
    place.put(f"dbt_up/prod/consumers/{consumer}.json", json.dumps(document).encode())


@pytest.fixture
def workflow(up: Member, github: GitHubApi) -> Member:
    """The upstream in its workflow, of a repository of its own: without a token, but with an App,
    which tests install."""
    key, _ = app_key()
    app = {"MESH_APP_CLIENT_ID": APP, "MESH_APP_PRIVATE_KEY": key}
    run = github.environment("acme/dbt-up", "", GITHUB_RUN_ID="77", **app)
    return exporting(up, **run)


def told(github: GitHubApi) -> list[str]:
    """Requests by which somebody is told."""
    return [each for each in github.seen() if "/dispatches" in each]


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("::warning::")]


def test_who_has_read_the_publication_is_not_told_of_it_again(
    workflow: Member, place: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(place, at(1))
    published = json.loads(place.get(LATEST))["metadata"]["env"]["DBT_MESH_VERSION"]
    record(place, "reads_it", "acme/reads", read_version=published)
    github.install("acme/reads", "acme/behind", actions="write")
    flags = (*place.flags,)
    said = workflow.ok(ANNOUNCE, *flags, **place.environment)
    assert "reads_it is not told: nothing changed since its last deploy" in said
    record(place, "behind", "acme/behind", read_version="an older one")
    workflow.ok(ANNOUNCE, *flags, **place.environment)
    assert told(github) == ["POST /repos/acme/behind/actions/workflows/deploy.yml/dispatches 204"]


def test_the_deploy_of_each_is_started_with_the_news(
    workflow: Member, place: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(place, at(1))
    loom = {"workflow": "dbt_down_loom-deploy.yml", "branch": "loom"}
    record(place, "dbt_down", "acme/mesh", workflow="dbt_down-deploy.yml")
    record(place, "dbt_down_loom", "acme/mesh", deployment="on_demand", **loom)
    record(place, "joined", "acme/joined", workflow="mesh-deploy.yml")
    record(place, "hourly", "acme/hourly", deployment="independent")
    github.install("acme/mesh", "acme/joined", "acme/hourly", actions="write")
    mesh, joined = github.repository("acme/mesh"), github.repository("acme/joined")
    mesh.workflows["dbt_down-deploy.yml"] = joined.workflows["mesh-deploy.yml"] = Workflow(
        inputs=NEWS
    )
    mesh.workflows["dbt_down_loom-deploy.yml"] = Workflow("loom", NEWS)
    said = workflow.ok(ANNOUNCE, *place.flags, **place.environment)
    assert "told acme/mesh (dbt_down) of" in said
    published = json.loads(place.get(LATEST))["metadata"]["env"]
    inputs = {
        "project": "dbt_up",
        "version": published["DBT_MESH_VERSION"],
        "digest": published["DBT_MESH_DIGEST"],
        "chain": "dbt_up",
    }
    assert mesh.started == [
        {"workflow": "dbt_down-deploy.yml", "ref": "main", "inputs": inputs},
        {"workflow": "dbt_down_loom-deploy.yml", "ref": "loom", "inputs": inputs},
    ]
    assert joined.started == [{"workflow": "mesh-deploy.yml", "ref": "main", "inputs": inputs}]
    assert github.repository("acme/hourly").started == []


def test_projects_of_a_template_before_0_3_0_get_an_event_for_each_repository(
    workflow: Member, place: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(place, at(1))
    record(place, "dbt_down", "acme/mesh", deployment="sequential", **OF_BEFORE)
    record(place, "dbt_down_loom", "acme/mesh", deployment="on_demand", **OF_BEFORE)
    record(place, "newer", "acme/newer")
    github.install("acme/mesh", "acme/newer", actions="write", contents="write")
    said = workflow.ok(ANNOUNCE, *place.flags, **place.environment)
    assert "told acme/mesh (dbt_down, dbt_down_loom)" in said
    assert told(github) == [
        "POST /repos/acme/newer/actions/workflows/deploy.yml/dispatches 204",
        "POST /repos/acme/mesh/dispatches 204",
    ]
    published = json.loads(place.get(LATEST))["metadata"]["env"]
    assert github.repository("acme/mesh").dispatches == [
        {
            "event_type": "mesh_published",
            "client_payload": {
                "project": "dbt_up",
                "env": "prod",
                "version": published["DBT_MESH_VERSION"],
                "digest": published["DBT_MESH_DIGEST"],
                "run_url": "https://github.com/acme/dbt-up/actions/runs/77",
                "chain": ["dbt_up"],
                "consumers": ["dbt_down", "dbt_down_loom"],
            },
        }
    ]


def test_an_app_of_before_0_3_0_goes_on_telling_and_that_is_a_warning(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "newer", "acme/newer")
    github.install("acme/newer", contents="write", workflows="write", actions="read")
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    (line,) = warnings(done)
    assert "give the App actions: write in acme/newer" in line
    (event,) = github.repository("acme/newer").dispatches
    assert event["client_payload"]["consumers"] == ["newer"]


def test_an_app_that_can_only_start_workflows_cannot_tell_those(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "older", "acme/older", **OF_BEFORE)
    record(folder, "newer", "acme/newer")
    github.install("acme/older", "acme/newer", actions="write")
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    (line,) = warnings(done)
    assert "older is not told: its template is older than 0.3.0" in line
    assert len(github.repository("acme/newer").started) == 1


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (Workflow(inputs=NEWS, state="disabled_inactivity"), "disabled workflow"),
        (Workflow("develop", NEWS), "No ref found"),
        (Workflow(inputs=("task",)), "Unexpected inputs"),
        (Workflow(), "Workflow does not have"),
    ],
)
def test_a_deploy_that_cannot_be_started_is_a_warning(
    workflow: Member,
    folder: Place,
    github: GitHubApi,
    publish: Publish,
    known: Workflow,
    says: str,
) -> None:
    """As where GitHub has switched the workflows of a quiet repository off."""
    publish(folder, at(1))
    record(folder, "quiet", "acme/quiet")
    github.install("acme/quiet", actions="write")
    github.repository("acme/quiet").workflows["deploy.yml"] = known
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    (line,) = warnings(done)
    assert says in line
    assert "gh workflow list --all --repo acme/quiet" in line


def test_who_is_told_is_decided_by_one_job_and_done_by_another(
    workflow: Member,
    folder: Place,
    github: GitHubApi,
    publish: Publish,
    tmp_path: Path,
) -> None:
    """The first has no App, the second no registry."""
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    github.install("acme/down", actions="write")
    output = tmp_path / "output"
    no_app = {"MESH_APP_CLIENT_ID": "", "MESH_APP_PRIVATE_KEY": ""}
    first = exporting(workflow, GITHUB_OUTPUT=str(output), **no_app)
    assert "to be told: down in acme/down" in first.ok(ANNOUNCE, *folder.flags, "--plan")
    assert github.requests == []
    name, news, *_ = output.read_text().splitlines()
    assert name.startswith("news<<")
    assert "told acme/down (down)" in exporting(workflow, MESH_NEWS=news).ok(
        ANNOUNCE, "--planned", DBT_MESH_REGISTRY="s3://nowhere"
    )
    assert len(github.repository("acme/down").started) == 1


@pytest.mark.parametrize("news", ["", "{}", '{"project": "a b"}'])
def test_what_is_no_announcement_tells_nobody(
    workflow: Member, github: GitHubApi, news: str
) -> None:
    refused = exporting(workflow, MESH_NEWS=news).refused(ANNOUNCE, "--planned")
    assert "what the deploy handed on is not an announcement" in refused
    assert github.requests == []


def test_nobody_is_told_of_what_has_not_changed(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    """But by hand, and by the news of another project, unless that is where it came from."""
    first = publish(folder, at(1))
    again = publish(folder, at(2))
    gone = "20250101T000000.000000Z-0123456789ab"
    versions = {"knows_it": again, "knows_the_same": first, "knows_none": None, "lost": gone}
    for name, version in {**versions, "strange": "../../../latest"}.items():
        record(folder, name, f"acme/{name}", read_version=version)
    said = workflow.ok(ANNOUNCE, *folder.flags, "--dry-run")
    assert "knows_it is not told: nothing changed since its last deploy" in said
    assert "knows_the_same is not told" in said
    for name in ("knows_none", "lost", "strange"):
        assert f"would tell acme/{name}" in said
    by_hand = exporting(workflow, GITHUB_EVENT_NAME="workflow_dispatch")
    assert "not told" not in by_hand.ok(ANNOUNCE, *folder.flags, "--dry-run")
    event = workflow.path / "event.json"
    chain = ["somebody", "knows_it"]
    event.write_text(json.dumps({"client_payload": {"project": "knows_it", "chain": chain}}))
    told = {"GITHUB_EVENT_NAME": "repository_dispatch", "GITHUB_EVENT_PATH": str(event)}
    knows_the_chain(exporting(workflow, **told), folder)
    event.write_text(json.dumps({"inputs": {"project": "knows_it", "chain": "somebody,knows_it"}}))
    told = {**told, "GITHUB_EVENT_NAME": "workflow_dispatch"}
    knows_the_chain(exporting(workflow, **told), folder)
    publish(folder, at(3, columns=4))
    assert "not told" not in workflow.ok(ANNOUNCE, *folder.flags, "--dry-run")


def knows_the_chain(workflow: Member, folder: Place) -> None:
    said = workflow.ok(ANNOUNCE, *folder.flags, "--dry-run")
    assert "knows_it is not told" in said
    assert "would tell acme/knows_the_same" in said
    assert '"chain": "somebody,knows_it,dbt_up"' in said


def test_what_others_wrote_in_the_registry_is_taken_for_names_only(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    bad = (
        "acme/../../evil",
        "https://evil.example/x",
        "acme/a b",
        "acme/x\nother/y",
        "",
        "acme/..",
    )
    for number, repository in enumerate((*bad, "elsewhere/down", "@evil.example/x")):
        record(folder, f"down_{number}", repository)
    record(folder, "no-name\n", "acme/down")
    record(folder, "good", "acme/down")
    record(folder, "evil", "acme/down", workflow="destroy.yml")
    folder.put("dbt_up/prod/consumers/broken.json", b"{")
    github.install("acme/down", actions="write")
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    assert told(github) == ["POST /repos/acme/down/actions/workflows/deploy.yml/dispatches 204"]
    assert "'destroy.yml' on its record is not the name of a deploy workflow" in done.stderr
    assert "elsewhere/down is not acme's" in done.stderr
    assert "its repository on record is 'acme/../../evil', which is not a repository" in done.stderr
    assert "some readers may not be told: " in done.stderr


def test_a_token_is_for_one_repository_and_for_what_it_takes(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "a", "acme/a")
    record(folder, "b", "acme/b")
    github.install("acme/a", "acme/b", actions="write", administration="write")
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    scopes = [github.tokens[text] for text in github.issued]
    assert [set(scope.repositories or ()) for scope in scopes] == [{"acme/a"}, {"acme/b"}]
    assert all(scope.permissions == {"actions": "write"} for scope in scopes)
    used = [each.token for each in github.requests if each.path.endswith("/dispatches")]
    assert used == github.issued
    # nothing of it is told
    key, public = app_key()
    signed = [each.token for each in github.requests if each.path.endswith("/installation")]
    secrets = (*github.issued, *signed, "PRIVATE KEY", key.splitlines()[1])
    assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
    claims = jwt.decode(signed[0], public, ["RS256"])
    assert claims["iss"] == APP
    assert claims["iat"] <= time.time() - 50
    assert claims["exp"] <= time.time() + 600


def test_a_key_on_one_line_will_do(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    """As the action that makes tokens for other steps of the same secret reads it."""
    publish(folder, at(1))
    record(folder, "a", "acme/a")
    github.install("acme/a", actions="write")
    key = app_key()[0].replace("\n", "\\n")
    assert "told acme/a" in workflow.ok(ANNOUNCE, *folder.flags, MESH_APP_PRIVATE_KEY=key)


def test_a_repository_that_cannot_be_told_is_a_warning_and_the_others_are_told(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    names = ("archived", "fine", "gone", "no_app", "no_right", "renamed", "suspended", "taken_out")
    for name in names:
        record(folder, name, f"acme/{name}")
    github.install("acme/archived", "acme/fine", "acme/renamed", actions="write")
    github.repository("acme/archived").is_archived = True
    github.repository("acme/no_app")
    github.install("acme/no_right", contents="read")
    github.install("acme/suspended", actions="write").is_suspended = True
    github.install("acme/taken_out", actions="write")
    github.fail("GET .*/acme/renamed/", 301)
    github.fail("POST .*/acme/taken_out/actions", 404)
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stdout + done.stderr
    said = warnings(done)
    assert len(said) == len(names) - 1
    for name in set(names) - {"fine"}:
        (line,) = [line for line in said if f"{name} is not told: acme/{name} " in line]
        assert "Install the App there" in line
        assert "validate_lineage.py --record" in line
    assert "::warning::gone is not told: acme/gone " in said[1]
    assert "with 404" in said[1]
    assert "with 301" in next(line for line in said if "acme/renamed" in line)
    assert len(github.repository("acme/fine").started) == 1


def test_what_may_pass_fails_and_the_others_are_told(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    for name in ("a", "b", "c", "gone"):
        record(folder, name, f"acme/{name}")
    github.install("acme/a", "acme/b", "acme/c", actions="write")
    github.fail("POST .*/acme/c/", 502, times=2)
    github.fail("GET .*/acme/a/", 403, Retry_After="0")
    github.fail("POST .*/acme/b/", 502, times=9)
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "acme/b was not told: GitHub answers POST /repos/acme/b/actions/workflows/" in error
    assert "with 502" in error
    assert len(warnings(done)) == 1
    assert len(github.repository("acme/a").started) == 1
    assert len(github.repository("acme/c").started) == 1


def test_a_rate_limit_is_nobodys_missing_app(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "a", "acme/a")
    github.install("acme/a", actions="write")
    github.fail("GET .*/acme/a/", 403, times=9, Retry_After="0")
    assert "acme/a was not told" in workflow.refused(ANNOUNCE, *folder.flags)


def test_members_that_share_the_repository_are_told_with_its_own_token(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "neighbour", "Acme/dbt-up")  # GitHub does not tell Acme from acme
    record(folder, "other", "acme/other")
    github.repository("Acme/dbt-up").workflows["deploy.yml"] = Workflow(inputs=NEWS)
    github.install("acme/other", actions="write")
    github.token(TOKEN, "Acme/dbt-up", actions="write")
    shared = exporting(workflow, GITHUB_TOKEN=TOKEN)
    assert "told acme/other (other)" in shared.ok(ANNOUNCE, *folder.flags)
    used = [each.token for each in github.requests if each.path.endswith("/dispatches")]
    assert used == [TOKEN, *github.issued]

    # without an App this is what there is
    done = exporting(shared, MESH_APP_CLIENT_ID="", MESH_APP_PRIVATE_KEY="").run(
        ANNOUNCE, *folder.flags
    )
    assert done.returncode == 0, done.stderr
    (line,) = warnings(done)
    assert line == f"{NO_APP}: acme/other"
    assert told(github)[2:] == [
        "POST /repos/Acme/dbt-up/actions/workflows/deploy.yml/dispatches 204"
    ]


NO_APP = (
    "::warning::The projects that read this one were not told: there is no GitHub App yet "
    "(README.md, CI and deploys)"
)


def test_without_an_app_nobody_is_told_and_that_is_said(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "b", "acme/b")
    record(folder, "a", "acme/a")
    done = exporting(workflow, MESH_APP_CLIENT_ID="", MESH_APP_PRIVATE_KEY="").run(
        ANNOUNCE, *folder.flags
    )
    assert done.returncode == 0, done.stderr
    assert warnings(done) == [f"{NO_APP}: acme/a, acme/b"]
    assert github.requests == []


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ({"MESH_APP_PRIVATE_KEY": ""}, "MESH_APP_PRIVATE_KEY is not set"),
        ({"MESH_APP_PRIVATE_KEY": "ghs_no-key"}, "MESH_APP_PRIVATE_KEY is not a private key"),
        ({"MESH_APP_PRIVATE_KEY": rsa_key().private_pem}, "is not the key of the App"),
        ({"MESH_APP_CLIENT_ID": "Iv1.other"}, "is not the key of the App"),
        ({"MESH_APP_CLIENT_ID": "a\nb"}, "MESH_APP_CLIENT_ID is not a client id"),
    ],
)
def test_an_app_that_is_none_is_told_once(
    workflow: Member,
    folder: Place,
    github: GitHubApi,
    publish: Publish,
    app: dict[str, str],
    says: str,
) -> None:
    publish(folder, at(1))
    for name in ("a", "b", "c"):
        record(folder, name, f"acme/{name}")
    github.install("acme/a", "acme/b", "acme/c", actions="write")
    refused = exporting(workflow, **app).refused(ANNOUNCE, *folder.flags)
    assert says in refused
    assert "ghs_no-key" not in refused
    assert len(refused.splitlines()) == 1
    assert told(github) == []


@pytest.mark.parametrize(
    ("status", "says"),
    [(301, "has another name now"), (401, "is not valid"), (403, "lacks a permission")],
)
def test_what_github_refuses_is_said_once_and_the_token_goes_nowhere_else(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish, status: int, says: str
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    github.install("acme/down", actions="write")
    with GitHubApi() as other:
        github.fail("POST .*/dispatches", status, Location=f"{other.url}/repos/acme/down")
        done = workflow.run(ANNOUNCE, *folder.flags)
        assert other.requests == []
    assert done.returncode == (1 if status == 401 else 0)
    said = done.stdout + done.stderr
    assert says in said
    assert github.issued[0] not in said
    assert len(told(github)) == 1


def test_an_api_that_is_away_costs_seconds(
    workflow: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    warm.programs()  # which may have to start
    started = time.monotonic()
    away = {"GITHUB_API_URL": "http://127.0.0.1:9"}
    assert "no answer from http://127.0.0.1:9" in exporting(workflow, **away).refused(
        ANNOUNCE, *folder.flags
    )
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GITHUB_TOKEN", "a\nb", "GITHUB_TOKEN is not a token"),
        ("GITHUB_API_URL", "http://evil.example", "GITHUB_API_URL is not an https:// address"),
        ("GITHUB_API_URL", "ftp://127.0.0.1", "GITHUB_API_URL is not an https:// address"),
    ],
)
def test_the_environment_is_checked_first(
    workflow: Member, folder: Place, publish: Publish, name: str, value: str, says: str
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/dbt-up")
    assert says in exporting(workflow, **{name: value}).refused(ANNOUNCE, *folder.flags)


def test_a_reader_that_does_not_look_any_more_is_a_warning(
    workflow: Member, folder: Place, publish: Publish
) -> None:
    """Nobody starts it, so nobody else would notice that its workflow is switched off."""
    first = publish(folder, at(1))
    second = publish(folder, at(2, columns=4))
    record(folder, "quiet", "acme/quiet", deployment="independent", read_version=first)
    record(folder, "awake", "acme/awake", deployment="independent", read_version=second)
    record(folder, "new", "acme/new", deployment="independent")
    (line,) = warnings(workflow.run(ANNOUNCE, *folder.flags))
    assert f"quiet looks for changes by itself, and has not deployed since {second}" in line
    assert "gh workflow list --all --repo acme/quiet" in line


def test_nobody_to_tell_needs_no_app(
    workflow: Member, folder: Place, publish: Publish, github: GitHubApi
) -> None:
    publish(folder, at(1))
    record(folder, "hourly", "acme/hourly", deployment="independent")
    done = workflow.run(ANNOUNCE, *folder.flags, MESH_APP_CLIENT_ID="")
    assert "nobody to tell" in done.stdout
    assert not warnings(done)
    assert github.requests == []


def test_it_can_be_shown_without_an_app(
    workflow: Member, folder: Place, publish: Publish, github: GitHubApi
) -> None:
    publish(folder, at(1))
    record(folder, "a", "acme/dbt-a")
    shown = workflow.ok(ANNOUNCE, *folder.flags, "--dry-run", MESH_APP_CLIENT_ID="")
    assert shown.startswith("would tell acme/dbt-a: {")
    assert github.requests == []


def test_before_the_first_publication_there_is_nothing_to_tell(
    workflow: Member, folder: Place
) -> None:
    record(folder, "down", "acme/down")
    assert "dbt_up has published nothing to prod yet" in workflow.refused(ANNOUNCE, *folder.flags)
