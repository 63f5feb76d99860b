"""Real dbt-snowflake, in a process of its own, against the stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snowflake_standin import READS, Standin, matrix, split_statements
from tests.snowflake_standin.fixtures import producer_sql, rsa_key
from tests.warm import DBT, server

PROJECT = {
    "dbt_project.yml": """
        name: tiny
        profile: tiny
        query-comment: {comment: "{'project': 'tiny'}", append: true}
        models: {+query_tag: tiny, +persist_docs: {relation: true, columns: true}}
        on-run-end:
          - "show grants to database role UP_PROD.PUBLIC_READ"
        """,
    "seeds/orders.csv": "id,amount,day\n1,10,2024-01-01\n2,20,2024-01-02\n3,30,2024-01-03\n",
    "models/stg_orders.sql": """
        {{ config(materialized='view') }}
        with orders as (select * from {{ ref('orders') }})
        select id as order_id, amount, cast(day as date) as day from orders
        """,
    "models/public_orders.sql": """
        {{ config(materialized='table', cluster_by=['day'], post_hook=[
            "grant select on {{ this }} to database role UP_PROD.PUBLIC_READ"]
            if target.name == 'prod' else []) }}
        select order_id, cast(amount * 2 as number(38, 2)) as doubled, day
        from {{ ref('stg_orders') }}
        """,
    "models/merged.sql": """
        {{ config(materialized='incremental', unique_key='order_id',
                  on_schema_change='append_new_columns') }}
        select order_id, amount from {{ ref('stg_orders') }}
        {% if is_incremental() %}where order_id >= (select max(order_id) from {{ this }}){% endif %}
        """,
    "models/replaced.sql": """
        {{ config(materialized='incremental', unique_key='order_id',
                  incremental_strategy='delete+insert') }}
        select order_id, amount, day from {{ ref('stg_orders') }}
        """,
    "models/appended.sql": """
        {{ config(materialized='incremental') }}
        select order_id, current_timestamp() as seen_at from {{ ref('stg_orders') }}
        """,
    "models/schema.yml": """
        models:
          - name: stg_orders
            description: Clean orders, the customer's own.
            columns:
              - {name: order_id, description: The key., data_tests: [unique, not_null]}
          - name: public_orders
            description: Orders, doubled.
            access: public
            config: {contract: {enforced: true}}
            columns:
              - name: order_id
                data_type: number
                constraints: [{type: not_null}, {type: primary_key}]
              - {name: doubled, data_type: "number(38, 2)"}
              - {name: day, data_type: date}
        unit_tests:
          - name: doubles
            model: public_orders
            given:
              - input: ref('stg_orders')
                rows: [{order_id: 7, amount: 4, day: 2024-02-02}]
            expect:
              rows: [{order_id: 7, doubled: 8, day: 2024-02-02}]
        """,
}


# Several commands in one process, since to start dbt takes longer than to run it.
RUNNER = """
import json, sys
from dbt.cli.main import dbtRunner

outcome = []
for command in sys.argv[1:]:
    done = dbtRunner().invoke(["--quiet", *command.split()])
    results = getattr(done.result, "results", [])
    problems = [str(done.exception or "")] + [str(r.message) for r in results]
    outcome.append([done.success, " ".join(problems)])
