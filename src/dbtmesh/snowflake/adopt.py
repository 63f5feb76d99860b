"""Plans how `apply --adopt` takes over objects that exist and differ from the SQL. Pure.

CREATE … IF NOT EXISTS does not change an existing object. So a plan compares owners, managed access
and the comments that say who made an object, and adds the statements that the SQL files lack. Only
`apply --adopt` runs those that take over objects of somebody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dbtmesh import MeshError
from dbtmesh.snowflake import names as naming
from dbtmesh.snowflake.giveback import KEPT_FILE, is_about_what_is_gone
from dbtmesh.snowflake.names import ADMIN_ROLES, Names
from dbtmesh.snowflake.objects import Grant, Object, Scope, plural
from dbtmesh.snowflake.plan import (
    Change,
    Difference,
    Effect,
    Live,
    current_value,
    differing,
    plan,
)
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import MANAGED_ACCESS, Meaning, Verb, replacing, understand, view
from dbtmesh.warehouse.names import sql_name

OTHER_NAMES = (
    "copier update --trust --skip-answered --ask database_prefix --ask prod_database --ask "
    "dev_database --ask role --ask service_user --ask warehouse"
)
"""Asks for every name: names that were answered once do not change with the prefix."""
Built = Collection[str] | None
"""Names of the relations that dbt builds in prod; None where no manifest of prod is at hand."""


@dataclass(frozen=True)
class Existing:
    """An object that the steps create and that exists already.

    row: its row of SHOW. step: the step that creates it. wanted: the role that owns it after all
    steps. given: the step that transfers its ownership, if one does.
    """

    thing: Object
    row: Mapping[str, str]
    step: Step
    wanted: str
    given: Step | None

    @property
    def comment(self) -> str:
        return self.row.get("comment", "")

    @property
    def owner(self) -> str:
        """The role that owns it; empty where SHOW does not tell."""
        return sql_name(self.row["owner"]) if self.row.get("owner") else ""

    @property
    def has_other_owner(self) -> bool:
        """Whether its owner is neither the role that creates it nor the one that is to own it."""
        return self.owner not in ("", self.wanted, self.step.role)


def existing(steps: Sequence[Step], live: Live) -> list[Existing]:
    """Returns the objects that the steps create and that exist already."""
    given = {
        grant.on: step
        for step in steps
        for grant in step.grants
        if (grant.privilege, grant.scope) == ("OWNERSHIP", Scope.ONE)
    }
    found = {}
    for step in steps:
        if step.verb is Verb.CREATE and step.object and step.object in live.objects:
            transfer = given.get(step.object)
            wanted = transfer.grants[0].to.name if transfer else step.role
            row = live.objects[step.object]
            found[step.object] = Existing(step.object, row, step, wanted, transfer)
    return list(found.values())


# ── Whose it is ───────────────────────────────────────────────────────────────────────


def foreign_of(found: Iterable[Existing], names: Names, live: Live) -> frozenset[Object]:
    """Returns the objects that are somebody else's: the project neither made nor adopted them.

    That is so if the SQL sets a comment and the object has another one, or if its owner is neither
    a role of the SQL nor an administrator. A schema is somebody else's if its database is.
    """
    found = list(found)
    foreign = {each.thing for each in found if _is_foreign(each, names, live)}
    inside = {
        each.thing
        for each in found
        if each.thing.kind == "SCHEMA" and Object("DATABASE", each.thing.database) in foreign
    }
    return frozenset(foreign | inside)


def _is_foreign(each: Existing, names: Names, live: Live) -> bool:
    if each.thing.kind == "RESOURCE MONITOR":
        return _is_foreign_monitor(each, names, live)
    # A schema belongs to its database. Earlier versions made schemas without a comment.
    marks = "COMMENT" in each.step.properties and each.thing.kind != "SCHEMA"
    if marks and not _is_marked(each.comment, names.project):
        return True
    return each.has_other_owner and Object("ROLE", each.owner) not in ADMIN_ROLES


def _is_marked(comment: str, project: str) -> bool:
    return naming.made(project, comment) or naming.is_adopted(project, comment)


def _is_foreign_monitor(each: Existing, names: Names, live: Live) -> bool:
    """Checks whether a resource monitor is somebody else's. Monitors have no comment.

    The project's monitor guards only the project's warehouse; or it guards nothing and has the
    quota of the SQL, as after an interrupted apply.
    """
    warehouse = live.objects.get(names.warehouse, {}).get("comment", "")
    if each.row["WAREHOUSES"] == names.warehouse.name and _is_marked(warehouse, names.project):
        return False
    differs = differing({"CREDIT_QUOTA": each.step.properties.get("CREDIT_QUOTA", "")}, each.row)
    return bool(each.row["WAREHOUSES"] or differs)


def refuse_what_cannot_be_adopted(found: Iterable[Existing], names: Names) -> None:
    """Raises MeshError where an object cannot be adopted."""
    for each in found:
        why = _not_to_be_had(each, names)
        if why:
            raise MeshError(
                f"{each.thing} exists and is not {names.project}'s: {why}. Nothing was changed. "
                f"Choose other names: `{OTHER_NAMES}`"
            )


def _not_to_be_had(each: Existing, names: Names) -> str:
    if naming.belongs_to_another(names.project, each.comment):
        return f"its comment says {each.comment!r}"
    if each.thing.kind == "RESOURCE MONITOR":
        others = [w for w in each.row["WAREHOUSES"].split(", ") if w and w != names.warehouse.name]
        if each.row.get("level") == "ACCOUNT":
            return "it guards the whole account"
        return f"it guards {', '.join(others)}" if others else ""
    elsewhere = each.thing.kind == "DATABASE ROLE" and not names.owns_database(each.thing.database)
    if elsewhere and not _is_marked(each.comment, names.project):
        return f"{_said(each)}, in a database of another project"
    return ""


def _said(each: Existing) -> str:
    comment = f"comment {each.comment!r}" if each.comment else "no comment"
    return f"owner {each.owner or 'unknown'}, {comment}"


def refuse_to_drop(
    steps: Iterable[Step], found: Iterable[Existing], live: Live, names: Names
) -> None:
    """Raises MeshError where the steps would drop an object that is not the project's."""
    found = list(found)
    foreign = foreign_of(found, names, live)
    known = {each.thing: each for each in found}
    for step in steps:
        thing = step.object
        row = live.objects.get(thing) if thing and step.verb is Verb.DROP else None
        if thing is None or row is None:
            continue
        marked = thing in known or _is_marked(row.get("comment", ""), names.project)
        if thing in foreign or not marked:
            each = known.get(thing, Existing(thing, row, step, "", None))
            raise MeshError(
                f"{thing} exists and is not {names.project}'s ({_said(each)}): nothing was changed"
            )


