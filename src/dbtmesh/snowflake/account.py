"""Reads which objects exist in an account, and who was granted what."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dbtmesh import MeshError
from dbtmesh.snowflake.names import ADMIN_ROLES, PUBLIC, Names, consumer_of
from dbtmesh.snowflake.objects import (
    ACCOUNT_KINDS,
    DATABASE_KINDS,
    RELATIONS,
    Grant,
    Object,
    Scope,
    canonical,
    parts_of,
    plural,
)
from dbtmesh.snowflake.plan import Live, prerequisites
from dbtmesh.snowflake.session import Refused, Row, Session
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import AUTHENTICATION_POLICY, Verb
from dbtmesh.warehouse.names import sql_name

MAX_ROWS = 10_000
"""How many rows a SHOW of objects returns at most."""


def read_live(session: Session, steps: Sequence[Step], names: Names) -> Live:
    """Returns the state of everything in the account that the steps touch.

    The number of round trips depends on the numbers of steps and consumers, never on the number of
    models. Raises MeshError.
    """
    objects = _objects(session, steps, names)
    for thing, row in list(objects.items()):
        objects[thing] = {**row, **_details(session, thing, steps)}
    contents, owners = _contents(session, steps, objects, names)
    kinds = {thing.name: thing.kind for thing in owners}
    grants = frozenset(
        _with_kind(grant, kinds) for grant in _grants(session, steps, objects, names)
    )
    return Live(objects, grants, contents, owners)


def _with_kind(grant: Grant, kinds: Mapping[str, str]) -> Grant:
    """Corrects the kind of a relation, because SHOW GRANTS calls some views tables (bcr-2371). SHOW
    OBJECTS, which gave `kinds`, does not."""
    if grant.scope is Scope.ONE and grant.on.kind in RELATIONS and grant.on.name in kinds:
        return grant._replace(on=Object(kinds[grant.on.name], grant.on.name))
    return grant


# ── Objects ───────────────────────────────────────────────────────────────────────────


def _objects(session: Session, steps: Sequence[Step], names: Names) -> dict[Object, Row]:
    """Returns all objects that the steps name, and the database roles with which other projects
    read the member, each with its row of SHOW."""
    named = {step.object for step in steps if step.object and not step.grants}
    granted = {grant.container for step in steps for grant in step.grants}
    granted |= set(prerequisites(steps))
    around = {thing for thing in granted if thing.kind in ACCOUNT_KINDS | DATABASE_KINDS}
    by_kind: dict[str, set[Object]] = defaultdict(set)
    for thing in {*named, *around, names.public_read}:
        by_kind[thing.kind].add(thing)
    found: dict[Object, Row] = {}
    for kind in sorted(by_kind):
        wanted = by_kind[kind]
        if kind in ACCOUNT_KINDS:
            for thing in sorted(wanted):
                found |= {t: row for t, row in _in_account(session, thing) if t == thing}
            continue
        depth = 1 if kind in DATABASE_KINDS else 2
        for container in sorted({".".join(thing.parts[:depth]) for thing in wanted}):
            for thing, row in _inside(session, kind, container).items():
                if thing in wanted or consumer_of(thing, row.get("comment", ""), names.prod):
                    found[thing] = row
    return found


def _in_account(session: Session, thing: Object) -> Iterator[tuple[Object, Row]]:
    if thing.kind == "NETWORK POLICY":
        rows = session.rows("SHOW NETWORK POLICIES")
    else:
        # Only ACCOUNTADMIN sees monitors. An underscore in LIKE matches any character, so callers
        # compare the names.
        role = "ACCOUNTADMIN" if thing.kind == "RESOURCE MONITOR" else "SECURITYADMIN"
        pattern = thing.name.strip('"').replace("'", "''")
        rows = session.rows(f"SHOW {plural(thing.kind)} LIKE '{pattern}'", role)
    return ((Object(thing.kind, sql_name(row["name"])), row) for row in rows)


def _inside(session: Session, kind: str, container: str) -> dict[Object, Row]:
    """Returns the objects of a kind in a database or schema; none where that does not exist."""
    where = "DATABASE" if len(parts_of(container)) == 1 else "SCHEMA"
    try:
        rows = session.rows(f"SHOW {plural(kind)} IN {where} {container}")
    except Refused:
        return {}
    database = parts_of(container)[0]
    return {
        Object(kind, f"{database}.{sql_name(row['name'])}")
        if kind in DATABASE_KINDS
        else Object(kind, f"{database}.{sql_name(row['schema_name'])}.{sql_name(row['name'])}"): row
        for row in rows
        if row["name"] != "INFORMATION_SCHEMA"
    }


def _details(session: Session, thing: Object, steps: Sequence[Step]) -> Row:
    """Returns the properties of an object that the steps set and its SHOW does not list, as far as
    the account shows them."""
    setting = [step for step in steps if step.verb is Verb.ALTER and step.object == thing]
    asked = {name: step.role for step in setting for name in step.properties}
    found: dict[str, str] = {}

    def ask(sql: str, role: str) -> list[Row] | None:
        """Asks as the role that sets the property. While the object belongs to somebody else, asks
        as ACCOUNTADMIN, which sees everything. Returns None where both fail."""
        try:
            return session.rows(sql, role)
        except Refused:
            pass
        try:
            return session.rows(sql, "ACCOUNTADMIN")
        except MeshError:  # a person without that role
            return None

    if thing.kind == "RESOURCE MONITOR":
        rows = session.rows("SHOW WAREHOUSES", "ACCOUNTADMIN")
        names = (row["name"] for row in rows if _monitor_of(row) == thing.name)
        found["WAREHOUSES"] = ", ".join(sorted(map(sql_name, names)))
    making = [step for step in steps if step.verb is Verb.CREATE and step.object == thing]
    if thing.kind == "VIEW" and making:
        # SHOW VIEWS shows the query of a secure view only to the role that owns the view.
        shown = ask(f"SHOW VIEWS IN SCHEMA {thing.container}", making[0].role) or ()
        found |= next(({"text": row["text"]} for row in shown if _place(row) == thing.name), {})
    if thing.kind == "WAREHOUSE" and asked:
        parameters = ask(f"SHOW PARAMETERS IN {thing}", setting[0].role)
        found |= {row["key"].upper(): row["value"] for row in parameters or ()}
    if thing.kind.endswith(" POLICY") and asked:
        described = ask(f"DESC {thing}", setting[0].role)
        found |= {
            (row.get("property") or row["name"]).upper(): row["value"] for row in described or ()
        }
    if role := asked.get("NETWORK_POLICY"):
        parameters = ask(f"SHOW PARAMETERS LIKE 'NETWORK_POLICY' IN {thing}", role)
        found |= {row["key"].upper(): row["value"] for row in parameters or ()}
    if role := asked.get(AUTHENTICATION_POLICY):
        policies = ask(f"SHOW AUTHENTICATION POLICIES ON {thing}", role)
        if policies is not None:
            found[AUTHENTICATION_POLICY] = "".join(map(_place, policies))
    if role := asked.get("WORKLOAD_IDENTITY"):
        methods = ask(f"SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS FOR {thing}", role)
        if methods is not None:
            found["WORKLOAD_IDENTITY"] = "".join(map(_identity, methods))
    return found


def _monitor_of(warehouse: Row) -> str:
    return sql_name(warehouse.get("resource_monitor", ""))


def _place(row: Row) -> str:
    """Returns the full name of the object in a row of SHOW, for objects that lie in a schema."""
    return ".".join(sql_name(row[key]) for key in ("database_name", "schema_name", "name"))


def _identity(row: Row) -> str:
    """Returns a row of SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS in the form that CREATE
    USER takes."""
    try:
        more = json.loads(row["additional_info"])
    except (KeyError, ValueError):
        more = {}
    fields = [f"TYPE = {row.get('type', '')}", *(f"{key} = '{more[key]}'" for key in more)]
    return f"({' '.join(fields)})"


# ── Contents ──────────────────────────────────────────────────────────────────────────


def _contents(
    session: Session, steps: Sequence[Step], objects: Mapping[Object, Row], names: Names
) -> tuple[dict[tuple[str, str], frozenset[Object]], dict[Object, str]]:
    """Returns the contents of some databases and schemas, and the owner of each relation in them.

    These are the member's prod databases, and those in which steps grant on ALL objects of a kind.
    """
    found: dict[tuple[str, str], frozenset[Object]] = {}
    owners: dict[Object, str] = {}
    everything = {
        (grant.on.kind, grant.container)
        for step in steps
        for grant in step.grants
        if grant.scope is Scope.ALL
    }
    containers = {container for _, container in everything}
    own = {Object("DATABASE", name) for name in names.all_prod}
    for container in sorted({*containers, *own} & objects.keys()):
        if relations := list_relations(session, container):
            owners |= relations
        if relations is not None:
            for kind in RELATIONS:
                found[kind, container.name] = frozenset(r for r in relations if r.kind == kind)
    for kind, container in sorted(everything):
        if kind not in RELATIONS and container in objects:
            found[kind, container.name] = frozenset(_inside(session, kind, container.name))
    return found, owners


def list_relations(session: Session, container: Object) -> dict[Object, str] | None:
    """Returns the tables and views of a database or schema with their owners; None where there are
    more than one SHOW lists."""
    rows = session.rows(f"SHOW OBJECTS IN {container}")
    if len(rows) >= MAX_ROWS:
        return None
    return {
        Object(
            _relation_kind(row),
            _place(row),
        ): sql_name(row.get("owner", ""))
        for row in rows
        if row["schema_name"] != "INFORMATION_SCHEMA"
    }


def _relation_kind(row: Row) -> str:
    """Returns the kind of a relation as GRANT names it: transient and hybrid tables are tables."""
    for kind in ("DYNAMIC TABLE", "ICEBERG TABLE"):
        if row.get(f"is_{kind.split()[0].lower()}") in ("Y", "true"):
            return kind
    kind = _kind(row["kind"])
    return kind if kind in RELATIONS else "TABLE"


# ── Grants ────────────────────────────────────────────────────────────────────────────


def _grants(
    session: Session, steps: Sequence[Step], objects: Mapping[Object, Row], names: Names
) -> Iterable[Grant]:
    """Yields the grants to the member's roles and users, the grants of its roles, the grants on its
    databases, schemas and warehouse, and those that the steps give.

    To read a table, a role needs USAGE on its database. So the grants on databases show every role
    of others, and no table has to be looked at.
    """
    consumers = [
        thing
        for thing, row in objects.items()
        if consumer_of(thing, row.get("comment", ""), names.prod)
    ]
    created = [step.object for step in steps if step.verb is Verb.CREATE and step.object]
    own = [thing for thing in created if thing.kind == "DATABASE ROLE" and names.owns(thing)]
    own = [thing for thing in own if thing not in names.readers]
    roles = [names.role, names.dev_role, names.public_read, *own, *consumers]
    # The member's own roles in the databases of others are left out of `to`: what they may read is
    # decided there.
    of = [*roles, *names.readers]
    to = [*roles, names.service_user, names.ci_user]
    containers = [Object("DATABASE", name) for name in (*names.all_prod, names.dev)]
    containers += [thing for thing in created if thing.kind == "SCHEMA"]
    on = [*containers, *([names.warehouse] if names.owns_warehouse else [])]
    on += [thing for thing in created if thing.kind in RELATIONS]
    future = list(containers)
    for grant in (grant for step in steps for grant in step.grants):
        if grant.scope is Scope.FUTURE:
            future.append(grant.container)
        elif grant.to in ADMIN_ROLES | {PUBLIC} and grant.scope is Scope.ONE:
            # These roles hold too many grants to list, so the object's grants are listed instead.
            (of if grant.on.kind in ("ROLE", "DATABASE ROLE") else on).append(grant.on)
        else:
            to.append(grant.to)

    shows: list[tuple[str, Iterable[Object], Callable[[Row, Object], Grant]]] = [
        ("GRANTS TO", to, _grant_to),
        ("GRANTS OF", of, _grant_of),
        ("GRANTS ON", on, _grant_on),
        ("FUTURE GRANTS IN", future, _future_grant),
    ]
    for direction, things, read in shows:
        for thing in dict.fromkeys(things):
            if thing in objects or thing not in created:
                for row in _shown(session, f"SHOW {direction} {thing}"):
                    yield read(row, thing)
    for row in _shown(session, f"SHOW GRANTS TO {PUBLIC}"):  # on objects of the whole account
        grant = _grant_to(row, PUBLIC)
        if names.owns(grant.container):
            yield grant


def _shown(session: Session, sql: str) -> list[Row]:
    """Returns the rows of a SHOW; none where the object does not exist."""
    try:
        return session.rows(sql)
    except Refused as error:
        if error.is_missing:
            return []
        raise


def _kind(text: str) -> str:
    return text.replace("_", " ")


def _grantee(row: Row, database: str) -> Object:
    """Returns the grantee in a row. A database role is shown without its database: `database`."""
    kind, name = _kind(row.get("granted_to") or row["grant_to"]), row["grantee_name"]
    if kind == "DATABASE ROLE" and len(parts_of(canonical(kind, name))) == 1:
        name = f"{database}.{name}"
    return Object(kind, canonical(kind, name))


def _grant_to(row: Row, to: Object) -> Grant:
    """Reads a row of SHOW GRANTS TO ROLE or TO USER. The latter names the role in a column of its
    own, and before bcr-1803 nothing else."""
    kind = _kind(row.get("granted_on", "ROLE"))
    name = row.get("role") or row["name"]
    return Grant(row.get("privilege", "USAGE"), Object(kind, canonical(kind, name)), to)


def _grant_on(row: Row, on: Object) -> Grant:
    """Reads a row of SHOW GRANTS ON."""
    return Grant(row["privilege"], on, _grantee(row, on.database))


def _grant_of(row: Row, thing: Object) -> Grant:
    """Reads a row of SHOW GRANTS OF ROLE."""
    return Grant("USAGE", thing, _grantee(row, thing.database))


def _future_grant(row: Row, container: Object) -> Grant:
    on = Object(_kind(row["grant_on"]), container.name)
    return Grant(row["privilege"], on, _grantee(row, container.database), Scope.FUTURE)
