"""The workflow that releases the template, executed by act (tests/actions.py). The suite that it
runs is this one, so a script stands in for it; and for `gh`, the stand-in of key pairs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.actions import Actions, Run
from tests.conftest import ROOT
from tests.github_api import GitHubApi
from tests.keypair_world import gh_standin
from tests.workflow_world import git

pytest_plugins = "tests.github_api"

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
TAG = f"v{VERSION}"


@dataclass
class Desk:
    """A clone of this repository as it is, with everything committed."""

    clone: Path
    folder: Path
    actions: Actions
    github: GitHubApi

    def keep(self) -> None:
        """make keep-version, and a commit."""
        command = [sys.executable, "-m", "tests.versions", "keep", TAG]
        subprocess.run(command, cwd=self.clone, check=True, capture_output=True)
        self.commit()

    def commit(self) -> None:
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", "change")

    def release(self) -> Run:
        path = f"{self.folder}:{os.environ['PATH']}"
        secrets = {"GITHUB_TOKEN": "ghs_job"}
        return self.actions.run(
            self.clone,
            "release.yml",
            "workflow_dispatch",
            secrets=secrets,
            PATH=path,
            GITHUB_API_URL=self.github.url,
        )

    @property
    def asked(self) -> list[list[str]]:
        """What `gh` was asked."""
        log = self.folder / "gh.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line)["asked"] for line in lines]


@pytest.fixture
def desk(tmp_path: Path, github: GitHubApi) -> Desk:
    clone = tmp_path / "clone"
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    (clone / ".ci/run").write_text("#!/bin/sh\necho all is well\n")
    gh = tmp_path / "gh"
    gh.write_text(gh_standin(tmp_path / "gh.log"))
    gh.chmod(0o755)
    git(clone, "init", "--quiet", "--initial-branch=main")
    git(clone, "remote", "add", "origin", "https://github.com/acme/copier-dbt-mesh")
    github.repository("acme/copier-dbt-mesh")
    github.token("ghs_job", "acme/copier-dbt-mesh", contents="write")
    made = Desk(clone, tmp_path, Actions(tmp_path / "actions"), github)
    made.commit()
    return made


def test_what_was_tested_is_tagged(desk: Desk) -> None:
    desk.keep()
    run = desk.release()
    assert run.ok, run
    assert "all is well" in run.log
    tags = {f"refs/tags/{TAG}": git(desk.clone, "rev-parse", "HEAD")}
    assert desk.github.repository("acme/copier-dbt-mesh").refs == tags
    _, asked = desk.asked
    assert asked[:3] == ["release", "create", TAG]
    assert "--verify-tag" in asked
    assert "--target" not in asked


def test_a_version_that_was_not_kept_is_not_released(desk: Desk) -> None:
    (desk.clone / "tests/versions" / f"{TAG}.tar.xz").unlink(missing_ok=True)
    desk.commit()
    run = desk.release()
    assert not run.ok
    assert "make keep-version" in run.log
    assert not desk.asked


def test_what_is_kept_has_to_be_what_is_released(desk: Desk) -> None:
    desk.keep()
    with (desk.clone / "hooks/after_copy.py").open("a") as hook:
        hook.write("# one thing more\n")
    desk.commit()
    run = desk.release()
    assert not run.ok
    assert "is not what HEAD holds" in run.log
    assert not desk.asked


def test_nothing_is_released_twice(desk: Desk) -> None:
    desk.keep()
    git(desk.clone, "tag", TAG)
    desk.commit()  # act takes a commit with a tag for the tag
    run = desk.release()
    assert not run.ok
    assert f"{TAG} is released already" in run.log, run
    assert not desk.asked


def test_a_release_is_of_main(desk: Desk) -> None:
    desk.keep()
    git(desk.clone, "switch", "--quiet", "--create", "other")
    assert "release" not in desk.release().jobs
