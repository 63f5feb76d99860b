"""Two projects taken through joining as docs/joining.md says it, and what is left to do by hand.

They are made like two that are public: dbt-labs/jaffle-shop, and the analytics of Mattermost's data
warehouse (mattermost/mattermost-data-warehouse), which was written for Snowflake over five years.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dbtmesh.config import Engine
from fleet.render import Source
from tests import engines
from tests.conftest import Member, dbt_of
from tests.test_joining import copy, repository
from tests.test_starter import copy as start
from tests.versions import git

SMALL = {
    "dbt_project.yml": """\
name: "jaffle"
version: "3.0.0"
require-dbt-version: ">=1.5.0"
profile: default # Put your profile here
seeds: {jaffle: {+schema: raw}}
models:
  jaffle:
    staging:
      +materialized: view
    marts:
      +materialized: table
""",
    "requirements.txt": "click==8.1.7\n    # via typer\ntyper==0.12.3\n",
    ".gitignore": "target/\nlogs/\nprofiles.yml\n",
    "macros/cents_to_dollars.sql": "{% macro cents_to_dollars(column) -%}\n"
    "    ({{ column }} / 100)::numeric(16, 2)\n{%- endmacro %}\n",
    "macros/generate_schema_name.sql": """\
{% macro generate_schema_name(custom_schema_name, node) %}
    {% if node.resource_type == 'seed' %} {{ custom_schema_name | trim }}
    {% elif custom_schema_name is none %} {{ target.schema }}
    {% else %} {{ target.schema }}_{{ custom_schema_name | trim }}
    {% endif %}
{% endmacro %}
""",
    ".github/workflows/ci.yml": "on: push\njobs: {}\n",
    "models/staging/__sources.yml": """\
version: 2
sources:
  - name: ecom
    schema: raw
    tables: [{name: raw_orders, loaded_at_field: ordered_at}, {name: raw_stores}]
""",
    "models/staging/stg_orders.sql": """\
with source as (select * from {{ source('ecom', 'raw_orders') }}),
renamed as (
    select
        id as order_id,
        store_id as location_id,
        {{ cents_to_dollars('order_total') }} as order_total,
        {{ dbt.date_trunc('day', 'ordered_at') }} as ordered_at
    from source
)
select * from renamed
""",
    "models/staging/stg_locations.sql": """\
with source as (select * from {{ source('ecom', 'raw_stores') }})
select id as location_id, name as location_name, opened_at from source
""",
    "models/marts/orders.sql": """\
select orders.*, location_name, year(ordered_at) as year
from {{ ref('stg_orders') }} as orders left join {{ ref('stg_locations') }} using (location_id)
""",
    "models/marts/orders.yml": """\
models:
  - name: orders
    config: {access: public}
    columns: [{name: order_id, data_tests: [unique, not_null]}]
unit_tests:
  - name: the_year_is_that_of_the_order
    model: orders
    given:
      - input: ref('stg_orders')
        rows: [{order_id: 1, location_id: 7, ordered_at: "2024-05-06"}]
      - input: ref('stg_locations')
        rows: [{location_id: 7, location_name: Philadelphia}]
    expect: {rows: [{order_id: 1, location_name: Philadelphia, year: 2024}]}
""",
}
TEAMS = ("salesforce", "stripe", "telemetry", "jira", "releases")
ONLY_SNOWFLAKE = ("stripe_t1", "jira_t2")
ANALYTICS = "transform/analytics"
PROJECT = """\
name: 'analytics'
version: '1.0.0'
profile: 'snowflake'

quoting:
    database: true
    identifier: false
    schema: false

models:
  analytics:
    staging:
      +materialized: view
      # Ideally this would have been named staging.
      schema: dbt_staging
    marts:
      +materialized: table
      product:
        schema: mart_product
        tags: ['nightly', 'product']

on-run-start:
  -  '{{ create_parse_qs_udf()}}'
  -  '{{ create_parse_user_agent_udf()}}'
