"""Environments of GitHub are closed before a secret is in them, and `status` says who could deploy.

`gh` is a stand-in, and so is GitHub's API (tests/github_environments.py).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbtmesh import MeshError
from dbtmesh.ci.github.environments import Closing, Environment, Limit, closing
from dbtmesh.config import load_member
from dbtmesh.snowflake.files import read_steps
from dbtmesh.snowflake.keypair.environment import close_before
from dbtmesh.snowflake.names import names_of
from dbtmesh.snowflake.plan import Effect, plan
from tests import github_cli
from tests.conftest import Member, Render
from tests.github_api import PERSON, GitHubApi
from tests.github_environments import NAMED, Settings
from tests.github_environments import Environment as There
from tests.keypair_world import ACCOUNT, TeamLaptop, add_users
from tests.snowflake_standin import Standin

pytest_plugins = "tests.github_api"

REPOSITORY, KEY = "acme/dbt-up", "SNOWFLAKE_PRIVATE_KEY"
PROD = f"/repos/{REPOSITORY}/environments/prod"


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with Standin(account_name=ACCOUNT) as standin:
        add_users(standin)
        yield standin


@pytest.fixture(scope="module")
def members(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    def make(auth: str) -> Member:
        return render_into(
            tmp_path_factory.mktemp(auth) / "dbt_up",
            project_name="dbt_up",
            snowflake_account=ACCOUNT,
            github_repository=REPOSITORY,
            auth=auth,
        )

    return {auth: make(auth) for auth in ("key_pair", "workload_identity")}


@pytest.fixture
def settings(github: GitHubApi) -> Settings:
    github.token(PERSON, everything="write")
    return github.repository(REPOSITORY).settings


@pytest.fixture(params=["key_pair", "workload_identity"])
def laptop(
    request: pytest.FixtureRequest,
    standin: Standin,
    members: dict[str, Member],
    github: GitHubApi,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[TeamLaptop]:
    """A laptop with `gh`, and with a key in use where there are keys."""
    made = TeamLaptop(tmp_path / "home", members[request.param], standin)
    made.install_gh()
    made.variables["GITHUB_API_URL"] = github.url
    if request.param == "key_pair":
        made.has_a_key(github=False)
    yield made
    standin.model.execute("ALTER USER DBT_UP_SVC UNSET RSA_PUBLIC_KEY")


with_key = pytest.mark.parametrize("laptop", ["key_pair"], indirect=True)


def has_the_key(settings: Settings) -> bool:
    return KEY in settings.environments.get("prod", There()).secrets


def expects_key(laptop: TeamLaptop) -> bool:
    return laptop.file().exists()


# ── create ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("made_by_a_job", [False, True])
@pytest.mark.parametrize("visibility", ["public", "private"])
def test_it_is_closed_whether_it_exists_or_not(
    laptop: TeamLaptop, settings: Settings, github: GitHubApi, made_by_a_job: bool, visibility: str
) -> None:
    settings.visibility = visibility
    if made_by_a_job:
        settings.job_names("prod")
        assert settings.may_use("prod", "feature/x")
    said = laptop.ok("create")
    assert "environment prod: only main may deploy" in said
    assert settings.may_use("prod", "main")
    assert not settings.may_use("prod", "feature/x")
    assert has_the_key(settings) == expects_key(laptop)
    changes = [each for each in github.seen() if each.startswith(("PUT", "POST"))]
    assert changes[:2] == [f"PUT {PROD} 200", f"POST {PROD}/deployment-branch-policies 200"]


def test_what_is_closed_already_is_left_as_it_is(
    laptop: TeamLaptop, settings: Settings, github: GitHubApi
) -> None:
    closed = settings.closed("prod", "main")
    closed.wait_timer = 5
    laptop.ok("create")
    assert [each for each in github.seen("PUT") if "secrets" not in each] == []
    assert closed.wait_timer == 5
    assert has_the_key(settings) == expects_key(laptop)


def test_the_default_branch_may_use_it_for_schedules_run_on_it(
    laptop: TeamLaptop, settings: Settings
) -> None:
    """GitHub asks for the branch of the run, not for the one that its job checks out."""
    settings.default_branch = "trunk"
    assert "only main and trunk may deploy" in laptop.ok("create")
    assert settings.may_use("prod", "trunk")
    assert not settings.may_use("prod", "feature/x")


@pytest.mark.parametrize(
    "theirs",
    [
        There(dict(NAMED), [("branch", "main"), ("branch", "feature/*")]),
        There(dict(NAMED), [("branch", "main"), ("tag", "v*")]),
        There(reviewers=[{"type": "User", "reviewer": {"login": "ada"}}]),
        There(wait_timer=10),
    ],
    ids=["more branches", "tags", "reviewers", "a timer"],
)
def test_rules_of_the_teams_own_stay_and_have_to_be_accepted(
    laptop: TeamLaptop, settings: Settings, theirs: There
) -> None:
    theirs = settings.environments["prod"] = copy.deepcopy(theirs)
    before = theirs.as_json("prod")
    said = laptop.refused("create")
    assert "can use the environment prod (https://github.com/acme/dbt-up/settings/env" in said
    assert not has_the_key(settings)
    settings.variables["MESH_OPEN_ENVIRONMENT"] = "accepted"
    assert "that is accepted (MESH_OPEN_ENVIRONMENT)" in laptop.ok("create")
    assert theirs.as_json("prod") == before
    assert has_the_key(settings) == expects_key(laptop)
    found = laptop.keypair("status")
    assert found.status == 2
    assert "can use the environment prod" in found.out


@pytest.mark.parametrize("exists", [False, True])
def test_one_that_cannot_be_closed_gets_no_key(
    laptop: TeamLaptop, settings: Settings, github: GitHubApi, exists: bool
) -> None:
    if exists:
        settings.job_names("prod")
    github.token(PERSON, everything="read", environments="write")
    said = laptop.refused("create")
    assert "every branch could use the environment prod" in said
    assert "have an administrator of the repository run this" in said
    assert not has_the_key(settings)
    assert not [call for call in laptop.gh_calls if call["asked"][:2] == ["secret", "set"]]


def test_a_private_repository_of_the_free_plan_has_none(
    laptop: TeamLaptop, settings: Settings
) -> None:
    settings.visibility, settings.plan = "private", "free"
    said = laptop.refused("create")
    assert "a private repository has such limits from GitHub Pro and Team on" in said
    assert not has_the_key(settings)
    found = laptop.keypair("status")
    assert found.status == 2
    assert "private, plan free" in found.out


def test_patterns_that_github_kept_are_counted(laptop: TeamLaptop, settings: Settings) -> None:
    """GitHub does not tell whether patterns go with the limit that they belonged to."""
    settings.environments["prod"] = There(None, [("branch", "main")])
    assert "only main may deploy" in laptop.ok("create")
    assert has_the_key(settings) == expects_key(laptop)


@with_key
def test_a_pattern_of_others_that_github_kept_gets_no_key(
    laptop: TeamLaptop, settings: Settings
) -> None:
    settings.environments["prod"] = There(None, [("branch", "*")])
    said = laptop.refused("create")
    assert "every branch could use the environment prod" in said
    assert "* can still use it" in said
    assert not has_the_key(settings)


@with_key
def test_by_the_real_gh(laptop: TeamLaptop, settings: Settings, github: GitHubApi) -> None:
    """Made by a job, closed with a key in it, and read back."""
    settings.job_names("prod")
    with github_cli.gh(github, PERSON) as variables:
        laptop.variables |= variables
        (laptop.home / "bin/gh").unlink()
        (laptop.home / "bin/gh").symlink_to(github_cli.FOLDER / "gh")
        assert "environment prod: only main may deploy" in laptop.ok("create")
        assert not settings.may_use("prod", "feature/x")
        assert has_the_key(settings) == expects_key(laptop)
        assert "environment prod: may be used from main" in laptop.keypair("status").out
        settings.environments["prod"].policy = None
        found = laptop.keypair("status")
        assert found.status == 2
        assert "every branch can use the environment prod" in found.out


def test_what_a_token_cannot_see_is_not_said_to_be_open_and_gets_no_key(
    laptop: TeamLaptop, settings: Settings, github: GitHubApi
) -> None:
    """That of a workflow may write secrets, and perhaps not read environments; those of a public
    repository everybody reads."""
    settings.visibility = "private"
    settings.closed("prod")
    github.token(PERSON, environments="write")
    said = laptop.refused("create")
    assert "could not be read (GitHub answers GET" in said
    assert "every branch" not in said
    assert not has_the_key(settings)


def test_without_gh_nobody_is_let_in(laptop: TeamLaptop, settings: Settings) -> None:
    said = laptop.refused("create", PATH=laptop.path_without_gh())
    assert "who can use the environment prod (https://github.com/acme/dbt-up/settings" in said
    assert not has_the_key(settings)
    if not expects_key(laptop):
        assert "before `scripts/snowflake_access.py apply`" in said


@with_key
def test_any_branch_may_use_the_environment_of_pull_requests(
    laptop: TeamLaptop, settings: Settings
) -> None:
    laptop.ok("create", "--user", "dbt_up_ci_svc")
    assert settings.may_use("ci", "feature/x")
    assert KEY in settings.environments["ci"].secrets
    laptop.ok("status", "--user", "dbt_up_ci_svc")


# ── apply ─────────────────────────────────────────────────────────────────────────────


def test_apply_lets_nobody_in_before_it_is_closed(
    laptop: TeamLaptop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With workload identity, it is what lets jobs of the environment sign in."""
    member = load_member(laptop.member.path)
    changes = plan(read_steps(member))

    def apply() -> None:
        close_before(changes, member, names_of(member), print)

    for name, value in laptop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", laptop.path_without_gh())
    settings.job_names("prod")
    if expects_key(laptop):
        apply()
        assert settings.may_use("prod", "feature/x")
        return
    with pytest.raises(
        MeshError, match=r"(?s)nothing was changed.*settings/environments.*--no-github"
    ):
        apply()
    monkeypatch.setenv("PATH", laptop.environment["PATH"])
    apply()
    assert not settings.may_use("prod", "feature/x")
    trusted = [change for change in changes if "WORKLOAD" in change.step.statement]
    changes = [change for change in changes if change not in trusted]
    settings.environments["prod"].policy = None
    apply()  # nothing of this: who is let in already stays so
    assert settings.may_use("prod", "feature/x")
    # an account that does not tell whether they are let in already
    changes = [replace(change, effect=Effect.SET_AGAIN) for change in trusted]
    apply()
    assert not settings.may_use("prod", "feature/x")


