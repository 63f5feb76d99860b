"""Builds the access matrix: a table of who may do what. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from dbtmesh.snowflake.expected import Expected
from dbtmesh.snowflake.names import PUBLIC, Names, reader_role
from dbtmesh.snowflake.objects import Grant, Object, Scope


def matrix(wanted: Expected, names: Names) -> list[dict[str, str]]:
    """Returns a row {role, who, object, privileges} for each role and object."""
    cells: dict[tuple[Object, str], set[str]] = defaultdict(set)
    who: dict[Object, set[str]] = defaultdict(set, {names.public_read: {"other projects"}})
    who[names.mesh_reads] = {"projects that it reads"}
    for grant in wanted.grants:
        if grant.on.kind == "ROLE":
            who[grant.on] |= {grant.to.name} if grant.to.kind == "USER" else set()
        else:
            cells[grant.to, _where(grant, wanted.grants)].add(grant.privilege)
    for thing, named in (wanted.public or {}).items():
        for project in named or ():
            who[reader_role(names.prod, project)].add(project)
        readers = [reader_role(names.prod, project) for project in named or ()]
        for reader in [names.public_read] if named is None else readers:
            cells[reader, f"`{thing.name}` (public model)"].add("SELECT")
    order = [names.role, names.dev_role, names.public_read]

    def position(cell: tuple[Object, str]) -> tuple[int, str, str]:
        to, where = cell
        return (order.index(to) if to in order else len(order)), to.name, where

    return [
        {
            "role": to.name,
            "who": ", ".join(sorted(who[to])),
            "object": where,
            "privileges": ", ".join(sorted(cells[to, where])),
        }
        for to, where in sorted(cells, key=position)
    ]


def _where(grant: Grant, grants: frozenset[Grant]) -> str:
    kind = grant.on.kind.lower()
    if grant.scope is Scope.ONE:
        return f"`{grant.on.name}` ({kind})"
    both = {grant._replace(scope=scope) for scope in (Scope.ALL, Scope.FUTURE)} <= grants
    when = "now and later" if both else "now" if grant.scope is Scope.ALL else "later"
    return f"every {kind} in `{grant.on.name}`, {when}"


def markdown(rows: Sequence[Mapping[str, str]], names: Names) -> str:
    lines = ["| role | who | object | privileges |", "|---|---|---|---|"]
    is_public = any(row["role"] == PUBLIC.name for row in rows)
    nothing = (
        "Nothing else is granted. `PUBLIC` is everybody"
        if is_public
        else "Nothing else is granted, and nothing to `PUBLIC`"
    )
    for row in rows:
        lines.append(f"| `{row['role']}` | {row['who']} | {row['object']} | {row['privileges']} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{nothing}. People have `{names.dev_role.name}`, too. "
            "The owner of a schema, or of an object in it, may do everything with it. USAGE on a "
            "database role gives what that role may do.",
        ]
    )
