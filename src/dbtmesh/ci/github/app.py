"""Signs in as a GitHub App, with a token for each repository that is valid nowhere else.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from dbtmesh import MeshError
from dbtmesh.ci.github import rest
from dbtmesh.ci.github.rest import GitHub

CLIENT_ID, PRIVATE_KEY = "MESH_APP_CLIENT_ID", "MESH_APP_PRIVATE_KEY"
SKEW, LIFE = 60, 540
"""Seconds before and after now for which the App's signature is valid. Clocks differ, and GitHub
accepts ten minutes at most."""


class BadApp(MeshError):
    """The App itself is at fault, for all repositories."""


class NoToken(rest.Refused):
    """The App is not installed in a repository, or lacks a permission there."""


@dataclass(frozen=True)
class App:
    """A GitHub App. private_key: in PEM form; it is never part of a message."""

    url: str
    client_id: str
    private_key: str = field(repr=False)

    def acting_in(self, repository: str, permission: str) -> GitHub:
        """Returns the API with a token that is valid for an hour, for one repository and one
        permission, to write.

        Raises NoToken, BadApp, MeshError.
        """
        api = GitHub(self.url, self._signed(), "the App's signature")
        owner, _, name = repository.partition("/")
        try:
            found = api.get(f"/repos/{owner}/{name}/installation")
            only = {"repositories": [name], "permissions": {permission: "write"}}
            path = f"/app/installations/{int(found['id'])}/access_tokens"
            # A second token does no harm.
            token = str(api.post(path, only, repeatable=True)["token"])
        except rest.Refused as error:
            if error.status == 401:
                raise BadApp(
                    f"{PRIVATE_KEY} is not the key of the App {CLIENT_ID}, or this machine's clock "
                    f"is wrong ({error})"
                ) from None
            raise NoToken(str(error), error.status, error.limited) from None
        except (KeyError, TypeError, ValueError):
            raise MeshError(f"GitHub gives no token for {repository}: try again later") from None
        return GitHub(self.url, token, "the App")

    def _signed(self) -> str:
        import jwt

        now = int(time.time())
        claims = {"iss": self.client_id, "iat": now - SKEW, "exp": now + LIFE}
        try:
            return jwt.encode(claims, self.private_key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            raise BadApp(
                f"{PRIVATE_KEY} is not a private key in PEM form (-----BEGIN RSA PRIVATE KEY-----)"
            ) from None


def from_environment() -> App | None:
    """Returns the App that $MESH_APP_CLIENT_ID names, with the key $MESH_APP_PRIVATE_KEY. None
    where there is no App yet.

    Raises MeshError.
    """
    client_id = os.environ.get(CLIENT_ID, "").strip()
    # The key may be on one line, as the action create-github-app-token accepts it, too.
    private_key = os.environ.get(PRIVATE_KEY, "").replace("\\n", "\n").strip()
    if not client_id:
        return None
    if not client_id.isprintable() or not client_id.isascii():
        raise MeshError(f"{CLIENT_ID} is not a client id: one line of plain text")
    if not private_key:
        raise MeshError(f"{PRIVATE_KEY} is not set: the App's key is a secret of that name")
    return App(rest.api_url(), client_id, private_key)
