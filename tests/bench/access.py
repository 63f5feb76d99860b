"""Measures planning the access of many members: reading their SQL, and making steps of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import product

from tests.bench.lab import Figure, Lab, Process, bench, python, run
from tests.snowflake_members import ACCESS, ACCOUNT, Account

ON = ("--connection", "admin")
SCHEMAS = ("RAW", "STAGING", "MARTS")

# Timed inside the process, because the start of Python would make the ratio look better, and as
# processor time, because other processes would distort it.
PLAN = """
import sys, time
from pathlib import Path
from dbtmesh.snowflake import plan, sqlscript
files = {p.name: p.read_text() for p in sorted(Path("snowflake").glob("0*.sql"))}
mesh = [
    {name: text.replace("DBT_UP", f"MEMBER_{number}") for name, text in files.items()}
    for number in range(int(sys.argv[1]))
]
started = time.process_time()
steps = sum(len(plan.plan(sqlscript.read_steps(member))) for member in mesh)
print(time.process_time() - started)
"""


@bench
def access_plan(lab: Lab) -> Iterator[Figure]:
    member = lab.member(lab.folder / "access" / "dbt_up")

    def seconds(members: int) -> float:
        lab.say(f"access plan for {members} members")
        process = Process(python(PLAN, str(members)), member.path)
        return statistics.median(float(run(process)) for _ in range(lab.runs))

    hundred, thousand = seconds(100), seconds(1000)
    yield Figure("access plan for 1,000 members, against 100", thousand, hundred, 12)


@bench
def live_plan(lab: Lab) -> Iterator[Figure]:
    """Counts statements that a plan sends to the stand-in, with few and with many models."""
    account = Account()
    up = account.on(lab.member(lab.folder / "live" / "dbt_up", snowflake_account=ACCOUNT))
    up.ok(ACCESS, "apply", *ON, "--yes")
    sent = []
    for models in (range(1), range(1, 400)):
        lab.say("building models in the stand-in")
        for schema, number in product(SCHEMAS, models):
            name = f"DBT_UP_PROD.{schema}.T{number}"
            account.model.execute(f"CREATE TABLE {name} (ID INT)", "DBT_UP_ROLE", "DBT_UP_SVC")
        before = len(account.statements)
        up.ok(ACCESS, "plan", *ON)
        sent.append(len(account.statements) - before)
    few, many = sent
    yield Figure("live access plan: 1,200 models / 3 models", many, few, 1, "round trips")
