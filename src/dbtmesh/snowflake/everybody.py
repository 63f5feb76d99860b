"""Finds what everybody has on a project's objects, by the role PUBLIC, and what ends it. Pure.

An adoption keeps what others were granted, and that may be what all of a company reads by. So a
plan shows it, and `apply --revoke-public` alone takes it away. Where a file in snowflake/ of the
team's own grants it, it is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from dbtmesh.snowflake import names as naming
from dbtmesh.snowflake.expected import Expected, excess, expected, revocable
from dbtmesh.snowflake.names import PUBLIC, Names
from dbtmesh.snowflake.objects import RELATIONS, Grant, Object, Scope
from dbtmesh.snowflake.plan import Change, Difference, Effect, Live
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import Verb, understand

FLAG = "--revoke-public"


def closing(
    steps: Sequence[Step], foreign: Collection[Object], live: Live, names: Names
) -> list[Change]:
    """Revokes what PUBLIC has on what is the project's, or would be by an adoption.

    foreign: what is somebody else's still.
    """
    wanted = expected(steps, None)
    found = excess(wanted, live, names)
    ends = [grant for grant in found if grant.to == PUBLIC and revocable(grant, names)]
    # future grants that were repeated on a schema, because those shadowed them
    after = excess(wanted, without(live, ends), names) if ends else []
    made = {step.object: step for step in steps if step.verb is Verb.CREATE}
    return [
        _revoking(grant, made.get(_container(grant), steps[0]), foreign, live, names)
        for grant in (*ends, *(grant for grant in after if grant not in found))
    ]


def without(live: Live, grants: Collection[Grant]) -> Live:
    """An account as it is once grants are revoked."""
    return replace(live, grants=live.grants.difference(grants))


def meant(wanted: Expected) -> list[Grant]:
    """What files in snowflake/ grant to everybody."""
    return sorted(grant for grant in wanted.grants if grant.to == PUBLIC)


def _container(grant: Grant) -> Object:
    inside = grant.on.kind in RELATIONS and grant.scope is Scope.ONE
    return Object("SCHEMA", grant.on.container) if inside else grant.container


def _revoking(
    grant: Grant, origin: Step, foreign: Collection[Object], live: Live, names: Names
) -> Change:
    statement = f"REVOKE {grant.subject} FROM {grant.to}"
    is_public = grant.to == PUBLIC
    why = (
        "Everybody has it, by the role PUBLIC. Nothing of the mesh is for everybody."
        if is_public
        else "No other future grant on the schema shadows the one on its database any more."
    )
    role = grant.administrator
    step = Step(origin.file, origin.line, role, statement, why, understand(statement))
    difference = Difference(grant.to.name, grant.privilege, "")
    taken = any(
        thing in foreign
        or naming.is_adopted(names.project, live.objects.get(thing, {}).get("comment", ""))
        for thing in _around(grant)
    )
    # what an adoption has taken over, a teardown gives back as it was
    return Change(step, Effect.REVOKE, (difference,), adopts=taken and is_public)


def _around(grant: Grant) -> Iterator[Object]:
    yield grant.on
    yield _container(grant)
    yield Object("DATABASE", grant.on.database)
