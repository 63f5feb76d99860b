"""GitHub Actions on this machine: workflows executed by `act`, without containers.

Every `run` step is the real one. Actions of other repositories are stubs: small composite actions
that do what a job needs. `checkout` clones the repository at the given ref. `setup-python` provides
an environment with all packages except the members' library, which the job installs
(tests/job_python.py). `configure-aws-credentials` assumes the role with a token of the issuer in
tests/aws_world.py. `create-github-app-token` returns a token of the stand-in for GitHub's API.
`upload-artifact` copies files.

act cannot show: events and their types, `on:` filters, concurrency, environments and their
protection, `permissions:`, cron, GitHub's own OIDC tokens, caches, and that a hosted runner has
what a step expects (gh, git).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import job_python
from tests.conftest import BIN, ROOT
from tests.warm import COMMANDS, server, tools
from tests.warm.client import TEXT_ALONE

PASSED = ("AWS_", "DBT_", "GIT_", "PATH", "LANG", "LC_")
"""Variables of the tests' environment that steps get. In another language, no dbt starts warm."""
UNKNOWN = re.compile(r"\n +(queue: max|deployment: false)$", re.MULTILINE)
"""Keys that are newer than act's schema. act does not implement what they are about anyway."""
USES = re.compile(r"uses: ([\w.-]+/[\w.-]+)@([0-9a-f]{40})")

CHECKOUT = """
commit=$(git -C "$ACTIONS_REPOSITORY" rev-parse "${REF:-$GITHUB_SHA}^{commit}")
kept="$ACTIONS_CHECKOUTS/$commit-${REF//\\//-}"
if [ "$DEPTH" != 0 ] && [ -d "$kept" ]; then
  cp -a "$kept/." .
else
  git init --quiet --template= .
  git remote add origin "$(git -C "$ACTIONS_REPOSITORY" remote get-url origin)"
  if [ "$DEPTH" = 0 ]; then how=--tags; else how=--depth=1; fi
  git -c fetch.unpackLimit=1 fetch --quiet --upload-pack 'git -c pack.window=0 upload-pack' \
    "$how" "file://$ACTIONS_REPOSITORY" "${REF:-$GITHUB_SHA}"
  if git -C "$ACTIONS_REPOSITORY" show-ref --quiet --verify "refs/heads/$REF"; then
    git checkout --quiet -B "$REF" FETCH_HEAD
  else
    git checkout --quiet --detach FETCH_HEAD
  fi
  if [ "$DEPTH" != 0 ]; then
    mkdir -p "$ACTIONS_CHECKOUTS"
    cp -a . "$kept.$GITHUB_JOB"
    mv -T "$kept.$GITHUB_JOB" "$kept" 2> /dev/null || rm -r "$kept.$GITHUB_JOB"
  fi
fi
echo "commit=$commit" >> "$GITHUB_OUTPUT"
"""
"""Clones as the action does: one commit, or all commits with tags, on a branch if one is named. To
save time, git neither compresses what it sends nor unpacks it into files, and other jobs copy the
same commit."""

PYTHON = """
folder=$(mktemp -d)
cp -a "$ACTIONS_ENVIRONMENT/." "$folder"
echo "$folder/bin" >> "$GITHUB_PATH"
"""

NODE = """#!/bin/sh
echo "$0"
"""
"""A program `node`, for which act asks in each job. No stub needs it."""

READ = "act-has-read-it"
"""A workflow command that no one knows. act logs it like the others."""

BASH = """#!/bin/sh
{bash} "$@"
status=$?
[ $status = 0 ] || [ ! -t 1 ] || {{
  echo "::{read}::$$ "
  for _ in $(seq 3000); do
    ! grep -q "::{read}::$$ " "$ACTIONS_LOG" || break
    sleep 0.02
  done
}}
exit $status
"""
"""A program `bash` for steps. If a step fails, it ends when act has logged what the step printed.
act alone closes the terminal of a step that has failed even if it has not read everything from it
(`exec` in its pkg/container/host_environment.go). On a busy machine, the last lines are lost."""

AWS = """
cd "$ACTIONS_TESTS"
credentials=$("$ACTIONS_PYTHON" -m tests.aws_world "$ROLE")
sed 's/^[A-Z_]*=/::add-mask::/' <<< "$credentials"
printf 'AWS_REGION=%s\\n%s\\n' "$REGION" "$credentials" >> "$GITHUB_ENV"
"""

ACTIONS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tests/data/actions.yml").read_text())

