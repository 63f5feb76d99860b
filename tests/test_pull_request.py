"""pull_request.py: one comment per project, and schemas that go with their pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Member, Render
from tests.github_actions import BOT
from tests.github_api import TOKEN, GitHubApi
from tests.registry_world import exporting
from tests.snowflake_members import ACCOUNT, World, make_world
from tests.snowflake_standin.fixtures import rsa_key

pytest_plugins = ("tests.github_api",)

PULL = "pull-request"
MARKER = "<!-- dbt-mesh dbt_up -->"
UP = {"kind": "upstream", "project_name": "dbt_up", "starter": False}


# ── comment ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def rendered(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    return render_into(tmp_path_factory.mktemp("comments") / "dbt_up", **UP)


@pytest.fixture
def member(rendered: Member, github: GitHubApi) -> Member:
    """In the workflow of pull request 42."""
    github.token(TOKEN, pull_requests="write")
    github.repository("acme/up").pulls[42] = "open"
    (rendered.path / "report.md").write_text("### All well\n")
    run = github.environment("acme/up", GITHUB_REF="refs/pull/42/merge")
    return exporting(rendered, **run)


def comments(github: GitHubApi) -> list[dict[str, Any]]:
    return github.repository("acme/up").comments.get(42, [])


def test_there_is_one_comment_and_it_is_updated(member: Member, github: GitHubApi) -> None:
    assert member.ok(PULL, "comment", "report.md") == "commented on pull request 42\n"
    (member.path / "report.md").write_text("### Not so well\n")
    said = member.ok(PULL, "comment", "report.md", "--number", "42")
    assert said == "updated the comment on pull request 42\n"
    assert [each["body"] for each in comments(github)] == [f"{MARKER}\n### Not so well\n"]


def test_comments_of_others_stay(member: Member, github: GitHubApi) -> None:
    """Also one that bears the marker, on a page that is not the first."""
    theirs = [{"id": n, "body": "me too", "user": {"login": "eve"}} for n in range(900, 1150)]
    theirs += [
        {"id": 1200, "body": f"{MARKER}\nevil", "user": {"login": "eve"}},
        {"id": 1201, "body": f"{MARKER}\nghost", "user": None},
        {"id": 1202, "body": "<!-- dbt-mesh dbt_down -->\nits own", "user": {"login": BOT}},
    ]
    own = {"id": 1300, "body": f"{MARKER}\nold", "user": {"login": BOT}}
    github.repository("acme/up").comments[42] = [*theirs, own]
    before = [dict(each) for each in theirs]
    member.ok(PULL, "comment", "report.md")
    assert theirs == before
    assert own["body"] == f"{MARKER}\n### All well\n"
    assert len(comments(github)) == len(theirs) + 1
    assert github.seen()[-1] == "PATCH /repos/acme/up/issues/comments/1300 200"


def test_a_long_report_is_cut(member: Member, github: GitHubApi) -> None:
    (member.path / "report.md").write_text("é" * 70_000)
    member.ok(PULL, "comment", "report.md")
    assert comments(github)[0]["body"].endswith("… cut: the rest is in the summary of the run")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"GITHUB_REF": "refs/heads/main"}, "name the pull request with --number"),
        ({"GITHUB_TOKEN": "other"}, "GITHUB_TOKEN is not valid"),
        ({"GITHUB_REPOSITORY": "acme/up/x"}, "GITHUB_REPOSITORY does not name a repository"),
    ],
)
def test_what_is_wrong_is_said(member: Member, environment: dict[str, str], says: str) -> None:
    assert says in exporting(member, **environment).refused(PULL, "comment", "report.md")


def test_a_token_that_may_not_comment_is_told_so(member: Member, github: GitHubApi) -> None:
    github.token(TOKEN, contents="write")
    refused = member.refused(PULL, "comment", "report.md")
    assert "with 403 (Resource not accessible by integration): GITHUB_TOKEN lacks" in refused


# ── drop and sweep ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def world(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("schemas")
    member = render_into(folder / "dbt_up", **UP, snowflake_account=ACCOUNT)
    yield from make_world(folder, {"dbt_up": member})


ALL = {"PR_0", "PR_1", "PR_2", "PR_3", "PR_40", "ADA_DEV", "PR_X", "pr_5"}


def make_schemas(world: World, *names: str) -> None:
    key = rsa_key("DBT_UP_CI_SVC").private_der
    with world.standin.connect(user="DBT_UP_CI_SVC", private_key=key) as connection:
        for name in names:
            connection.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS DBT_UP_DEV."{name}"')


@pytest.fixture
def swept(world: World, github: GitHubApi) -> Member:
    """A member with schemas of five pull requests, of which 2 and 40 are open."""
    make_schemas(world, *ALL)
    github.token(TOKEN, pull_requests="read")
    pulls = github.repository("acme/up").pulls
    pulls |= dict.fromkeys(range(1, 150), "closed") | {2: "open", 40: "open"}
    pulls |= dict.fromkeys(range(200, 320), "open")  # more than a page
    return exporting(world.members["dbt_up"], **github.environment("acme/up"))


def schemas(world: World) -> set[str]:
    found = world.standin.model.account.of_kind("SCHEMA")
    ours = {thing.ref.name[1] for thing in found if thing.ref.name[0] == "DBT_UP_DEV"}
    return ours - {"PUBLIC"}


def test_a_pull_request_that_closes_takes_its_schema_along(swept: Member, world: World) -> None:
    assert swept.ok(PULL, "drop", "3") == "dropped DBT_UP_DEV.PR_3\n"
    swept.ok(PULL, "drop", "3")  # a rerun
    assert schemas(world) == ALL - {"PR_3"}
    dropped = [record for record in world.standin.statements if "DROP SCHEMA" in record.sql]
    assert {(record.user, record.role) for record in dropped} == {
        ("DBT_UP_CI_SVC", "DBT_UP_DEV_ROLE")
    }


@pytest.mark.parametrize("number", ["0", "-1", "1; drop", "x", "PROD", ""])
def test_only_a_number_is_a_pull_request(swept: Member, world: World, number: str) -> None:
    swept.refused(PULL, "drop", number)
    assert schemas(world) == ALL


def test_a_sweep_drops_what_is_not_open(swept: Member, world: World) -> None:
    said = swept.ok(PULL, "sweep", "--dry-run")
    assert "would drop DBT_UP_DEV.PR_1" in said
    assert schemas(world) == ALL
    assert "5 schemas of pull requests, 3 of them closed" in swept.ok(PULL, "sweep")
    assert schemas(world) == {"PR_2", "PR_40", "ADA_DEV", "PR_X", "pr_5"}


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_sweep_drops_nothing_where_github_does_not_answer(
    swept: Member, world: World, github: GitHubApi, status: int
) -> None:
    github.fail("GET .*/pulls", status, times=9, Retry_After="0")
    swept.refused(PULL, "sweep")
    assert schemas(world) == ALL


@pytest.mark.parametrize("after", [0, 1])
def test_a_page_that_is_no_list_or_fails_drops_nothing(
    swept: Member, world: World, github: GitHubApi, after: int
) -> None:
    github.fail("GET .*/pulls", 200, after=after, body={"message": "sorry"})
    assert "without a list" in swept.refused(PULL, "sweep")
    github.fail("GET .*/pulls", 404, after=after)
    swept.refused(PULL, "sweep")
    assert schemas(world) == ALL


def test_the_key_may_come_as_text(swept: Member, world: World, tmp_path: Path) -> None:
    """As GitHub's secrets have it: in PEM form, or its base64 alone."""
    pem = rsa_key("DBT_UP_CI_SVC").private_pem
    bare = "".join(line for line in pem.splitlines() if "-----" not in line)
    for text in (pem, bare):
        swept.ok(PULL, "drop", "1", SNOWFLAKE_PRIVATE_KEY=text, HOME=str(tmp_path))
    wrong = swept.refused(PULL, "drop", "1", SNOWFLAKE_PRIVATE_KEY="nonsense")
    assert "SNOWFLAKE_PRIVATE_KEY is not a private key in PEM form" in wrong
    missing = swept.refused(PULL, "drop", "1", HOME=str(tmp_path))
    assert "there is no key file" in missing
    prods = rsa_key("DBT_UP_SVC").private_pem
    assert "could not sign in" in swept.refused(PULL, "drop", "1", SNOWFLAKE_PRIVATE_KEY=prods)


def test_by_workload_identity(
    render_into: Render, world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As far as the connector, which gives the token to hosts of Snowflake's alone; on to the end
    in test_workload_identity.py."""
    folder = tmp_path_factory.mktemp("identity")
    facts = {"auth": "workload_identity", "snowflake_account": ACCOUNT}
    rendered = render_into(folder / "dbt_up", **UP, **facts)
    member = exporting(rendered, **world.laptop.environment, **world.standin.reach)
    assert "SNOWFLAKE_TOKEN is not set" in member.refused(PULL, "drop", "7")
    refused = member.refused(PULL, "drop", "7", SNOWFLAKE_TOKEN="a.b.c")
    assert "WORKLOAD_IDENTITY requires a recognized Snowflake host" in refused


def test_without_an_account_there_is_nothing_to_drop(member: Member) -> None:
    assert "mesh.yml names no Snowflake account" in member.refused(PULL, "drop", "7")