"""


def large() -> Iterator[tuple[str, str]]:
    """Forty models for the three of the small one, in a folder of a repository that has more."""
    yield "dbt_project.yml", PROJECT
    yield ".gitignore", "target/\ndbt_packages/\nlogs/"
    yield "README.md", "# Analytics\n"
    yield (
        "macros/generate_schema_name.sql",
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n"
        "    {{ generate_schema_name_for_env(custom_schema_name, node) }}\n{%- endmacro %}",
    )
    for name in ("parse_qs", "parse_user_agent"):
        yield (
            f"macros/udf/{name}.sql",
            f"{{% macro create_{name}_udf() %}}\ncreate or replace function {{{{target.schema}}}}"
            f".{name}(value varchar) returns object language python\nas $$ $$;\n{{% endmacro %}}\n",
        )
    for team in TEAMS:
        tables = [f"t{number}" for number in range(1, 5)]
        declared = "".join(
            f"      - name: {table}\n        columns: [{{name: id, tests: [unique, not_null]}}]\n"
            for table in tables
        )
        yield (
            f"models/staging/{team}/_{team}__sources.yml",
            f"version: 2\nsources:\n  - name: {team}\n    database: 'RAW'\n"
            f"    schema: {team}_prod\n    tables:\n{declared}",
        )
        for table in tables:
            name = f"{team}_{table}"
            more = ", payload:plan:id::varchar as plan" if name in ONLY_SNOWFLAKE else ""
            yield (
                f"models/staging/{team}/stg_{name}.sql",
                f"with source as (select * from {{{{ source('{team}', '{table}') }}}})\n"
                f"select id as {table}_id, lower(name) as name, created_at{more} from source\n",
            )
            yield (
                f"models/marts/product/{name}.sql",
                f"select {table}_id, name, date_trunc('day', created_at) as day\n"
                f"from {{{{ ref('stg_{name}') }}}}\n",
            )
    yield (
        "models/marts/product/product.yml",
        (
            "models:\n  - name: salesforce_t1\n    config: {access: public}\n"
            "    columns: [{name: t1_id, data_type: integer}]\n"
        ),
    )


def after(member: Member) -> list[str]:
    """What a team does by hand after the copy: nothing but commands that the guide names."""
    by_hand: list[str] = []
    if member.run("doctor", "--files", "--fix").returncode:
        by_hand.append(member.run("doctor", "--files").stdout)
    member.ok("scripts/stub_mesh.py")
    return by_hand


def reader_builds(
    template: Source, upstream: Member, quick: dict[str, str], project: str, model: str
) -> None:
    """A reader that is made of what the project publishes builds at once, by source and by ref."""
    engine = quick["engine"]
    more = dbt_of(engines.V2).environment if engine == Engine.V2 else {}
    environment = {**upstream.environment, **more}
    home = Path(environment["DBT_MESH_HOME"])
    answers = ("kind=native", f"upstreams={project}", f"engine={engine}", "starter_reads=source")
    reader = Member(start(template, home.parent / "reader", home, *answers).path, environment)
    (made,) = (reader.path / "models").glob("*.sql")
    by_source = f"source('{project}', '{model}')"
    assert f"{{{{ {by_source} }}}}" in made.read_text()
    for call in (by_source, by_source.replace("source", "ref")):
        made.write_text(made.read_text().replace(by_source, call))
        reader.ok("scripts/sync_mesh.py")
        reader.dbt("build")
        assert "1 edge" in reader.ok("scripts/validate_lineage.py")


def test_a_small_project_builds_as_it_is(
    template: Source, tmp_path: Path, quick: dict[str, str]
) -> None:
    """One step by hand: whether profiles.yml, which it ignores, is committed. With 0.2.0: eight
    (seven files in conflict, of which it replaced or left out each, and the samples)."""
    folder = repository(tmp_path / "shop", SMALL)
    said = copy(template, folder)
    member = Member(
        folder, {"DBT_MESH_HOME": str(tmp_path / ".mesh"), **dbt_of(engines.OURS).environment}
    )
    by_hand = re.findall(r"^  profiles\.yml: new, and ignored .*$", said, re.MULTILINE)
    by_hand += after(member)
    assert by_hand == [
        "  profiles.yml: new, and ignored by git (.gitignore:3: profiles.yml); CI needs it, and it "
        "holds no secret: git add --force profiles.yml"
    ]
    assert (folder / "requirements.txt").read_text() == SMALL["requirements.txt"]
    built = member.dbt("build", "--target", "local", "--exclude", "tag:snowflake_only+").stdout
    assert " PASS=9 " in built
    member.ok("scripts/publish_manifest.py", "--check")
    assert "published 1 public model of jaffle" in member.ok("scripts/publish_manifest.py")
    reader_builds(template, member, quick, "jaffle", "orders")


def test_a_large_project_builds_what_duckdb_can(
    template: Source, tmp_path: Path, quick: dict[str, str]
) -> None:
    """No step by hand; with 0.2.0 each function, model and source was one."""
    top = repository(tmp_path / "warehouse", dict(large()), inside=ANALYTICS)
    copy(template, top, "--answers-file", f"{ANALYTICS}/.copier-answers.yml")
    folder = top / ANALYTICS
    member = Member(
        folder, {"DBT_MESH_HOME": str(tmp_path / ".mesh"), **dbt_of(engines.OURS).environment}
    )
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "joined")
    member.dbt("parse", "--target", "local")
    assert "MARTS in place of dbt_staging" in member.refused("doctor", "--files", status=2)
    assert after(member) == []
    build = ("build", "--target", "local", "--exclude", "tag:snowflake_only+")
    said = []  # the last build finds again what the one before it has built
    while member.run("dbt", *build).returncode:
        said.append(member.ok("doctor", "--leave-out"))
        assert len(said) < 3
    hooks, models = said
    assert (
        "left out on DuckDB: on-run-start, number 1 of analytics, on-run-start, number 2" in hooks
    )
    names = [f"stg_{name}" for name in sorted(ONLY_SNOWFLAKE)]
    (line,) = re.findall(r"^left out on DuckDB: (.*), with 2 models that read them$", models, re.M)
    assert sorted(line.split(", ")) == names
    assert set(git(top, "diff", "--name-only").splitlines()) == {
        f"{ANALYTICS}/dbt_project.yml",
        f"{ANALYTICS}/macros/generate_schema_name.sql",
        f"{ANALYTICS}/snowflake/03_grant_mesh_access.sql",
    }
    assert "published 1 public model of analytics" in member.ok("scripts/publish_manifest.py")
    reader_builds(template, member, quick, "analytics", "salesforce_t1")
