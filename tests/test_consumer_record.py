"""What reads another project's model: every kind of thing in a manifest, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbt.artifacts.schemas.manifest import WritableManifest

from dbtmesh.config import Member, Upstream
from dbtmesh.downstream import consumer_record, lineage
from dbtmesh.manifest.extract import extract
from dbtmesh.registry.records import Record
from dbtmesh.warehouse.adapter import Warehouse
from tests.manifests import manifest, model

MODEL = "model.dbt_up.public_0"
SOURCE = "source.dbt_down.dbt_up.public_0"


def member(kind: str = "native") -> Member:
    return Member(
        root=Path(),
        project="dbt_down",
        kind=kind,
        publishes=False,
        database_prefix="DBT_DOWN",
        bucket=None,
        aws_region=None,
        upstreams=(Upstream("dbt_up", "DBT_UP", "DBT_UP_PROD"),),
    )


def loom(**sections: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a loom project without models of its own: dbt-loom has put one there."""
    document: dict[str, Any] = json.loads(manifest("dbt_down", models=0))
    document["nodes"][MODEL] = model("dbt_up", "public_0") | {"original_file_path": ""}
    return document | {
        name: {uid: {"unique_id": uid, "package_name": "dbt_down"} | entry}
        for name, entries in sections.items()
        for uid, entry in entries.items()
    }


