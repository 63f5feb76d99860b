"""Simulates a person at a terminal who types what a guide says, and counts the commands.

The guides' code blocks are the only source of commands. A second installation would take minutes
and prove nothing. So `python3 -m venv` here makes a folder with the tests' programs, and `pip` and
`pipx` only check that the files exist from which they should install.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from tests import warm
from tests.conftest import ROOT
from tests.warm import at_terminal, programs, server

PROMPT = re.compile(r"<<(\d+)>>")
STUMBLE = re.compile(r"^.*(?:\berror:|\bwarning:|Traceback|command not found).*$", re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PIP = """#!/bin/sh
for word; do case $word in *.txt) cat "$word" >/dev/null || exit 1 ;; esac; done
for wheel in $(sed -n 's/^\\(\\.[^[; ]*\\).*/\\1/p' requirements.txt)
do test -f "$wheel" || exit 1; done
"""
PYTHON3 = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
mkdir -p "$3/bin" && cd "$3/bin" || exit 1
ln -s {python} python; ln -s {python} python3; ln -s {dbt} dbt; ln -s {pip} pip
printf 'PATH="%s:$PATH"\\n' "$PWD" > activate
"""


def blocks(guide: str, heading: str) -> list[list[str]]:
    """Returns the commands of each code block below a heading of a guide, without comments."""
    guide = re.sub(r"```bash.*?```", _without_comments, guide, flags=re.DOTALL)
    _, found, rest = f"\n{guide}".partition(f"\n{heading}\n")
    assert found, heading
    section = re.split(rf"\n#{{1,{heading.count('#')}}} ", rest)[0]
    return [
        re.sub(r"\\\n *", "", block).strip().splitlines()
        for block in re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    ]


def _without_comments(block: re.Match[str]) -> str:
    return re.sub(r"[ \t]+#.*$", "", block[0], flags=re.MULTILINE)


@dataclass
class Person:
    """A person. commands: lines typed. questions: questions answered. stumbles: what went wrong."""

    folder: Path
    environment: Mapping[str, str]
    commands: int = 0
    questions: int = 0
    stumbles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        path = [str(self._programs()), self.environment.get("PATH", ""), os.defpath]
        self.shell: Any = pexpect.spawn(
            "bash",
            ["--norc", "--noprofile"],
            cwd=str(self.folder),
            dimensions=(60, 200),
            encoding="utf-8",
            timeout=170,
            echo=False,
            env={
                "LANG": "C.UTF-8",
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "DBT_USE_COLORS": "false",
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "PYTHONWARNINGS": "ignore",
                "USER": "ada",
                **at_terminal(),
                **self.environment,
                "PATH": os.pathsep.join(path),
            },
        )
        self.shell.sendline("PS1='<<$?>>'; PS2=; bind 'set enable-bracketed-paste off'; clear")
        self.shell.expect("<<0>>")

    def _programs(self) -> Path:
        folder = self.folder / ".programs"
        folder.mkdir()
        python = server(warm.COMMANDS).program("python")
        dbt = server(warm.DBT).program("dbt")
        texts = {
            "python3": PYTHON3.format(python=python, dbt=dbt, pip=folder / "pip"),
            "python": f'#!/bin/sh\nexec {python} "$@"\n',
            "pip": PIP,
            "pipx": "#!/bin/sh\n",
            "copier": f'#!/bin/sh\nexec {programs() / "copier"} "$@"\n',
        }
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return folder

    def types(self, command: str, *answers: tuple[str, str]) -> str:
        """Types a line and answers its questions. Returns what was shown.

        answers: a part of each question, and the keys to type.
        """
        self.commands += 1
        self.shell.sendline(command)
        said = ""
        for question, keys in answers:
            self.shell.expect_exact(question)
            said += str(self.shell.before) + question
            self.shell.send(keys)
            self.questions += 1
        self.shell.expect(PROMPT)
        said = COLOURS.sub("", said + str(self.shell.before)).replace("\r", "")
        print(f"$ {command}\n{said}")
        if status := int(self.shell.match[1]):
            self.stumbles.append(f"{command}: exit status {status}\n{said}")
        self.stumbles += [f"{command}: {line}" for line in STUMBLE.findall(said)]
        return said

    def end(self) -> tuple[int, int, list[str]]:
        self.shell.sendeof()
        self.shell.close()
        return self.commands, self.questions, self.stumbles


def stated(who: str) -> tuple[int, int, list[str]]:
    """Returns what the README says that this person needs: commands, questions, and no stumbles."""
    row = re.search(
        rf"^\| {who}[^|]*\|[^|]*\| (\d+) \| (\d+) \|$", (ROOT / "README.md").read_text(), re.M
    )
    assert row, who
    return int(row[1]), int(row[2]), []


def git_settings(folder: Path, **addresses: str) -> dict[str, str]:
    """Returns variables for git as Ada has configured it.

    addresses: by URL, the place on this machine that replaces it.
    """
    file = folder / "gitconfig"
    known = [f'[url "{place}"]\n\tinsteadOf = {url}' for url, place in addresses.items()]
    user = "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main"
    file.write_text("\n".join([user, *known, ""]))
    return {"GIT_CONFIG_GLOBAL": str(file), "GIT_CONFIG_NOSYSTEM": "1"}
