"""Writes plans and findings as text for people and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dbtmesh.artifacts.hooks import Hook
from dbtmesh.output.words import counted, one_line
from dbtmesh.snowflake import everybody, expected
from dbtmesh.snowflake.names import Names
from dbtmesh.snowflake.objects import Grant, Scope
from dbtmesh.snowflake.plan import Change, Live
from dbtmesh.snowflake.probes import Probe
from dbtmesh.snowflake.sqlscript import Step
from dbtmesh.snowflake.statements import Verb

LACKING = {
    "SECURITYADMIN": "a future grant to a database role needs USAGE on its database",
    "USERADMIN": "a future grant needs MANAGE GRANTS",
}
"""What some roles of the account lack for future grants: sql-reference/sql/grant-privilege."""

# ── A plan ────────────────────────────────────────────────────────────────────────────


def plan_lines(changes: Sequence[Change]) -> Iterator[str]:
    """Yields a table of the changes, and their SQL, which can be run by hand."""
    if not changes:
        yield "Nothing to change: the account is as snowflake/ says."
        return
    rows = [(c.step.place, c.step.role, title(c.step), what(c)) for c in changes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        padded = (text.ljust(width) for text, width in zip(row, [*widths, 0], strict=True))
        yield "  ".join(padded).rstrip()
    role = why = ""
    yield ""
    for change in changes:
        if change.step.role != role:
            role = change.step.role
            yield f"USE ROLE {role};"
        if change.step.why != why:
            why = change.step.why
            yield f"-- {why}"
        yield from f"{change.step.statement};".splitlines()
    yield ""
    yield f"{counted(len(changes), 'statement')}."
    if adopting := sum(change.adopts for change in changes):
        yield (
            f"{adopting} of them (adopt) take over what exists and is somebody else's: only "
            "`apply --adopt` runs them."
        )


def public_lines(closing: Sequence[Change], project: str) -> Iterator[str]:
    """Yields what everybody has on the project's objects. A plan leaves it as it is unless
    --revoke-public is given."""
    if not closing:
        return
    yield f"Everybody has this on objects of {project}, through the role PUBLIC, and keeps it:"
    role = ""
    for change in closing:
        if change.step.role != role:
            role = change.step.role
            yield f"USE ROLE {role};"
        yield f"{change.step.statement};"
    yield (
        f"`apply {everybody.FLAG}` runs this; add --adopt if that is to come first. If something "
        "is meant for everybody, say so in a file of your own: GRANT … TO ROLE PUBLIC"
    )


def what(change: Change) -> str:
    return f"adopt: {change.what}" if change.adopts else change.what


def as_data(change: Change) -> dict[str, Any]:
    """Returns a change as JSON: file, line, role, verb, object, statement, why, change, adopts."""
    step = change.step
    return {
        "file": step.file,
        "line": step.line,
        "role": step.role,
        "verb": step.verb.value,
        "object": str(step.object) if step.object else None,
        "statement": step.statement,
        "why": step.why,
        "change": change.what,
        "adopts": change.adopts,
    }


def title(step: Step) -> str:
    """Returns a statement in a few words."""
    if step.grants:
        privileges = ", ".join(grant.privilege for grant in step.grants)
        one, word = step.grants[0], "FROM" if step.verb is Verb.REVOKE else "TO"
        return f"{step.verb.value} {privileges} ON {one.where} {word} {one.to}"
    if step.object:
        return f"{step.verb.value} {step.object}"
    return one_line(step.statement, 60)


def hint(step: Step) -> str | None:
    """Returns advice for a future grant that Snowflake refuses because of the role that gives it;
    None for any other step."""
    future = [grant for grant in step.grants if grant.scope is Scope.FUTURE]
    if not future or step.role not in LACKING:
        return None
    takes = LACKING[step.role]
    if step.role == "SECURITYADMIN":
        future = [grant for grant in future if grant.to.kind == "DATABASE ROLE"]
        if not future:
            return None
    return (
        f"{step.place}: {takes}, which {step.role} does not have by itself: write"
        f" `USE ROLE {future[0].administrator};` above it, and `USE ROLE {step.role};` below"
    )


# ── What verify found ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Findings:
    """How an account differs from the SQL and the public models.

    missing: the changes that the account needs to be as the SQL says. unpublished: the grants of
    SELECT that readers lack. lacking: the hooks whose absence causes that. extra: the grants that
    nothing accounts for and that were not revoked. revoked: those that were. everybodys: the grants
    to PUBLIC in the files of snowflake/. probes: the statements that were tried.
    """

    missing: Sequence[Change]
    unpublished: Sequence[Grant]
    lacking: Sequence[Hook]
    extra: Sequence[Grant]
    revoked: Sequence[Grant]
    everybodys: Sequence[Grant]
    probes: Sequence[Probe]

    @property
    def is_clean(self) -> bool:
        wrong = any(probe.is_wrong for probe in self.probes)
        return not (self.missing or self.unpublished or self.extra or wrong)

    def as_data(self) -> dict[str, Any]:
        """Returns JSON: {missing, extra, revoked, everybody: texts, probes: [{role, statement,
        expected, outcome, why}]}."""
        return {
            "missing": [_missing(change) for change in self.missing]
            + [str(grant) for grant in self.unpublished],
            "extra": [str(grant) for grant in self.extra],
            "revoked": [str(grant) for grant in self.revoked],
            "everybody": [str(grant) for grant in self.everybodys],
            "probes": [
                {
                    "role": probe.role,
                    "statement": probe.statement,
                    "expected": probe.expected.value,
                    "outcome": probe.outcome.value,
                    "why": probe.why,
                }
                for probe in self.probes
            ],
        }

    def lines(self, names: Names) -> Iterator[str]:
        for change in self.missing:
            yield f"missing  {_missing(change)}"
        if self.missing:
            adopts = any(change.adopts for change in self.missing)
            command = "apply --adopt" if adopts else "apply"
            yield f"         `scripts/snowflake_access.py {command}` makes these changes"
        for grant in self.unpublished:
            yield f"missing  {grant}"
        if self.unpublished and self.lacking:
            calls = [f"{hook.place}: {hook.line}" for hook in self.lacking]
            yield f"         because dbt_project.yml lacks hooks: {', '.join(calls)}"
        elif self.unpublished:
            yield "         `dbt build --target prod` grants it"
        for grant in self.revoked:
            yield f"revoked  {grant}"
        for grant in self.extra:
            yield f"extra    {grant}"
            own = expected.revocable(grant, names)
            whose = "--fix runs it" if own else "not this project's: ask its owner"
            yield f"         {expected.remedy(grant, names)};  ({whose})"
        for grant in self.everybodys:
            yield f"note     {grant}: everybody has it, because snowflake/ says so"
        for probe in self.probes:
            yield f"{'WRONG  ' if probe.is_wrong else 'ok     '}  {probe}"
        if not self.probes:
            yield "note     nothing is built yet, so no SELECT was tried"
        if not (self.missing or self.unpublished or self.extra):
            yield f"ok       all grants of {names.project} are as snowflake/ and its models say"


def _missing(change: Change) -> str:
    return f"{title(change.step)} ({change.step.place}: {what(change)})"


# ── What a teardown takes from others ─────────────────────────────────────────────────


def bereft(changes: Sequence[Change], live: Live, names: Names) -> list[str]:
    """Returns warnings about the roles of others that lose access."""
    own = (names.role, names.dev_role)
    dropped = {change.step.object for change in changes if change.step.verb is Verb.DROP}
    holders = {
        thing: [
            grant.to.name
            for grant in sorted(live.grants)
            if grant.to not in own and grant.on == thing and grant.privilege == "USAGE"
        ]
        for thing in (names.public_read, names.warehouse)
        if thing in dropped
    }
    losses = {
        names.public_read: "read its public models",
        names.warehouse: f"use {names.warehouse.name}",
    }
    return [
        f"warning: these roles can no longer {losses[thing]}: {', '.join(roles)}"
        for thing, roles in holders.items()
        if roles
    ]


def locked_out(changes: Sequence[Change], live: Live) -> list[str]:
    """Returns warnings about users whose password stops working once they are of TYPE = SERVICE."""
    return [
        f"{change.step.object} has a password, which no longer works once it is of TYPE = SERVICE: "
        "programs that sign in with it need a key, or another user"
        for change in changes
        for each in change.differences
        if each.name == "TYPE"
        and change.step.object
        and live.objects[change.step.object].get("has_password") == "true"
    ]
