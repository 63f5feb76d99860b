"""dbt Core in a process that has imported it already, for the tests.

Most of what a short command of dbt costs is importing dbt. A server imports it once, and forks for
each command: the fork runs dbt's own entry point, with the folder, the environment and the output
that a process of its own would have, and ends as one. What one command leaves in memory no other
sees.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORTED = ("dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.snowflake", "dbt_loom")
READY_AFTER = 120
"""Seconds that the server may take to import everything."""


@dataclass(frozen=True)
class Server:
    """A running server. address: of its Unix socket."""

    address: str

    def run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs `dbt <words>`. Raises TimeoutExpired, having ended it."""
        with (
            tempfile.TemporaryFile("w+") as stdout,
            tempfile.TemporaryFile("w+") as stderr,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.connect(self.address)
            request = {"words": list(words), "folder": str(folder), "environment": {**environment}}
            body = json.dumps(request).encode() + b"\n"
            socket.send_fds(connection, [body[:1]], [stdout.fileno(), stderr.fileno()])
            connection.sendall(body[1:])
            connection.settimeout(timeout)
            with connection.makefile() as answers:
                process = int(answers.readline())
                try:
                    status = int(answers.readline())
                except TimeoutError:
                    os.kill(process, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(["dbt", *words], timeout) from None
            for output in (stdout, stderr):
                output.seek(0)
            return subprocess.CompletedProcess(
                ["dbt", *words], status, stdout.read(), stderr.read()
            )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server, as a context; its socket lies in `folder`, whose path has to be short."""
    address = str(folder / "dbt")
    process = subprocess.Popen([sys.executable, __file__, address])
    try:
        for _ in range(READY_AFTER * 20):
            if os.path.exists(address) or process.poll() is not None:  # noqa: PTH110
                break
            time.sleep(0.05)
        yield Server(address)
    finally:
        process.terminate()
        process.wait()


def serve(address: str) -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that answer
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address + ".new")
    listening.listen(16)
    os.rename(address + ".new", address)  # noqa: PTH104  from now on it answers
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            answer(connection)
            return
        connection.close()


def answer(connection: socket.socket) -> None:
    """In a fork of its own: runs the command in another one, and says how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    first, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile("rb") as lines:
        request = json.loads(first + lines.readline())
    process = os.fork()
    if process == 0:
        connection.close()
        run(request, outputs)  # does not return
    connection.sendall(f"{process}\n".encode())
    _, ended = os.waitpid(process, 0)
    with contextlib.suppress(OSError):  # who asked may have given up
        connection.sendall(f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def run(request: Mapping[str, Any], outputs: Sequence[int]) -> None:
    """dbt's entry point, as the program `dbt` calls it."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *outputs)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["dbt", *request["words"]]
    from dbt.cli.main import cli

    sys.exit(cli())


if __name__ == "__main__":
    serve(sys.argv[1])
