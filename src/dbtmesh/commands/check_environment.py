"""Fail if branches other than the one that deploys can use the environment.

  python -m dbtmesh check-environment --environment prod --branch main

It asks GitHub which branches may use the environment, with $GITHUB_TOKEN (permissions actions: read
and contents: read). A job that names an environment which does not exist makes it, open to every
branch. So the deploy workflow runs this command first, in a job of its own that names none.

If the variable $MESH_OPEN_ENVIRONMENT is `accepted`, findings are only warnings. That is for a
private repository on a plan that cannot close an environment. $MESH_APP_ENVIRONMENT names a second
environment to check, which keeps the key of the App that tells readers, if there is one.

In GitHub Actions it sets the output `visibility` to that of the repository. It warns of workflows
that GitHub has switched off because nothing happened in the repository for 60 days.

It needs only Python's standard library.

Exit status: 0 it is closed, or cannot be read, which is a warning; 1 it failed; 2 it is open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dbtmesh import cli, flags
from dbtmesh.ci.github import environments, job, protection, rest, workflow_commands
from dbtmesh.ci.github.disabled_workflows import switched_off


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("--environment", required=True, type=flags.given, metavar="E")
    parser.add_argument("--branch", required=True, type=flags.given, help="the one that deploys")
    arguments = parser.parse_args(words)
    tell_switched_off()
    names = dict.fromkeys((arguments.environment, os.environ.get("MESH_APP_ENVIRONMENT")))
    open_ones = [name for name in names if name and not is_closed(name, arguments.branch)]
    return cli.FOUND if open_ones and not is_accepted() else cli.OK


def tell_switched_off() -> None:
    """Warns of workflows that GitHub has disabled. Raises MeshError."""
    try:
        files = switched_off(rest.from_environment(), job.repository())
    except rest.Refused as error:
        workflow_commands.warning(f"whether GitHub has switched workflows off is unknown: {error}")
        return
    for file in files:
        workflow_commands.warning(
            f"GitHub has switched {file} off, as it does in a public repository after 60 days "
            f"without a change: `gh workflow enable {file}`"
        )


def is_closed(environment: str, branch: str) -> bool:
    """Checks whether only the branch can use the environment, and prints what it finds.

    If GitHub does not tell, that is a warning, and the environment counts as closed. Raises
    MeshError.
    """
    try:
        found = protection.look(
            rest.from_environment(), job.repository(), environment, branch, secrets=False
        )
    except rest.Refused as error:
        workflow_commands.warning(f"who can use the environment {environment} is unknown: {error}")
        return True
    workflow_commands.output(visibility=found.repository.visibility)
    problems = list(found.problems)
    if not problems:
        cli.say(*found.lines)
    for line in problems:
        (workflow_commands.warning if is_accepted() else workflow_commands.error)(line)
    return not problems


def is_accepted() -> bool:
    return os.environ.get(environments.OPEN) == environments.ACCEPTED
