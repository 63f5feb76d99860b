"""Derives a member's names on Snowflake: its databases, roles, users and warehouse. Pure.

The template writes the names to mesh.yml. This module defines the names that follow a rule on which
other members rely: PUBLIC_READ, READ_<PROJECT>, and the comment that marks what a project made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.snowflake.objects import RELATIONS, Object
from dbtmesh.warehouse.names import MAX_LENGTH, sql_name

PLAIN = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")
PUBLIC_READ = "PUBLIC_READ"
"""The database role with which every project reads the public models of a prod database."""
MESH = "MESH"
"""The schema of a prod database that holds its part of a registry in Snowflake."""
PUBLIC = Object("ROLE", "PUBLIC")
ADMIN_ROLES = frozenset(
    Object("ROLE", name) for name in ("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN")
)


@dataclass(frozen=True)
class Names:
    """The names of a member's objects on Snowflake.

    prod: the database of deployed models, including the public ones. more_prod: other databases in
    which some of them lie. warehouse: the warehouse that it uses, which may be another project's.
    upstreams: the prod databases of the upstreams. readers: the member's own roles in these
    databases, in the same order.
    """

    project: str
    prod: str
    more_prod: tuple[str, ...]
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

    @property
    def mesh(self) -> str:
        """The schema of the registry, if that is in Snowflake."""
        return f"{self.prod}.{MESH}"

    @property
    def mesh_reads(self) -> Object:
        return mesh_reads(self.prod)

    @property
    def all_prod(self) -> tuple[str, ...]:
        return (self.prod, *self.more_prod)

    def owns_database(self, name: str) -> bool:
        return name in (*self.all_prod, self.dev)

    def owns(self, thing: Object) -> bool:
        """Checks whether the member's own SQL creates this object, or its database."""
        if thing in self.readers:
            return True
        if thing.kind in ("DATABASE", "SCHEMA", "DATABASE ROLE") or thing.kind in RELATIONS:
            return self.owns_database(thing.database)
        if thing.kind == "WAREHOUSE":
            return self.owns_warehouse and thing == self.warehouse
        return thing in (self.role, self.dev_role, self.service_user, self.ci_user)


def names_of(member: Member) -> Names:
    """Returns the member's names on Snowflake from mesh.yml, in the form that SQL takes.

    mesh.yml holds the names as they are stored. Raises MeshError where one of them is missing or is
    not a valid name.
    """
    prefix, given = member.database_prefix, member.snowflake

    def plain(value: object, key: str) -> str:
        if not isinstance(value, str) or not PLAIN.fullmatch(value):
            raise _wrong(key, value, "a plain Snowflake name (upper-case letters, digits and _)")
        return value

    def stored(value: object, key: str) -> str:
        """Returns the name as SQL takes it: in quotes where it needs them."""
        is_name = isinstance(value, str) and value.isprintable() and '"' not in value
        if not is_name or not 0 < len(str(value)) <= MAX_LENGTH:
            raise _wrong(key, value, "a Snowflake name, as it is stored")
        return sql_name(str(value))

    def answer(key: str, default: str | None = None) -> str:
        return plain(given.get(key, default), f"snowflake.{key}")

    def stored_answer(key: str, default: str | None = None) -> str:
        return stored(given.get(key, default), f"snowflake.{key}")

    plain(prefix, "database_prefix")
    warehouse = stored_answer("warehouse")
    prod = stored_answer("prod_database", member.prod_database)
    more = given.get("more_databases") or []
    if not isinstance(more, list):
        raise _wrong("snowflake.more_databases", more, "a list of names")
    upstreams = [
        stored(upstream.prod_database, f"upstreams.{upstream.name}")
        for upstream in member.upstreams
    ]
    return Names(
        project=member.project,
        prod=prod,
        more_prod=tuple(stored(each, "snowflake.more_databases") for each in more),
        dev=stored_answer("dev_database", member.dev_database),
        role=Object("ROLE", answer("role")),
        dev_role=Object("ROLE", answer("dev_role", f"{prefix}_DEV_ROLE")),
        service_user=Object("USER", answer("service_user")),
        ci_user=Object("USER", answer("ci_user", f"{prefix}_CI_SVC")),
        warehouse=Object("WAREHOUSE", warehouse),
        owns_warehouse=member.snowflake.get("owns_warehouse", warehouse == f"{prefix}_WH") is True,
        public_read=public_read(prod),
        upstreams=tuple(upstreams),
        readers=tuple(reader_role(database, member.project) for database in upstreams),
    )


def _wrong(key: str, value: object, what: str) -> MeshError:
    return MeshError(
        f"mesh.yml: `{key}` is {value!r}, which is not {what}: correct it, or `git checkout "
        "mesh.yml`"
    )


def public_read(database: str) -> Object:
    """Returns the role with which every project reads the public models of a prod database."""
    return Object("DATABASE ROLE", f"{database}.{PUBLIC_READ}")


def mesh_reads(database: str) -> Object:
    """Returns the role, in a project's own database, with which its upstreams see what it reads of
    them."""
    return Object("DATABASE ROLE", f"{database}.MESH_READS")


def reader_name(project: str) -> str:
    """Returns the name of the role that a consumer has in each database that it reads."""
    return f"READ_{project.upper()}"


def reader_role(database: str, project: str) -> Object:
    """Returns the role of one consumer in a database that it reads, for models limited to it."""
    return Object("DATABASE ROLE", f"{database}.{reader_name(project)}")


MARK = "dbt mesh: "


def marker(project: str) -> str:
    """Returns the comment on objects that a project made."""
    return f"{MARK}{project}"


def adopted(project: str, comment: str) -> str:
    """Returns the comment on an object that a project took over. It begins with the former one."""
    return f"{comment} [{marker(project)}, adopted]".lstrip()


def made(project: str, comment: str) -> bool:
    """Checks whether a project made the object with this comment."""
    return comment == marker(project)


def is_adopted(project: str, comment: str) -> bool:
    """Checks whether a project took over the object with this comment."""
    return comment.endswith(adopted(project, ""))


def belongs_to_another(project: str, comment: str) -> bool:
    """Checks whether another project of the mesh made or took over the object with this comment."""
    return MARK in comment and not (made(project, comment) or is_adopted(project, comment))


_MARKED = re.compile(rf"{MARK}(\w+)|.*\[{MARK}(\w+), adopted\]", re.DOTALL)


def marked(comment: str) -> str | None:
    """Returns the project that made or took over the object with this comment; None if none did."""
    found = _MARKED.fullmatch(comment)
    return (found[1] or found[2]) if found else None


def consumer_of(role: Object, comment: str, database: str) -> str | None:
    """Returns the project whose reader role in a database this is; None for any other role."""
    project = comment.removeprefix(MARK)
    made_by_it = made(project, comment) and role == reader_role(database, project)
    return project if made_by_it else None
