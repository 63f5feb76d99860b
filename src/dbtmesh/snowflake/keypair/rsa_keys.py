"""Generates, reads and writes RSA keys in the forms that Snowflake's clients and SQL take."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError

if TYPE_CHECKING:  # cryptography takes as long to import as Python to start
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

KEY_BITS = 3072
"""3072 bits give 128 bits of security, which NIST SP 800-57 accepts beyond 2030. Snowflake requires
2048. 4096 bits are in the same class of security, and make each sign-in's signature twice as slow.
"""
SHORTEST = 2048


def generate() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def private_pem(key: RSAPrivateKey, passphrase: str | None = None) -> bytes:
    """Returns a key as PKCS#8, which Snowflake's clients read; encrypted if there is a
    passphrase."""
    from cryptography.hazmat.primitives import serialization as s

    encryption: s.KeySerializationEncryption = s.NoEncryption()
    if passphrase:
        encryption = s.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, encryption)


def public_der(key: RSAPublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    return key.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)


def public_text(key: RSAPrivateKey) -> str:
    """Returns the public key as ALTER USER takes it: base64 without header, footer and line
    breaks."""
    return base64.b64encode(public_der(key.public_key())).decode()


def fingerprint(key: RSAPrivateKey) -> str:
    """Returns a key's fingerprint as DESC USER shows it."""
    digest = hashlib.sha256(public_der(key.public_key())).digest()
    return f"SHA256:{base64.b64encode(digest).decode()}"


def is_encrypted(pem: bytes) -> bool:
    return b"ENCRYPTED" in pem.partition(b"\n")[0] or b"\nProc-Type: 4,ENCRYPTED" in pem


def parse_private(pem: bytes, path: Path, passphrase: str | None = None) -> RSAPrivateKey:
    """Parses the bytes of a key file. `path` is for messages.

    Raises MeshError where they are not an RSA private key of at least SHORTEST bits, or the
    passphrase is missing or wrong.
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
            f"{path} is not a private key in PEM form (-----BEGIN PRIVATE KEY-----), or is damaged"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise MeshError(f"{path} holds a key that is not RSA: Snowflake's key pairs here are RSA")
    if key.key_size < SHORTEST:
        raise MeshError(f"{path} has {key.key_size} bits: Snowflake takes {SHORTEST} or more")
    return key
