"""check_freshness.py: publications, tables and dbt's own sources that are too old."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbtmesh.downstream import freshness
from tests.conftest import Member, Render
from tests.manifests import manifest
from tests.registry_world import PUBLISH, Place, Publish
from tests.snowflake_members import World, make_world, render_demo
from tests.snowflake_standin.names import Ref

pytest_plugins = ("tests.s3_server", "tests.registry_world")

CHECK = "check-freshness"


def ago(hours: float) -> str:
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.%fZ}"


def publish_all(publish: Publish, place: Place, **ages: float) -> None:
    for project in ("dbt_up", "up_b", "up_c"):
        publish(place, manifest(project, generated_at=ago(ages.get(project, 1))), project)


def test_publications_that_are_too_old_are_named(
    down: Member, place: Place, publish: Publish, tmp_path: Path
) -> None:
    publish_all(publish, place, up_b=30)
    summary = tmp_path / "summary.md"
    facts = {**place.environment, "GITHUB_STEP_SUMMARY": str(summary)}
    found = down.refused(CHECK, *place.flags, "--max-age", "26", status=2, **facts)
    assert found.splitlines() == [
        "up_b is stale: built 30.0 hours ago, 26 allowed",
        "dbt_down reads dbt_up, up_b, up_c: 3 looked at, 1 stale",
    ]
    assert "| `up_b` | publication | **is stale: built 30.0 hours" in summary.read_text()
    assert "| `dbt_up` | publication | built 1.0 hours ago |" in summary.read_text()
    assert "all is fresh" in down.ok(CHECK, *place.flags, "--max-age", "31", **facts)


def test_what_was_never_published_is_stale(down: Member, folder: Place, publish: Publish) -> None:
    publish(folder, manifest(generated_at=ago(1)))
    found = down.refused(CHECK, *folder.flags, "--max-age", "26", status=2)
    assert "up_b has published nothing to prod" in found
    assert "2 stale" in found


def test_a_date_ahead_of_the_clock_is_no_age() -> None:
    """It would be fresh for years, while no later build takes its place."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    found = freshness.publication("up", now + timedelta(days=1), 26, now)
    assert found.stale
    assert str(found).startswith("up is dated 24.0 hours ahead of the clock")
    assert not freshness.publication("up", now + timedelta(minutes=9), 26, now).stale


@pytest.mark.parametrize("age", ["-1", "nan", "soon", "1e9"])
def test_an_age_is_a_number_of_hours(down: Member, folder: Place, age: str) -> None:
    assert "--max-age" in down.refused(CHECK, *folder.flags, f"--max-age={age}")


def test_duckdb_does_not_tell(down: Member, folder: Place, publish: Publish) -> None:
    publish_all(publish, folder)
    summary = down.path / "summary.md"
    down.ok(CHECK, *folder.flags, "--max-age", "26", "--data", "--summary", summary)
    assert "has no known age (duckdb)" in summary.read_text()


def sources(member: Member, *statuses: str) -> None:
    results = [
        {
            "unique_id": f"source.dbt_down.dbt_up.table_{number}",
            "status": status,
            "max_loaded_at": "2026-01-02T03:04:05Z",
        }
        for number, status in enumerate(statuses)
    ]
    (member.path / "target").mkdir(exist_ok=True)
    (member.path / "target/sources.json").write_text(json.dumps({"results": results}))


def test_what_dbt_has_found_counts(down: Member, folder: Place, publish: Publish) -> None:
    publish_all(publish, folder)
    flags = (CHECK, *folder.flags, "--max-age", "26")
    sources(down, "pass", "warn", "error", "runtime error")
    found = down.refused(*flags, status=2).splitlines()
    assert found[0].startswith("dbt_up: source table_2 is stale, says dbt (loaded at 2026-01-02")
    assert "dbt_up: source table_3 could not be read, says dbt" in found[1]
    assert "7 looked at, 2 stale" in found[2]
    sources(down, "pass", "warn")
    down.ok(*flags)
    (down.path / "target/sources.json").write_text('{"results": [1]}')
    assert "is not what `dbt source freshness` writes" in down.refused(*flags)


# ── Data on Snowflake ─────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def world(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The upstream of the demo, deployed, and a downstream that has a record of what it reads."""
    folder = tmp_path_factory.mktemp("freshness")
    members = render_demo(render_into, folder)
    del members["dbt_down_loom"]
    for world in make_world(folder, members):
        up, down = world.members.values()
        up.dbt("build", "--target", "prod")
        up.ok(PUBLISH)
        down.ok("scripts/sync_mesh.py")
        down.dbt("compile", "--target", "prod")
        down.ok("scripts/validate_lineage.py", "--record")
        yield world


ORDERS = Ref("TABLE", ("DBT_UP_PROD", "MARTS", "PUBLIC_ORDERS"))


@pytest.mark.parametrize("target", ["ci", "prod"])
def test_tables_that_nobody_has_changed_are_named(world: World, target: str) -> None:
    down = world.members["dbt_down"]
    table = world.standin.model.account.things[ORDERS]
    flags = (CHECK, "--max-age", "26", "--data", "--target", target)
    asked = len(world.standin.statements)
    assert "all is fresh" in down.ok(*flags)
    queries = [r for r in world.standin.statements[asked:] if "SELECT" in r.sql]
    user = "DBT_DOWN_CI_SVC" if target == "ci" else "DBT_DOWN_SVC"
    assert [record.user for record in queries] == [user]
    changed = table.created_on
    try:
        table.created_on -= 30 * 3600
        found = down.refused(*flags, status=2)
        assert "dbt_up: data of DBT_UP_PROD.MARTS.PUBLIC_ORDERS is stale: changed 30.0" in found
    finally:
        table.created_on = changed


def test_a_table_that_cannot_be_read_is_named(world: World) -> None:
    down = world.members["dbt_down"]
    public = "DATABASE ROLE DBT_UP_PROD.PUBLIC_READ"
    world.standin.model.execute(f"REVOKE SELECT ON TABLE {'.'.join(ORDERS.name)} FROM {public}")
    try:
        found = down.refused(CHECK, "--max-age", "26", "--data", status=2)
        assert "PUBLIC_ORDERS cannot be read: it is not there, or this role has no SELECT" in found
    finally:
        world.standin.model.execute(f"GRANT SELECT ON TABLE {'.'.join(ORDERS.name)} TO {public}")


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_does_not_tell(down: Member, tmp_path: Path, kind: str) -> None:
    """Its LAST_ALTERED is of the view, not of what it reads."""
    row = dict(zip(("table_catalog", "table_schema", "table_name"), ORDERS.name, strict=True))
    row |= {"table_type": kind, "last_altered": "2020-01-01 00:00:00+00:00"}
    (tmp_path / "probe.py").write_text(
        "from datetime import UTC, datetime\n"
        "from dbtmesh.downstream import freshness\n"
        f"found = freshness.data('dbt_up', {{{ORDERS.name!r}}}, [{row!r}], 26, datetime.now(UTC))\n"
        "print(*found, [each.stale for each in found])\n"
    )
    said = down.ok(str(tmp_path / "probe.py"))
    assert "has no known age (a view) [False]" in said
