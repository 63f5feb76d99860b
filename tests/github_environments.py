"""Environments in the stand-in for GitHub's API (tests/github_api.py).

It models their limits, what each plan supports, and that a job creates the environment it names.
The sources of the rules are in tests/github_rules.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

NAMED = {"protected_branches": False, "custom_branch_policies": True}
LONGEST_WAIT, MOST_REVIEWERS = 43_200, 6
"""Minutes; people and teams."""
PUBLIC_KEY = {"key_id": "1", "key": "CQ" + "A" * 41 + "="}
"""The key that encrypts secrets: the base point of Curve25519. Nothing here decrypts them."""
_AT = "2026-01-01T00:00:00Z"
_SECRET = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", re.IGNORECASE)


class Refused(Exception):
    """Raised for a response that is an error."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


@dataclass
class Environment:
    """An environment.

    policy: as in the API; None for no limit.
    patterns: type and name of each pattern, for the policy NAMED.
    reviewers: as the API shows them.
    """

    policy: dict[str, bool] | None = None
    patterns: list[tuple[str, str]] = field(default_factory=list)
    reviewers: list[dict[str, Any]] = field(default_factory=list)
    wait_timer: int = 0
    secrets: dict[str, str] = field(default_factory=dict)

    def as_json(self, name: str) -> dict[str, Any]:
        rules: list[dict[str, Any]] = []
        if self.wait_timer:
            rules.append({"type": "wait_timer", "wait_timer": self.wait_timer})
        if self.reviewers:
            rules.append({"type": "required_reviewers", "reviewers": self.reviewers})
        if self.policy:
            rules.append({"type": "branch_policy"})
        return {
            "id": 1,
            "node_id": "E_1",
            "name": name,
            "url": f"https://api.github.com/environments/{name}",
            "html_url": f"https://github.com/environments/{name}",
            "created_at": _AT,
            "updated_at": _AT,
            "protection_rules": [{"id": n, "node_id": f"R_{n}", **r} for n, r in enumerate(rules)],
            "deployment_branch_policy": self.policy,
        }


@dataclass
class Settings:
    """The settings of a repository.

    plan: the owner's plan: free, team (which stands for a person's Pro, too) or enterprise.
    actions_open_pulls: whether GitHub Actions may open pull requests.
    their_pulls_wait: whether the workflows of these pull requests wait for approval, as they do
    now. Before, they did not run at all.
    """

    visibility: str = "public"
    plan: str = "team"
    default_branch: str = "main"
    protected_branches: set[str] = field(default_factory=set)
    environments: dict[str, Environment] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    of_a_person: bool = False
    actions_open_pulls: bool = False
    their_pulls_wait: bool = True

    @property
    def has_environments(self) -> bool:
        return self.visibility == "public" or self.plan != "free"

    @property
    def has_approvals(self) -> bool:
        return self.visibility == "public" or self.plan == "enterprise"

    def closed(self, name: str, *branches: str) -> Environment:
        """Adds an environment that only these branches may use."""
        made = Environment(dict(NAMED), [("branch", branch) for branch in branches or ("main",)])
        self.environments[name] = made
        return made

    def job_names(self, name: str) -> None:
        """Creates the environment that a job names, if it does not exist, open to all branches."""
        if found(self, name) is None:
            self.environments[name] = Environment()

    def may_use(self, name: str, branch: str) -> bool:
        """Checks whether a run of a branch gets the environment's secrets and its subject."""
        key = found(self, name)
        here = None if key is None else self.environments[key]
        if here is None or here.policy is None or not self.has_environments:
            return True
        if here.policy["custom_branch_policies"]:
            return any(kind == "branch" and matches(p, branch) for kind, p in here.patterns)
        return not self.protected_branches or branch in self.protected_branches


def matches(pattern: str, branch: str) -> bool:
    """Matches like Ruby's File.fnmatch with FNM_PATHNAME: only `**/` matches across a slash."""
    first, _, rest = pattern.partition("/")
    head, slash, tail = branch.partition("/")
    if first == "**" and rest:
        return matches(rest, branch) or bool(slash and matches(pattern, tail))
    if bool(rest) != bool(slash):
        return False
    return fnmatchcase(head, first) and (not rest or matches(rest, tail))


