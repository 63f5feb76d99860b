"""CREATE, ALTER, DROP and COMMENT: what they need, and what they change."""

from __future__ import annotations

from collections.abc import Callable

from . import errors
from . import statements as st
from .account import GrantRow, Thing, parent_of
from .context import Context, Decision, status
from .keys import check_public_key
from .names import ACCOUNT, Name, Ref
from .relations import analyse
from .vocabulary import RELATION_KINDS

_KEYS = ("RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2")
# docs.snowflake.com/user-guide/admin-user-management: properties that a service user cannot have.
_NOT_FOR_SERVICES = (
    "PASSWORD",
    "MUST_CHANGE_PASSWORD",
    "FIRST_NAME",
    "LAST_NAME",
    "MINS_TO_BYPASS_MFA",
)


# -- CREATE -------------------------------------------------------------------------------


def create(ctx: Context, statement: st.Create) -> Decision:
    kind = statement.kind
    if kind in RELATION_KINDS:
        return _create_relation(ctx, statement)
    ref = ctx.resolve(kind, statement.name)
    container = parent_of(ref) or ACCOUNT
    if kind == "RESOURCE_MONITOR":
        ctx.require_admin(kind, ref.name)
    else:
        ctx.require_create(kind, container)
    existing = ref in ctx.account.things
    if existing and statement.if_not_exists:
        return Decision(
            status(f"{ref.name[-1]} already exists, statement succeeded."), settled=True
        )
    if existing and not statement.replace:
        raise errors.already_exists(ref.name)
    if existing:
        ctx.require_owner(ref)
    _check_properties(ctx, ref, statement.properties, {})

    def effect() -> None:
        if existing:
            ctx.account.remove(ref)
        thing = _add(ctx, ref, statement.properties)
        thing.managed_access = statement.managed_access
        if kind == "DATABASE":
            _add(ctx, Ref("SCHEMA", (*ref.name, "PUBLIC")), {})
        if kind == "DATABASE_ROLE":
            # docs, CREATE DATABASE ROLE: it gets USAGE on its database by itself.
            ctx.account.grant(_row(ctx, "USAGE", container, ref))
        _enter(ctx, ref)

    label = kind.replace("_", " ").capitalize()
    return Decision(status(f"{label} {ref.name[-1]} successfully created."), effect)


def _enter(ctx: Context, ref: Ref) -> None:
    """Makes a new database, schema or warehouse the session's current one."""
    session = ctx.session
    if ref.kind == "WAREHOUSE":
        session.warehouse = ref.name[0]
    elif ref.kind == "DATABASE":
        session.database, session.schema = ref.name[0], "PUBLIC"
    elif ref.kind == "SCHEMA":
        session.database, session.schema = ref.name


def _add(ctx: Context, ref: Ref, properties: st.Properties) -> Thing:
    """Adds an object that the primary role owns, with the future grants of its kind."""
    thing = Thing(ref, ctx.primary, dict(properties), ctx.now)
    ctx.account.add(thing)
    _grant_future(ctx, thing)
    return thing


def _grant_future(ctx: Context, thing: Thing) -> None:
    for future in ctx.account.future_for(thing.ref):
        if future.privilege == "OWNERSHIP":
            thing.owner = future.to
        else:
            row = _row(ctx, future.privilege, thing.ref, future.to, option=future.option)
            ctx.account.grant(row)


def _row(ctx: Context, privilege: str, on: Ref, to: Ref, *, option: bool = False) -> GrantRow:
    return GrantRow(privilege, on, to, option, ctx.session.role, ctx.now)