print()
print(json.dumps(outcome))
"""


class Dbt:
    """A dbt project on disk, wired to a stand-in."""

    def __init__(self, root: Path, standin: Standin) -> None:
        self.root = root
        for name, text in PROJECT.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = text.strip("\n").split("\n")
            indent = len(lines[0]) - len(lines[0].lstrip())
            path.write_text("\n".join(line[indent:] for line in lines) + "\n")
        (root / "runner.py").write_text(RUNNER)
        (root / "key.p8").write_text(rsa_key().private_pem)
        outputs: dict[str, dict[str, object]] = {
            "prod": {"user": "UP_SVC", "role": "UP_ROLE", "database": "UP_PROD"},
            "ci": {"user": "UP_CI_SVC", "role": "UP_DEV_ROLE", "database": "UP_DEV"},
        }
        for name, output in outputs.items():
            output |= {
                "type": "snowflake",
                "account": standin.account["account"],
                "host": standin.host,
                "port": standin.port,
                "protocol": "http",
                "warehouse": "UP_WH",
                "schema": "MARTS" if name == "prod" else "PR_1",
                "private_key_path": str(root / "key.p8"),
                "threads": 1,
            }
        profiles = {"tiny": {"target": "prod", "outputs": outputs}}
        (root / "profiles.yml").write_text(json.dumps(profiles))

    def __call__(self, *commands: str) -> list[tuple[bool, str]]:
        """Run commands in one process; whether each succeeded, and what went wrong."""
        environment = {**os.environ, "DBT_PROFILES_DIR": str(self.root)}
        command = [sys.executable, str(self.root / "runner.py"), *commands]
        done = server(DBT).run(command, self.root, environment, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        return [(ok, problems) for ok, problems in outcome]

    def succeed(self, *commands: str) -> None:
        for command, (ok, problems) in zip(commands, self(*commands), strict=True):
            assert ok, f"{command}: {problems}"


@pytest.fixture(params=[False, True], ids=["grants dropped", "grants copied"])
def standin(request: pytest.FixtureRequest) -> Iterator[Standin]:
    with Standin(copy_grants_on_replace=request.param) as standin:
        with standin.admin_connection() as admin:
            for statement in split_statements(producer_sql()):
                admin.cursor().execute(statement)
        yield standin
        unknown = [r for r in standin.statements if "stand-in:" in (r.error or "")]
        assert not unknown


@pytest.fixture
def dbt(standin: Standin, tmp_path: Path) -> Dbt:
    return Dbt(tmp_path, standin)


def count(standin: Standin, table: str) -> object:
    with standin.connect(user="UP_SVC", private_key=rsa_key().private_der) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT COUNT(*) FROM UP_PROD.MARTS.{table}")
        rows = cursor.fetchall()
    return rows[0][0]


def read_by_consumers(standin: Standin) -> set[str]:
    facts = matrix(standin.model)
    return {f.object for f in facts if f.role == "UP_READER" and f.privilege == READS}


def test_a_project_builds_twice(standin: Standin, dbt: Dbt) -> None:
    dbt.succeed("build", "build")
    # The second run merged, replaced and appended.
    tables = ("orders", "public_orders", "merged", "replaced", "appended")
    assert [count(standin, table) for table in tables] == [3, 3, 3, 3, 6]
    # Only the public model is readable by consumers, whatever CREATE OR REPLACE does.
    assert read_by_consumers(standin) == {"UP_PROD.MARTS.PUBLIC_ORDERS"}
    assert not [ref for ref in standin.model.account.things if "__DBT_TMP" in str(ref).upper()]


@pytest.mark.parametrize("standin", [False], indirect=True)
def test_what_else_dbt_does(standin: Standin, dbt: Dbt, tmp_path: Path) -> None:
    """Docs, deferring, empty runs, clones and full refreshes, in one story: builds take long."""
    dbt.succeed("build", "docs generate")
    catalog = json.loads((tmp_path / "target" / "catalog.json").read_text())["nodes"]
    assert catalog["model.tiny.stg_orders"]["metadata"]["type"] == "VIEW"
    assert catalog["model.tiny.public_orders"]["metadata"]["owner"] == "UP_ROLE"

    # A pull request reads prod where it has not built, and writes to its own schema.
    (tmp_path / "state").mkdir()
    (tmp_path / "target" / "manifest.json").rename(tmp_path / "state" / "manifest.json")
    dbt.succeed(
        "build -s public_orders --defer --state state --target ci",
        "run -s merged --empty --defer --state state --target ci",
        "clone -s replaced --state state --target ci",
        "build --full-refresh",
    )
    assert standin.model.can("UP_DEV_ROLE", "OWNERSHIP", "UP_DEV.PR_1.REPLACED")
    assert not standin.model.can("UP_DEV_ROLE", "INSERT", "UP_PROD.MARTS.REPLACED")
    assert read_by_consumers(standin) == {"UP_PROD.MARTS.PUBLIC_ORDERS"}

    # The role of pull requests cannot write prod, whatever its profile says.
    profiles = (tmp_path / "profiles.yml").read_text()
    (tmp_path / "profiles.yml").write_text(
        profiles.replace('UP_DEV"', 'UP_PROD"').replace("PR_1", "MARTS")
    )
    [(ok, problems)] = dbt("run -s public_orders --target ci")
    assert not ok
    assert "Insufficient privileges" in problems
