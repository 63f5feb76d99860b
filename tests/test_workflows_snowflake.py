"""Members whose registry is in Snowflake, who have nothing but that and GitHub: their workflows,
from pull request to deploy to reader, with both kinds of sign-in.

There is no server of a cloud here, and no step that signs in to one. With key pairs the engine is
dbt v2 where it can be had: it is not the subject, and the quicker one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from fleet import render as rendering
from fleet.render import Source
from tests import aws_world
from tests.actions import Actions, Run
from tests.conftest import Render
from tests.engines import OURS
from tests.github_actions import Workflow
from tests.github_api import APP, NEWS, GitHubApi
from tests.snowflake_members import ACCESS, make_world
from tests.test_workflows import linted, problems
from tests.workflow_world import APP_TOKEN, TOKEN, Dbts, Mesh, Slack, answers_of, git, on_v2, start

NAMES = ("dbt_up", "dbt_down")
ALONE = {"registry": "snowflake", "github_pages": False}
GITHUB = "https://token.actions.githubusercontent.com"
CLOUDS = ("aws", "azure", "google", "s3", "gcs")
CONTRACTS = "models/marts/_marts.yml"


def answers(name: str, auth: str, dbts: Dbts) -> dict[str, Any]:
    given = answers_of(name, False, dbts)
    for cloud in ("registry_bucket", "aws_role_arn"):
        del given[cloud]
    return {**given, **ALONE, "auth": auth}


# ── what the workflows say ────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def rendered(
    template: Source, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """By kind and sign-in; the reader looks for news by itself."""
    folder = tmp_path_factory.mktemp("alone")
    found = {}
    for kind, auth in product(("upstream", "native"), ("key_pair", "workload_identity")):
        place = found[kind, auth] = folder / f"{kind}-{auth}"
        more = {"deployment": "independent", "publishes": True} if kind == "native" else {}
        others = {"snowflake_account": "ACME-MAIN", "github_repository": "acme/member"}
        rendering.render(template, place, {"kind": kind, "auth": auth, **ALONE, **others, **more})
    return found


def _workflows(folder: Path) -> list[Path]:
    return sorted((folder / ".github/workflows").glob("*.yml"))


def test_no_step_is_of_a_cloud_and_no_permission_is_for_nothing(
    rendered: dict[tuple[str, str], Path],
) -> None:
    for (_, auth), member in rendered.items():
        for path in _workflows(member):
            text = path.read_text()
            words = set(re.findall(r"[a-z0-9]+", text.lower()))
            assert not [cloud for cloud in CLOUDS if cloud in words], path
            assert problems(text) == [], path
            assert ("id-token" in text) == (auth == "workload_identity"), path
            for job in yaml.safe_load(text)["jobs"].values():
                if "DBT_MESH_TARGET" in (job.get("env") or {}):
                    environment = job["environment"]
                    name = environment if isinstance(environment, str) else environment["name"]
                    assert job["env"]["DBT_MESH_TARGET"] == name


def test_linters(rendered: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    linted([path for member in rendered.values() for path in _workflows(member)], tmp_path)


# ── what they do ──────────────────────────────────────────────────────────────────────


@dataclass
class SignedIn:
    """What the jobs of an environment have: with workload identity, a token of its subject."""

    issuer: aws_world.Issuer | None

    def workflow_environment(self, subject: str) -> dict[str, str]:
        if self.issuer is None:
            return {}
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.issuer.url}/token?subject={subject}",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": aws_world.TOKEN,
            "SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES": "127.0.0.1",
        }


@pytest.fixture(scope="module", params=["key_pair", "workload_identity"])
def mesh(
    request: pytest.FixtureRequest,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mesh]:
    auth = str(request.param)
    folder = tmp_path_factory.mktemp(f"mesh-{auth}")
    dbts = on_v2(*NAMES) if auth == "key_pair" else {}
    members = {name: render_into(folder / name, **answers(name, auth, dbts)) for name in NAMES}
    with GitHubApi() as github, Slack() as slack, aws_world.issuing() as issuer:
        issuer.name = GITHUB
        signed_in = SignedIn(issuer if auth == "workload_identity" else None)
        for world in make_world(folder, members):
            actions = Actions(folder / "actions", world.standin.reach, app_token=APP_TOKEN)
            aws = cast(aws_world.Aws, signed_in)
            made = Mesh(world, aws, github, slack, actions, dbts=dbts)
            made.variables["MESH_APP_CLIENT_ID"] = APP
            github.install(*(made.repository(name) for name in members), actions="write")
            for name in members:
                repository = github.repository(made.repository(name))
                repository.settings.closed(made.environment(name, "prod"), "main")
                repository.workflows[made.workflow(name, "deploy.yml")] = Workflow("main", NEWS)
                start(made.folder(name), made.repository(name))
            github.token(TOKEN, contents="read", actions="read", pull_requests="write")
            yield made


def _run(mesh: Mesh, *arguments: Any, **named: Any) -> Run:
    """With no key of Snowflake's where jobs sign in by token."""
    without = ("SNOWFLAKE_PRIVATE_KEY",) if cast(SignedIn, mesh.aws).issuer else ()
    return mesh.run(*arguments, without=without, **named)


