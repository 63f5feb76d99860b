"""Reads what GitHub Actions says about the job that this runs in.

https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from dbtmesh import MeshError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_VARIABLE = "GITHUB_TOKEN"  # noqa: S105
"""The variable that holds the job's token, if the step gets one."""
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


def is_here() -> bool:
    """Checks whether this runs in a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def has_identity() -> bool:
    """Checks whether this job may ask for a token that identifies it. `oidc` fetches the token."""
    return bool(os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"))


def has_summary() -> bool:
    """Checks whether the step has a summary, which `workflow_commands.summarise` writes."""
    return bool(os.environ.get("GITHUB_STEP_SUMMARY"))


def has_token() -> bool:
    """Checks whether the step has a token for GitHub's API, which `rest` uses."""
    return bool(os.environ.get(TOKEN_VARIABLE))


def repository() -> str:
    """Returns the repository of this workflow. Raises MeshError outside of a workflow."""
    named = named_repository() or ""
    if not REPOSITORY.fullmatch(named):
        raise MeshError("GITHUB_REPOSITORY does not name a repository (owner/name)")
    return named


def named_repository() -> str | None:
    """Returns the same as `repository`, but unchecked; None outside of a workflow."""
    return os.environ.get("GITHUB_REPOSITORY") or None


def commit(root: Path) -> str | None:
    """Returns the commit that a workflow has checked out in `root`; None outside of a workflow."""
    event = event_commit()
    if not event:
        return None
    import subprocess  # loads much

    command = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return event
    return done.stdout.strip()


def event_commit() -> str | None:
    """Returns the commit of the event; None outside of a workflow.

    The job may have checked out another one: the event of a schedule has that of the default
    branch, and a run that is run again has that of its first attempt.
    """
    return os.environ.get("GITHUB_SHA") or None


def pull_request() -> int | None:
    """Returns the number of the pull request whose workflow this is; None in other workflows."""
    found = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", os.environ.get("GITHUB_REF", ""))
    return int(found[1]) if found else None


def is_of_pull_request() -> bool:
    """Checks whether a pull request started the workflow."""
    return os.environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request")


def actor() -> str | None:
    """Returns the login of whoever started the run; None outside of a workflow."""
    return os.environ.get("GITHUB_ACTOR")


def server() -> str:
    """Returns the address of GitHub, or of the Enterprise Server that runs the workflow."""
    return os.environ.get("GITHUB_SERVER_URL") or "https://github.com"


def run_url() -> str | None:
    """Returns the page of this workflow's run; None outside of a workflow."""
    run, named = os.environ.get("GITHUB_RUN_ID"), named_repository()
    return f"{server()}/{named}/actions/runs/{run}" if run and named else None
