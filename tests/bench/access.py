"""Planning the access of many members: their SQL read, and every statement made a step."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.bench.lab import Figure, Lab, Process, bench, python, run

# Timed inside, without the start of Python, which would flatter the ratio; and on the processor,
# because what else runs would blur it.
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
