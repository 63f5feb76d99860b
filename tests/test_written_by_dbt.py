"""Manifests that releases of dbt have written, from publishing to what readers get.

tests/written_by_dbt tells how they were made.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbtmesh import config
from dbtmesh.artifacts import built_manifest, files
from dbtmesh.downstream import lineage
from dbtmesh.gate.rules import Rule
from dbtmesh.gate.verdict import Verdict, judge
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface
from dbtmesh.manifest.published import read
from dbtmesh.registry.records import Read, Record
from tests.conftest import Member, Render
from tests.written_by_dbt import CORE, RELEASES, SECRET, V2, lay_out, manifest

EVERY = {"customers.v1", "customers.v2", "orders", "rates.v1", "rates.vbeta", "refunds"}
SINCE = {
    "1.9": {"events"},
    "1.10": {"visits"},
    "1.12": {"prices.v1", "prices.v2"},
    V2: {"returns"},
}
FINANCE = {"name": "Finance", "email": "finance@example.com"}
WEB = {"name": "Web", "email": ["web@example.com", "two@example.com"]}


@cache
def interface(release: str) -> Interface:
    return extract(manifest(release), "shop")


def models(release: str) -> dict[str, Any]:
    return {uid.removeprefix("model.shop."): node for uid, node in interface(release).nodes.items()}


def taken(release: str) -> set[str]:
    """The models that a release takes."""
    until = RELEASES[: RELEASES.index(release) + 1]
    return EVERY.union(*(SINCE.get(each, set()) for each in until))


@pytest.mark.parametrize("release", RELEASES)
def test_what_gets_out_is_the_public_models_with_their_owners(release: str) -> None:
    found = interface(release)
    assert set(models(release)) == taken(release)
    assert SECRET not in found.body.decode()
    owners = {group["name"]: group["owner"] for group in found.manifest["groups"].values()}
    assert owners == {"finance": FINANCE} | ({"web": WEB} if "visits" in taken(release) else {})
    assert read(found.body, "shop", ["SHOP_LOCAL"]).body == found.body


@pytest.mark.parametrize("release", RELEASES)
def test_a_model_with_all_that_can_be_said_of_it(release: str) -> None:
    orders = models(release)["orders"]
    assert orders["contract"] == {"enforced": True}
    assert orders["group"] == "finance"
    assert orders["meta"] == {"team": "shop", "consumers": ["down", "other"], "sla": {"hours": 4}}
    assert sorted(orders["tags"]) == ["sales", "shop"]
    assert [each["type"] for each in orders["constraints"]] == ["primary_key", "check"]
    assert orders["columns"]["id"]["constraints"] == [{"type": "not_null"}]
    assert orders["columns"]["id"]["description"].startswith("The number of an **order**")
    assert orders["columns"]["amount"]["quote"] is True
    assert orders["columns"]["amount"]["data_type"].replace(" ", "") == "decimal(12,2)"
    refunds = models(release)["refunds"]  # beside `config` on dbt Core, in it on v2
    assert (refunds["access"], refunds["group"]) == ("public", "finance")
    assert refunds["columns"]["id"]["config"] == {"meta": {"pii": False}, "tags": ["key"]}


@pytest.mark.parametrize("release", RELEASES)
def test_versions_and_dates(release: str) -> None:
    found = models(release)
    one, two = found["customers.v1"], found["customers.v2"]
    assert (str(one["version"]), str(one["latest_version"])) == ("1", "2")
    assert (one["alias"], two["alias"]) == ("customers", "customers_v2")
    assert one["deprecation_date"] == "2031-01-31T00:00:00+00:00"
    assert "deprecation_date" not in two
    assert (set(one["columns"]), set(two["columns"])) == ({"id", "full_name"}, {"id", "first_name"})
    assert one["depends_on"]["nodes"] == ["model.shop.orders"]
    beta = found["rates.vbeta"]
    assert (beta["version"], str(beta["latest_version"])) == ("beta", "1")
    assert beta["deprecation_date"] == "2032-02-29T00:00:00+00:00"
    assert beta["columns"]["rate"]["data_type"] == "double"


@pytest.mark.parametrize("release", RELEASES)
def test_what_later_releases_brought(release: str) -> None:
    found = models(release)
    if "events" in found:
        assert found["events"]["config"]["event_time"] == "moment"
    if "visits" in found:
        after = {"count": 4, "period": "hour", "updates_on": "all"}
        assert found["visits"]["config"]["freshness"] == {"build_after": after}
        assert found["visits"]["columns"]["visitor"]["tags"] == ["key"]
    if "prices.v2" in found:  # the view of the latest version has no node
        assert found["prices.v2"]["alias"] == "prices_v2"


def comparable(node: dict[str, Any]) -> dict[str, Any]:
    """Without dbt's digest, which 1.12 takes otherwise, and without an order that v2 changes."""
    config = {**node["config"], "tags": sorted(node["tags"])}
    return {**node, "checksum": None, "tags": config["tags"], "config": config}


