"""Members on every dbt that they may run on: the journeys in which engines differ."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dbtmesh.config import Engine, load_member
from fleet import render as rendering
from fleet.render import Source
from tests import engines
from tests.conftest import BIN, Member, Render, dbt_of
from tests.engines import Dbt
from tests.rendered import commit
from tests.versions import git
from tests.warm import run

PUBLISH = "scripts/publish_manifest.py"
SUMMARY = ("run-summary", "--title", "a run")


@dataclass(frozen=True)
class Starter:
    """The starter's upstream on a dbt, after the commands of `JOURNEY`; what each ended with."""

    member: Member
    dbt: Dbt
    ended: dict[str, tuple[int, str]]

    def status(self, command: str) -> int:
        return self.ended[command][0]

    def said(self, command: str) -> str:
        return self.ended[command][1]

    def rows(self, query: str) -> list[Any]:
        database = Path(self.member.environment["DBT_MESH_HOME"]) / "DBT_UP_LOCAL.duckdb"
        with duckdb.connect(str(database), read_only=True) as connection:
            found: list[Any] = connection.execute(query).fetchall()
        return found


BUILD = "build --warn-error"
AGAIN = "build --select daily_revenue"
EMPTY = "run --empty --select stg_customers"
MODIFIED = "build --select state:modified+ --state kept"
JOURNEY = (BUILD, EMPTY, AGAIN)
AFTER = {"count": 4, "period": "hour", "updates_on": "any"}
BUILT_EVERY = f"access: public\n      freshness: {{build_after: {json.dumps(AFTER)}}}\n"
"""How often a model is to be built, for the dbt platform: all else builds it when it is told to."""


@pytest.fixture(scope="module", params=engines.ALL)
def starter(
    request: pytest.FixtureRequest, render_into: Render, tmp_path_factory: pytest.TempPathFactory
) -> Starter:
    dbt = dbt_of(request.param)
    folder = tmp_path_factory.mktemp(f"on {dbt.release}") / "dbt_up"
    member = render_into(folder, kind="upstream", project_name="dbt_up", engine=dbt.engine)
    member = replace(member, environment={**member.environment, **dbt.environment})
    marts = folder / "models/marts/_marts.yml"
    marts.write_text(marts.read_text().replace("access: public\n", BUILT_EVERY, 1))
    done = dict(zip(JOURNEY, dbt.run_all(folder, member.environment, *JOURNEY), strict=True))
    shutil.copytree(folder / "target", folder / "kept")
    staging = folder / "models/staging/stg_orders.sql"
    staging.write_text(staging.read_text().replace("test orders have", "orders of tests have"))
    properties = folder / "models/staging/_staging.yml"
    properties.write_text(
        properties.read_text().replace("completed, returned, can", "complete, can")
    )
    (done[MODIFIED],) = dbt.run_all(folder, member.environment, MODIFIED)
    return Starter(member, dbt, done)


def test_the_starter_builds_with_its_tests_and_nothing_warns(starter: Starter) -> None:
    assert starter.status(BUILD) == 0, starter.said(BUILD)
    results = json.loads((starter.member.path / "kept/run_results.json").read_bytes())["results"]
    assert {each["status"] for each in results} <= {"success", "pass"}
    assert starter.rows("select count(*) from MARTS.public_orders") == [(80,)]


def test_a_second_run_of_the_incremental_model_doubles_nothing(starter: Starter) -> None:
    assert starter.status(AGAIN) == 0, starter.said(AGAIN)
    query = "select sum(orders), count(*) = count(distinct ordered_on) from MARTS.daily_revenue"
    assert starter.rows(query) == [(80, True)]


def test_an_empty_run_builds_nothing_of_the_data(starter: Starter) -> None:
    assert starter.status(EMPTY) == 0, starter.said(EMPTY)
    assert starter.rows("select count(*) from STAGING.stg_customers") == [(0,)]


def test_what_was_modified_is_selected(starter: Starter) -> None:
    said = starter.said(MODIFIED)
    assert "stg_orders" in said
    assert "public_orders" in said
    assert "stg_customers" not in said.replace("ref_stg_customers", "")


