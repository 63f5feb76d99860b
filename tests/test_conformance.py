"""The conformance run against the stand-in, over loopback: what it says, finds and leaves."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests import github_rules
from tests.conformance import proof, report
from tests.conformance.script import Answer, See
from tests.conformance.snowflake.ask import Run, statements
from tests.conformance.snowflake.questions import CLEAN_UP, QUESTIONS, SCRIPT
from tests.conformance.snowflake.script import SetUp
from tests.conformance.snowflake.service import SNOWFLAKE
from tests.conftest import ROOT
from tests.snowflake_standin import (
    ADMIN,
    Laptop,
    Standin,
    ddl,
    engine,
    errors,
    granting,
    keys,
    show,
    show_grants,
    split_statements,
)
from tests.snowflake_standin.account import Account, FutureGrant, Thing
from tests.snowflake_standin.context import Context
from tests.snowflake_standin.grammar import parse
from tests.snowflake_standin.names import Ref
from tests.snowflake_standin.rows import Row
from tests.snowflake_standin.sources import Rule
from tests.snowflake_standin.statements import Create, Drop
from tests.warm import COMMANDS, server


def command(*words: str) -> list[str]:
    """It begins warm."""
    return [str(server(COMMANDS).program("python")), "-m", "tests.conformance", *words]


class Asker(Laptop):
    """A person who runs it."""

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command("--connection", "admin", "--report", str(self.report), *words),
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        started = self.begin(*(words or ("--yes",)))
        said, complained = started.communicate(timeout=300)
        return started.returncode, said + complained

    @property
    def report(self) -> Path:
        return self.home / "conformance.md"

    def left(self) -> list[str]:
        return [str(ref) for ref in self.standin.model.account.things if "CONFORMANCE" in str(ref)]


@contextlib.contextmanager
def asker(folder: Path, **switches: bool) -> Iterator[Asker]:
    with Standin(account_name="ACME-PROD77", **switches) as standin:
        yield Asker(folder / "home", standin)


# ── The questions ─────────────────────────────────────────────────────────────────────────


def test_a_dry_run_prints_every_statement_and_needs_no_account() -> None:
    done = subprocess.run(command("--dry-run"), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.endswith(";") for line in lines)
    assert len(split_statements(done.stdout)) == len(lines)
    sent = [line for line in lines if not line.startswith("USE ROLE ")]
    assert len(sent) == 1 + len(SCRIPT) + len(CLEAN_UP)


def test_there_are_a_hundred_questions_and_each_rule_is_asked_about() -> None:
    assert len(QUESTIONS) >= 100
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)
    assert {question.rule for question in QUESTIONS} == set(Rule)


def made_or_dropped(sql: str) -> tuple[str, tuple[str, ...]]:
    statement = parse(sql)
    assert isinstance(statement, Create | Drop)
    return statement.kind, statement.name


def test_it_asks_about_nothing_but_its_own_and_takes_all_of_it_away() -> None:
    run = Run("MINE", "ME")
    made: set[tuple[str, tuple[str, ...]]] = set()
    for sql in statements(run):
        if re.match(r"CREATE|DROP|ALTER|GRANT|REVOKE|INSERT|UPDATE|DELETE|TRUNCATE", sql):
            assert "MINE_" in sql, sql
        if sql.startswith("CREATE"):
            made.add(made_or_dropped(sql))
    tops = {(kind, name[0]) for kind, name in made if len(name) == 1}
    drops = [made_or_dropped(run.sql(sql)) for sql in CLEAN_UP if sql.startswith("DROP")]
    dropped = {(kind, name[0]) for kind, name in drops}
    assert tops <= dropped
    assert all(name[0].startswith("MINE_") for _, name in made)
    for question in QUESTIONS:
        if question.see is See.ROWS:
            assert "{p}" in question.sql, question.name


def test_it_costs_less_than_a_credit() -> None:
    """One XSMALL warehouse, a credit an hour, that sleeps after a minute, under a monitor."""
    made = [step.sql for step in SCRIPT if isinstance(step, SetUp) and "WAREHOUSE {p}" in step.sql]
    (warehouse,) = [sql for sql in made if sql.startswith("CREATE")]
    for words in ("XSMALL", "AUTO_SUSPEND = 60", "INITIALLY_SUSPENDED", "STATEMENT_TIMEOUT"):
        assert words in warehouse
    assert not any(words in step.sql for step in SCRIPT for words in ("SMALL'", "LARGE"))


def test_the_page_of_proofs_is_made_of_the_stand_ins_list() -> None:
    text = proof.PAGE.read_text(encoding="utf-8")
    assert proof.page(text) == text, "python -m tests.conformance.proof"
    for rule in (rule for rule in (*Rule, *github_rules.Rule) if rule.is_assumption):
        assert f"| {rule.says} | {rule.source.leaned_on} | `{proof.questions(rule)[0]}`" in text


# ── Runs ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {
            "copy_grants_on_replace": True,
            "named_key_pairs": True,
            "exact_kinds": False,
            "user_privileges": False,
            "container_manage_grants": True,
            "describes_users": False,
            "shows_foreign_database_roles": False,
        },
    ],
    ids=["as it is", "otherwise in every switch"],
)
def test_an_account_that_answers_as_the_stand_in(tmp_path: Path, switches: dict[str, bool]) -> None:
    with asker(tmp_path, **switches) as person:
        status, said = person.run()
        assert status == 0, said
        assert "are answered as the stand-in" in said
        assert person.left() == []
        text = person.report.read_text()
    for name, on in switches.items():
        assert f"| {name} | {'yes' if on else 'no'} |" in text
    for private in (ADMIN, "ACME", "PROD77", "DBTMESH_CONFORMANCE", "127.0.0.1"):
        assert private not in text


def of_session(context: Context, _: object) -> str:
    return context.session.role


def no_shadow(account: Account, ref: Ref) -> list[FutureGrant]:
    """Future grants of the schema and of the database."""
    around = {ref.name[:1], ref.name[:2]}
    return [f for f in account.future if f.container.name in around and f.kind == ref.kind]


def nothing(*_: object) -> None:
    pass


def only_owner(thing: Thing) -> Iterator[Row]:
    if thing.owner is not None:
        yield show_grants._owner_row(thing)


def as_table(_: object, row: Row) -> Row:
    return {**row, "granted_on": "TABLE"} if row["granted_on"] == "VIEW" else row


real_allows = Account.allows


def open_to_all(self: Account, roles: frozenset[Ref], privilege: str, ref: Ref) -> bool:
    return privilege == "USAGE" or real_allows(self, roles, privilege, ref)


# What is planted, and a question that has to name it.
PLANTED: dict[str, tuple[Any, str, Any]] = {
    "managed-shown": (show_grants, "_owners", only_owner),
    "future-to-database-role-by-securityadmin": (granting, "_require_usage_for", nothing),
    "hidden-database": (Account, "allows", open_to_all),
    "future-shadowed": (Account, "future_for", no_shadow),
    "database-role-elsewhere": (granting, "_check_database_role", nothing),
    "replace-copy-grants": (ddl, "_copied_grants", nothing),
    "grantor": (granting, "_grantor", of_session),
    "no-warehouse": (Context, "require_warehouse", nothing),
    "policy-in-use": (ddl, "_refuse_when_attached", nothing),
    "key-pair-reserved": (keys, "_RESERVED", ()),
    "hidden-show": (errors, "no_such_object", lambda: errors.not_authorized("SCHEMA", ("S",))),
    "columns-describe-table": (engine, "DESCRIBED", engine.DESCRIBED[:-1]),
    "service-password": (ddl, "_check_user", nothing),
    "managed-table-owner-grants": (Account, "in_managed_schema", lambda *_: False),
    "secondary-roles-by-default": (show, "_secondary", lambda _: "[]"),
    "kinds-to": (show_grants, "_general", as_table),
}


def test_every_planted_difference_is_named(tmp_path: Path) -> None:
    assert len(PLANTED) >= 10
    with contextlib.ExitStack() as planted:
        for place, name, instead in PLANTED.values():
            planted.enter_context(mock.patch.object(place, name, instead))
        with asker(tmp_path, named_key_pairs=True) as person:
            status, said = person.run()
            assert status == 2, said
            assert person.left() == []
            text = person.report.read_text()
    for name in PLANTED:
        assert name in said
        part = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        rule = next(question.rule for question in QUESTIONS if question.name == name)
        assert f"rule `{rule.name}`: {rule.says}" in part, name
        expected, answered = re.findall(r"(?:expected|answered): (.+)", part)[:2]
        assert expected != answered, name


def test_what_an_account_shows_of_its_own_is_not_told() -> None:
    ours = {"grantor": Answer(0, (("USAGE", "{p}_OWN", "SYSADMIN"),))}
    theirs = {"grantor": Answer(0, (("USAGE", "{p}_OWN", "ACME_ADMIN"), ("{p} by ada", "", "Y")))}
    told = report.clean(SNOWFLAKE, theirs, ours)["grantor"]
    assert told.cells == (("USAGE", "{p}_OWN", report.OTHER), (report.OTHER, "", "Y"))


# ── What it leaves ────────────────────────────────────────────────────────────────────────


def fails_at_a_table(person: Asker) -> tuple[int, str]:
    person.standin.faults.fail(r"CREATE TABLE \w+\.PLAIN\.F")
    return person.run()


# Moments of a run: after the first statement, while the account takes long for the second.
BEGINNING = (r"CREATE TABLE \w+\.MANAGED\.T", r"CREATE TABLE \w+\.PLAIN\.T")
MIDDLE = ("COPY GRANTS", "CREATE OR REPLACE VIEW")


def is_interrupted(
    person: Asker, by: signal.Signals = signal.SIGINT, at: tuple[str, str] = MIDDLE
) -> tuple[int, str]:
    before, slow = at
    person.standin.faults.delay(slow, 2)
    started = person.begin("--yes")
    while not any(re.search(before, record.sql) for record in person.standin.statements):
        assert started.poll() is None, started.communicate()
        time.sleep(0.05)
    time.sleep(0.3)
    started.send_signal(by)
    said, complained = started.communicate(timeout=120)
    return started.returncode, said + complained


def is_terminated(person: Asker) -> tuple[int, str]:
    return is_interrupted(person, signal.SIGTERM, BEGINNING)


def loses_its_terminal(person: Asker) -> tuple[int, str]:
    return is_interrupted(person, signal.SIGHUP, BEGINNING)


@pytest.mark.parametrize(
    ("happens", "status", "says"),
    [
        (fails_at_a_table, 1, "setting up was refused with 003001: CREATE TABLE {p}_DB.PLAIN.F"),
        (is_interrupted, 130, "interrupted"),
        (is_terminated, 130, "interrupted"),
        (loses_its_terminal, 130, "interrupted"),
    ],
    ids=["an error", "Ctrl-C", "a termination", "a closed terminal"],
)
def test_nothing_is_left_whatever_happens(
    tmp_path: Path, happens: Callable[[Asker], tuple[int, str]], status: int, says: str
) -> None:
    with asker(tmp_path) as person:
        ended, said = happens(person)
        assert (ended, person.left()) == (status, []), said
        assert says in said
        assert "Traceback" not in said
        assert not person.report.exists()


def test_what_cannot_be_dropped_is_told(tmp_path: Path) -> None:
    with asker(tmp_path) as person:
        person.standin.faults.fail(r"DROP WAREHOUSE IF EXISTS \w+_WH", nth=None)
        status, said = person.run()
        assert status == 1
        assert re.search(r"as ACCOUNTADMIN:\n  DROP WAREHOUSE IF EXISTS \w+_WH;", said)
        assert [name.split()[0] for name in person.left()] == ["WAREHOUSE"]


def test_nothing_is_done_unasked(tmp_path: Path) -> None:
    with asker(tmp_path) as person:
        status, said = person.run("--report", "x.md")
        assert status == 1
        assert "costs less than a credit" in said
        assert not any(record.sql.startswith("CREATE") for record in person.standin.statements)
