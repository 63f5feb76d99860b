"""Reads what GitHub Actions says of the job that this runs in.

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
"""It holds the job's token, where a step gets one."""
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


def is_here() -> bool:
    """Does this run in a job of GitHub Actions?"""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def has_identity() -> bool:
    """May this job ask for a token that tells others which job it is? `oidc` fetches it."""
    return bool(os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"))


def has_summary() -> bool:
    """Does the step have a summary, which `workflow_commands.summarise` writes?"""
    return bool(os.environ.get("GITHUB_STEP_SUMMARY"))


def has_token() -> bool:
    """Did the step get a token for GitHub's API, which `rest` takes?"""
    return bool(os.environ.get(TOKEN_VARIABLE))


def repository() -> str:
    """The repository of the workflow that this runs in. Raises MeshError outside of one."""
    named = named_repository() or ""
    if not REPOSITORY.fullmatch(named):
        raise MeshError("GITHUB_REPOSITORY names no repository (owner/name)")
    return named


def named_repository() -> str | None:
    """As `repository`, unchecked; None outside of a workflow."""
    return os.environ.get("GITHUB_REPOSITORY") or None


def commit(root: Path) -> str | None:
    """The commit that a workflow has checked out in `root`; None outside of a workflow."""
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
    """The commit of the event: of the default branch, or of a run that is run again."""
    return os.environ.get("GITHUB_SHA") or None


def pull_request() -> int | None:
    """Number of the pull request whose workflow this runs in; None in any other."""
    found = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", os.environ.get("GITHUB_REF", ""))
    return int(found[1]) if found else None


def is_of_pull_request() -> bool:
    """Did a pull request start the workflow?"""
    return os.environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request")


def actor() -> str | None:
    """Who started the run."""
    return os.environ.get("GITHUB_ACTOR")


def server() -> str:
    """The address of GitHub, or of the Enterprise Server that runs the workflow."""
    return os.environ.get("GITHUB_SERVER_URL") or "https://github.com"


def run_url() -> str | None:
    """The page of the workflow run that this is part of; None outside of one."""
    run, named = os.environ.get("GITHUB_RUN_ID"), named_repository()
    return f"{server()}/{named}/actions/runs/{run}" if run and named else None
