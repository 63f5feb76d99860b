"""announce.py: who is told of a publication, what, and with what care for the token."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.conftest import Member
from tests.github_api import TOKEN, GitHubApi
from tests.registry_world import LATEST, Place, Publish, at, exporting

pytest_plugins = ("tests.s3_server", "tests.registry_world", "tests.github_api")

ANNOUNCE = "scripts/announce.py"
READS = [{"model": "model.dbt_up.public_0", "name": "public_0"}]


def record(place: Place, consumer: str, repository: str | None, **facts: Any) -> None:
    document = {"consumer": consumer, "reads": READS, "repository": repository, **facts}
    place.put(f"dbt_up/prod/consumers/{consumer}.json", json.dumps(document).encode())


@pytest.fixture
def workflow(up: Member, github: GitHubApi) -> Member:
    """The upstream in its workflow."""
    github.token(TOKEN, contents="write")
    run = github.environment("acme/dbt-up", GITHUB_RUN_ID="77")
    return exporting(up, **run)


def test_every_repository_gets_one_event(
    workflow: Member, place: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(place, at(1))
    record(place, "dbt_down", "acme/mesh", deployment="sequential")
    record(place, "dbt_down_loom", "acme/mesh", deployment="on_demand")
    record(place, "old_one", "acme/old")  # of a template that did not record deployment
    record(place, "hourly", "acme/hourly", deployment="independent")
    for name in ("acme/mesh", "acme/old", "acme/hourly"):
        github.repository(name)
    told = workflow.ok(ANNOUNCE, *place.flags, **place.environment)
    assert "told acme/mesh (dbt_down, dbt_down_loom)" in told
    assert github.seen() == [
        "POST /repos/acme/mesh/dispatches 204",
        "POST /repos/acme/old/dispatches 204",
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
                "consumers": ["dbt_down", "dbt_down_loom"],
            },
        }
    ]


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
    folder.put("dbt_up/prod/consumers/broken.json", b"{")
    github.repository("acme/down")
    done = workflow.run(ANNOUNCE, *folder.flags)
    assert done.returncode == 0, done.stderr
    assert github.seen() == ["POST /repos/acme/down/dispatches 204"]
    assert github.repository("acme/down").dispatches[0]["client_payload"]["consumers"] == ["good"]
    assert "elsewhere/down is not acme's" in done.stderr
    assert "its repository on record is 'acme/../../evil', which is none" in done.stderr
    assert "not everybody may be told: " in done.stderr


def test_one_that_fails_does_not_stop_the_others(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish
) -> None:
    publish(folder, at(1))
    for name in ("a", "b", "c"):
        record(folder, name, f"acme/{name}")
    github.repository("acme/a")
    github.repository("acme/c")
    github.fail("POST .*/acme/c/", 502, times=2)
    github.fail("POST .*/acme/a/", 403, Retry_After="0")
    refused = workflow.refused(ANNOUNCE, *folder.flags)
    assert "acme/b was not told: GitHub answers POST /repos/acme/b/dispatches with 404" in refused
    assert len(github.repository("acme/a").dispatches) == 1
    assert len(github.repository("acme/c").dispatches) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [(301, "has another name now"), (401, "not valid"), (403, "lacks a permission"), (422, "422")],
)
def test_what_github_refuses_is_said_once_and_the_token_goes_nowhere_else(
    workflow: Member, folder: Place, github: GitHubApi, publish: Publish, status: int, says: str
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    github.repository("acme/down")
    with GitHubApi() as other:
        github.fail("POST ", status, Location=f"{other.url}/repos/acme/down/dispatches")
        refused = workflow.refused(ANNOUNCE, *folder.flags)
        assert other.requests == []
    assert says in refused
    assert TOKEN not in refused
    assert len(github.requests) == 1


def test_an_api_that_is_away_costs_seconds(
    workflow: Member, folder: Place, publish: Publish
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    started = time.monotonic()
    away = {"GITHUB_API_URL": "http://127.0.0.1:9"}
    assert "no answer from http://127.0.0.1:9" in exporting(workflow, **away).refused(
        ANNOUNCE, *folder.flags
    )
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GITHUB_TOKEN", "", "GITHUB_TOKEN is not set"),
        ("GITHUB_TOKEN", "a\nb", "GITHUB_TOKEN is no token"),
        ("GITHUB_API_URL", "http://evil.example", "GITHUB_API_URL is no https:// address"),
        ("GITHUB_API_URL", "ftp://127.0.0.1", "GITHUB_API_URL is no https:// address"),
    ],
)
def test_the_environment_is_checked_first(
    workflow: Member, folder: Place, publish: Publish, name: str, value: str, says: str
) -> None:
    publish(folder, at(1))
    record(folder, "down", "acme/down")
    assert says in exporting(workflow, **{name: value}).refused(ANNOUNCE, *folder.flags)


def test_nobody_to_tell_needs_no_token(
    workflow: Member, folder: Place, publish: Publish, github: GitHubApi
) -> None:
    publish(folder, at(1))
    record(folder, "hourly", "acme/hourly", deployment="independent")
    assert "nobody to tell" in workflow.ok(ANNOUNCE, *folder.flags, GITHUB_TOKEN="")
    assert github.requests == []


def test_it_can_be_shown_and_listed_without_a_token(
    workflow: Member, folder: Place, publish: Publish, github: GitHubApi
) -> None:
    publish(folder, at(1))
    record(folder, "a", "acme/dbt-a")
    record(folder, "b", "acme/dbt-b")
    outputs = workflow.path / "outputs"
    facts = {"GITHUB_TOKEN": "", "GITHUB_OUTPUT": str(outputs)}
    assert "would tell acme/dbt-a: {" in workflow.ok(ANNOUNCE, *folder.flags, "--dry-run", **facts)
    listed = workflow.ok(ANNOUNCE, *folder.flags, "--list", **facts)
    assert listed == "acme/dbt-a\nacme/dbt-b\n"
    lines = outputs.read_text().splitlines()
    assert lines[1] == "acme"
    assert lines[4] == "dbt-a,dbt-b"
    assert github.requests == []


def test_before_the_first_publication_there_is_nothing_to_tell(
    workflow: Member, folder: Place
) -> None:
    record(folder, "down", "acme/down")
    assert "dbt_up has published nothing to prod yet" in workflow.refused(ANNOUNCE, *folder.flags)
