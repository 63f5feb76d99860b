"""Who may do what on Snowflake: what the SQL files give, what an account has, and the difference.

Pure: steps and rows in, plans and findings out. `mesh.snowflake` reads an account and changes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.snowflake.sqlscript import Grant, Object, Step

IDENTIFIER = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")
MARKED = frozenset({"WAREHOUSE", "DATABASE", "ROLE", "USER", "DATABASE ROLE", "NETWORK POLICY"})
"""Kinds of objects whose comment tells which project made them."""
RELATIONS = frozenset({"TABLE", "VIEW", "DYNAMIC TABLE", "MATERIALIZED VIEW", "EXTERNAL TABLE"})
PUBLIC = Object("ROLE", "PUBLIC")
ADMIN_ROLES = frozenset(
    Object("ROLE", name) for name in ("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN")
)


@dataclass(frozen=True)
class Names:
    """What a member is called on Snowflake. warehouse: also where it is somebody else's.

    readers: its own roles in the databases of its upstreams, in their order.
    """

    project: str
    prod: str
    dev: str
    role: Object
    dev_role: Object
    service_user: Object
    ci_user: Object
    warehouse: Object
    owns_warehouse: bool
    public_read: Object
    upstreams: tuple[str, ...]
    readers: tuple[Object, ...]

    def owns(self, thing: Object) -> bool:
        """Is this one of the objects that the member's own SQL makes, or inside of one?"""
        inside = thing.name.split(".")[0] in (self.prod, self.dev)
        if thing in self.readers:
            return True
        if thing.kind in ("DATABASE", "SCHEMA", "DATABASE ROLE") or thing.kind in RELATIONS:
            return inside
        if thing.kind == "WAREHOUSE":
            return self.owns_warehouse and thing == self.warehouse
        return thing in (self.role, self.dev_role, self.service_user, self.ci_user)


def names_of(member: Member) -> Names:
    """The member's names on Snowflake, from mesh.yml.

    Raises MeshError where one of them is missing or is no plain identifier.
    """
    prefix = member.database_prefix

    def identifier(value: object, key: str) -> str:
        if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
            raise MeshError(
                f"mesh.yml: `{key}` is {value!r}, which is no plain Snowflake name (upper-case "
                "letters, digits and _): mend it, or `git checkout mesh.yml`"
            )
        return value

    def answer(key: str) -> str:
        return identifier(member.snowflake.get(key), f"snowflake.{key}")

    identifier(f"{prefix}_PROD", "database_prefix")
    warehouse = answer("warehouse")
    upstreams = [
        identifier(f"{upstream.database_prefix}_PROD", f"upstreams.{upstream.name}")
        for upstream in member.upstreams
    ]
    return Names(
        project=member.project,
        prod=f"{prefix}_PROD",
        dev=f"{prefix}_DEV",
        role=Object("ROLE", answer("role")),
        dev_role=Object("ROLE", f"{prefix}_DEV_ROLE"),
        service_user=Object("USER", answer("service_user")),
        ci_user=Object("USER", f"{prefix}_CI_SVC"),
        warehouse=Object("WAREHOUSE", warehouse),
        owns_warehouse=warehouse.startswith(f"{prefix}_"),
        public_read=Object("DATABASE ROLE", f"{prefix}_PROD.PUBLIC_READ"),
        upstreams=tuple(upstreams),
        readers=tuple(reader_role(database, member.project) for database in upstreams),
    )


def reader_role(database: str, project: str) -> Object:
    """The role of a consumer in a database that it reads, for models that name it."""
    return Object("DATABASE ROLE", f"{database}.READ_{project.upper()}")


@dataclass(frozen=True)
class Live:
    """What an account says, as far as a member's steps touch it.

    objects: what exists, with the columns that SHOW prints, and parameters in upper case.
    contents: (kind, database) → what is in there; missing where that is not known.
    """

    objects: Mapping[Object, Mapping[str, str]]
    grants: frozenset[Grant]
    contents: Mapping[tuple[str, str], frozenset[Object]]