def refuse_unasked(changes: Iterable[Change], found: Iterable[Existing], names: Names) -> None:
    """Raises MeshError where the changes would take over objects of somebody else."""
    adopting = [change for change in changes if change.adopts]
    if not adopting:
        return
    touched = {thing for change in adopting for thing in _touched(change.step)}
    each = next((each for each in found if each.thing in touched), None)
    if each is None:  # tables that dbt builds, in a schema of the project
        change = adopting[0]
        what = f"{change.step.grants[0].where} is {change.differences[0].current}'s"
    else:
        what = f"{each.thing} exists and is not {names.project}'s ({_said(each)})"
    raise MeshError(
        f"{what}: nothing was changed. `scripts/snowflake_access.py apply --adopt` takes over what "
        f"`plan` marks with `adopt`; to leave it alone, choose other names (`{OTHER_NAMES}`)"
    )


# ── The changes ───────────────────────────────────────────────────────────────────────


def plan_all(steps: Sequence[Step], live: Live, names: Names, built: Built) -> list[Change]:
    """Returns what the steps would change, and the changes that bring existing objects in line with
    the SQL.

    First come transfers of ownership, then the SQL, then what needs the roles that the SQL creates.
    Future grants of ownership are revoked before all others: a schema with managed access cannot
    change its owner while they exist. Tables are transferred before their schema gets managed
    access: after that, only roles below its owner can get them.
    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
    """
    found = existing(steps, live)
    foreign = foreign_of(found, names, live)
    first: list[Change] = []
    last: list[Change] = [*_relations(found, foreign, live, built)]
    for each in found:
        first += _ownership(each, each.thing in foreign)
        if each.thing in foreign and each.thing.kind != "RESOURCE MONITOR":
            last += _mark(each, names.project)
        last += _managed_access(each, each.thing in foreign)
        last += _definition(each, each.thing in foreign)
    taken, added = _future(steps, found, foreign, live)
    last += added
    # grants that others had may be on relations that do not exist any more
    there = [s for s in steps if not (s.file == KEPT_FILE and is_about_what_is_gone(s, live))]
    changes = [
        replace(change, adopts=True) if _touches(change.step, foreign) else change
        for change in plan(there, live)
    ]
    return [*taken, *first, *changes, *last]