def test_a_failing_test_is_a_failure_that_the_summary_explains(starter: Starter) -> None:
    assert starter.status(MODIFIED) != 0
    said = starter.member.ok(*SUMMARY)
    assert "failed" in said
    assert "accepted_values_stg_orders_status" in said
    row = next(line for line in said.splitlines() if "accepted_values_stg" in line)
    assert "result" in row, row


def test_what_it_publishes_is_the_same_on_every_engine(starter: Starter) -> None:
    said = starter.member.ok(PUBLISH, "--manifest", "kept/manifest.json", "--dry-run")
    assert "1 public model" in said
    starter.member.ok(PUBLISH, "--manifest", "kept/manifest.json")
    registry = Path(starter.member.environment["DBT_MESH_HOME"]) / "registry/dbt_up/local/latest"
    (node,) = json.loads((registry / "manifest.json").read_bytes())["nodes"].values()
    assert node["access"] == "public"
    assert node["contract"]["enforced"] is True
    types = {name: column["data_type"] for name, column in node["columns"].items()}
    assert types["net_amount"].replace(" ", "") == "numeric(12,2)"
    assert node["columns"]["order_id"]["constraints"][0]["type"] == "not_null"
    assert node["config"]["freshness"] == {"build_after": AFTER}


# ── A mesh on two engines ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("upstream", "reader"), [("core", "v2"), ("v2", "core")])
def test_members_of_one_mesh_run_on_different_engines(
    render: Render, upstream: str, reader: str
) -> None:
    dbt_of(engines.V2)
    up = render(kind="upstream", engine=upstream)
    # a unit test that has the source as its input
    down = render(kind="native", engine=reader, starter_reads="source")
    for command in ("build", "run"):  # the second time into files that are there
        up.dbt(command)
        up.ok(PUBLISH)
        down.ok("scripts/sync_mesh.py")
        down.dbt(command, "--warn-error")  # nor are the types of that input worth a word
    assert "all resolve" in down.ok("scripts/validate_lineage.py", "--record")


def test_a_public_model_that_v2_does_not_see_is_not_dropped_in_silence(
    render: Render, quick: dict[str, str]
) -> None:
    """Releases of dbt v2 that ignore `access: public` beside `config`, and go on."""
    up = render(kind="upstream", **quick)
    up.dbt("parse")
    up.ok(PUBLISH)
    properties = up.path / "models/marts/_marts.yml"
    properties.write_text(
        properties.read_text().replace(
            "    config:\n      access: public\n", "    access: public\n    config:\n"
        )
    )
    manifest = up.path / "target/manifest.json"
    document = json.loads(manifest.read_bytes())
    document["metadata"] |= {"dbt_version": "2.0.1", "generated_at": "2100-01-01T00:00:00Z"}
    document["nodes"]["model.dbt_up.public_orders"]["access"] = "protected"
    manifest.write_text(json.dumps(document))
    for flags in ((), ("--check",), ("--dry-run",), ("--allow-breaking",)):
        said = up.refused(PUBLISH, *flags)
        assert "dbt v2 reads `access` under `config` only" in said
        assert "public_orders (models/marts/_marts.yml)" in said


@pytest.mark.parametrize("release", [engines.OURS, engines.V2])
def test_nothing_is_built_before_what_comes_first_has_succeeded(
    render: Render, release: str
) -> None:
    dbt = dbt_of(release)
    up = render(kind="upstream", starter=False, engine=dbt.engine)
    up.environment.update(dbt.environment)
    (up.path / "models").mkdir(exist_ok=True)
    (up.path / "models/orders.sql").write_text("select 1 as id\n")
    settings = up.path / "dbt_project.yml"
    first = "on-run-start:\n"
    text = settings.read_text()
    assert first in text
    settings.write_text(text.replace(first, f'{first}  - "select * from nothing.of_that_name"\n'))
    done = up.run("dbt", "build")
    assert done.returncode == 1, done.stdout
    assert "of_that_name" in done.stdout + done.stderr
    database = Path(up.environment["DBT_MESH_HOME"]) / "DBT_UP_LOCAL.duckdb"
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("select table_name from duckdb_tables()").fetchall() == []
        views = connection.execute("select view_name from duckdb_views() where not internal")
        assert views.fetchall() == []


