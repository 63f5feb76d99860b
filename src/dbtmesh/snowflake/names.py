"""What a member is called on Snowflake: its databases, roles, users and warehouse. Pure.

The names come from mesh.yml, where the template writes them; what follows a rule that other members
rely on (PUBLIC_READ, READ_<PROJECT>, the comment that marks what a project made) is told here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dbtmesh import MeshError
from dbtmesh.config import Member
from dbtmesh.snowflake.objects import RELATIONS, Object

IDENTIFIER = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")
PUBLIC_READ = "PUBLIC_READ"
"""The database role by which every project reads the public models of a prod database."""
PUBLIC = Object("ROLE", "PUBLIC")
ADMIN_ROLES = frozenset(
    Object("ROLE", name) for name in ("ACCOUNTADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN")
)


@dataclass(frozen=True)
class Names:
    """What a member is called on Snowflake.

    warehouse: also where it is another project's. upstreams: their prod databases. readers: the
    member's own roles in these, in their order.
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
        """Whether the member's own SQL makes this object, or what it lies in."""
        if thing in self.readers:
            return True
        if thing.kind in ("DATABASE", "SCHEMA", "DATABASE ROLE") or thing.kind in RELATIONS:
            return thing.database in (self.prod, self.dev)
        if thing.kind == "WAREHOUSE":
            return self.owns_warehouse and thing == self.warehouse
        return thing in (self.role, self.dev_role, self.service_user, self.ci_user)


def names_of(member: Member) -> Names:
    """The member's names on Snowflake, from mesh.yml.

    Raises MeshError where one of them is missing or is not a plain identifier.
    """
    prefix = member.database_prefix

    def identifier(value: object, key: str) -> str:
        if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
            raise MeshError(
                f"mesh.yml: `{key}` is {value!r}, which is not a plain Snowflake name (upper-case "
                "letters, digits and _): correct it, or `git checkout mesh.yml`"
            )
        return value

    def answer(key: str) -> str:
        return identifier(member.snowflake.get(key), f"snowflake.{key}")

    identifier(f"{prefix}_PROD", "database_prefix")
    warehouse = answer("warehouse")
    upstreams = [
        identifier(upstream.prod_database, f"upstreams.{upstream.name}")
        for upstream in member.upstreams
    ]
    return Names(
        project=member.project,
        prod=f"{prefix}_PROD",
        dev=f"{prefix}_DEV",
        role=Object("ROLE", answer("role")),
        dev_role=Object("ROLE", answer("dev_role")),
        service_user=Object("USER", answer("service_user")),
        ci_user=Object("USER", answer("ci_user")),
        warehouse=Object("WAREHOUSE", warehouse),
        owns_warehouse=warehouse.startswith(f"{prefix}_"),
        public_read=public_read(f"{prefix}_PROD"),
        upstreams=tuple(upstreams),
        readers=tuple(reader_role(database, member.project) for database in upstreams),
    )


def public_read(database: str) -> Object:
    """The role by which every project reads the public models of a prod database."""
    return Object("DATABASE ROLE", f"{database}.{PUBLIC_READ}")


def reader_role(database: str, project: str) -> Object:
    """The role of one consumer in a database that it reads, for models that name it."""
    return Object("DATABASE ROLE", f"{database}.READ_{project.upper()}")


MARK = "dbt mesh: "


def marker(project: str) -> str:
    """The comment on objects that a project made."""
    return f"{MARK}{project}"


def consumer_of(role: Object, comment: str, database: str) -> str | None:
    """The project whose reader role in a database this is; None where it is nobody's."""
    project = comment.removeprefix(MARK)
    is_its = comment == marker(project) and role == reader_role(database, project)
    return project if is_its else None
