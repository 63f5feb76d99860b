"""Runs a command in tests.warm.serve: `client.py ADDRESS PROGRAM [WORD ...]` ends as it does.

It imports little, because shells start it in place of the program.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

PYTHON = "TESTS_WARM_PYTHON"
"""Variable with the value of `sys.executable` in a command, if that is not the real Python."""
TEXT_ALONE = "TESTS_WARM_TEXT_ALONE"
"""Variable that says that a terminal, if there is one, only passes text. Its signals, such as that
of Ctrl-C while a command runs, reach no process that the command has started."""


KILL = signal.SIGUSR1
"""Ends the command like SIGKILL, which cannot be passed on."""
ENDS = {int(KILL): signal.SIGKILL}
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, KILL)


def request(
    connection: socket.socket,
    descriptors: Sequence[int],
    folder: str,
    words: Sequence[str],
    environment: Mapping[bytes, bytes],
) -> None:
    """Requests that the server runs a command. descriptors: standard input, output and error."""
    parts = [os.fsencode(folder), *map(os.fsencode, words)]
    parts += [name + b"=" + value for name, value in environment.items()]
    body = b"\0".join(parts)
    socket.send_fds(connection, [b"\n"], [*descriptors])
    connection.sendall(b"%d %d\n" % (len(words), len(body)) + body)


def main(address: str, *words: str) -> None:
    # a server cannot do what a terminal does with its processes
    if any(map(os.isatty, range(3))) and TEXT_ALONE not in os.environ:
        os.execv(words[0], words)
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until there is a process to pass them to
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request(connection, (0, 1, 2), os.getcwd(), words, os.environb)  # noqa: PTH109
        with connection.makefile("rb") as answers:
            process = int(answers.readline())
            for number in PASSED_ON:
                signal.signal(number, lambda number, _: os.kill(process, ENDS.get(number, number)))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
            status = int(answers.readline())
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
