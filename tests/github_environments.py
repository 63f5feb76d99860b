"""Environments in the stand-in for GitHub's API (tests/github_api.py): their limits, what each
plan has, and that a job which names one makes it.

By https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments,
https://docs.github.com/en/rest/deployments/environments and …/branch-policies. Not documented, and
so only guessed here: what GitHub answers to a private repository of the Free plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

NAMED = {"protected_branches": False, "custom_branch_policies": True}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


@dataclass
class Environment:
    """policy: as in the API, None for no limit; patterns: of NAMED, as type and name."""

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
        return {"name": name, "protection_rules": rules, "deployment_branch_policy": self.policy}


@dataclass
class Settings:
    """What a repository's owner has set. plan: of the owner: free, team or enterprise."""

    visibility: str = "public"
    plan: str = "team"
    default_branch: str = "main"
    protected_branches: set[str] = field(default_factory=set)
    environments: dict[str, Environment] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def has_environments(self) -> bool:
        return self.visibility == "public" or self.plan != "free"

    def closed(self, name: str, *branches: str) -> Environment:
        """Adds an environment that only these branches may use."""
        made = Environment(dict(NAMED), [("branch", branch) for branch in branches or ("main",)])
        self.environments[name] = made
        return made

    def job_names(self, name: str) -> None:
        """What a job does that names an environment: one that is not there is made, open to all."""
        self.environments.setdefault(name, Environment())

    def may_use(self, name: str, branch: str) -> bool:
        """Whether a run of a branch gets the environment's secrets, and its subject."""
        found = self.environments.get(name)
        if found is None or found.policy is None or not self.has_environments:
            return True
        if found.policy["custom_branch_policies"]:
            return any(kind == "branch" and fnmatchcase(branch, p) for kind, p in found.patterns)
        return not self.protected_branches or branch in self.protected_branches


def get_repository(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "full_name": name,
        "private": settings.visibility != "public",
        "visibility": settings.visibility,
        "default_branch": settings.default_branch,
    }


def get(settings: Settings, name: str) -> dict[str, Any]:
    return known(settings, name).as_json(name)


def known(settings: Settings, name: str) -> Environment:
    if name not in settings.environments:
        raise Refused(404, "Not Found")
    return settings.environments[name]


def put(settings: Settings, name: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Creates or replaces: what the body leaves out is taken away."""
    body = body or {}
    policy = body.get("deployment_branch_policy")
    if not settings.has_environments:
        raise Refused(422, "Environments are not available for this repository's plan.")
    if policy and policy["protected_branches"] == policy["custom_branch_policies"]:
        raise Refused(422, "protected_branches and custom_branch_policies cannot be the same.")
    private = settings.visibility != "public"
    if (
        private
        and settings.plan != "enterprise"
        and (body.get("reviewers") or body.get("wait_timer"))
    ):
        raise Refused(
            422,
            "Failed to create the environment protection rule. Please ensure the billing plan "
            "supports the required reviewers protection rule.",
        )
    made = settings.environments.setdefault(name, Environment())
    made.policy = policy
    made.reviewers = body.get("reviewers") or []
    made.wait_timer = body.get("wait_timer") or 0
    if policy != NAMED:
        made.patterns = []
    return made.as_json(name)


def patterns(settings: Settings, name: str) -> list[dict[str, Any]]:
    found = known(settings, name).patterns
    return [{"id": n, "name": pattern, "type": kind} for n, (kind, pattern) in enumerate(found)]


def add_pattern(settings: Settings, name: str, body: dict[str, Any]) -> dict[str, Any]:
    found = known(settings, name)
    if found.policy != NAMED:
        raise Refused(404, "Not Found")
    pattern = (str(body.get("type", "branch")), str(body["name"]))
    if pattern in found.patterns:
        raise Refused(303, "See Other")
    found.patterns.append(pattern)
    return {"id": len(found.patterns), "name": pattern[1], "type": pattern[0]}


def set_secret(settings: Settings, name: str | None, key: str, value: str) -> None:
    if name is None:
        settings.secrets[key] = value
        return
    known(settings, name).secrets[key] = value


def names(secrets: Iterable[str]) -> list[dict[str, str]]:
    """Never their values."""
    return [{"name": name} for name in sorted(secrets)]
