"""Reports what to do after `copier copy`, as numbered steps that fit the repository around it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from join import Joined


REQUIREMENTS = ("requirements.txt", "requirements-mesh.txt")
"""The second exists where the first is a team's lock file: see src/dbtmesh/installed.py."""


def installs(project: Path, at: str = "") -> list[str]:
    """Returns the commands that install a project's requirements.

    at: the path of its folder from where they run, with a slash at the end.
    """
    first, second = REQUIREMENTS
    files = [first, second] if (project / second).is_file() else [first]
    return [f"pip install -r {at}{name} -c {at}constraints.txt" for name in files]


class Repository(NamedTuple):
    """The git repository around a copy.

    top: its folder.
    has_member: whether the answers file is committed, so that this was not the first copy.
    """

    top: Path
    has_member: bool


def repository_of(copied: Path, answers_file: Path) -> Repository | None:
    """Returns the repository around a copy, or None. Runs git only where there is a `.git`."""
    top = next((folder for folder in (copied, *copied.parents) if (folder / ".git").exists()), None)
    if not top:
        return None
    import subprocess

    known = ["git", "cat-file", "-e", f"HEAD:./{answers_file.as_posix()}"]
    done = subprocess.run(known, cwd=copied, capture_output=True, check=False)
    return Repository(top, has_member=done.returncode == 0)


class Report(NamedTuple):
    """What a copy did, as lines.

    had: about files that existed already.
    next_steps: what to do next.
    more: costs, warnings and findings.
    """

    had: Sequence[str] = ()
    next_steps: Sequence[str] = ()
    more: Sequence[str] = ()

    def lines(self, *, steps: bool) -> list[str]:
        return [*self.had, *(self.next_steps if steps else ()), *self.more]


def after_copy(
    answers: Mapping[str, str], answers_file: Path, copied: Path, *, quiet: bool
) -> Report:
    """Joins the copy with existing files, and returns the report.

    With `quiet`, the report is empty, and files are joined only if `own_files` names some.

    copied: the folder that Copier wrote into, which is the top of the member's repository.
    """
    repository = repository_of(copied, answers_file)
    project = answers.get("project_name", "The project")
    if repository and repository.has_member:
        anew = rendered_anew(project, answers.get("_commit", ""))
        return Report(next_steps=[] if quiet else [anew])
    joined = None
    # with `quiet`, nobody sees the list of paths for `git add`
    if answers.get("own_files") or (repository and not quiet):
        import join

        joined = join.join(answers_file, copied)
    if quiet:
        return Report()
    had = [f"  {line}" for line in joined.told] if joined else []
    lines = [f"\n{project} is ready. Next:"]
    steps = numbered(answers, answers_file, copied, repository, joined)
    for number, (title, commands) in enumerate(steps.items(), start=1):
        lines += [f"  {number}. {title}", *(f"       {command}" for command in commands)]
    more = costs(answers)
    if repository and repository.top != copied:
        more += ["", *misplaced(repository.top, copied, answers_file)]
    if joined:
        import doctor

        more += doctor.told(joined.findings)
    return Report(
        had=[f"\nFiles that {project} had already:", *had] if had else [],
        next_steps=lines,
        more=more,
    )


def costs(answers: Mapping[str, str]) -> list[str]:
    """Returns a note on what `deployment=independent` costs, because Copier may not have asked."""
    if answers.get("deployment") != "independent" or answers.get("kind") == "upstream":
        return []
    if answers.get("mesh_schema"):
        return [
            "",
            "note: deployment=independent checks for changes every 6 hours, which wakes the "
            "warehouse: about",
            "3 credits a month of an XSMALL warehouse (the answer monthly_credits is the limit).",
        ]
    return [
        "",
        "note: deployment=independent checks for changes every 15 minutes, which is about 2,900 "
        "minutes of GitHub",
        "Actions a month. A private repository pays for those beyond its plan's.",
    ]


