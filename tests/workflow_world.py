"""Provides three members and everything that their workflows sign in to.

Each is in a repository of its own (`mesh`), or all of them are in folders of one (`shared`).

S3 is a real server that knows each member's roles (tests/aws_world.py). Snowflake and GitHub's API
are stand-ins on loopback (tests/snowflake_standin and tests/github_api.py). Slack is a server that
keeps what it receives. `act` runs the workflows (tests/actions.py).

A pytest plugin: `pytest_plugins = "tests.workflow_world"` gives a module the fixtures.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleet import render as rendering
from fleet.render import Source
from tests import aws_world, engines
from tests.actions import Actions, Run
from tests.conftest import Member, Render, quickest
from tests.github_actions import Workflow
from tests.github_api import APP, NEWS, GitHubApi, app_key
from tests.job_pip import site_of
from tests.s3_server import BUCKET
from tests.snowflake_members import World, demo_answers, make_world
from tests.snowflake_standin import ADMIN, PASSWORD
from tests.snowflake_standin.fixtures import rsa_key
from tests.warm import tools

ORGANISATION = "acme"
TOKEN, APP_TOKEN = "ghs_job", "ghs_app"
"""The tokens of a job, and of the stub of create-github-app-token."""
DEPLOYMENTS = {"dbt_up": "on_demand", "dbt_down": "sequential", "dbt_down_loom": "on_demand"}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Slack:
    """A stand-in for Slack: a webhook that keeps the texts it receives."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                slack.messages.append(json.dumps(json.loads(body), ensure_ascii=False))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/services/T0/B0/x"

    def __enter__(self) -> Slack:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Installed:
    """A dbt for a member's jobs. packages: the packages that `pip install` finds installed."""

    dbt: engines.Dbt
    packages: Path

    @property
    def answers(self) -> dict[str, Any]:
        """The answers that the member needs."""
        answers: dict[str, Any] = {"engine": self.dbt.engine.value}
        if self.dbt.release == engines.V2:
            answers["github_pages"] = False  # needs dbt Core
        return answers

    @property
    def environment(self) -> dict[str, str]:
        """Variables of each step. dbt Core and tools in Python start warm."""
        path = os.pathsep.join([str(self.dbt.folder), str(tools()), os.environ["PATH"]])
        return {**self.dbt.environment, "PATH": path}


Dbts = Mapping[str, Installed]
"""The dbt of each member. Other members have the dbt of this environment."""


