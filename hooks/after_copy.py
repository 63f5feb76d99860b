"""Runs in a member after `copier copy` and `copier recopy`.

    after_copy.py ANSWERS_FILE LIBRARY_VERSION quiet|"" CI_USER MESH_SCHEMA

Builds the library that the member's commands run on, then acts on the answer `setup`: `later`
prints the next steps, `plan` shows what would be created on Snowflake, and `now` creates it. Copier
deletes a new project whose task fails, so errors are only printed and the exit status is 0. Every
`copier copy` waits for this script, so modules are imported only where they are needed.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import library

UNTAGGED = re.compile(r"(.*-\d+-g)?[0-9a-f]{7,40}")
"""What `git describe --tags --always` prints for a commit without a tag."""


def main(
    answers_file: str,
    library_version: str,
    flag: str = "",
    ci_user: str = "",
    mesh_schema: str = "",
) -> None:
    print_whatever_the_terminal_takes()
    member = Path(answers_file).absolute().parent
    quiet = flag == "quiet"
    library.put_or_say(member, library_version, answers_file)
    try:
        answers = read_answers(Path(answers_file).read_text(encoding="utf-8"))
        # derived from answers, so the answers file does not have them
        answers |= {"ci_user": ci_user, "mesh_schema": mesh_schema}
        make_mesh_home(member)
        if answers.get("starter") == "false":
            import starter

            starter.make(member, answers)
            if "dbt_project.yml" not in answers.get("own_files", "").split(","):
                starter.leave_out_unused(member)
        warnings = (
            version_warning(answers.get("_commit", "")),
            source_warning(answers.get("_src_path", "")),
        )
        for warning in filter(None, () if quiet else warnings):
            print(f"\n{warning}", file=sys.stderr)
        import next_steps

        setup = answers.get("setup")
        report = next_steps.after_copy(answers, Path(answers_file), Path.cwd(), quiet=quiet)
        if setup in ("plan", "now"):
            import set_up_snowflake

            set_up_snowflake.run(member, answers)
        if lines := report.lines(steps=setup != "now"):
            print("\n".join(lines))
    except KeyboardInterrupt:
        print("\nStopped. The new project is complete: README.md has the next steps.")
    except Exception as error:  # if the task failed, Copier would delete the new member
        print(
            f"\nThe new project is complete, but the step after it failed ({error}): "
            "README.md has the next steps.",
            file=sys.stderr,
        )


def print_whatever_the_terminal_takes() -> None:
    """Makes stdout and stderr replace characters that they cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def read_answers(text: str) -> dict[str, str]:
    """Returns the answers in Copier's answers file: one `key: value` a line, as it writes scalars.

    It needs no YAML library, whose import would take longer than the rest of this script.
    """
    lines = re.findall(r"^(\w+): *(.*)$", text, flags=re.MULTILINE)
    return {key: value.strip().strip("'\"") for key, value in lines}


def make_mesh_home(member: Path) -> None:
    """Creates the folder that members on one machine share: DuckDB does not create folders."""
    home = member / os.environ.get("DBT_MESH_HOME", "../.mesh")
    try:
        if not home.resolve().is_dir():
            home.resolve().mkdir(parents=True)
            # where members share a repository, the folder is in it, and nobody should commit it
            (home / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        print(f"note: cannot make {home.resolve()}: {error.strerror}", file=sys.stderr)


def version_warning(commit: str) -> str:
    """Returns a warning if the template's version is not a tag: `copier update` starts from one."""
    if commit and not UNTAGGED.fullmatch(commit):
        return ""
    return (
        "warning: this project was made from an untagged version of the template "
        f"({commit or 'no git'}), and `copier update` cannot start from one.\n"
        "Before you work in it, tag the template (or choose a tag) and render it again: "
        "copier copy --trust --vcs-ref TAG …"
    )


SECRET = re.compile(r"(https?://)(?!git@)[^/@\s]+@")


def source_warning(source: str) -> str:
    """Returns a warning if the recorded location of the template does not work or holds a secret.

    A relative path works only from the folder where Copier was started.
    """
    if secret := SECRET.match(source):
        return (
            "warning: the template's URL holds a user or token, and this project has recorded it.\n"
            f"Before you commit, take it out of `_src_path` in the answers file ({secret[1]}"
            f"{source[secret.end() :]}), and let git sign in: `git config credential.helper`"
        )
    if not source or source.startswith(("/", "~")) or ":" in source:  # gh:, https:, git@host:
        return ""
    shell = Path(os.environ.get("PWD", ""))
    absolute = (shell / source).resolve() if (shell / source).exists() else "/PATH/TO/IT"
    return (
        f"warning: this project has recorded its template as {source}, which is relative to the "
        "folder that you are in, and `copier update` will not find it from the project.\n"
        "Before you work in it, render it again from a URL or an absolute path: "
        f"copier copy --trust {absolute} …"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
