"""Finds or installs dbt v2 beside this repository's own dbt Core, for the demo and for the tests.

Both are called `dbt`, so v2 has an environment of its own, below the one that runs this code. Its
database drivers are ADBC libraries. It loads them from its environment's `lib` folder, and
downloads a driver itself if that folder has none:

  DuckDB      comes from the npm package of DuckDB's Node bindings, if npm is installed
  Snowflake   comes from the Python package adbc-driver-snowflake
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fleet.errors import FleetError

PIN = "2.0.0a4"
"""The version of the Python package dbt-core. Later ones are built on installation, which downloads
a binary."""
DUCKDB_PIN = "1.5.4-r.1"
"""The version of the npm packages @duckdb/node-bindings-…, with the DuckDB that this v2 expects."""
ADBC_SNOWFLAKE_PIN = "1.11.0"
SECONDS = 600
_WINDOWS = sys.platform == "win32"
_BIN = "Scripts" if _WINDOWS else "bin"
_LIBRARY = {"linux": "libduckdb.so", "darwin": "libduckdb.dylib", "win32": "duckdb.dll"}
_MACHINE = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
NO_DRIVER = re.compile(r"Failed to load `(\w+)` driver")
"""What v2 prints if it neither finds a driver nor can download it."""


def folder() -> Path:
    """Returns the folder for environments of other engines, below the one that runs this code."""
    return Path(sys.prefix) / "engines"


def program() -> Path:
    """Returns the program dbt v2: the first on PATH, or one in an environment that is made here.

    Raises FleetError where it cannot be installed.
    """
    found = on_path()
    if found is None and (found := own()) and not has_driver("duckdb"):
        _bring_duckdb(folder() / "v2" / "lib")  # npm may have been installed since
    return found or make()


def on_path() -> Path | None:
    """Returns the first `dbt` 2.x on PATH. It skips this environment's, which is dbt Core."""
    return next(filter(is_v2, _named_dbt()), None)


def _named_dbt() -> Iterator[Path]:
    ours = Path(sys.executable).parent
    for entry in os.get_exec_path():
        found = shutil.which("dbt", path=entry)
        if found and Path(found).parent != ours:
            yield Path(found)


def is_v2(program: Path) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and re.match(r"dbt\S* 2\.", done.stdout.strip()) is not None


def own() -> Path | None:
    """Returns the program in the environment of `make`, if that is complete and as pinned."""
    home = folder() / "v2"
    stamp = home / "done"
    return _program(home) if stamp.is_file() and stamp.read_text() == _pins() else None


def make(*, snowflake: bool = False) -> Path:
    """Makes an environment with dbt v2 and its driver for DuckDB, and for Snowflake if asked for.

    Returns the program. Without npm, v2 has to download the DuckDB driver itself. Raises FleetError
    where dbt v2 cannot be installed.
    """
    home = folder() / "v2"
    (home / "done").unlink(missing_ok=True)
    _install(home, f"dbt-core=={PIN}")
    (home / "lib").mkdir(exist_ok=True)
    if snowflake:
        _install(home, f"adbc-driver-snowflake=={ADBC_SNOWFLAKE_PIN}")
        (library,) = home.rglob("adbc_driver_snowflake/libadbc_driver_snowflake.so")
        shutil.copy(library, home / "lib" / library.name)
    _bring_duckdb(home / "lib")
    _offer(home)
    (home / "done").write_text(_pins())
    return _program(home)


def has_driver(name: str) -> bool:
    """Checks whether the environment holds the driver for `duckdb` or `snowflake`."""
    return any((folder() / "v2" / "lib").glob(f"*{name}*.*"))


def _pins() -> str:
    return f"{PIN} {DUCKDB_PIN} {ADBC_SNOWFLAKE_PIN} path"


def _program(home: Path) -> Path:
    """Returns the program's path. Its folder holds nothing else, so on PATH it hides no Python."""
    return home / "path" / ("dbt.exe" if _WINDOWS else "dbt")


def _offer(home: Path) -> None:
    offered = _program(home)
    offered.parent.mkdir(exist_ok=True)
    offered.unlink(missing_ok=True)
    installed = home / _BIN / offered.name
    try:
        offered.symlink_to(installed)
    except OSError:  # on systems where only administrators may create links
        shutil.copy(installed, offered)


def _install(home: Path, requirement: str) -> None:
    """Installs a package into the environment. Raises FleetError with pip's last line."""
    if not (home / "pyvenv.cfg").exists():
        venv.create(home, with_pip=False, symlinks=not _WINDOWS)
    python = home / _BIN / ("python.exe" if _WINDOWS else "python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    done = _run([*pip, "install", "--quiet", "--no-deps", requirement])
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise FleetError(
            f"dbt v2 cannot be installed here ({requirement}: {reason.removeprefix('ERROR: ')}): "
            "put a dbt 2.x on PATH, or stay on dbt Core"
        )


def _bring_duckdb(lib: Path) -> None:
    """Takes the DuckDB library from the npm package, if npm is installed and can download it."""
    system = sys.platform
    machine = _MACHINE.get(platform.machine().lower())
    npm = shutil.which("npm")
    if not npm or not machine or system not in _LIBRARY:
        return
    package = f"@duckdb/node-bindings-{system}-{machine}@{DUCKDB_PIN}"
    with tempfile.TemporaryDirectory() as scratch:
        done = _run([npm, "pack", "--silent", "--pack-destination", scratch, package])
        packed = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not packed:
            return
        with tarfile.open(packed[0]) as opened:
            held = opened.extractfile(f"package/{_LIBRARY[system]}")
            if held:
                with (lib / _LIBRARY[system]).open("wb") as library:
                    shutil.copyfileobj(held, library)


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
