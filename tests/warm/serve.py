"""Runs the server of tests.warm: `python -m tests.warm.serve ADDRESS OWNER MODULE [MODULE ...]`."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import multiprocessing
import os
import pkgutil
import runpy
import select
import shutil
import signal
import site
import socket
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Sequence
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NoReturn

from tests.warm.client import PASSED_ON, PYTHON

LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
"""Variables from which Python takes its encoding when it starts. For a fork it is too late for
these and for those that begin with PYTHON. The first that is set counts."""
UTF_8 = {"C", "POSIX", "C.UTF-8", "C.utf8"}
"""Locales in which Python's encoding is UTF-8."""
QUIET = ("PYTHONWARNINGS", "ignore")
"""The only variable of Python that a fork can still apply."""
KEY_BITS = "TESTS_WARM_KEY_BITS"
"""Variable with the length of key pairs that the library makes: with 2048 bits instead of 3072,
making one takes a fifth of the time, and checking it, at each read, a third."""
LIBRARY = "dbtmesh"
LIVE = 1
"""Seconds between checks whether the clients and the owner of the server still exist."""
SELDOM = (50_000, 20, 50)
"""Thresholds of the garbage collection: a command ends before it has much garbage."""
HARMLESS = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
"""Variables that do not change what a command does."""


ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "dbt_project.yml": "name: warm\nprofile: warm\non-run-end: select 1\n",
    "profiles.yml": """
warm:
  target: local
  outputs:
    local: {type: duckdb, schema: marts}
    snowflake: {type: snowflake, account: a, user: u, database: d, schema: s, password: p}
""",
    "seeds/s.csv": "id\n1\n",
    "models/m.sql": "select * from {{ source('raw', 't') }} join {{ ref('s') }} using (id)\n",
    "models/m.yml": """
sources: [{name: raw, tables: [{name: t}]}]
seeds: [{name: s, config: {column_types: {id: integer}}}]
models:
  - name: m
    config: {contract: {enforced: true}, access: public, post-hook: select 1}
    columns: [{name: id, data_type: integer, constraints: [type: not_null], data_tests: [unique]}]
unit_tests:
  - {name: u, model: m, given: [{input: ref('s'), rows: []}], expect: {rows: [{id: 1}]}}
exposures: [{name: e, type: dashboard, owner: {name: Ada}, depends_on: [ref('m')]}]
""",
}


def parse_once() -> None:
    """Makes dbt build from its classes what it otherwise builds on first use, in two seconds."""
    from dbt.adapters.factory import reset_adapters
    from dbt.adapters.snowflake.connections import SnowflakeCredentials
    from dbt.cli.main import dbtRunner
    from dbt.deprecations import reset_deprecations

    with tempfile.TemporaryDirectory() as folder:
        for name, text in PROJECT.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        where = ["--project-dir", folder, "--profiles-dir", folder, "--log-level-file", "none"]
        for target in ("snowflake", "local", "local"):  # the last reuses what the second kept
            # dbt's static parser starts threads, which a fork lacks and would wait for forever
            command = ["--quiet", "--no-static-parser", "parse", "--target", target, *where]
            done = dbtRunner().invoke(command)
            if not done.success:
                raise RuntimeError(f"dbt cannot parse the project of tests/warm: {done.exception}")
    SnowflakeCredentials.json_schema()
    reset_adapters()  # type: ignore[no-untyped-call]
    reset_deprecations()  # type: ignore[no-untyped-call]


def import_all(package: str) -> None:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not found.name.endswith(".__main__"):  # importing it may run it
            importlib.import_module(found.name)


def make_clients_once() -> None:
    """Makes boto3 import what a client needs, and read the descriptions of services."""
    import boto3

    for service in ("s3", "sts"):
        boto3.session.Session("none", "none", region_name="us-east-1").client(service)


def lint_once() -> None:
    """Makes sqlfluff load its rules and grammar."""
    from sqlfluff.api import simple

    simple.lint("select 1\n", dialect="snowflake")


