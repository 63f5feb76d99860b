"""Reads how earlier runs of a workflow ended. Standard library only."""

from __future__ import annotations

import os
from enum import StrEnum

from dbtmesh.ci.github import job, rest


class Conclusion(StrEnum):
    """How a run, or a job of one, ended. Conclusions that no code here decides on are left out.

    https://docs.github.com/en/rest/actions/workflow-runs
    """

    SUCCESS = "success"
    FAILURE = "failure"
    TIMED_OUT = "timed_out"
    STARTUP_FAILURE = "startup_failure"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_bad(self) -> bool:
        return self in (Conclusion.FAILURE, Conclusion.TIMED_OUT, Conclusion.STARTUP_FAILURE)

    @property
    def tells(self) -> bool:
        """Whether it tells how the deployed branch is. A run that was cancelled does not."""
        return self is Conclusion.SUCCESS or self.is_bad


def conclusion(text: str | None) -> Conclusion | None:
    """Parses a conclusion; None for a run that has not ended, or for one that is left out."""
    return Conclusion(text) if text in list(Conclusion) else None


def own_workflow() -> str:
    """Returns the file of the workflow that this runs in; `deploy.yml` outside of a workflow."""
    named = os.environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return named.rpartition("/")[2] or "deploy.yml"


def before_this(workflow: str) -> Conclusion | None:
    """Returns how the latest earlier attempt of this run ended, or else the run of `workflow`
    before it.

    Runs that were cancelled or skipped are passed over. None where there is no earlier run. Raises
    MeshError.
    """
    api, repository = rest.from_environment(), job.repository()
    run = int(os.environ.get("GITHUB_RUN_ID") or 0)
    for attempt in range(int(os.environ.get("GITHUB_RUN_ATTEMPT") or 1) - 1, 0, -1):
        path = f"/repos/{repository}/actions/runs/{run}/attempts/{attempt}"
        answer = api.get(path)
        with rest.understood(f"GET {path}"):
            found = conclusion(answer.get("conclusion"))
        if found and found.tells:
            return found
    path = f"/repos/{repository}/actions/workflows/{workflow}/runs"
    answer = api.get(path, status="completed", per_page=50)
    with rest.understood(f"GET {path}"):
        for each in answer["workflow_runs"]:
            found = conclusion(each["conclusion"])
            if each["id"] < run and found and found.tells:
                return found
    return None
