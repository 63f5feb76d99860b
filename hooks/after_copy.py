"""Runs once in a new member, after `copier copy`: does what `setup` was answered.

    after_copy.py ANSWERS_FILE [quiet]

`later` prints the next steps, `plan` what would be created on Snowflake, `now` creates it.
Copier deletes a new project whose task fails, so whatever goes wrong here is said, and the exit
status is 0. Every `copier copy` waits for this: only what is needed is imported, and only then
(for `later` that leaves little more than the start of Python).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

UNTAGGED = re.compile(r"(.*-\d+-g)?[0-9a-f]{7,40}")
"""What `git describe --tags --always` says of a commit without a tag."""


def main() -> None:
    answers_file = Path(sys.argv[1])
    member = answers_file.absolute().parent
    try:
        answers = read_answers(answers_file.read_text(encoding="utf-8"))
        make_mesh_home(member)
        quiet = sys.argv[2:] == ["quiet"]
        warnings = (
            version_warning(answers.get("_commit", "")),
            source_warning(answers.get("_src_path", "")),
        )
        for warning in filter(None, () if quiet else warnings):
            print(f"\n{warning}", file=sys.stderr)
        if answers.get("setup") in ("plan", "now"):
            import set_up_snowflake

            set_up_snowflake.run(member, answers)
        if answers.get("setup") != "now" and not quiet:
            # Copier runs this at the top of the repository
            print(next_steps(answers, folder_to_enter(Path.cwd())))
    except KeyboardInterrupt:
        print("\nStopped. The new project is complete: README.md has the next steps.")
    except Exception as error:  # whatever it is, it must not delete the new member
        print(
            f"\nThe new project is complete, but the step after it failed ({error}): "
            "README.md has the next steps.",
            file=sys.stderr,
        )


def read_answers(text: str) -> dict[str, str]:
    """Copier's answers file as text by key: one `key: value` a line, as Copier writes scalars.

    No YAML library: importing one takes longer than all the rest of this.
    """
    lines = re.findall(r"^(\w+): *(.*)$", text, flags=re.MULTILINE)
    return {key: value.strip().strip("'\"") for key, value in lines}


def make_mesh_home(member: Path) -> None:
    """The folder that members on one machine share; DuckDB does not make the ones it needs."""
    home = member / os.environ.get("DBT_MESH_HOME", "../.mesh")
    try:
        if not home.resolve().is_dir():
            home.resolve().mkdir(parents=True)
            # of a shared repository it is a folder, and nobody's to commit
            (home / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        print(f"note: cannot make {home.resolve()}: {error.strerror}", file=sys.stderr)


def version_warning(commit: str) -> str:
    """What to say of a member whose template version is no tag: `copier update` starts from one."""
    if commit and not UNTAGGED.fullmatch(commit):
        return ""
    return (
        f"warning: this project is of an untagged version of the template ({commit or 'no git'}), "
        "and `copier update` cannot start from one.\n"
        "Before you work in it, tag the template (or choose a tag) and render it again: "
        "copier copy --trust --vcs-ref TAG …"
    )


def source_warning(source: str) -> str:
    """What to say of a template that the member knows by a path from where Copier was started."""
    if not source or source.startswith(("/", "~")) or ":" in source:  # gh:, https:, git@host:
        return ""
    shell = Path(os.environ.get("PWD", ""))
    absolute = (shell / source).resolve() if (shell / source).exists() else "/PATH/TO/IT"
    return (
        f"warning: this project has recorded its template as {source}, seen from the folder that "
        "you are in, and `copier update` will not find it from there.\n"
        "Before you work in it, render it again from a URL or an absolute path: "
        f"copier copy --trust {absolute} …"
    )


def folder_to_enter(repository: Path) -> str:
    """The repository as seen from the shell that started Copier."""
    folder = os.path.relpath(repository, os.environ.get("PWD") or repository.parent)
    return str(repository) if folder.startswith(f"..{os.sep}..") else folder


def next_steps(answers: Mapping[str, str], folder: str) -> str:
    """The numbered next steps of a new member; folder: of the repository."""
    kind = answers.get("kind", "")
    project = answers.get("working_directory") or "."
    commit = "git commit -m 'From copier-dbt-mesh'"
    if project == ".":
        keep = [f"git init -b {answers.get('deploy_branch', 'main')}", f"git add -A && {commit}"]
        update = "copier update --trust --ask snowflake_account"
    else:
        keep = [f"git add {project} .github && {commit}", f"cd {project}"]
        top = "/".join([".."] * len(Path(project).parts))
        which = f"--answers-file {project}/.copier-answers.yml"
        update = f"(cd {top} && copier update --trust {which} --ask snowflake_account)"
    enter = [] if folder == "." else [f"cd {_quoted(folder)}"]
    sync = [".venv/bin/python scripts/sync_mesh.py"] if kind == "native" else []
    account = [] if answers.get("snowflake_account") else [f"{update}   # name the account"]
    key_pairs = (
        []
        if answers.get("auth") == "workload_identity"
        else [
            "./setup_keypair_auth.sh create --connection NAME",
            f"./setup_keypair_auth.sh create --connection NAME --user {ci_user(answers)}",
        ]
    )
    steps = {
        "Put it under version control:": [*enter, *keep],
        "Build it on your laptop"
        + (":" if kind == "upstream" else ", once what it reads has been published there:"): [
            "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt -c constraints.txt",
            *sync,
            ".venv/bin/dbt build",
        ],
        "Set up Snowflake (NAME: a connection of connections.toml):": [
            *account,
            ".venv/bin/python scripts/snowflake_access.py plan    # what would be created",
            ".venv/bin/python scripts/snowflake_access.py apply --connection NAME",
            *key_pairs,
            ".venv/bin/python scripts/snowflake_access.py verify --connection NAME",
        ],
        "Read on in README.md: deploying, CI, the registry.": [],
    }
    lines = [f"\n{answers.get('project_name', 'The project')} is ready. Next:"]
    for number, (title, commands) in enumerate(steps.items(), start=1):
        lines += [f"  {number}. {title}", *(f"       {command}" for command in commands)]
    return "\n".join(lines)


def ci_user(answers: Mapping[str, str]) -> str:
    """The user that pull requests sign in as."""
    return f"{answers['database_prefix']}_CI_SVC"


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./+-]+", path) else "'" + path.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    main()
