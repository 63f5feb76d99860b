"""Signs in to Snowflake and runs statements."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbtmesh import MeshError, installed
from dbtmesh.ci.github import job
from dbtmesh.output.words import one_line
from dbtmesh.snowflake.names import names_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from snowflake.connector import SnowflakeConnection

    from dbtmesh.config import Member

SIGNING_IN = {
    "login_timeout": 60,
    "network_timeout": 120,
    "platform_detection_timeout_seconds": 0.0,
}
"""Seconds. By default, the connector retries for much longer. It also finds out at each sign-in in
which cloud it runs, and tells Snowflake; 0 turns that off (see its release notes)."""
AUDIENCE = "snowflakecomputing.com"
"""The audience that Snowflake expects in an OIDC token, unless a user is set up with another:
https://docs.snowflake.com/en/user-guide/workload-identity-federation"""

MISSING, INSUFFICIENT = frozenset({2003, 2043}), 3001
"""Snowflake's errors "does not exist or not authorized" and "insufficient privileges"."""

Row = Mapping[str, str]

# Environment variables, and the connector's parameters that they set.
ENVIRONMENT = {
    "SNOWFLAKE_ACCOUNT": "account",
    "SNOWFLAKE_USER": "user",
    "SNOWFLAKE_PASSWORD": "password",
    "SNOWFLAKE_AUTHENTICATOR": "authenticator",
    "SNOWFLAKE_TOKEN": "token",
    "SNOWFLAKE_PASSCODE": "passcode",
    "SNOWFLAKE_HOST": "host",
    "SNOWFLAKE_PORT": "port",
    "SNOWFLAKE_PROTOCOL": "protocol",
}


class Refused(MeshError):
    """Snowflake refused a statement. number: its error number."""

    def __init__(self, message: str, number: int | None) -> None:
        super().__init__(message)
        self.number = number

    @property
    def is_missing(self) -> bool:
        """Whether the object does not exist, or the role may not see it."""
        return self.number in MISSING

    @property
    def is_denied(self) -> bool:
        """Whether the role lacks a privilege. Snowflake says that an object does not exist if the
        role may not see it."""
        return self.is_missing or self.number == INSUFFICIENT


class Session:
    """A connection that switches roles, and uses no secondary roles.

    `sent` counts the statements, because round trips take most of the time here.
    """

    def __init__(self, connection: SnowflakeConnection, name: str) -> None:
        self._cursor = connection.cursor()
        self._connection = connection
        self._role = ""
        self.name = name
        self.sent = 0
        self._run("USE SECONDARY ROLES NONE")

    @property
    def user(self) -> str:
        return str(self._connection.user)

    @property
    def role(self) -> str:
        """The current role."""
        return str(self._connection.role)

    @property
    def reach(self) -> dict[str, Any]:
        """The connection parameters of this account, for a sign-in as another user."""
        names = ("account", "host", "port", "_protocol")
        return {name.strip("_"): getattr(self._connection, name) for name in names}

    def use(self, role: str) -> None:
        """Switches to a role. Raises MeshError where the user lacks it, with how to get it."""
        if role == self._role:
            return
        try:
            self._run(f"USE ROLE {role}")
        except Refused:
            raise MeshError(
                f"{self.user} ({self.name}) has no role {role}, which this needs: have somebody "
                f"with ACCOUNTADMIN run GRANT ROLE {role} TO USER {self.user}, or this command"
            ) from None
        self._role = role

    def rows(self, sql: str, role: str = "SECURITYADMIN") -> list[Row]:
        """Runs a statement and returns its rows: column names in lower case, values as text, NULL
        as ''.

        SECURITYADMIN sees every object of an account, because it may manage all grants:
        https://docs.snowflake.com/en/sql-reference/sql/show-objects#usage-notes
        Raises Refused, or MeshError where the role or the connection is missing.
        """
        self.use(role)
        values = self._run(sql)
        names = [column.name.lower() for column in self._cursor.description or ()]
        return [
            {name: _text(value) for name, value in zip(names, row, strict=True)} for row in values
        ]

    def run(self, sql: str, role: str) -> None:
        """Runs a statement. Raises Refused, or MeshError where the role or the connection is
        missing."""
        self.use(role)
        self._run(sql)

    def _run(self, sql: str) -> list[Sequence[Any]]:
        from snowflake.connector.errors import Error, ProgrammingError

        self.sent += 1
        try:
            self._cursor.execute(sql)
            return list(self._cursor.fetchall())
        except ProgrammingError as error:
            raise Refused(_first_lines(error.raw_msg or str(error)), error.errno) from None
        except Error as error:
            raise MeshError(
                f"the connection to Snowflake failed: {_first_lines(str(error))}"
            ) from None

    def close(self) -> None:
        self._connection.close()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _first_lines(message: str) -> str:
    """Returns an error of Snowflake's as one line."""
    return one_line(message, 300)


