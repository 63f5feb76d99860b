"""Creates or rotates one user's key: it looks at the situation, does the next step, and repeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dbtmesh import MeshError, cli
from dbtmesh.ci.github.gh import Gh, NotHere
from dbtmesh.ci.github.secret import Place
from dbtmesh.snowflake.keypair import plan, rsa_keys
from dbtmesh.snowflake.keypair.files import File
from dbtmesh.snowflake.keypair.key_ring import KeyRing
from dbtmesh.snowflake.keypair.plan import Situation, Step
from dbtmesh.snowflake.keypair.user import User


def shown(path: Path) -> str:
    """Returns a path as people write it, with ~ for the home folder."""
    inside = path.is_relative_to(Path.home())
    return f"~/{path.relative_to(Path.home())}" if inside else str(path)


class Rotation:
    """The creation or rotation of a key.

    place: where CI gets the key; None if no CI needs it. renew: whether to replace the key in use.
    If a rotation was begun before, that one is finished instead. unset_others: see plan.Situation.
    """

    def __init__(
        self,
        user: User,
        ring: KeyRing,
        github: Gh,
        place: Place | None,
        *,
        renew: bool,
        unset_others: bool,
    ) -> None:
        self.user, self.ring, self.files = user, ring, ring.files
        self.github, self.place = github, place
        self.unset_others = unset_others
        begun = self.files.exists(File.NEXT) or self.files.exists(File.OLD)
        self.goes_on = renew and begun
        self.renew = renew and not begun
        self.signed_in = False
        self.handed_over = place is None
        self.left: list[str] = []
        self.failed: MeshError | None = None

    def run(self) -> int:
        """Does all steps. Raises MeshError where one fails; the steps before it stay done.

        If GitHub does not accept a key and no other key depends on that, the other steps are still
        done, and the error is raised at the end.
        """
        if self.goes_on:
            cli.say("going on with the rotation that was begun")
        perform: dict[Step, Callable[[Situation], None]] = {
            Step.GENERATE: self.generate,
            Step.REGISTER: self.register,
            Step.PROMOTE: self.promote,
            Step.SIGN_IN: self.sign_in,
            Step.HAND_OVER: self.hand_over,
            Step.RETIRE: self.retire,
            Step.FORGET: self.forget,
            Step.UNSET_OTHER: self.unset_other,
        }
        while (step := plan.next_step(now := self.situation())) is not Step.DONE:
            perform[step](now)
        self.left += [
            f"Snowflake accepts another key, which is not here ({name}: {key}): when nobody uses "
            "it, add --unset-others"
            for name, key in now.others.items()
        ]
        for left in self.left:
            cli.say(f"left to do  {left}")
        if self.failed:
            raise self.failed
        return cli.OK

    def show(self) -> int:
        """Prints what `run` would do. Raises MeshError where `plan.next_step` does."""
        described = {
            Step.GENERATE: f"make a key ({shown(self.files.path(File.NEXT))})",
            Step.REGISTER: f"register it ({self.user.name})",
            Step.PROMOTE: f"sign in with it, and put it in the place of "
            f"{shown(self.files.path(File.CURRENT))}",
            Step.SIGN_IN: f"sign in with {shown(self.files.path(File.CURRENT))}",
            Step.HAND_OVER: f"hand it over to GitHub, as {self.place}",
            Step.RETIRE: "unset the key before it, in Snowflake",
            Step.FORGET: f"delete {shown(self.files.path(File.OLD))}",
            Step.UNSET_OTHER: "unset a key that is not here, in Snowflake",
        }
        steps = list(plan.plan(self.situation()))
        cli.say(*(f"would {described[step]}" for step in steps) if steps else ("nothing to do",))
        return cli.OK

    def situation(self) -> Situation:
        registered = self.user.registered()
        return Situation(
            registered=registered,
            capacity=self.user.capacity,
            current=self.ring.fingerprint(File.CURRENT),
            next=self.ring.fingerprint(File.NEXT),
            old=self.ring.fingerprint(File.OLD),
            renew=self.renew,
            unset_others=self.unset_others,
            signed_in=self.signed_in,
            handed_over=self.handed_over,
            nobody_to_tell=self.place is None,
        )

    def generate(self, now: Situation) -> None:
        key = self.ring.generate()
        self.renew = False
        cli.say(f"made        {shown(self.files.path(File.NEXT))} (RSA, {key.key_size} bits)")

    def register(self, now: Situation) -> None:
        key = self.ring.key(File.NEXT if now.next else File.CURRENT)
        name = self.user.register(key, now.registered)
        cli.say(f"registered  {rsa_keys.fingerprint(key)} ({name} of {self.user.name})")

    def promote(self, now: Situation) -> None:
        self.user.sign_in(self.ring.key(File.NEXT))
        self.signed_in, self.handed_over = True, self.place is None
        self.files.promote()
        path = self.files.path(File.CURRENT)
        cli.say(f"signed in   as {self.user.name} with the new key; it is {path} now")

    def sign_in(self, now: Situation) -> None:
        self.user.sign_in(self.ring.key(File.CURRENT))
        self.signed_in = True
        path = shown(self.files.path(File.CURRENT))
        cli.say(f"signed in   as {self.user.name} with {path}")

    def hand_over(self, now: Situation) -> None:
        """Gives the key to GitHub without a passphrase, which would protect nothing beside it."""
        assert self.place is not None
        try:
            self.place.set(self.github, rsa_keys.private_pem(self.ring.key(File.CURRENT)), cli.say)
            cli.say(f"handed over to GitHub, as {self.place}")
        except MeshError as error:
            by_hand = f"{error}; by hand: {self.place.by_hand(self.files.path(File.CURRENT))}"
            if now.old in now.accepted:
                raise MeshError(
                    f"GitHub does not have the new key, so the old one stays valid: {by_hand}\n"
                    "Then (or if there is no CI yet) run this again with --no-github"
                ) from None
            if now.others and self.unset_others:  # CI may have one of these other keys
                raise MeshError(
                    f"GitHub does not have the new key, so no other key is unset: {by_hand}\n"
                    "Then run this again with --no-github. A runner of CI loses the key's file, so "
                    "there run this again once GitHub accepts secrets"
                ) from None
            said = f"GitHub does not have the key: {by_hand}"
            if isinstance(error, NotHere) and self.place.repository is None:
                self.left.append(said)  # there is no repository yet
            else:
                advice = "Then (or if there is no CI) run this again with --no-github"
                self.failed = MeshError(f"{said}\n{advice}")
        self.handed_over = True

    def retire(self, now: Situation) -> None:
        name = next(name for name, key in now.registered.items() if key == now.old)
        self.user.remove(name)
        cli.say(f"unset       {now.old} ({name}): it no longer signs in")

    def forget(self, now: Situation) -> None:
        self.files.forget(File.OLD)
        cli.say(f"deleted     {shown(self.files.path(File.OLD))}")

    def unset_other(self, now: Situation) -> None:
        name, key = next(iter(now.others.items()))
        self.user.remove(name)
        cli.say(f"unset       {key} ({name}): it no longer signs in")
