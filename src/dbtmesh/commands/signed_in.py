"""Run a command with CI's Snowflake credentials: a key, or a token of GitHub Actions.

  python -m dbtmesh signed-in dbt build --target prod

With the answer auth: key_pair, the key is in $SNOWFLAKE_PRIVATE_KEY, and the command is not started
without one. With auth: workload_identity, GitHub Actions is asked for a token
(`with-snowflake-token`). With `--if-possible`, a missing key is a notice and not a failure, as in a
pull request of a repository that is not set up yet.

It ends with the command's exit status.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dbtmesh import MeshError, cli, config, flags
from dbtmesh.ci.github import job, workflow_commands
from dbtmesh.ci.github.secret import KEY
from dbtmesh.commands import with_snowflake_token


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument(
        "--if-possible", action="store_true", help="without a key, run nothing, and say so"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    arguments = parser.parse_args(words)
    if not arguments.command:
        raise MeshError("which command? See python -m dbtmesh signed-in --help")
    member = config.load_member(root)
    if member.snowflake.get("auth") == "workload_identity":
        return with_snowflake_token.main(arguments.command, root)
    if job.is_here() and not os.environ.get(KEY):
        user = member.snowflake.get("ci_user")
        missing = (
            f"this job has no secret {KEY}: ./setup_keypair_auth.sh create sets it for deploys, "
            f"with --user {user} for pull requests"
        )
        if not arguments.if_possible:
            raise MeshError(missing)
        workflow_commands.notice(f"not run on Snowflake: {missing}")
        return cli.OK
    with_snowflake_token.become(arguments.command)
