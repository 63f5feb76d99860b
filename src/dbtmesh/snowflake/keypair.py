"""A Snowflake user's key pairs: the files on this machine, and what to do next about them.

Making and rotating a key are one state machine. `next_step` looks only at what there is, the
fingerprints that Snowflake accepts and the files that lie here, so a run that was killed between
any two steps is taken up where it stopped by running the same command again. Three files:

    <USER>.p8        the key in use
    <USER>.next.p8   a new key, until Snowflake has accepted a sign-in with it
    <USER>.old.p8    the key before it, until CI has the new one and Snowflake forgot this one
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.warehouse.names import sql_name

if TYPE_CHECKING:  # cryptography takes as long to import as Python to start
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

KEY_BITS = 3072
"""128 bits of security, which NIST SP 800-57 accepts beyond 2030; Snowflake asks for 2048. 4096
bits make every sign-in's signature twice as slow and are in the same class."""

SLOTS = ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2")
"""Properties of a user that hold a public key each, on every account."""

PAIR = "MESH"
"""Name of our key pair on accounts that have named ones (since July 2026), which can be many,
are bound to one role, and expire."""
DAYS_TO_EXPIRY = 120  # a month after `status` starts to ask for a rotation
GRACE_HOURS = 168  # a rotated-out named key pair ends by itself, should nobody finish its rotation


# ── Keys ──────────────────────────────────────────────────────────────────────────────


def generate() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def private_pem(key: RSAPrivateKey, passphrase: str | None = None) -> bytes:
    """PKCS#8, which Snowflake's clients read; encrypted where there is a passphrase."""
    from cryptography.hazmat.primitives import serialization as s

    encryption: s.KeySerializationEncryption = s.NoEncryption()
    if passphrase:
        encryption = s.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)


def private_der(key: RSAPrivateKey) -> bytes:
    """The form in which Snowflake's connector takes a key that is not in a file."""
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, s.NoEncryption())


def public_der(key: RSAPublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    return key.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)


def public_text(key: RSAPrivateKey) -> str:
    """The public half as ALTER USER takes it: base64 without header, footer and line breaks."""
    return base64.b64encode(public_der(key.public_key())).decode()


def fingerprint(key: RSAPrivateKey) -> str:
    """As DESC USER shows it."""
    digest = hashlib.sha256(public_der(key.public_key())).digest()
    return f"SHA256:{base64.b64encode(digest).decode()}"


# ── Files ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class KeyFiles:
    """The three files of a user; see above."""

    current: Path

    @property
    def next(self) -> Path:
        return self._beside("next")

    @property
    def old(self) -> Path:
        return self._beside("old")

    def _beside(self, word: str) -> Path:
        return self.current.with_name(f"{self.current.stem}.{word}{self.current.suffix}")


def default_file(user: str) -> Path:
    """`~/.snowflake/keys/<USER>.p8`, where profiles.yml looks for it."""
    return keys_folder() / f"{re.sub(r'[^A-Za-z0-9_.@-]', '_', user)}.p8"


def keys_folder() -> Path:
    return Path.home() / ".snowflake" / "keys"


