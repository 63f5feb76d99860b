"""Calls GitHub by its command line tool `gh`, with the sign-in of the person at this machine.

https://cli.github.com/manual/gh_api and …/gh_secret_set
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbtmesh import MeshError
from dbtmesh.ci.github.rest import Refused
from dbtmesh.config import GITHUB

TIMEOUT = 60  # seconds
HERE = "{owner}/{repo}"
"""The repository of the folder that `gh` runs in, as `gh api` writes it."""
_STATUS = re.compile(r"HTTP/\S+ (\d{3})")


class NotHere(MeshError):
    """There is no `gh` on this machine, or nobody is signed in with it."""


@dataclass(frozen=True)
class Gh:
    """`gh`, run in a folder, as an `Api` of dbtmesh.ci.github.rest. server: GitHub's host name."""

    folder: Path
    server: str = GITHUB

    def get(self, path: str, **query: str | int) -> Any:
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any], *, repeatable: bool = False) -> Any:
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PATCH", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        status, answer = self.send(method, path, b"" if body is None else json.dumps(body).encode())
        if status < 300:
            return answer
        said = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        raise Refused(
            f"GitHub answers {method} {path.partition('?')[0]} with {status} "
            f"({said or 'no reason'})",
            status,
        )

    def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """Sends a request, and returns the status and the JSON, None for no content. Raises
        MeshError where there is no answer."""
        command = ["api", "--include", "--method", method, path.lstrip("/")]
        done = self.run([*command, *(["--input", "-"] if body else [])], body)
        head, _, text = done.stdout.decode(errors="replace").replace("\r\n", "\n").partition("\n\n")
        status = _STATUS.match(head)
        if status is None:
            raise MeshError(f"`gh api` has no answer from GitHub: {complaint(done)}")
        answer = None
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(text) if text.strip() else None
        return int(status[1]), answer

    def set_secret(self, name: str, environment: str, repository: str | None, value: bytes) -> None:
        """Raises MeshError where GitHub has not stored the secret."""
        done = self.run(secret_command(name, environment, repository)[1:], value)
        if done.returncode:
            raise MeshError(f"gh says: {complaint(done)}")

    def check(self) -> None:
        """Raises MeshError unless `gh` is here and signed in."""
        if self.run(["auth", "status"]).returncode:
            raise NotHere("`gh` is not signed in to GitHub (`gh auth login`)")

    def run(
        self, arguments: Sequence[str], stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Raises MeshError where there is no `gh`, or it does not end."""
        if not shutil.which("gh"):
            raise NotHere("GitHub's command line tool `gh` is not installed (cli.github.com)")
        try:
            return subprocess.run(
                ["gh", *arguments],
                cwd=self.folder,
                env=for_gh(self.server),
                input=stdin,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MeshError(f"`gh {arguments[0]}` has no answer after {TIMEOUT} s") from None


def for_gh(server: str) -> dict[str, str]:
    """Returns the environment variables for `gh` to use that server. Those that are set stay.

    A token for Enterprise Server has a variable of its own; one for ghe.com does not:
    https://cli.github.com/manual/gh_help_environment
    """
    environment = dict(os.environ)
    if server == GITHUB:
        return environment
    environment.setdefault("GH_HOST", server)
    token = environment.get("GH_TOKEN")
    if token and not server.endswith(".ghe.com"):
        environment.setdefault("GH_ENTERPRISE_TOKEN", token)
    return environment


def secret_command(name: str, environment: str, repository: str | None) -> list[str]:
    """Returns a command that reads the secret from standard input: others can see command lines."""
    where = ["--repo", repository] if repository else []
    return ["gh", "secret", "set", name, "--env", environment, *where]


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """Returns the first line of a command's error output, or else its exit status."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else f"exit status {done.returncode}"
