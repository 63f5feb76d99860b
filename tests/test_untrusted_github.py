"""Whatever GitHub answers, and whatever an event says: the commands that ask end with 0, 1 or 2 and
a few lines, none of which is a command to the runner but their own annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbtmesh.ci.github import protection, rest, secret
from dbtmesh.ci.github.app import App
from dbtmesh.commands import (
    announce,
    await_upstream,
    check_environment,
    notify,
    pull_request,
    run_summary,
    signed_in,
    update_template,
    with_snowflake_token,
)
from dbtmesh.output.escape import visible
from tests.github_api import app_key
from tests.test_untrusted_commands import FACTS, VERSION, run
from tests.test_untrusted_manifest import JSON, paths, put

DIGEST = "0" * 64
COMMENT = {"id": 7, "user": {"login": "github-actions[bot]"}, "body": "<!-- dbt-mesh dbt_up -->"}
ANSWERS: Mapping[str, Any] = {
    r"/repos/acme/up": {"private": True, "default_branch": "main", "visibility": "private"},
    r"/repos/acme/up/environments/\w+": {
        "protection_rules": [
            {"type": "required_reviewers", "reviewers": [{"reviewer": {"login": "ann"}}]},
            {"type": "wait_timer"},
        ],
        "deployment_branch_policy": {"custom_branch_policies": True},
    },
    r".*/deployment-branch-policies": {"branch_policies": [{"name": "main", "type": "branch"}]},
    r"/repos/acme/up/branches": [{"name": "main"}],
    r"/repos/acme/up/actions/workflows": {
        "workflows": [{"path": ".github/workflows/deploy.yml", "state": "disabled_inactivity"}]
    },
    r".*/deploy.yml/runs": {"workflow_runs": [{"id": 1, "conclusion": "failure"}]},
    r".*/attempts/1": {"conclusion": "failure"},
    r"/repos/acme/up/issues/1/comments": [COMMENT],
    r".*/secrets": {"secrets": [{"name": "SNOWFLAKE_PRIVATE_KEY"}]},
    r"/orgs/acme": {"plan": {"name": "team"}},
    r".*/installation": {"id": 3},
    r".*/access_tokens": {"token": "t"},
    "&audience=snowflakecomputing.com": {"value": "t"},
    "gh pr list": [{"number": 7, "state": "OPEN", "isCrossRepository": False}],
    "copier": "updated\nTemplate v1 -> v2",
}
"""Path → what GitHub documents."""
NEWS = {
    **{"project": "dbt_up", "env": "prod", "version": VERSION, "digest": DIGEST, "chain": []},
    "run": "https://github.com/acme/up/actions/runs/1",
    "readers": [
        {"project": "dbt_down", "repository": "acme/down", "workflow": "deploy.yml"}
        | {"branch": "main"}
    ],
}
TRIED = {
    *("announce", "await-upstream", "check-environment", "notify", "pull-request", "run-summary"),
    *("signed-in", "update-template", "with-snowflake-token"),
}
RESULTS = {
    "results": [{"unique_id": "model.dbt_up.m", "status": "error", "message": "no"}],
    "elapsed_time": 1.0,
}
EVENTS = {
    "workflow_dispatch": {"inputs": {"project": "up_b", "chain": "up_c,up_b"}},
    "repository_dispatch": {"client_payload": {"project": "up_b", "chain": ["up_b"]}},
}


def ended(command: object) -> NoReturn:
    """In place of becoming the command."""
    raise SystemExit(0)


def ran(answers: Mapping[str, Any]) -> Callable[..., str]:
    """In place of what runs git, gh and Copier."""

    def run_command(command: list[str], *_: object) -> str:
        words = " ".join(map(str, command))
        said = {**ANSWERS, **answers}
        if "copier" in words:
            return str(said["copier"])
        if words.startswith("gh pr list"):
            return json.dumps(said["gh pr list"])
        return "x" if "status" in words or "ls-remote" in words else ""

    return run_command


class Answering:
    """In place of what sends a request: what is given for its path, else what is documented."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def __call__(self, method: str, path: str, *_: object) -> Any:
        bare = path.partition("?")[0]
        for pattern, answer in {**ANSWERS, **self.given}.items():
            if re.fullmatch(pattern, bare):
                return answer
        return {}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("github")
    facts = FACTS.format(name="dbt_up", kind="upstream", prefix="DBT_UP", upstreams="")
    (folder / "mesh.yml").write_text(facts)
    (folder / "comment.md").write_text("text")
    (folder / ".copier-answers.yml").write_text("_commit: v1\nproject_name: dbt_up\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "GITHUB_TOKEN": "t",
            "GITHUB_REPOSITORY": "acme/up",
            "GITHUB_RUN_ID": "9",
            "GITHUB_RUN_ATTEMPT": "2",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "MESH_APP_CLIENT_ID": "Iv1",
            "MESH_APP_PRIVATE_KEY": app_key()[0],
            "SLACK_WEBHOOK_URL": "",
        }.items():
            patch.setenv(name, value)
        for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
            patch.delenv(name, raising=False)
        patch.setattr(with_snowflake_token, "become", ended)
        patch.setattr(App, "_signed", lambda self: "signed")
        yield folder