def misplaced(top: Path, copied: Path, answers_file: Path) -> list[str]:
    """Returns the warning for a copy that was run in a folder of a repository, not at its top."""
    folder = (copied / answers_file.parent).relative_to(top).as_posix()
    return [
        f"warning: {copied} is a folder of the repository {top}, and GitHub runs no workflows that "
        "are not at its top.",
        f"Delete what this copy wrote, and run it there: cd {_quoted(str(top))} && copier copy "
        f"--trust --answers-file {folder}/{answers_file.name} TEMPLATE .",
    ]


def rendered_anew(project: str, version: str) -> str:
    """Returns the report on a copy into an existing member, which is what `copier recopy` does."""
    return (
        f"\n{project} is rendered anew from {version} of the template, with your answers. Your "
        "edits of its files\nare no longer in them, but in git:\n"
        "  git diff             what changed\n"
        "  git checkout -p      take back what you want to keep\n"
        "  git status           what is new; commit what you keep"
    )


def numbered(
    answers: Mapping[str, str],
    answers_file: Path,
    copied: Path,
    repository: Repository | None,
    joined: Joined | None,
) -> dict[str, list[str]]:
    """Returns the commands of each step, by its title."""
    kind = answers.get("kind", "")
    update = "copier update --trust --skip-answered --ask snowflake_account"
    project = answers_file.parent.as_posix()
    if answers_file.as_posix() != ".copier-answers.yml":
        update += f" --answers-file {answers_file.as_posix()}"
    if project != ".":
        update = f"(cd {'/'.join(['..'] * len(Path(project).parts))} && {update})"
    own = answers.get("own_files", "").split(",")
    failing = "    # if it fails: scripts/doctor.py --leave-out" if "dbt_project.yml" in own else ""
    readme = "README.md.mesh" if "README.md" in own else "README.md"
    sync = [".venv/bin/python scripts/sync_mesh.py"] if kind != "upstream" else []
    account = [] if answers.get("snowflake_account") else [f"{update}   # name the account"]
    apply = ".venv/bin/python scripts/snowflake_access.py apply --connection NAME"
    set_up = (
        [
            "./setup_keypair_auth.sh create    # first: only the branch that deploys may sign in",
            apply,
        ]
        if answers.get("auth") == "workload_identity"
        else [
            apply,
            "./setup_keypair_auth.sh create --connection NAME",
            f"./setup_keypair_auth.sh create --connection NAME --user {answers['ci_user']}",
        ]
    )
    registry = ", and the registry in it" if answers.get("registry") == "snowflake" else ""
    return {
        "Put it under version control:": version_control(
            answers, project, copied, repository, joined
        ),
        "Build it on your laptop"
        + (":" if kind == "upstream" else ", once what it reads has been published there:"): [
            *installing(copied / project, own, joined),
            *sync,
            *(what_is_there(copied / project, kind) if answers.get("starter") != "true" else []),
            f".venv/bin/dbt build{' --target local' if 'profiles.yml' in own else ''}{failing}",
        ],
        f"Set up Snowflake{registry} (NAME: a connection of connections.toml):": [
            *account,
            ".venv/bin/python scripts/snowflake_access.py plan    # what would be created",
            *set_up,
            ".venv/bin/python scripts/snowflake_access.py verify --connection NAME",
        ],
        f"Read on in {readme}: your own login, other projects, publishing, CI and deploys.": [],
    }


def in_venv(project: Path) -> str:
    return " && ".join(f".venv/bin/{command}" for command in installs(project))


def installing(project: Path, own: Sequence[str], joined: Joined | None) -> list[str]:
    """Returns the commands that make the environment, and the doctor's fixes that dbt needs.

    Versions of dbt that are too old for the mesh are fixed before they are installed.
    """
    mended = [each.where for each in joined.findings if each.edits] if joined else []
    if not mended:
        return [f"python3 -m venv .venv && {in_venv(project)}"]
    script = "-m dbtmesh doctor" if "scripts/doctor.py" in own else "scripts/doctor.py"
    fix = f".venv/bin/python {script} --fix    # shows what it changes, and why"
    first, *more = [f".venv/bin/{command}" for command in installs(project)]
    if REQUIREMENTS[0] in mended and more:
        return [f"python3 -m venv .venv && {' && '.join(more)}", fix, first]
    return [f"python3 -m venv .venv && {in_venv(project)}", fix]


