"""Injects faults: errors, lost connections and delays at chosen statements."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import SnowflakeError


class ConnectionDropped(Exception):
    """The server closes the connection instead of answering."""


@dataclass
class Fault:
    """What happens to statements that match. A delay of `seconds` comes first.

    between: called after an INSERT has read and before it writes.
    after: whether the fault comes after the statement has run.
    """

    pattern: re.Pattern[str]
    nth: int | None
    error: SnowflakeError | None = None
    drop: bool = False
    seconds: float = 0.0
    seen: int = 0
    between: Callable[[], object] | None = None
    after: bool = False


class Faults:
    """A list of faults; each counts the statements that match its pattern."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def fail(
        self,
        pattern: str,
        *,
        nth: int | None = 1,
        errno: int = 3001,
        sqlstate: str = "42501",
        message: str = "SQL access control error:\nInsufficient privileges (injected)",
    ) -> None:
        """Answers the n-th matching statement (every one, if None) with a Snowflake error.

        An SQL error, not an HTTP 500: on those the connector retries for minutes.
        """
        self._add(pattern, nth, error=SnowflakeError(errno, sqlstate, message))

    def drop_connection(self, pattern: str, *, nth: int | None = 1) -> None:
        """Closes the connection before the statement runs; the connector will try again."""
        self._add(pattern, nth, drop=True)

    def lose_answer(self, pattern: str, *, nth: int | None = 1) -> None:
        """Closes the connection once the statement has run; the connector will send it again."""
        self._add(pattern, nth, drop=True, after=True)

    def meanwhile(self, pattern: str, do: Callable[[], object], *, nth: int | None = 1) -> None:
        """Calls `do` after an INSERT … SELECT has read and before it writes.

        It needs the switch `parallel_inserts`.
        """
        self._add(pattern, nth, between=do)

    def delay(self, pattern: str, seconds: float, *, nth: int | None = None) -> None:
        self._add(pattern, nth, seconds=seconds)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def _add(
        self,
        pattern: str,
        nth: int | None,
        error: SnowflakeError | None = None,
        drop: bool = False,
        seconds: float = 0.0,
        between: Callable[[], object] | None = None,
        after: bool = False,
    ) -> None:
        regex = re.compile(pattern, re.IGNORECASE | re.DOTALL)
        with self._lock:
            self._faults.append(
                Fault(regex, nth, error, drop, seconds, between=between, after=after)
            )

    def before(self, sql: str) -> None:
        """Lets the faults for a statement happen.

        Raises:
            SnowflakeError: an injected error.
            ConnectionDropped: an injected loss of the connection.
        """
        self._happen(sql, lambda fault: not fault.after and fault.between is None)

    def between(self, sql: str) -> None:
        """Lets the faults between an INSERT's reads and writes happen."""
        self._happen(sql, lambda fault: fault.between is not None)

    def after(self, sql: str) -> None:
        """Lets the answer get lost.

        Raises:
            ConnectionDropped: an injected loss of the connection.
        """
        self._happen(sql, lambda fault: fault.after)

    def _happen(self, sql: str, when: Callable[[Fault], bool]) -> None:
        due: list[Fault] = []
        with self._lock:
            for fault in filter(when, self._faults):
                if fault.pattern.search(sql):
                    fault.seen += 1
                    if fault.nth is None or fault.nth == fault.seen:
                        due.append(fault)
        for fault in due:
            time.sleep(fault.seconds)
            if fault.between:
                fault.between()
            if fault.drop:
                raise ConnectionDropped
            if fault.error is not None:
                raise fault.error
