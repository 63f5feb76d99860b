"""A run: what it gathers, and that it takes everything away again, whatever happens."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.conformance.script import Answer

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a termination, and a terminal that is closed."""


class Stopped(Exception):
    """The run cannot go on: why."""


@dataclass
class Asked:
    """What an account answered, by question; what it refused to set up."""

    answers: dict[str, Answer] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Cleans up after the block, an error in it, Ctrl-C, a termination and the end of the terminal;
    no second one of these stops that."""
    before = {each: signal.signal(each, _interrupt) for each in ENDS}
    try:
        yield
    finally:
        for each in ENDS:
            signal.signal(each, signal.SIG_IGN)
        try:
            clean_up()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
