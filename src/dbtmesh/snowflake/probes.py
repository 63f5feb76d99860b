"""Runs statements as each role on an account. Some of them must fail, and others must not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from dbtmesh import MeshError
from dbtmesh.snowflake import account
from dbtmesh.snowflake.names import Names, public_read
from dbtmesh.snowflake.objects import Grant, Object
from dbtmesh.snowflake.session import Refused, Session


class Outcome(Enum):
    """What became of a statement."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Probe:
    """A statement that is tried as a role. why: the reason why it was not tried."""

    role: str
    statement: str
    expected: Outcome
    outcome: Outcome
    why: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the account allows what it should deny, or denies what it should allow."""
        return self.outcome not in (self.expected, Outcome.NOT_TRIED)

    def __str__(self) -> str:
        said = f"{self.role}: {self.statement} is {self.outcome.value}"
        if self.outcome is Outcome.NOT_TRIED:
            return f"{said}: {self.why}"
        return f"{said} (expected: {self.expected.value})" if self.is_wrong else said


def run(session: Session, names: Names, grants: Collection[Grant]) -> list[Probe]:
    """Tries statements on one relation of each schema, so that the cost does not grow with the
    number of models.

    grants: the member's grants on the account. No statement changes anything, whether it is allowed
    or not.
    """
    probes = []
    warehouses: dict[str, str] = {}
    for role, statement, wanted in _questions(session, names, grants):
        if role not in warehouses:
            warehouses[role] = _warehouse(session, role)
        outcome, why = _try(session, role, statement, warehouses[role])
        probes.append(Probe(role, statement, wanted, outcome, why))
    return probes


def _questions(
    session: Session, names: Names, grants: Collection[Grant]
) -> Iterator[tuple[str, str, Outcome]]:
    deploys, people = names.role.name, names.dev_role.name
    built = _relations(session, names.prod)
    for thing in _one_of_each_schema(built):
        yield people, _select(thing), Outcome.ALLOWED
    for thing in _one_of_each_schema(thing for thing in built if thing.kind == "TABLE"):
        yield people, _delete(thing), Outcome.DENIED
    for thing in built:
        if thing.kind == "TABLE" and thing.container == names.mesh:  # rows are only inserted here
            yield deploys, _select(thing), Outcome.ALLOWED
            yield deploys, _update(thing), Outcome.DENIED
            yield deploys, _delete(thing), Outcome.DENIED
    for thing in _one_of_each_schema(_relations(session, names.dev)):
        yield deploys, _select(thing), Outcome.DENIED
    for upstream, reader in zip(names.upstreams, names.readers, strict=True):
        relations = _relations(session, upstream)
        public = _readable(session, public_read(upstream), reader)
        for role in (deploys, people):
            for thing in _one_of_each_schema(each for each in relations if each.name in public):
                yield role, _select(thing), Outcome.ALLOWED
            for thing in _one_of_each_schema(each for each in relations if each.name not in public):
                yield role, _select(thing), Outcome.DENIED
    for consumer, public in _consumers(names, grants).items():
        for thing in _one_of_each_schema(each for each in built if each.name not in public):
            yield consumer.name, _select(thing), Outcome.DENIED


# The names come from SHOW, quoted where necessary.
def _select(thing: Object) -> str:
    return f"SELECT * FROM {thing.name} LIMIT 0"  # noqa: S608


def _delete(thing: Object) -> str:
    return f"DELETE FROM {thing.name} WHERE FALSE"  # noqa: S608


def _update(thing: Object) -> str:
    return f"UPDATE {thing.name} SET BODY = BODY WHERE FALSE"  # noqa: S608


def _relations(session: Session, database: str) -> list[Object]:
    try:
        return list(account.list_relations(session, Object("DATABASE", database)) or ())
    except Refused:
        return []


def _one_of_each_schema(relations: Iterable[Object]) -> list[Object]:
    first: dict[str, Object] = {}
    for thing in sorted(relations, key=lambda thing: thing.name):
        first.setdefault(thing.container, thing)
    return list(first.values())


def _readable(session: Session, *roles: Object) -> set[str]:
    """Returns the names of the relations that these database roles may read."""
    found = set()
    for role in roles:
        try:
            rows = session.rows(f"SHOW GRANTS TO {role}")
        except Refused:
            continue
        found |= {row["name"] for row in rows if row["privilege"] == "SELECT"}
    return found


def _consumers(names: Names, grants: Collection[Grant]) -> dict[Object, set[str]]:
    """Returns the names of the relations that each role of another project may read, through the
    database roles that it has."""
    given: dict[Object, set[str]] = defaultdict(set)
    for grant in grants:
        if grant.privilege == "SELECT" and grant.to.kind == "DATABASE ROLE":
            given[grant.to].add(grant.on.name)
    found: dict[Object, set[str]] = defaultdict(set)
    for grant in sorted(grants):
        of_ours = grant.on.kind == "DATABASE ROLE" and grant.on.database == names.prod
        if of_ours and grant.to.kind == "ROLE" and grant.to not in (names.role, names.dev_role):
            found[grant.to] |= given[grant.on]
    return found


def _warehouse(session: Session, role: str) -> str:
    """Returns a warehouse that the role may use; empty where there is none, or no such role."""
    try:
        rows = session.rows(f"SHOW GRANTS TO ROLE {role}")
    except Refused:
        return ""
    usable = {row["name"] for row in rows if row["granted_on"] == "WAREHOUSE"}
    return min(usable, default="")


def _try(session: Session, role: str, statement: str, warehouse: str) -> tuple[Outcome, str]:
    """Tries a statement, and returns its outcome and the reason where it could not be tried."""
    try:
        session.use(role)
    except MeshError:
        return Outcome.NOT_TRIED, f"{session.user} has no role {role}"
    try:
        if warehouse:
            session.run(f"USE WAREHOUSE {warehouse}", role)
        session.run(statement, role)
    except Refused as error:
        if error.is_denied:
            return Outcome.DENIED, ""
        return Outcome.NOT_TRIED, str(error)
    return Outcome.ALLOWED, ""
