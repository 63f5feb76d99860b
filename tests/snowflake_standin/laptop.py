"""A person's machine, as far as it is needed to sign in to Snowflake."""

from __future__ import annotations

import os
from pathlib import Path

from .fixtures import rsa_key
from .model import ADMIN
from .server import PASSWORD, Standin


class Laptop:
    """A home with a connection `admin` to a stand-in, and optionally the keys of service users."""

    def __init__(self, home: Path, standin: Standin) -> None:
        self.home = home
        self.standin = standin
        (home / ".snowflake").mkdir(parents=True)
        self.connection("admin", user=ADMIN, password=PASSWORD, role="ACCOUNTADMIN")

    @property
    def keys(self) -> Path:
        return self.home / ".snowflake/keys"

    def connection(self, name: str, **parameters: object) -> None:
        """Adds a connection. `parameters` override those that lead to the account."""
        file = self.home / ".snowflake/connections.toml"
        with os.fdopen(os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), "a") as text:
            text.write(self.standin.connections_toml(**{name: parameters}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that runs on this machine and finds its connections."""
        return {
            "HOME": str(self.home),
            "SNOWFLAKE_HOME": str(self.home / ".snowflake"),
            # The connector warns of the versions of other packages that are installed here.
            "PYTHONWARNINGS": "ignore",
        }

    def give_keys(self, *users: str) -> None:
        """Does in short what setup_keypair_auth.sh does. For a user that does not exist yet, it
        does the half that needs no account."""
        self.keys.mkdir(mode=0o700, exist_ok=True)
        for user in users:
            key = rsa_key(user)
            file = self.keys / f"{user}.p8"
            with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as text:
                text.write(key.private_pem)
            self.standin.model.execute(
                f"ALTER USER IF EXISTS {user} SET RSA_PUBLIC_KEY = '{key.public}'"
            )
