"""Runs git and gh. Returns their output, or raises the line of it that names the error."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dbtmesh.output.error_line import telling_line

SECONDS = 300
"""How long to wait for a git server."""

# Git never prompts, and prints messages in the language that this code looks for.
QUIET_GIT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    "LC_ALL": "C",
}


class GitError(Exception):
    """The line in which git, or another command, says what went wrong."""


def git(folder: Path | None, *arguments: str, seconds: float = SECONDS) -> str:
    """Returns what git printed. Raises GitError with the line that says why it failed."""
    return run(["git", *arguments], folder, seconds=seconds)


def run(
    command: list[str],
    folder: Path | None,
    *,
    seconds: float,
) -> str:
    """Does the same for any command."""
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
