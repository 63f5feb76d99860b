"""A run: what it gathers, and that it takes everything away again, whatever happens."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.conformance.script import Answer


class Stopped(Exception):
    """The run cannot go on: why."""


@dataclass
class Asked:
    """What an account answered, by question; what it refused to set up."""

    answers: dict[str, Answer] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Cleans up after the block, an error in it, Ctrl-C and a termination; no second Ctrl-C stops
    that."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            clean_up()
        finally:
            signal.signal(signal.SIGINT, before)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
