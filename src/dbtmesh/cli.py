"""Gives all commands the same output, errors and exit statuses."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from dbtmesh import MeshError
from dbtmesh.output import terminal

PROJECT_DIR = "--project-dir"
OK, FAILED, FOUND = 0, 1, 2
"""Exit status: done; it failed; the check found something (breaking change, drift, staleness)."""


def say(*lines: str) -> None:
    """Prints lines of a command's result on stdout. Each stays one line, and nothing in it acts as
    a command to the terminal or to GitHub Actions, whoever wrote the text."""
    terminal.write(*lines)


def say_json(data: object) -> None:
    """Prints a command's result on stdout as JSON, in ASCII, for programs."""
    import json  # few commands need it

    say(*json.dumps(data, indent=2).splitlines())


def note(text: str) -> None:
    """Prints on stderr something worth knowing that does not change the result."""
    terminal.write(f"note: {text}", to=sys.stderr)


def _error(text: str) -> None:
    terminal.write(*f"error: {text}".split("\n"), to=sys.stderr)


def fail(text: str) -> NoReturn:
    """Prints what is wrong, and ends the program."""
    _error(text)
    sys.exit(FAILED)


def explain(error: OSError) -> str:
    """Names the file, and what is wrong with it or with its disk."""
    hint = ": free some space and run it again" if error.errno == errno.ENOSPC else ""
    return f"{error.filename or 'disk'}: {error.strerror or error}{hint}"


def run(command: Callable[[], int]) -> NoReturn:
    """Runs a command's main function and exits with its status; errors become one or two lines."""
    terminal.tolerate()
    gc.set_threshold(100_000)  # a large manifest is many objects, and none of them is garbage
    try:
        status = command()
        sys.stdout.flush()
    except MeshError as error:
        _error(str(error))
        status = FAILED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "dbtmesh":
            raise
        from dbtmesh import installed  # loads pathlib

        _error(
            f"{sys.executable} lacks the package {error.name}: activate the project's "
            f"environment, or {installed.how()}"
        )
        status = FAILED
    except KeyboardInterrupt:
        terminal.write("stopped", to=sys.stderr)
        sys.stderr.flush()
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        # Exit immediately: Snowflake's connector leaves a thread behind that times the interrupted
        # statement, and Python would wait two minutes for it.
        os._exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        status = OK
    except OSError as error:
        _error(explain(error))
        status = FAILED
    sys.exit(status)
