"""What must fail on an account, and what must not: tried for real, as the role in question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh import MeshError
from mesh.access import Names
from mesh.sqlscript import Object

if TYPE_CHECKING:
    from mesh.snowflake import Session

DENIED = frozenset({2003, 2043, 3001, 2140})
"""Snowflake's errors for "does not exist or not authorized" and "insufficient privileges"."""


@dataclass(frozen=True)
class Probe:
    """One statement, tried. outcome: `allowed`, `denied`, or why it could not be told."""

    role: str
    statement: str
    expected: str
    outcome: str

    @property
    def as_it_should(self) -> bool:
        """What could not be tried is no finding."""
        return self.outcome == self.expected or self.outcome.startswith("not tried")

    def __str__(self) -> str:
        return f"{self.role}: {self.statement} is {self.outcome}" + (
            "" if self.outcome == self.expected else f" (expected: {self.expected})"
        )


def run(session: Session, names: Names) -> list[Probe]:
    """Tries one relation of each schema, so that it costs the same whatever is built.

    No statement changes anything, whether it is allowed or not.
    """
    probes = []
    warehouses: dict[str, str] = {}
    for role, statement, wanted in _questions(session, names):
        if role not in warehouses:
            warehouses[role] = _warehouse(session, role)
        outcome = _try(session, role, statement, warehouses[role])
        probes.append(Probe(role, statement, wanted, outcome))
    return probes


def _questions(session: Session, names: Names) -> Iterator[tuple[str, str, str]]:
    deploys, people = names.role.name, names.dev_role.name
    built = _relations(session, names.prod)
    for thing in _one_of_each_schema(built):
        yield people, _select(thing), "allowed"
    for thing in _one_of_each_schema(thing for thing in built if thing.kind == "TABLE"):
        yield people, _delete(thing), "denied"
    for thing in _one_of_each_schema(_relations(session, names.dev)):
        yield deploys, _select(thing), "denied"
    for upstream in names.upstreams:
        public, private = _parted(session, upstream)
        for role in (deploys, people):
            for thing in _one_of_each_schema(public):
                yield role, _select(thing), "allowed"
            for thing in _one_of_each_schema(private):
                yield role, _select(thing), "denied"
    own = {names.role, names.dev_role}
    _, private = _parted(session, names.prod)
    for consumer in sorted(_consumers(session, names) - own):
        for thing in _one_of_each_schema(private):
            yield consumer.name, _select(thing), "denied"


# Names as SHOW gives them: quoted where they have to be.
def _select(thing: Object) -> str:
    return f"SELECT * FROM {thing.name} LIMIT 0"  # noqa: S608


def _delete(thing: Object) -> str:
    return f"DELETE FROM {thing.name} WHERE FALSE"  # noqa: S608


def _relations(session: Session, database: str) -> list[Object]:
    from mesh import snowflake

    try:
        return snowflake.list_relations(session, database) or []
    except snowflake.Refused:
        return []


def _one_of_each_schema(relations: Iterable[Object]) -> list[Object]:
    first: dict[str, Object] = {}
    for thing in sorted(relations, key=lambda thing: thing.name):
        first.setdefault(thing.name.rsplit(".", 1)[0], thing)
    return list(first.values())


def _parted(session: Session, database: str) -> tuple[list[Object], list[Object]]:
    """Relations of a producer that PUBLIC_READ may read, and those that it may not."""
    from mesh import snowflake

    relations = _relations(session, database)
    try:
        rows = session.rows(f"SHOW GRANTS TO DATABASE ROLE {database}.PUBLIC_READ")
    except snowflake.Refused:
        return [], []
    public = {row["name"] for row in rows if row["privilege"] == "SELECT"}
    return (
        [thing for thing in relations if thing.name in public],
        [thing for thing in relations if thing.name not in public],
    )


def _consumers(session: Session, names: Names) -> set[Object]:
    from mesh import snowflake

    try:
        rows = session.rows(f"SHOW GRANTS OF {names.public_read}")
    except snowflake.Refused:
        return set()
    return {Object("ROLE", row["grantee_name"]) for row in rows if row["granted_to"] == "ROLE"}


def _warehouse(session: Session, role: str) -> str:
    """A warehouse that the role may use; empty where there is none."""
    rows = session.rows(f"SHOW GRANTS TO ROLE {role}")
    usable = {row["name"] for row in rows if row["granted_on"] == "WAREHOUSE"}
    return min(usable, default="")


def _try(session: Session, role: str, statement: str, warehouse: str) -> str:
    """Whether Snowflake allows a statement."""
    from mesh import snowflake

    try:
        session.use(role)
    except MeshError:
        return f"not tried: {session.user} has no role {role}"
    try:
        if warehouse:
            session.run(f"USE WAREHOUSE {warehouse}", role)
        session.run(statement, role)
    except snowflake.Refused as error:
        return "denied" if error.number in DENIED else f"not tried: {error}"
    return "allowed"