@dataclass(frozen=True)
class Change:
    """A step that would change something. what: `new`, `grant`, `AUTO_SUSPEND 600 → 60`, …"""

    step: Step
    what: str


def plan(steps: Iterable[Step], live: Live | None = None) -> list[Change]:
    """What the steps would change: all of them where nothing is known of the account."""
    changes = ((step, _change(step, live)) for step in steps)
    return [Change(step, what) for step, what in changes if what]


def _change(step: Step, live: Live | None) -> str:
    """What a step would change, in words; empty where it would change nothing."""
    known = live is not None and step.object in live.objects
    if step.verb == "CREATE":
        return "" if known else "new"
    if step.verb == "DROP":
        return "drop" if known or live is None else ""
    if step.verb == "GRANT":
        if live is not None and all(_held(grant, live) for grant in step.grants):
            return ""
        return (
            "grant again"
            if live and any(_uncounted(grant, live) for grant in step.grants)
            else "grant"
        )
    if step.verb == "ALTER":
        if known and live is not None and step.object is not None:
            return _difference(step.properties, live.objects[step.object])
        return "set" if live is None or " IF EXISTS " not in step.statement.upper() else ""
    return "run"


def _held(grant: Grant, live: Live) -> bool:
    if grant.scope != "ALL":
        return grant in live.grants
    inside = live.contents.get((grant.on.kind, grant.on.name))
    return inside is not None and all(
        Grant(grant.privilege, each, grant.to) in live.grants for each in inside
    )


def _uncounted(grant: Grant, live: Live) -> bool:
    """On all objects of a database that holds more of them than SHOW lists."""
    known = (grant.on.kind, grant.on.name) in live.contents
    return grant.scope == "ALL" and not known and Object("DATABASE", grant.on.name) in live.objects


AGAIN = frozenset({"set again", "grant again", "run"})
"""Changes that may be none: the account does not tell."""

# Properties that SHOW prints under another name, or in other words.
COLUMNS = {"WAREHOUSE_SIZE": "size"}
SIZES = {"2XLARGE": "XXLARGE", "3XLARGE": "XXXLARGE"}
EMPTY_LISTS = frozenset({"()", "[]"})


def _difference(properties: Mapping[str, str], row: Mapping[str, str]) -> str:
    """`AUTO_SUSPEND 600 → 60, …`; `set again` where the account does not say what is set."""
    differences = []
    unknown = not properties
    for name, wanted in properties.items():
        current = row.get(name, row.get(COLUMNS.get(name, name.lower())))
        if current is None:
            unknown = True
        elif _plain(name, current) != _plain(name, wanted):
            differences.append(f"{name} {current} → {wanted}")
    return ", ".join(differences) or ("set again" if unknown else "")


def _plain(name: str, value: str) -> str:
    text = value.strip("'").upper()
    if name == "WAREHOUSE_SIZE":
        size = text.replace("-", "")
        return SIZES.get(size, size)
    if text in EMPTY_LISTS:
        return "()"
    return text.removesuffix(".00")


def marker(project: str) -> str:
    """The comment on objects that a project made."""
    return f"dbt mesh: {project}"


def check_ownership(steps: Iterable[Step], live: Live, project: str) -> None:
    """Raises MeshError where the steps would touch what exists and is not this project's."""
    touched = dict.fromkeys(
        step.object for step in steps if step.verb in ("CREATE", "DROP") and step.object
    )
    for thing in touched:
        row = live.objects.get(thing)
        if row is None or thing.kind not in MARKED or row.get("comment") == marker(project):
            continue
        said = f"comment {row['comment']!r}" if row.get("comment") else "no comment"
        raise MeshError(
            f"{thing} exists and is not {project}'s (owner {row.get('owner') or 'unknown'}, "
            f"{said}): nothing was changed. Choose other names (`copier update --trust --ask "
            "database_prefix`), "
            f"or, if it is {project}'s: COMMENT ON {thing} IS '{marker(project)}'"
        )


