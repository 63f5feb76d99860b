"""Update this project to the newest version of the template, as a pull request.

  python -m dbtmesh update-template                    into the working tree, which has to be clean
  python -m dbtmesh update-template --pull-request     as a pull request
  python -m dbtmesh update-template --keep FILE        into the working tree; FILE: what was done
  python -m dbtmesh update-template --propose FILE     what --keep did, as a pull request

It runs `copier update` without questions. Where this project and the template have changed the same
lines, the file keeps both for somebody to choose. These files are listed, and the pull request is a
draft. Each version gets one pull request. An existing one is left alone, and a closed one stays
closed.

An update runs the template's hooks. So in the workflow it is a step of its own (`--keep`), without
a token that may push. That token is made afterwards, for `--propose`.

$GH_TOKEN pushes and opens the pull request, and $TEMPLATE_TOKEN reads a template that is not
public. In a workflow, $GH_TOKEN is the job's own token unless $MESH_MAINTENANCE_APP_CLIENT_ID names
an App. With the job's own token, GitHub opens pull requests only if the repository's settings allow
it, starts no workflow for them, and accepts no changes of workflows. The command says what follows
from that.

Exit status: 0 done, whether there was anything new or not; 1 it failed; 2 there are conflicts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dbtmesh import MeshError, cli, flags
from dbtmesh.ci.github import job, rest, workflow_commands
from dbtmesh.ci.github.gh import for_gh
from dbtmesh.config import Member, load_member
from dbtmesh.output import markdown
from dbtmesh.output.error_line import telling_line

NO_DRAFTS = "draft pull requests are not supported"
"""GitHub's message where a repository has no drafts, such as a private one on some plans."""
APP = "MESH_MAINTENANCE_APP_CLIENT_ID"
WORKFLOWS = ".github/workflows/"
PERMITTED = "Allow GitHub Actions to create and approve pull requests"
"""A repository's setting: Settings, Actions, General.

https://docs.github.com/en/actions/concepts/security/github_token
"""
CHECKS = "Its checks start once somebody closes and reopens it, or approves their run."
AUTHOR = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"


@dataclass(frozen=True)
class Update:
    """What `copier update` did. said: the template's own report. conflicts: each `path:lines`."""

    old: str
    new: str
    said: str
    conflicts: list[str]

    def title(self, folder: str) -> str:
        return f"Template {self.old} → {self.new}" + (f" ({folder})" if folder else "")

    @property
    def body(self) -> str:
        lines = markdown.fenced(self.said.splitlines())
        if self.conflicts:
            listed = [f"- {markdown.code(where)}" for where in self.conflicts]
            lines = ["**In conflict; choose before you merge:**", "", *listed, "", *lines]
        return "\n".join(lines)


def main(words: Sequence[str], root: Path) -> int:
    parser = flags.parser(__doc__)
    parser.add_argument("--to", metavar="TAG", help="another version than the newest")
    parser.add_argument("--pull-request", action="store_true", help="push a branch, and open one")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what was done to FILE")
    parser.add_argument("--propose", type=Path, metavar="FILE", help="push what --keep did")
    arguments = parser.parse_args(words)
    top = Path(git(root, "rev-parse", "--show-toplevel"))
    folder = git(root, "rev-parse", "--show-prefix").rstrip("/")
    if arguments.propose:
        return tell(top, folder, kept(arguments.propose), propose_it=True)
    member = load_member(root)
    old = version(member)
    said = update(top, Path(folder, member.answers_file), arguments.to)
    if not git(top, "status", "--porcelain"):
        cli.say(f"{old} is the newest version of the template")
        return cli.OK
    done = Update(old, version(member), said, in_conflict(top))
    cli.say(*said.splitlines())
    if not arguments.keep:
        return tell(top, folder, done, propose_it=arguments.pull_request)
    arguments.keep.write_text(json.dumps(asdict(done)), encoding="utf-8")
    workflow_commands.output(changed="true")
    return cli.OK


def kept(file: Path) -> Update:
    """Reads what `--keep` wrote. Raises MeshError."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        old, new, said = (str(found[name]) for name in ("old", "new", "said"))
        return Update(old, new, said, [str(where) for where in found["conflicts"]])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise MeshError(f"{file} is not what --keep writes: run it again") from None


def tell(top: Path, folder: str, done: Update, *, propose_it: bool) -> int:
    """Prints what the update did. propose_it: whether to propose it first. Raises MeshError."""
    if propose_it:
        cli.say(*propose(top, folder, done).splitlines())
    for where in done.conflicts:
        cli.say(f"in conflict: {where}")
    title = done.title(folder)
    workflow_commands.summarise([f"### {markdown.text(title)}", "", *done.body.splitlines()], None)
    return cli.FOUND if done.conflicts else cli.OK


def version(member: Member) -> str:
    """Returns the version of the template that the project has. Raises MeshError."""
    name = member.answers_file
    try:
        text = (member.root / name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise MeshError(f"{name} is missing: this project was not made with Copier") from None
    answers: dict[str, str] = dict(re.findall(r"^(\w+): *[\"']?([^\s\"']+)", text, re.MULTILINE))
    if answers.get("project_name") != member.project:
        raise MeshError(  # another template must not be updated with the rights of this one
            f"{name} is not of {member.project}: is it another template's? Name this one's in "
            "mesh.yml (answers_file: …)"
        )
    if "_commit" not in answers:
        raise MeshError(f"{name} does not say which version of the template this is (_commit)")
    return answers["_commit"]


def update(top: Path, answers: Path, to: str | None) -> str:
    """Runs Copier at the top of the repository, and returns the template's report."""
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults"]
    command += ["--skip-answered", "--conflict", "inline", "--answers-file", answers.as_posix()]
    command += ["--vcs-ref", to] if to else []
    token = "TEMPLATE_TOKEN" if os.environ.get("TEMPLATE_TOKEN") else "GH_TOKEN"
    return run(command, top, token)


