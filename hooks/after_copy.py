"""Runs in a member after `copier copy` and `copier recopy`.

    after_copy.py ANSWERS_FILE LIBRARY_VERSION quiet|"" CI_USER MESH_SCHEMA

Builds the library of the member's commands, then does what `setup` was answered: `later` prints
the next steps, `plan` what would be created on Snowflake, `now` creates it. Copier deletes a new
project whose task fails, so whatever goes wrong here is said, and the exit status is 0. Every
`copier copy` waits for this: only what is needed is imported, and only then.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import library

UNTAGGED = re.compile(r"(.*-\d+-g)?[0-9a-f]{7,40}")
"""What `git describe --tags --always` says of a commit without a tag."""


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
        # worked out of answers, and so not recorded
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
    except Exception as error:  # whatever it is, it must not delete the new member
        print(
            f"\nThe new project is complete, but the step after it failed ({error}): "
            "README.md has the next steps.",
            file=sys.stderr,
        )


def print_whatever_the_terminal_takes() -> None:
    """A character that the terminal does not have must not hide the rest of a report."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


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


SECRET = re.compile(r"(https?://)(?!git@)[^/@\s]+@")


def source_warning(source: str) -> str:
    """What to say of a template that the member knows by a path from where Copier was started, or
    by a URL that holds what nobody else should have."""
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
        f"warning: this project has recorded its template as {source}, seen from the folder that "
        "you are in, and `copier update` will not find it from there.\n"
        "Before you work in it, render it again from a URL or an absolute path: "
        f"copier copy --trust {absolute} …"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