STUBS: Mapping[str, Mapping[str, Any]] = {
    "actions/checkout": {
        "outputs": {"commit": {"value": "${{ steps.stub.outputs.commit }}"}},
        "env": {"REF": "${{ inputs.ref }}", "DEPTH": "${{ inputs.fetch-depth }}"},
        "run": CHECKOUT,
    },
    "actions/setup-python": {"run": PYTHON},
    "aws-actions/configure-aws-credentials": {
        "env": {"ROLE": "${{ inputs.role-to-assume }}", "REGION": "${{ inputs.aws-region }}"},
        "run": AWS,
    },
    "actions/create-github-app-token": {
        "outputs": {"token": {"value": "${{ steps.stub.outputs.token }}"}},
        "env": {"KEY": "${{ inputs.private-key }}"},
        "run": '[ -n "$KEY" ] && echo "::add-mask::$ACTIONS_APP_TOKEN" && '
        'echo "token=$ACTIONS_APP_TOKEN" >> "$GITHUB_OUTPUT"',
    },
    "actions/upload-artifact": {
        "env": {"NAME": "${{ inputs.name }}", "PATHS": "${{ inputs.path }}"},
        "run": 'for path in $PATHS; do [ ! -e "$path" ] || install -D "$path" '
        '"$ACTIONS_ARTIFACTS/$NAME/$path"; done',
    },
    "actions/upload-pages-artifact": {
        "env": {"SITE": "${{ inputs.path }}", "NAME": "${{ inputs.name }}"},
        "run": 'mkdir -p "$ACTIONS_ARTIFACTS" && cp -rT "$SITE" "$ACTIONS_ARTIFACTS/$NAME"',
    },
    "actions/deploy-pages": {
        "outputs": {"page_url": {"value": "https://pages.invalid/"}},
        "env": {"NAME": "${{ inputs.artifact_name }}"},
        "run": 'test -f "$ACTIONS_ARTIFACTS/$NAME/index.html"',
    },
}


@dataclass(frozen=True)
class Step:
    """A step that was run. output: what it printed."""

    job: str
    name: str
    result: str
    output: str

    @property
    def failed(self) -> bool:
        return self.result == "failure"


@dataclass(frozen=True)
class Run:
    """A run of a workflow.

    log: act's log, one JSON object a line.
    printed: the part of it that GitHub would show.
    jobs: the result of each job, by name.
    """

    status: int
    log: str
    steps: Sequence[Step]
    jobs: Mapping[str, str]
    printed: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    def __str__(self) -> str:
        """Returns the result of each step, with the output of those that failed."""
        lines = [f"status {self.status}, jobs {dict(self.jobs)}"]
        for step in self.steps:
            lines.append(f"{step.result or 'not run':8} {step.job}: {step.name}")
            lines += [f"         | {line}" for line in step.output.splitlines() if step.failed]
        return "\n".join(lines)

    def step(self, name: str) -> Step:
        (found,) = [step for step in self.steps if step.name == name]
        return found

    def ran(self, name: str) -> bool:
        return any(step.name == name and step.result != "skipped" for step in self.steps)