@dataclass
class Mesh:
    """The members by name, and what they sign in to. variables: those of their repositories."""

    snowflake: World
    aws: aws_world.Aws
    github: GitHubApi
    slack: Slack
    actions: Actions
    is_shared: bool = False
    dbts: Dbts = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def repository(self, name: str) -> str:
        return repository_of(name, self.is_shared)

    def workflow(self, name: str, file: str) -> str:
        return f"{name}-{file}" if self.is_shared else file

    def environment(self, name: str, which: str) -> str:
        """Returns the GitHub environment `prod` or `ci` of a member."""
        return f"{which}-{name}" if self.is_shared else which

    def checkout(self, name: str) -> Path:
        """Returns the clone that contains the member."""
        return self.folder(name).parent if self.is_shared else self.folder(name)

    def folder(self, name: str) -> Path:
        return self.snowflake.members[name].path

    def commit(self, name: str, files: Mapping[str, str] | None = None) -> str:
        """Changes files of a member, by their path, and commits. Returns the commit."""
        for path, text in (files or {}).items():
            (self.folder(name) / path).write_text(text)
        git(self.folder(name), "add", "--all")
        git(self.folder(name), "commit", "--quiet", "--allow-empty", "--message", "change")
        return git(self.folder(name), "rev-parse", "HEAD")

    def sync(self, name: str) -> None:
        """Syncs what a member reads and commits it, as its team does."""
        where = ("--registry", f"s3://{BUCKET}/registry", "--env", "prod")
        member = self.snowflake.members[name]
        member.ok("scripts/sync_mesh.py", *where, **self.aws.s3.environment())
        self.commit(name)

    def deploy(self, name: str, event: str, payload: Mapping[str, Any] | None = None) -> Run:
        """Runs deploy.yml, and records its end in the stand-in for GitHub."""
        run = self.run(name, "deploy.yml", event, payload, environment="prod")
        conclusion = "failure" if "failure" in run.jobs.values() else "success"
        known = self.github.repository(self.repository(name))
        known.run(self.workflow(name, "deploy.yml"), 1000 + self.actions.number, conclusion)
        return run

    def run(
        self,
        name: str,
        workflow: str,
        event: str,
        payload: Mapping[str, Any] | None = None,
        *,
        environment: str | None,
        without: tuple[str, ...] = (),
        **more: str,
    ) -> Run:
        """Runs a workflow of a member.

        environment: prod or ci, whose secrets and subject the jobs have; None for a fork, whose
        jobs have neither.
        without: secrets that are not set.
        """
        repository = self.repository(name)
        secrets = {"GITHUB_TOKEN": TOKEN}
        if environment:
            user = f"{name.upper()}_{'SVC' if environment == 'prod' else 'CI_SVC'}"
            secrets |= {
                "SNOWFLAKE_PRIVATE_KEY": rsa_key(user).private_pem,
                "MESH_APP_PRIVATE_KEY": app_key()[0],
                "MESH_MAINTENANCE_APP_PRIVATE_KEY": app_key()[0],
                "SLACK_WEBHOOK_URL": self.slack.url,
            }
            subject = aws_world.subject(repository, self.environment(name, environment))
            more = {**self.aws.workflow_environment(subject), **more}
        dbt = self.dbts.get(name)
        return self.actions.run(
            self.checkout(name),
            self.workflow(name, workflow),
            event,
            payload,
            secrets={key: value for key, value in secrets.items() if key not in without},
            variables=self.variables if environment else {},
            packages=dbt.packages if dbt else None,
            **{**(dbt.environment if dbt else {}), "GITHUB_API_URL": self.github.url, **more},
        )

    def told(self, name: str) -> dict[str, Any]:
        """Returns the inputs with which the deploy of a member was last started, as its event."""
        file = self.workflow(name, "deploy.yml")
        started = self.github.repository(self.repository(name)).started
        return next(
            {"inputs": each["inputs"]} for each in started[::-1] if each["workflow"] == file
        )

    def told_by_event(self, name: str) -> dict[str, Any]:
        """Returns the same as an upstream of a template before 0.3.0 sends it."""
        news = self.told(name)["inputs"]
        payload = {**news, "chain": news["chain"].split(","), "consumers": [name], "env": "prod"}
        return {"action": "mesh_published", "client_payload": payload}

    def rows(self, relation: str) -> list[tuple[Any, ...]]:
        """Returns all rows of a relation, as an administrator sees them."""
        with self.snowflake.standin.connect(
            user=ADMIN, password=PASSWORD, role="ACCOUNTADMIN", warehouse="DBT_UP_WH"
        ) as connection:
            cursor = connection.cursor().execute(f"SELECT * FROM {relation} ORDER BY 1")
            assert cursor is not None
            return [tuple(row) for row in cursor.fetchall()]

    def schemas(self, database: str) -> set[str]:
        """Returns the schemas of a database that dbt has made."""
        things = self.snowflake.standin.model.account.of_kind("SCHEMA")
        names = {thing.ref.name[1] for thing in things if thing.ref.name[0] == database}
        return names - {"PUBLIC", "INFORMATION_SCHEMA"}

    def objects(self, prefix: str) -> dict[str, str]:
        """Returns digests of the objects in the bucket, by key."""
        return {
            key: hashlib.sha256(self.aws.s3.get(f"{prefix}/{key}")).hexdigest()
            for key in self.aws.s3.keys(prefix)
        }


