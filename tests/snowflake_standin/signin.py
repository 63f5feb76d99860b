"""Signing in: a key-pair token, a password, or a workload's OIDC token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jwt

from .account import KeyPair, Thing
from .context import Session
from .errors import SnowflakeError
from .keys import fingerprint, public_key
from .model import Model
from .names import Ref, role

_CLOCK_SKEW = 60  # seconds
_AUDIENCE = "snowflakecomputing.com"


@dataclass(frozen=True)
class Request:
    """A client's request to sign in; names as the user wrote them."""

    data: Mapping[str, object]
    role: str | None = None
    warehouse: str | None = None
    database: str | None = None
    schema: str | None = None


def sign_in(model: Model, request: Request) -> Session:
    """Checks the credentials, and opens a session.

    Raises:
        SnowflakeError: 390100 (password), 390101 (disabled), 390144 (token), 390189 (role).
    """
    method = str(request.data.get("AUTHENTICATOR") or "SNOWFLAKE").upper()
    checks = {
        "SNOWFLAKE": _by_password,
        "SNOWFLAKE_JWT": _by_key_pair,
        "WORKLOAD_IDENTITY": _by_unchecked_workload_token,
    }
    if method not in checks:
        raise SnowflakeError(390151, "08001", f"stand-in: authenticator {method} is not modelled")
    user, restriction = checks[method](model, request)
    if user.properties.get("DISABLED"):
        raise SnowflakeError(
            390101, "08001", "User access disabled. Contact your local system administrator."
        )
    return _session(model, user, request, restriction)


def _find_user(model: Model, login: object) -> Thing | None:
    wanted = str(login or "").upper()
    for thing in model.account.of_kind("USER"):
        if str(thing.properties.get("LOGIN_NAME", thing.ref.name[0])).upper() == wanted:
            return thing
    return None


def _by_password(model: Model, request: Request) -> tuple[Thing, str | None]:
    user = _find_user(model, request.data.get("LOGIN_NAME"))
    takes_one = user is not None and user.properties.get("TYPE") != "SERVICE"
    password = user.properties.get("PASSWORD") if user is not None and takes_one else None
    if user is None or not password or password != request.data.get("PASSWORD"):
        raise SnowflakeError(390100, "08001", "Incorrect username or password was specified.")
    return user, None


def _by_key_pair(model: Model, request: Request) -> tuple[Thing, str | None]:
    """Checks a token, which names the user and must be signed by one of the user's keys.

    LOGIN_NAME does not count: some clients leave it out (the Go driver does).
    docs.snowflake.com/developer-guide/sql-api/authenticating, "Using key-pair authentication".
    """
    token = str(request.data.get("TOKEN") or "")
    subject = _subject(token)
    user = _find_user(model, subject.removeprefix(f"{model.account_name}."))
    if user is not None:
        for key, restriction, pair in _active_keys(model, user):
            if _signed_by(token, key, subject):
                _require_restriction(request, restriction)
                if pair is not None:
                    pair.last_used_on = model.clock()
                return user, restriction
    raise SnowflakeError(390144, "08001", "JWT token is invalid.")


def _subject(token: str) -> str:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return ""
    return str(claims.get("sub") or "")


def _require_restriction(request: Request, restriction: str | None) -> None:
    """Requires the role of a key pair with a role restriction to be the one requested.

    docs: sql-reference/sql/alter-user-add-key-pair, ROLE_RESTRICTION.
    """
    if restriction is not None and _stored(request.role) != restriction:
        raise SnowflakeError(390144, "08001", "JWT token is invalid.")


def _active_keys(model: Model, user: Thing) -> Iterator[tuple[str, str | None, KeyPair | None]]:
    for word in ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"):
        if text := user.properties.get(word):
            yield str(text), None, None
    for pair in user.key_pairs.values():
        expired = pair.expires_at is not None and pair.expires_at <= model.clock()
        if not pair.disabled and not expired:
            yield pair.public_key, pair.role_restriction, pair


def _signed_by(token: str, key: str, subject: str) -> bool:
    try:
        jwt.decode(
            token,
            public_key(key),
            algorithms=["RS256", "ES256", "ES384", "ES512"],
            issuer=f"{subject}.{fingerprint(key)}",
            subject=subject,
            leeway=_CLOCK_SKEW,
            options={"require": ["exp", "iat", "iss", "sub"]},
        )
    except jwt.InvalidTokenError:
        return False
    return True


def _by_unchecked_workload_token(model: Model, request: Request) -> tuple[Thing, str | None]:
    """Checks issuer, subject, audience and age, but NOT the token's signature.

    Snowflake fetches the issuer's keys; a stand-in on loopback has no issuer to ask.
    """
    refused = SnowflakeError(390144, "08001", "Workload identity token is invalid.")
    try:
        claims = jwt.decode(
            str(request.data.get("TOKEN") or ""),
            audience=_AUDIENCE,
            leeway=_CLOCK_SKEW,
            options={"verify_signature": False, "verify_exp": True, "verify_aud": True},
        )
    except jwt.InvalidTokenError:
        raise refused from None
    for user in model.account.of_kind("USER"):
        identity = user.properties.get("WORKLOAD_IDENTITY")
        if (
            isinstance(identity, dict)
            and identity.get("ISSUER") == claims.get("iss")
            and identity.get("SUBJECT") == claims.get("sub")
        ):
            return user, None
    raise refused


def _session(model: Model, user: Thing, request: Request, restriction: str | None) -> Session:
    properties = user.properties
    default = properties.get("DEFAULT_ROLE")
    wanted = restriction or _stored(request.role) or (str(default) if default else "PUBLIC")
    reach = model.account.reach(user.ref)
    if role(wanted) not in reach:
        raise SnowflakeError(
            390189,
            "08001",
            f"Role '{wanted}' specified in the connect string does not exist or not authorized. "
            "Contact your local system administrator, or attempt to login with another role, "
            "e.g. PUBLIC.",
        )
    everything = bool(properties.get("DEFAULT_SECONDARY_ROLES", ("ALL",)))
    asked = request.data.get("SECONDARY_ROLES")
    if isinstance(asked, str):
        everything = asked.upper() == "ALL"
    # A key pair's role restriction leaves one role, without secondary ones.
    session = Session(user.ref.name[0], wanted, secondary=everything and restriction is None)
    given = request.data.get("SESSION_PARAMETERS")
    if isinstance(given, dict):
        session.parameters.update({str(k).upper(): v for k, v in given.items()})
    _place(model, session, user, request)
    return session


def _place(model: Model, session: Session, user: Thing, request: Request) -> None:
    """Sets warehouse, database and schema. What cannot be used is left unset, not refused."""
    ctx = model.context(session)

    def usable(ref: Ref) -> bool:
        return ctx.account.allows(ctx.roles, "USAGE", ref)

    default = user.properties.get("DEFAULT_WAREHOUSE")
    warehouse = _stored(request.warehouse) or (str(default) if default else None)
    if warehouse is not None and usable(Ref("WAREHOUSE", (warehouse,))):
        session.warehouse = warehouse
    database, schema = _stored(request.database), _stored(request.schema)
    if database is not None and usable(Ref("DATABASE", (database,))):
        session.database = database
        wanted = Ref("SCHEMA", (database, schema or "PUBLIC"))
        if usable(wanted):
            session.schema = wanted.name[1]


def _stored(text: str | None) -> str | None:
    if not text:
        return None
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1].replace('""', '"')
    return text.upper()
