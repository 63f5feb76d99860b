"""Runs git and gh: returns what they printed, or raises the line in which they said what went
wrong.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dbtmesh.output.error_line import telling_line

SECONDS = 300
"""Patience with a git server."""

# Git never asks, and says things in the language that we look for.
QUIET_GIT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    "LC_ALL": "C",
}


class GitError(Exception):
    """What git, or another command, said last: one line."""


def git(folder: Path | None, *arguments: str, seconds: float = SECONDS) -> str:
    """What git printed. Raises GitError with the line in which it said why it failed."""
    return run(["git", *arguments], folder, seconds=seconds)


def run(
    command: list[str],
    folder: Path | None,
    *,
    seconds: float,
) -> str:
    """The same of any command."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **QUIET_GIT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GitError(f"`{' '.join(command[:2])}` took more than {seconds:.0f} s") from None
    except OSError as error:
        raise GitError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise GitError(telling_line(done.stderr) or telling_line(done.stdout) or "failed silently")
    return done.stdout.strip()
