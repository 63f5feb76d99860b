"""A member brings the template's newest version by itself: the workflow executed by act, with real
releases, a real remote on disk, and a stand-in for `gh` (tests/keypair_world.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.render import Source
from tests import rendered, versions
from tests.actions import Actions, Run
from tests.conftest import BIN, program
from tests.keypair_world import gh_standin
from tests.warm import nested, run
from tests.workflow_world import git

OLD, NEW = versions.newest(), "v9.0.0"
ADDRESS = "https://github.com/acme/dbt-up"
SCRIPT = "update-template"
PROPOSED = "Open a pull request"
"""The step of the workflow that has a token to push with."""


@dataclass
class Desk:
    """A member of version OLD with its remote, and the template, of which NEW is out."""

    member: Path
    remote: Path
    actions: Actions
    folder: Path
    project: str

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.member / self.project

    def environment(self, **more: str) -> dict[str, Any]:
        home = self.folder / "home"
        return {
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "PATH": f"{home}:{BIN}:/usr/bin:/bin",
            "TMPDIR": tempfile.gettempdir(),
            **nested(),
            **more,
        }

    def listed(self, *pull_requests: dict[str, Any]) -> None:
        """What `gh pr list` says from now on."""
        (self.folder / "home/gh pr list").write_text(json.dumps(pull_requests))

    def maintain(self, **environment: str) -> Run:
        (workflow,) = self.member.glob(".github/workflows/*maintenance.yml")
        return self.actions.run(
            self.member,
            workflow.name,
            "workflow_dispatch",
            {"inputs": {"task": "template"}},
            secrets={"GITHUB_TOKEN": "ghs_job"},
            **self.environment(**environment),
        )

    def again(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """A later run, on a runner of its own: of the member as it is on main."""
        git(self.member, "reset", "--quiet", "--hard")
        git(self.member, "clean", "--quiet", "--force", "-d")
        git(self.member, "switch", "--quiet", "main")
        for branch in git(self.member, "branch", "--format=%(refname:short)").split():
            if branch != "main":
                git(self.member, "branch", "--quiet", "-D", branch)
        return self.script("--pull-request", **environment)

    def script(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run([*program(SCRIPT), *arguments], self.root, self.environment(**environment))

    @property
    def branches(self) -> set[str]:
        return set(git(self.remote, "for-each-ref", "--format=%(refname:short)").split())

    @property
    def pull_requests(self) -> list[list[str]]:
        """What `gh pr create` was asked."""
        log = self.folder / "home" / "gh.log"
        lines = log.read_text().splitlines() if log.exists() else []
        asked = (json.loads(line)["asked"] for line in lines)
        return [each for each in asked if each[:2] == ["pr", "create"]]

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        git(self.member, "commit", "--quiet", "--all", "--message", "by hand")
        git(self.member, "push", "--quiet", str(self.remote), "main")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, line_of_versions: Path) -> Path:
    repository = tmp_path_factory.mktemp("releases") / "template"
    shutil.copytree(line_of_versions, repository)
    profiles = repository / "template/{{ member }}/profiles.yml.jinja"
    profiles.write_text(profiles.read_text().replace("threads: 8", "threads: 16"))
    project = repository / "template/{{ member }}/dbt_project.yml.jinja"
    project.write_text(project.read_text().replace('version: "1.0.0"', 'version: "2.0.0"'))
    changelog = repository / "CHANGELOG.md"
    entry = f"## {NEW.removeprefix('v')} – 2031-01-01\n\n- Twice the threads.\n\n## "
    changelog.write_text(changelog.read_text().replace("## ", entry, 1))
    git(repository, "commit", "--quiet", "--all", "--message", NEW)
    git(repository, "tag", NEW)
    return repository


@pytest.fixture(params=[".", "dbt_up"], ids=["alone", "in a folder"])
def desk(template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return make(template, tmp_path, request.param)


def make(template: Path, folder: Path, project: str) -> Desk:
    member, remote, home = (folder / name for name in ("member", "remote.git", "home"))
    home.mkdir()
    gh = home / "gh"
    gh.write_text(gh_standin(home / "gh.log"))
    gh.chmod(0o755)
    identity = '[user]\n name = "Test"\n email = "test@example.com"\n'
    (home / ".gitconfig").write_text(f'{identity}[url "{remote}"]\n insteadOf = "{ADDRESS}"\n')
    answers = f"{project}/.copier-answers.yml".removeprefix("./")
    given = {"project_name": "dbt_up", "starter": False}
    rendered.render(Source(str(template), OLD), member, given, answers, committed=True)
    git(folder, "clone", "--quiet", "--bare", str(member), str(remote))
    git(member, "remote", "add", "origin", ADDRESS)
    return Desk(member, remote, Actions(folder / "actions"), folder, project)


def test_a_new_version_comes_as_a_pull_request(desk: Desk) -> None:
    run = desk.maintain()
    assert run.ok, run
    assert set(run.jobs) == {"template"}
    folder = "" if desk.project == "." else f"{desk.project}/"
    branch = f"template/{folder}{NEW}"
    assert desk.branches == {"main", branch}
    changed = git(desk.remote, "diff", "--name-only", f"main..{branch}").split()
    library = ("requirements.txt", f"vendor/dbtmesh-{NEW.removeprefix('v')}-py3-none-any.whl")
    template = (".copier-answers.yml", "dbt_project.yml", "profiles.yml")
    assert set(changed) == {f"{folder}{name}" for name in (*template, *library)}
    (asked,) = desk.pull_requests
    assert asked[:2] == ["pr", "create"]
    assert asked[asked.index("--head") + 1] == branch
    assert asked[asked.index("--base") + 1] == "main"
    assert "Twice the threads." in asked[asked.index("--body") + 1]
    assert "--draft" not in asked

    desk.listed({"number": 7, "state": "OPEN", "isCrossRepository": False})
    run = desk.maintain()  # a week later, nobody has merged it
    assert run.ok, run
    assert "is there already" in run.step(PROPOSED).output
    assert len(desk.pull_requests) == 1


def test_conflicts_are_listed_and_the_run_is_red(template: Path, tmp_path: Path) -> None:
    desk = make(template, tmp_path, ".")
    desk.edit("dbt_project.yml", 'version: "1.0.0"', 'version: "1.5.0"')
    run = desk.maintain()
    assert not run.ok
    assert run.step(PROPOSED).failed
    assert "in conflict: dbt_project.yml:2" in run.step(PROPOSED).output
    (asked,) = desk.pull_requests
    assert "--draft" in asked
    assert "`dbt_project.yml:2`" in asked[asked.index("--body") + 1]
    branch = f"template/{NEW}"
    assert "<<<<<<<" in git(desk.remote, "show", f"{branch}:dbt_project.yml")
    answers = yaml.safe_load(git(desk.remote, "show", f"{branch}:.copier-answers.yml"))
    assert answers["_commit"] == NEW


def test_a_branch_whose_pull_request_failed_gets_one_in_the_next_run(
    template: Path, tmp_path: Path
) -> None:
    desk = make(template, tmp_path, ".")
    branch = f"template/{NEW}"
    failed = desk.script("--pull-request", GH_STANDIN_FAILS_AT="pr create")
    assert failed.returncode == 1
    assert "gh pr: HTTP 403" in failed.stderr
    assert desk.branches == {"main", branch}
    pushed = git(desk.remote, "rev-parse", branch)

    # a stranger's fork has a branch of that name, too
    desk.listed({"number": 3, "state": "OPEN", "isCrossRepository": True})
    done = desk.again()
    assert done.returncode == 0, done.stderr
    assert len(desk.pull_requests) == 2
    asked = desk.pull_requests[-1]
    assert asked[asked.index("--head") + 1] == branch
    assert asked[asked.index("--base") + 1] == "main"
    assert "Twice the threads." in asked[asked.index("--body") + 1]
    assert git(desk.remote, "rev-parse", branch) == pushed


def test_a_pull_request_that_was_declined_stays_so(template: Path, tmp_path: Path) -> None:
    desk = make(template, tmp_path, ".")
    assert desk.script("--pull-request").returncode == 0
    for state in ("open", "closed"):
        desk.listed({"number": 7, "state": state.upper(), "isCrossRepository": False})
        done = desk.again()
        assert done.returncode == 0, done.stderr
        assert f"its pull request 7 is {state}" in done.stdout
        assert len(desk.pull_requests) == 1


def test_a_repository_without_drafts_gets_an_ordinary_pull_request(
    template: Path, tmp_path: Path
) -> None:
    """A private one of a plan that has none."""
    desk = make(template, tmp_path, ".")
    desk.edit("dbt_project.yml", 'version: "1.0.0"', 'version: "1.5.0"')
    says = "pull request create failed: GraphQL: Draft pull requests are not supported in this "
    says += "repository. (createPullRequest)"
    facts = {"GH_STANDIN_FAILS_AT": "--draft", "GH_STANDIN_SAYS": says}
    done = desk.script("--pull-request", **facts)
    assert done.returncode == 2, done.stderr
    draft, ordinary = desk.pull_requests
    assert draft == [*ordinary, "--draft"]


def test_without_an_app_it_is_said_what_to_switch_on(template: Path, tmp_path: Path) -> None:
    desk = make(template, tmp_path, ".")
    in_workflow = {"GITHUB_ACTIONS": "true"}
    failed = desk.script("--pull-request", GH_STANDIN_FAILS_AT="pr create", **in_workflow)
    assert failed.returncode == 1
    assert "Allow GitHub Actions to create and approve pull requests" in failed.stderr
    assert "MESH_MAINTENANCE_APP_CLIENT_ID" in failed.stderr
    done = desk.again(**in_workflow)
    assert done.returncode == 0, done.stderr
    asked = desk.pull_requests[-1]
    assert "closes and reopens it" in asked[asked.index("--body") + 1]


@pytest.mark.parametrize("app", ["", "Iv1.maintenance"])
def test_an_update_that_changes_workflows_takes_an_app(
    template: Path, tmp_path: Path, app: str
) -> None:
    desk = make(template, tmp_path, ".")
    lint = ".github/workflows/ci.yml"
    desk.edit(lint, "timeout-minutes: 10", "timeout-minutes: 11")
    changed = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(template), str(changed))
    ci = changed / "template/.github/workflows/{{ workflow_prefix }}ci.yml.jinja"
    ci.write_text(ci.read_text().replace("timeout-minutes: 30", "timeout-minutes: 31"))
    git(changed, "commit", "--quiet", "--all", "--message", "v9.1.0")
    git(changed, "tag", "v9.1.0")
    desk.edit(".copier-answers.yml", str(template), str(changed))
    facts = {"GITHUB_ACTIONS": "true", "MESH_MAINTENANCE_APP_CLIENT_ID": app}
    done = desk.script("--pull-request", **facts)
    if app:
        assert done.returncode == 0, done.stderr
        assert "template/v9.1.0" in desk.branches
    else:
        assert done.returncode == 1
        assert "changes workflows, which the job's own token may not push" in done.stderr
        assert desk.branches == {"main"}
        assert not desk.pull_requests


def test_by_hand_it_changes_the_working_tree_only(template: Path, tmp_path: Path) -> None:
    desk = make(template, tmp_path, ".")
    done = desk.script("--to", NEW)
    assert done.returncode == 0, done.stderr
    assert "threads: 16" in (desk.root / "profiles.yml").read_text()
    assert desk.branches == {"main"}
    assert not desk.pull_requests
    git(desk.member, "add", "--all")
    git(desk.member, "commit", "--quiet", "--message", "updated")
    assert "is the newest version" in desk.script().stdout


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda desk: (desk.root / "profiles.yml").write_text("mine"), "dirty"),
        (lambda desk: (desk.root / ".copier-answers.yml").unlink(), "was not made with Copier"),
    ],
)
def test_what_cannot_be_updated_is_told_and_stays(
    template: Path, tmp_path: Path, spoil: Any, said: str
) -> None:
    desk = make(template, tmp_path, ".")
    spoil(desk)
    before = git(desk.member, "status", "--porcelain")
    done = desk.script("--pull-request")
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert git(desk.member, "status", "--porcelain") == before
    assert desk.branches == {"main"}
