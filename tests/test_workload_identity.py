"""Signing in to Snowflake with GitHub's tokens: dbt and the members' scripts, by a wrapper.

The connector gives such a token to hosts of Snowflake's alone, and to those that
$SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES names: here it names loopback, and all else is as it will be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.aws_world import TOKEN, Issuer, issuing, subject
from tests.conftest import Member, Render
from tests.github_api import GitHubApi
from tests.registry_world import exporting
from tests.snowflake_members import ACCOUNT, World, make_world, scripts_of
from tests.snowflake_standin import Model, SnowflakeError
from tests.snowflake_standin.signin import Request, sign_in
from tests.warm import programs

pytest_plugins = "tests.github_api"

WITH_TOKEN = "with-snowflake-token"
PULL = (sys.executable, "-m", "dbtmesh", "pull-request")
SHOW = ("python3", "-c", "import os; print(os.environ.get('SNOWFLAKE_TOKEN', 'none'))")
GITHUB = "https://token.actions.githubusercontent.com"
EXPIRED = -3600


@pytest.fixture(scope="module")
def world(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("identity")
    member = render_into(
        folder / "dbt_up",
        kind="upstream",
        project_name="dbt_up",
        snowflake_account=ACCOUNT,
        auth="workload_identity",
        github_repository="acme/up",
    )
    yield from make_world(folder, {"dbt_up": member})


@pytest.fixture
def issuer(world: World) -> Iterator[Issuer]:
    world.standin.sign_ins.clear()
    with issuing() as issuer:
        issuer.name = GITHUB
        yield issuer


def job(world: World, issuer: Issuer, environment: str = "prod") -> Member:
    """The member in a job of that environment of GitHub's."""
    who = subject("acme/up", environment)
    return exporting(
        world.members["dbt_up"],
        GITHUB_ACTIONS="true",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{issuer.url}/token?subject={who}",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN=TOKEN,
        SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES="127.0.0.1",
        PATH=f"{programs()}{os.pathsep}{os.environ['PATH']}",
    )


def signed_in(world: World) -> list[tuple[str, str | None]]:
    return [(record.user, record.error) for record in world.standin.sign_ins]


# ── Who signs in ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("github_ids", "trusted", "other"),
    [("", None, (12, 34)), ("12/34", (12, 34), None), ("12/34", (12, 34), (12, 35))],
)
def test_snowflake_trusts_one_form_of_the_subject(
    render: Render,
    github_ids: str,
    trusted: tuple[int, int] | None,
    other: tuple[int, int] | None,
) -> None:
    """The one that GitHub gives the repository: Snowflake compares it exactly."""
    member = render(
        kind="upstream",
        auth="workload_identity",
        github_repository="acme/up",
        github_ids=github_ids,
    )
    model = Model()
    for text in [*scripts_of(member).values(), *scripts_of(member).values()]:
        model.run_script(text)
    github = Issuer(GITHUB)

    def who(environment: str, ids: tuple[int, int] | None) -> str:
        claimed = subject("acme/up", environment, ids=ids)
        token = github.token(claimed, audience="snowflakecomputing.com")
        return sign_in(model, Request({"AUTHENTICATOR": "WORKLOAD_IDENTITY", "TOKEN": token})).user

    assert who("prod", trusted) == "DBT_UP_SVC"
    assert who("ci", trusted) == "DBT_UP_CI_SVC"
    for environment in ("prod", "ci"):
        with pytest.raises(SnowflakeError, match="Workload identity"):
            who(environment, other)


@pytest.mark.parametrize("github_ids", ["", "12/34"])
def test_its_people_are_told_where_the_numbers_come_from(render: Render, github_ids: str) -> None:
    answers = {"auth": "workload_identity", "github_repository": "acme/up"}
    member = render(kind="upstream", **answers, github_ids=github_ids)
    for file in ("README.md", "snowflake/02_create_roles_and_users.sql"):
        assert "--data github_ids=" in (member.path / file).read_text()


# ── dbt ───────────────────────────────────────────────────────────────────────────────


