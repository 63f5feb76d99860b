"""The pure model: SQL in, answers and changed access out. No server, no data, no network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from . import ddl, errors, granting
from . import show as listing
from . import statements as st
from .account import Account, GrantRow, Thing
from .behaviour import Behaviour
from .context import Context, Decision, Result, Session, status
from .grammar import parse
from .keys import alter_key_pair
from .lexer import split_statements
from .names import Ref, parse_name, role
from .relations import Access, analyse
from .show_grants import show_grants
from .vocabulary import RELATION_KINDS

ADMIN = "STANDIN_ADMIN"
"""A person who holds ACCOUNTADMIN, as the first user of a real account does."""


class Model:
    """An account that understands SQL.

    Args:
        account_name: ``ORGANISATION-ACCOUNT``.
        clock: seconds since the epoch.
        switches: fields of `Behaviour`.
    """

    def __init__(
        self,
        *,
        account_name: str = "TESTORG-STANDIN",
        clock: Callable[[], float] = time.time,
        **switches: bool,
    ) -> None:
        self.account = Account()
        self.account_name = account_name
        self.behaviour = Behaviour(**switches)
        self.clock = clock
        self.add_admin(ADMIN, "ACCOUNTADMIN")

    def add_admin(self, user: str, *roles: str, password: str | None = None) -> None:
        """Adds an existing person with these roles, of which the first is the default.

        Unlike most people, this one has no secondary roles. So a statement fails that needs
        another admin role than the one it names.
        """
        ref = Ref("USER", (user,))
        properties: dict[str, st.Value] = {
            "DEFAULT_ROLE": roles[0],
            "DEFAULT_SECONDARY_ROLES": (),
            "TYPE": "PERSON",
        }
        if password is not None:
            properties["PASSWORD"] = password
        self.account.add(Thing(ref, role("ACCOUNTADMIN"), properties, self.clock()))
        for name in roles:
            row = GrantRow("USAGE", role(name), ref, False, "", self.clock())
            self.account.grant(row)

    def add_object(self, kind: str, name: str, owner: str = "ACCOUNTADMIN") -> None:
        """Adds an existing object, such as an integration or someone else's database."""
        self.account.add(Thing(Ref(kind, parse_name(name)), role(owner), {}, self.clock()))

    # -- running SQL ----------------------------------------------------------------------

    def session(self, role_name: str = "ACCOUNTADMIN", user: str = ADMIN) -> Session:
        """Returns a session of a user, with the secondary roles and warehouse of that user."""
        properties = self.account.things[Ref("USER", (user,))].properties
        warehouse = properties.get("DEFAULT_WAREHOUSE")
        return Session(
            user,
            role_name,
            secondary=bool(properties.get("DEFAULT_SECONDARY_ROLES", ("ALL",))),
            warehouse=None if warehouse is None else str(warehouse),
        )

    def execute(self, sql: str, role_name: str = "ACCOUNTADMIN", user: str = ADMIN) -> Result:
        """Runs one statement as a role.

        Raises:
            SnowflakeError: as Snowflake would answer; the model is then unchanged.
        """
        return self.execute_in(self.session(role_name, user), sql)

    def run_script(self, sql: str, role_name: str = "ACCOUNTADMIN", user: str = ADMIN) -> None:
        """Runs a file of statements in one session; USE ROLE switches within it.

        Raises:
            SnowflakeError: of the first statement that fails, with the statement as a note.
        """
        session = self.session(role_name, user)
        for statement in split_statements(sql):
            try:
                self.execute_in(session, statement)
            except errors.SnowflakeError as error:
                error.add_note(f"in: {statement}")
                raise

    def execute_in(self, session: Session, sql: str) -> Result:
        decision = self.decide(session, parse(sql))
        decision.effect()
        return decision.result

    def can(self, role_name: str, privilege: str, name: str, kind: str = "") -> bool:
        """Checks whether a role has a privilege on an object, with USAGE on what is around it.

        ``kind`` may be left out where the name says it: three parts are a table or view, two
        a schema, one a database or else a warehouse.
        """
        account = self.account
        stored = parse_name(name)
        if kind:
            candidates = [Ref(kind, stored)]
        elif len(stored) == 3:
            candidates = [Ref(kind, stored) for kind in RELATION_KINDS]
        else:
            kinds = ("SCHEMA",) if len(stored) == 2 else ("DATABASE", "WAREHOUSE")
            candidates = [Ref(k, stored) for k in kinds]
        found = [ref for ref in candidates if ref in account.things]
        roles = account.reach(role(role_name))
        return bool(found) and account.allows(roles, privilege, found[0])

    # -- deciding -------------------------------------------------------------------------

    def context(self, session: Session) -> Context:
        return Context(
            self.account,
            self.account_name,
            session,
            self.clock(),
            self.behaviour,
        )

    def decide(self, session: Session, statement: st.Statement) -> Decision:
        """Authorises a statement without doing it.

        Raises:
            SnowflakeError: when the session may not run it, or an object does not exist.
        """
        ctx = self.context(session)
        match statement:
            case st.Create():
                return ddl.create(ctx, statement)
            case st.Alter():
                return ddl.alter(ctx, statement)
            case st.Comment():
                return ddl.comment(ctx, statement)
            case st.Drop():
                return ddl.drop(ctx, statement)
            case st.KeyPair():
                return alter_key_pair(ctx, statement)
            case st.Grant():
                return granting.grant(ctx, statement)
            case st.GrantRole():
                return granting.grant_role(ctx, statement)
            case st.GrantOwnership():
                return granting.grant_ownership(ctx, statement)
            case st.ShowGrants():
                return Decision(show_grants(ctx, statement))
            case st.Show():
                return Decision(listing.show(ctx, statement))
            case st.Describe():
                return _describe(ctx, statement)
            case st.Use():
                return _use(ctx, statement)
            case st.UseSecondaryRoles():
                return _use_secondary(session, statement)
            case st.AlterSession():
                return _alter_session(session, statement)
            case st.Transaction():
                return Decision(status())
            case st.Data():
                return _data(ctx, _analysed(statement.sql))