def prerequisites(steps: Sequence[Step]) -> list[Object]:
    """Warehouses and database roles that steps grant and none of them creates: other projects'."""
    made = {step.object for step in steps if step.verb == "CREATE"}
    granted = (grant.on for step in steps for grant in step.grants if grant.scope == "ONE")
    return [
        thing
        for thing in dict.fromkeys(granted)
        if thing.kind in ("WAREHOUSE", "DATABASE ROLE") and thing not in made
    ]


def check_prerequisites(steps: Sequence[Step], live: Live) -> None:
    """Raises MeshError where another project has to be set up first."""
    for thing in prerequisites(steps):
        if thing not in live.objects:
            whose = (
                f"the project of {thing.name.split('.')[0]}"
                if thing.kind == "DATABASE ROLE"
                else "its owner"
            )
            raise MeshError(
                f"{thing} does not exist yet, and {whose} has to make it: nothing was changed. Run "
                "`scripts/snowflake_access.py apply` there first, then here"
            )


# ── What was granted, and what should be ──────────────────────────────────────────────

Public = Mapping[Object, frozenset[str] | None]
"""Relations with `access: public` → the projects that they are for; None: all of them."""


@dataclass(frozen=True)
class Expected:
    """What a member's roles should have.

    public: None where no manifest of prod is at hand, in which case SELECT is not judged.
    """

    grants: frozenset[Grant]
    public: Public | None


def expected(steps: Iterable[Step], public: Public | None) -> Expected:
    grants = frozenset(grant for step in steps for grant in step.grants)
    return Expected(grants, public)


def consumer_of(thing: Object, row: Mapping[str, str], database: str) -> str | None:
    """The project whose reader role in a database this is; None where it is none."""
    comment = row.get("comment", "")
    project = comment.removeprefix(marker(""))
    is_its = thing == reader_role(database, project) and comment == marker(project)
    return project if is_its else None


def readable(public: Public | None, live: Live, names: Names) -> dict[Object, set[str]]:
    """The database roles by which others read the member, as far as they are set up → the names
    of the relations that are for them."""
    meant: dict[str | None, set[str]] = defaultdict(set)
    for thing, named in (public or {}).items():
        for project in (None,) if named is None else named:
            meant[project].add(thing.name)
    found = {names.public_read: meant[None]}
    for thing, row in live.objects.items():
        if project := consumer_of(thing, row, names.prod):
            found[thing] = meant[project]
    return found


def missing_select(wanted: Expected, live: Live, names: Names) -> list[Grant]:
    """SELECT that readers should have on public models that are built, and have not."""
    built = {
        thing.name: thing
        for kind in RELATIONS
        for thing in live.contents.get((kind, names.prod), ())
    }
    held = {(grant.to, grant.on.name) for grant in live.grants}
    return sorted(
        Grant("SELECT", built[name], reader)
        for reader, meant in readable(wanted.public, live, names).items()
        for name in meant & built.keys()
        if (reader, name) not in held
    )


def excess(wanted: Expected, live: Live, names: Names) -> list[Grant]:
    """Grants to the member's roles and users, or on its objects, that nothing accounts for."""
    meant = readable(wanted.public, live, names)
    return sorted(grant for grant in live.grants if not _accounted_for(grant, wanted, meant, names))