def update(template: Source, folder: Path, *data: str) -> str:
    """Commits a member, and updates it with other answers; what was said."""
    commit(folder)
    flags = ["--trust", "--defaults", "--vcs-ref", str(template.ref)]
    answers = [word for each in data for word in ("--data", each)]
    done = run([BIN / "copier", "update", *flags, *answers], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_upstream_moves_to_v2_and_back(template: Source, tmp_path: Path) -> None:
    """It builds on from the tables that the other has made, and nothing changes for its readers."""
    folder, home = tmp_path / "dbt_up", tmp_path / ".mesh"
    rendering.render(template, folder, {"kind": "upstream", "project_name": "dbt_up"})
    home.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")

    def built_on(release: str) -> Member:
        environment = dbt_of(release).environment
        member = Member(folder, {"DBT_MESH_HOME": str(home), **environment})
        member.dbt("build")
        return member

    built_on(engines.OURS).ok(PUBLISH)
    for release, engine in ((engines.V2, Engine.V2), (engines.OURS, Engine.CORE)):
        assert f" and is {engine} from now on" in update(template, folder, f"engine={engine}")
        assert built_on(release).ok(PUBLISH).rstrip().endswith("; the interface is unchanged")


def test_from_loom_to_v2_in_one_step(
    template: Source, render: Render, tmp_path: Path, quick: dict[str, str]
) -> None:
    """Its models stay as they are, and build without the plugin: on dbt Core before, by what dbt v2
    has published, and into the same file after it."""
    dbt = dbt_of(engines.V2)
    up = render(kind="upstream", **quick)
    up.dbt("build")
    up.ok(PUBLISH)
    folder = tmp_path / "dbt_down_loom"
    answers = {"kind": "loom", "project_name": "dbt_down_loom", "upstreams": "dbt_up"}
    rendering.render(template, folder, answers)
    loom = Member(folder, {"DBT_MESH_HOME": up.environment["DBT_MESH_HOME"]})
    loom.ok("scripts/sync_mesh.py")
    loom.dbt("build")
    models = {path: path.read_text() for path in (folder / "models").rglob("*.*")}
    git(folder, "init", "--quiet", "--initial-branch=main")
    said = update(template, folder, "kind=native", "engine=v2")
    assert {path: path.read_text() for path in (folder / "models").rglob("*.*")} == models
    assert not (folder / "dbt_loom.config.yml").exists()
    assert "dbt-loom" not in (folder / "requirements.txt").read_text()
    assert "\n  scripts/sync_mesh.py --offline && dbt parse && dbt build\n" in said
    member = Member(folder, {**up.environment, **dbt.environment})
    member.ok("scripts/sync_mesh.py", "--offline")
    git(folder, "add", "--all")
    member.dbt("build")
    assert not git(folder, "diff", "--name-only")  # dbt v2 adds to .gitignore what is not there


# ── Versions of a model ───────────────────────────────────────────────────────────────

PLACES = "{% macro places() %}{% for each in graph.nodes.values() if each.name == 'sales' %}\
{% set at = relations_of(each) | map('last') | join(' and ') %}\
{% do log(each.version ~ ' is at ' ~ at ~ ';', true) %}\
{% endfor %}{% endmacro %}"


def test_the_steps_of_the_readme_to_a_new_version_keep_the_table_of_readers_on_v2(
    render: Render,
) -> None:
    """v2 makes a view of the latest version where it is not told otherwise. Grants follow it."""
    up = render(kind="upstream", engine="v2")
    marts, settings = up.path / "models/marts", up.path / "dbt_project.yml"
    text = (up.path / "README.md").read_text()
    (recipe,) = (part for part in text.split("```") if part.startswith("yaml\nmodels:"))
    recipe = recipe.removeprefix("yaml\n")
    (marts / "sales_v1.sql").write_text("select 1 as order_id, 1.5::numeric(12,2) as amount")
    (marts / "sales_v2.sql").write_text("select 1 as order_id, 150 as cents")
    (up.path / "macros/log_places.sql").write_text(PLACES)

    def lies(recipe: str) -> tuple[dict[str, str], str]:
        """What dbt builds, and where the grants look."""
        (marts / "sales.yml").write_text(recipe)
        up.dbt("run", "--select", "sales")
        database = Path(up.environment["DBT_MESH_HOME"]) / "DBT_UP_LOCAL.duckdb"
        with duckdb.connect(str(database)) as connection:
            rows = connection.execute(
                "select table_name, table_type from information_schema.tables"
                " where table_name like 'sales%' order by 1"
            ).fetchall()
            for name, kind in rows:
                connection.execute(f"drop {kind.removeprefix('BASE ')} MARTS.{name}")
        said = up.dbt("run-operation", "places").stdout
        return dict(rows), " ".join(sorted(re.findall(r"\d is at [^;]+", said)))

    two = {"sales": "BASE TABLE", "sales_v2": "BASE TABLE"}
    assert lies(recipe) == (two, "1 is at sales 2 is at sales_v2")
    latest = recipe.replace("latest_version: 1", "latest_version: 2")
    assert lies(latest) == (two, "1 is at sales 2 is at sales_v2")
    # a project that wants the view: for one model, for all of them, and as v2 does by itself
    bare = recipe.replace("config: {alias: sales}\n", "\n")
    view = {"sales": "VIEW", "sales_v1": "BASE TABLE", "sales_v2": "BASE TABLE"}
    asked = bare.replace(
        "access: public,", "access: public, latest_version_pointer: {enabled: true},"
    )
    places = "1 is at sales_v1 and sales 2 is at sales_v2"
    assert lies(asked) == (view, places)
    told = settings.read_text()
    settings.write_text(told.replace("by_default: false", "by_default: true"))
    assert lies(bare) == (view, places)
    settings.write_text(re.sub("\n +latest_version_pointer.*", "", told))
    assert lies(bare) == (view, places)


# ── The answer ────────────────────────────────────────────────────────────────────────


def test_a_loom_member_on_v2_is_refused_with_the_way_out(render: Render) -> None:
    with pytest.raises(Exception, match=r"--data kind=native --data engine=v2"):
        render(kind="loom", engine="v2")


def test_pages_of_docs_need_dbt_core(render: Render) -> None:
    with pytest.raises(Exception, match="does not write its docs as one page yet"):
        render(kind="upstream", engine="v2", github_pages=True)


def test_workload_identity_needs_dbt_core(render: Render) -> None:
    with pytest.raises(Exception, match="choose auth=key_pair, or engine=core"):
        render(kind="upstream", engine="v2", auth="workload_identity")


@pytest.mark.parametrize("engine", ["core", "v2"])
def test_the_answer_decides_what_is_installed_and_what_dbt_demands(
    render: Render, engine: str
) -> None:
    if engine == "v2":
        dbt_of(engines.V2)
    member = render(kind="native", engine=engine)
    required = (member.path / "requirements.txt").read_text()
    project = yaml.safe_load((member.path / "dbt_project.yml").read_text())
    assert load_member(member.path).engine is Engine(engine)
    assert ("dbt-duckdb" in required) is (engine == "core")
    lowest, highest = project["require-dbt-version"]
    assert (lowest.startswith(">=2."), highest) == (
        (True, "<3.0.0") if engine == "v2" else (False, "<1.13.0")
    )


def test_an_engine_that_nobody_knows_is_said_to_be_wrong(render: Render) -> None:
    member = render(kind="native")
    facts = member.path / "mesh.yml"
    facts.write_text(facts.read_text().replace("engine: core", "engine: fusion"))
    assert "`engine` is 'fusion', not one of core, v2" in member.refused("scripts/sync_mesh.py")


@pytest.mark.parametrize(
    ("ci", "ends"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_where_a_dbt_is_missing_its_tests_are_skipped_and_fail_in_ci(
    ci: str, ends: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "found", lambda _: None)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(ends, match=r"^no dbt v2 here: python -m tests\.engines makes it"):
        dbt_of(engines.V2)