def native(source: dict[str, Any], **nodes: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a native project: each node is a model, or more of one, on the source."""
    document: dict[str, Any] = json.loads(manifest("dbt_down", models=0))
    document["sources"] = {
        SOURCE: {
            "unique_id": SOURCE,
            "package_name": "dbt_down",
            "name": "public_0",
            "source_name": "dbt_up",
            "identifier": "public_0",
            "resource_type": "source",
            "database": "DBT_UP_PROD",
            "schema": "MARTS",
            "relation_name": '"DBT_UP_PROD"."MARTS"."public_0"',
        }
        | source
    }
    for name, more in nodes.items():
        node = model("dbt_down", name) | more
        node["depends_on"] = {"macros": [], "nodes": [SOURCE]}
        document["nodes"][node["unique_id"]] = node
    return document


SYNCED = {"config": {"meta": {"mesh_upstream": "dbt_up", "unique_id": MODEL}}}


def edges(document: dict[str, Any]) -> list[lineage.Edge]:
    parsed = lineage.read(json.dumps(document).encode(), "dbt_down")
    return lineage.edges(parsed, member())


def record(document: dict[str, Any], **upstream: Any) -> Record:
    """What is put on record, with an upstream that publishes public_0."""
    body = json.dumps(document).encode()
    published = extract(manifest(columns=4, **upstream), "dbt_up")
    return consumer_record.records(
        *(member(), "prod", None, edges(document), consumer_record.readers(body)),
        {"dbt_up": lineage.Published(published)},
        Warehouse.DUCKDB,
    )[0]


def classes(kind: Any) -> Iterator[type]:
    """Every class that a type is made of."""
    if isinstance(kind, type):
        yield kind
    elif not isinstance(kind, types.GenericAlias) or typing.get_args(kind):
        for part in typing.get_args(kind):
            yield from classes(part)


def test_every_section_in_which_dbt_notes_what_something_reads() -> None:
    """Fails when dbt gets another one."""
    found = set()
    for name, kind in typing.get_type_hints(WritableManifest).items():
        for each in filter(dataclasses.is_dataclass, classes(kind)):
            depends_on = typing.get_type_hints(each).get("depends_on")
            if depends_on and "nodes" in typing.get_type_hints(depends_on):
                found.add(name)
    assert found - {"disabled"} == set(lineage.READING)


@pytest.mark.parametrize("section", sorted(set(lineage.READING) - {"nodes"}))
def test_each_of_them_is_an_edge_and_on_record(section: str) -> None:
    uid = f"{section.removesuffix('s')}.dbt_down.mine"
    document = loom(**{section: {uid: {"depends_on": {"nodes": [MODEL]}}}})
    (edge,) = edges(document)
    assert (edge.node, edge.upstream, edge.model) == (uid, "dbt_up", MODEL)
    (read,) = record(document).reads
    assert (read.by, read.columns) == ([uid], None)  # all of them


@pytest.mark.parametrize("packages", [["dbt_down"], ["audit"], ["dbt_down", "audit"]])
def test_a_source_that_a_function_names(packages: list[str]) -> None:
    """dbt 1.11 does not write it into `depends_on`."""
    document = native(SYNCED)
    (source,) = document["sources"].values()
    document["sources"] = {
        f"source.{package}.dbt_up.public_0": source | {"package_name": package}
        for package in packages
    }
    uid = "function.dbt_down.mine"
    function = {"unique_id": uid, "package_name": "dbt_down", "depends_on": {"nodes": []}}
    document["functions"] = {uid: function | {"sources": [["dbt_up", "public_0"], ["erp", "x"]]}}
    assert [(edge.node, edge.name) for edge in edges(document)] == [(uid, "public_0")]
    (read,) = record(document).reads
    assert (read.by, read.columns) == ([uid], None)


@pytest.mark.parametrize(
    "kind", ["model", "snapshot", "analysis", "test", "seed", "operation", "sql_operation"]
)
def test_nodes_of_every_kind(kind: str) -> None:
    uid = f"{kind}.dbt_down.mine"
    document = native(SYNCED, mine={"unique_id": uid, "resource_type": kind})
    assert [edge.node for edge in edges(document)] == [uid]


def test_what_a_package_reads_is_read() -> None:
    document = native(SYNCED, mine={"unique_id": "model.audit.mine", "package_name": "audit"})
    assert [str(edge) for edge in edges(document)] == ["audit.mine reads dbt_up.public_0"]


def test_what_the_upstream_makes_of_its_models_is_not_read() -> None:
    """dbt-loom puts the upstream's own edges there, too."""
    document = loom()
    other = model("dbt_up", "public_1") | {"original_file_path": ""}
    other["depends_on"]["nodes"] = [MODEL]
    document["nodes"]["model.dbt_up.public_1"] = other
    assert edges(document) == []


@pytest.mark.parametrize(
    ("source", "is_theirs"),
    [
        ({"database": "ERP", "relation_name": '"ERP"."MARTS"."public_0"'}, False),
        ({"source_name": "erp"}, True),  # whatever it is called
        ({"config": {}}, True),
        (SYNCED | {"database": "ELSEWHERE", "relation_name": None}, True),
    ],
    ids=["only its name", "another name", "its database", "synced"],
)
def test_whose_a_source_is(source: dict[str, Any], is_theirs: bool) -> None:
    assert bool(edges(native(source, mine={}))) == is_theirs


# --- Columns --------------------------------------------------------------------------------------


def given(name: str, rows: Any) -> dict[str, Any]:
    """A unit test of `mine` with these rows for an input."""
    return {
        "unit_test.dbt_down.mine.adds_up": {
            **{"unique_id": "unit_test.dbt_down.mine.adds_up", "package_name": "dbt_down"},
            **{"model": "mine", "depends_on": {"nodes": ["model.dbt_down.mine"]}},
            "given": [{"input": name, "rows": rows}],
        }
    }


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([{"column_0": 1}, {"column_2": 2}], {"column_0", "column_1", "column_2"}),
        ("select 1 as column_0", None),
        ([], {"column_1"}),
    ],
)
def test_a_unit_test_reads_the_columns_that_it_gives(rows: Any, columns: set[str] | None) -> None:
    """dbt refuses a value for a column that is not there."""
    sql = "select column_1 from DBT_UP_PROD.MARTS.public_0"
    document = native(SYNCED, mine={"compiled_code": sql})
    document["unit_tests"] = given("source('dbt_up', 'public_0')", rows)
    (read,) = record(document).reads
    assert (None if read.columns is None else set(read.columns)) == columns
    assert len(read.by) == 2
    document["unit_tests"] = given("ref('dbt_up_seed')", rows)
    (read,) = record(document).reads
    assert (read.columns, len(read.by)) == (["column_1"], 1)


