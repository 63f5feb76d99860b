"""Checks an updated member by running its code, with as few rights as its own CI has.

What a check can still do is told in docs/fleet.md: it runs as the operator's user, so it can read
what that user can read by an absolute path.
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
"""What a member makes stand-ins of what it reads with."""

ALLOWED = re.compile(
    r"LANG|LANGUAGE|LC_\w+|TZ|TERM|COLUMNS|NO_COLOR"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|PYTHONUTF8|PYTHONWARNINGS|PYTHONDONTWRITEBYTECODE"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE"
    r"|SYSTEMROOT|SYSTEMDRIVE|COMSPEC|PATHEXT|NUMBER_OF_PROCESSORS|PROCESSOR_ARCHITECTURE"
)
"""Variables that members' code may see. Those of a proxy are left out: they may hold a password."""


def run_checks(checks: Sequence[str], kept: Kept, member: Member) -> str:
    """What the first check that fails found, in one line; empty where none did."""
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
    """Which check fails on what is checked out, and what it said.

    As in the member's CI: with its packages, and stand-ins of what it reads, made of the contracts
    that it has committed. Where it has none, with this machine's registry.
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
    """Links what this machine's mesh holds into a home that a check may write to: it reads what
    others have built and published here, and changes none of it. own: what it makes itself."""
    with suppress(OSError):  # there is none, and the check will say so
        for each in ours.iterdir():
            if each.name != own:
                (home / each.name).symlink_to(each.absolute())


def local_database_of(project: Path) -> str:
    """The file of a member's own database on DuckDB, as profiles.yml names it."""
    try:
        return f"{load_member(project).local_database}.duckdb"
    except (MeshError, OSError):
        return ""


def has_packages(project: Path) -> bool:
    """As the members' CI asks before it installs them."""
    files = (project / "packages.yml", project / "dependencies.yml")
    return any(
        line.startswith(b"packages:")
        for file in files
        if file.is_file()
        for line in file.read_bytes().splitlines()
    )


def upstreams_of(project: Path) -> list[str]:
    """The projects that a member reads, by its mesh.yml."""
    try:
        return [each.name for each in load_member(project).upstreams]
    except (MeshError, OSError):
        return []  # the check will say what is wrong


def run_in_member(command: str, clone: Path, member: Member, environment: Mapping[str, str]) -> str:
    """What the command said when it failed, in one line; empty where it did not.

    environment: what it needs on top of the machine's own. It sees nothing else of the operator's
    environment: no token of theirs, no credentials, an empty home. It writes to the clone, to that
    home and to its DBT_MESH_HOME.
    """
    project = clone / member.subfolder
    paths = [Path(sys.executable).parent]
    if runs_on_v2(project) and (v2 := dbt_v2.on_path() or dbt_v2.own()):
        paths = [v2.parent, *paths]
    if member.folder:
        # of the project, or of all
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
        return False  # the check will say what is wrong


def machine(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell of the machine, not of who uses it."""
    return {name: text for name, text in environment.items() if ALLOWED.fullmatch(name.upper())}
