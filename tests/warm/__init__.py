"""Runs commands of the tests in a Python that has already imported what they need.

Imports take most of the time of a short command: five seconds for dbt, one for Snowflake's
connector. A server imports them once, and forks for each command (tests.warm.serve). The fork runs
the script or module in the folder, and with the environment, input and output, of a separate
process, and ends like one. No command sees what another leaves in memory. "Starts warm" means this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import shared
from tests.warm.client import PYTHON, TEXT_ALONE, request

READY_AFTER = 300
"""Seconds that the server may take to import everything."""
SERVER = ".warm"
"""Suffix of the files that hold the process ids of servers."""
BIN = Path(sys.executable).parent
CLIENT = Path(__file__).with_name("client.py")
ROOT = Path(__file__).resolve().parents[2]

DBT = ("dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.snowflake", "dbt_loom")
COMMANDS = (
    *("boto3", "botocore.session", "cryptography.hazmat.primitives.asymmetric.rsa", "msgspec"),
    *("requests", "snowflake.connector", "yaml"),  # for members
    "pytest",  # for tests.aws_world, in jobs
    "multiprocessing.spawn",  # keeps the Python that it starts, and passes what a fork cannot have
    *("copier", "copier_template_extensions", "plumbum.cli", "questionary", "rich.live"),
)
"""What each kind of server imports, besides the library."""


@dataclass(frozen=True)
class Server:
    """A running server. folder: holds its Unix socket and programs for shells. python: its
    interpreter."""

    folder: Path
    python: Path

    @property
    def address(self) -> str:
        return str(self.folder / "socket")

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        timeout: float,
        given: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command line of this Python: the program, and `-m module` or a script.

        given: its standard input. Raises TimeoutExpired after it has ended the command.
        """
        with (
            tempfile.TemporaryFile("w+") as stdin,
            tempfile.TemporaryFile("w+") as stdout,
            tempfile.TemporaryFile("w+") as stderr,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            stdin.write(given)
            stdin.seek(0)
            connection.connect(self.address)
            descriptors = [each.fileno() for each in (stdin, stdout, stderr)]
            variables = {os.fsencode(k): os.fsencode(v) for k, v in environment.items()}
            request(connection, descriptors, str(folder), words, variables)
            with connection.makefile() as answers:
                process = int(answers.readline())
                connection.settimeout(timeout)  # from now on, because the server may be busy
                try:
                    status = int(answers.readline())
                except TimeoutError:
                    os.kill(process, signal.SIGKILL)
                    raise subprocess.TimeoutExpired([*words], timeout) from None
            for output in (stdout, stderr):
                output.seek(0)
            return subprocess.CompletedProcess([*words], status, stdout.read(), stderr.read())

    def program(self, name: str, *, nested: str = "") -> Path:
        """Returns a program for shells that does what the environment's program of that name does.

        nested: a folder of this server for it. Programs of that folder that it starts start warm.
        """
        path = self.folder / (nested or "bin") / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            words = (self.address, str(self.python.with_name(name)))
            variable = f"os.environ[{PYTHON!r}] = {str(path)!r}" if nested else ""
            new = path.with_name(f"{name}.{os.getpid()}")
            new.write_text(
                # not a shell script: a shell would set $PWD
                f"#!{sys.executable} -IS\nimport os, sys\nsys.path.append({str(CLIENT.parent)!r})\n"
                f"import client\n{variable}\nclient.main(*{words!r}, *sys.argv[1:])\n"
            )
            new.chmod(0o755)
            new.rename(path)  # atomically, because processes share it
        return path


def start(modules: Sequence[str], python: Path, owner: int) -> tuple[Server, int]:
    """Starts a server that imports `modules` and the library. Returns it and its process id.

    It ends when it is terminated or when the process `owner` has ended, and removes its folder.
    """
    # the path of a socket has to be short
    server = Server(Path(tempfile.mkdtemp(dir="/tmp", prefix="warm")), python)
    command = [str(python), "-m", "tests.warm.serve", server.address, str(owner), *modules]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    for _ in range(READY_AFTER * 20):
        if os.path.exists(server.address):  # noqa: PTH110
            return server, process.pid
        if process.poll() is not None:
            raise RuntimeError("the warm Python has ended: what it printed says why")
        time.sleep(0.05)
    process.kill()
    raise TimeoutError(f"no warm Python after {READY_AFTER} s")


@cache
def server(modules: tuple[str, ...], python: Path = Path(sys.executable)) -> Server:
    """Returns the server that all processes of a run of the tests share; the first call starts it.

    python: the Python of another environment, whose programs it then runs.
    """
    with shared.alone(SERVER + "\0".join([str(python), *modules])) as place:
        if not place.exists():
            made, process = start(modules, python, shared.owner())
            place.with_suffix(SERVER).write_text(str(process))
            place.write_text(str(made.folder))
    return Server(Path(place.read_text()), python)


def run(
    words: Sequence[object],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    timeout: float = 300,
    given: str = "",
) -> subprocess.CompletedProcess[str]:
    """Runs a command without a terminal.

    Commands of this environment's Python or dbt start warm, and so do those that they start.
    environment: by default that of the tests.
    """
    environment = os.environ if environment is None else environment
    line = [*map(str, words)]
    line[0] = shutil.which(line[0], path=environment.get("PATH")) or line[0]
    if line[0] in (sys.executable, str(BIN / "copier"), str(BIN / "dbt")):
        modules = DBT if line[0] == str(BIN / "dbt") else COMMANDS
        return server(modules).run(line, folder, {**nested(), **environment}, timeout, given)
    return subprocess.run(
        line,
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def programs(dbt: Server | None = None) -> Path:
    """Returns a folder with `python`, `dbt` and `copier` that start warm, like an environment's.

    dbt: the server of another release than this environment's.
    """
    dbt = dbt or server(DBT)
    python = server(COMMANDS).program("python", nested=dbt.folder.name)
    copier = server(COMMANDS).program("copier")
    for name, of in {"python3": python, "copier": copier, "dbt": dbt.program("dbt")}.items():
        with contextlib.suppress(FileExistsError):
            python.with_name(name).symlink_to(of)
    return python.parent


def nested(dbt: Server | None = None) -> dict[str, str]:
    """Returns variables for commands that start Python, or the dbt beside it, to start it warm."""
    return {PYTHON: str(programs(dbt) / "python")}


def at_terminal() -> dict[str, str]:
    """Returns the same for a command in a terminal in which nobody presses Ctrl-C while it runs."""
    return {**nested(), TEXT_ALONE: "1"}


def tools() -> Path:
    """Returns a folder with `dbt` and `sqlfluff` that start warm."""
    dbt = server(DBT).program("dbt")
    sqlfluff = dbt.with_name("sqlfluff")
    with contextlib.suppress(FileExistsError):
        sqlfluff.symlink_to(server(COMMANDS).program("sqlfluff"))
    return dbt.parent


def close() -> None:
    """Ends the servers of all processes."""
    for place in shared.folder().glob(f"*{SERVER}"):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(int(place.read_text()), signal.SIGTERM)
    server.cache_clear()
