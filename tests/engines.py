"""Provides the engines that members run on in tests: `python -m tests.engines` installs them all.

Each has an environment below the one that runs this code: `.venv/engines/1.10` and so on. Those of
dbt Core contain only packages that differ from this environment, whose packages they also see; v2
is a binary. `make test` installs them. If one cannot be installed (v2 needs a binary for the
machine, and npm for its driver), its tests are skipped, and the summary says so; in CI they fail.
"""

from __future__ import annotations

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
from fleet import dbt_v2
from fleet.errors import FleetError
from tests import warm
from tests.job_pip import site_of

PINS = {
    "1.10": ("dbt-core==1.10.23", "sqlparse==0.5.4"),
    # without dbt-core-experimental-parser, whose build downloads a binary
    "1.12": ("dbt-core==1.12.6", "metricflow==0.213.0"),
}
"""The packages in an environment of dbt Core, by release. The rest comes from this environment."""
OURS = "1.11"
"""The release of dbt Core in this environment."""
V2 = "v2"
ALL = ("1.10", OURS, "1.12", V2)


@dataclass(frozen=True)
class Dbt:
    """A dbt to run members on. release: one of ALL. program: its path."""

    release: str
    program: Path

    @property
    def engine(self) -> Engine:
        """The answer `engine` of a member that runs on it."""
        return Engine.V2 if self.release == V2 else Engine.CORE

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a member's commands and their own calls of dbt. dbt Core starts warm."""
        path = os.pathsep.join([str(self.folder), str(self.program.parent), os.environ["PATH"]])
        if self.release == V2:
            return {"PATH": path, "DBT_LOAD_STANDARD_SNOWFLAKE_DRIVER": "1"}
        return {"PATH": path, **warm.nested(self.server)}

    @property
    def folder(self) -> Path:
        """The folder where shells find it. dbt Core starts warm."""
        return (self.program if self.release == V2 else self.server.program("dbt")).parent

    @property
    def server(self) -> warm.Server:
        """The server that has imported this dbt Core."""
        python = Path(sys.executable) if self.release == OURS else self.program.with_name("python")
        return warm.server(warm.DBT, python)

    def run_all(
        self, folder: Path, environment: Mapping[str, str], *commands: str
    ) -> list[tuple[int, str]]:
        """Runs commands of dbt in a project, in order. Returns exit status and output of each.

        Commands of dbt Core start warm, because imports take most of a process's five seconds.
        """
        whole = {**os.environ, **environment, **self.environment}
        ended = []
        for words in map(shlex.split, commands):
            line = [str(self.program), *words]
            if self.engine is Engine.V2:
                done = warm.run(line, folder, whole)
            else:
                done = self.server.run(line, folder, whole, timeout=300)
            ended.append((done.returncode, done.stdout + done.stderr))
        return ended


def found(release: str) -> Dbt | None:
    """Returns the dbt of that release, or None if its environment has not been made."""
    if release == OURS:
        return Dbt(release, Path(sys.executable).parent / "dbt")
    if release == V2:
        program = dbt_v2.own() if dbt_v2.has_driver("duckdb") else None
        return Dbt(release, program) if program else None
    home = dbt_v2.folder() / release
    stamp = home / "done"
    done = stamp.is_file() and stamp.read_text().split() == list(PINS[release])
    return Dbt(release, home / "bin" / "dbt") if done else None


def make(release: str) -> None:
    """Makes the environment of a release. Raises FleetError."""
    if release == OURS:
        return
    if release == V2:
        dbt_v2.make(snowflake=True)
        if not dbt_v2.has_driver("duckdb"):
            raise FleetError("npm did not bring dbt v2's DuckDB driver")
        return
    home = dbt_v2.folder() / release
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    # Python runs lines of a `.pth` file that start with `import`; this one reads `.pth` files there
    lines = (f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages())
    (site_of(home) / "shared.pth").write_text("\n".join(lines))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", "--quiet", "--no-deps", *PINS[release]], check=False)
    if done.returncode:
        raise FleetError(f"dbt Core {release} cannot be installed here")
    (home / "done").write_text(" ".join(PINS[release]))


def main() -> int:
    """Installs what is missing. Returns 1 in CI if that fails."""
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
