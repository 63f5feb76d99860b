"""Opens the key files of a user, and asks for their passphrase if they need one."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.snowflake.keypair import rsa_keys
from dbtmesh.snowflake.keypair.files import File, KeyFiles

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PASSPHRASE = "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable


class Passphrase:
    """The passphrase of a user's keys, from the environment or the terminal. It is asked for once,
    and only if a key needs it."""

    def __init__(self, for_new_keys: bool) -> None:
        self.for_new_keys = for_new_keys
        self._known = os.environ.get(PASSPHRASE) or None

    def of(self, path: Path) -> str | None:
        if not self._known and sys.stdin.isatty():
            self._known = getpass.getpass(f"Passphrase of {path}: ")
        return self._known

    def of_new_key(self) -> str | None:
        """Returns the passphrase for a new key; None for a key without one. Raises MeshError where
        there is nobody to ask, or the two answers differ or are empty."""
        if not self.for_new_keys or self._known:
            return self._known if self.for_new_keys else None
        if not sys.stdin.isatty():
            raise MeshError(f"--passphrase needs ${PASSPHRASE}, or a terminal to ask in")
        first = getpass.getpass("Passphrase for the new key: ")
        if not first or first != getpass.getpass("Once more: "):
            raise MeshError("the two passphrases differ, or are empty: nothing was made")
        self._known = first
        return first


class KeyRing:
    def __init__(self, files: KeyFiles, passphrase: Passphrase) -> None:
        self.files = files
        self._passphrase = passphrase
        # A key is checked when it is parsed, which takes longer than everything else here.
        self._parsed: dict[bytes, RSAPrivateKey] = {}

    def key(self, which: File) -> RSAPrivateKey:
        """Reads a key. Raises MeshError where it is missing or cannot be read."""
        pem, path = self.files.read(which), self.files.path(which)
        if pem not in self._parsed:
            passphrase = self._passphrase.of(path) if rsa_keys.is_encrypted(pem) else None
            self._parsed[pem] = rsa_keys.parse_private(pem, path, passphrase)
        return self._parsed[pem]

    def fingerprint(self, which: File) -> str | None:
        return rsa_keys.fingerprint(self.key(which)) if self.files.exists(which) else None

    def generate(self) -> RSAPrivateKey:
        """Generates and writes the next key. It is encrypted if that is asked for, or if the key in
        use is."""
        if self.files.exists(File.CURRENT) and rsa_keys.is_encrypted(self.files.read(File.CURRENT)):
            self._passphrase.for_new_keys = True
        passphrase = self._passphrase.of_new_key()
        key = rsa_keys.generate()
        self.files.write(File.NEXT, rsa_keys.private_pem(key, passphrase))
        return key