def _touches(step: Step, foreign: Collection[Object]) -> bool:
    """Checks whether a step changes one of the objects, or grants on it or to it."""
    return not _touched(step).isdisjoint(foreign)


def _touched(step: Step) -> set[Object | None]:
    granted = {thing for grant in step.grants for thing in (grant.container, grant.to)}
    return {step.object, *granted}


def _generated(origin: Step, role: str, statement: str, why: str) -> Step:
    return Step(origin.file, origin.line, role, statement, why, understand(statement))


def _ownership(each: Existing, foreign: bool) -> Iterator[Change]:
    if each.given or not each.has_other_owner:
        return  # the SQL transfers it
    step = _generated(
        each.step,
        "SECURITYADMIN",
        f"GRANT OWNERSHIP ON {each.thing} TO ROLE {each.wanted} COPY CURRENT GRANTS",
        f"{each.thing} belongs to another role; what others were granted stays.",
    )
    owner = Difference("owner", each.owner, each.wanted)
    yield Change(step, Effect.SET, (owner,), adopts=foreign)


def _mark(each: Existing, project: str) -> Iterator[Change]:
    if "COMMENT" not in each.step.properties or naming.is_adopted(project, each.comment):
        return
    kept = "" if naming.made(project, each.comment) else each.comment
    comment = naming.adopted(project, kept)
    step = _generated(
        each.step,
        each.step.role,
        f"COMMENT ON {each.thing} IS '{comment.replace(chr(39), chr(39) * 2)}'",
        f"So that teardown gives {each.thing} back, and does not drop it.",
    )
    difference = Difference("COMMENT", each.comment, comment)
    yield Change(step, Effect.SET, (difference,), adopts=True)


def _managed_access(each: Existing, foreign: bool) -> Iterator[Change]:
    wanted = each.step.properties.get(MANAGED_ACCESS)
    current = current_value(MANAGED_ACCESS, each.row)
    if wanted is None or current is None or current == wanted:
        return
    step = _generated(
        each.step,
        "ACCOUNTADMIN",  # has both that this needs: the schema's ownership and MANAGE GRANTS
        f"ALTER {each.thing} ENABLE MANAGED ACCESS",
        "Only the owner of the schema grants on its objects, not the role that created them.",
    )
    yield Change(step, Effect.SET, (Difference(MANAGED_ACCESS, current, wanted),), adopts=foreign)


def _definition(each: Existing, foreign: bool) -> Iterator[Change]:
    """Yields the change of a view whose query, or whose SECURE, differs from the SQL: CREATE … IF
    NOT EXISTS does not change that. Yields nothing where the account does not show the query."""
    wanted, current = view(each.step.statement), view(each.row.get("text", ""))
    if wanted is None or current is None:
        return
    secure = current_value("is_secure", each.row) == "true"
    differences = []
    if secure != wanted.secure:
        differences.append(Difference("SECURE", str(secure).upper(), str(wanted.secure).upper()))
    if current.query != wanted.query:
        differences.append(Difference("query", "another", f"as {each.step.place}"))
    if differences:
        statement = replacing(each.step.statement)
        why = "The view is there with another definition; what others were granted stays."
        step = replace(
            each.step, statement=statement, why=why, meaning=Meaning(Verb.ALTER, each.thing)
        )
        yield Change(step, Effect.SET, tuple(differences), adopts=foreign)