def deploy(mesh: Mesh, name: str, payload: Any = None) -> Run:
    done = _run(mesh, name, "deploy.yml", "workflow_dispatch", payload, environment="prod")
    assert done.ok, str(done)
    return done


def signed_in(mesh: Mesh, since: int = 0) -> set[str]:
    return {record.user for record in mesh.snowflake.standin.sign_ins[since:]} - {"STANDIN_ADMIN"}


def inserts(mesh: Mesh) -> list[tuple[str, str]]:
    """Who added to which table of the registry."""
    return [
        (record.user, record.sql.split("MESH")[1].strip('".').split()[0].strip('"'))
        for record in mesh.snowflake.standin.statements
        if record.sql.lstrip().upper().startswith("INSERT") and "MESH" in record.sql
    ]


def test_from_deploy_to_reader_with_snowflake_alone(mesh: Mesh) -> None:
    before = len(mesh.snowflake.standin.sign_ins)
    deploy(mesh, "dbt_up")
    deploy(mesh, "dbt_down")
    assert signed_in(mesh, before) == {"DBT_UP_SVC", "DBT_DOWN_SVC"}
    assert set(inserts(mesh)) == {
        ("DBT_UP_SVC", "PUBLICATIONS"),
        ("DBT_UP_SVC", "STATE"),
        ("DBT_DOWN_SVC", "READS"),
        ("DBT_DOWN_SVC", "STATE"),
    }
    assert len(mesh.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")) == 56
    # dbt's runs took nothing back of what snowflake/03 gives, and were refused nothing
    model = mesh.snowflake.standin.model
    assert model.can("DBT_DOWN_ROLE", "SELECT", "DBT_UP_PROD.MESH.PUBLISHED", "VIEW")
    for name in NAMES:
        assert mesh.snowflake.denied(f"{name.upper()}_SVC") == []
        member = mesh.snowflake.members[name]
        assert "MESH" not in member.ok(ACCESS, "plan", "--connection", "admin")
        if name == "dbt_up":
            member.dbt("parse", "--target", "prod")  # so that verify knows what is public
        member.ok(ACCESS, "verify", "--connection", "admin")


@pytest.mark.parametrize("mesh", ["workload_identity"], indirect=True)
def test_a_pull_request_reads_and_writes_nothing_and_its_deploy_tells_the_reader(
    mesh: Mesh,
) -> None:
    """By token, and on dbt Core. test_workflows_pull_request has keys, and dbt v2."""
    up = mesh.folder("dbt_up")
    git(up, "switch", "--quiet", "--create", "change")
    text = (up / CONTRACTS).read_text()
    mesh.commit("dbt_up", {CONTRACTS: text.replace("Discount given.", "A discount.")})
    mesh.github.repository(mesh.repository("dbt_up")).pulls[7] = "open"
    payload = {
        "action": "opened",
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {"repo": {"full_name": mesh.repository("dbt_up")}, "ref": "change"},
            "base": {"sha": git(up, "rev-parse", "main"), "ref": "main"},
        },
    }
    before, written = len(mesh.snowflake.standin.sign_ins), inserts(mesh)
    done = _run(mesh, "dbt_up", "ci.yml", "pull_request", payload, environment="ci")
    assert done.ok, str(done)
    assert f"dbt={OURS}." in done.step("Build").output
    assert signed_in(mesh, before) == {"DBT_UP_CI_SVC"}
    assert inserts(mesh) == written

    git(up, "switch", "--quiet", "main")
    git(up, "merge", "--quiet", "change")
    told = deploy(mesh, "dbt_up")
    assert "told acme/dbt-down" in told.printed
    reader = deploy(mesh, "dbt_down", mesh.told("dbt_down"))
    assert reader.step("Wait for the version it was told, and check it").result == "success"
    assert mesh.snowflake.denied("DBT_DOWN_SVC") == []
