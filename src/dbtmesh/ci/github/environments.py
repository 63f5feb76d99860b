"""Reads and limits GitHub's environments: they keep the secrets of deploys, and AWS and Snowflake
trust their names.

So whoever can run a job in an environment can deploy. A workflow that names one which does not
exist makes it, open to every branch:
https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments
https://docs.github.com/en/rest/deployments/environments and …/branch-policies
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dbtmesh import MeshError
from dbtmesh.ci.github.rest import Api, Refused, pages, understood

NOT_FOUND = 404
"""GitHub's answer for what is not there, and for what a token may not see."""
THERE = 303
"""GitHub's answer for a pattern that an environment has already."""
OPEN, ACCEPTED = "MESH_OPEN_ENVIRONMENT", "accepted"
"""A repository's variable, and its value if the team accepts that others can use the environment
that deploys."""


class Limit(Enum):
    """Which branches and tags may use an environment."""

    NONE = "every branch"
    PROTECTED = "protected branches"
    NAMED = "named branches"


@dataclass(frozen=True)
class Environment:
    """An environment as GitHub has it.

    patterns: the branches that may use it, if the limit is NAMED; `tag v*` for tags. protected:
    the repository's protected branches, if the limit is PROTECTED. reviewers: one of these people
    and teams has to approve each job. rules: the types of other protection rules, such as
    `wait_timer`.
    """

    name: str
    limit: Limit
    patterns: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def strangers(self, allowed: Iterable[str]) -> tuple[str, ...]:
        """Returns what can use it besides the branches `allowed`; empty where it is closed.

        If no branch has a protection rule, a limit to protected branches has no effect: GitHub then
        admits every branch.
        """
        known = set(allowed)
        if self.limit is Limit.NAMED:
            return tuple(pattern for pattern in self.patterns if pattern not in known)
        if self.limit is Limit.PROTECTED and self.protected:
            return tuple(branch for branch in self.protected if branch not in known)
        return (Limit.NONE.value,)

    def __str__(self) -> str:
        if self.limit is Limit.NAMED:
            return ", ".join(self.patterns) or "no branch"
        if self.limit is Limit.PROTECTED:
            return f"protected branches ({', '.join(self.protected) or 'there are none: all'})"
        return str(self.limit.value)


class Closing(Enum):
    """What to do with an environment before a secret is stored in it."""

    NOTHING = "closed already"
    CREATE = "made for its branches only"
    LIMIT = "limited to its branches"
    LEFT = "left as it is: its rules are somebody's own"


@dataclass(frozen=True)
class Repository:
    """The facts about a repository that matter here. visibility: public, private or internal."""

    name: str
    default_branch: str
    visibility: str

    @property
    def is_public(self) -> bool:
        return self.visibility == "public"


# ── Decisions ─────────────────────────────────────────────────────────────────────────


def closing(found: Environment | None, allowed: Iterable[str]) -> Closing:
    """Decides what to do with an environment. One that has rules is not changed, because GitHub
    removes all rules that a change leaves out."""
    if found is None:
        return Closing.CREATE
    if not found.strangers(allowed):
        return Closing.NOTHING
    if found.limit is Limit.NONE and not (found.reviewers or found.rules):
        return Closing.LIMIT
    return Closing.LEFT


def allowed_branches(deploy_branch: str, default_branch: str) -> tuple[str, ...]:
    """Returns the branches that have to be able to use the environment.

    The default branch is one of them: schedules run on it. GitHub looks at the branch of the run,
    not at the one that a job checks out.
    """
    return tuple(dict.fromkeys((deploy_branch, default_branch)))


# ── GitHub ────────────────────────────────────────────────────────────────────────────


def read_repository(api: Api, name: str) -> Repository:
    """Reads the facts about a repository. Raises MeshError."""
    found = api.get(f"/repos/{name}")
    with understood(f"GET /repos/{name}"):
        is_private = "private" if found["private"] else "public"
        return Repository(
            str(found.get("full_name") or name),
            str(found["default_branch"]),
            str(found.get("visibility") or is_private),
        )