def _relations(
    found: Iterable[Existing], foreign: Collection[Object], live: Live, built: Built
) -> Iterator[Change]:
    """Yields transfers of the tables and views that dbt builds and another role owns. If it is not
    known what dbt builds, transfers all in the schemas that are taken over."""
    for each in found:
        if each.thing.kind != "SCHEMA" or each.given is None:
            continue
        inside = [thing for thing in live.owners if thing.container == each.thing.name]
        others = [
            thing
            for thing in inside
            if live.owners[thing] != each.wanted
            and (thing.name in built if built is not None else each.thing in foreign)
        ]
        for kind, owners in _by_kind(others, live).items():
            things = [thing for them in owners.values() for thing in them]
            every = len(things) == len([thing for thing in inside if thing.kind == kind])
            where = [f"ALL {plural(kind)} IN {each.thing}"] if every else list(map(str, things))
            admins = all(Object("ROLE", owner) in ADMIN_ROLES for owner in owners)
            difference = Difference("owner", ", ".join(sorted(owners)), each.wanted)
            for place in where:
                step = _generated(
                    each.given,
                    "SECURITYADMIN",
                    f"GRANT OWNERSHIP ON {place} TO ROLE {each.wanted} COPY CURRENT GRANTS",
                    "dbt replaces what it builds, and has to own it for that.",
                )
                adopts = each.thing in foreign or not admins
                yield Change(step, Effect.SET, (difference,), adopts)


def _by_kind(things: Iterable[Object], live: Live) -> dict[str, dict[str, list[Object]]]:
    """Groups relations: kind → owner → relations."""
    kinds: dict[str, dict[str, list[Object]]] = defaultdict(lambda: defaultdict(list))
    for thing in sorted(things):
        kinds[thing.kind][live.owners[thing]].append(thing)
    return kinds


def _future(
    steps: Sequence[Step],
    found: Sequence[Existing],
    foreign: Collection[Object],
    live: Live,
) -> tuple[list[Change], list[Change]]:
    """Returns two lists of changes, about the future grants of others on the member's schemas.

    The first revokes those that would make somebody else the owner of what dbt builds. The second
    repeats the member's own future grants on schemas where those of others shadow the ones on the
    database.
    """
    origins = {each.thing: each.step for each in found}
    wanted = {grant for step in steps for grant in step.grants if grant.scope is Scope.FUTURE}
    on_schemas = [
        grant
        for grant in sorted(live.grants)
        if grant.scope is Scope.FUTURE and grant.container in origins
    ]
    left = set(on_schemas)
    revoked: list[Change] = []
    for grant in on_schemas:
        taken = {grant.container, Object("DATABASE", grant.container.database)} & set(foreign)
        if grant.privilege == "OWNERSHIP" and grant not in wanted and taken:
            left.remove(grant)  # so it shadows nothing any more
            step = _generated(
                origins[grant.container],
                grant.administrator,
                f"REVOKE OWNERSHIP ON {grant.where} FROM {grant.to}",
                f"Otherwise {grant.to.name} would own what dbt builds there.",
            )
            revoked.append(Change(step, Effect.REVOKE, adopts=True))
    added: list[Change] = []
    shadows = {(grant.on.kind, grant.container) for grant in left if grant.container.container}
    for kind, schema in sorted(shadows):
        for grant in sorted(wanted):
            if grant.on != Object(kind, schema.container):
                continue
            needed = Grant(grant.privilege, Object(kind, schema.name), grant.to, Scope.FUTURE)
            if needed not in live.grants:
                step = _generated(
                    origins[schema],
                    needed.administrator,
                    f"GRANT {grant.privilege} ON {needed.where} TO {grant.to}",
                    "A future grant on a schema shadows those on its database.",
                )
                added.append(Change(step, Effect.GRANT, adopts=schema in foreign))
    return revoked, added
