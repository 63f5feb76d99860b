"""Defines what a run collects, and makes sure that it removes everything again in any case."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.conformance.script import Answer

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals of Ctrl-C, of a termination, and of a terminal that is closed."""


class Stopped(Exception):
    """Raised with the reason where a run cannot go on."""


@dataclass
class Asked:
    """What a run collects. answers: by question. lacks: what the account refused to set up."""

    answers: dict[str, Answer] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Cleans up after the block, also after an error, Ctrl-C, a termination or a closed terminal.

    Further signals do not interrupt the clean-up.
    """
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
