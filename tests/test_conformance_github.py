"""The conformance run on GitHub, against the stand-in: what it says, finds and leaves.

By the real `gh` where that matters, else by requests in this process, which are the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from tests import github_actions, github_api, github_cli, github_environments
from tests.conformance import __main__ as conformance
from tests.conformance.compare import behaviour_of, differences
from tests.conformance.github import workflows
from tests.conformance.github.ask import Run, ask, requests
from tests.conformance.github.questions import QUESTIONS
from tests.conformance.github.service import (
    ASKER,
    GITHUB,
    HERE,
    Behaviour,
    ByHand,
    repository_of,
)
from tests.conformance.running import Asked, Stopped
from tests.conformance.script import Answer
from tests.conftest import ROOT
from tests.github_actions import Actions
from tests.github_api import GitHubApi
from tests.github_environments import Environment
from tests.github_rules import Rule
from tests.test_conformance import command

WORDS = ["--repository", HERE]
PREFIX = "dbtmesh-conformance-0"


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    with GitHubApi() as api:
        repository_of(api, Behaviour())
        yield api


def by_hand(api: GitHubApi) -> Asked:
    return ask(ByHand(api), Run(HERE, PREFIX), pause=0)


def left(api: GitHubApi) -> list[str]:
    here = api.repositories[HERE]
    runs = [str(run["id"]) for runs in here.runs.values() for run in runs]
    pulls = [str(number) for number, state in here.pulls.items() if state == "open"]
    settings = here.settings
    deployed = [str(each["id"]) for each in here.deployments]
    files = [path for path in here.files if path != "README.md"]
    return [*settings.environments, *here.refs, *files, *runs, *pulls, *deployed]


@contextlib.contextmanager
def begun(api: GitHubApi, report: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with the real `gh`."""
    with github_cli.gh(api, ASKER) as variables:
        yield subprocess.Popen(
            command(*WORDS, "--report", str(report), *words),
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


# ── The questions ─────────────────────────────────────────────────────────────────────────


def test_each_rule_is_asked_about() -> None:
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS) >= 60
    assert {question.rule for question in QUESTIONS} == set(Rule)
    assert all(rule.is_assumption == bool(rule.source.leaned_on) for rule in Rule)


def test_each_rule_is_where_it_says(api: GitHubApi) -> None:
    modules = {
        module.__name__.rpartition(".")[2]: module
        for module in (github_api, github_actions, github_environments)
    }
    for rule in Rule:
        module, *path = rule.source.where.split(".")
        found: Any = modules[module]
        for part in path:
            found = getattr(found, part)
        assert callable(found), rule


def test_a_dry_run_prints_every_request_and_needs_no_account(api: GitHubApi) -> None:
    """What a run then sends is among the lines."""
    words = command(*WORDS, "--dry-run")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    assert HERE in done.stdout
    assert "{p}" not in done.stdout
    by_hand(api)
    printed = [
        re.sub(r"\\\{[a-z]+\\\}", ".+", re.escape(Run(HERE, PREFIX, {"branch": "main"}).text(each)))
        for each in re.findall(r"(?:GET|PUT|POST|PATCH|DELETE) (/[^\s?]*)", "\n".join(requests()))
    ]
    for request in api.requests:
        if request.token and "/secrets/" not in request.path:  # by `gh secret set`
            assert any(re.fullmatch(each, request.path) for each in printed), str(request)


def test_it_changes_nothing_but_its_own(api: GitHubApi) -> None:
    by_hand(api)
    for request in api.requests:
        if request.method != "GET" and not re.search(r"/actions/runs/|/deployments/", request.path):
            sent = f"{request.path} {request.body}".lower()
            assert PREFIX in sent or "readme" in sent or "x" * 101 in sent or "/pulls/" in sent


