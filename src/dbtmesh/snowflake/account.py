"""Reading an account: what exists, and who was granted what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from dbtmesh.snowflake.names import Names, consumer_of
from dbtmesh.snowflake.objects import RELATIONS, Grant, Object, Scope, parts_of
from dbtmesh.snowflake.plan import Live
from dbtmesh.snowflake.session import Refused, Row, Session
from dbtmesh.snowflake.sqlscript import Step, Verb
from dbtmesh.warehouse.names import canonical, sql_name

MAX_ROWS = 10_000
"""What a SHOW of objects returns at most."""

# Kinds of objects that lie in a database, and not in a schema of it.
_IN_DATABASE = frozenset({"SCHEMA", "DATABASE ROLE"})


def read_live(session: Session, steps: Sequence[Step], names: Names) -> Live:
    """What the account says of everything that steps touch.

    The number of round trips depends on that of steps and of consumers, never on that of models.
    Raises MeshError.
    """
    objects = _objects(session, steps, names)
    contents = _contents(session, steps, objects)
    return Live(objects, frozenset(_grants(session, steps, objects, names)), contents)


def _objects(session: Session, steps: Sequence[Step], names: Names) -> dict[Object, Row]:
    """Everything that steps name, and the database roles by which others read the member."""
    granted = (grant.on for step in steps for grant in step.grants if grant.scope is Scope.ONE)
    named = {step.object for step in steps if step.object and step.verb is not Verb.GRANT}
    wanted = {*named, *granted, names.public_read}
    by_kind = defaultdict(set)
    for thing in wanted:
        by_kind[thing.kind].add(thing.name)
    found: dict[Object, Row] = {}
    for kind in ("DATABASE", "WAREHOUSE", "ROLE", "USER", "RESOURCE MONITOR", "NETWORK POLICY"):
        for name in sorted(by_kind[kind]):
            for row in _show(session, kind, name):
                if sql_name(row["name"]) == name:
                    found[Object(kind, name)] = row
    for kind in ("SCHEMA", "DATABASE ROLE", "AUTHENTICATION POLICY"):
        for database in sorted({parts_of(name)[0] for name in by_kind[kind]}):
            for thing, row in _inside(session, kind, database).items():
                if thing.name in by_kind[kind] or consumer_of(thing, row["comment"], names.prod):
                    found[thing] = row
    for thing in [thing for thing in found if thing.kind == "WAREHOUSE" and _sets_it(steps, thing)]:
        parameters = session.rows(f"SHOW PARAMETERS IN WAREHOUSE {thing.name}")
        found[thing] = {**found[thing], **{row["key"].upper(): row["value"] for row in parameters}}
    return found


def _sets_it(steps: Iterable[Step], thing: Object) -> bool:
    """Do the steps set properties of it?"""
    return any(step.verb is Verb.ALTER and step.object == thing for step in steps)


def _show(session: Session, kind: str, name: str) -> list[Row]:
    if kind == "NETWORK POLICY":
        return session.rows("SHOW NETWORK POLICIES")
    # Only ACCOUNTADMIN sees monitors. An underscore in LIKE is any character: callers compare.
    role = "ACCOUNTADMIN" if kind == "RESOURCE MONITOR" else "SECURITYADMIN"
    return session.rows(f"SHOW {kind}S LIKE '{name}'", role)


def _inside(session: Session, kind: str, database: str) -> dict[Object, Row]:
    """Objects of a kind in a database; none where there is no such database."""
    plural = "AUTHENTICATION POLICIES" if kind == "AUTHENTICATION POLICY" else f"{kind}S"
    try:
        rows = session.rows(f"SHOW {plural} IN DATABASE {database}")
    except Refused:
        return {}
    found = {}
    for row in rows:
        parts = (
            [database, row["name"]]
            if kind in _IN_DATABASE
            else [database, row["schema_name"], row["name"]]
        )
        found[Object(kind, ".".join(sql_name(part) for part in parts))] = row
    return found


def _contents(
    session: Session, steps: Sequence[Step], objects: Mapping[Object, Row]
) -> dict[tuple[str, str], frozenset[Object]]:
    """What is in the databases that steps grant ALL of something in."""
    found: dict[tuple[str, str], frozenset[Object]] = {}
    databases = {
        grant.on.name for step in steps for grant in step.grants if grant.scope is Scope.ALL
    }
    for database in sorted(databases):
        if Object("DATABASE", database) not in objects:
            continue
        schemas = {
            thing
            for thing in _inside(session, "SCHEMA", database)
            if not thing.name.endswith(".INFORMATION_SCHEMA")
        }
        found["SCHEMA", database] = frozenset(schemas)
        relations = list_relations(session, database)
        if relations is not None:
            for kind in RELATIONS:
                found[kind, database] = frozenset(r for r in relations if r.kind == kind)
    return found


def list_relations(session: Session, database: str) -> list[Object] | None:
    """Tables and views of a database; None where there are more than one SHOW tells."""
    rows = session.rows(f"SHOW OBJECTS IN DATABASE {database}")
    if len(rows) >= MAX_ROWS:
        return None
    return [
        Object(
            "DYNAMIC TABLE"
            if row.get("is_dynamic") in ("Y", "true")
            else _relation_kind(row["kind"]),
            ".".join(sql_name(row[key]) for key in ("database_name", "schema_name", "name")),
        )
        for row in rows
        if row["schema_name"] != "INFORMATION_SCHEMA"
    ]


def _relation_kind(kind: str) -> str:
    """TRANSIENT and such are tables to GRANT."""
    return kind if kind in RELATIONS else "TABLE"


def _grants(
    session: Session, steps: Sequence[Step], objects: Mapping[Object, Row], names: Names
) -> Iterable[Grant]:
    """Grants to the member's roles and users, of its roles, and on what is its own to enter.

    Whoever reads a table needs USAGE on its database, so grants on databases show every outsider
    without a look at each table.
    """
    show: list[tuple[str, Object, Callable[[Row, Object], Grant]]] = []
    consumers = [
        thing for thing, row in objects.items() if consumer_of(thing, row["comment"], names.prod)
    ]
    roles = [names.role, names.dev_role, names.public_read, *consumers]
    show += [("TO", role, _grant_to) for role in roles]
    # Its own roles in the databases of others: what they may read is decided there.
    show += [("OF", role, _grant_of) for role in (*roles, *names.readers)]
    show += [("TO", user, _grant_of) for user in (names.service_user, names.ci_user)]
    databases = [Object("DATABASE", name) for name in (names.prod, names.dev)]
    created = dict.fromkeys(
        step.object for step in steps if step.verb is Verb.CREATE and step.object
    )
    containers = [*databases, *(thing for thing in created if thing.kind == "SCHEMA")]
    show += [("ON", container, _grant_on) for container in containers]
    if names.owns_warehouse:
        show.append(("ON", names.warehouse, _grant_on))
    for direction, thing, read in show:
        if thing in objects:
            for row in session.rows(f"SHOW GRANTS {direction} {thing}"):
                yield read(row, thing)
    for container in containers:
        if container in objects:
            for row in session.rows(f"SHOW FUTURE GRANTS IN {container}"):
                yield _future_grant(row, container)


def _kind(text: str) -> str:
    return text.replace("_", " ")


def _grantee(row: Row, database: str) -> Object:
    """Database roles are shown without their database."""
    kind, name = _kind(row.get("granted_to") or row["grant_to"]), row["grantee_name"]
    if kind == "DATABASE ROLE" and "." not in name:
        name = f"{database}.{name}"
    return Object(kind, canonical(name))


def _grant_to(row: Row, to: Object) -> Grant:
    """A line of SHOW GRANTS TO ROLE."""
    return Grant(row["privilege"], Object(_kind(row["granted_on"]), row["name"]), to)


def _grant_on(row: Row, on: Object) -> Grant:
    """A line of SHOW GRANTS ON."""
    return Grant(row["privilege"], on, _grantee(row, on.database))


def _grant_of(row: Row, thing: Object) -> Grant:
    """A line of SHOW GRANTS OF ROLE, or of SHOW GRANTS TO USER."""
    if thing.kind == "USER":
        return Grant("USAGE", Object("ROLE", canonical(row["role"])), thing)
    return Grant("USAGE", thing, _grantee(row, thing.database))


def _future_grant(row: Row, container: Object) -> Grant:
    on = Object(_kind(row["grant_on"]), container.name)
    return Grant(row["privilege"], on, _grantee(row, container.database), Scope.FUTURE)
