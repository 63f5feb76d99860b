"""Finds what the SQL files would change on an account. Pure: steps and account in, changes out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dbtmesh import MeshError
from dbtmesh.snowflake.names import ADMIN_ROLES, PUBLIC, mesh_reads
from dbtmesh.snowflake.objects import (
    ALL_PRIVILEGES,
    EACH_OF_ALL,
    Grant,
    Object,
    Scope,
)
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import MANAGED_ACCESS, Verb


@dataclass(frozen=True)
class Live:
    """The state of an account, as far as a member's steps touch it.

    objects: the objects that exist, with the columns that SHOW prints. Properties that had to be
    asked for separately are in upper case: parameters, policies, the warehouses of a monitor.
    contents: (kind, database or schema) → its objects of that kind; missing where they are not
    known. owners: the role that owns each relation in contents.
    """

    objects: Mapping[Object, Mapping[str, str]]
    grants: frozenset[Grant]
    contents: Mapping[tuple[str, str], frozenset[Object]]
    owners: Mapping[Object, str] = field(default_factory=dict)

    def keys(self) -> frozenset[Grant]:
        """Returns the keys of the grants; see Grant.key."""
        return frozenset(grant.key for grant in self.grants)


class Effect(Enum):
    """What a step would do to the account. *_AGAIN: the account does not tell whether the step is
    still needed."""

    CREATE = "new"
    SET = "set"
    GRANT = "grant"
    REVOKE = "revoke"
    DROP = "drop"
    SET_AGAIN = "set again"
    GRANT_AGAIN = "grant again"
    RUN = "run"

    @property
    def is_certain(self) -> bool:
        """Whether the account certainly differs from what the step says."""
        return self not in (Effect.SET_AGAIN, Effect.GRANT_AGAIN, Effect.RUN)


@dataclass(frozen=True)
class Difference:
    """A property with another value than the SQL says. An empty text stands for no value."""

    name: str
    current: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name} {self.current or 'none'} → {self.wanted or 'none'}"


@dataclass(frozen=True)
class Change:
    """A step that would change something.

    adopts: whether it takes over objects that are not the member's, which needs --adopt.
    """

    step: Step
    effect: Effect
    differences: tuple[Difference, ...] = ()
    adopts: bool = False

    @property
    def what(self) -> str:
        """The change in words: `new`, `grant`, `AUTO_SUSPEND 600 → 60`, …"""
        return ", ".join(map(str, self.differences)) or self.effect.value


def plan(steps: Iterable[Step], live: Live | None = None) -> list[Change]:
    """Returns what the steps would change. Without `live`, that is what all of them do."""
    if live is None:
        return [Change(step, _WITHOUT_ACCOUNT[step.verb]) for step in steps]
    held = live.keys()
    standing = _standing([*steps])
    return [change for step in standing if (change := _change(step, live, held))]


def _standing(steps: Sequence[Step]) -> list[Step]:
    """Returns the steps without those that a later one undoes: a grant that is revoked later, or a
    revocation that is granted again."""
    found = []
    after: dict[Grant, Verb] = {}
    for step in reversed(steps):
        if step.verb in (Verb.GRANT, Verb.REVOKE):
            undone = step.grants and all(
                after.get(grant, step.verb) is not step.verb for grant in step.grants
            )
            after = dict.fromkeys(step.grants, step.verb) | after
            if undone:
                continue
        found.append(step)
    return found[::-1]


_WITHOUT_ACCOUNT = {
    Verb.CREATE: Effect.CREATE,
    Verb.ALTER: Effect.SET,
    Verb.GRANT: Effect.GRANT,
    Verb.REVOKE: Effect.REVOKE,
    Verb.DROP: Effect.DROP,
    Verb.OTHER: Effect.RUN,
}


def _change(step: Step, live: Live, held: frozenset[Grant]) -> Change | None:
    """Returns what a step would change; None where it changes nothing."""
    row = live.objects.get(step.object) if step.object else None
    match step.verb:
        case Verb.CREATE:
            # IF NOT EXISTS does not change an existing object; `adopt` compares that.
            return None if row is not None else Change(step, Effect.CREATE)
        case Verb.DROP:
            return None if row is None else Change(step, Effect.DROP)
        case Verb.GRANT:
            return _granting(step, live, held)
        case Verb.REVOKE:
            takes = any(is_held(grant, live, held) is not False for grant in step.grants)
            return Change(step, Effect.REVOKE) if takes else None
        case Verb.ALTER if row is not None:
            return _setting(step, row)
        case Verb.ALTER:
            return None if step.meaning.if_exists else Change(step, Effect.SET)
        case Verb.OTHER:
            return Change(step, Effect.RUN)


# ── Grants ────────────────────────────────────────────────────────────────────────────


def _granting(step: Step, live: Live, held: frozenset[Grant]) -> Change | None:
    answers = [is_held(grant, live, held) for grant in step.grants]
    if False in answers:
        return Change(step, Effect.GRANT)
    return Change(step, Effect.GRANT_AGAIN) if None in answers else None


def is_held(grant: Grant, live: Live, held: frozenset[Grant]) -> bool | None:
    """Checks whether the account has a grant. Returns None where the account does not tell. held:
    the keys of its grants."""
    if grant.scope is Scope.ALL:
        inside = live.contents.get((grant.on.kind, grant.on.name))
        if inside is None:
            # The database or schema does not exist yet, or holds more than SHOW lists.
            return None if grant.container in live.objects else False
        ones = [Grant(grant.privilege, each, grant.to) for each in inside]
        return all(_is_held(one, held) for one in ones)
    return _is_held(grant, held)


def _is_held(grant: Grant, held: frozenset[Grant]) -> bool:
    if grant.privilege != ALL_PRIVILEGES:
        return grant.key in held
    each = EACH_OF_ALL.get(grant.on.kind)
    if each:
        return all(grant.of_kind(privilege).key in held for privilege in each)
    return any(one.of_kind(ALL_PRIVILEGES) == grant.key for one in held)


# ── Properties ────────────────────────────────────────────────────────────────────────

# Properties that SHOW prints under another name.
_COLUMNS = {"WAREHOUSE_SIZE": "size", MANAGED_ACCESS: "options"}
_SIZES = {"2XLARGE": "XXLARGE", "3XLARGE": "XXXLARGE"}
# Values that are compared as sets of words, because SHOW and DESC print them in several forms: as a
# list, as JSON, or as a struct with more in it.
_LISTS = re.compile(r"[(\[{]")
_WORD = re.compile(r"[\w./:@+-]+")


def _setting(step: Step, row: Mapping[str, str]) -> Change | None:
    differences = differing(step.properties, row)
    if differences:
        return Change(step, Effect.SET, differences)
    known = step.properties and all(
        current_value(name, row) is not None for name in step.properties
    )
    return None if known else Change(step, Effect.SET_AGAIN)


def differing(properties: Mapping[str, str], row: Mapping[str, str]) -> tuple[Difference, ...]:
    """Returns the properties whose values on the account differ, as far as it shows them."""
    found = []
    for name, wanted in properties.items():
        current = current_value(name, row)
        if current is not None and not _same(name, current, wanted):
            found.append(Difference(name, current, wanted))
    return tuple(found)


def current_value(name: str, row: Mapping[str, str]) -> str | None:
    """Returns the value of a property as the account shows it; None where it does not."""
    value = row.get(name, row.get(_COLUMNS.get(name, name.lower())))
    if name == MANAGED_ACCESS and value is not None:
        return str("MANAGED ACCESS" in value.upper()).upper()
    return "" if value == "null" else value


def _same(name: str, current: str, wanted: str) -> bool:
    if _LISTS.match(wanted):
        # A struct may be shown with defaults in it, but a list is shown as it was set.
        have, want = (set(words(text.upper())) for text in (current, wanted))
        return want <= have if "=" in wanted else want == have
    return _plain(name, current) == _plain(name, wanted)


def words(text: str) -> list[str]:
    """Returns the items of a list, in whichever form SHOW and DESC print it."""
    return _WORD.findall(text)


def _plain(name: str, value: str) -> str:
    text = value.strip("'\"")
    if name == "COMMENT":
        return text.replace("''", "'")
    text = text.upper()
    if name == "WAREHOUSE_SIZE":
        size = text.replace("-", "")
        return _SIZES.get(size, size)
    return text.removesuffix(".00")


# ── What has to exist before anything is changed ──────────────────────────────────────


PREREQUISITES = frozenset({"WAREHOUSE", "DATABASE", "SCHEMA", "DATABASE ROLE"})


def prerequisites(steps: Sequence[Step]) -> list[Object]:
    """Returns the objects that steps grant on or to and none of them creates: those of other
    projects, and the roles of loaders."""
    made = {step.object for step in steps if step.verb is Verb.CREATE}
    grants = [grant for step in steps for grant in step.grants]
    needed = [grant.container for grant in grants if grant.container.kind in PREREQUISITES]
    needed += [grant.to for grant in grants if grant.to.kind == "ROLE"]
    there = {*made, *ADMIN_ROLES, PUBLIC}
    return [thing for thing in dict.fromkeys(needed) if thing not in there]


def check_prerequisites(steps: Sequence[Step], live: Live) -> None:
    """Raises MeshError where another project has to be set up first."""
    for thing in prerequisites(steps):
        if thing not in live.objects:
            raise MeshError(
                f"{thing} does not exist yet: nothing was changed. {_remedy(thing, steps)}"
            )


def _remedy(thing: Object, steps: Sequence[Step]) -> str:
    """Returns a sentence that says who has to create what is missing, and how."""
    there = "has to make it: run `scripts/snowflake_access.py apply` there first, then here"
    match thing.kind:
        case "DATABASE ROLE":
            return f"The project of {thing.database} {there}"
        case "WAREHOUSE":
            return f"Its owner {there}"
        case "ROLE" if _is_of_upstream(thing, steps):
            return (
                f"Its project {there}. If the upstream's role has another name, name it with "
                "`copier update --trust --skip-answered --ask upstream_roles`"
            )
        case "ROLE":
            return "Create it, or correct the file of snowflake/ that grants to it"
        case _:
            return "Its owner has to make it: then run this again"


def _is_of_upstream(role: Object, steps: Sequence[Step]) -> bool:
    """Checks whether the steps let a role see what this project reads. Only roles of upstreams get
    that."""
    grants = [grant for step in steps for grant in step.grants if grant.to == role]
    return any(
        grant.on.kind == "DATABASE ROLE" and grant.on == mesh_reads(grant.on.database)
        for grant in grants
    )
