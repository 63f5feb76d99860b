"""Making and rotating a key, as a pure state machine: killed at any change, it ends well."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dbtmesh import MeshError
from dbtmesh.snowflake.keypair.plan import Situation, Step, next_step, plan
from dbtmesh.snowflake.keypair.user import SLOTS, free_slot, registered_keys, remove_sql


class Killed(BaseException):
    pass


@dataclass
class World:
    """A user's slots, three files and GitHub's secret, as fingerprints; dies at the n-th change."""

    slots: dict[str, str | None] = field(
        default_factory=lambda: {"RSA_PUBLIC_KEY": "first", "RSA_PUBLIC_KEY_2": None}
    )
    files: dict[str, Any] = field(
        default_factory=lambda: {"current": "first", "next": None, "old": None}
    )
    ci: str | None = "first"
    made: Iterator[int] = field(default_factory=itertools.count)
    changes_left: float = float("inf")
    steps: list[Step] = field(default_factory=list)

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

    def run(self, **wishes: bool) -> None:
        """What scripts/keypair_auth.py does, with the same changes in the same order."""
        seen: dict[str, Any] = {"signed_in": False, "handed_over": False}
        renew = not (self.files["next"] or self.files["old"])
        while True:
            now = Situation(
                registered=self.accepted,
                capacity=len(SLOTS),
                **self.files,
                renew=renew,
                unset_others=wishes.get("unset_others", False),
                **seen,
            )
            step = next_step(now)
            self.steps.append(step)
            match step:
                case Step.GENERATE:
                    self.change(self.files, "next", f"made {next(self.made)}")
                    renew = False
                case Step.REGISTER:
                    slot = str(free_slot(self.accepted))
                    self.change(self.slots, slot, now.next or now.current)
                case Step.PROMOTE:
                    assert now.next in self.accepted.values()
                    self.change(self.files, "old", now.current)
                    self.files["current"], self.files["next"] = now.next, None  # one rename
                    seen = {"signed_in": True, "handed_over": False}
                case Step.SIGN_IN:
                    assert now.current in self.accepted.values()
                    seen["signed_in"] = True
                case Step.HAND_OVER:
                    self.change(self, "ci", now.current)
                    seen["handed_over"] = True
                case Step.RETIRE:
                    slot = next(s for s, key in self.accepted.items() if key == now.old)
                    self.change(self.slots, slot, None)
                case Step.FORGET:
                    self.change(self.files, "old", None)
                case Step.UNSET_OTHER:
                    self.change(self.slots, next(iter(now.others)), None)
                case Step.DONE:
                    return


def ends_well(world: World) -> bool:
    (only,) = world.accepted.values()
    return world.files == {"current": only, "next": None, "old": None} and world.ci == only


def test_a_rotation_leaves_the_new_key_alone() -> None:
    world = World()
    world.run()
    assert ends_well(world)
    assert world.ci == "made 0"


def test_the_plan_of_a_rotation_is_what_it_does() -> None:
    world = World()
    now = Situation(world.accepted, capacity=2, **world.files, renew=True)
    planned = list(plan(now))
    world.run()
    assert [*planned, Step.DONE] == world.steps
    assert planned == [
        *(Step.GENERATE, Step.REGISTER, Step.PROMOTE, Step.HAND_OVER, Step.RETIRE, Step.FORGET)
    ]


def test_a_plan_of_nothing_is_empty() -> None:
    now = Situation({"MESH": "ours"}, capacity=10, current="ours")
    assert list(plan(now)) == [Step.SIGN_IN, Step.HAND_OVER]
    assert list(plan(replace(now, signed_in=True, handed_over=True))) == []


@pytest.mark.parametrize("times", [1, 2, 3])
def test_killed_at_any_changes_and_run_again(times: int) -> None:
    for deaths in itertools.product(range(8), repeat=times):
        world = World()
        for changes in deaths:
            world.changes_left = changes
            with contextlib.suppress(Killed):
                world.run()
        world.changes_left = float("inf")
        world.run()
        assert ends_well(world), deaths


def test_a_rotation_that_died_with_its_machine() -> None:
    """A runner of CI starts from the secret: of the key before it, or of the new one."""
    for deaths in range(8):
        world = World(changes_left=deaths)
        with contextlib.suppress(Killed):
            world.run()
        world.changes_left = float("inf")
        world.files = {"current": world.ci, "next": None, "old": None}
        if len(world.accepted) == 2:
            with pytest.raises(MeshError, match="both of the user's key slots are taken"):
                world.run()
        world.run(unset_others=True)
        assert ends_well(world)


def test_an_unknown_key_is_unset_only_after_the_known_one_works_here_and_in_ci() -> None:
    full = {"RSA_PUBLIC_KEY": "ours", "RSA_PUBLIC_KEY_2": "unknown"}
    now = Situation(full, capacity=2, current="ours", renew=True, unset_others=True)
    assert next_step(now) is Step.SIGN_IN
    seen = replace(now, signed_in=True)
    assert next_step(seen) is Step.HAND_OVER
    given = replace(seen, handed_over=True)
    assert next_step(given) is Step.UNSET_OTHER


def test_of_two_keys_that_are_not_here_none_is_unset_for_ci_uses_one() -> None:
    full = {"RSA_PUBLIC_KEY": "unknown", "RSA_PUBLIC_KEY_2": "unknown, too"}
    now = Situation(full, capacity=2, unset_others=True)
    with pytest.raises(MeshError, match=r"CI may use any of them.*--no-github"):
        next_step(now)
    nobody = replace(now, handed_over=True)  # as --no-github says
    assert next_step(nobody) is Step.UNSET_OTHER


def test_a_key_made_elsewhere_is_not_replaced_unasked() -> None:
    now = Situation({"RSA_PUBLIC_KEY": "SHA256:else"}, capacity=2)
    with pytest.raises(MeshError, match=r"RSA_PUBLIC_KEY: SHA256:else.*--unset-others"):
        next_step(now)


def test_names_in_sql() -> None:
    assert remove_sql("DBT_UP_SVC", "RSA_PUBLIC_KEY_2") == (
        "ALTER USER DBT_UP_SVC UNSET RSA_PUBLIC_KEY_2"
    )
    assert remove_sql('x"; DROP USER y', "MESH_ROTATED_1") == (
        'ALTER USER "x""; DROP USER y" REMOVE KEY PAIR MESH_ROTATED_1'
    )


def test_slots_and_named_pairs_are_read_together() -> None:
    properties = {"RSA_PUBLIC_KEY_FP": "SHA256:a", "RSA_PUBLIC_KEY_2_FP": "null"}
    pairs = [
        {"name": "MESH", "fingerprint": "SHA256:b", "status": "ACTIVE"},
        {"name": "MESH_ROTATED_1", "fingerprint": "SHA256:c", "status": "EXPIRED"},
        {"name": "PUBLIC_KEY_1", "fingerprint": "SHA256:a", "status": "ACTIVE"},
    ]
    assert registered_keys(properties, pairs) == {
        "RSA_PUBLIC_KEY": "SHA256:a",
        "MESH": "SHA256:b",
    }