def test_its_workflows_hold_no_secret_and_pin_what_they_use() -> None:
    for text in (workflows.ASKS, workflows.LISTENS, workflows.AGAIN):
        given = yaml.safe_load(Run(HERE, PREFIX, {"branch": "main"}).text(text))
        assert given["permissions"] == {}
        assert "secrets." not in text
        assert all(re.search(r"@[0-9a-f]{40} ", line) for line in re.findall("uses: .*", text))
        assert all(job["timeout-minutes"] <= 5 for job in given["jobs"].values())


# ── Runs ──────────────────────────────────────────────────────────────────────────────────

PLANS = {
    "public": Behaviour(),
    "private, Free": Behaviour(private=True, rules_if_private=False),
    "private, Team": Behaviour(private=True),
    "private, Enterprise": Behaviour(private=True, approvals_if_private=True),
    "of a person": Behaviour(organisation=False),
    "Actions open no pull requests": Behaviour(actions_open_pulls=False),
    "before pull requests waited": Behaviour(their_pulls_wait=False),
}


@pytest.mark.parametrize("behaviour", PLANS.values(), ids=PLANS)
def test_accounts_of_each_plan_answer_as_the_stand_in(behaviour: Behaviour) -> None:
    api = GitHubApi()
    repository_of(api, behaviour)
    asked = by_hand(api)
    found, ours = behaviour_of(GITHUB, asked.answers)
    assert found == behaviour
    assert differences(GITHUB, asked.answers, ours) == []
    assert left(api) == []


def test_what_plans_differ_in() -> None:
    """As documented, whatever the stand-in has: a table written by hand."""
    refused = {
        plan: {name for name in ("limited", "reviewers", "wait-timer") if answers[name].number}
        for plan, answers in ((plan, GITHUB.expected(each)) for plan, each in PLANS.items())
    }
    assert refused["public"] == set()
    assert refused["private, Free"] == {"limited", "reviewers", "wait-timer"}
    assert refused["private, Team"] == {"reviewers", "wait-timer"}
    assert refused["private, Enterprise"] == set()
    started = {plan: GITHUB.expected(each)["pull-started"].cells for plan, each in PLANS.items()}
    assert started["public"] == (("pull_request", "action_required"),)
    assert started["before pull requests waited"] == ()
    assert started["Actions open no pull requests"] == ()


real_happened = Actions.happened


def starts_all(self: Actions, event: str, by: str, branch: str, kind: str = "") -> None:
    real_happened(self, event, "ada", branch, kind)


def once(self: Actions, run: dict[str, Any], name: str) -> None:
    self.repository.artifacts[run["id"]] = [name]


def forgets(self: Actions, number: int) -> None:
    self.find(number)[1]["run_attempt"] += 1