def in_conflict(top: Path) -> list[str]:
    """Returns `path:lines` of each file in which both sides changed the same lines."""
    paths = git(top, "diff", "--name-only", "--diff-filter=U").splitlines()
    return [f"{path}:{','.join(_lines(top / path))}" for path in paths]


def _lines(path: Path) -> list[str]:
    body = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [str(number) for number, line in enumerate(body, 1) if line.startswith("<<<<<<< ")]


def propose(top: Path, folder: str, done: Update) -> str:
    """Pushes a branch and opens a pull request, unless they exist, and returns what it did.

    Raises MeshError.
    """
    branch = "/".join(filter(None, ("template", folder, done.new)))
    unaided = job.is_here() and not os.environ.get(APP)
    base = git(top, "rev-parse", "--abbrev-ref", "HEAD")
    title = done.title(folder)
    if git(top, "ls-remote", "origin", f"refs/heads/{branch}"):
        if there := pull_request(top, branch):
            number, state = there
            return f"the branch {branch} is there already, and its pull request {number} is {state}"
    else:
        git(top, "add", "--all")
        changed = git(top, "diff", "--cached", "--name-only").splitlines()
        if unaided and any(path.startswith(WORKFLOWS) for path in changed):
            raise MeshError(
                f"{title} changes workflows, which the job's own token may not push: name a GitHub "
                f"App in the variable {APP} (README.md), or run `copier update --trust` by hand"
            )
        git(top, "switch", "--quiet", "--create", branch)
        name, address = AUTHOR
        author = ("-c", f"user.name={name}", "-c", f"user.email={address}")
        git(top, *author, "commit", "--quiet", "--message", title)
        git(top, "push", "--quiet", "origin", f"{branch}:refs/heads/{branch}")
    body = f"{done.body}\n\n{CHECKS}" if unaided else done.body
    create = ["gh", "pr", "create", "--head", branch, "--base", base]
    create += ["--title", title, "--body", body]
    try:
        return opened(create, top, draft=bool(done.conflicts))
    except MeshError as error:
        if not unaided:
            raise
        raise MeshError(
            f"{error}. Is `{PERMITTED}` switched on (Settings, Actions, General)? Or name a GitHub "
            f"App in the variable {APP}. The branch {branch} is pushed"
        ) from None


def opened(create: list[str], top: Path, *, draft: bool) -> str:
    """Opens a pull request, not as a draft if the repository has none. Raises MeshError."""
    if draft:
        try:
            return run([*create, "--draft"], top)
        except MeshError as error:
            if NO_DRAFTS not in str(error).lower():
                raise
    return run(create, top)


def pull_request(top: Path, branch: str) -> tuple[int, str] | None:
    """Returns the number and state of the newest pull request of a branch from an earlier run; None
    where that run was stopped before it opened one.

    Pull requests of forks are left out: a fork may have a branch of that name, too.
    """
    fields = ("--state", "all", "--json", "number,state,isCrossRepository")
    said = run(["gh", "pr", "list", "--head", branch, *fields], top)
    with rest.understood("`gh pr list`"):
        own = [each for each in json.loads(said or "[]") if not each["isCrossRepository"]]
        return (int(own[0]["number"]), str(own[0]["state"]).lower()) if own else None


def git(folder: Path, *arguments: str) -> str:
    return run(["git", *arguments], folder)


def run(command: list[str], folder: Path, token: str = "GH_TOKEN") -> str:  # noqa: S107
    """Runs a command, and returns what it printed.

    token: the environment variable that holds git's token for GitHub. Its value stays in the
    environment. Raises MeshError with the line in which the command said why it failed.
    """
    server = job.server()
    environment = for_gh(server.partition("://")[2])
    if environment.get(token):
        helper = f'!f() {{ echo username=x-access-token; echo "password=${token}"; }}; f'
        environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"credential.{server}.helper",
            "GIT_CONFIG_VALUE_0": helper,
        }
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise MeshError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        what = "copier update" if "copier" in command else " ".join(command[:2])
        raise MeshError(f"{what}: {telling_line(done.stderr) or 'failed'}")
    return done.stdout.strip()
