"""Finds who could deploy besides the branch that should, from a repository's environment and
secrets. Used by `setup_keypair_auth.sh status`, by the deploy workflow, and by the doctor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dbtmesh.ci.github import environments
from dbtmesh.ci.github.environments import Environment, Repository
from dbtmesh.ci.github.rest import Api

PRIVATE_KEYS = ("SNOWFLAKE_PRIVATE_KEY", "MESH_APP_PRIVATE_KEY", "MESH_MAINTENANCE_APP_PRIVATE_KEY")
"""Secrets that only an environment may keep."""


@dataclass(frozen=True)
class Protection:
    """The protection of an environment. name: the environment's name. branches: those that may
    deploy. environment: None where it does not exist, or the token may not see it. plan: the
    organisation's, None where it is not known. secrets: the names of the environment's secrets.
    repository_secrets: the names of those that every branch can use. Both are None where the token
    may not see them."""

    name: str
    branches: tuple[str, ...]
    repository: Repository
    environment: Environment | None
    plan: str | None = None
    secrets: tuple[str, ...] | None = None
    repository_secrets: tuple[str, ...] | None = None

    @property
    def lines(self) -> Iterator[str]:
        """Lines that describe the protection to people."""
        plan = f"plan {self.plan}" if self.plan else "plan not known"
        yield f"repository {self.repository.name}: {self.repository.visibility}, {plan}"
        if self.environment is None:
            return
        reviewers = ", ".join(self.environment.reviewers) or "none"
        yield (
            f"environment {self.name}: may be used from {self.environment}; reviewers {reviewers}; "
            f"secrets {_listed(self.secrets)}"
        )

    @property
    def problems(self) -> Iterator[str]:
        """Lines that tell how somebody could deploy who should not."""
        found = self.environment
        if found is None:
            yield (
                f"the environment {self.name} does not exist: the first job that names it makes "
                f"it, open to every branch{self._plans}; `./setup_keypair_auth.sh create` makes it "
                "closed"
            )
        elif strangers := found.strangers(self.branches):
            approval = f" once {' or '.join(found.reviewers)} approve" if found.reviewers else ""
            yield (
                f"{', '.join(strangers)} can use the environment {self.name}{approval}, not only "
                f"{' and '.join(self.branches)}{self._plans}: `./setup_keypair_auth.sh create` "
                "closes it where it has no rules yet; else Settings, Environments"
            )
        for name in self.repository_secrets or ():
            if name in PRIVATE_KEYS:
                yield (
                    f"{name} is a secret of the whole repository, which every branch can use: keep "
                    f"it in the environment {self.name} alone (`gh secret delete {name}`)"
                )

    @property
    def _plans(self) -> str:
        return (
            ""
            if self.repository.is_public
            else " (a private repository can close one from GitHub Pro and Team on, not on Free)"
        )


def _listed(names: tuple[str, ...] | None) -> str:
    return "not known" if names is None else ", ".join(names) or "none"


def look(
    api: Api, repository: str, environment: str, deploy_branch: str, *, secrets: bool = True
) -> Protection:
    """Reads the protection of an environment.

    secrets: whether to read the names of secrets and the plan, which a job's token may not see.

    Raises MeshError where the repository or the environment cannot be read.
    """
    of = environments.read_repository(api, repository)
    return Protection(
        environment,
        environments.allowed_branches(deploy_branch, of.default_branch),
        of,
        environments.read(api, repository, environment),
        environments.plan_of(api, of.name) if secrets else None,
        environments.secrets(api, repository, environment) if secrets else None,
        environments.secrets(api, repository, None) if secrets else None,
    )
