"""Reads and changes a user's keys in the account.

They are in the two slots that every user has, or are named key pairs.

https://docs.snowflake.com/en/user-guide/key-pair-auth
https://docs.snowflake.com/en/sql-reference/sql/alter-user-add-key-pair, …-rotate-key-pair and
…-remove-key-pair
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dbtmesh import MeshError, cli
from dbtmesh.output.sql import literal
from dbtmesh.snowflake.keypair import rsa_keys
from dbtmesh.snowflake.keypair.ages import EXPIRY_DAYS, GRACE_HOURS
from dbtmesh.snowflake.session import Refused
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import sql_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from dbtmesh.snowflake.session import Row, Session

SLOTS = ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2")
"""The properties of a user that each hold a public key, on every account."""
LISTED_SLOTS = {"PUBLIC_KEY_1": SLOTS[0], "PUBLIC_KEY_2": SLOTS[1]}
"""The slots by their names in SHOW USER KEY PAIRS."""

PAIR = "MESH"
"""The name of our key pair on accounts that have named ones (since July 2026). A user can have many
of them; each expires, and can be bound to one role."""
MOST_PAIRS = 10
HASH = "SHA256:"


def registered_keys(
    properties: Mapping[str, str | None], pairs: Iterable[Mapping[str, object]]
) -> dict[str, str]:
    """Returns the fingerprints that Snowflake accepts for a user, by slot or name.

    properties: what DESC USER shows. pairs: the rows of SHOW USER KEY PAIRS, which may list the
    slots too. It is not documented whether fingerprints there begin with SHA256:, so both forms are
    read.
    """
    # DESC USER writes an absent value as the word null.
    slots = {
        slot: key for slot in SLOTS if (key := properties.get(f"{slot}_FP") or "null") != "null"
    }
    named = {
        LISTED_SLOTS.get(str(pair["name"]), str(pair["name"])): _fingerprint(pair["fingerprint"])
        for pair in pairs
        if pair["status"] == "ACTIVE"
    }
    return {**slots, **named, **slots}


def _fingerprint(shown: object) -> str:
    return HASH + str(shown).removeprefix(HASH)


def free_slot(registered: Iterable[str]) -> str | None:
    return next((slot for slot in SLOTS if slot not in registered), None)


def set_slot_sql(user: str, slot: str, key: RSAPrivateKey) -> str:
    return f"ALTER USER {sql_name(user)} SET {slot} = '{rsa_keys.public_text(key)}'"


def add_pair_sql(user: str, key: RSAPrivateKey, role: str | None, *, replaces: bool) -> str:
    """Returns the statement that registers a named key pair.

    role: the only role that a session with this key can have; it has to be named when signing in.
    replaces: whether there is a key pair already. Its key stays valid for GRACE_HOURS.
    """
    alter, public = f"ALTER USER {sql_name(user)}", f"PUBLIC_KEY = '{rsa_keys.public_text(key)}'"
    if replaces:
        return (
            f"{alter} ROTATE KEY PAIR {PAIR} {public} "
            f"EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS = {GRACE_HOURS}"
        )
    restriction = f" ROLE_RESTRICTION = {literal(role, Warehouse.SNOWFLAKE)}" if role else ""
    return f"{alter} ADD KEY PAIR {PAIR} {public}{restriction} DAYS_TO_EXPIRY = {EXPIRY_DAYS}"


def remove_sql(user: str, name: str) -> str:
    """Returns the statement that removes a user's key, by slot or name."""
    verb = f"UNSET {name}" if name in SLOTS else f"REMOVE KEY PAIR {sql_name(name)}"
    return f"ALTER USER {sql_name(user)} {verb}"


class User:
    """A user in the account, and a session that may change it.

    session: None without a connection; then nothing is known of the user. role: the role with which
    it signs in, and to which a named key pair is bound; None: its default role.
    """

    def __init__(self, session: Session | None, name: str, role: str | None = None) -> None:
        self.session, self.name, self.role = session, name, role
        self._login = name
        self._knows_named_pairs = session is not None
        self._pair_names: frozenset[str] = frozenset()

    def properties(self) -> dict[str, str] | None:
        """Returns the properties in DESC USER that are set; None where DESC USER is refused.

        It is not documented whether a role may describe a user that it does not own.
        """
        assert self.session is not None
        try:
            rows = self.session.rows(f"DESC USER {sql_name(self.name)}", self.session.role)
        except Refused:
            return None
        return {row["property"]: row["value"] for row in rows if row["value"] not in ("", "null")}

    def registered(self) -> dict[str, str]:
        """Returns the fingerprints of the user's keys by slot or name; none without a connection.

        Raises MeshError where the user does not exist, or the role may not see it.
        """
        if self.session is None:
            return {}
        properties, pairs = self.properties(), self._named_pairs(self.session)
        if properties is None and not self._knows_named_pairs:
            raise MeshError(
                f"user {self.name} does not exist, or {self.session.role} may not see it: "
                "`scripts/snowflake_access.py apply` creates this project's users"
            )
        self._login = (properties or {}).get("LOGIN_NAME", self.name)
        self._pair_names = frozenset(str(pair["name"]) for pair in pairs)
        return registered_keys(properties or {}, pairs)

    def _named_pairs(self, session: Session) -> list[Row]:
        """Returns the rows of SHOW USER KEY PAIRS. An account that does not know that statement is
        asked only once."""
        if self._knows_named_pairs:
            try:
                user = sql_name(self.name)
                return session.rows(f"SHOW USER KEY PAIRS FOR USER {user}", session.role)
            except Refused:
                self._knows_named_pairs = False
        return []

    @property
    def capacity(self) -> int:
        """How many keys the user can have, as far as is known by now."""
        return MOST_PAIRS if self._knows_named_pairs else len(SLOTS)

    def register(self, key: RSAPrivateKey, registered: Mapping[str, str]) -> str:
        """Registers a public key, and returns its slot or name. Raises MeshError."""
        if self._knows_named_pairs:
            replaces = PAIR in self._pair_names
            self._change(add_pair_sql(self.name, key, self.role, replaces=replaces))
            return PAIR
        slot = free_slot(registered)
        assert slot is not None
        self._change(set_slot_sql(self.name, slot, key))
        return slot

    def remove(self, name: str) -> None:
        """Removes a key by its slot or name. Raises MeshError."""
        self._change(remove_sql(self.name, name))

    def _change(self, sql: str) -> None:
        """Runs a statement. If that is not possible, prints it for an administrator to run, and
        raises MeshError."""
        why = "there is no connection to Snowflake (--connection NAME)"
        if self.session is not None:
            try:
                self.session.run(sql, self.session.role)
                return
            except Refused as error:
                why = f"Snowflake refused this statement to {self.session.role} ({error})"
        cli.say("", "USE ROLE USERADMIN;", f"{sql};", "")
        raise MeshError(f"{why}: have an administrator run the above, then run this again")

    def sign_in(self, key: RSAPrivateKey) -> None:
        """Signs in as the user with a key. Raises MeshError where that fails."""
        from dbtmesh.snowflake import session as snowflake

        assert self.session is not None
        try:
            snowflake.sign_in_with_key(self._login, key, self.session.reach, self.role).close()
        except Refused as error:
            raise MeshError(
                f"Snowflake does not let {self.name} in with this key (a network policy or a wrong "
                f"clock can also be the reason): {error}"
            ) from None
