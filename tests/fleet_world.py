"""Provides a fleet on this machine: members with git remotes on disk, and a stand-in for `gh`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import releases
from fleet import render as rendering
from fleet.members import ANSWERS
from fleet.releases import Releases
from tests import rendered
from tests.conftest import ROOT
from tests.manifests import manifest
from tests.mesh_world import public
from tests.versions import git
from tests.warm import programs, run

# Only what the fleet needs: `pr list` and `pr create`, for the repository of the clone's remote.
FAKE_GH = """#!{python}
import json, os, subprocess, sys
from pathlib import Path
origin = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True)
name = Path(origin.stdout.strip()).name.removesuffix(".git")
store = Path(os.environ["FAKE_GH"]) / (name + ".json")
made = json.loads(store.read_text()) if store.exists() else []
flags = dict(zip(sys.argv[3::2], sys.argv[4::2]))
if sys.argv[1:3] == ["pr", "create"]:
    if any(each["--head"] == flags["--head"] and each["state"] == "OPEN" for each in made):
        sys.exit("a pull request for this branch already exists")
    made.append({{**flags, "state": "OPEN"}})
    store.write_text(json.dumps(made))
    print(f"https://github.com/acme/{{name}}/pull/{{len(made)}}")
elif sys.argv[1:3] == ["pr", "list"]:
    for number, each in reversed(list(enumerate(made, start=1))):
        asked = flags.get("--state", "open").upper()
        if each["--head"] == flags["--head"] and asked in ("ALL", each["state"]):
            print(f"https://github.com/acme/{{name}}/pull/{{number}} " + each["state"])
            break
"""


@dataclass(frozen=True)
class World:
    """A fleet. `folder/clones` holds the members' clones, `folder/remotes` their remotes."""

    folder: Path
    template: Path
    releases: Releases

    @property
    def clones(self) -> Path:
        return self.folder / "clones"

    def remote(self, name: str) -> Path:
        return self.folder / "remotes" / f"{name}.git"

    def member(self, name: str, tag: str, *, shared: str | None = None, **answers: Any) -> Path:
        """Makes a member as a team has it: rendered, committed, pushed. Returns its clone.

        shared: the repository in which it has a folder; by default it has its own repository.
        """
        clone = self.clones / (shared or name)
        source = rendering.Source(str(self.template), tag)
        given = {"project_name": name, **answers}
        if not shared:
            rendered.render(source, clone, given, committed=True)
            self._publish(clone)
            return clone
        rendered.render(source, clone, given, f"{name}/{ANSWERS}")
        if (clone / ".git").exists():
            self.push(clone)
        else:
            git(clone, "init", "--quiet", "--initial-branch=main")
            rendered.commit(clone)
            self._publish(clone)
        return clone

    def _publish(self, clone: Path) -> None:
        """Makes a remote from the clone, as if the clone had been made from it."""
        remote = self.remote(clone.name)
        git(self.folder, "clone", "--quiet", "--bare", str(clone), str(remote))
        git(clone, "remote", "add", "origin", str(remote))
        git(clone, "fetch", "--quiet")
        git(clone, "branch", "--quiet", "--set-upstream-to=origin/main")
        # checks run in the environment of the clone
        (clone / ".git/info/exclude").write_text(".venv\n")
        (clone / ".venv").mkdir()
        (clone / ".venv/bin").symlink_to(programs())

    def contract(self, name: str, upstream: str) -> None:
        """Commits to a member the interface of another project that it reads."""
        columns = ["order_id", "customer_id", "country_code", "ordered_on", "is_revenue"]
        columns += ["net_amount", "customer_order_number"]
        node = public(upstream, "public_orders", columns)
        body = manifest(upstream, models=0, adapter="snowflake", nodes={node["unique_id"]: node})
        state = self.clones / name / "state" / upstream
        state.mkdir(parents=True)
        (state / "manifest.json").write_bytes(body)
        self.push(self.clones / name)

    def push(self, clone: Path) -> None:
        rendered.commit(clone)
        git(clone, "push", "--quiet", "origin", "main")

    def edit(self, name: str, path: str, old: str, new: str) -> None:
        """Edits a file, commits and pushes it, as the team would."""
        file = self.clones / name / path
        text = file.read_text()
        assert old in text, (path, old)
        file.write_text(text.replace(old, new, 1))
        self.push(self.clones / name)

    def branch(self, name: str) -> str:
        """Returns the commit of the update's branch on the remote; empty if there is none."""
        return git(
            self.remote(name), "for-each-ref", "--format=%(objectname)", "refs/heads/template"
        )

    def pull_requests(self, repository: str) -> list[dict[str, str]]:
        """Returns the arguments of each `gh pr create`, and the state, oldest first."""
        path = self.folder / "gh" / f"{repository}.json"
        return json.loads(path.read_text()) if path.exists() else []

    def pull_request(self, name: str) -> dict[str, str] | None:
        return next(iter(self.pull_requests(name)), None)

    def close_pull_requests(self, repository: str) -> None:
        closed = [{**each, "state": "CLOSED"} for each in self.pull_requests(repository)]
        (self.folder / "gh" / f"{repository}.json").write_text(json.dumps(closed))

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "FAKE_GH": str(self.folder / "gh"),
            "DBT_MESH_HOME": str(self.folder / ".mesh"),
            "COLUMNS": "150",
        }

    def command(self, *arguments: str | Path) -> list[str]:
        command = [*arguments, "--clones", self.clones, "--template", self.template]
        return [sys.executable, "-m", "fleet", *map(str, command)]

    def fleet(self, *arguments: str | Path, status: int = 0) -> str:
        """Runs a command, which has to end with `status`. Returns its standard output."""
        done = run(self.command(*arguments), ROOT, self.environment(), timeout=600)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def outcomes(self, *arguments: str | Path, status: int = 0) -> dict[str, dict[str, Any]]:
        told = json.loads(self.fleet(*arguments, "--json", status=status))
        return {member["name"]: member for member in told["members"]}


@contextmanager
def world(folder: Path, template: Path) -> Iterator[World]:
    """Makes an empty fleet of the template, whose releases `versions.build` made."""
    for name in ("clones", "remotes", "gh", "bin", ".mesh"):
        (folder / name).mkdir(parents=True)
    fake = folder / "bin" / "gh"
    fake.write_text(FAKE_GH.format(python=sys.executable))
    fake.chmod(0o755)
    with releases.opened(str(template)) as opened:
        yield World(folder, template, opened)
