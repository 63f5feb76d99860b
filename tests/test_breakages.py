"""The demo mesh, broken on purpose: each breakage is caught at the right place, with the message
that a person needs.

| what breaks it                          | caught by                                        |
|-----------------------------------------|--------------------------------------------------|
| 1 a column goes                         | the upstream's pull request (--check)            |
| 2 a column is called something else     | the upstream's pull request                      |
| 3 a column gets another type            | the upstream's pull request                      |
| 4 a model is not public any more        | the upstream's pull request                      |
| 5 the contract is dropped               | publication, which then publishes nothing        |
| 6 the model moves to another schema     | publication                                      |
| 7 a consumer is taken off the list      | publication, and the consumer's sync and lineage |
| 8 a model is gone                       | the downstream's sync, dbt itself, and lineage   |
| 9 a model moved, nobody synced          | the downstream's lineage check                   |
| 10 a publication is damaged             | the downstream's sync, which keeps its copy      |
| 11 an upstream does not deploy any more | the downstream's sync (--max-age)                |
| 12 a model's last day has come          | the downstream's lineage check (a warning)       |
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import engines
from tests.conftest import Member, Render

pytestmark = pytest.mark.xdist_group("breakages")

PUBLISH, SYNC = "scripts/publish_manifest.py", "scripts/sync_mesh.py"
VALIDATE = "scripts/validate_lineage.py"
READER = "stg_public_orders" if engines.found(engines.V2) else "downstream_orders"
"""Which starter model of dbt_down reads the upstream: `quick` says on which engine it is."""
GIVEN = ("--manifest", "target/manifest.json")
"""It is not that of the files as they are: taken as it is."""
Node = dict[str, Any]
Break = Callable[[Node], object]


@dataclass(frozen=True)
class Mesh:
    up: Member
    down: Member
    loom: Member
    home: Path
    built: bytes

    @property
    def latest(self) -> Path:
        return self.home / "registry/dbt_up/local/latest/manifest.json"

    def breaks(self, change: Break | None) -> None:
        """What the next run of dbt in dbt_up leaves behind; None: without the model."""
        document = json.loads(self.built)
        document["metadata"]["generated_at"] = datetime.now(UTC).isoformat()
        if change:
            change(document["nodes"]["model.dbt_up.public_orders"])
        else:
            del document["nodes"]["model.dbt_up.public_orders"]
        (self.up.path / "target/manifest.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def made(
    render_into: Render, tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]
) -> Mesh:
    folder = tmp_path_factory.mktemp("broken")
    up = render_into(folder / "dbt_up", kind="upstream", project_name="dbt_up", **quick)
    down = render_into(folder / "dbt_down", kind="native", project_name="dbt_down", **quick)
    loom = render_into(folder / "dbt_down_loom", kind="loom", project_name="dbt_down_loom")
    up.dbt("build")
    up.ok(PUBLISH)
    for each in (down, loom):
        each.ok(SYNC)
        each.dbt("build")
        each.ok(VALIDATE, "--record")
    return Mesh(up, down, loom, folder / ".mesh", (up.path / "target/manifest.json").read_bytes())


@pytest.fixture
def mesh(made: Mesh, tmp_path: Path) -> Iterator[Mesh]:
    """The mesh as it was built, whatever a test before has done to it."""
    changed = [made.home / "registry", made.down.path / "models", made.down.path / "state"]
    for number, path in enumerate(changed):
        shutil.copytree(path, tmp_path / str(number))
    yield made
    for number, path in enumerate(changed):
        shutil.rmtree(path)
        shutil.move(tmp_path / str(number), path)


def without(column: str) -> Break:
    return lambda node: node["columns"].pop(column)


def renamed(node: Node) -> None:
    node["columns"] = {
        "net" if name == "net_amount" else name: column | {"name": name}
        for name, column in node["columns"].items()
    }
    node["columns"]["net"]["name"] = "net"


def retyped(node: Node) -> None:
    node["columns"]["order_id"]["data_type"] = "varchar(36)"


def protected(node: Node) -> None:
    node["access"] = node["config"]["access"] = "protected"


def uncontracted(node: Node) -> None:
    node["contract"] = node["config"]["contract"] = {"enforced": False}


def moved(node: Node) -> None:
    node |= {"schema": "CORE", "relation_name": '"DBT_UP_LOCAL"."CORE"."public_orders"'}


def for_one_only(node: Node) -> None:
    node["config"]["meta"] = {"consumers": ["dbt_down"]}


BOTH = [f"dbt_down reads it: {READER}", "dbt_down_loom reads it: stg_public_orders"]
IN_UPSTREAM: dict[str, tuple[Break, str, list[str], str]] = {
    "1 column gone": (
        without("net_amount"),
        "column_removed  public_orders.net_amount  column is gone",
        BOTH,
        "make the change in a version 2 and keep public_orders as version 1",
    ),
    "1 column gone that nobody reads": (
        without("customer_name"),
        "column_removed  public_orders.customer_name  column is gone",
        ["no consumer has recorded that it reads it"],
        "make the change in a version 2",
    ),
    "2 column renamed": (
        renamed,
        "column_renamed  public_orders.net_amount",
        BOTH,
        "publish the column under both names",
    ),
    "3 column retyped": (
        retyped,
        "type_changed  public_orders.order_id  integer became varchar(36)",
        BOTH,
        "make the change in a version 2",
    ),
    "4 not public": (
        protected,
        "model_not_public  public_orders  still exists, but is not public",
        BOTH,
        "publish public_orders again",
    ),
    "5 contract dropped": (
        uncontracted,
        "contract_dropped  public_orders  the contract is no longer enforced",
        BOTH,
        "set `contract: {enforced: true}` on public_orders again",
    ),
    "6 model moved": (
        moved,
        "relation_moved  public_orders",
        BOTH,
        "set database, schema and alias so that public_orders stays DBT_UP_LOCAL.MARTS",
    ),
    "7 consumer off the list": (
        for_one_only,
        "consumers_limited  public_orders  may be read only by dbt_down",
        BOTH[1:],
        "name every project that reads public_orders in its `meta.consumers`",
    ),
}


@pytest.mark.parametrize("breakage", IN_UPSTREAM)
def test_caught_in_the_upstream(mesh: Mesh, breakage: str) -> None:
    """In its pull request (--check), and where that was not asked, by the publication."""
    change, what, readers, way_out = IN_UPSTREAM[breakage]
    mesh.breaks(change)
    before = mesh.latest.read_bytes()
    flags = ["--check"] if breakage < "5" else []
    said = mesh.up.refused(PUBLISH, *GIVEN, *flags, status=2)
    lines = said.splitlines()
    assert lines[0].startswith(f"breaking  {what}")
    told = [line.strip() for line in lines[1:] if line.startswith("    ")]
    assert [text.partition(",")[0] for text in told[: len(readers)]] == readers
    assert f"way out: {way_out}" in said
    assert "or publish with --allow-breaking" in said
    assert lines[-1] == "nothing was published"
    assert mesh.latest.read_bytes() == before


def test_a_consumer_that_may_not_read(mesh: Mesh) -> None:
    mesh.breaks(lambda node: node["config"].update(meta={"consumers": ["dbt_other"]}))
    mesh.up.ok(PUBLISH, *GIVEN, "--allow-breaking")
    said = mesh.down.ok(SYNC)
    assert "left out, because dbt_up does not share it with dbt_down: public_orders" in said
    for member, reader in (
        (mesh.down, f"dbt_down.{READER}"),
        (mesh.loom, "dbt_down_loom.stg_public_orders"),
    ):
        said = member.refused(VALIDATE, status=2)
        assert said.startswith(
            f"{reader} reads dbt_up.public_orders, which dbt_up shares with dbt_other only: ask "
            f"its owners to name {member.path.name} in its `meta.consumers`"
        )


def test_a_model_that_is_gone(mesh: Mesh) -> None:
    """The sync tells what has gone, dbt what needs it, and the lineage check whom to ask."""
    mesh.breaks(None)
    mesh.up.ok(PUBLISH, *GIVEN, "--allow-breaking")
    assert "removed: public_orders" in mesh.down.ok(SYNC)
    parsed = mesh.down.run("dbt", "parse", "--target-path", str(mesh.home / "elsewhere"))
    assert parsed.returncode != 0
    assert "public_orders" in parsed.stdout + parsed.stderr
    for member in (mesh.down, mesh.loom):
        said = member.refused(VALIDATE, "--record", status=2).splitlines()
        assert said[0].endswith(
            "reads dbt_up.public_orders, which dbt_up does not publish any more: ask its owners, "
            "or read another model"
        )
    # what they read is still on record, for the day the model comes back
    record = mesh.home / "registry/dbt_up/local/consumers/dbt_down.json"
    assert "public_orders" in record.read_text()


def test_a_model_that_moved_and_nobody_synced(mesh: Mesh) -> None:
    mesh.breaks(moved)
    mesh.up.ok(PUBLISH, *GIVEN, "--allow-breaking")
    for member in (mesh.down, mesh.loom):
        said = member.refused(VALIDATE, status=2)
        assert "at DBT_UP_LOCAL.MARTS.public_orders, but it is published at DBT_UP_LOCAL" in said
        assert "sync again" in said


def test_a_publication_that_is_damaged(mesh: Mesh) -> None:
    copy = mesh.down.path / "state/dbt_up/manifest.json"
    before = copy.read_bytes()
    mesh.latest.write_bytes(before.replace(b"integer", b"varchar"))
    said = mesh.down.refused(SYNC)
    assert "is damaged (its digest does not match): have it published again" in said
    assert "the last good copy stays" in said
    assert copy.read_bytes() == before
    assert "all resolve" in mesh.down.ok(VALIDATE, "--offline")


def test_an_upstream_that_does_not_deploy_any_more(mesh: Mesh) -> None:
    assert "is stale" not in mesh.down.ok(SYNC, "--max-age", "24")
    assert "dbt_up is stale: built 0." in mesh.down.refused(SYNC, "--max-age", "0", status=2)


@pytest.mark.parametrize(("days", "when"), [(30, "in 30 days"), (-2, "2 days ago")])
def test_a_model_whose_last_day_comes(mesh: Mesh, tmp_path: Path, days: int, when: str) -> None:
    """Nothing stops, but every pull request says so, and the upstream hears who has to move."""
    day = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    mesh.breaks(lambda node: node.update(deprecation_date=day))
    if days > 0:
        said = mesh.up.ok(PUBLISH, *GIVEN)
        assert "fine  deprecation_set  public_orders" in said
    else:
        said = mesh.up.refused(PUBLISH, *GIVEN, status=2)
        assert "breaking  deprecation_short_notice  public_orders" in said
        assert "give a deprecation_date 14 days ahead, or later" in said
        mesh.up.ok(PUBLISH, *GIVEN, "--allow-breaking")
    assert f"    dbt_down reads it: {READER}" in said
    summary = tmp_path / "summary.md"
    done = mesh.loom.run(VALIDATE, "--summary", summary)
    assert done.returncode == 0
    assert f"which is deprecated on {day} ({when}): ask its owners what replaces it" in done.stderr
    assert "| warning | dbt\\_down\\_loom.stg\\_public\\_orders reads" in summary.read_text()