_analysed = functools.lru_cache(512)(analyse)
"""Parses a repeated statement only once. Callers must not change the result."""


def _data(ctx: Context, access: Access) -> Decision:
    """Authorises a query or DML: what it reads and writes, and a warehouse."""
    for name in sorted(access.reads):
        ctx.require_read(name)
    if access.target is not None:
        target = ctx.relation(access.target)
        if target.kind != "TABLE":
            raise errors.invalid(f"cannot modify view {target.name[-1]}")
        ctx.require(target, sorted(access.writes))
    if access.needs_warehouse:
        ctx.require_warehouse()
    return Decision(Result((), ()))


def _describe(ctx: Context, statement: st.Describe) -> Decision:
    if statement.kind in RELATION_KINDS:
        # Any privilege on the relation is enough to describe it, and either word will do.
        ctx.require(ctx.relation(statement.name), ())
        return Decision(Result((), ()))
    return Decision(listing.describe(ctx, statement))


def _use(ctx: Context, statement: st.Use) -> Decision:
    session, kind = ctx.session, statement.kind
    if kind == "ROLE":
        wanted = role(statement.name[0])
        if wanted not in ctx.account.reach(Ref("USER", (session.user,))):
            raise errors.not_authorized("ROLE", statement.name)
        return Decision(status(), lambda: setattr(session, "role", statement.name[0]))
    if not kind:
        kind = "DATABASE" if len(statement.name) == 1 else "SCHEMA"
    ref = ctx.resolve(kind, statement.name)
    if not ctx.account.allows(ctx.roles, "USAGE", ref):
        raise errors.no_such_object()

    def effect() -> None:
        if kind == "WAREHOUSE":
            session.warehouse = ref.name[0]
        elif kind == "SCHEMA":
            session.database, session.schema = ref.name
        else:
            session.database = ref.name[0]
            public = Ref("SCHEMA", (ref.name[0], "PUBLIC"))
            usable = ctx.account.allows(ctx.roles, "USAGE", public)
            session.schema = "PUBLIC" if usable else None

    return Decision(status(), effect)


def _use_secondary(session: Session, statement: st.UseSecondaryRoles) -> Decision:
    return Decision(status(), lambda: setattr(session, "secondary", statement.everything))


def _alter_session(session: Session, statement: st.AlterSession) -> Decision:
    def effect() -> None:
        session.parameters.update(statement.properties)
        for word in statement.unset:
            session.parameters.pop(word, None)

    return Decision(status(), effect)