# ── status ────────────────────────────────────────────────────────────────────────────


@with_key
def test_status_tells_plan_rules_reviewers_and_names_of_secrets(
    laptop: TeamLaptop, settings: Settings
) -> None:
    closed = settings.closed("prod")
    closed.reviewers = [{"type": "Team", "reviewer": {"slug": "data"}}]
    closed.secrets = {KEY: "do not show this", "MESH_APP_PRIVATE_KEY": "nor this"}
    said = laptop.ok("status")
    assert "repository acme/dbt-up: public, plan team" in said
    assert (
        "environment prod: may be used from main; reviewers data; secrets MESH_APP_PRIVATE_KEY, "
        "SNOWFLAKE_PRIVATE_KEY"
    ) in said
    assert "this" not in said.replace("this machine", "")


def test_status_finds_what_every_branch_can_use(laptop: TeamLaptop, settings: Settings) -> None:
    found = laptop.keypair("status")
    assert found.status == 2
    assert "attention  the environment prod does not exist" in found.out
    settings.job_names("prod")
    found = laptop.keypair("status")
    assert found.status == 2
    assert "attention  every branch can use the environment prod, not only main" in found.out


@with_key
def test_a_limit_to_protected_branches_is_none_where_no_branch_is_protected(
    laptop: TeamLaptop, settings: Settings
) -> None:
    policy = {"protected_branches": True, "custom_branch_policies": False}
    settings.environments["prod"] = There(policy)
    assert settings.may_use("prod", "feature/x")
    found = laptop.keypair("status")
    assert found.status == 2
    assert "every branch can use the environment prod" in found.out
    settings.protected_branches.add("main")
    assert "may be used from protected branches (main)" in laptop.ok("status")


