"""The engines that members run on, for the tests: `python -m tests.engines` makes them all.

Each has an environment below the one that runs this: `.venv/engines/1.10` and so on. Those of
dbt Core hold only what differs from this environment, which they see as well; v2 is a binary.
`make test` makes them. Where one cannot be made (v2 needs a binary for the machine, and npm for
its driver), its tests are skipped, which the summary says; in CI they fail.
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
    # without dbt-core-experimental-parser, whose build fetches a binary
    "1.12": ("dbt-core==1.12.6", "metricflow==0.213.0"),
}
"""What an environment of a dbt Core holds, by release; the rest is this environment's."""
OURS = "1.11"
"""The release of dbt Core in this environment."""
V2 = "v2"
ALL = ("1.10", OURS, "1.12", V2)


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
        """For a member's commands and their own calls of dbt; dbt Core begins warm."""
        path = os.pathsep.join([str(self.folder), str(self.program.parent), os.environ["PATH"]])
        if self.release == V2:
            return {"PATH": path, "DBT_LOAD_STANDARD_SNOWFLAKE_DRIVER": "1"}
        return {"PATH": path, **warm.nested(self.server)}

    @property
    def folder(self) -> Path:
        """Where shells find it; dbt Core begins warm."""
        return (self.program if self.release == V2 else self.server.program("dbt")).parent

    @property
    def server(self) -> warm.Server:
        """Of a dbt Core, one that has been imported."""
        python = Path(sys.executable) if self.release == OURS else self.program.with_name("python")
        return warm.server(warm.DBT, python)

    def run_all(
        self, folder: Path, environment: Mapping[str, str], *commands: str
    ) -> list[tuple[int, str]]:
        """Runs commands of dbt in a project, one after the other: exit status and output of each.

        Those of dbt Core begin warm: most of a process's five seconds are imports.
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
    """The dbt of that release, where its environment has been made."""
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
    # a `.pth` file's lines that start with `import` are run, so that files of that kind count there
    lines = (f"import site; site.addsitedir({folder!r})" for folder in site.getsitepackages())
    (site_of(home) / "shared.pth").write_text("\n".join(lines))
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
