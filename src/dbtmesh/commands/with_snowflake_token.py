"""Run a command with a token of GitHub Actions that Snowflake takes, in $SNOWFLAKE_TOKEN.

  python -m dbtmesh with-snowflake-token dbt build --target prod

The token lives for about five minutes. dbt signs in once for each thread, when that one first has
something to do, and again after a lost connection: so dbt runs in this process, and each of its
sign-ins asks GitHub for a token of its own. Scripts ask when they sign in; any other command has
the token it started with. The job needs `permissions: id-token: write`. Elsewhere than in GitHub
Actions the command runs as it is. It ends with the command's exit status.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dbtmesh import MeshError, cli
from dbtmesh.ci import github
from dbtmesh.snowflake import session as snowflake

YOUNG = 60
"""Seconds for which a token may be used again: many threads start at about the same time."""


class Tokens:
    """The token at hand while it is young, else another. For any number of threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._token, self._asked = "", 0.0

    def get(self) -> str:
        """Raises MeshError."""
        with self._lock:
            now = self._clock()
            if not self._token or now - self._asked >= YOUNG:
                self._token, self._asked = github.identity_token(snowflake.AUDIENCE), now
            return self._token


def main(words: Sequence[str], root: Path) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("command", help="what to run, with its arguments")
    command = list(words)
    if not command or command[0] in ("-h", "--help"):
        parser.parse_args(command)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        tokens = Tokens()
        os.environ["SNOWFLAKE_TOKEN"] = tokens.get()
        if command[0] == "dbt" and (dbt := dbt_that_asks(tokens)):
            run_here(dbt, command)
    become(command)


def become(command: Sequence[str]) -> NoReturn:
    """Runs the command in place of this one. Raises MeshError where it cannot."""
    if command[0].endswith(".py"):
        command = [sys.executable, *command]
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - it becomes the command
    except OSError as error:
        raise MeshError(f"{command[0]}: {error.strerror}") from None


def dbt_that_asks(tokens: Tokens) -> Callable[[], Any] | None:
    """dbt's command line, whose sign-ins to Snowflake ask for a token each; None, and a note, where
    the dbt that is installed has no place for that.

    dbt itself takes the one token of the profile for all:
    https://github.com/dbt-labs/dbt-adapters/issues/2030
    """
    try:
        dbt: Callable[[], Any] = importlib.import_module("dbt.cli.main").cli
        adapter = importlib.import_module("dbt.adapters.snowflake.connections")
        sign_in = adapter.SnowflakeCredentials.auth_args
    except (ImportError, AttributeError) as error:
        missing = " ".join(str(error).split())
        cli.note(f"dbt signs in with one token only, which lives five minutes ({missing})")
        return None

    @functools.wraps(sign_in)
    def auth_args(credentials: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = sign_in(credentials)
        if str(arguments.get("workload_identity_provider")).upper() == "OIDC":
            arguments["token"] = tokens.get()
        return arguments

    adapter.SnowflakeCredentials.auth_args = auth_args
    return dbt


def run_here(dbt: Callable[[], Any], command: list[str]) -> NoReturn:
    """As the program `dbt` does it."""
    sys.argv = command
    sys.exit(dbt())
