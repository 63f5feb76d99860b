"""A session, and the checks a statement makes on its behalf before anything happens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import errors
from .account import ACCOUNTADMIN, Account, Thing
from .behaviour import Behaviour
from .names import ACCOUNT, Name, Ref, role
from .statements import Value
from .vocabulary import RELATION_KINDS, SCHEMA_KINDS

_session_ids = itertools.count(1)


@dataclass
class Session:
    """The state of a session on which the meaning of statements depends; names as stored."""

    user: str
    role: str
    secondary: bool = False
    warehouse: str | None = None
    database: str | None = None
    schema: str | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    temporary: list[Ref] = field(default_factory=list)
    id: int = field(default_factory=lambda: next(_session_ids))


@dataclass(frozen=True)
class Column:
    """One column of an answer; the type as the connector knows it, e.g. ``text``."""

    name: str
    type: str = "text"


@dataclass(frozen=True)
class Result:
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]

    def dicts(self) -> list[dict[str, object]]:
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def status(message: str = "Statement executed successfully.") -> Result:
    return Result((Column("status"),), ((message,),))


@dataclass(frozen=True)
class Decision:
    """An authorised statement: what it answers, and its effect once the data engine is done.

    ``effect`` changes the model and must not fail: everything was checked before. ``settled``
    says that nothing is left to do, as for CREATE … IF NOT EXISTS of what exists.
    """

    result: Result
    effect: Callable[[], None] = lambda: None
    settled: bool = False


@dataclass
class Context:
    """A session in an account, asking as its role and secondary roles."""

    account: Account
    account_name: str
    session: Session
    now: float
    behaviour: Behaviour

    @property
    def primary(self) -> Ref:
        return role(self.session.role)

    @property
    def primary_roles(self) -> frozenset[Ref]:
        """Roles that may create and will own: secondary roles never do."""
        return self.account.reach(self.primary)

    @property
    def roles(self) -> frozenset[Ref]:
        if not self.session.secondary:
            return self.primary_roles
        return self.primary_roles | self.account.reach(Ref("USER", (self.session.user,)))

    # -- names ----------------------------------------------------------------------------

    def resolve(self, kind: str, name: Name) -> Ref:
        """Fills up a name with the session's database and schema.

        Raises:
            SnowflakeError: 090105 or 090106 when the session has none.
        """
        session = self.session
        if kind in SCHEMA_KINDS or kind in ("", "OBJECT"):
            if len(name) == 1:
                name = (self._current("schema", session.schema), *name)
            if len(name) == 2:
                name = (self._current("database", session.database), *name)
        elif kind in ("SCHEMA", "DATABASE_ROLE"):
            if not name and session.schema is not None:
                name = (session.schema,)
            if len(name) == 1:
                name = (self._current("database", session.database), *name)
        elif kind == "DATABASE" and not name:
            name = (self._current("database", session.database),)
        return Ref(kind, name)

    def _current(self, what: str, value: str | None) -> str:
        if value is None:
            raise errors.no_current(what)
        return value

    def relation(self, name: Name, *kinds: str) -> Ref:
        """Returns the table or view of a name, as far as the session can see it.

        Raises:
            SnowflakeError: 002003 when it is missing, hidden, or its schema is closed.
        """
        full = self.resolve("", name).name
        ref = self.account.relation(full)
        visible = ref is not None and (not kinds or ref.kind in kinds) and self.reachable(ref)
        if ref is None or not visible or not self.account.sees(self.roles, ref):
            raise errors.not_authorized(kinds[0] if kinds else "TABLE", full)
        return ref

    def reachable(self, ref: Ref) -> bool:
        """Checks whether the session has USAGE around an object, or manages its grants."""
        return self.account.may_enter(self.roles, ref) or self.account.manages_grants(
            self.roles, ref
        )

    def existing(self, kind: str, name: Name, *, operate: bool = False) -> Ref:
        """Returns an object that the session can see.

        Raises:
            SnowflakeError: 002043 for statements that operate on it, else 002003.
        """
        if not kind or kind in RELATION_KINDS:
            return self.relation(name, *filter(None, [kind]))
        ref = self.resolve(kind, name)
        if not self.reachable(ref) or not self.account.sees(self.roles, ref):
            raise errors.no_such_object() if operate else errors.not_authorized(kind, ref.name)
        return ref

    def thing(self, ref: Ref) -> Thing:
        return self.account.things[ref]

    # -- requirements ---------------------------------------------------------------------

    def require(self, ref: Ref, privileges: Iterable[str]) -> None:
        """Requires all of these privileges on an object, and USAGE around it.

        Raises:
            SnowflakeError: 002003 when the session cannot see it, else 003001.
        """
        if not self.account.may_enter(self.roles, ref) or not self.account.sees(self.roles, ref):
            raise errors.not_authorized(ref.kind, ref.name)
        for privilege in privileges:
            if not self.account.holds(self.roles, privilege, ref):
                raise errors.insufficient(ref.kind, ref.name)

    def require_owner(self, ref: Ref) -> None:
        self.require(ref, ("OWNERSHIP",))

    def require_create(self, kind: str, container: Ref) -> None:
        """Requires the privilege to create something, which only the primary role can bring.

        docs.snowflake.com/user-guide/security-access-control-overview, "Secondary roles".
        """
        privilege = f"CREATE {kind.replace('_', ' ')}"
        if container != ACCOUNT:
            self.require(container, ("USAGE",))
        if not self.account.holds(self.primary_roles, privilege, container):
            raise errors.insufficient(container.kind, container.name)

    def require_admin(self, kind: str, name: Name = ()) -> None:
        """Requires ACCOUNTADMIN, for what nobody can delegate."""
        if ACCOUNTADMIN not in self.roles:
            raise errors.insufficient(kind, name)

    def require_warehouse(self) -> None:
        """Requires a warehouse that the role may use, which a running query needs: 000606."""
        name = self.session.warehouse
        if name is None or not self.account.holds(self.roles, "USAGE", Ref("WAREHOUSE", (name,))):
            raise errors.no_warehouse()

    def require_read(self, name: Name) -> Ref | None:
        """Requires SELECT on a relation; for a view, its owner's rights on what the view reads.

        Returns None for INFORMATION_SCHEMA, which needs USAGE on the database alone.
        """
        full = self.resolve("", name).name
        if full[1] == "INFORMATION_SCHEMA":
            self.require(Ref("DATABASE", full[:1]), ("USAGE",))
            return None
        ref = self.relation(full)
        self.require(ref, ("SELECT",))
        self._require_behind(ref)
        return ref

    def _require_behind(self, view: Ref) -> None:
        for name in self.thing(view).reads:
            if not readable_by_owner(self.account, view, name):
                raise errors.SnowflakeError(
                    2037,
                    "42601",
                    f"SQL compilation error:\nFailure during expansion of view '{view.name[-1]}': "
                    + errors.not_authorized("TABLE", name).message,
                )


def readable_by_owner(account: Account, view: Ref, name: Name) -> bool:
    """Checks whether a view's owner may read what the view's definition names, at any depth."""
    owner = account.things[view].owner
    if owner is None:
        return True
    if name[1] == "INFORMATION_SCHEMA":
        return account.allows(account.reach(owner), "USAGE", Ref("DATABASE", name[:1]))
    behind = account.relation(name)
    if behind is None or not account.allows(account.reach(owner), "SELECT", behind):
        return False
    return all(readable_by_owner(account, behind, n) for n in account.things[behind].reads)
