"""Members whose registry is on Azure or on Google: their workflows, from deploy to reader.

GitHub gives act no token, so the library signs in with what the environment holds: the exchange of
tokens is tested in test_cloud_registry.py. There is no server of S3 here and no step of AWS.

The engine is dbt v2 where it can be had: it is not the subject, and the quicker one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from dbtmesh.registry import keys
from dbtmesh.registry.store import open_store
from tests import aws_world
from tests.actions import Actions
from tests.azurite import ACCOUNT, Azure
from tests.conftest import Render
from tests.gcs_standin import Gcs
from tests.github_actions import Workflow
from tests.github_api import APP, NEWS, GitHubApi
from tests.snowflake_members import make_world
from tests.test_cloud_registry import ANSWERS, ID, PROVIDER
from tests.workflow_world import APP_TOKEN, TOKEN, Mesh, Slack, answers_of, git, on_v2, start

pytest_plugins = ("tests.azurite", "tests.gcs_standin")

NAMES = ("dbt_up", "dbt_down")
IDENTITIES = {
    "azure": {"azure_identities": f"{ID}0/{ID}1/{ID}2"},
    "gcs": {"google_provider": PROVIDER},
}


@dataclass
class SignedIn:
    """What the jobs of an environment have: deploys may write, pull requests only read."""

    server: Azure | Gcs
    subjects: list[str] = field(default_factory=list)

    def workflow_environment(self, subject: str) -> dict[str, str]:
        self.subjects.append(subject)
        return self.server.environment("pull_request" if subject.endswith(":ci") else "admin")


@pytest.fixture(scope="module", params=["azure", "gcs"])
def registry(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(registry: str, request: pytest.FixtureRequest) -> Azure | Gcs:
    return cast(Azure | Gcs, request.getfixturevalue(registry))


@pytest.fixture(scope="module")
def mesh(
    registry: str,
    server: Azure | Gcs,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp(f"mesh-{registry}")
    dbts = on_v2(*NAMES)
    members = {}
    for name in NAMES:
        others: dict[str, Any] = {
            key: value
            for key, value in answers_of(name, False, dbts).items()
            if key not in ("registry_bucket", "aws_role_arn", "aws_region")
        }
        given = {**others, "registry": registry, **ANSWERS[registry], **IDENTITIES[registry]}
        members[name] = render_into(folder / name, **given)
    signed_in = cast(aws_world.Aws, SignedIn(server))
    with GitHubApi() as github, Slack() as slack:
        for world in make_world(folder, members):
            actions = Actions(folder / "actions", world.standin.reach, app_token=APP_TOKEN)
            made = Mesh(world, signed_in, github, slack, actions, dbts=dbts)
            made.variables["MESH_APP_CLIENT_ID"] = APP
            github.install(*(made.repository(name) for name in members), actions="write")
            for name in members:
                settings = github.repository(made.repository(name)).settings
                settings.closed(made.environment(name, "prod"), "main")
                workflows = github.repository(made.repository(name)).workflows
                workflows[made.workflow(name, "deploy.yml")] = Workflow("main", NEWS)
                start(made.folder(name), made.repository(name))
            github.token(TOKEN, contents="read", actions="read", pull_requests="write")
            yield made


def test_from_deploy_to_reader_without_a_step_of_aws(
    mesh: Mesh, registry: str, server: Azure | Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [path.read_text() for name in NAMES for path in _workflows(mesh.folder(name))]
    assert not any("aws" in text.lower() for text in texts)
    up = mesh.deploy("dbt_up", "workflow_dispatch")
    assert up.ok, up
    down = mesh.deploy("dbt_down", "workflow_dispatch")
    assert down.ok, down
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    root = f"az://{ACCOUNT}/mesh" if registry == "azure" else "gs://mesh"
    store, state = open_store(f"{root}/registry"), open_store(f"{root}/state")
    assert store.read(keys.latest("dbt_up", "prod"))
    assert store.read(keys.record("dbt_up", "prod", "dbt_down"))
    for name in NAMES:
        assert state.read(keys.state(name, "prod"))
        assert state.read(keys.state(name, "prod", "deploy.json"))


def _workflows(folder: Path) -> list[Path]:
    return sorted((folder / ".github/workflows").glob("*.yml"))


def test_a_pull_request_reads_and_writes_nothing(mesh: Mesh) -> None:
    git(mesh.folder("dbt_up"), "switch", "--quiet", "--create", "change")
    mesh.github.repository(mesh.repository("dbt_up")).pulls[7] = "open"
    payload = {
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {"repo": {"full_name": mesh.repository("dbt_up")}, "ref": "change"},
            "base": {"sha": git(mesh.folder("dbt_up"), "rev-parse", "main"), "ref": "main"},
        },
    }
    run = mesh.run("dbt_up", "ci.yml", "pull_request", payload, environment="ci")
    assert run.ok, str(run)
    assert run.step("As it would be deployed").result == "success"
