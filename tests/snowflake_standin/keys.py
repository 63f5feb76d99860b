"""Public keys in Snowflake's format, and the named key pairs of users."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from . import errors
from . import statements as st
from .account import KeyPair
from .context import Context, Decision, status
from .names import Ref

_MIN_BITS = 2048
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_DAY, _HOUR = 86_400, 3_600
_MOST_PAIRS = 10
_RESERVED = ("PUBLIC_KEY_1", "PUBLIC_KEY_2")


def check_public_key(text: str) -> None:
    """Refuses text that is not base64 of a DER public key: RSA of 2048 bits or more, or EC.

    Raises:
        SnowflakeError: with Snowflake's wording, "New public key rejected by current policy".
    """
    try:
        public_key(text)
    except ValueError as error:
        raise errors.SnowflakeError(
            3065,
            "22023",
            f"New public key rejected by current policy. Reason: 'Invalid public key' ({error})",
        ) from None


def public_key(text: str) -> RSAPublicKey | EllipticCurvePublicKey:
    """Returns the key behind the property's text, with or without the PEM lines around it.

    Raises:
        ValueError: what is wrong with it.
    """
    try:
        key = load_der_public_key(_der(text))
    except (UnsupportedAlgorithm, binascii.Error, ValueError):
        raise ValueError("not a DER-encoded key") from None
    if isinstance(key, EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise ValueError(f"curve {key.curve.name}, which is none of P-256, P-384 and P-521")
        return key
    if not isinstance(key, RSAPublicKey):
        raise ValueError("neither an RSA key nor one of an elliptic curve")
    if key.key_size < _MIN_BITS:
        raise ValueError(f"{key.key_size} bits, at least {_MIN_BITS} are needed")
    return key


def fingerprint(text: str) -> str:
    """As DESC USER shows it: ``SHA256:`` and the base64 of the digest of the DER."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(_der(text)).digest()).decode()


def _der(text: str) -> bytes:
    body = re.sub(r"-----[A-Z ]+-----|\s", "", text)
    return base64.b64decode(body, validate=True)


def alter_key_pair(ctx: Context, statement: st.KeyPair) -> Decision:
    """Decides on ``ALTER USER … ADD | ROTATE | MODIFY | REMOVE KEY PAIR``.

    docs.snowflake.com/sql-reference/sql/alter-user-add-key-pair and its siblings, July 2026;
    on an account without the feature these words are a syntax error.
    """
    if not ctx.behaviour.named_key_pairs:
        raise errors.syntax_error("KEY")
    name = statement.user or (ctx.session.user,)
    ref = Ref("USER", name)
    if ref not in ctx.account.things:
        if statement.if_exists:
            return Decision(status())
        raise errors.no_such_object()
    require_authentication_methods(ctx, ref)
    pairs = ctx.thing(ref).key_pairs
    forget_expired(pairs, ctx.now)
    days = statement.properties.get("DAYS_TO_EXPIRY")
    if isinstance(days, int) and days < 1:
        raise errors.invalid("DAYS_TO_EXPIRY must be 1 or greater")
    if statement.key in _RESERVED or statement.new_name in _RESERVED:
        raise errors.invalid("PUBLIC_KEY_1 and PUBLIC_KEY_2 are reserved names of key pairs")
    new = statement.properties.get("PUBLIC_KEY")
    if new is not None:
        check_public_key(str(new))
        if any(_same(pair.public_key, str(new)) for pair in pairs.values()):
            raise errors.invalid("the public key must be unique among the user's keys")
    if (statement.key in pairs) == (statement.action == "ADD"):
        if statement.action == "ADD":
            raise errors.already_exists((statement.key,))
        raise errors.no_such_object()
    if statement.action == "ADD" and len(pairs) >= _MOST_PAIRS:
        raise errors.invalid(f"a user has {_MOST_PAIRS} key pairs at most")
    if statement.new_name in pairs:
        raise errors.already_exists((str(statement.new_name),))
    restriction = statement.properties.get("ROLE_RESTRICTION")
    if restriction is not None and not any(
        r == Ref("ROLE", (str(restriction).upper(),)) for r in ctx.account.reach(ref)
    ):
        raise errors.not_authorized("ROLE", (str(restriction),))
    return Decision(status(), lambda: _change(ctx, pairs, statement))


def forget_expired(pairs: dict[str, KeyPair], now: float) -> None:
    """Removes expired pairs; docs, SHOW USER KEY PAIRS: rotated ones remain until then."""
    for name, pair in [*pairs.items()]:
        if pair.rotated_to and pair.expires_at is not None and pair.expires_at <= now:
            del pairs[name]


def require_authentication_methods(ctx: Context, user: Ref) -> None:
    """Requires the privilege, or ownership, for statements on another user's key pairs.

    docs: sql-reference/sql/show-user-key-pairs, "Access control requirements".
    """
    privilege = "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"
    oneself = user.name == (ctx.session.user,)
    if not oneself and not ctx.account.holds(ctx.roles, privilege, user):
        raise errors.insufficient("USER", user.name)


def _same(one: str, other: str) -> bool:
    return fingerprint(one) == fingerprint(other)


def _change(ctx: Context, pairs: dict[str, KeyPair], statement: st.KeyPair) -> None:
    given = statement.properties
    if statement.action == "REMOVE":
        del pairs[statement.key]
    elif statement.action == "ADD":
        days = given.get("DAYS_TO_EXPIRY")
        restriction = given.get("ROLE_RESTRICTION")
        pairs[statement.key] = KeyPair(
            public_key=str(given["PUBLIC_KEY"]),
            role_restriction=None if restriction is None else str(restriction).upper(),
            expires_at=ctx.now + days * _DAY if isinstance(days, int) else None,
            comment=str(given.get("COMMENT", "")),
            created_on=ctx.now,
            created_by=ctx.session.user,
        )
    elif statement.action == "ROTATE":
        old = pairs[statement.key]
        aside = f"{statement.key}_ROTATED_{int(ctx.now * 1000)}"
        pairs[statement.key] = KeyPair(
            public_key=str(given["PUBLIC_KEY"]),
            role_restriction=old.role_restriction,
            expires_at=(
                None if old.expires_at is None else ctx.now + old.expires_at - old.created_on
            ),
            comment=old.comment,
            created_on=ctx.now,
            created_by=ctx.session.user,
        )
        # The documentation names no default for the hours; 24 is that of access tokens.
        hours = given.get("EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS", 24)
        assert isinstance(hours, int)
        old.disabled = hours == 0
        old.expires_at = ctx.now + hours * _HOUR
        old.rotated_to = statement.key
        pairs[aside] = old
    elif statement.new_name is not None:
        pairs[statement.new_name] = pairs.pop(statement.key)
    else:
        pair = pairs[statement.key]
        pair.disabled = bool(given.get("DISABLED", pair.disabled))
        pair.comment = str(given.get("COMMENT", pair.comment))
