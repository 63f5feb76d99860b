"""Making and rotating a key, as a pure state machine: killed at any change, it ends well."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dbtmesh.snowflake import keypair as keypair_module


@pytest.fixture(scope="module")
def keypair() -> Any:
    return keypair_module


class Killed(BaseException):
    pass


@dataclass
class World:
    """A user's slots, three files and GitHub's secret, as fingerprints; dies at the n-th change."""

    slots: dict[str, str | None] = field(
        default_factory=lambda: {"RSA_PUBLIC_KEY": "first", "RSA_PUBLIC_KEY_2": None}
    )
    files: dict[str, str | None] = field(
        default_factory=lambda: {"current": "first", "next": None, "old": None}
    )
    ci: str | None = "first"
    made: Iterator[int] = field(default_factory=itertools.count)
    changes_left: float = float("inf")

    @property
    def accepted(self) -> dict[str, str]:
        return {slot: key for slot, key in self.slots.items() if key}

    def change(self, where: Any, what: str, value: str | None) -> None:
        """One change to the outside world, after which every key in use has to work."""
        if self.changes_left == 0:
            raise Killed
        self.changes_left -= 1
        if where is self:
            self.ci = value
        else:
            where[what] = value
        assert self.files["current"] in self.accepted.values()
        assert self.ci in self.accepted.values()

    def run(self, keypair: Any, **wishes: bool) -> None:
        """What scripts/keypair_auth.py does, with the same changes in the same order."""
        step, seen = keypair.Step, {"signed_in": False, "handed_over": False}
        renew = not (self.files["next"] or self.files["old"])
        while True:
            now = keypair.Situation(
                registered=self.accepted,
                room=len(self.accepted) < 2,
                **self.files,
                renew=renew,
                unset_others=wishes.get("unset_others", False),
                **seen,
            )
            match keypair.next_step(now):
                case step.GENERATE:
                    self.change(self.files, "next", f"made {next(self.made)}")
                    renew = False
                case step.REGISTER:
                    slot = keypair.free_slot(self.accepted)
                    self.change(self.slots, slot, now.next or now.current)
                case step.PROMOTE:
                    assert now.next in self.accepted.values()
                    self.change(self.files, "old", now.current)
                    self.files["current"], self.files["next"] = now.next, None  # one rename
                    seen = {"signed_in": True, "handed_over": False}
                case step.SIGN_IN:
                    assert now.current in self.accepted.values()
                    seen["signed_in"] = True
                case step.HAND_OVER:
                    self.change(self, "ci", now.current)
                    seen["handed_over"] = True
                case step.RETIRE:
                    slot = next(s for s, key in self.accepted.items() if key == now.old)
                    self.change(self.slots, slot, None)
                case step.FORGET:
                    self.change(self.files, "old", None)
                case step.UNSET_OTHER:
                    self.change(self.slots, next(iter(now.others)), None)
                case step.DONE:
                    return


def ends_well(world: World) -> bool:
    (only,) = world.accepted.values()
    return world.files == {"current": only, "next": None, "old": None} and world.ci == only


def test_a_rotation_leaves_the_new_key_alone(keypair: Any) -> None:
    world = World()
    world.run(keypair)
    assert ends_well(world)
    assert world.ci == "made 0"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_killed_at_any_changes_and_run_again(keypair: Any, times: int) -> None:
    for deaths in itertools.product(range(8), repeat=times):
        world = World()
        for changes in deaths:
            world.changes_left = changes
            with contextlib.suppress(Killed):
                world.run(keypair)
        world.changes_left = float("inf")
        world.run(keypair)
        assert ends_well(world), deaths


def test_a_rotation_that_died_with_its_machine(keypair: Any) -> None:
    """A runner of CI starts from the secret: of the key before it, or of the new one."""
    for deaths in range(8):
        world = World(changes_left=deaths)
        with contextlib.suppress(Killed):
            world.run(keypair)
        world.changes_left = float("inf")
        world.files = {"current": world.ci, "next": None, "old": None}
        if len(world.accepted) == 2:
            with pytest.raises(keypair.MeshError, match="both of the user's key slots are taken"):
                world.run(keypair)
        world.run(keypair, unset_others=True)
        assert ends_well(world)


def test_an_unknown_key_is_unset_only_after_the_known_one_works_here_and_in_ci(
    keypair: Any,
) -> None:
    full = {"RSA_PUBLIC_KEY": "ours", "RSA_PUBLIC_KEY_2": "unknown"}
    now = keypair.Situation(full, room=False, current="ours", renew=True, unset_others=True)
    assert keypair.next_step(now) is keypair.Step.SIGN_IN
    seen = replace(now, signed_in=True)
    assert keypair.next_step(seen) is keypair.Step.HAND_OVER
    given = replace(seen, handed_over=True)
    assert keypair.next_step(given) is keypair.Step.UNSET_OTHER


def test_of_two_keys_that_are_not_here_none_is_unset_for_ci_uses_one(keypair: Any) -> None:
    full = {"RSA_PUBLIC_KEY": "unknown", "RSA_PUBLIC_KEY_2": "unknown, too"}
    now = keypair.Situation(full, room=False, unset_others=True)
    with pytest.raises(keypair.MeshError, match=r"CI may use any of them.*--no-github"):
        keypair.next_step(now)
    nobody = replace(now, handed_over=True)  # as --no-github says
    assert keypair.next_step(nobody) is keypair.Step.UNSET_OTHER


def test_a_key_made_elsewhere_is_not_replaced_unasked(keypair: Any) -> None:
    now = keypair.Situation({"RSA_PUBLIC_KEY": "SHA256:else"}, room=True)
    with pytest.raises(keypair.MeshError, match=r"RSA_PUBLIC_KEY: SHA256:else.*--unset-others"):
        keypair.next_step(now)


def test_names_in_sql(keypair: Any) -> None:
    assert keypair.remove_sql("DBT_UP_SVC", "RSA_PUBLIC_KEY_2") == (
        "ALTER USER DBT_UP_SVC UNSET RSA_PUBLIC_KEY_2"
    )
    assert keypair.remove_sql('x"; DROP USER y', "MESH_ROTATED_1") == (
        'ALTER USER "x""; DROP USER y" REMOVE KEY PAIR MESH_ROTATED_1'
    )


def test_slots_and_named_pairs_are_read_together(keypair: Any) -> None:
    properties = {"RSA_PUBLIC_KEY_FP": "SHA256:a", "RSA_PUBLIC_KEY_2_FP": "null"}
    pairs = [
        {"name": "MESH", "fingerprint": "SHA256:b", "status": "ACTIVE"},
        {"name": "MESH_ROTATED_1", "fingerprint": "SHA256:c", "status": "EXPIRED"},
        {"name": "PUBLIC_KEY_1", "fingerprint": "SHA256:a", "status": "ACTIVE"},
    ]
    assert keypair.registered_keys(properties, pairs) == {
        "RSA_PUBLIC_KEY": "SHA256:a",
        "MESH": "SHA256:b",
    }