def commands(root: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    where = ["--environment", "prod", "--branch", "main"]
    yield "environment", partial(check_environment.main, where, root)
    recovery = ["--result", "success", "--project", "dbt_up"]
    yield "notify", partial(notify.main, recovery, root)
    yield (
        "comment",
        partial(pull_request.main, ["comment", str(root / "comment.md"), "--number", "1"], root),
    )
    yield "announce", partial(announce.main, ["--planned"], root)
    yield "update", partial(update_template.main, ["--pull-request"], root)
    yield "signed in", partial(signed_in.main, ["true"], root)
    yield "with a token", partial(in_a_job, partial(with_snowflake_token.main, ["true"], root))
    yield (
        "summary",
        partial(
            run_summary.main, ["--title", "x", "--run-results", str(root / "results.json")], root
        ),
    )
    api = rest.GitHub("https://localhost", "t")
    yield "status", partial(look, api)
    yield "close", partial(close, api)


def in_a_job(command: Callable[[], int]) -> int:
    """As GitHub Actions starts it, with the right to ask for a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://localhost/token")
        patch.setenv("SNOWFLAKE_TOKEN", "")
        return command()


def look(api: rest.GitHub) -> int:
    """What `setup_keypair_auth.sh status` asks."""
    return len(list(protection.look(api, "acme/up", "prod", "main").problems)) * 0


def close(api: rest.GitHub) -> int:
    """What `setup_keypair_auth.sh create` does to the environment."""
    secret.Place("prod", "acme/up", "main").close(api, lambda line: None)
    return 0


def check(root: Path, answers: Mapping[str, Any], news: Any, results: Any) -> None:
    (root / "results.json").write_text(json.dumps(results))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest.GitHub, "_ask", Answering(answers))
        patch.setattr(update_template, "run", ran(answers))
        text = news if isinstance(news, str) else json.dumps(news)
        patch.setenv("MESH_NEWS", text.replace("\0", "").encode(errors="replace").decode())
        for name, command in commands(root):
            status, said = run(command)
            assert status in (0, 1, 2), (name, said)
            lines = said.splitlines()
            assert len(lines) <= 40, (name, said)
            for line in lines:
                assert visible(line) == line, (name, line)
                assert len(line) < 3_000, (name, line)
                command_of = re.match(r"\s*::([a-z-]+)", line)
                allowed = ("warning", "error", "notice", *(["add-mask"] * (name == "with a token")))
                assert not command_of or command_of[1] in allowed, line
                assert "##[" not in line


@settings(max_examples=100, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.data())
def test_whatever_github_answers(root: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([*ANSWERS]))
    answer = ANSWERS[path]
    answer = put(answer, data.draw(st.sampled_from([*paths(answer)])), data.draw(JSON))
    news = put(NEWS, data.draw(st.sampled_from([*paths(NEWS)])), data.draw(JSON))
    results = put(RESULTS, data.draw(st.sampled_from([*paths(RESULTS)])), data.draw(JSON))
    check(root, {path: answer}, news, results)


def test_as_documented_all_goes_well(root: Path) -> None:
    check(root, {}, NEWS, RESULTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest.GitHub, "_ask", Answering({}))
        patch.setattr(update_template, "run", ran({}))
        patch.setenv("MESH_NEWS", json.dumps(NEWS))
        said = {name: run(command) for name, command in commands(root)}
    assert {name for name, (status, _) in said.items() if status == 1} == set()
    assert "updated the comment" in said["comment"][1]
    assert "told acme/down (dbt_down)" in said["announce"][1]


@pytest.mark.parametrize("kind", EVENTS)
@settings(max_examples=50, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_whatever_an_event_says(root: Path, kind: str, data: st.DataObject) -> None:
    from dbtmesh.ci.github import event
    from dbtmesh.config import NAME

    path = data.draw(st.sampled_from([*paths(EVENTS[kind])]))
    content = put(EVENTS[kind], path, data.draw(JSON))
    (root / "event.json").write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_EVENT_NAME", kind)
        assert all(NAME.fullmatch(name) for name in event.cause().chain)


@settings(max_examples=30, deadline=None, suppress_health_check=[*HealthCheck])
@given(*(st.text() for _ in range(3)))
def test_whatever_a_deploy_is_told(root: Path, project: str, version: str, digest: str) -> None:
    flags = ["--registry", root.as_uri() + "/r", "--env", "prod", "--timeout", "0"]
    told = [f"--project={project}", f"--version={version}", f"--digest={digest}"]
    status, said = run(partial(await_upstream.main, [*flags, *told], root))
    assert status == 1
    assert len(said.splitlines()) == 1
    assert visible(said) == said