# ── Connecting ────────────────────────────────────────────────────────────────────────


def is_configured(connection: str | None) -> bool:
    """Checks whether there is a connection to use: a named one, or one in the environment."""
    return bool(
        connection
        or os.environ.get("SNOWFLAKE_DEFAULT_CONNECTION_NAME")
        or os.environ.get("SNOWFLAKE_USER")
    )


def connect(connection: str | None, account: str | None) -> Session:
    """Signs in with a connection of connections.toml, or with what the environment says.

    account: the account in mesh.yml. Raises MeshError, also where the connection is for another
    account.
    """
    opened, name = open_personal(connection, account, {})
    return Session(opened, name)


def open_personal(
    connection: str | None, account: str | None, options: Mapping[str, Any]
) -> tuple[SnowflakeConnection, str]:
    """Signs in like `connect`, and returns the connector's connection and its name for messages.

    options: parameters that override the configured ones. Raises MeshError.
    """
    if not is_configured(connection):
        raise MeshError(
            "no connection to Snowflake: name one of ~/.snowflake/connections.toml in "
            "SNOWFLAKE_DEFAULT_CONNECTION_NAME (or with --connection, where a command has it), or "
            "export SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and how to sign in "
            "(SNOWFLAKE_PRIVATE_KEY_PATH, …)"
        )
    connection = connection or os.environ.get("SNOWFLAKE_DEFAULT_CONNECTION_NAME")
    parameters = {"connection_name": connection} if connection else _from_environment(account)
    name = f"connection {connection}" if connection else "by the environment"
    opened = _sign_in({**parameters, **options}, name)
    found = str(opened.account)
    if account and not can_be_one(found, account):
        opened.close()
        raise MeshError(
            f"{name} is for account {as_host(found)}, and this project is on {account} (mesh.yml): "
            "use another connection, or `copier update --trust --skip-answered --ask "
            "snowflake_account`"
        )
    return opened, name


def as_host(account: str) -> str:
    """Returns an account as its host name spells it, so that two spellings can be compared."""
    return account.upper().replace("_", "-")


def can_be_one(account: str, other: str) -> bool:
    """Checks whether two identifiers can be of the same account.

    A region, cloud or `privatelink` after them is ignored. Only Snowflake knows whether a locator
    and a name are of the same account, so they can be.
    """
    one, another = (each.partition(".")[0] for each in (account, other))
    return as_host(one) == as_host(another) or ("-" in one) != ("-" in another)


def sign_in_with_key(
    user: str, key: RSAPrivateKey, reach: Mapping[str, Any], role: str | None = None
) -> Session:
    """Signs in as a user with one of its keys.

    reach: `reach` of another session, or what `reach_of` returns. role: the role to which the key
    is bound, if it is (ROLE_RESTRICTION): Snowflake refuses any other.
    Raises Refused where Snowflake does not accept the key, and MeshError for any other failure.
    """
    name = f"key of {user}"
    parameters = {**reach, "user": user, "private_key": key}
    parameters |= {"role": role} if role else {}
    return Session(_sign_in(parameters, name), name)


def sign_in_as(member: Member, target: str) -> Session:
    """Signs in as dbt does with a target of profiles.yml, `ci` or `prod`, and uses its role.

    Raises MeshError.
    """
    opened, name = open_as(member, target, {})
    session = Session(opened, name)
    session.use(opened.role or "")
    return session