def what_is_there(project: Path, kind: str) -> list[str]:
    """Returns the commands that an existing project needs before it builds.

    They install its packages, and make stub tables for the sources that a loader fills.
    """
    packages = any(
        (project / name).is_file() and re.search("^packages:", _text(project / name), re.MULTILINE)
        for name in ("packages.yml", "dependencies.yml")
    )
    declares = (
        _text(path)
        for pattern in ("*.yml", "*.yaml")
        for folder in model_folders(project)
        for path in (project / folder).rglob(pattern)
        if not path.name.startswith("_mesh_")
    )
    reads = any(re.search("^sources:", text, re.MULTILINE) for text in declares)
    env = "" if kind == "upstream" else " --env local"
    stand_ins = (
        f".venv/bin/python scripts/stub_mesh.py{env}    "
        "# stub tables for sources (from columns or samples/)"
    )
    return [*([".venv/bin/dbt deps"] if packages else []), *([stand_ins] if reads else [])]


def model_folders(project: Path) -> list[str]:
    """Returns the folders of models, as far as one setting of dbt_project.yml tells."""
    file = project / "dbt_project.yml"
    named = re.search(
        r"^(?:model|source)-paths: *(\[.*?\]|(?:\n *- .*)+)",
        _text(file) if file.is_file() else "",
        re.MULTILINE,
    )
    return re.findall(r"[\w./-]*\w[\w./-]*", named[1]) if named else ["models"]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def version_control(
    answers: Mapping[str, str],
    project: str,
    copied: Path,
    repository: Repository | None,
    joined: Joined | None,
) -> list[str]:
    """Returns the commands that commit the copy, and nothing else in an existing repository."""
    folder = folder_to_enter(copied)
    commands = [] if folder == "." else [f"cd {_quoted(folder)}"]
    commit = "git commit -m 'From copier-dbt-mesh'"
    if repository and joined:
        import join

        added = [_quoted(path) for path in join.to_add(joined.written, copied)]
        forced = [_quoted(path) for path in join.to_force(joined.written, copied)]
        commands += ["git status    # nothing of yours was replaced", f"git add {' '.join(added)}"]
        if forced:
            commands.append(f"git add --force {' '.join(forced)}    # your .gitignore names it")
        # naming the paths leaves out what the team had staged before
        commands.append(f"{commit} -- {' '.join([*added, *forced])}" if joined.staged else commit)
    elif repository:
        commands += [f"git add {project} .github", commit]
    else:
        branch = answers.get("deploy_branch", "main")
        commands += [f"git init -b {branch}", f"git add -A && {commit}"]
    if not git_knows_who_commits():
        commands.insert(-1, f"{SAY_WHO_COMMITS}   # git does not know yet who commits")
    return commands if project == "." else [*commands, f"cd {project}"]


SAY_WHO_COMMITS = (
    "git config --global user.name 'YOU' && git config --global user.email YOU@ADDRESS"
)


def git_knows_who_commits() -> bool:
    """Checks whether git knows the author: otherwise it asks `Please tell me who you are`.

    It reads git's variables and files, because running git would cost every copy a process.
    """
    if os.environ.get("GIT_COMMITTER_EMAIL") or os.environ.get("EMAIL"):
        return True
    home = Path(os.environ.get("HOME") or "~").expanduser()
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "git/config")
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    files = [Path(named)] if named else [home / ".gitconfig", settings]
    for file in (*files, Path("/etc/gitconfig")):
        # a file that is included may set the address: it is not read here
        if file.is_file() and re.search(r"^\s*(email\s*=|\[include)", _text(file), re.MULTILINE):
            return True
    return False


def folder_to_enter(repository: Path) -> str:
    """Returns the path of the repository from the shell that started Copier."""
    folder = os.path.relpath(repository, os.environ.get("PWD") or repository.parent)
    return str(repository) if folder.startswith(f"..{os.sep}..") else folder


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./+-]+", path) else "'" + path.replace("'", "'\\''") + "'"
