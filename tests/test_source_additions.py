"""What a native member gets of a model's configuration, and what it adds to a generated source."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dbtmesh import MeshError
from dbtmesh.downstream import source_additions, sources
from dbtmesh.manifest.extract import extract
from tests.manifests import manifest, model


def published(**config: Any) -> dict[str, Any]:
    """The sources of dbt_up, whose one public model is configured like this."""
    node = model("dbt_up", "orders", columns=2)
    node["access"] = node["config"]["access"] = "public"
    node["config"] |= config
    node["columns"]["column_0"]["config"] = {"meta": {"masking_policy": "p"}, "tags": ["key"]}
    node["columns"]["column_1"]["quote"] = True
    body = manifest(models=0, nodes={node["unique_id"]: node})
    return sources.sources(extract(body, "dbt_up"))


def written(document: dict[str, Any]) -> dict[str, Any]:
    """The one table, as a YAML reader has it."""
    loaded = yaml.safe_load(sources.to_yaml(document, "dbt_up"))
    table: dict[str, Any] = loaded["sources"][0]["tables"][0]
    return table


def test_what_a_reader_gets_of_the_configuration() -> None:
    table = written(published(event_time="column_0", tags=["pii", "snowflake_only"]))
    assert table["config"]["event_time"] == "column_0"
    assert table["config"]["tags"] == ["pii"]
    first, second = table["columns"]
    assert first["config"] == {"meta": {"upstream_meta": {"masking_policy": "p"}}, "tags": ["key"]}
    assert second["quote"] is True


def test_meta_of_the_upstream_tells_the_readers_dbt_nothing() -> None:
    """dbt-duckdb reads a source from where `meta.external_location` says."""
    meta = {
        "external_location": "read_csv('/etc/passwd')",
        "mesh_upstream": "x",
        "yes": {"a: b": 1},
    }
    table = written(published(meta=meta))
    assert table["config"]["meta"].keys() == {"mesh_upstream", "unique_id", "upstream_meta"}
    assert table["config"]["meta"]["mesh_upstream"] == "dbt_up"
    assert table["config"]["meta"]["upstream_meta"] == meta


ADDED = b"""
sources:
  - name: dbt_up
    config: {freshness: {warn_after: {count: 26, period: hour}}}
    tables:
      - name: orders
        config: {meta: {mesh_upstream: mine, ours: 1}}
        data_tests: [{own: {arguments: {than: "{{ var('least') }}"}}}]
        columns:
          - {name: COLUMN_0, data_tests: [unique]}
          - {name: unlisted, data_tests: [not_null]}
      - {name: gone, data_tests: [own]}
"""


def test_tests_and_freshness_are_added() -> None:
    document, notes = source_additions.merged(published(), ADDED, "dbt_up")
    loaded = yaml.safe_load(sources.to_yaml(document, "dbt_up"))["sources"][0]
    assert loaded["config"]["freshness"] == {"warn_after": {"count": 26, "period": "hour"}}
    (table,) = loaded["tables"]
    # Jinja of the project's own stays
    assert table["data_tests"] == [{"own": {"arguments": {"than": "{{ var('least') }}"}}}]
    assert table["config"]["meta"]["mesh_upstream"] == "dbt_up"
    assert table["config"]["meta"]["ours"] == 1
    tests = {column["name"]: column.get("data_tests") for column in table["columns"]}
    assert tests == {"column_0": ["unique"], "column_1": None, "unlisted": ["not_null"]}
    (note,) = notes
    assert note.startswith("mesh_sources/dbt_up.yml adds to gone, which dbt_up does not publish")


def test_tags_are_added_to_the_upstreams_as_dbt_adds_tags() -> None:
    def tags(written: str) -> object:
        text = f"sources: [{{name: dbt_up, tables: [{{name: orders, config: {written}}}]}}]"
        document, _ = source_additions.merged(published(tags=["pii"]), text.encode(), "dbt_up")
        return document["sources"][0]["tables"][0]["config"].get("tags")

    assert tags("{tags: [hourly, pii]}") == ["pii", "hourly"]
    assert tags("{tags: hourly}") == ["pii", "hourly"]
    assert tags("{enabled: true}") == ["pii"]


def test_without_the_file_nothing_changes() -> None:
    assert source_additions.merged(published(), b"", "dbt_up") == (published(), [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"sources: [", "is not valid YAML (line 1)"),
        (b"- 1", "is not a mapping with the key `sources`"),
        (b"sources: [1]", "`sources` of the file is not a list of entries with a `name`"),
        (b"sources: [{tables: []}]", "an entry in `sources` of the file has no `name`"),
        (b"sources: [{name: other}]", "source other: this file is for source dbt_up"),
        (b"sources: [{name: dbt_up, database: X}]", "source dbt_up has `database`, which the"),
        (
            b"sources: [{name: dbt_up, tables: [{name: orders, identifier: x}]}]",
            "table orders has `identifier`, which the upstream defines",
        ),
        (
            b"sources: [{name: dbt_up, tables: [{name: t, columns: [{name: c, quote: true}]}]}]",
            "column c has `quote`, which the upstream defines: you can add data_tests, tests",
        ),
        (b"sources: [{name: dbt_up, config: 1}]", "`config` of source dbt_up is not a mapping"),
        (
            b"sources: [{name: dbt_up, config: {meta: [x]}}]",
            "`config.meta` of source dbt_up is not a mapping",
        ),
    ],
)
def test_a_file_that_is_something_else_is_one_line(text: bytes, why: str) -> None:
    with pytest.raises(MeshError) as caught:
        source_additions.merged(published(), text, "dbt_up")
    assert str(caught.value).startswith(f"mesh_sources/dbt_up.yml: {why}")
    assert "\n" not in str(caught.value)
