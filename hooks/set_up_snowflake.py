"""Sets up a new member on Snowflake (`setup=plan` and `setup=now`), with the member's commands.

It runs the commands that a person would type, one after the other. If one fails or is interrupted,
it lists the rest, ready to be copied. In a terminal it asks first; without a terminal it shows the
plan and creates nothing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from next_steps import in_venv, installs

IN_A_VENV = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")

LIST_CONNECTIONS = (
    "from snowflake.connector.config_manager import CONFIG_MANAGER;"
    "print(*CONFIG_MANAGER['connections'], sep='\\n')"
)


class NotDone(Exception):
    """Ends the setup early. Its message, one line, is shown before the commands that remain."""


@dataclass(frozen=True)
class Command:
    """A command of the member. what: what it does, for the report."""

    what: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(answers: Mapping[str, str], connection: str) -> list[Command]:
    """Returns all commands that set up a member, in order."""
    on = ("--connection", connection)
    access = (str(Path(".venv") / IN_A_VENV), "scripts/snowflake_access.py")
    keys = ("./setup_keypair_auth.sh", "create")
    apply = Command("create databases, roles, users and grants", (*access, "apply", *on, "--yes"))
    if answers.get("auth") == "workload_identity":
        # after `apply`, jobs in this environment can sign in: first close it to other branches
        create = [Command("close the environment of GitHub that deploys", keys), apply]
    else:
        create = [
            apply,
            Command("key pair of the user that deploys", (*keys, *on)),
            Command("key pair of pull requests' user", (*keys, "--user", answers["ci_user"], *on)),
        ]
    return [*create, Command("verify the access", (*access, "verify", *on))]


def run(member: Path, answers: Mapping[str, str]) -> None:
    """Shows the plan and, for `now` in a terminal, asks and creates. Never raises NotDone."""
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if answers.get("setup") == "plan" or not in_terminal:
        show_plan(member)
        if answers.get("setup") == "now":
            print("\nNothing was created: there is no terminal to ask in.")
            print_rest(commands(answers, "NAME"), member)
        return
    with terminal_of_our_own():
        set_up(member, answers)


def show_plan(member: Path) -> None:
    """Shows the plan, for which no account is needed."""
    python = member / ".venv" / IN_A_VENV
    if not python.exists():
        python = Path(sys.executable)
    plan = Command("plan", (str(python), "scripts/snowflake_access.py", "plan", "--offline"))
    if call(plan, member):
        print(f"\nThe plan could not be shown; the new project is complete. Later: {plan}")


def set_up(member: Path, answers: Mapping[str, str]) -> None:
    """Asks for a connection, shows the plan, asks to go on, and runs the commands in order."""
    rest = commands(answers, "NAME")
    done: list[str] = []
    try:
        python = python_with_connector(member)
        connection = choose_connection(python, member)
        rest = commands(answers, connection)
        plan = (python, "scripts/snowflake_access.py", "plan", "--connection", connection)
        if call(Command("plan", plan), member):
            raise NotDone("The plan could not be made.")
        if not confirm(f"Create this on connection {connection}?", default=False):
            raise NotDone("Nothing was created.")
        while rest:
            print(f"\n$ {rest[0]}", flush=True)
            words = rest[0].words
            if words[0].startswith(".venv"):
                words = (python, *words[1:])
            if call(Command(rest[0].what, words), member, python):
                raise NotDone(f"This did not finish: {rest[0].what}.")
            done.append(rest.pop(0).what)
        print("\nSnowflake is set up. README.md says how to deploy.")
    except NotDone as why:
        print(f"\n{why} The new project is complete.")
        if done:
            print("Done: " + "; ".join(done) + ".")
        print_rest(rest, member)
    except KeyboardInterrupt:
        print("\nStopped. The new project is complete.")
        print_rest(rest, member)


def print_rest(rest: list[Command], member: Path) -> None:
    """Prints the remaining commands. Each can be repeated, even the one that was interrupted."""
    print(f"To go on, in the new project's folder {member.name}:")
    if not (member / ".venv" / IN_A_VENV).exists():
        print(f"  python3 -m venv .venv && {in_venv(member)}")
    for command in rest:
        print(f"  {command}")


def call(command: Command, member: Path, python: str | None = None) -> int:
    """Runs a command in the member and returns its exit status.

    python: the interpreter that the member's scripts use. Ctrl-C is left to the command, which may
    have something to finish or to say.
    """
    environment = os.environ | ({"DBT_MESH_PYTHON": python} if python else {})
    if wheel := next((member / "vendor").glob("dbtmesh-*.whl"), None):
        # Python imports from the wheel directly, so the library need not be installed
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(wheel), os.environ.get("PYTHONPATH")))
        )
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        sys.stdout.flush()
        return subprocess.run(command.words, cwd=member, env=environment, check=False).returncode
    except OSError as error:
        print(f"{command.words[0]}: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, before)


def python_with_connector(member: Path) -> str:
    """Returns a Python that has the member's requirements: the member's, Copier's, or a new one.

    Raises NotDone if the person refuses the new one, or if the requirements cannot be installed.
    """
    own = member / ".venv" / IN_A_VENV
    if own.exists():
        return str(own)
    with contextlib.suppress(ModuleNotFoundError):
        if find_spec("snowflake.connector") and find_spec("cryptography"):
            return sys.executable
    if not confirm("Make .venv and install requirements.txt there (takes a minute or two)?"):
        raise NotDone("Nothing was created: the requirements are not installed.")
    for words in (
        (sys.executable, "-m", "venv", ".venv"),
        *((str(own), "-m", *command.split(), "--quiet") for command in installs(member)),
    ):
        if call(Command("install", words), member):
            raise NotDone("Nothing was created: the requirements could not be installed.")
    return str(own)


def choose_connection(python: str, member: Path) -> str:
    """Lets the person choose a connection. Raises NotDone if connections.toml has none."""
    import questionary

    answer = subprocess.run(
        (python, "-W", "ignore", "-c", LIST_CONNECTIONS),
        cwd=member,
        capture_output=True,
        text=True,
        check=False,
    )
    names = answer.stdout.split()
    if answer.returncode or not names:
        reason = answer.stderr.strip().splitlines()[-1:] or ["there is none"]
        raise NotDone(
            "Nothing was created: no connection in connections.toml "
            f"({reason[0]}). `snow connection add` writes one; README.md shows how."
        )
    chosen = questionary.select(
        "Which connection, of an administrator?", choices=names
    ).unsafe_ask()
    return str(chosen)


def confirm(question: str, default: bool = True) -> bool:
    import questionary

    return bool(questionary.confirm(question, default=default).unsafe_ask())


@contextlib.contextmanager
def terminal_of_our_own() -> Iterator[None]:
    """Makes this process and its commands the terminal's foreground group.

    Ctrl-C goes to the whole foreground group. With Copier in it, Copier would stop at once and
    kill us before we could say what was done and what was not.
    """
    if os.name != "posix":
        yield
        return
    copiers = os.getpgrp()
    terminal = os.open("/dev/tty", os.O_RDWR)
    # A background process that takes the terminal is stopped by this signal.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
        yield
    finally:
        os.tcsetpgrp(terminal, copiers)
        signal.signal(signal.SIGTTOU, before)
        os.close(terminal)
