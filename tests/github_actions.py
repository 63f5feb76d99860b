"""GitHub Actions in the stand-in for GitHub's API (tests/github_api.py).

It decides which event starts which workflow, and runs the jobs of the conformance run's workflows.
The sources of the rules are in tests/github_rules.py. It runs the steps that it knows (`true`,
`gh api`, an upload of an artifact) at once, and raises an error for others. tests/workflow_world.py
runs the workflows of members, by act.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.github_environments import Refused

if TYPE_CHECKING:
    from tests.github_api import GitHubApi, Repository, Token

BOT = "github-actions[bot]"
FOLDER = ".github/workflows/"
_ALWAYS_START = ("repository_dispatch", "workflow_dispatch")


@dataclass
class Workflow:
    """A workflow file of a repository, on a branch.

    inputs: those of its workflow_dispatch; None if it has no such trigger.
    state: `active`, or why GitHub does not run it.
    events, jobs: those of the file, if there is one.
    """

    branch: str = "main"
    inputs: tuple[str, ...] | None = None
    state: str = "active"
    events: Mapping[str, Any] = field(default_factory=dict)
    jobs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, branch: str) -> Workflow:
        given = yaml.safe_load(text)
        events = given[True]  # the key `on`, which YAML 1.1 reads as true
        dispatch = events.get("workflow_dispatch", {}) or {}
        inputs = tuple(dispatch.get("inputs", ())) if "workflow_dispatch" in events else None
        return cls(branch, inputs, "active", events, given["jobs"])

    def listens(self, event: str, kind: str, branch: str) -> bool:
        """Checks whether an event starts it. kind: the type of a repository_dispatch."""
        if event not in self.events or self.state != "active":
            return False
        given = self.events[event] or {}
        kinds = given.get("types", [kind]) if event == "repository_dispatch" else [kind]
        return kind in kinds and branch in given.get("branches", [branch])


@dataclass
class Actions:
    """Runs workflows of a repository."""

    api: GitHubApi
    name: str
    repository: Repository

    def happened(self, event: str, by: str, branch: str, kind: str = "") -> None:
        """Starts the workflows that listen to an event. by: the login of the user who caused it."""
        for file, workflow in self.repository.workflows.items():
            if not workflow.listens(event, kind, branch):
                continue
            if by != BOT or event in _ALWAYS_START:
                self.start(file, event, branch)
            elif event == "pull_request" and self.repository.settings.their_pulls_wait:
                self._note(file, event, branch, "action_required")

    def start(self, file: str, event: str, branch: str) -> int:
        """Runs a workflow to its end. Returns the number of the run."""
        number = self._note(file, event, branch, None)
        self._jobs(self.repository.runs[file][0], self.repository.workflows[file])
        return number

    def again(self, number: int) -> None:
        file, run = self.find(number)
        self.repository.attempts[number, run["run_attempt"]] = dict(run)
        run["run_attempt"] += 1
        self._jobs(run, self.repository.workflows[file])

    def find(self, number: int) -> tuple[str, dict[str, Any]]:
        for file, runs in self.repository.runs.items():
            for run in runs:
                if run["id"] == number:
                    return file, run
        raise Refused(404, "Not Found")

    def _note(self, file: str, event: str, branch: str, conclusion: str | None) -> int:
        number = self.api.number()
        facts = {"event": event, "path": FOLDER + file, "head_branch": branch}
        self.repository.run(file, number, conclusion, **facts)
        return number

    def _jobs(self, run: dict[str, Any], workflow: Workflow) -> None:
        jobs: dict[str, str] = {}
        for name, job in workflow.jobs.items():
            needed = job.get("needs", [])
            waits = [needed] if isinstance(needed, str) else needed
            if "if" not in job and any(jobs[each] != "success" for each in waits):
                jobs[name] = "skipped"
            else:
                jobs[name] = "success" if self._job(run, job) else "failure"
        listed = [{"name": name, "conclusion": ended} for name, ended in jobs.items()]
        self.repository.jobs[run["id"]] = listed
        run["status"] = "completed"
        run["conclusion"] = "failure" if "failure" in jobs.values() else "success"

    def _job(self, run: dict[str, Any], job: Mapping[str, Any]) -> bool:
        if named := job.get("environment"):
            environment = named if isinstance(named, str) else named["name"]
            settings = self.repository.settings
            settings.job_names(environment)
            if isinstance(named, str) or named.get("deployment", True):
                made = {"id": self.api.number(), "environment": environment}
                self.repository.deployments.append(made)
            if not settings.may_use(environment, run["head_branch"]):
                return False
        token = self.api.job_token(self.name, job.get("permissions", {}))
        return all(self._step(run, step, token) for step in job["steps"])

    def _step(self, run: dict[str, Any], step: Mapping[str, Any], token: Token) -> bool:
        if step.get("uses", "").startswith("actions/upload-artifact@"):
            self._upload(run, step["with"]["name"])
            return True
        for line in step["run"].splitlines():
            words = shlex.split(line.replace("$GITHUB_REPOSITORY", self.name))
            if words[:2] == ["gh", "api"]:
                if self._send(words[2:], token) >= 300:
                    return False
            elif words[:1] not in (["true"], ["echo"]):
                raise AssertionError(f"the stand-in does not run {line!r}")
        return True

    def _send(self, words: Sequence[str], token: Token) -> int:
        method, path, body = "GET", "", {}
        given = iter(words)
        for word in given:
            if word == "--method":
                method = next(given)
            elif word == "--raw-field":
                key, _, value = next(given).partition("=")
                body[key] = value
            else:
                path = f"/{word}"
        return self.api.asked_by(token, method, path, body or None)

    def _upload(self, run: dict[str, Any], name: str) -> None:
        """Uploads an artifact. All attempts of a run share its artifacts."""
        self.repository.artifacts.setdefault(run["id"], []).append(name)
