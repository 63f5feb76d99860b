"""Run a command with a token of GitHub Actions that Snowflake accepts, in $SNOWFLAKE_TOKEN.

  python -m dbtmesh with-snowflake-token dbt build --target prod

The token is fetched right before the command starts, so put this before each `dbt`. It is valid for
about five minutes; a session that is open by then goes on without it. dbt signs in once for each
thread, when that thread first has something to do. A thread that is first needed after the five
minutes cannot sign in, nor can one that has lost its connection. `dbt retry`, with its own token,
builds what is missing. A build where that happens often needs fewer `threads`, or the answer
auth=key_pair. The mesh's own scripts fetch a token whenever they sign in.

The job needs `permissions: id-token: write`. Outside of GitHub Actions, the command runs unchanged.
It ends with the command's exit status.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dbtmesh import MeshError, flags
from dbtmesh.ci.github import job, oidc
from dbtmesh.snowflake import session as snowflake


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("command", help="what to run, with its arguments")
    command = list(words)
    if not command or command[0] in ("-h", "--help"):
        parser.parse_args(command)
    if job.is_here():
        # dbt takes the one token of its profile for all sign-ins:
        # https://github.com/dbt-labs/dbt-adapters/issues/2030
        os.environ["SNOWFLAKE_TOKEN"] = oidc.identity_token(snowflake.AUDIENCE)
    become(command)


def become(command: Sequence[str]) -> NoReturn:
    """Runs the command in place of this one. Raises MeshError where it cannot."""
    if command[0].endswith(".py"):
        command = [sys.executable, *command]
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - it becomes the command
    except OSError as error:
        raise MeshError(f"{command[0]}: {error.strerror}") from None
