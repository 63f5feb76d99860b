"""Defines the objects of a Snowflake account, and grants on them. Pure.

Names are canonical: as SHOW prints them, and quoted only where necessary.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from dbtmesh.warehouse import names as stored

RELATIONS = frozenset(
    {
        "TABLE",
        "VIEW",
        "DYNAMIC TABLE",
        "EVENT TABLE",
        "EXTERNAL TABLE",
        "HYBRID TABLE",
        "ICEBERG TABLE",
        "MATERIALIZED VIEW",
        "SEMANTIC VIEW",
    }
)
"""The kinds that can be selected from; they share one namespace in a schema."""
OVERLOADED = frozenset({"FUNCTION", "PROCEDURE"})
"""The kinds whose names include the types of their arguments."""
ACCOUNT_KINDS = frozenset(
    {"DATABASE", "INTEGRATION", "NETWORK POLICY", "RESOURCE MONITOR", "ROLE", "USER", "WAREHOUSE"}
)
DATABASE_KINDS = frozenset({"SCHEMA", "DATABASE ROLE"})
SCHEMA_KINDS = (
    RELATIONS
    | OVERLOADED
    | {"ALERT", "FILE FORMAT", "NETWORK RULE", "PIPE", "SECRET", "SEQUENCE", "STAGE", "STREAM"}
    | {"STREAMLIT", "TAG", "TASK"}
    | {
        f"{what} POLICY"
        for what in ("AUTHENTICATION", "MASKING", "PASSWORD", "ROW ACCESS", "SESSION")
    }
)
KINDS = ACCOUNT_KINDS | DATABASE_KINDS | SCHEMA_KINDS

ALL_PRIVILEGES = "ALL"
"""Stands for all privileges that GRANT ALL gives; SHOW lists each of them."""
EACH_OF_ALL = {
    "DATABASE": frozenset({"USAGE", "MODIFY", "MONITOR", "CREATE SCHEMA"}),
    "SCHEMA": frozenset({"USAGE", "MODIFY", "MONITOR", "CREATE TABLE", "CREATE VIEW"}),
    "WAREHOUSE": frozenset({"USAGE", "OPERATE", "MODIFY", "MONITOR"}),
    "TABLE": frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES"}),
    "VIEW": frozenset({"SELECT", "REFERENCES"}),
    "STAGE": frozenset({"USAGE"}),
}
"""Privileges that GRANT ALL gives on every account, by kind. For a kind that is not listed, any
privilege counts as the result of GRANT ALL.

https://docs.snowflake.com/en/user-guide/security-access-control-privileges
"""


class Object(NamedTuple):
    """An object on Snowflake, by its kind and its canonical name. ACCOUNT has an empty name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind

    @property
    def parts(self) -> tuple[str, ...]:
        """The canonical parts of its name."""
        return parts_of(self.name)

    @property
    def database(self) -> str:
        """The first part of its name: the database that it is, or that it lies in, if any."""
        return self.parts[0]

    @property
    def container(self) -> str:
        """Its name without the last part: the schema or the database that it lies in."""
        return ".".join(self.parts[:-1])

    def is_in(self, container: Object) -> bool:
        """Checks whether this is the container, or lies in it."""
        return self.parts[: len(container.parts)] == container.parts and (
            self.kind not in ACCOUNT_KINDS or self == container
        )


ACCOUNT = Object("ACCOUNT", "")


@lru_cache(maxsize=65536)
def parts_of(name: str) -> tuple[str, ...]:
    """Returns the canonical parts of a canonical name. A quoted part may contain a dot."""
    name, signature = _split_signature(name)
    try:
        parts = [stored.sql_name(part.text) for part in stored.parse(name)]
    except stored.NotAName:
        return (name + signature,)
    return (*parts[:-1], parts[-1] + signature)


def canonical(kind: str, written: str) -> str:
    """Returns the canonical form of a name in SQL or in SHOW GRANTS.

    The name of a function includes the types of its arguments. SHOW GRANTS writes them in quotes,
    with the names of the arguments.
    """
    if kind not in OVERLOADED:
        return stored.canonical(written)
    shown = re.fullmatch(r'(.+\.)"([^"(]+)(\(.*\)):.*"', written)
    name, signature = (
        (shown[1] + stored.quoted(shown[2]), shown[3]) if shown else _split_signature(written)
    )
    types = (argument.split()[-1] for argument in signature.strip("() ").split(",") if argument)
    return f"{stored.canonical(name.strip())}({', '.join(types).upper()})"


def _split_signature(name: str) -> tuple[str, str]:
    at = name.find("(")
    return (name[:at], name[at:]) if at > 0 and name.endswith(")") else (name, "")


def container_kind(name: str) -> str:
    """Returns the kind of a container, DATABASE or SCHEMA, by its name."""
    return "DATABASE" if len(parts_of(name)) == 1 else "SCHEMA"


class Scope(StrEnum):
    """What a grant is on: one object, or all existing or future ones of a kind in a container."""

    ONE = "ONE"
    ALL = "ALL"
    FUTURE = "FUTURE"


class Grant(NamedTuple):
    """One privilege on one object to one grantee.

    Membership of a role is USAGE on it. Where `scope` is not ONE, `on` holds the kind of the
    objects and the name of the database or schema that they are in.
    """

    privilege: str
    on: Object
    to: Object
    scope: Scope = Scope.ONE

    def __str__(self) -> str:
        return f"{self.privilege} ON {self.where} TO {self.to}"

    @property
    def where(self) -> str:
        """What it is on, as SQL writes it.

        SQL calls hybrid tables tables, and transfers the ownership of materialized views as views:
        https://docs.snowflake.com/en/sql-reference/sql/grant-ownership
        """
        kind = "TABLE" if self.on.kind == "HYBRID TABLE" else self.on.kind
        if self.scope is not Scope.FUTURE and self.privilege == "OWNERSHIP":
            kind = "VIEW" if kind == "MATERIALIZED VIEW" else kind
        if self.scope is Scope.ONE:
            return str(Object(kind, self.on.name))
        return f"{self.scope} {plural(kind)} IN {self.container}"

    @property
    def subject(self) -> str:
        """What GRANT and REVOKE name: a role, or a privilege on an object."""
        is_membership = self.on.kind in ("ROLE", "DATABASE ROLE") and self.privilege == "USAGE"
        return str(self.on) if is_membership else f"{self.privilege} ON {self.where}"

    @property
    def container(self) -> Object:
        """The object that the grant is on, or the container of the objects that it is on."""
        if self.scope is Scope.ONE:
            return self.on
        return Object(container_kind(self.on.name), self.on.name)

    @property
    def administrator(self) -> str:
        """The role that can grant and revoke it, whoever owns the object.

        For existing objects, MANAGE GRANTS is enough. A future grant to a database role also needs
        USAGE on its database, which ACCOUNTADMIN has through SYSADMIN, and SECURITYADMIN lacks:
        https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
        """
        return "ACCOUNTADMIN" if self.scope is Scope.FUTURE else "SECURITYADMIN"

    @property
    def key(self) -> Grant:
        """A form that is equal for grants that are the same to Snowflake. Relations share one
        namespace, and SHOW GRANTS does not always tell their real kind (bcr-2371)."""
        if self.scope is Scope.ONE and self.on.kind in RELATIONS:
            return self._replace(on=Object("TABLE", self.on.name))
        return self

    def of_kind(self, privilege: str) -> Grant:
        return self._replace(privilege=privilege)


def plural(kind: str) -> str:
    return f"{kind[:-1]}IES" if kind.endswith("Y") else f"{kind}S"
