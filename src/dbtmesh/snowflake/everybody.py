"""Finds what everybody has on a project's objects, through the role PUBLIC, and revokes it. Pure.

An adoption keeps what others were granted. A whole company may depend on grants to PUBLIC, so a
plan only shows them, and only `apply --revoke-public` revokes them. A grant in one of the team's
own files in snowflake/ is intended, and stays.
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
    """Returns the changes that revoke what PUBLIC has on the project's objects, and on those that
    an adoption would make its own.

    foreign: the objects that are still somebody else's.
    """
    wanted = expected(steps, None)
    found = excess(wanted, live, names)
    ends = [grant for grant in found if grant.to == PUBLIC and revocable(grant, names)]
    # Future grants that were repeated on a schema only because grants to PUBLIC shadowed those on
    # its database.
    after = excess(wanted, without(live, ends), names) if ends else []
    made = {step.object: step for step in steps if step.verb is Verb.CREATE}
    return [
        _revoking(grant, made.get(_container(grant), steps[0]), foreign, live, names)
        for grant in (*ends, *(grant for grant in after if grant not in found))
    ]


def without(live: Live, grants: Collection[Grant]) -> Live:
    """Returns the account's state after these grants are revoked."""
    return replace(live, grants=live.grants.difference(grants))


def meant(wanted: Expected) -> list[Grant]:
    """Returns what the files in snowflake/ grant to everybody."""
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
        "Everybody has it, through the role PUBLIC. Nothing of the mesh is for everybody."
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
    # A teardown gives adopted objects back as they were, so this is recorded as an adoption too.
    return Change(step, Effect.REVOKE, (difference,), adopts=taken and is_public)


def _around(grant: Grant) -> Iterator[Object]:
    yield grant.on
    yield _container(grant)
    yield Object("DATABASE", grant.on.database)
