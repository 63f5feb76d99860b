"""Finds workflows that GitHub has disabled. Standard library only.

In a public repository it disables workflows with a schedule once nothing has happened there for 60
days, and a commit does not enable them again:
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule
https://docs.github.com/en/rest/actions/workflows#list-repository-workflows
"""

from __future__ import annotations

from enum import StrEnum

from dbtmesh.ci.github.rest import Api, pages, understood


class State(StrEnum):
    """The states of workflows that GitHub has disabled, not a person."""

    INACTIVITY = "disabled_inactivity"
    FORK = "disabled_fork"


def switched_off(api: Api, repository: str) -> list[str]:
    """Returns the files of the disabled workflows, without their folder.

    The token needs `actions: read`. Raises MeshError.
    """
    path = f"/repos/{repository}/actions/workflows"
    workflows = [*pages(api, path, "workflows")]
    with understood(f"GET {path}"):
        return [
            str(each["path"]).rpartition("/")[2]
            for each in workflows
            if each.get("state") in list(State)
        ]