@with_key
def test_a_key_that_is_a_secret_of_the_repository_is_found(
    laptop: TeamLaptop, settings: Settings
) -> None:
    settings.closed("prod")
    settings.secrets |= {KEY: "x", "SLACK_WEBHOOK_URL": "x"}
    found = laptop.keypair("status")
    assert found.status == 2
    assert f"{KEY} is a secret of the whole repository" in found.out
    assert "SLACK_WEBHOOK_URL is" not in found.out


@with_key
def test_without_gh_it_is_unknown(laptop: TeamLaptop) -> None:
    laptop.ok("create", "--no-github")
    done = laptop.keypair("status", PATH=laptop.path_without_gh())
    assert done.status == 0
    assert "who can use the environment prod is unknown" in done.err
    assert (
        "unknown" not in laptop.keypair("status", "--no-github", PATH=laptop.path_without_gh()).err
    )


# ── The decision ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Closing.CREATE),
        (Environment("prod", Limit.NONE), Closing.LIMIT),
        (Environment("prod", Limit.NONE, reviewers=("ada",)), Closing.LEFT),
        (Environment("prod", Limit.NONE, rules=("wait_timer",)), Closing.LEFT),
        (Environment("prod", Limit.NAMED, ("main",)), Closing.NOTHING),
        (Environment("prod", Limit.NAMED), Closing.NOTHING),
        (Environment("prod", Limit.NAMED, ("main", "*")), Closing.LEFT),
        (Environment("prod", Limit.NAMED, ("tag main",)), Closing.LEFT),
        (Environment("prod", Limit.PROTECTED, protected=("main",)), Closing.NOTHING),
        (Environment("prod", Limit.PROTECTED, protected=("main", "feature/x")), Closing.LEFT),
        (Environment("prod", Limit.PROTECTED), Closing.LEFT),
    ],
)
def test_only_what_has_no_rule_is_changed(found: Environment | None, expected: Closing) -> None:
    assert closing(found, ("main",)) is expected
