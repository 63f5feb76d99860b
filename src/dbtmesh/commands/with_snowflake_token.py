"""Run a command with a token of GitHub Actions that Snowflake accepts, in $SNOWFLAKE_TOKEN.

  python -m dbtmesh with-snowflake-token dbt build --target prod

Each command gets a token of its own, right before it starts, so put it before each `dbt`. The token
lives for about five minutes, and a session lives on without it. dbt signs in once for each thread,
when that one first has something to do: a thread that is first needed later than that cannot, nor
can one that has lost its connection. `dbt retry`, with a token of its own, builds what is missing;
a build where that happens often needs fewer `threads`, or the answer auth=key_pair. Scripts ask
when they sign in.

The job needs `permissions: id-token: write`. Elsewhere than in GitHub Actions the command runs as
it is. It ends with the command's exit status.
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
