"""Opens https addresses with a secret: checks the address, and follows no redirection.

Standard library only.
"""

from __future__ import annotations

import contextlib
import urllib.parse
import urllib.request

from dbtmesh import MeshError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


open_here = urllib.request.build_opener(_NoRedirects).open
"""As urlopen, but it follows no redirection."""


def check_url(name: str, url: str) -> None:
    """Raises MeshError unless it is https; on this machine, as in tests, http will do."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        if parts.hostname and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        ):
            return
    raise MeshError(f"{name} is not an https:// address")
