"""What the SQL files would change on an account. Pure: steps and an account in, changes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dbtmesh import MeshError
from dbtmesh.snowflake.names import marker
from dbtmesh.snowflake.objects import Grant, Object, Scope
from dbtmesh.snowflake.sqlscript import Step, Verb

MARKED = frozenset({"WAREHOUSE", "DATABASE", "ROLE", "USER", "DATABASE ROLE", "NETWORK POLICY"})
"""Kinds of objects whose comment tells which project made them."""


@dataclass(frozen=True)
class Live:
    """What an account says, as far as a member's steps touch it.

    objects: what exists, with the columns that SHOW prints, and parameters in upper case.
    contents: (kind, database) → what is in there; missing where that is not known.
    """

    objects: Mapping[Object, Mapping[str, str]]
    grants: frozenset[Grant]
    contents: Mapping[tuple[str, str], frozenset[Object]]


class Effect(Enum):
    """What a step would do to the account. AGAIN: the account does not tell whether it has to."""

    CREATE = "new"
    SET = "set"
    GRANT = "grant"
    DROP = "drop"
    SET_AGAIN = "set again"
    GRANT_AGAIN = "grant again"
    RUN = "run"

    @property
    def is_certain(self) -> bool:
        """Whether the account differs from what the step says; else it may be as it says."""
        return self not in (Effect.SET_AGAIN, Effect.GRANT_AGAIN, Effect.RUN)


@dataclass(frozen=True)
class Difference:
    """A property that has another value than the SQL says."""

    name: str
    current: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name} {self.current} → {self.wanted}"


@dataclass(frozen=True)
class Change:
    """A step that would change something."""

    step: Step
    effect: Effect
    differences: tuple[Difference, ...] = ()

    @property
    def what(self) -> str:
        """In words: `new`, `grant`, `AUTO_SUSPEND 600 → 60`, …"""
        return ", ".join(map(str, self.differences)) or self.effect.value


def plan(steps: Iterable[Step], live: Live | None = None) -> list[Change]:
    """What the steps would change: all of them where nothing is known of the account."""
    return [change for step in steps if (change := _change(step, live))]


def _change(step: Step, live: Live | None) -> Change | None:
    """What a step would change; None where that is nothing."""
    if live is None:
        return Change(step, _WITHOUT_ACCOUNT[step.verb])
    row = live.objects.get(step.object) if step.object else None
    match step.verb:
        case Verb.CREATE:
            return None if row is not None else Change(step, Effect.CREATE)
        case Verb.DROP:
            return None if row is None else Change(step, Effect.DROP)
        case Verb.GRANT:
            return _granting(step, live)
        case Verb.ALTER if row is not None:
            return _setting(step, row)
        case Verb.ALTER:
            if_exists = " IF EXISTS " in step.statement.upper()
            return None if if_exists else Change(step, Effect.SET)
        case Verb.OTHER:
            return Change(step, Effect.RUN)


_WITHOUT_ACCOUNT = {
    Verb.CREATE: Effect.CREATE,
    Verb.ALTER: Effect.SET,
    Verb.GRANT: Effect.GRANT,
    Verb.DROP: Effect.DROP,
    Verb.OTHER: Effect.RUN,
}


def _granting(step: Step, live: Live) -> Change | None:
    if all(_held(grant, live) for grant in step.grants):
        return None
    uncounted = any(_uncounted(grant, live) for grant in step.grants)
    return Change(step, Effect.GRANT_AGAIN if uncounted else Effect.GRANT)


def _held(grant: Grant, live: Live) -> bool:
    if grant.scope is not Scope.ALL:
        return grant in live.grants
    inside = live.contents.get((grant.on.kind, grant.on.name))
    return inside is not None and all(
        Grant(grant.privilege, each, grant.to) in live.grants for each in inside
    )


def _uncounted(grant: Grant, live: Live) -> bool:
    """On all objects of a database that holds more of them than SHOW lists."""
    known = (grant.on.kind, grant.on.name) in live.contents
    return grant.scope is Scope.ALL and not known and grant.container in live.objects


# Properties that SHOW prints under another name, or in other words.
_COLUMNS = {"WAREHOUSE_SIZE": "size"}
_SIZES = {"2XLARGE": "XXLARGE", "3XLARGE": "XXXLARGE"}
_EMPTY_LISTS = frozenset({"()", "[]"})


def _setting(step: Step, row: Mapping[str, str]) -> Change | None:
    differences = []
    unknown = not step.properties
    for name, wanted in step.properties.items():
        current = row.get(name, row.get(_COLUMNS.get(name, name.lower())))
        if current is None:
            unknown = True
        elif _plain(name, current) != _plain(name, wanted):
            differences.append(Difference(name, current, wanted))
    if differences:
        return Change(step, Effect.SET, tuple(differences))
    return Change(step, Effect.SET_AGAIN) if unknown else None


def _plain(name: str, value: str) -> str:
    text = value.strip("'").upper()
    if name == "WAREHOUSE_SIZE":
        size = text.replace("-", "")
        return _SIZES.get(size, size)
    if text in _EMPTY_LISTS:
        return "()"
    return text.removesuffix(".00")


# ── What has to be as it is before anything is changed ────────────────────────────────


def check_ownership(steps: Iterable[Step], live: Live, project: str) -> None:
    """Raises MeshError where the steps would touch what exists and is not this project's."""
    touched = dict.fromkeys(
        step.object for step in steps if step.verb in (Verb.CREATE, Verb.DROP) and step.object
    )
    for thing in touched:
        row = live.objects.get(thing)
        if row is None or thing.kind not in MARKED or row.get("comment") == marker(project):
            continue
        said = f"comment {row['comment']!r}" if row.get("comment") else "no comment"
        raise MeshError(
            f"{thing} exists and is not {project}'s (owner {row.get('owner') or 'unknown'}, "
            f"{said}): nothing was changed. Choose other names (`copier update --trust "
            "--skip-answered --ask database_prefix`), "
            f"or, if it is {project}'s: COMMENT ON {thing} IS '{marker(project)}'"
        )


def prerequisites(steps: Sequence[Step]) -> list[Object]:
    """Warehouses and database roles that steps grant and none of them creates: other projects'."""
    made = {step.object for step in steps if step.verb is Verb.CREATE}
    granted = (grant.on for step in steps for grant in step.grants if grant.scope is Scope.ONE)
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
                f"the project of {thing.database}" if thing.kind == "DATABASE ROLE" else "its owner"
            )
            raise MeshError(
                f"{thing} does not exist yet, and {whose} has to make it: nothing was changed. Run "
                "`scripts/snowflake_access.py apply` there first, then here"
            )