def shows_values(secrets: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": "x"} for name in secrets]


def without_rules(self: Environment, name: str) -> dict[str, Any]:
    return {"name": name, "deployment_branch_policy": self.policy, "protection_rules": []}


# What is planted in the stand-in, and a question that has to name it.
PLANTED: dict[str, tuple[Any, str, Any]] = {
    "other-case": (
        *(github_environments, "found"),
        lambda settings, name: name if name in settings.environments else None,
    ),
    "star-and-slash": (github_environments, "matches", lambda p, b: fnmatchcase(b, p)),
    "secret-reserved": (github_environments, "_SECRET", re.compile(".*")),
    "long-timer": (github_environments, "LONGEST_WAIT", 10**6),
    "secrets": (github_environments, "names", shows_values),
    "limited-rules": (Environment, "as_json", without_rules),
    "artifacts": (Actions, "_upload", once),
    "push-started": (Actions, "happened", starts_all),
    "attempt-1": (Actions, "again", forgets),
    "job-workflows": (github_api, "BOT", "nobody"),
}
# What is answered otherwise, once: a pattern, a status, and after how many that match.
ANSWERED = {
    "unheard": (".*/dispatches", 422, 0),
    "no-ref": (".*-asks.yml/dispatches", 204, 0),
    "pattern-twice": (".*-a/deployment-branch-policies", 422, 2),
    "deleted-twice": ("DELETE .*-s", 204, 1),
}


def test_every_planted_difference_is_named(api: GitHubApi, tmp_path: Path) -> None:
    assert len(PLANTED) + len(ANSWERED) >= 10
    report = tmp_path / "conformance.md"
    with contextlib.ExitStack() as planted:
        for place, name, instead in PLANTED.values():
            planted.enter_context(mock.patch.object(place, name, instead))
        for pattern, status, after in ANSWERED.values():
            method = "" if pattern.startswith("DELETE") else "POST "
            api.fail(f"{method}{pattern}$", status, after=after, body={})
        with begun(api, report, "--yes") as started:
            said, _ = started.communicate(timeout=300)
    assert started.returncode == 2, said
    assert left(api) == []
    text = report.read_text()
    for name in (*PLANTED, *ANSWERED):
        assert name in said, said
        part = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        rule = next(question.rule for question in QUESTIONS if question.name == name)
        assert f"rule `{rule.name}`: {rule.says}" in part, name
        expected, answered = re.findall(r"(?:expected|answered): (.+)", part)[:2]
        assert expected != answered, name
    for private in ("acme", "ada", "user-1", "dbtmesh-conformance-"):
        assert private not in text


def test_nothing_is_done_unasked(api: GitHubApi, tmp_path: Path) -> None:
    with begun(api, tmp_path / "x.md") as started:
        said, _ = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "15 minutes of GitHub Actions" in " ".join(said.split())
    assert api.requests == []


# ── What it leaves ────────────────────────────────────────────────────────────────────────


def test_an_error_in_the_middle_leaves_nothing(api: GitHubApi) -> None:
    api.fail("POST .*-open/deployment-branch-policies", 500)
    with pytest.raises(Stopped, match=r"setting up was refused with 500: POST /repos/\{r\}"):
        by_hand(api)
    assert left(api) == []


class Ended(ByHand):
    """Is told to end when it has started workflows."""

    def send(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        answered = super().send(method, path, body)
        if path.endswith("/dispatches"):
            signal.raise_signal(signal.SIGTERM)
        return answered


def test_a_termination_in_the_middle_leaves_nothing(api: GitHubApi) -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(Ended(api), Run(HERE, PREFIX), pause=0)
    assert "POST /repos/acme/conformance/dispatches 204" in api.seen()
    assert left(api) == []


def test_a_termination_of_the_command_leaves_nothing(api: GitHubApi, tmp_path: Path) -> None:
    with begun(api, tmp_path / "x.md", "--yes") as started:
        while not any("/environments/" in each for each in api.seen("PUT")):
            assert started.poll() is None, started.communicate()
            time.sleep(0.05)
        started.send_signal(signal.SIGTERM)
        said, _ = started.communicate(timeout=120)
    assert started.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert left(api) == []


def test_what_cannot_be_taken_away_is_told(
    api: GitHubApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.fail(f"DELETE .*/environments/{PREFIX}-closed", 403, times=9)
    with pytest.raises(Stopped, match="not everything could be removed"):
        by_hand(api)
    told = capsys.readouterr().err
    assert f"by hand:\n  DELETE /repos/{HERE}/environments/{PREFIX}-closed: 403" in told
    assert left(api) == [f"{PREFIX}-closed"]


def test_without_write_access_nothing_begins(api: GitHubApi) -> None:
    api.token(ASKER, login="ada", everything="read")
    with pytest.raises(Stopped, match="write access is needed"):
        by_hand(api)
    assert left(api) == []


def test_without_the_scope_for_workflows_the_rest_is_asked(api: GitHubApi) -> None:
    api.fail(f"PUT .*/contents/.github/workflows/{PREFIX}-listens.yml", 404)
    asked = by_hand(api)
    assert asked.lacks == {"runs of workflows"}
    assert asked.answers["job-reads"] == Answer(-1)
    assert asked.answers["limited"].number == 0
    assert left(api) == []


@pytest.mark.parametrize("words", [[], ["--repository", "x"], ["--connection", "a", *WORDS]])
def test_which_account_has_to_be_said(words: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        conformance.main(words)
    assert error.value.code == 2