@dataclass
class Actions:
    """Runs workflows. environment: variables of every step. artifacts: what runs have uploaded."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    app_token: str = ""
    number: int = 0

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def run(
        self,
        repository: Path,
        workflow: str,
        event: str,
        payload: Mapping[str, Any] | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        packages: Path | None = None,
        **environment: str,
    ) -> Run:
        """Runs a workflow of the repository, at the commit that is checked out there.

        packages: a folder that comes before the tests' packages on the path of a job's Python.
        """
        self.number += 1
        place = self.folder / f"run{self.number}"
        place.mkdir(parents=True)
        text = (repository / ".github/workflows" / workflow).read_text()
        path, log = place / workflow, place / "log"
        path.write_text(UNKNOWN.sub("", text))
        (place / "event.json").write_text(json.dumps(payload or {}))
        (place / "secrets").write_text(_dotenv(secrets or {}))
        inherited = {
            **{name: os.environ[name] for name in os.environ if name.startswith(PASSED)},
            "PATH": f"{tools()}{os.pathsep}{os.environ['PATH']}",
            **self.environment,
            "ACTIONS_ARTIFACTS": str(self.artifacts),
            "ACTIONS_TESTS": str(ROOT),
            "ACTIONS_PYTHON": str(server(COMMANDS).program("python")),
            "ACTIONS_ENVIRONMENT": str(job_python.environment(packages)),
            "ACTIONS_APP_TOKEN": self.app_token,
            "ACTIONS_REPOSITORY": str(repository),
            "ACTIONS_CHECKOUTS": str(self.folder / "checkouts" / repository.name),
            "ACTIONS_ENVIRONMENTS": json.dumps(_environments(text)),
            "GITHUB_RUN_ID": str(1000 + self.number),
            TEXT_ALONE: "1",  # act gives steps a terminal
            "PIP_NO_INDEX": "1",  # everything else is installed, and nothing may be downloaded
            **environment,
            "ACTIONS_LOG": str(log),
        }
        inherited["PATH"] = f"{self._programs()}{os.pathsep}{inherited['PATH']}"
        (place / "env").write_text(_dotenv(inherited))
        command = [BIN / "act", event, "-C", repository, "-W", path, "-e", place / "event.json"]
        command += ["-P", "ubuntu-latest=-self-hosted", "--json", "--no-cache-server", "--rm"]
        command += ["--action-cache-path", place / "cache", "--env-file", place / "env"]
        command += ["--secret-file", place / "secrets", "--no-skip-checkout"]
        for name, value in (variables or {}).items():
            command += ["--var", f"{name}={value}"]
        for action, sha in sorted(set(USES.findall(text))):
            command += ["--local-repository", f"{action}@{sha}={self._stub(action)}"]
        with log.open("w") as output:
            done = subprocess.run(
                list(map(str, command)),
                env={**os.environ, **inherited, "HOME": str(self._home())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=500,
                check=False,
            )
        return _read(done.returncode, log.read_text())

    def _home(self) -> Path:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return home

    def _programs(self) -> Path:
        """Writes the programs that come before all others, and returns their folder."""
        folder = self.folder / "bin"
        bash = BASH.format(bash=shutil.which("bash"), read=READ)
        if not folder.exists():
            folder.mkdir()
            for name, text in {"node": NODE, "bash": bash}.items():
                (folder / name).write_text(text)
                (folder / name).chmod(0o755)
        return folder

    def _stub(self, action: str) -> Path:
        """Writes the stub of an action, and returns its folder for act's --local-repository."""
        folder = self.folder / "stubs" / action
        if not folder.exists():
            folder.mkdir(parents=True)
            stub = STUBS[action]
            step = {"id": "stub", "shell": "bash", "run": stub["run"], "env": stub.get("env", {})}
            (folder / "action.yml").write_text(
                json.dumps(
                    {
                        "name": f"stub of {action}",
                        "description": "See tests/actions.py",
                        "inputs": {name: {"default": ""} for name in ACTIONS[action]["inputs"]},
                        "outputs": stub.get("outputs", {}),
                        "runs": {"using": "composite", "steps": [step]},
                    }
                )
            )
        return folder


def _environments(text: str) -> dict[str, str]:
    """Returns the environment of each job, which is part of the subject of its token."""
    jobs = yaml.safe_load(text)["jobs"]
    named = {name: job["environment"] for name, job in jobs.items() if "environment" in job}
    return {name: e if isinstance(e, str) else e["name"] for name, e in named.items()}


def _dotenv(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={json.dumps(value)}\n" for name, value in values.items())


def _read(status: int, log: str) -> Run:
    """Parses act's log, one JSON object a line. Job and step id identify a step."""
    lines = list(_lines(log))
    steps: dict[tuple[str, str], dict[str, Any]] = {}
    jobs: dict[str, str] = {}
    for line in lines:
        job = str(line.get("jobID", ""))
        if "jobResult" in line:
            jobs[job] = line["jobResult"]
        if line.get("stage") != "Main" or not line.get("stepID"):
            continue
        step = steps.setdefault((job, line["stepID"][0]), {"name": "", "result": "", "output": []})
        if line.get("raw_output"):
            step["output"].append(line["msg"])
        if len(line["stepID"]) == 1:  # others are steps of a composite action
            step["name"] = str(line.get("step", "")).removeprefix("Main ")
            step["result"] = line.get("stepResult", step["result"])
    return Run(
        status,
        log,
        [
            Step(job, each["name"], each["result"], "".join(each["output"]))
            for (job, _), each in steps.items()
        ],
        jobs,
        "\n".join(str(line.get("msg", "")) for line in lines if line.get("command") != READ),
    )


def _lines(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        try:
            loaded = json.loads(line)
        except ValueError:
            continue
        if isinstance(loaded, dict):
            yield loaded
