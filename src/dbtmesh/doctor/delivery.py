"""Checks which commands the workflows run, which secrets they have, and who can deploy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.doctor.environment import build_again
from dbtmesh.doctor.finding import Finding, note
from dbtmesh.doctor.project import Project
from dbtmesh.output.words import some

WORKFLOWS = ".github/workflows"
NOWHERE = "There is nowhere to deploy to yet"
"""What the deploy workflow prints until an account and a registry are known."""


@dataclass(frozen=True)
class Call:
    """A command that at least one workflow has to run. effect: what happens if none does."""

    command: str
    effect: str

    @property
    def pattern(self) -> str:
        return rf"scripts/{self.command.replace('-', '_')}\.py|dbtmesh {self.command}\b"


def calls(member: Member) -> Iterator[Call]:
    """Yields the commands that the workflows of a member have to run."""
    if member.publishes:
        yield Call("publish-manifest", "deploys publish nothing, and no gate checks pull requests")
        yield Call("announce", "projects that read this one are not told of a deploy")
    if member.kind != "upstream":
        yield Call("validate-lineage", "no upstream knows that this project reads it")
    yield Call("update-template", "new versions of the template do not come as pull requests")


def workflows(project: Project) -> Iterator[Finding]:
    """Checks that the workflows are where GitHub runs them, and run the commands of the mesh."""
    top = project.repository
    if top is None:
        yield note(WORKFLOWS, "this is not a git repository yet, so workflows were not checked")
        return
    texts = _workflows_in(top)
    folder = project.folder
    if folder != "." and (astray := _astray(project)):
        answers = f"{folder}/{project.member.answers_file}"
        names = " ".join(f"{folder}/{WORKFLOWS}/{name}" for name in astray)
        yield Finding(
            f"{folder}/{WORKFLOWS}",
            f"is not at the top of the repository ({some(astray)})",
            "GitHub does not run these workflows",
            f"at the top: git rm {names} && copier recopy --trust --skip-answered "
            f"--data working_directory={folder} --answers-file {answers}; then git diff",
        )
    if not texts:
        yield note(WORKFLOWS, "has no workflow", "nothing is built or deployed by GitHub Actions")
        return
    if any(NOWHERE in text for text in texts.values()):
        beside = (project.root / "README.md.mesh").exists()  # where the team has its own
        readme = "README.md.mesh" if beside else "README.md"
        yield note(WORKFLOWS, f"nothing is deployed yet: {readme} says which answers are missing")
        return
    for call in calls(project.member):
        if not any(re.search(call.pattern, text) for text in texts.values()):
            again = build_again(project.member.answers_file)
            yield Finding(
                WORKFLOWS,
                f"no workflow runs {call.command}",
                call.effect,
                again.replace("'*'", f"'*' --exclude '!{WORKFLOWS}/*'"),
            )


def _workflows_in(folder: Path) -> dict[str, str]:
    """Returns the texts of the workflows in a repository, or in a folder of one, by file name."""
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted((folder / WORKFLOWS).glob("*.y*ml"))
    }


def _astray(project: Project) -> list[str]:
    """Returns the names of the mesh's workflows in the project's own folder."""
    return [
        name
        for name, text in _workflows_in(project.root).items()
        if "dbtmesh" in text or NOWHERE in text
    ]


def secrets(project: Project) -> Iterator[Finding]:
    """Checks that the environments have the keys of CI's users. GitHub lists only the names of
    secrets."""
    # imported here: every update loads this module, and asks nothing of GitHub
    from dbtmesh.ci.github import environments
    from dbtmesh.ci.github.gh import Gh

    member = project.member
    wanted = member.snowflake.get("auth") == "key_pair" and member.snowflake.get("account")
    if not (wanted and member.github_repository):
        return
    users = {
        member.deploy_environment: member.snowflake.get("service_user"),
        member.ci_environment: member.snowflake.get("ci_user"),
    }
    github = Gh(project.root, member.github_server)
    for environment, user in users.items():
        try:
            names = environments.secrets(github, member.github_repository, environment)
        except MeshError:  # no `gh`, or no answer
            names = None
        if names is None:
            yield note(
                f"environment {environment}",
                f"its secrets in {member.github_repository} cannot be read here",
                add="gh auth login, then run this again",
            )
        elif "SNOWFLAKE_PRIVATE_KEY" not in names:
            which = "" if environment == member.deploy_environment else f" --user {user}"
            yield Finding(
                f"environment {environment}",
                "has no secret SNOWFLAKE_PRIVATE_KEY",
                "its jobs cannot sign in to Snowflake",
                f"./setup_keypair_auth.sh create --connection NAME{which}",
            )


def closed(project: Project) -> Iterator[Finding]:
    """Checks that only the branch that deploys can use the deploy environment."""
    # imported here: every update loads this module, and asks nothing of GitHub
    from dbtmesh.ci.github import protection
    from dbtmesh.ci.github.gh import Gh

    member = project.member
    if not (member.github_repository and member.snowflake.get("account")):
        return
    where = f"environment {member.deploy_environment}"
    github = Gh(project.root, member.github_server)
    try:
        github.check()
        found = protection.look(
            github, member.github_repository, member.deploy_environment, member.deploy_branch
        )
    except MeshError as error:
        yield note(where, f"who can use it is unknown: {error}")
        return
    for problem in found.problems:
        yield Finding(where, problem, "whoever can use it can write prod")