def test_dbt_signs_in_many_times_with_one_token_while_it_is_young(
    world: World, issuer: Issuer
) -> None:
    done = job(world, issuer).run(WITH_TOKEN, "dbt", "seed", "--target", "prod", "--threads", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(signed_in(world)) > 2
    assert set(signed_in(world)) == {("DBT_UP_SVC", None)}
    (token,) = issuer.given
    assert f"::add-mask::{token}\n" in done.stderr
    assert token not in done.stdout


def test_each_command_of_dbt_gets_a_token_of_its_own(world: World, issuer: Issuer) -> None:
    """The first one's has expired when dbt signs in: it says so, and the next one goes well."""
    issuer.lifetimes = [EXPIRED]
    debug = (WITH_TOKEN, "dbt", "debug", "--target", "prod", "--connection")
    done = job(world, issuer).run(*debug)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert job(world, issuer).run(*debug).returncode == 0
    assert len(set(issuer.given)) == 2


def test_dbt_gets_its_arguments_and_gives_its_status(world: World, issuer: Issuer) -> None:
    member = job(world, issuer)
    listed = member.ok(WITH_TOKEN, "dbt", "--quiet", "ls", "--resource-type", "seed")
    assert listed.splitlines() == ["dbt_up.customers", "dbt_up.orders"]
    assert member.run(WITH_TOKEN, "dbt", "ls", "--no-such-flag").returncode == 2
    assert "Usage: dbt [OPTIONS]" in member.ok(WITH_TOKEN, "dbt", "--help")


# ── Scripts, and other commands ───────────────────────────────────────────────────────


def test_a_script_asks_when_it_signs_in(world: World, issuer: Issuer, github: GitHubApi) -> None:
    issuer.lifetimes = [EXPIRED]
    said = job(world, issuer, "ci").ok(WITH_TOKEN, *PULL, "drop", "7")
    assert said == "dropped DBT_UP_DEV.PR_7\n"
    assert signed_in(world) == [("DBT_UP_CI_SVC", None)]


def test_a_command_gets_a_token_in_github_actions_and_nowhere_else(
    world: World, issuer: Issuer
) -> None:
    done = job(world, issuer).run(WITH_TOKEN, *SHOW)
    assert done.stderr == f"::add-mask::{done.stdout}"
    assert issuer.given == [done.stdout.strip()]
    assert world.members["dbt_up"].ok(WITH_TOKEN, *SHOW).strip() == "none"


def test_it_ends_as_the_command_ends(world: World) -> None:
    member = world.members["dbt_up"]
    assert member.run(WITH_TOKEN, "python3", "-c", "raise SystemExit(3)").returncode == 3
    assert "no_such_program" in member.refused(WITH_TOKEN, "no_such_program")
    assert member.run(WITH_TOKEN, *PULL, "--help").returncode == 0
    assert member.run(WITH_TOKEN, "dbt", "ls", "--no-such-flag").returncode == 2


# ── What GitHub answers ───────────────────────────────────────────────────────────────


def asking(world: World, github: GitHubApi) -> Member:
    """The member in a job whose tokens come from a server that answers as a test says."""
    return exporting(
        world.members["dbt_up"],
        GITHUB_ACTIONS="true",
        ACTIONS_ID_TOKEN_REQUEST_URL=f"{github.url}/token?version=2",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN=TOKEN,
    )


def test_a_request_that_fails_is_made_again(world: World, github: GitHubApi) -> None:
    github.fail("GET /token", 503, times=2)
    github.fail("GET /token", 200, body={"value": "a.b.c"})
    assert asking(world, github).ok(WITH_TOKEN, *SHOW) == "a.b.c\n"
    assert github.requests[-1].query == {"version": "2", "audience": "snowflakecomputing.com"}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"message": "expired"}, "expired"),
        (200, {"no": "value"}, "without a token"),
        (200, ["value"], "without a token"),
    ],
)
def test_an_answer_without_a_token_is_told(
    world: World, github: GitHubApi, status: int, body: object, says: str
) -> None:
    github.fail("GET /token", status, body=body)
    assert says in asking(world, github).refused(WITH_TOKEN, *SHOW)


@pytest.mark.parametrize("command", [SHOW, ("dbt", "debug"), (*PULL, "drop", "7")])
def test_a_job_without_the_permission_is_told(world: World, command: tuple[str, ...]) -> None:
    said = world.members["dbt_up"].refused(WITH_TOKEN, *command, GITHUB_ACTIONS="true")
    assert "ACTIONS_ID_TOKEN_REQUEST_URL" in said
    assert "id-token: write" in said
