"""Real dbt-snowflake, in a process of its own, against the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snowflake_standin import Standin, matrix, split_statements
from tests.snowflake_standin.fixtures import producer_sql, rsa_key

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
                "threads": 2,
            }
        profiles = {"tiny": {"target": "prod", "outputs": outputs}}
        (root / "profiles.yml").write_text(json.dumps(profiles))

    def __call__(self, *arguments: str, ok: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments],
            cwd=self.root,
            env={
                **os.environ,
                "DBT_PROFILES_DIR": str(self.root),
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=[False, True], ids=["grants dropped", "grants copied"])
def standin(request: pytest.FixtureRequest) -> Iterator[Standin]:
    with Standin(copy_grants_on_replace=request.param) as standin:
        with standin.admin_connection() as admin:
            for statement in split_statements(producer_sql()):
                admin.cursor().execute(statement)
        yield standin


@pytest.fixture(scope="module")
def dbt(standin: Standin, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    return Dbt(tmp_path_factory.mktemp("tiny"), standin)


def query(standin: Standin, sql: str, role: str = "UP_ROLE") -> list[tuple[object, ...]]:
    with standin.connect(user="UP_SVC", private_key=rsa_key().private_der, role=role) as c:
        cursor = c.cursor()
        cursor.execute(sql)
        return cursor.fetchall()


def test_builds_twice_and_more(standin: Standin, dbt: Dbt, tmp_path: Path) -> None:
    """One story, since each run of dbt takes seconds: what one step leaves, the next needs."""
    dbt("build")
    dbt("build")
    # The second run merged, replaced and appended.
    counts = {
        table: query(standin, f"select count(*) from up_prod.marts.{table}")[0][0]
        for table in ("orders", "public_orders", "merged", "replaced", "appended")
    }
    assert counts == {
        "orders": 3,
        "public_orders": 3,
        "merged": 3,
        "replaced": 3,
        "appended": 6,
    }
    # Only the public model is readable by consumers, and by nothing but SELECT.
    reader = {
        (f.object, f.privilege)
        for f in matrix(standin.model)
        if f.role == "UP_READER" and f.kind in ("TABLE", "VIEW")
    }
    assert reader == {
        ("UP_PROD.MARTS.PUBLIC_ORDERS", "SELECT"),
        ("UP_PROD.MARTS.PUBLIC_ORDERS", "can select"),
    }
    # The temporary relations are gone.
    assert not [ref for ref in standin.model.account.things if "__DBT_TMP" in str(ref).upper()]

    dbt("docs", "generate")
    catalog = json.loads((dbt.root / "target" / "catalog.json").read_text())
    assert catalog["nodes"]["model.tiny.stg_orders"]["metadata"]["type"] == "VIEW"
    assert catalog["nodes"]["model.tiny.public_orders"]["metadata"]["owner"] == "UP_ROLE"

    state = tmp_path / "state"
    state.mkdir()
    (state / "manifest.json").write_bytes((dbt.root / "target" / "manifest.json").read_bytes())
    defer = ("--defer", "--state", str(state), "--target", "ci")
    # A pull request reads prod where it has not built, and writes to its own schema.
    dbt("build", "-s", "public_orders", *defer)
    dbt("run", "-s", "merged", "--empty", *defer)
    dbt("clone", "-s", "replaced", "--state", str(state), "--target", "ci")
    assert standin.model.can("UP_DEV_ROLE", "OWNERSHIP", "UP_DEV.PR_1.REPLACED")

    dbt("run", "--full-refresh")
    dbt("seed", "--full-refresh")

    # The role of pull requests cannot write prod, whatever its profile says.
    profiles = dbt.root / "profiles.yml"
    profiles.write_text(
        profiles.read_text().replace('"UP_DEV"', '"UP_PROD"').replace("PR_1", "MARTS")
    )
    output = dbt("run", "-s", "public_orders", "--target", "ci", ok=False)
    assert "Insufficient privileges" in output


def test_leaves_no_statement_unknown(standin: Standin) -> None:
    unknown = [r for r in standin.statements if r.error and "stand-in:" in r.error]
    assert not unknown