def refuse_work_tree(path: Path) -> None:
    """Raises MeshError where a key would lie in a git work tree, one `git add` from the remote."""
    for folder in path.expanduser().resolve().parents:
        if (folder / ".git").exists():
            raise MeshError(
                f"{path} is inside the git repository {folder}: keys live outside; name another "
                "place with --key-file"
            )


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, at once: it is never there in part.

    Raises OSError. A folder that has to be made is for its owner alone, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # of a run that was killed
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> bytes:
    """The bytes of a key file.

    Raises MeshError where it is missing, unreadable, or others may read it, too.
    """
    try:
        mode = path.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            raise MeshError(
                f"{path} can be read by others (mode {mode & 0o777:04o}): whoever did has the key; "
                f"`chmod 600 {path}`, then rotate it"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise MeshError(f"there is no key file {path}: `./setup_keypair_auth.sh create`") from None
    except OSError as error:
        raise MeshError(f"cannot read {path}: {error.strerror}") from None


def is_encrypted(pem: bytes) -> bool:
    return b"ENCRYPTED" in pem.partition(b"\n")[0] or b"\nProc-Type: 4,ENCRYPTED" in pem


def parse_private(pem: bytes, path: Path, passphrase: str | None = None) -> RSAPrivateKey:
    """The key in a file's bytes. `path` is for the message.

    Raises MeshError where they hold something else, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"-----BEGIN PUBLIC KEY-----" in pem or pem.startswith((b"ssh-", b"-----BEGIN CERTIFICATE")):
        raise MeshError(
            f"{path} holds a public key: the private one starts with -----BEGIN PRIVATE KEY-----."
        )
    encrypted = is_encrypted(pem)
    if encrypted and not passphrase:
        raise MeshError(
            f"{path} is encrypted: set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE, or run this in a terminal"
        )
    try:
        key = load_pem_private_key(pem, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise MeshError(f"{path}: the passphrase does not open it") from None
        raise MeshError(
            f"{path} is no private key in PEM form (-----BEGIN PRIVATE KEY-----), or is damaged"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise MeshError(f"{path} holds a key that is not RSA: Snowflake's key pairs here are RSA")
    if key.key_size < 2048:
        raise MeshError(f"{path} has {key.key_size} bits: Snowflake takes 2048 or more")
    return key


# ── Keys in the account ───────────────────────────────────────────────────────────────


def registered_keys(
    properties: Mapping[str, str | None], pairs: Iterable[Mapping[str, object]]
) -> dict[str, str]:
    """Fingerprints that Snowflake accepts for a user, by slot or name.

    properties: of DESC USER. pairs: rows of SHOW USER KEY PAIRS, which may list the slots, too,
    under names of their own (PUBLIC_KEY_1, PUBLIC_KEY_2).
    """
    slots = {slot: properties.get(f"{slot}_FP") for slot in SLOTS}
    named = {
        str(pair["name"]): str(pair["fingerprint"])
        for pair in pairs
        if pair["status"] == "ACTIVE" and pair["name"] not in ("PUBLIC_KEY_1", "PUBLIC_KEY_2")
    }
    # DESC USER writes an absent value as the word null.
    return {slot: key for slot, key in slots.items() if key and key != "null"} | named


def free_slot(registered: Iterable[str]) -> str | None:
    return next((slot for slot in SLOTS if slot not in registered), None)


def set_slot_sql(user: str, slot: str, key: RSAPrivateKey) -> str:
    return f"ALTER USER {sql_name(user)} SET {slot} = '{public_text(key)}'"


def add_pair_sql(user: str, key: RSAPrivateKey, role: str | None, *, replaces: bool) -> str:
    """Registers a named key pair; `replaces`: there is one, which lives on for GRACE_HOURS.

    role: the only one whose privileges a session signed in with this key has.
    https://docs.snowflake.com/sql-reference/sql/alter-user-add-key-pair and …-rotate-key-pair
    """
    alter, public = f"ALTER USER {sql_name(user)}", f"PUBLIC_KEY = '{public_text(key)}'"
    if replaces:
        return (
            f"{alter} ROTATE KEY PAIR {PAIR} {public} "
            f"EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS = {GRACE_HOURS}"
        )
    restriction = f" ROLE_RESTRICTION = '{role}'" if role else ""
    return f"{alter} ADD KEY PAIR {PAIR} {public}{restriction} DAYS_TO_EXPIRY = {DAYS_TO_EXPIRY}"


def remove_sql(user: str, name: str) -> str:
    """Takes a key from a user, by slot or name."""
    verb = f"UNSET {name}" if name in SLOTS else f"REMOVE KEY PAIR {sql_name(name)}"
    return f"ALTER USER {sql_name(user)} {verb}"


# ── What to do next ───────────────────────────────────────────────────────────────────


class Step(Enum):
    """One step of making or rotating a key. Each can be repeated without harm."""

    GENERATE = auto()  # write a new key to <USER>.next.p8
    REGISTER = auto()  # tell Snowflake the public half of the newest key here
    PROMOTE = auto()  # sign in with <USER>.next.p8, then put it in the place of <USER>.p8
    SIGN_IN = auto()  # prove that <USER>.p8 is accepted
    HAND_OVER = auto()  # give <USER>.p8 to CI
    RETIRE = auto()  # Snowflake forgets <USER>.old.p8
    FORGET = auto()  # delete <USER>.old.p8
    UNSET_OTHER = auto()  # Snowflake forgets a key that is not here
    DONE = auto()


@dataclass(frozen=True)
class Situation:
    """What there is: keys in the account, files here, and what this run has done or is asked to.

    registered: fingerprint by the slot or name under which Snowflake accepts it.
    room: whether Snowflake can take another key of this user.
    current, next, old: fingerprints of the files, where they are there.
    renew: a rotation is asked for and has not begun.
    unset_others: keys that are not here are lost, and to be unset.
    signed_in, handed_over: this run has seen to it for the current key; neither can be told from
    outside. Where there is nobody to hand over to, that is done.
    """

    registered: Mapping[str, str]
    room: bool
    current: str | None = None
    next: str | None = None
    old: str | None = None
    renew: bool = False
    unset_others: bool = False
    signed_in: bool = False
    handed_over: bool = False

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(self.registered.values())

    @property
    def others(self) -> dict[str, str]:
        """Registered keys of which there is no file here."""
        here = {self.current, self.next, self.old}
        return {name: key for name, key in self.registered.items() if key not in here}


def next_step(now: Situation) -> Step:
    """The one thing to do in this situation. At every moment Snowflake accepts a key that works:
    a key is retired, or unset, only after a sign-in with the one that replaces it, and after CI
    has that.

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


def _when_there_is_room(now: Situation, step: Step) -> Step:
    if now.room:
        return step
    if not (now.others and now.unset_others):
        raise MeshError(
            f"both of the user's key slots are taken ({_listed(now.registered)}): if the ones that "
            "are not here are lost, add --unset-others"
        )
    # Not before the key that stays has been seen to work, and CI has it.
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