def render_once() -> None:
    """Makes Copier and Jinja compile the template's questions and paths."""
    import copier

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Copier warns of uncommitted changes
        for kind in ("upstream", "native"):
            copier.run_copy(
                str(ROOT),
                Path(folder, kind),
                {"kind": kind, "publishes": True},
                vcs_ref="HEAD",
                defaults=True,
                unsafe=True,
                quiet=True,
                skip_tasks=True,
            )


def warm_up(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    import_all(LIBRARY)
    if "dbt.cli.main" in sys.modules:
        import_all("dbt.task")
        parse_once()
    else:
        HERE.update(contents(ROOT))
        make_clients_once()
        lint_once()
        render_once()
        forget("snowflake")  # it reads its settings when it is imported
    forget("tests")  # a command may have another package of that name


def forget(package: str) -> None:
    """Makes a package be imported again. What it imports itself stays imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def unseekable() -> None:
    """Opens standard output and error again, as streams of a pipe.

    A stream remembers from its creation whether it can seek. Here a test created it, whose output
    is captured in a file. `reconfigure` would then fail in a command that writes to a pipe.
    """
    reading, writing = os.pipe()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        number, kept = stream.fileno(), os.dup(stream.fileno())
        os.dup2(writing, number)
        made = open(  # noqa: SIM115
            number,
            "w",
            buffering=1 if stream.line_buffering else -1,
            encoding=stream.encoding,
            errors=stream.errors,
            closefd=False,
        )
        os.dup2(kept, number)
        os.close(kept)
        setattr(sys, name, made)
    os.close(reading)
    os.close(writing)


def serve(address: str, owner: int, modules: Sequence[str]) -> None:
    """Serves until it is terminated, or the process `owner` has ended."""
    unseekable()
    gc.disable()
    warm_up(modules)
    gc.freeze()  # forks do not scan what was imported, so that they share its memory
    gc.set_threshold(*SELDOM)
    gc.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wake = os.pipe()
    for descriptor in (ended, wake):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address + ".new")
    listening.listen(64)
    os.rename(address + ".new", address)  # noqa: PTH104  from now on it answers
    running: dict[int, socket.socket] = {}
    try:
        while is_there(owner):
            ready, _, _ = select.select([listening, ended], [], [], LIVE)
            if ended in ready:
                os.read(ended, 4096)
                answer(running)
            if listening in ready:
                begin(listening, running)
    finally:
        shutil.rmtree(Path(address).parent, ignore_errors=True)


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def begin(listening: socket.socket, running: dict[int, socket.socket]) -> None:
    """Runs the next command in a fork, and sends the client the fork's process id."""
    connection, _ = listening.accept()
    outputs: Sequence[int] = ()
    try:
        _, outputs, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as lines:
            count, length = map(int, lines.readline().split())
            folder, *rest = map(os.fsdecode, lines.read(length).split(b"\0"))
    except (OSError, ValueError):  # the client has given up
        connection.close()
    else:
        # a signal for the fork must not arrive while the fork has the server's handlers
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        process = os.fork()
        if process == 0:
            for each in (listening, connection, *running.values()):
                each.close()
            command(folder, rest[:count], rest[count:], outputs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        running[process] = connection
        say(connection, process)
    for descriptor in outputs:
        os.close(descriptor)


def command(
    folder: str, words: list[str], variables: Sequence[str], outputs: Sequence[int]
) -> NoReturn:
    """Runs the command in its fork, until the fork ends."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        environment = dict(each.split("=", 1) for each in variables)
        become(folder, environment, outputs)
        os._exit(status_of(words, environment))
    finally:  # the fork must not go on as the server
        traceback.print_exc()
        os._exit(1)


def answer(running: dict[int, socket.socket]) -> None:
    """Sends the exit status of each command that has ended."""
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            return
        with running.pop(process) as connection:
            say(connection, os.waitstatus_to_exitcode(status))


def say(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # the client may have given up
        connection.sendall(f"{number}\n".encode())


def status_of(words: list[str], environment: dict[str, str]) -> int:
    """Runs the program, and does what Python does at exit, except for freeing all memory.

    Visiting each object once more would take longer than many commands.
    """
    status: object = None
    try:
        run(words, environment)
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return status or 0


def become(folder: str, environment: dict[str, str], outputs: Sequence[int]) -> None:
    for number, descriptor in enumerate(outputs):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if os.isatty(sys.stdout.fileno()):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.chdir(folder)
    global BEFORE
    BEFORE = at_start(dict(os.environ))
    os.environ.clear()
    os.environ.update(environment)
    if plumbum := sys.modules.get("plumbum"):  # it has kept both since it was imported
        plumbum.local.env.clear()
        plumbum.local.env.update(environment)
        plumbum.local.cwd.chdir(folder)
    if python := environment.get(PYTHON):
        sys.executable = python
        multiprocessing.get_context = fork_only  # type: ignore[assignment]
    tempfile.tempdir = None
    if bits := environment.get(KEY_BITS):
        vars(importlib.import_module(f"{LIBRARY}.snowflake.keypair.rsa_keys"))["KEY_BITS"] = int(
            bits
        )
    if QUIET in environment.items():
        warnings.simplefilter("ignore")


def fork_only(method: str | None = None) -> BaseContext:
    """Replaces `multiprocessing.get_context`: processes start with the imports of this one."""
    return CONTEXT("fork")


def contents(version: Path) -> dict[str, bytes]:
    """Returns the library and the members' files of a version of the template."""
    paths = [*(version / "src" / LIBRARY).rglob("*.py"), *(version / "template").rglob("*")]
    return {str(path.relative_to(version)): path.read_bytes() for path in paths if path.is_file()}


def is_of_another_version(script: Path) -> bool:
    """Checks whether it is a hook of another version of the template, which imports its library."""
    version = script.resolve().parents[1]
    return (version / "src" / LIBRARY).is_dir() and contents(version) != HERE


def enter(home: Path) -> None:
    """Switches to the packages of another environment of this Python, and forgets the library."""
    sys.prefix = sys.exec_prefix = str(home)
    sys.executable = str(home / "bin/python")
    editable = {str(ROOT), str(ROOT / "src")}
    sys.path[1:] = [
        path for path in sys.path[1:] if "site-packages" not in path and path not in editable
    ]
    forget(LIBRARY)
    for packages in home.glob("lib/python*/site-packages"):
        site.addsitedir(str(packages))


CONTEXT = multiprocessing.get_context
BEFORE: dict[str, str] = {}
HERE: dict[str, bytes] = {}


def at_start(environment: dict[str, str]) -> dict[str, str]:
    locale = next((environment[name] for name in LOCALE if environment.get(name)), "C")
    python = {
        name: value
        for name, value in environment.items()
        if name.startswith("PYTHON") and name not in HARMLESS and (name, value) != QUIET
    }
    return python | {"locale": "C" if locale in UTF_8 else locale}


def run(words: list[str], environment: dict[str, str]) -> None:
    """Runs a program like Python would: a script of this environment, or Python itself."""
    program, *arguments = words
    if Path(program).name.startswith("python"):
        if arguments[:1] == ["-B"]:
            sys.dont_write_bytecode = True
            arguments = arguments[1:]
        script, *arguments = arguments or [""]
    else:
        script = program
    is_module = script == "-m"
    cold = not is_module and (not Path(script).is_file() or is_of_another_version(Path(script)))
    if cold or at_start(environment) != BEFORE:
        os.execv(program, words)
    home = Path(program).parents[1]
    if home != Path(sys.prefix) and (home / "pyvenv.cfg").exists():
        enter(home)
    if is_module:
        module, *arguments = arguments
        sys.path[0] = str(Path.cwd())
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(script).resolve().parent)
        sys.argv = [script, *arguments]
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
