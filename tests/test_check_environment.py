"""A deploy does not begin while every branch could deploy (`check-environment`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.github_actions import Workflow
from tests.github_api import GitHubApi
from tests.warm import run

pytest_plugins = "tests.github_api"

WORDS = ("check-environment", "--environment", "prod", "--branch", "main")


def check(github: GitHubApi, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    facts = github.environment("acme/up", github.token(actions="read", contents="read"))
    command = [sys.executable, "-m", "dbtmesh", *WORDS]
    return run(command, folder, {**os.environ, **facts, **more})


def test_a_closed_environment(github: GitHubApi, tmp_path: Path) -> None:
    github.repository("acme/up").settings.closed("prod", "main")
    done = check(github, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "environment prod: may be used from main" in done.stdout


@pytest.mark.parametrize("exists", [False, True])
def test_an_open_one_and_one_that_a_deploy_would_make(
    github: GitHubApi, tmp_path: Path, exists: bool
) -> None:
    settings = github.repository("acme/up").settings
    if exists:
        settings.job_names("prod")
    done = check(github, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "::error::" in done.stdout
    assert "./setup_keypair_auth.sh create" in done.stdout
    accepted = check(github, tmp_path, MESH_OPEN_ENVIRONMENT="accepted")
    assert accepted.returncode == 0
    assert "::warning::" in accepted.stdout


def test_the_environment_of_the_app_has_to_be_as_closed(github: GitHubApi, tmp_path: Path) -> None:
    settings = github.repository("acme/up").settings
    settings.closed("prod", "main")
    done = check(github, tmp_path, MESH_APP_ENVIRONMENT="announce")
    assert done.returncode == 2
    assert "the environment announce does not exist" in done.stdout
    settings.closed("announce", "main")
    done = check(github, tmp_path, MESH_APP_ENVIRONMENT="announce")
    assert done.returncode == 0, done.stdout


def test_it_hands_on_whether_others_can_see_the_repository(
    github: GitHubApi, tmp_path: Path
) -> None:
    settings = github.repository("acme/up").settings
    settings.closed("prod", "main")
    settings.visibility = "internal"
    output = tmp_path / "output"
    check(github, tmp_path, GITHUB_OUTPUT=str(output))
    assert output.read_text().splitlines()[1] == "internal"


@pytest.mark.parametrize(
    ("state", "told"), [("active", 0), ("disabled_manually", 0), ("disabled_inactivity", 1)]
)
def test_what_github_has_switched_off_is_a_warning(
    github: GitHubApi, tmp_path: Path, state: str, told: int
) -> None:
    """In a repository where nothing happens there is nobody else to notice."""
    repository = github.repository("acme/up")
    repository.settings.closed("prod", "main")
    repository.workflows["maintenance.yml"] = Workflow(state=state)
    done = check(github, tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("`gh workflow enable maintenance.yml`") == told


def test_what_cannot_be_read_is_a_warning(github: GitHubApi, tmp_path: Path) -> None:
    github.repository("acme/up")
    github.fail("GET /repos/acme/up/environments/prod", 403, times=9)
    done = check(github, tmp_path)
    assert done.returncode == 0
    assert "::warning::who can use the environment prod is unknown" in done.stdout
