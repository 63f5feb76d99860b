"""Finds the GitHub environment that keeps a user's key, or whose jobs sign in without one.

It also protects the environment that deploys before its jobs can sign in without a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dbtmesh import MeshError
from dbtmesh.ci.github.gh import Gh
from dbtmesh.ci.github.secret import Place
from dbtmesh.config import Member
from dbtmesh.snowflake.names import Names
from dbtmesh.snowflake.plan import Change


def place_of(names: Names, member: Member, user: str) -> Place | None:
    """Returns where GitHub keeps the key of one of CI's two users; None for a person's key."""
    if user == names.service_user.name:
        environment, branch = member.deploy_environment, member.deploy_branch
    elif user == names.ci_user.name:
        environment, branch = member.ci_environment, None
    else:
        return None
    return Place(environment, member.github_repository, branch, server=member.github_server)


def close_before(
    changes: Iterable[Change], member: Member, names: Names, say: Callable[[str], None]
) -> None:
    """Restricts the environment that deploys to its branch, if one of these changes lets its jobs
    sign in without a key. Raises MeshError where that fails or cannot be checked."""
    # also true where the account does not tell whether they may sign in already
    let_in = any(
        change.step.object == names.service_user and "WORKLOAD_IDENTITY" in change.step.properties
        for change in changes
    )
    place = place_of(names, member, names.service_user.name)
    if not let_in or place is None:
        return
    try:
        place.close_by(Gh(member.root, member.github_server), say)
    except MeshError as error:
        raise MeshError(
            f"nothing was changed, because it would let jobs of {place.environment} sign in: "
            f"{error}\nThen run this again, or with --no-github if somebody has restricted it"
        ) from None