def get_repository(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "full_name": name,
        "private": settings.visibility != "public",
        "visibility": settings.visibility,
        "default_branch": settings.default_branch,
    }


def found(settings: Settings, name: str) -> str | None:
    """Returns the environment's name as it was first written; None if there is none."""
    return next((each for each in settings.environments if each.lower() == name.lower()), None)


def known(settings: Settings, name: str) -> Environment:
    key = found(settings, name)
    if key is None:
        raise Refused(404, "Not Found")
    return settings.environments[key]


def get(settings: Settings, name: str) -> dict[str, Any]:
    return known(settings, name).as_json(found(settings, name) or name)


def listed(settings: Settings) -> list[dict[str, Any]]:
    return [each.as_json(name) for name, each in settings.environments.items()]


def delete(settings: Settings, name: str) -> None:
    known(settings, name)
    del settings.environments[found(settings, name) or name]


def put(settings: Settings, name: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Creates or replaces an environment. What the body leaves out is removed.

    If the plan does not allow its rules, the environment is created nevertheless.
    """
    body = body or {}
    policy = body.get("deployment_branch_policy")
    if policy and policy["protected_branches"] == policy["custom_branch_policies"]:
        raise Refused(422, "protected_branches and custom_branch_policies cannot be the same.")
    wait, reviewers = body.get("wait_timer") or 0, body.get("reviewers") or []
    if not 0 <= wait <= LONGEST_WAIT or len(reviewers) > MOST_REVIEWERS:
        raise Refused(422, "Validation Failed")
    settings.job_names(name)
    made = known(settings, name)
    if policy and not settings.has_environments:
        raise Refused(
            422,
            "Fail to create protected rule, please ensure billing plan include protected branch "
            "gate.",
        )
    gated = body.keys() & {"reviewers", "wait_timer", "prevent_self_review"}
    if gated and not settings.has_approvals:
        raise Refused(
            422,
            "Failed to create the environment protection rule. Please ensure the billing plan "
            "supports the required reviewers protection rule.",
        )
    made.policy = policy
    made.reviewers = [
        {"type": each["type"], "reviewer": {"id": each["id"], "login": f"user-{each['id']}"}}
        for each in reviewers
    ]
    made.wait_timer = wait
    if policy != NAMED:
        made.patterns = []
    return get(settings, name)


def patterns(settings: Settings, name: str) -> list[dict[str, Any]]:
    return [_pattern(n, each) for n, each in enumerate(known(settings, name).patterns, start=1)]


def _pattern(number: int, pattern: tuple[str, str]) -> dict[str, Any]:
    return {"id": number, "node_id": f"P_{number}", "name": pattern[1], "type": pattern[0]}


def add_pattern(settings: Settings, name: str, body: dict[str, Any]) -> dict[str, Any]:
    here = known(settings, name)
    if here.policy != NAMED:
        raise Refused(404, "Not Found")
    pattern = (str(body.get("type", "branch")), str(body["name"]))
    if pattern in here.patterns:
        raise Refused(303, "See Other")
    here.patterns.append(pattern)
    return _pattern(len(here.patterns), pattern)


def set_secret(settings: Settings, name: str, key: str, value: str) -> None:
    here = known(settings, name)
    if not _SECRET.fullmatch(key):
        raise Refused(422, "Secret names can only contain alphanumeric characters or underscores.")
    here.secrets[key.upper()] = value


def public_key(settings: Settings, name: str) -> dict[str, str]:
    known(settings, name)
    return PUBLIC_KEY


def variable(settings: Settings, name: str) -> dict[str, str]:
    if name not in settings.variables:
        raise Refused(404, "Not Found")
    return {"name": name, "value": settings.variables[name], "created_at": _AT, "updated_at": _AT}


def names(secrets: Iterable[str]) -> list[dict[str, str]]:
    """Lists secrets by name, never with their values."""
    return [{"name": name, "created_at": _AT, "updated_at": _AT} for name in sorted(secrets)]
