"""Writes the script with which a teardown gives adopted objects back as they were. Pure.

`apply --adopt` writes the statements that undo each of its changes to existing objects. A teardown
runs them instead of dropping such an object. The grants of others are written as SQL too, so that
`verify` expects them from then on, and auditors can read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby

from dbtmesh import MeshError
from dbtmesh.snowflake import names as naming
from dbtmesh.snowflake.expected import revocation
from dbtmesh.snowflake.names import PUBLIC, Names
from dbtmesh.snowflake.objects import (
    ACCOUNT_KINDS,
    RELATIONS,
    Grant,
    Object,
    Scope,
    plural,
)
from dbtmesh.snowflake.plan import Change, Difference, Live, is_held, words
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import (
    AUTHENTICATION_POLICY,
    MANAGED_ACCESS,
    Meaning,
    Verb,
    understand,
)
from dbtmesh.warehouse.names import sql_name

GIVE_BACK, KEPT = "98_give_back.sql", "05_grants_of_others.sql"
"""The files in snowflake/ that an adoption writes."""
KEPT_FILE = f"snowflake/{KEPT}"

GIVE_BACK_HEADER = f"""\
-- Gives back what `apply --adopt` took over, as it was before. Only `teardown` runs this file, and
-- drops none of these objects. Commit it together with {KEPT}.
"""
KEPT_HEADER = """\
-- Grants of others on what `apply --adopt` took over, which they keep. Delete those that they
-- should not have: then `verify --fix` revokes them.
"""

Line = tuple[str, str]
"""The role that runs a statement, and the statement."""


def give_back(
    changes: Sequence[Change], dropped: AbstractSet[Object], live: Live, earlier: Iterable[Step]
) -> str:
    """Returns SQL that undoes changes that an adoption is about to make; empty where it makes none.

    dropped: the objects that a teardown drops. earlier: the statements that the script holds
    already. They are not repeated, because the state before the first adoption counts.
    Ownership of tables and views comes last: in a schema with managed access, only the schema's
    owner and roles below it can get them.
    https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
    """
    known = {_subject(step.meaning) for step in earlier}
    lines = [
        line
        for change in reversed(changes)
        if change.adopts
        for line in _inverse(change, live, dropped)
        if _subject(understand(line[1])) not in known
    ]
    return script(
        sorted(dict.fromkeys(lines), key=lambda line: _gives_relations(understand(line[1])))
    )


def _gives_relations(meaning: Meaning) -> bool:
    return any(
        grant.privilege == "OWNERSHIP"
        and grant.on.kind in RELATIONS
        and grant.scope != Scope.FUTURE
        for grant in meaning.grants
    )


def script(lines: Iterable[Line]) -> str:
    """Returns SQL that runs each statement with its role."""
    return "".join(
        f"\nUSE ROLE {role};\n" + "".join(f"{statement};\n" for _, statement in statements)
        for role, statements in groupby(lines, key=lambda line: line[0])
    )


def _subject(meaning: Meaning) -> tuple[object, ...]:
    """Returns what a statement is about. Two statements with the same subject would undo each
    other."""
    owned = [(g.on, g.scope) for g in meaning.grants if g.privilege == "OWNERSHIP"]
    return (meaning.object, tuple(meaning.properties), tuple(owned) or meaning.grants)


def _inverse(change: Change, live: Live, dropped: AbstractSet[Object]) -> Iterator[Line]:
    step = change.step
    if step.verb is Verb.ALTER and step.object:
        yield from (_as_before(step, step.object, each) for each in change.differences)
    elif step.verb is Verb.REVOKE:
        for grant in step.grants:
            yield grant.administrator, f"GRANT {grant.subject} TO {grant.to}"
    elif step.verb is Verb.GRANT:
        for grant in step.grants:
            if grant.privilege == "OWNERSHIP":
                yield from _to_former_owner(grant, live)
            elif not dropped & {grant.to, grant.on}:  # else it ends with the object
                yield from ((one.administrator, revocation(one)) for one in _new_ones(grant, live))


def _as_before(step: Step, thing: Object, each: Difference) -> Line:
    if each.name == "COMMENT":
        return step.role, f"COMMENT ON {thing} IS {_literal(each.current)}"
    if each.name == MANAGED_ACCESS:
        return step.role, f"ALTER {thing} DISABLE MANAGED ACCESS"
    if each.current == "":
        return step.role, f"ALTER {thing} UNSET {each.name}"
    if each.name == AUTHENTICATION_POLICY:
        return step.role, f"ALTER {thing} SET {each.name} {each.current} FORCE"
    return step.role, f"ALTER {thing} SET {each.name} = {_value(each)}"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


NAMES = ("RESOURCE_MONITOR", "NETWORK_POLICY")
"""Properties whose values are names of objects."""
LISTS = ("_LIST", "_METHODS", "_ROLES")
"""The endings of the names of properties whose values are lists of texts."""


def _value(each: Difference) -> str:
    """Returns a value, as SHOW and DESC print it, in the form that ALTER … SET takes."""
    shown = each.current
    if shown.startswith("("):
        return shown
    if each.name.endswith(LISTS):
        return f"({', '.join(map(_literal, words(shown)))})"
    if each.name in NAMES:
        return sql_name(shown)
    plain = shown.replace(".", "", 1).isdigit() or shown.lower() in ("true", "false")
    return shown.removesuffix(".00") if plain else _literal(shown)


def _to_former_owner(grant: Grant, live: Live) -> Iterator[Line]:
    """Yields transfers to the former owners: all objects at once to the most frequent one, then the
    others by name."""

    def transfer(where: str, owner: str) -> Line:
        return "SECURITYADMIN", f"GRANT OWNERSHIP ON {where} TO ROLE {owner} COPY CURRENT GRANTS"

    if grant.scope is Scope.ONE:
        shown = live.objects.get(grant.on, {}).get("owner")
        if owner := live.owners.get(grant.on) or (shown and sql_name(shown)):
            yield transfer(str(grant.on), owner)
        return  # an object without an owner does not exist yet
    inside = [t for t in live.owners if t.kind == grant.on.kind and t.container == grant.on.name]
    former = {thing: live.owners[thing] for thing in sorted(inside)}
    for most, _ in Counter(former.values()).most_common(1):
        yield transfer(grant.where, most)
        for thing, owner in former.items():
            if owner != most:
                yield transfer(str(thing), owner)


def _new_ones(grant: Grant, live: Live) -> list[Grant]:
    """Returns the single grants that a grant would add."""
    held = live.keys()
    if grant.scope is not Scope.ALL:
        return [] if is_held(grant, live, held) else [grant]
    inside = live.contents.get((grant.on.kind, grant.on.name), ())
    ones = [Grant(grant.privilege, each, grant.to) for each in sorted(inside)]
    return [one for one in ones if one.key not in held]


# ── What others keep ──────────────────────────────────────────────────────────────────


def kept(excess: Iterable[Grant], foreign: Collection[Object]) -> str:
    """Returns SQL that grants what others have on objects that are taken over, or in them, and what
    an adopted role or user has elsewhere.

    excess: the grants that nothing accounts for. Grants to PUBLIC are left out: they stay too, but
    no file should say that they are wanted (see `everybody`).
    """
    found = []
    for grant in excess:
        taken = grant.to in foreign or any(grant.container.is_in(thing) for thing in foreign)
        if taken and grant.to != PUBLIC and grant.privilege not in ("OWNERSHIP", "MANAGE GRANTS"):
            found.append((grant.administrator, f"GRANT {grant.subject} TO {grant.to}"))
    return script(sorted(found, key=lambda line: line[0] != "SECURITYADMIN"))


# ── Taking it back ────────────────────────────────────────────────────────────────────


def teardown_steps(
    drops: Sequence[Step], given_back: Sequence[Step], live: Live, names: Names
) -> list[Step]:
    """Returns the steps that remove a project from an account: they give back what it took over,
    and drop the rest.

    Schemas are given back first, then what was built in them since, then the relations that had
    other owners before. After the drops come the owners of databases and other account objects, and
    the comments, which tell until then what was taken over.
    """
    there = [step for step in given_back if not is_about_what_is_gone(step, live)]
    early = [step for step in there if not _is_last(step)]
    return [
        *(step for step in early if not _gives_relations(step.meaning)),
        *_built_since(given_back, live, names),
        *(step for step in early if _gives_relations(step.meaning)),
        *drops,
        *(step for step in there if _is_last(step)),
    ]


def without_taken_over(
    drops: Sequence[Step], given_back: Iterable[Step], live: Live, names: Names
) -> list[Step]:
    """Returns the steps without those that would drop an adopted object, or an object that contains
    one, or a schema without the project's comment.

    Raises MeshError where the script lacks an adopted object, so that its former state is unknown.
    """
    taken = taken_over(given_back)
    left = []
    for step in drops:
        thing = step.object
        if thing is None or step.verb is not Verb.DROP:
            left.append(step)
            continue
        comment = live.objects.get(thing, {}).get("comment", "")
        if naming.is_adopted(names.project, comment) and thing not in taken:
            raise MeshError(
                f"{thing} was taken over by {names.project}, but snowflake/{GIVE_BACK} does not "
                "say how to give it back: nothing was changed. Bring that file back from git"
            )
        holds = any(each == thing or each.is_in(thing) for each in taken)
        if not holds and (thing.kind != "SCHEMA" or naming.made(names.project, comment)):
            left.append(step)
    return left


def taken_over(given_back: Iterable[Step]) -> frozenset[Object]:
    """Returns the objects that the script gives back."""
    return frozenset(
        thing
        for step in given_back
        for thing in (step.object, *(grant.container for grant in step.grants))
        if thing
    )


def _is_last(step: Step) -> bool:
    owner = any(g.privilege == "OWNERSHIP" and g.on.kind in ACCOUNT_KINDS for g in step.grants)
    return owner or "COMMENT" in step.properties


def is_about_what_is_gone(step: Step, live: Live) -> bool:
    """Checks whether a step grants on a table or view that does not exist any more."""
    on = [g.on for g in step.grants if g.scope is Scope.ONE and g.on.kind in RELATIONS]
    return any(thing not in live.owners and _is_listed(thing, live) for thing in on)


def _is_listed(thing: Object, live: Live) -> bool:
    return any((thing.kind, name) in live.contents for name in (thing.container, thing.database))


def _built_since(given_back: Sequence[Step], live: Live, names: Names) -> Iterator[Step]:
    """Yields transfers of what the project built in databases that it took over, to the former
    owner of the schema or the database. An adopted role keeps what it owns."""
    taken = taken_over(given_back)
    former = {
        thing: Object("ROLE", sql_name(live.objects[thing]["owner"]))
        for thing in taken
        if thing.kind == "DATABASE" and live.objects.get(thing, {}).get("owner")
    }
    former |= {
        grant.on: grant.to
        for step in given_back
        for grant in step.grants
        if grant.privilege == "OWNERSHIP" and grant.on.kind in ("DATABASE", "SCHEMA")
    }
    own = {names.role, names.dev_role} - taken
    owned = [g.on for g in sorted(live.grants) if g.privilege == "OWNERSHIP" and g.to in own]
    schemas: dict[str, Object] = {}
    relations: dict[str, Object] = {}
    for thing in owned:
        database, schema = Object("DATABASE", thing.database), Object("SCHEMA", thing.container)
        if thing.kind in RELATIONS and (owner := former.get(schema) or former.get(database)):
            relations[_place_of(thing, own, live)] = owner
        elif thing.kind == "SCHEMA" and thing not in former and database in former:
            schemas[str(thing)] = former[database]
    for place, owner in (schemas | relations).items():
        statement = f"GRANT OWNERSHIP ON {place} TO {owner} COPY CURRENT GRANTS"
        why = f"Built by {names.project} in a database that it took over."
        origin = given_back[0]
        yield Step(origin.file, origin.line, "SECURITYADMIN", statement, why, understand(statement))


def _place_of(thing: Object, own: AbstractSet[Object], live: Live) -> str:
    """Returns what a transfer of a relation is on: all relations of its kind in its schema, if the
    project owns all of them, else this one."""
    mine = {role.name for role in own}
    alike = [t for t in live.owners if (t.kind, t.container) == (thing.kind, thing.container)]
    if alike and all(live.owners[each] in mine for each in alike):
        return f"ALL {plural(thing.kind)} IN SCHEMA {thing.container}"
    return str(thing)