def _accounted_for(
    grant: Grant, wanted: Expected, meant: Mapping[Object, set[str]], names: Names
) -> bool:
    """meant: as `readable` has it."""
    if grant.to == PUBLIC:
        return False
    if grant in wanted.grants or _covered(grant, wanted.grants):
        return True
    if grant.scope != "ONE":
        return False
    if grant.privilege == "OWNERSHIP":
        return _rightful_owner(grant, names)
    if grant.to in meant:
        if wanted.public is None:
            return grant.on.name.split(".")[0] == names.prod
        return _published(grant, meant[grant.to], names)
    if grant.on == names.dev_role or grant.on in meant:
        # Which projects read it, and who works on it, is decided elsewhere; not its own deploys.
        return grant.to not in (names.service_user, names.role) and grant.to.kind != "DATABASE ROLE"
    # Other projects may share the warehouse.
    return grant.on == names.warehouse and grant.privilege == "USAGE"


def _covered(grant: Grant, wanted: frozenset[Grant]) -> bool:
    """By a grant on all or future objects of the database or schema that it is in."""
    parts = grant.on.name.split(".")
    return grant.scope == "ONE" and any(
        Grant(grant.privilege, Object(grant.on.kind, ".".join(parts[:depth])), grant.to, scope)
        in wanted
        for depth in range(1, len(parts))
        for scope in ("ALL", "FUTURE")
    )


def _rightful_owner(grant: Grant, names: Names) -> bool:
    """dbt owns what it builds; admin roles own what they made."""
    database = grant.on.name.split(".")[0]
    inside = "." in grant.on.name
    if grant.to == names.role:
        return inside and database == names.prod
    if grant.to == names.dev_role:
        return inside and database == names.dev
    return grant.to in ADMIN_ROLES


def _published(grant: Grant, meant: set[str], names: Names) -> bool:
    """SELECT on what is for the reader, and USAGE on the schemas of that, and on its database,
    which a database role has from the start."""
    if grant.privilege == "SELECT":
        return grant.on.name in meant
    containers = {names.prod, *(name.rsplit(".", 1)[0] for name in meant)}
    return grant.privilege == "USAGE" and grant.on.name in containers


def revoke(grant: Grant) -> str:
    """The statement that takes a grant back."""
    what = f"{grant.privilege} ON {grant.on}"
    if grant.scope == "FUTURE":
        container = "SCHEMA" if "." in grant.on.name else "DATABASE"
        what = f"{grant.privilege} ON FUTURE {grant.on.kind}S IN {container} {grant.on.name}"
    elif grant.on.kind in ("ROLE", "DATABASE ROLE") and grant.privilege == "USAGE":
        what = str(grant.on)
    return f"REVOKE {what} FROM {grant.to}"


def revocable(grant: Grant, names: Names) -> bool:
    """May `verify --fix` take it back? On the member's own objects; ownership is never revoked."""
    container = grant.on if grant.scope == "ONE" else Object("DATABASE", grant.on.name)
    return grant.privilege != "OWNERSHIP" and names.owns(container)


def matrix(wanted: Expected, names: Names) -> list[dict[str, str]]:
    """The access matrix: a row {role, who, object, privileges} for each role and object."""
    cells: dict[tuple[Object, str], set[str]] = defaultdict(set)
    who: dict[Object, set[str]] = defaultdict(set, {names.public_read: {"other projects"}})
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
    if grant.scope == "ONE":
        return f"`{grant.on.name}` ({kind})"
    both = {grant._replace(scope=scope) for scope in ("ALL", "FUTURE")} <= grants
    when = "now and later" if both else "now" if grant.scope == "ALL" else "later"
    return f"every {kind} in `{grant.on.name}`, {when}"


def markdown(rows: Iterable[Mapping[str, str]], names: Names) -> str:
    lines = ["| role | who | object | privileges |", "|---|---|---|---|"]
    for row in rows:
        lines.append(f"| `{row['role']}` | {row['who']} | {row['object']} | {row['privileges']} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Nothing else, and nothing to `PUBLIC`. `{names.dev_role.name}` is people's as well. "
            "Who owns a schema or what is in it may do everything with it. USAGE on a database "
            "role is whatever that role may do.",
        ]
    )