def test_batches_read_the_column_that_dbt_filters_by() -> None:
    up = model("dbt_up", "public_0", columns=4)
    up["access"] = up["config"]["access"] = "public"
    up["config"]["event_time"] = "column_3"
    nodes = {up["unique_id"]: up}
    sql = {"compiled_code": "select column_0 from DBT_UP_PROD.MARTS.public_0"}
    document = native(SYNCED, mine=sql)
    assert record(document, models=0, nodes=nodes).reads[0].columns == ["column_0"]
    config = document["nodes"]["model.dbt_down.mine"]["config"]
    config["incremental_strategy"] = "microbatch"
    assert record(document, models=0, nodes=nodes).reads[0].columns == ["column_0", "column_3"]


def test_columns_that_a_model_without_contract_does_not_list() -> None:
    sql = "select column_0, other from DBT_UP_PROD.MARTS.public_0"
    document = native(SYNCED, mine={"compiled_code": sql})
    nodes: dict[str, Any] = {}
    for enforced in (True, False):
        up = model("dbt_up", "public_0", columns=4)
        up["access"] = up["config"]["access"] = "public"
        up["contract"]["enforced"] = up["config"]["contract"]["enforced"] = enforced
        nodes[up["unique_id"]] = up
        (read,) = record(document, models=0, nodes=nodes).reads
        assert read.columns == (["column_0"] if enforced else ["column_0", "other"])


# --- What the compiled SQL of one run does not show ----------------------------------------------

SQL = 'select column_0 from "DBT_UP_PROD"."MARTS"."public_0"'
INCREMENTAL = {
    "compiled_code": SQL,
    "raw_code": "select column_0 from {{ source('dbt_up', 'public_0') }}"
    "{% if is_incremental() %} where COLUMN_2 > 1 {% endif %}",
}


def columns_of(config: dict[str, Any], **node: Any) -> list[str] | None:
    """Those that a model is on record with, of column_0 to column_3."""
    base = model("dbt_down", "mine")["config"]
    document = native(SYNCED, mine={"compiled_code": SQL, "config": base | config, **node})
    return record(document).reads[0].columns


def test_an_incremental_model_reads_in_other_runs_what_it_does_not_read_in_this_one() -> None:
    config = {"materialized": "incremental"}
    assert columns_of(config, **INCREMENTAL) == ["column_0", "column_2"]
    assert columns_of({"materialized": "table"}, **INCREMENTAL) == ["column_0"]
    # nobody knows all columns of a model without a contract
    document = native(
        SYNCED, mine=INCREMENTAL | {"config": model("dbt_down", "x")["config"] | config}
    )
    upstream = model("dbt_up", "public_0", columns=4) | {"access": "public"}
    upstream["config"] |= {"access": "public", "contract": {"enforced": False}}
    upstream |= {"contract": {"enforced": False}}
    assert record(document, nodes={MODEL: upstream}).reads[0].columns is None


@pytest.mark.parametrize("when", ["pre-hook", "post-hook"])
def test_what_a_hook_reads(when: str) -> None:
    reads = "insert into log select column_3 from {{ source('dbt_up', 'public_0') }}"
    assert columns_of({when: [{"sql": reads}]}) is None
    assert columns_of({when: [{"sql": "{{ grant_public_read() }}"}]}) == ["column_0"]


@pytest.mark.parametrize("where", [{"group": "fin"}, {"group": None, "config": {"group": "fin"}}])
def test_a_group_counts_wherever_an_engine_writes_it(where: dict[str, Any]) -> None:
    node = {"package_name": "dbt_down", "name": "m", "resource_type": "model", **where}
    groups = {"group.dbt_down.fin": {"name": "fin", "owner": {"name": "Finance"}}}
    body = json.dumps({"nodes": {"model.dbt_down.m": node}, "groups": groups}).encode()
    assert list(consumer_record.readers(body).owners("model.dbt_down.m")) == ["Finance"]
