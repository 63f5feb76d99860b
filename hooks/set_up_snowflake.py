"""Does `setup=plan` and `setup=now`: sets a new member up on Snowflake, by the member's own
commands.

Everything is done by the commands that a person would type, one after the other; when one fails,
or is interrupted, the rest is listed, ready to be copied. In a terminal it asks; without one it
shows the plan and creates nothing.
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
    """Why the rest was not done: one line, shown before the commands that do it."""


@dataclass(frozen=True)
class Command:
    """A command of the member. `what` it does is for the report."""

    what: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(answers: Mapping[str, str], connection: str) -> list[Command]:
    """Everything that sets a member up, in order."""
    on = ("--connection", connection)
    access = (str(Path(".venv") / IN_A_VENV), "scripts/snowflake_access.py")
    keys = ("./setup_keypair_auth.sh", "create")
    apply = Command("create databases, roles, users and grants", (*access, "apply", *on, "--yes"))
    if answers.get("auth") == "workload_identity":
        # `apply` lets its jobs sign in: by then no other branch may have any
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
    """The plan, without an account."""
    python = member / ".venv" / IN_A_VENV
    if not python.exists():
        python = Path(sys.executable)
    plan = Command("plan", (str(python), "scripts/snowflake_access.py", "plan", "--offline"))
    if call(plan, member):
        print(f"\nThe plan could not be shown; the new project is complete. Later: {plan}")


def set_up(member: Path, answers: Mapping[str, str]) -> None:
    """Asks which connection, shows the plan, asks, and does one command after the other."""
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
    """The commands that are left. Each can be repeated, the one that was interrupted, too."""
    print(f"To go on, in the new project's folder {member.name}:")
    if not (member / ".venv" / IN_A_VENV).exists():
        print(f"  python3 -m venv .venv && {in_venv(member)}")
    for command in rest:
        print(f"  {command}")


def call(command: Command, member: Path, python: str | None = None) -> int:
    """Runs a command in the member, and gives its exit status. `python` is what scripts there use.

    Ctrl-C is the command's to answer: it has something to finish or to say.
    """
    environment = os.environ | ({"DBT_MESH_PYTHON": python} if python else {})
    if wheel := next((member / "vendor").glob("dbtmesh-*.whl"), None):
        # Python imports from it as it is: nothing has to be installed for the library's sake
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
    """A Python that has the member's requirements: its own, Copier's, or one made now.

    Raises NotDone.
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
    """The name of a connection of connections.toml, chosen by the person. Raises NotDone."""
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
