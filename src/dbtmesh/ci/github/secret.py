"""Stores the key that CI signs in with as a secret of a GitHub environment, and closes that
environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.ci.github import environments, gh
from dbtmesh.ci.github.environments import Closing, Environment, Repository
from dbtmesh.ci.github.gh import HERE, Gh
from dbtmesh.ci.github.rest import Api, Refused
from dbtmesh.config import GITHUB
from dbtmesh.output import terminal

KEY = "SNOWFLAKE_PRIVATE_KEY"


@dataclass(frozen=True)
class Place:
    """Where GitHub keeps the key of a user that CI signs in as.

    The key that deploys is a secret of the environment `prod`, which workflows of pull requests
    cannot use. Their key is a secret of the environment `ci`. repository: owner/name; None for that
    of the folder. branch: the one that deploys. Only this one and the repository's default branch
    may use the environment; None where every branch may. server: GitHub's host name.
    """

    environment: str
    repository: str | None
    branch: str | None = None
    name: str = KEY
    server: str = GITHUB

    def __str__(self) -> str:
        return f"{self.name} of the environment {self.environment}"

    @property
    def _repository(self) -> str:
        return self.repository or HERE

    @property
    def settings(self) -> str:
        """The page on which people limit environments."""
        if self.repository is None:
            return "Settings, Environments"
        return f"https://{self.server}/{self.repository}/settings/environments"

    def by_hand(self, file: Path) -> str:
        """Returns the shell command that sets the secret. openssl asks for the key's passphrase,
        and removes it."""
        command = gh.secret_command(self.name, self.environment, self.repository)
        return f"openssl pkcs8 -in {shlex.quote(str(file))} | {shlex.join(command)}"

    def set(self, tool: Gh, value: bytes, say: Callable[[str], None]) -> None:
        """Closes the environment, then stores the key in it. Raises MeshError where GitHub has not
        stored it."""
        self.close_by(tool, say)
        tool.set_secret(self.name, self.environment, self.repository, value)

    def close_by(self, tool: Gh, say: Callable[[str], None]) -> None:
        """Calls `close` as the person who is signed in here.

        Raises MeshError as `close` does, and where nobody is signed in.
        """
        try:
            tool.check()
        except MeshError as error:
            if self.branch is None or self.repository is None:
                raise
            raise MeshError(
                f"{error}, so who can use {self._where} is not known: limit it to {self.branch} "
                "and the default branch first"
            ) from None
        self.close(tool, say)

    def close(self, api: Api, say: Callable[[str], None]) -> None:
        """Ensures that only the branch that deploys can use the environment, and says what it did.

        Raises MeshError where that cannot be read. Raises MeshError where others can use it, too,
        unless the team has accepted that.
        """
        try:
            found = environments.read(api, self._repository, self.environment)
            repository = environments.read_repository(api, self._repository)
        except Refused as error:
            if self.branch is None:
                return
            raise MeshError(
                f"who can use {self._where} could not be read ({error}): is the repository there, "
                "and may you see its settings?"
            ) from None
        if self.branch is None:
            if found is None:
                environments.make(api, self._repository, self.environment)
            return
        allowed = environments.allowed_branches(self.branch, repository.default_branch)
        try:
            if self._close_to(allowed, api, found, repository):
                say(f"environment {self.environment}: only {' and '.join(allowed)} may deploy")
        except MeshError as error:
            if not environments.is_accepted(api, self._repository):
                raise
            say(f"note        {error}; that is accepted ({environments.OPEN})")

    def _close_to(
        self,
        allowed: Sequence[str],
        api: Api,
        found: Environment | None,
        repository: Repository,
    ) -> bool:
        """Closes the environment if it is open, and returns whether it was. Raises MeshError where
        it stays open."""
        match environments.closing(found, allowed):
            case Closing.NOTHING:
                return False
            case Closing.LEFT:
                assert found is not None
                strangers = ", ".join(found.strangers(allowed))
                reviewed = (
                    f" once {' or '.join(found.reviewers)} approve" if found.reviewers else ""
                )
                raise MeshError(
                    f"{strangers} can use {self._where}, too{reviewed}: it has rules of your own, "
                    f"so it stays as it is. Limit it to {' and '.join(allowed)} there, or set the "
                    f"variable {environments.OPEN} of the repository to {environments.ACCEPTED}"
                )
            case Closing.CREATE | Closing.LIMIT:
                try:
                    environments.restrict(api, self._repository, self.environment, allowed)
                except MeshError as error:
                    raise MeshError(self._left_open(allowed, repository, error)) from None
                return True

    @property
    def _where(self) -> str:
        return f"the environment {self.environment} ({self.settings})"

    def _left_open(self, allowed: Sequence[str], repository: Repository, error: MeshError) -> str:
        plan = (
            ""
            if repository.is_public
            else " (a private repository has such limits from GitHub Pro and Team on, none on Free)"
        )
        return (
            f"every branch could use {self._where}, which could not be limited to "
            f"{' and '.join(allowed)}: {terminal.line(str(error))}{plan}. Limit it there, or have "
            "an administrator of the repository run this"
        )
