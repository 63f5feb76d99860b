"""What is published is what dbt-loom takes: our rule against dbt-loom's own model of a node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbtmesh.manifest import loom
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.published import read
from dbtmesh.manifest.seal import seal
from tests import written_by_dbt
from tests.manifests import manifest, model

PUBLISHED = dict(extract(manifest(models=1), "dbt_up").nodes["model.dbt_up.public_0"])

VALUES: dict[str, list[Any]] = {
    "name": ["orders", None, 1],
    "schema": ["MARTS", None],
    "database": ["UP_PROD", None, 1],
    "relation_name": ["UP_PROD.MARTS.ORDERS", None, ["x"]],
    "version": [None, "0", "1.0", "beta", 1, 1.5, 0, 0.0, False, ""],
    "latest_version": [None, "0", 2, 0],
    "deprecation_date": [None, "2026-01-02", "2026-01-02T00:00:00+00:00", "2026-13-01", "soon"],
    "access": ["public", None, 1],
    "group": ["finance", None, 1],
    "config": [{}, None, []],
}
CASES = [(key, value) for key, values in VALUES.items() for value in values]


def takes(node: dict[str, Any]) -> bool:
    """What dbt-loom itself says."""
    from dbt_loom import identify_node_subgraph
    from pydantic import ValidationError

    try:
        identify_node_subgraph({"nodes": {"model.dbt_up.public_0": dict(node)}})
    except (ValidationError, AttributeError):
        return False
    return True


@pytest.mark.parametrize(("key", "value"), CASES)
def test_our_rule_is_that_of_dbt_loom(key: str, value: Any) -> None:
    node = {**PUBLISHED, key: value}
    assert (loom.wrong(node) is None) is takes(node)


@pytest.mark.parametrize(
    "written",
    ["2027-03-01", "2027-03-01 12:00:00", "2027-03-01T23:30:00-05:00", "2027-03-01T00:00:00Z"],
)
def test_a_date_of_any_engine_is_one_moment_that_a_readers_dbt_can_compare(written: str) -> None:
    """dbt v2 writes what the project's file has; dbt Core compares with a time that has a zone."""
    from dbt.contracts.graph.nodes import ModelNode
    from dbt_loom import convert_model_nodes_to_model_node_args, identify_node_subgraph

    node = model("dbt_up", "rates") | {"access": "public", "deprecation_date": written}
    nodes = {"model.dbt_up.rates": node}
    built = extract(manifest(models=0, nodes=nodes), "dbt_up")
    (published,) = built.nodes.values()
    assert published["deprecation_date"] == "2027-03-01T00:00:00+00:00"
    subgraph = identify_node_subgraph({"nodes": {uid: dict(n) for uid, n in built.nodes.items()}})
    (injected,) = convert_model_nodes_to_model_node_args(subgraph).values()
    assert ModelNode.from_args(injected).is_past_deprecation_date in (True, False)
    # and so is what was published as it was written, before
    nodes = {"model.dbt_up.rates": {**published, "deprecation_date": written}}
    before = seal({**built.manifest, "nodes": nodes}, "dbt_up", built.generated_at, frozenset())
    assert read(before.body, "dbt_up").nodes == built.nodes


def test_dbt_loom_makes_the_same_of_what_it_reads_alone() -> None:
    """All that is at hand on a laptop; `state/` has the whole."""
    from dbt_loom import convert_model_nodes_to_model_node_args, identify_node_subgraph

    rates = model("dbt_up", "rates") | {"access": "public", "version": 2, "latest_version": 3}
    rates |= {"unique_id": "model.dbt_up.rates.v2", "deprecation_date": "2027-03-01"}
    rates["config"] |= {"event_time": "moment"}
    built = extract(manifest(models=3, public=2, nodes={rates["unique_id"]: rates}), "dbt_up")
    small = loom.document(built.manifest["metadata"], built.nodes)
    assert small["metadata"]["project_name"] == "dbt_up"
    assert not any("columns" in node for node in small["nodes"].values())
    whole, read_alone = (
        convert_model_nodes_to_model_node_args(
            identify_node_subgraph({"nodes": {uid: dict(node) for uid, node in nodes.items()}})
        )
        for nodes in (built.nodes, small["nodes"])
    )
    for args in (*whole.values(), *read_alone.values()):
        args.generated_at = None  # the moment of reading it
    assert list(read_alone.values()) == list(whole.values())
    assert whole["model.dbt_up.rates.v2"].event_time == "moment"


@pytest.mark.parametrize("version", [0, 0.0, 1, 1.0, 1.5, -1, "beta", "1.10", "2024-01-01", "01"])
def test_every_version_that_dbt_knows_is_published_so_that_dbt_loom_takes_it(version: Any) -> None:
    node = model("dbt_up", "rates") | {"access": "public", "version": version}
    node |= {"unique_id": f"model.dbt_up.rates.v{version}", "latest_version": version}
    built = extract(manifest(models=0, nodes={node["unique_id"]: node}), "dbt_up")
    (published,) = built.nodes.values()
    assert loom.wrong(published) is None
    assert takes(dict(published))
    assert str(published["version"]) == str(published["latest_version"]) == str(version)


@pytest.mark.parametrize("release", written_by_dbt.RELEASES)
def test_dbt_loom_takes_what_each_release_of_dbt_has_written(release: str) -> None:
    from dbt_loom import convert_model_nodes_to_model_node_args, identify_node_subgraph

    built = extract(written_by_dbt.manifest(release), "shop")
    read = convert_model_nodes_to_model_node_args(identify_node_subgraph(json.loads(built.body)))
    assert read.keys() == built.nodes.keys()
    assert read["model.shop.orders"].group == "finance"
    assert read["model.shop.customers.v1"].identifier == "customers"
    assert read["model.shop.rates.vbeta"].deprecation_date
