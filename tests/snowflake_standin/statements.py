"""Parsed statements: plain data, in which nothing is resolved or checked yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .names import Name, Ref

Value = str | int | float | bool | None | tuple["Value", ...] | Mapping[str, "Value"]
"""A property's value: a scalar, a list in parentheses, or a struct ``(A=1 B='x')``."""

Properties = Mapping[str, Value]
KeyPairAction = Literal["ADD", "ROTATE", "MODIFY", "REMOVE"]


@dataclass(frozen=True)
class Create:
    """``CREATE``. ``body`` and ``columns`` keep the SQL that the data engine needs; ``written`` is
    the whole statement, for a relation."""

    kind: str
    name: Name
    replace: bool = False
    if_not_exists: bool = False
    properties: Properties = field(default_factory=dict)
    temporary: bool = False
    managed_access: bool = False
    grants: Literal["COPY", "IGNORE"] | None = None
    clone: Name | None = None
    like: Name | None = None
    columns: str | None = None
    body: str | None = None
    written: str = ""


@dataclass(frozen=True)
class Alter:
    """``ALTER``; ``action`` is a keyword such as SET, UNSET, RENAME, SUSPEND, COLUMNS.

    ``changes`` holds one entry for each change of a column, e.g. ``ADD COLUMN a int``.
    """

    kind: str
    name: Name
    action: str
    if_exists: bool = False
    properties: Properties = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    new_name: Name | None = None
    policy: Ref | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeyPair:
    """``ALTER USER … ADD | ROTATE | MODIFY | REMOVE KEY PAIR``; no user means oneself."""

    user: Name | None
    action: KeyPairAction
    key: str
    properties: Properties
    if_exists: bool = False
    new_name: str | None = None


@dataclass(frozen=True)
class Drop:
    kind: str
    name: Name
    if_exists: bool = False
    restrict: bool = False


@dataclass(frozen=True)
class Securable:
    """The object of a GRANT: one object, or all or future objects of a kind in a container.

    ``kind`` is empty for ``GRANT SELECT ON name``, which may be a table or a view.
    """

    kind: str
    name: Name
    scope: Literal["ONE", "ALL", "FUTURE"] = "ONE"
    container: str = ""


@dataclass(frozen=True)
class Grant:
    """``GRANT`` or ``REVOKE`` of privileges; ``privileges`` is empty for ALL."""

    privileges: tuple[str, ...]
    on: Securable
    to: Ref
    revoke: bool = False
    grant_option: bool = False


@dataclass(frozen=True)
class GrantRole:
    """``GRANT | REVOKE [DATABASE] ROLE … TO | FROM …``."""

    role: Ref
    to: Ref
    revoke: bool = False


@dataclass(frozen=True)
class GrantOwnership:
    on: Securable
    to: Ref
    current_grants: Literal["COPY", "REVOKE"] | None = None


@dataclass(frozen=True)
class Use:
    """``USE kind name``; kind is ROLE, WAREHOUSE, DATABASE, SCHEMA, or empty for the last two."""

    kind: str
    name: Name


@dataclass(frozen=True)
class UseSecondaryRoles:
    everything: bool


@dataclass(frozen=True)
class ShowGrants:
    """``SHOW [FUTURE] GRANTS``; form is TO, OF, ON, FUTURE TO or FUTURE IN."""

    form: str
    ref: Ref


@dataclass(frozen=True)
class Show:
    """``SHOW kinds …``; ``kind`` is singular, and ``within`` is the scope."""

    kind: str
    like: str | None = None
    starts_with: str | None = None
    within: Ref | None = None
    limit: int | None = None
    after: str | None = None
    terse: bool = False


@dataclass(frozen=True)
class Describe:
    kind: str
    name: Name


@dataclass(frozen=True)
class Comment:
    """``COMMENT [IF EXISTS] ON kind name IS text``."""

    kind: str
    name: Name
    text: str
    if_exists: bool = False


@dataclass(frozen=True)
class AlterSession:
    properties: Properties
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transaction:
    action: Literal["BEGIN", "COMMIT", "ROLLBACK"]


@dataclass(frozen=True)
class Data:
    """A query or DML statement, left to the SQL parser in `relations`."""

    sql: str


Statement = (
    Create
    | Alter
    | KeyPair
    | Drop
    | Grant
    | GrantRole
    | GrantOwnership
    | Use
    | UseSecondaryRoles
    | ShowGrants
    | Show
    | Describe
    | Comment
    | AlterSession
    | Transaction
    | Data
)
