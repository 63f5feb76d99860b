"""Defines GitHub as a service that a conformance run compares with the stand-in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dbtmesh import MeshError
from dbtmesh.ci.github.gh import Gh
from tests.conformance.github.ask import Run, ask
from tests.conformance.github.questions import QUESTIONS
from tests.conformance.script import Answers, Service
from tests.github_api import GitHubApi, Repository, Request

ASKER = "gho_of-who-asks"
HERE = "acme/conformance"


@dataclass(frozen=True)
class Behaviour:
    """Differences between accounts.

    private: whether the repository is private.
    rules_if_private: whether the plan has branch policies there (Pro, Team, Enterprise).
    approvals_if_private: whether it also has reviewers and timers there (Enterprise).
    organisation: whether the owner is an organisation, not a person.
    actions_open_pulls: whether the setting lets Actions open pull requests.
    their_pulls_wait: whether workflows of such pull requests wait for approval, or do not run.
    """

    private: bool = False
    rules_if_private: bool = True
    approvals_if_private: bool = False
    organisation: bool = True
    actions_open_pulls: bool = True
    their_pulls_wait: bool = True


class ByGh:
    """Sends requests with the user's own `gh`, in the same way as the library."""

    def __init__(self, server: str) -> None:
        self._gh = Gh(Path.cwd(), server)

    def send(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        return self._gh.send(method, path, body)

    def set_secret(self, name: str, environment: str, repository: str) -> bool:
        try:
            self._gh.set_secret(name, environment, repository, b"this is no secret")
        except MeshError:
            return False
        return True


class ByHand:
    """Sends requests to the stand-in in this process."""

    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    def send(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(path)
        given = json.loads(body) if body else None
        query = dict(parse_qsl(parts.query))
        status, _, answer = self._api.answer(Request(method, parts.path, query, given, ASKER))
        return status, answer

    def set_secret(self, name: str, environment: str, repository: str) -> bool:
        path = f"/repos/{repository}/environments/{environment}/secrets"
        status, key = self.send("GET", f"{path}/public-key", b"")
        if status >= 300:
            return False
        body: Mapping[str, str] = {"encrypted_value": "eA==", "key_id": key["key_id"]}
        status, _ = self.send("PUT", f"{path}/{name}", json.dumps(body).encode())
        return status < 300


def repository_of(api: GitHubApi, behaviour: Behaviour) -> Repository:
    """Makes an empty repository in an account of that behaviour, and an administrator's token."""
    api.token(ASKER, login="ada", everything="write")
    made = api.repository(HERE)
    made.is_empty = True
    settings = made.settings
    settings.visibility = "private" if behaviour.private else "public"
    paid = "enterprise" if behaviour.approvals_if_private else "team"
    settings.plan = paid if behaviour.rules_if_private else "free"
    settings.of_a_person = not behaviour.organisation
    settings.actions_open_pulls = behaviour.actions_open_pulls
    settings.their_pulls_wait = behaviour.their_pulls_wait
    return made


def _expected(behaviour: Behaviour) -> Answers:
    api = GitHubApi()
    repository_of(api, behaviour)
    return ask(ByHand(api), Run(HERE, "dbtmesh-conformance-ours"), pause=0).answers


GITHUB = Service(
    "GitHub",
    QUESTIONS,
    Behaviour,
    _expected,
    frozenset(
        {
            *("branch", "tag", "{branch}", "v*", "wait_timer", "required_reviewers"),
            *("branch_policy", "User", "Team", "success", "failure", "cancelled", "skipped"),
            *("action_required", "neutral", "timed_out", "startup_failure", "[]", "active"),
            *("disabled_manually", "push", "pull_request", "repository_dispatch", "1", "2"),
            "CONFORMANCE",
        }
    ),
)
