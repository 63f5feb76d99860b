"""Decides the next step of creating or rotating a user's key pair. Pure.

Creating and rotating a key are one state machine. `next_step` looks only at the fingerprints that
Snowflake accepts and at the files on this machine. So if a run is killed between any two steps,
running the same command again continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from dbtmesh import MeshError

NEW = "a new key"
"""In a plan, stands for the fingerprint of a key that is not generated yet."""


class Step(Enum):
    """One step of creating or rotating a key. Each can be repeated without harm."""

    GENERATE = auto()  # write a new key to <USER>.next.p8
    REGISTER = auto()  # tell Snowflake the public half of the newest key here
    PROMOTE = auto()  # sign in with <USER>.next.p8, then put it in the place of <USER>.p8
    SIGN_IN = auto()  # prove that <USER>.p8 is accepted
    HAND_OVER = auto()  # give <USER>.p8 to CI
    RETIRE = auto()  # Snowflake forgets <USER>.old.p8
    FORGET = auto()  # delete <USER>.old.p8
    UNSET_OTHER = auto()  # Snowflake forgets a key whose file is not here
    DONE = auto()


@dataclass(frozen=True)
class Situation:
    """The keys in the account, the files here, and what this run has done or is asked to do.

    registered: the slot or name of each accepted key → its fingerprint.
    capacity: how many keys Snowflake accepts for this user.
    current, next, old: the fingerprints of the files; None where a file is missing.
    renew: whether a rotation is asked for and has not begun.
    unset_others: whether keys without a file here are lost and have to be unset.
    signed_in, handed_over: whether this run has signed in with the current key, and handed it over
    to CI. The account and the files do not show that.
    nobody_to_tell: whether no CI needs the key, so that it counts as handed over.
    """

    registered: Mapping[str, str]
    capacity: int
    current: str | None = None
    next: str | None = None
    old: str | None = None
    renew: bool = False
    unset_others: bool = False
    signed_in: bool = False
    handed_over: bool = False
    nobody_to_tell: bool = False

    @property
    def room(self) -> bool:
        return len(self.registered) < self.capacity

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(self.registered.values())

    @property
    def others(self) -> dict[str, str]:
        """The registered keys without a file here."""
        here = {self.current, self.next, self.old}
        return {name: key for name, key in self.registered.items() if key not in here}


def next_step(now: Situation) -> Step:
    """Returns the one step to do in this situation.

    Snowflake accepts a working key at every moment. A key is retired or unset only after a sign-in
    with the key that replaces it, and only after CI has that key.
    Raises MeshError where only a person can know what to do.
    """
    if now.next in now.accepted:
        return Step.PROMOTE
    if now.next:
        return _when_there_is_room(now, Step.REGISTER)
    if now.current is None or now.renew:
        if now.current is None and now.others and not now.unset_others:
            raise MeshError(
                f"the user has a key already, whose file is not here ({_listed(now.others)}): "
                "bring that file here, or, if it is lost, add --unset-others"
            )
        return _when_there_is_room(now, Step.GENERATE)
    if now.current not in now.accepted:
        return _when_there_is_room(now, Step.REGISTER)
    if not now.signed_in:
        return Step.SIGN_IN
    if not now.handed_over:
        return Step.HAND_OVER
    if now.old:
        return Step.RETIRE if now.old in now.accepted else Step.FORGET
    if now.others and now.unset_others:
        return Step.UNSET_OTHER
    return Step.DONE


def after(now: Situation, step: Step) -> Situation:
    """Returns the situation after a step that succeeds."""
    match step:
        case Step.GENERATE:
            return replace(now, next=NEW, renew=False)
        case Step.REGISTER:
            key = now.next or now.current
            assert key is not None
            return replace(now, registered={**now.registered, f"({key})": key})
        case Step.PROMOTE:
            moved = replace(now, current=now.next, next=None, old=now.current or now.old)
            return replace(moved, signed_in=True, handed_over=now.nobody_to_tell)
        case Step.SIGN_IN:
            return replace(now, signed_in=True)
        case Step.HAND_OVER:
            return replace(now, handed_over=True)
        case Step.RETIRE:
            kept = {name: key for name, key in now.registered.items() if key != now.old}
            return replace(now, registered=kept)
        case Step.FORGET:
            return replace(now, old=None)
        case Step.UNSET_OTHER:
            other = next(iter(now.others))
            kept = {name: key for name, key in now.registered.items() if name != other}
            return replace(now, registered=kept)
        case Step.DONE:
            return now


def plan(now: Situation) -> Iterator[Step]:
    """Yields all steps from here on, if each succeeds. Raises MeshError where `next_step` does."""
    while (step := next_step(now)) is not Step.DONE:
        yield step
        now = after(now, step)


def _when_there_is_room(now: Situation, step: Step) -> Step:
    if now.room:
        return step
    if not (now.others and now.unset_others):
        raise MeshError(
            f"both of the user's key slots are taken ({_listed(now.registered)}): if the ones that "
            "are not here are lost, add --unset-others"
        )
    # Keys are unset only after a sign-in with the key that stays, and after CI has that key.
    if now.current in now.accepted:
        if not now.signed_in:
            return Step.SIGN_IN
        return Step.UNSET_OTHER if now.handed_over else Step.HAND_OVER
    if not now.handed_over:
        raise MeshError(
            f"both of the user's key slots are taken by keys that are not here "
            f"({_listed(now.registered)}), and CI may use any of them: unset the lost one by hand "
            "(ALTER USER … UNSET …); or, if CI uses neither, add --no-github"
        )
    return Step.UNSET_OTHER


def _listed(registered: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {key}" for name, key in registered.items())
