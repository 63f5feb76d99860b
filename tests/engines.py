"""The engines that members run on, for the tests: `python -m tests.engines` makes them all.

Each has an environment below the one that runs this: `.venv/engines/1.10` and so on. Those of
dbt Core hold only what differs from this environment, which they see as well; v2 is a binary.
`make test` makes them. Where one cannot be made (v2 needs a binary for the machine, and npm for
its driver), its tests are skipped, which the summary says; in CI they fail.
"""

from __future__ import annotations

import json
import os
import shlex
import site
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbtmesh.config import Engine
from fleet import engines
from fleet.errors import FleetError
from tests import warm

PINS = {
    "1.10": ("dbt-core==1.10.23", "sqlparse==0.5.4"),
    # without dbt-core-experimental-parser, whose build fetches a binary
    "1.12": ("dbt-core==1.12.6", "metricflow==0.213.0"),
}
"""What an environment of a dbt Core holds, by release; the rest is this environment's."""
OURS = "1.11"
"""The release of dbt Core in this environment."""
V2 = "v2"
ALL = ("1.10", OURS, "1.12", V2)


_MARK = "\n--- next command ---\n"
_IN_ONE_PROCESS = f"""
import json, sys
from dbt.cli.main import dbtRunner
for words in json.loads(sys.argv[1]):
    done = dbtRunner().invoke(words)
    if done.exception:
        print(done.exception)
    print("status", 2 if done.exception else int(not done.success), end={_MARK!r}, flush=True)
"""


@dataclass(frozen=True)
class Dbt:
    """A dbt to run members on. release: one of ALL; program: its path."""

    release: str
    program: Path

    @property
    def engine(self) -> Engine:
        """What a member that runs on it answers."""
        return Engine.V2 if self.release == V2 else Engine.CORE

    @property
    def environment(self) -> dict[str, str]:
        """For a member's commands and their own calls of dbt."""
        path = f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"
        more = {"DBT_LOAD_STANDARD_SNOWFLAKE_DRIVER": "1"} if self.release == V2 else {}
        return {"PATH": path, **more}

    def run_all(
        self, folder: Path, environment: Mapping[str, str], *commands: str
    ) -> list[tuple[int, str]]:
        """Runs commands of dbt in a project, one after the other: exit status and output of each.

        Other releases of dbt Core than ours run them in one process, by its documented entry point
        for programs: most of a process's five seconds are imports.
        """
        words = [shlex.split(command) for command in commands]
        if self.release == OURS:
            whole = {**os.environ, **environment, **self.environment}
            ended = [warm.run([self.program, *each], folder, whole) for each in words]
            return [(each.returncode, each.stdout + each.stderr) for each in ended]
        if self.engine is Engine.V2:
            lines = [[str(self.program), *each] for each in words]
        else:
            python = self.program.with_name("python")
            lines = [[str(python), "-c", _IN_ONE_PROCESS, json.dumps(words)]]
        done = [
            subprocess.run(
                line,
                cwd=folder,
                env={**os.environ, **environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=500,
                check=False,
            )
            for line in lines
        ]
        if self.engine is Engine.V2:
            return [(each.returncode, each.stdout) for each in done]
        said = done[0].stdout.split(_MARK)
        results = [part.rpartition("status ") for part in said[:-1]]
        assert len(results) == len(words), done[0].stdout
        return [(int(status), output) for output, _, status in results]


def found(release: str) -> Dbt | None:
    """The dbt of that release, where its environment has been made."""
    if release == OURS:
        return Dbt(release, Path(sys.executable).parent / "dbt")
    if release == V2:
        program = engines.own() if engines.has_driver("duckdb") else None
        return Dbt(release, program) if program else None
    home = engines.folder() / release
    stamp = home / "done"
    done = stamp.is_file() and stamp.read_text().split() == list(PINS[release])
    return Dbt(release, home / "bin" / "dbt") if done else None


def make(release: str) -> None:
    """Makes the environment of a release. Raises FleetError."""
    if release == OURS:
        return
    if release == V2:
        engines.make(snowflake=True)
        if not engines.has_driver("duckdb"):
            raise FleetError("npm did not bring dbt v2's DuckDB driver")
        return
    home = engines.folder() / release
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    (packages,) = home.glob("lib/python*/site-packages")
    # a `.pth` file's lines that start with `import` are run, so that files of that kind count there
    lines = (f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages())
    (packages / "shared.pth").write_text("\n".join(lines))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", "--quiet", "--no-deps", *PINS[release]], check=False)
    if done.returncode:
        raise FleetError(f"dbt Core {release} cannot be installed here")
    (home / "done").write_text(" ".join(PINS[release]))


def main() -> int:
    """Makes what is missing; exit status 1 in CI where that fails."""
    failed = False
    for release in ALL:
        if not found(release):
            try:
                make(release)
            except FleetError as error:
                print(f"note: {error}; its tests are skipped", file=sys.stderr)
                failed = True
    return int(failed and bool(os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
