"""Objects of a Snowflake account, and grants on them. Pure.

Names are canonical: as SHOW prints them, quoted only where they have to be.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from dbtmesh.warehouse import names as stored

RELATIONS = frozenset(
    {
        "TABLE",
        "VIEW",
        "DYNAMIC TABLE",
        "EXTERNAL TABLE",
        "ICEBERG TABLE",
        "MATERIALIZED VIEW",
    }
)
"""Kinds of what can be selected from; they share one namespace in a schema."""


class Object(NamedTuple):
    """Something on Snowflake, by its kind and its canonical name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def parts(self) -> tuple[str, ...]:
        """The canonical parts of its name."""
        return parts_of(self.name)

    @property
    def database(self) -> str:
        """The first part of its name: the database that it is, or is in, where it is in one."""
        return self.parts[0]

    @property
    def container(self) -> str:
        """Its name without the last part: the schema or the database that it is in."""
        return ".".join(self.parts[:-1])


@lru_cache(maxsize=4096)
def parts_of(name: str) -> tuple[str, ...]:
    """The canonical parts of a canonical name: a quoted part may hold a dot."""
    try:
        return tuple(stored.sql_name(part.text) for part in stored.parse(name))
    except stored.NotAName:  # such as the signature of a function
        return (name,)


def container_kind(name: str) -> str:
    """Whether a container's name is that of a database or of a schema."""
    return "DATABASE" if len(parts_of(name)) == 1 else "SCHEMA"


class Scope(StrEnum):
    """What a grant is on: one object, or all or all future ones of a kind in a container."""

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
        where = str(self.on)
        if self.scope is not Scope.ONE:
            where = f"{self.scope} {plural(self.on.kind)} IN {self.on.name}"
        return f"{self.privilege} ON {where} TO {self.to}"

    @property
    def container(self) -> Object:
        """The object that the grant is on, or the container of those that it is on."""
        if self.scope is Scope.ONE:
            return self.on
        return Object(container_kind(self.on.name), self.on.name)


def plural(kind: str) -> str:
    return f"{kind[:-1]}IES" if kind.endswith("Y") else f"{kind}S"
