"""How the tests' servers start (tests/s3_server.py)."""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.s3_server import STARTS, on_free_ports


def ask(ports: Sequence[int]) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}", timeout=1).close()


def test_a_server_whose_port_was_taken_starts_again_on_another(tmp_path: Path) -> None:
    tried: list[int] = []
    with socket.socket() as other:

        def command(ports: Sequence[int]) -> list[object]:
            if not tried:
                other.bind(("127.0.0.1", ports[0]))
                other.listen()
            tried.extend(ports)
            return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", *ports]

        with on_free_ports(1, command, ask, tmp_path) as ports:
            ask(ports)
    assert tried[1:] == [*ports]


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such disk')"]
    with (
        pytest.raises(RuntimeError, match=rf"no server: (no such disk\n){{{STARTS}}}"),
        on_free_ports(1, lambda _: command, ask, tmp_path),
    ):
        pass