@dataclass
class PullRequest:
    """A pull request on a branch of a member's repository."""

    mesh: Mesh
    name: str
    number: int
    fork: bool = False

    def event(self, action: str) -> dict[str, Any]:
        repository = self.mesh.repository(self.name)
        head = f"somebody/{repository.partition('/')[2]}" if self.fork else repository
        folder = self.mesh.folder(self.name)
        return {
            "action": action,
            "number": self.number,
            "pull_request": {
                "number": self.number,
                "head": {"ref": "change", "repo": {"full_name": head}},
                "base": {"ref": "main", "sha": git(folder, "rev-parse", "main")},
            },
        }

    def push(self, action: str = "synchronize", **more: Any) -> Run:
        """Runs the workflow for a push, or for the end of the pull request."""
        repository = self.mesh.github.repository(self.mesh.repository(self.name))
        repository.pulls[self.number] = "closed" if action == "closed" else "open"
        environment = None if self.fork else "ci"
        event = self.event(action)
        return self.mesh.run(
            self.name, "ci.yml", "pull_request", event, environment=environment, **more
        )

    @property
    def comments(self) -> list[str]:
        repository = self.mesh.github.repository(self.mesh.repository(self.name))
        return [comment["body"] for comment in repository.comments.get(self.number, [])]

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces `old` in a file, which has to contain it, and commits."""
        text = (self.mesh.folder(self.name) / path).read_text()
        assert old in text
        self.mesh.commit(self.name, {path: text.replace(old, new)})


def repository_of(name: str, is_shared: bool) -> str:
    return f"{ORGANISATION}/{'mesh' if is_shared else name.replace('_', '-')}"


def answers_of(name: str, is_shared: bool, dbts: Dbts | None = None) -> dict[str, Any]:
    role = f"dbt-mesh-{name.replace('_', '-')}"
    return {
        **demo_answers(name),
        "registry_bucket": BUCKET,
        "aws_role_arn": f"arn:aws:iam::{aws_world.ACCOUNT}:role/{role}",
        "github_repository": repository_of(name, is_shared),
        "alerts": "slack",
        "deployment": DEPLOYMENTS[name],
        "github_pages": name == "dbt_down_loom" and not is_shared,
        **(dbts[name].answers if dbts and name in dbts else {}),
    }


def on_v2(*names: str) -> Dbts:
    """Returns dbt v2 for these members, because it is faster where the engine does not matter.

    Returns nothing if it, or its driver for Snowflake, is not here; in CI it has to be.
    """
    dbt = quickest("snowflake")
    if dbt is None:
        return {}
    return dict.fromkeys(names, Installed(dbt, site_of(dbt.program.parents[1])))


@pytest.fixture(scope="module")
def mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """All three members. The loom reader has dbt Core, which also makes pages of docs."""
    folder = tmp_path_factory.mktemp("mesh")
    yield from of_repositories(render_into, folder, (*DEPLOYMENTS,), on_v2("dbt_up", "dbt_down"))


@pytest.fixture(scope="module")
def quick_mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """An upstream and its native reader."""
    names = ("dbt_up", "dbt_down")
    yield from of_repositories(render_into, tmp_path_factory.mktemp("mesh"), names, on_v2(*names))


def of_repositories(
    render_into: Render, folder: Path, names: Sequence[str], dbts: Dbts
) -> Iterator[Mesh]:
    """Makes a repository for each member."""
    members = {name: render_into(folder / name, **answers_of(name, False, dbts)) for name in names}
    for made in opened(folder, members, False, dbts):
        for name in members:
            start(made.folder(name), made.repository(name))
        yield made


@pytest.fixture(scope="module")
def shared(template: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """One repository, as in the architecture: its branch upstream/dbt_up deploys the upstream, and
    main the others."""
    folder = tmp_path_factory.mktemp("shared")
    dbts = on_v2("dbt_up", "dbt_down")
    members = {}
    for name in DEPLOYMENTS:
        answers = {**answers_of(name, True, dbts), "deployment": "sequential"}
        if name == "dbt_up":
            answers["deploy_branch"] = "upstream/dbt_up"
        if name == "dbt_down_loom":
            answers["deployment"] = "independent"
        answers_file = f"{name}/.copier-answers.yml"
        # runs the hooks, because jobs install the library
        rendering.render(template, folder / "one", answers, answers_file, tasks=True)
        shutil.copytree(folder / "one", folder / "mesh", dirs_exist_ok=True)
        members[name] = Member(folder / "mesh" / name, {})
    for made in opened(folder, members, True, dbts):
        start(folder / "mesh", made.repository("dbt_up"))
        git(folder / "mesh", "branch", "upstream/dbt_up")
        yield made


def start(clone: Path, repository: str) -> None:
    git(clone, "init", "--quiet", "--initial-branch=main")
    git(clone, "remote", "add", "origin", f"https://github.com/{repository}")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "rendered")
    git(clone, "repack", "-adq")  # each job fetches it


def opened(folder: Path, members: dict[str, Member], is_shared: bool, dbts: Dbts) -> Iterator[Mesh]:
    stacks = [aws_world.stack(member.path) for member in members.values()]
    with aws_world.running(folder / "aws", stacks) as aws, GitHubApi() as github, Slack() as slack:
        for world in make_world(folder, members):
            actions = Actions(folder / "actions", world.standin.reach, app_token=APP_TOKEN)
            made = Mesh(world, aws, github, slack, actions, is_shared, dbts)
            made.variables["MESH_MAINTENANCE_APP_CLIENT_ID"] = APP
            repositories = {made.repository(name) for name in members}
            if is_shared:
                github.repository(*repositories)
            else:
                github.install(*repositories, actions="write")
                made.variables["MESH_APP_CLIENT_ID"] = APP
            for name in members:
                settings = github.repository(made.repository(name)).settings
                own = ("upstream/dbt_up",) if is_shared and name == "dbt_up" else ()
                settings.closed(made.environment(name, "prod"), "main", *own)
                settings.job_names(made.environment(name, "ci"))
                workflows = github.repository(made.repository(name)).workflows
                file = made.workflow(name, "deploy.yml")
                workflows[file] = Workflow(own[0] if own else "main", NEWS)
            level = "write" if is_shared else "read"
            github.token(TOKEN, contents="read", actions=level, pull_requests="write")
            # the maintenance App's token, with the permissions that the job `keys` requests
            github.token(
                APP_TOKEN, actions="read", contents="read", environments="write", secrets="write"
            )
            yield made