def open_as(
    member: Member, target: str, options: Mapping[str, Any]
) -> tuple[SnowflakeConnection, str]:
    """Signs in like `sign_in_as`, and returns the connector's connection and its name for messages.

    options: additional parameters. Raises MeshError.
    """
    names = names_of(member)
    user, role = {
        "ci": (names.ci_user.name, names.dev_role.name),
        "prod": (names.service_user.name, names.role.name),
    }[target]
    reach = reach_of(member.snowflake.get("account"))
    if not reach:
        raise MeshError(
            "mesh.yml names no Snowflake account: `copier update --trust --skip-answered "
            "--ask snowflake_account`"
        )
    parameters = {**reach, "user": user, "role": role, "warehouse": names.warehouse.name}
    if member.snowflake.get("auth") == "workload_identity":
        parameters |= {
            "authenticator": "WORKLOAD_IDENTITY",
            "workload_identity_provider": "OIDC",
            "token": _workload_token(),
        }
    else:
        parameters["private_key"] = _key_of(user)
    name = f"{user}, target {target}"
    return _sign_in({**parameters, **options}, name), name


def _workload_token() -> str:
    """Returns a new token in a GitHub job that may request one, else the one in the environment."""
    if job.has_identity():
        from dbtmesh.ci.github import oidc

        return oidc.identity_token(AUDIENCE)
    if token := os.environ.get("SNOWFLAKE_TOKEN"):
        return token
    raise MeshError(
        "SNOWFLAKE_TOKEN is not set, and only a job of GitHub Actions gets one: run this in one, "
        "with python -m dbtmesh with-snowflake-token. On this machine, for example to move a "
        "registry into Snowflake, sign in with a key of the deploys instead: `copier update "
        "--trust --skip-answered --data auth=key_pair`"
    )


def _key_of(user: str) -> RSAPrivateKey:
    """Reads a user's key from $SNOWFLAKE_PRIVATE_KEY, where CI has it, else from its file."""
    from dbtmesh.snowflake.keypair import files, rsa_keys

    passphrase = os.environ.get("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
    if text := os.environ.get("SNOWFLAKE_PRIVATE_KEY", "").strip():
        if "-----" not in text:  # dbt also accepts the base64 alone
            text = f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----"
        return rsa_keys.parse_private(text.encode(), Path("SNOWFLAKE_PRIVATE_KEY"), passphrase)
    named = os.environ.get("SNOWFLAKE_PRIVATE_KEY_PATH")
    file = Path(named).expanduser() if named else files.default_file(user)
    return rsa_keys.parse_private(files.read_private(file), file, passphrase)


def reach_of(account: str | None) -> dict[str, Any]:
    """Returns the connection parameters of the account that the environment names, else of this
    one; {} without any account."""
    names = ("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_HOST", "SNOWFLAKE_PORT", "SNOWFLAKE_PROTOCOL")
    found = {ENVIRONMENT[name]: os.environ[name] for name in names if os.environ.get(name)}
    return {"account": account, **found} if account or "account" in found else {}


def _from_environment(account: str | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        parameter: os.environ[name]
        for name, parameter in ENVIRONMENT.items()
        if os.environ.get(name)
    }
    if account:
        parameters.setdefault("account", account)
    if "account" not in parameters:
        raise MeshError("SNOWFLAKE_ACCOUNT is not set, and mesh.yml names no account: export it")
    if path := os.environ.get("SNOWFLAKE_PRIVATE_KEY_PATH"):
        from dbtmesh.snowflake.keypair import files, rsa_keys

        file = Path(path).expanduser()
        passphrase = os.environ.get("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
        parameters["private_key"] = rsa_keys.parse_private(
            files.read_private(file), file, passphrase
        )
    return parameters


def _sign_in(parameters: dict[str, Any], name: str) -> SnowflakeConnection:
    """Signs in. Raises Refused where Snowflake refuses, and MeshError for any other failure. Each
    message is one line."""
    try:
        import snowflake.connector
        from snowflake.connector.errors import DatabaseError, Error, OperationalError
    except ModuleNotFoundError:
        raise MeshError(
            f"{sys.executable} lacks snowflake-connector-python: `{installed.how()}`"
        ) from None
    try:
        return snowflake.connector.connect(**{**SIGNING_IN, **parameters})
    except Error as error:
        message = f"could not sign in ({name}): {_first_lines(error.msg or str(error))}"
        # OperationalError is a subclass of DatabaseError, but means that there was no answer.
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            raise Refused(message, error.errno) from None
        raise MeshError(message) from None
    except (OSError, TypeError, ValueError) as error:
        # The connector does not catch what reading a key or connections.toml raises.
        raise MeshError(f"could not sign in ({name}): {_first_lines(str(error))}") from None
