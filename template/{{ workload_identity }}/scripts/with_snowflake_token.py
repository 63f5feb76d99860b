#!/usr/bin/env python3
"""Run a command with a token of GitHub Actions that Snowflake takes, in $SNOWFLAKE_TOKEN.

  scripts/with_snowflake_token.py dbt build --target prod

The token lives for about five minutes, and dbt signs in with it once, at its start: so each command
gets one of its own. The job needs `permissions: id-token: write`. Elsewhere than in GitHub Actions
the command runs as it is. It ends with the command's exit status.
"""

from __future__ import annotations

import os
import sys

from mesh import MeshError, cli, github

AUDIENCE = "snowflakecomputing.com"
"""What Snowflake expects in a token of an OIDC issuer unless a user is told another:
https://docs.snowflake.com/en/user-guide/workload-identity-federation"""


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("command", help="what to run, with its arguments")
    command = sys.argv[1:]
    if not command or command[0] in ("-h", "--help"):
        parser.parse_args(command)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        os.environ["SNOWFLAKE_TOKEN"] = token()
        print(f"::add-mask::{os.environ['SNOWFLAKE_TOKEN']}", flush=True)
    if command[0].endswith(".py"):
        command = [sys.executable, *command]
    try:
        os.execvp(command[0], command)  # noqa: S606 - it becomes the command
    except OSError as error:
        raise MeshError(f"{command[0]}: {error.strerror}") from None


def token() -> str:
    """One of GitHub's for this job. Raises MeshError."""
    url = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    if not url:
        raise MeshError("GitHub gives this job no token: it needs `permissions: id-token: write`")
    github.check_url("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    issuer = github.GitHub(url, os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""))
    return str(issuer.get(f"&audience={AUDIENCE}")["value"])


if __name__ == "__main__":
    cli.run(main)