def _create_relation(ctx: Context, statement: st.Create) -> Decision:
    if statement.grants == "IGNORE" and not ctx.behaviour.copy_grants_on_replace:
        # BCR-2433 introduced the clause; an account without it does not know the word.
        raise errors.syntax_error("IGNORE")
    kind = statement.kind
    ref = Ref(kind, ctx.resolve(kind, statement.name).name)
    schema = Ref("SCHEMA", ref.name[:2])
    if statement.temporary and kind == "TABLE":
        # docs, CREATE TABLE: a temporary table does not require CREATE TABLE.
        ctx.require(schema, ("USAGE",))
    else:
        ctx.require_create(kind, schema)
    old = ctx.account.relation(ref.name)
    if old is not None:
        if statement.if_not_exists:
            return Decision(
                status(f"{ref.name[-1]} already exists, statement succeeded."), settled=True
            )
        if not statement.replace:
            raise errors.already_exists(ref.name)
        if old.kind != kind:
            raise errors.SnowflakeError(
                1998,
                "42710",
                f"SQL compilation error:\nObject '{ref.name[-1]}' already exists as {old.kind}",
            )
        ctx.require_owner(old)
    reads, source = _sources(ctx, statement, ref)

    copied = _copied_grants(ctx, statement, old, source)

    def effect() -> None:
        rows = [] if copied is None else ctx.account.grants_on(copied)
        if old is not None:
            ctx.account.remove(old)
        thing = Thing(ref, ctx.primary, dict(statement.properties), ctx.now)
        thing.temporary = statement.temporary
        thing.reads = reads if kind == "VIEW" else frozenset()
        thing.body = (statement.body or "") if kind == "VIEW" else ""
        thing.written = statement.written
        ctx.account.add(thing)
        if statement.temporary:
            ctx.session.temporary.append(ref)
        if copied is None:
            _grant_future(ctx, thing)
        for row in rows:
            ctx.account.grant(GrantRow(row.privilege, ref, row.to, row.option, row.by, ctx.now))

    return Decision(status(f"{kind.capitalize()} {ref.name[-1]} successfully created."), effect)


def _copied_grants(
    ctx: Context, statement: st.Create, old: Ref | None, source: Ref | None
) -> Ref | None:
    """Returns the object whose grants the new one takes over instead of future grants, if any.

    docs, CREATE TABLE (COPY GRANTS): the replaced table goes before the cloned one.
    BCR-2433: grants of a replaced object are copied by default, without future grants.
    """
    if statement.grants == "COPY":
        return old or source
    changed = statement.kind in ("TABLE", "VIEW", "MATERIALIZED_VIEW")
    if statement.grants is None and changed and ctx.behaviour.copy_grants_on_replace:
        return old
    return None


def _sources(ctx: Context, statement: st.Create, ref: Ref) -> tuple[frozenset[Name], Ref | None]:
    """Checks the sources of a new relation. Returns the full names read, and the table cloned."""
    if statement.body is not None:
        access = analyse(statement.body)
        if access.target is not None:
            raise errors.syntax_error(statement.body.split()[0])
        names = access.reads
        if statement.kind == "VIEW":
            # Unqualified names in a view belong to the view's own schema.
            names = frozenset((*ref.name[: 3 - len(n)], *n) for n in names)
        for name in names:
            ctx.require_read(name)
        if statement.kind == "TABLE":
            ctx.require_warehouse()
        if warehouse := statement.properties.get("WAREHOUSE"):
            ctx.require(Ref("WAREHOUSE", (str(warehouse),)), ("USAGE",))
        return frozenset(ctx.resolve("", n).name for n in names), None
    original = statement.clone or statement.like
    if original is None:
        return frozenset(), None
    source = ctx.relation(original, "TABLE")
    ctx.require(source, ("SELECT",))
    return frozenset(), source


# -- properties ---------------------------------------------------------------------------


def _check_properties(ctx: Context, ref: Ref, new: st.Properties, current: st.Properties) -> None:
    """Checks what the values of properties refer to, and who may set them."""
    if ref.kind == "USER":
        _check_user(ctx, ref, new, current)
    monitor = new.get("RESOURCE_MONITOR")
    if monitor is not None:
        # docs, "Working with resource monitors": only ACCOUNTADMIN assigns one to a warehouse.
        ctx.require_admin("RESOURCE_MONITOR", (str(monitor),))
        ctx.existing("RESOURCE_MONITOR", (str(monitor),))
    for word in ("ALLOWED_NETWORK_RULE_LIST", "BLOCKED_NETWORK_RULE_LIST"):
        rules = new.get(word, ())
        assert isinstance(rules, tuple)
        for rule in rules:
            ctx.existing("NETWORK_RULE", tuple(str(rule).split(".")))
    if new.get("NETWORK_POLICY") is not None:
        policy = ctx.existing("NETWORK_POLICY", (str(new["NETWORK_POLICY"]),))
        if ref.kind == "USER":
            ctx.require_owner(policy)