def read(api: Api, repository: str, name: str) -> Environment | None:
    """Reads an environment; None where it does not exist, or the token may not see it.

    A job's token needs `actions: read`, and `contents: read` for the protected branches. Raises
    MeshError.
    """
    path = f"/repos/{repository}/environments/{name}"
    try:
        found = api.get(path)
    except Refused as error:
        if error.status == NOT_FOUND:
            return None
        raise
    with understood(f"GET {path}"):
        rules = {str(rule["type"]): rule for rule in found.get("protection_rules") or ()}
        policy = found.get("deployment_branch_policy")
        if policy is None:
            limit = Limit.NONE
        else:
            limit = Limit.NAMED if policy["custom_branch_policies"] else Limit.PROTECTED
        listed = rules.get("required_reviewers", {}).get("reviewers") or ()
        reviewers = tuple(_reviewer(each["reviewer"]) for each in listed)
    return Environment(
        name,
        limit,
        _patterns(api, f"{path}/deployment-branch-policies") if limit is Limit.NAMED else (),
        _names(api, f"/repos/{repository}/branches", protected="true")
        if limit is Limit.PROTECTED
        else (),
        reviewers,
        tuple(sorted(rules.keys() - {"required_reviewers", "branch_policy"})),
    )


def _patterns(api: Api, path: str) -> tuple[str, ...]:
    listed = [*pages(api, path, "branch_policies")]
    tag = {"tag": "tag "}
    with understood(f"GET {path}"):
        return tuple(f"{tag.get(str(each.get('type')), '')}{each['name']}" for each in listed)


def _names(api: Api, path: str, key: str = "", **query: str) -> tuple[str, ...]:
    """Returns the names of a list's entries. key: see `pages`. Raises MeshError."""
    listed = [*pages(api, path, key, **query)]
    with understood(f"GET {path}"):
        return tuple(str(each["name"]) for each in listed)


def _reviewer(who: Any) -> str:
    return str(who.get("login") or who["slug"])


def restrict(api: Api, repository: str, name: str, branches: Sequence[str]) -> None:
    """Makes an environment that only the branches can use, or limits one without rules to them.

    It is read again afterwards, because GitHub does not document whether patterns are removed with
    the limit that they belonged to. Raises MeshError; then the environment may exist without the
    limit.
    """
    path = f"/repos/{repository}/environments/{name}"
    policy = {"protected_branches": False, "custom_branch_policies": True}
    api.put(path, {"deployment_branch_policy": policy})
    for branch in branches:
        try:
            api.post(f"{path}/deployment-branch-policies", {"name": branch}, repeatable=True)
        except Refused as error:
            if error.status != THERE:
                raise
    found = read(api, repository, name)
    strangers = (Limit.NONE.value,) if found is None else found.strangers(branches)
    if strangers:
        raise MeshError(f"{', '.join(strangers)} can still use it")


def is_accepted(api: Api, repository: str) -> bool:
    """Checks whether the team has accepted that others can use the environment.

    In a job, the workflow passes the variable on. Elsewhere, GitHub is asked. Raises MeshError.
    """
    if said := os.environ.get(OPEN):
        return said == ACCEPTED
    try:
        found = api.get(f"/repos/{repository}/actions/variables/{OPEN}")
    except Refused:  # there is none, or the token may not see it
        return False
    return isinstance(found, dict) and found.get("value") == ACCEPTED


def make(api: Api, repository: str, name: str) -> None:
    """Makes an environment that every branch may use. Raises MeshError."""
    api.put(f"/repos/{repository}/environments/{name}", {})


def secrets(api: Api, repository: str, name: str | None) -> tuple[str, ...] | None:
    """Returns the names of the secrets of an environment; None where the token may not see them.

    name: None for the secrets of the whole repository, which every branch can use.
    """
    of = f"environments/{name}/secrets" if name else "actions/secrets"
    try:
        return _names(api, f"/repos/{repository}/{of}", "secrets")
    except Refused:
        return None


def plan_of(api: Api, repository: str) -> str | None:
    """Returns the organisation's plan, such as `free`; None where the token may not see it.

    https://docs.github.com/en/rest/orgs/orgs#get-an-organization
    """
    path = f"/orgs/{repository.partition('/')[0]}"
    try:
        answer = api.get(path)
    except Refused:
        return None
    with understood(f"GET {path}"):
        plan = answer.get("plan")
        return str(plan["name"]) if plan else None