@pytest.mark.parametrize("release", RELEASES[:-1])
def test_a_model_is_the_same_whichever_release_has_built_it(release: str) -> None:
    newest = models(V2)
    for name, node in models(release).items():
        assert comparable(node) == comparable(newest[name]), name


def reader() -> tuple[list[Record], bool]:
    """One that uses a column which the model does not list, and the gate cannot know."""
    read = Read("model.shop.events", "events", columns=["moment", "kind"])
    return [Record("down", [read])], True


def moved(old: str, new: str) -> Verdict:
    today = interface(new).generated_at.date()
    return judge(interface(old), interface(new), reader, today=today, strict=False)


def test_a_move_to_another_release_of_dbt_core_changes_nothing_for_readers() -> None:
    """Nor is a model without a contract rewritten where dbt takes another digest of its file."""
    digests = {models(release)["events"]["checksum"]["checksum"] for release in CORE[1:]}
    assert len(digests) == 2
    for old, new in pairwise(CORE):
        assert {change.rule for change in moved(old, new).changes or ()} <= {Rule.MODEL_ADDED}


def test_dbt_v2_puts_the_columns_of_a_version_first_and_the_gate_says_so() -> None:
    changes = moved(CORE[-1], V2).changes or ()
    assert {change.rule for change in changes} == {Rule.MODEL_ADDED, Rule.COLUMN_REORDERED}
    reordered = {change.model for change in changes if change.rule is Rule.COLUMN_REORDERED}
    assert reordered == {"customers.v1", "customers.v2", "rates.vbeta"}  # `include: all`


# ── A member that has moved through all of them ───────────────────────────────────────


@pytest.fixture(scope="module")
def shop(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Member:
    """A hub that reads crm."""
    answers = {"kind": "native", "publishes": True, "upstreams": "crm", "starter": False}
    folder = tmp_path_factory.mktemp("written by dbt")
    return render_into(folder / "shop", project_name="shop", **answers)


@pytest.mark.parametrize("release", RELEASES)
def test_all_that_reads_another_project_is_found(shop: Member, release: str) -> None:
    edges = lineage.edges(lineage.read(manifest(release), "shop"), config.load_member(shop.path))
    assert {(edge.upstream, edge.model) for edge in edges} == {("crm", "model.crm.contacts")}
    readers = {".".join(edge.node.split(".")[:3]) for edge in edges}
    assert readers == {
        *("model.shop.reachable", "snapshot.shop.contacts_snapshot", "exposure.shop.board"),
        *("analysis.shop.contacts", "unit_test.shop.reachable", "test.shop.everybody_is_reachable"),
        "test.shop.source_not_null_crm_contacts_person",
    }


@pytest.mark.parametrize("release", RELEASES)
def test_files_are_as_dbt_read_them(tmp_path: Path, release: str) -> None:
    lay_out(release, tmp_path)
    built = built_manifest.decode(manifest(release), "manifest.json")
    later = max(path.stat().st_mtime for path in tmp_path.rglob("*")) + 1
    assert files.changed(tmp_path, built, "shop", later) == ([], [])
    (tmp_path / "models/every/orders.sql").write_text("select 1 as id")
    if release != V2:  # whose digests prove nothing: `files.compare`
        changes, _ = files.changed(tmp_path, built, "shop", later)
        assert [str(change.path) for change in changes] == ["models/every/orders.sql"]


def test_it_publishes_each_and_its_reader_syncs(shop: Member, render_into: Render) -> None:
    down = render_into(
        shop.path.with_name("down"),
        kind="native",
        project_name="down",
        upstreams="shop",
        starter=False,
    )
    tables: dict[str, Any] = {}
    for release in RELEASES:
        lay_out(release, shop.path)
        target = shop.path / "target"
        target.mkdir(exist_ok=True)
        (target / "manifest.json").write_bytes(manifest(release))
        shop.ok("scripts/publish_manifest.py")
        if release in (RELEASES[0], CORE[-1], V2):
            down.ok("scripts/sync_mesh.py")
            before, tables = tables, sources_of(down)
            assert set(before) <= set(tables)
            for name in before:
                columns = [each["name"] for each in before[name]["columns"]]
                tables[name]["columns"].sort(key=lambda each: columns.index(each["name"]))
                assert tables[name] == before[name], name
    orders = tables["orders"]["config"]
    assert orders["meta"]["upstream_meta"]["sla"] == {"hours": 4}
    assert orders["tags"] == ["sales", "shop"]
    assert tables["customers_v1"]["identifier"] == "customers"
    assert tables["customers"]["identifier"] == "customers_v2"
    assert tables["events"]["config"]["event_time"] == "moment"
    assert tables["visits"]["config"]["meta"]["build_after"]["period"] == "hour"


def sources_of(member: Member) -> dict[str, Any]:
    (source,) = yaml.safe_load((member.path / "models/_mesh_shop.yml").read_text())["sources"]
    return {table["name"]: table for table in source["tables"]}