def _check_user(ctx: Context, ref: Ref, new: st.Properties, current: st.Properties) -> None:
    after = {**current, **new}
    for key in _KEYS:
        if new.get(key) is not None:
            check_public_key(str(new[key]))
    if after.get("TYPE") == "SERVICE":  # values that were set before remain without effect
        for word in _NOT_FOR_SERVICES:
            if new.get(word) is not None:
                raise errors.invalid(f"Cannot set {word} on a user of type SERVICE: {ref.name[0]}")
    roles = new.get("DEFAULT_SECONDARY_ROLES")
    if roles not in (None, (), ("ALL",)):
        raise errors.invalid(f"DEFAULT_SECONDARY_ROLES takes ('ALL') or (), not {roles}")
    identity = new.get("WORKLOAD_IDENTITY")
    if isinstance(identity, dict):
        needed = {"TYPE", "ISSUER", "SUBJECT"} if identity.get("TYPE") == "OIDC" else {"TYPE"}
        if not needed <= set(identity):
            raise errors.invalid(f"WORKLOAD_IDENTITY needs {', '.join(sorted(needed))}")
        if after.get("TYPE") != "SERVICE":
            raise errors.invalid("WORKLOAD_IDENTITY is for users of type SERVICE")


# -- ALTER --------------------------------------------------------------------------------


def alter(ctx: Context, statement: st.Alter) -> Decision:
    if statement.kind == "ACCOUNT":
        return _alter_account(ctx, statement)
    try:
        ref = ctx.existing(statement.kind, statement.name, operate=True)
    except errors.SnowflakeError:
        if statement.if_exists and not _exists(ctx, statement.kind, statement.name):
            return Decision(status(), settled=True)
        raise
    if statement.policy is not None:
        return _set_policy(ctx, statement, ref, statement.policy)
    rule = _ALTER.get(statement.action)
    if rule is None:
        raise errors.syntax_error(statement.action)
    return Decision(status(), rule(ctx, statement, ref))


def _exists(ctx: Context, kind: str, name: Name) -> bool:
    ref = ctx.resolve(kind, name)
    if kind in RELATION_KINDS:
        return ctx.account.relation(ref.name) is not None
    return ref in ctx.account.things


def _alter_account(ctx: Context, statement: st.Alter) -> Decision:
    if statement.policy is not None:
        ctx.require(ACCOUNT, (f"APPLY {statement.policy.kind.replace('_', ' ')}",))
        return _set_policy(ctx, statement, ACCOUNT, statement.policy)
    words = {*statement.properties, *statement.unset}
    if words == {"NETWORK_POLICY"}:
        ctx.require(ACCOUNT, ("ATTACH POLICY",))
    else:
        ctx.require_admin("ACCOUNT")
    _check_properties(ctx, ACCOUNT, statement.properties, {})
    return Decision(status(), _assign(ctx, statement, ACCOUNT))


