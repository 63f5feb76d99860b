"""Stores the key that CI signs in with as a secret of a GitHub environment, and closes that
environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.ci.github import environments, gh
from dbtmesh.ci.github.environments import Closing, Environment, Repository
from dbtmesh.ci.github.gh import HERE, Gh
from dbtmesh.ci.github.rest import Api, Refused
from dbtmesh.output import terminal

KEY = "SNOWFLAKE_PRIVATE_KEY"


@dataclass(frozen=True)
class Place:
    """Where GitHub keeps the key of a user that CI signs in as.

    The key that deploys is a secret of the environment `prod`, which GitHub keeps from the
    workflows of pull requests; theirs is one of the environment `ci`. repository: owner/name; None
    for that of the folder. branch: the one that deploys, and may use the environment with the
    repository's default branch; None where every branch may.
    """

    environment: str
    repository: str | None
    branch: str | None = None
    name: str = KEY

    def __str__(self) -> str:
        return f"{self.name} of the environment {self.environment}"

    @property
    def _repository(self) -> str:
        return self.repository or HERE

    def by_hand(self, file: Path) -> str:
        """Setting the secret in a shell; openssl takes a passphrase off, and asks for it."""
        command = gh.secret_command(self.name, self.environment, self.repository)
        return f"openssl pkcs8 -in {shlex.quote(str(file))} | {shlex.join(command)}"

    def set(self, tool: Gh, value: bytes, say: Callable[[str], None]) -> None:
        """Closes the environment, then puts the key in. Raises MeshError where GitHub does not have
        it then."""
        tool.check()
        self.close(tool, say)
        tool.set_secret(self.name, self.environment, self.repository, value)

    def close(self, api: Api, say: Callable[[str], None]) -> None:
        """Sees to it that only the branch that deploys can use the environment; says what it did.

        Raises MeshError where every branch can, and that could not be changed.
        """
        try:
            found = environments.read(api, self._repository, self.environment)
            repository = environments.read_repository(api, self._repository)
        except Refused as error:
            say(
                f"note        the environment {self.environment} could not be read ({error}) and "
                "stays as it is: see Settings, Environments for the branches that may use it"
            )
            return
        if self.branch is None:
            if found is None:
                environments.make(api, self._repository, self.environment)
            return
        self._close_to(self.branch, api, found, repository, say)

    def _close_to(
        self,
        branch: str,
        api: Api,
        found: Environment | None,
        repository: Repository,
        say: Callable[[str], None],
    ) -> None:
        allowed = environments.allowed_branches(branch, repository.default_branch)
        match environments.closing(found, allowed):
            case Closing.NOTHING:
                return
            case Closing.LEFT:
                assert found is not None
                strangers = ", ".join(found.strangers(allowed))
                reviewed = f"; {', '.join(found.reviewers)} approve" if found.reviewers else ""
                say(
                    f"note        {strangers} can use the environment {self.environment}, too"
                    f"{reviewed}: it has rules of your own, so it stays as it is (Settings, "
                    "Environments)"
                )
            case Closing.CREATE | Closing.LIMIT:
                try:
                    environments.restrict(api, self._repository, self.environment, allowed)
                except MeshError as error:
                    raise MeshError(self._left_open(branch, repository, error)) from None
                say(f"environment {self.environment}: only {' and '.join(allowed)} may deploy")

    def _left_open(self, branch: str, repository: Repository, error: MeshError) -> str:
        plan = (
            ""
            if repository.is_public
            else " (a private repository has such limits from GitHub Pro and Team on, none on Free)"
        )
        return (
            f"every branch could use the environment {self.environment}, which could not be "
            f"limited to {branch}: {terminal.line(str(error))}{plan}. See to it in "
            "Settings, Environments, or have an administrator of the repository run this"
        )
