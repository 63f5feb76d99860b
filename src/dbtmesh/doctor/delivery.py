"""Checks that the workflows call the commands that they should, and that their secrets exist (by
name).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.doctor.environment import build_again
from dbtmesh.doctor.finding import Finding, note
from dbtmesh.doctor.project import Project

WORKFLOWS = ".github/workflows"
NOWHERE = "There is nowhere to deploy to yet"
"""What the deploy workflow says until an account and a registry are known."""


@dataclass(frozen=True)
class Call:
    """A command that some workflow has to run."""

    command: str
    effect: str

    @property
    def pattern(self) -> str:
        return rf"scripts/{self.command.replace('-', '_')}\.py|dbtmesh {self.command}\b"


def calls(member: Member) -> Iterator[Call]:
    if member.publishes:
        yield Call("publish-manifest", "what a deploy changes is not published, nor judged before")
        yield Call("announce", "projects that read this one are not told of a deploy")
    if member.kind != "upstream":
        yield Call("validate-lineage", "no upstream knows that this project reads it")
    yield Call("update-template", "new versions of the template do not come as pull requests")


def workflows(project: Project) -> Iterator[Finding]:
    top = project.repository
    if top is None:
        yield note(WORKFLOWS, "this is not a git repository yet, so workflows were not looked at")
        return
    folder = top / WORKFLOWS
    files = sorted(folder.glob("*.yml")) + sorted(folder.glob("*.yaml"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    if (project.root / WORKFLOWS).is_dir() and project.root != top:
        answers = (project.root / project.member.answers_file).relative_to(top).as_posix()
        yield Finding(
            (project.root / WORKFLOWS).relative_to(top).as_posix(),
            "is not at the top of the repository",
            "GitHub does not run these workflows",
            f"at the top: copier copy --trust --answers-file {answers} TEMPLATE .",
        )
    if not files:
        yield note(WORKFLOWS, "has no workflow", "nothing is built or deployed by GitHub Actions")
        return
    if any(NOWHERE in text for text in texts):
        yield note(WORKFLOWS, "nothing is deployed yet: README.md says which answers are missing")
        return
    for call in calls(project.member):
        if not any(re.search(call.pattern, text) for text in texts):
            again = build_again(project.member.answers_file)
            yield Finding(
                WORKFLOWS,
                f"no workflow runs {call.command}",
                call.effect,
                again.replace("'*'", f"'*' --exclude '!{WORKFLOWS}/*'"),
            )


def secrets(project: Project) -> Iterator[Finding]:
    """The keys of CI's users, where GitHub tells: nobody reads a secret's value."""
    # every update waits for this module, and asks no GitHub
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
                "gh auth login, then run this again",
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
    """Who could deploy, where GitHub tells."""
    # every update waits for this module, and asks no GitHub
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
