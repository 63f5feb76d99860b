"""Checks an updated member by running its code, with as few rights as its own CI has.

A check runs as the operator's user, so it can read by an absolute path what that user can read;
docs/fleet.md says what else it can do.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dbtmesh import MeshError
from dbtmesh.config import Engine, load_member
from dbtmesh.downstream.committed import manifest_path
from fleet import dbt_v2, sandbox
from fleet.git import GitError
from fleet.members import Member
from fleet.protected_commit import Kept

CHECK_SECONDS = 900
STUB_MESH = "scripts/stub_mesh.py"
"""The member's command that makes stub tables of what it reads."""

ALLOWED = re.compile(
    r"LANG|LANGUAGE|LC_\w+|TZ|TERM|COLUMNS|NO_COLOR"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|PYTHONUTF8|PYTHONWARNINGS|PYTHONDONTWRITEBYTECODE"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE"
    r"|SYSTEMROOT|SYSTEMDRIVE|COMSPEC|PATHEXT|NUMBER_OF_PROCESSORS|PROCESSOR_ARCHITECTURE"
)
"""Variables that members' code may see. A proxy's are not among them: they may hold a password."""


def run_checks(checks: Sequence[str], kept: Kept, member: Member) -> str:
    """Returns in one line which check failed first, and why; empty if none failed."""
    if not checks:
        return ""
    with kept.files(kept.commit) as clone:
        failed = first_failure(checks, clone, member)
    if not failed:
        return ""
    with kept.files(kept.parent) as clone:
        before = first_failure(checks, clone, member)
    command, said = failed
    since = "failed before, too" if before and before[0] == command else "fails"
    return f"`{command}` {since}: {said}"


def first_failure(checks: Sequence[str], clone: Path, member: Member) -> tuple[str, str] | None:
    """Runs the checks in a clone. Returns the first that fails and its error, or None.

    As in the member's CI, its packages are installed, and stub tables are made from the contracts
    that it has committed. If it has committed none, checks see this machine's mesh.
    """
    project = clone / member.subfolder
    theirs = (member.folder or Path.cwd() / Path(member.place).name) / member.subfolder
    read = upstreams_of(project)
    committed = [name for name in read if (project / manifest_path(name)).is_file()]
    with tempfile.TemporaryDirectory(dir=clone.parent) as home:
        environment = {"DBT_MESH_HOME": home}
        if read and not committed:
            ours = os.environ.get("DBT_MESH_HOME", str(theirs.parent / ".mesh"))
            lend(Path(ours), Path(home), local_database_of(project))
        some = [] if committed == read else [f"--upstream {name}" for name in committed]
        has_stubs = (project / STUB_MESH).is_file() and (committed or not read)
        before = [
            *(["dbt deps"] if has_packages(project) else []),
            *([" ".join([f"{STUB_MESH} --offline", *some])] if has_stubs else []),
        ]
        for command in [*before, *checks]:
            if said := run_in_member(command, clone, member, environment):
                return command, said
    return None


def lend(ours: Path, home: Path, own: str) -> None:
    """Links the files of this machine's mesh into the home that a check may write to.

    So the check can read what others have built and published here, but cannot change it.
    own: the file that the check makes itself, which is not linked.
    """
    with suppress(OSError):  # if there is no mesh, the check reports it
        for each in ours.iterdir():
            if each.name != own:
                (home / each.name).symlink_to(each.absolute())


def local_database_of(project: Path) -> str:
    """Returns the name of a member's own DuckDB file, as in its profiles.yml."""
    try:
        return f"{load_member(project).local_database}.duckdb"
    except (MeshError, OSError):
        return ""


def has_packages(project: Path) -> bool:
    """Checks whether the project has dbt packages, in the same way as the members' CI."""
    files = (project / "packages.yml", project / "dependencies.yml")
    return any(
        line.startswith(b"packages:")
        for file in files
        if file.is_file()
        for line in file.read_bytes().splitlines()
    )


def upstreams_of(project: Path) -> list[str]:
    """Returns the projects that a member reads, by its mesh.yml."""
    try:
        return [each.name for each in load_member(project).upstreams]
    except (MeshError, OSError):
        return []  # the check reports what is wrong


def run_in_member(command: str, clone: Path, member: Member, environment: Mapping[str, str]) -> str:
    """Runs a command in a member. Returns its error in one line, or the empty string.

    environment: variables that it needs besides those of the machine. It sees nothing else of the
    operator's environment: no tokens, no credentials, and an empty home. It can write to the clone,
    to that home, and to its DBT_MESH_HOME.
    """
    project = clone / member.subfolder
    paths = [Path(sys.executable).parent]
    if runs_on_v2(project) and (v2 := dbt_v2.on_path() or dbt_v2.own()):
        paths = [v2.parent, *paths]
    if member.folder:
        # the environment of the project, or one for the whole repository
        environments = dict.fromkeys([member.folder / member.subfolder, member.folder])
        paths = [*(folder / ".venv" / "bin" for folder in environments), *paths]
    with tempfile.TemporaryDirectory(prefix="fleet.home.", ignore_cleanup_errors=True) as home:
        scratch = Path(home, ".tmp")
        scratch.mkdir()
        try:
            sandbox.run(
                shlex.split(command),
                project,
                seconds=CHECK_SECONDS,
                writable=[clone, Path(home), Path(environment["DBT_MESH_HOME"])],
                environment={
                    **machine(os.environ),
                    "PATH": os.pathsep.join([*map(str, paths), os.environ.get("PATH", "")]),
                    "HOME": home,
                    "USERPROFILE": home,
                    **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)),
                    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                    "DBT_USE_COLORS": "false",
                    **environment,
                },
            )
        except GitError as error:
            return str(error).replace(f"{project}/", "")
    return ""


def runs_on_v2(project: Path) -> bool:
    try:
        return load_member(project).engine is Engine.V2
    except (MeshError, OSError):
        return False  # the check reports what is wrong


def machine(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that describe the machine, without those of the person who uses it."""
    return {name: text for name, text in environment.items() if ALLOWED.fullmatch(name.upper())}