def _assign(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    def effect() -> None:
        properties = ctx.thing(ref).properties
        properties.update(statement.properties)
        for word in statement.unset:
            properties.pop(word, None)

    return effect


_PUBLIC_KEYS = {"RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"}


def _set(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    modify = ref.kind in ("WAREHOUSE", "DATABASE", "SCHEMA", "RESOURCE_MONITOR")
    # docs.snowflake.com/user-guide/key-pair-auth: this privilege is enough for a user's public keys
    keys_only = ref.kind == "USER" and {*statement.properties, *statement.unset} <= _PUBLIC_KEYS
    how_to_sign_in = "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"
    # docs.snowflake.com/user-guide/dynamic-tables/privileges: OPERATE is enough for these
    refreshed = {*statement.properties, *statement.unset} <= {"WAREHOUSE", "TARGET_LAG"}
    if ref.kind == "DYNAMIC_TABLE" and refreshed:
        ctx.require(ref, ("OPERATE",))
        if warehouse := statement.properties.get("WAREHOUSE"):
            ctx.require(Ref("WAREHOUSE", (str(warehouse),)), ("USAGE",))
    elif not (keys_only and ctx.account.holds(ctx.roles, how_to_sign_in, ref)):
        ctx.require(ref, ("MODIFY",) if modify else ("OWNERSHIP",))
    _check_properties(ctx, ref, statement.properties, ctx.thing(ref).properties)
    if "RESOURCE_MONITOR" in statement.unset:
        ctx.require_admin("RESOURCE_MONITOR")
    return _assign(ctx, statement, ref)


def _rename(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    if ref.kind in ("DATABASE", "SCHEMA", "ROLE", "DATABASE_ROLE", "USER"):
        raise errors.unknown_statement(f"ALTER {ref.kind} … RENAME TO")
    ctx.require_owner(ref)
    assert statement.new_name is not None
    new = Ref(ref.kind, ctx.resolve(ref.kind, statement.new_name).name)
    parent = parent_of(new)
    if ref.kind in RELATION_KINDS and parent is not None:
        ctx.require_create(ref.kind, parent)
    taken = ctx.account.relation(new.name) if ref.kind in RELATION_KINDS else None
    if taken is not None or new in ctx.account.things:
        raise errors.already_exists(new.name)
    return lambda: ctx.account.rename(ref, new)


def _swap(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    assert statement.new_name is not None
    other = ctx.relation(statement.new_name, "TABLE")
    ctx.require_owner(ref)
    ctx.require_owner(other)

    def effect() -> None:
        aside = Ref("TABLE", (*ref.name[:2], f"{ref.name[2]} (swapping)"))
        ctx.account.rename(ref, aside)
        ctx.account.rename(other, ref)
        ctx.account.rename(aside, other)

    return effect


def _operate(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    """Suspends, resumes or refreshes: docs, warehouses, user-guide/dynamic-tables/privileges."""
    ctx.require(ref, ("OPERATE",))
    if statement.action == "REFRESH":
        return lambda: None
    suspended = statement.action == "SUSPEND"
    return lambda: ctx.thing(ref).properties.update({"SUSPENDED": suspended})


def _manage_access(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    # docs, "Creating managed access schemas": OWNERSHIP on the schema and MANAGE GRANTS.
    ctx.require_owner(ref)
    if not ctx.account.manages_grants(ctx.roles, ref):
        raise errors.insufficient(ref.kind, ref.name)

    def effect() -> None:
        ctx.thing(ref).managed_access = statement.action.startswith("ENABLE")

    return effect


def _owner_only(ctx: Context, statement: st.Alter, ref: Ref) -> Callable[[], None]:
    """Changes columns or clustering, which the data engine carries out."""
    ctx.require_owner(ref)
    return lambda: None


def _set_policy(ctx: Context, statement: st.Alter, ref: Ref, policy: Ref) -> Decision:
    """Attaches a policy to a user or the account, or detaches it."""
    apply = f"APPLY {policy.kind.replace('_', ' ')}"
    on_account = ctx.account.holds(ctx.roles, apply, ACCOUNT)
    attached = None
    if statement.action == "SET":
        attached = ctx.existing(policy.kind, policy.name)
    if not on_account:
        ctx.require(ref, (apply,))
        if attached is not None:
            ctx.require_owner(attached)

    def effect() -> None:
        policies = ctx.thing(ref).policies
        if attached is None:
            policies.pop(policy.kind, None)
        else:
            policies[policy.kind] = attached

    return Decision(status(), effect)


_ALTER: dict[str, Callable[[Context, st.Alter, Ref], Callable[[], None]]] = {
    "SET": _set,
    "UNSET": _set,
    "RENAME": _rename,
    "SWAP": _swap,
    "SUSPEND": _operate,
    "RESUME": _operate,
    "REFRESH": _operate,
    "ENABLE MANAGED ACCESS": _manage_access,
    "DISABLE MANAGED ACCESS": _manage_access,
    "COLUMNS": _owner_only,
    "CLUSTER": _owner_only,
}


def comment(ctx: Context, statement: st.Comment) -> Decision:
    change = st.Alter(
        statement.kind,
        statement.name,
        "SET",
        statement.if_exists,
        properties={"COMMENT": statement.text},
    )
    return alter(ctx, change)


# -- DROP ---------------------------------------------------------------------------------


def drop(ctx: Context, statement: st.Drop) -> Decision:
    kind = statement.kind
    ref = ctx.resolve(kind, statement.name)
    found = ctx.account.relation(ref.name) if kind in RELATION_KINDS else ref
    if found is None or found not in ctx.account.things:
        if statement.if_exists and _container_exists(ctx, ref):
            return Decision(status("Drop statement executed successfully."), settled=True)
        raise errors.not_authorized(kind, ref.name)
    if not ctx.reachable(found) or not ctx.account.sees(ctx.roles, found):
        raise errors.not_authorized(kind, ref.name)
    if found.kind != kind:
        raise errors.SnowflakeError(
            2203,
            "02000",
            f"SQL compilation error:\nObject found is of type '{found.kind}', specified type "
            f"'{kind}' is not appropriate.",
        )
    if not ctx.account.owns(ctx.roles, found):
        raise errors.insufficient(kind, found.name)
    _refuse_when_attached(ctx, found)
    return Decision(status(f"{ref.name[-1]} successfully dropped."), lambda: _drop(ctx, found))


def _container_exists(ctx: Context, ref: Ref) -> bool:
    """Checks that a container exists: IF EXISTS forgives only a missing object inside it."""
    container = parent_of(ref)
    if container is None:
        return True
    if container not in ctx.account.things or not ctx.account.sees(ctx.roles, container):
        raise errors.not_authorized(container.kind, container.name)
    return True


def _drop(ctx: Context, ref: Ref) -> None:
    account = ctx.account
    if ref.kind in ("ROLE", "DATABASE_ROLE"):
        # docs, DROP ROLE: what the role owned passes to the role that drops it.
        for thing in account.things.values():
            if thing.owner == ref:
                thing.owner = ctx.primary
    if ref.kind == "RESOURCE_MONITOR":
        for thing in account.things.values():
            if thing.properties.get("RESOURCE_MONITOR") == ref.name[0]:
                del thing.properties["RESOURCE_MONITOR"]
    account.remove(ref)
    session = ctx.session
    if ref.kind == "WAREHOUSE" and session.warehouse == ref.name[0]:
        session.warehouse = None
    if ref.kind == "DATABASE" and session.database == ref.name[0]:
        session.database = session.schema = None
    if ref.kind == "SCHEMA" and (session.database, session.schema) == ref.name:
        session.schema = None


def _refuse_when_attached(ctx: Context, ref: Ref) -> None:
    """Refuses to drop a policy in use, or a schema or database with one in it.

    docs, DROP NETWORK POLICY and DROP AUTHENTICATION POLICY; the number is a guess.
    """
    if not ref.kind.endswith("_POLICY") and ref.kind not in ("SCHEMA", "DATABASE"):
        return
    for thing in ctx.account.things.values():
        attached = set(thing.policies.values())
        if name := thing.properties.get("NETWORK_POLICY"):
            attached.add(Ref("NETWORK_POLICY", (str(name),)))
        for policy in attached:
            inside = parent_of(policy) is not None and policy.name[: len(ref.name)] == ref.name
            if policy == ref or inside:
                raise errors.SnowflakeError(
                    3543,
                    "0A000",
                    f"Cannot perform Drop operation on {ref}. {policy} is attached to {thing.ref}.",
                )
