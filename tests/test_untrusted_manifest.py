"""What comes in from a registry: checked once, and refused in one line that says where and why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbtmesh import MeshError, checked, sha256
from dbtmesh.checked import is_clean, prose
from dbtmesh.downstream import sources
from dbtmesh.manifest import unchanged, versions
from dbtmesh.manifest.extract import extract
from dbtmesh.manifest.interface import Interface, reader_names, shared_with
from dbtmesh.manifest.published import names, read
from dbtmesh.manifest.seal import UNSEALED, reduced, with_digest
from dbtmesh.output import markdown, terminal
from dbtmesh.registry import records
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import is_plain, parse
from dbtmesh.warehouse.types import type_change
from tests.manifests import manifest, model

ROOT = Path(__file__).parents[1]
UID = "model.dbt_up.public_0"
DATABASES = ("DBT_UP_PROD", "DBT_UP_LOCAL")


def document(adapter: str = "snowflake", **node: Any) -> dict[str, Any]:
    """A full manifest of dbt_up with one public model, with other values in some of its fields."""
    made: dict[str, Any] = json.loads(manifest(models=1, adapter=adapter))
    made["nodes"][UID] |= node
    return made


def refused(content: Mapping[str, Any]) -> str:
    """The one line with which it is refused, at publishing and at reading."""
    body = json.dumps(content).encode()
    lines = []
    for way in (extract, read):
        with pytest.raises(MeshError) as caught:
            way(body, "dbt_up")
        lines.append(str(caught.value))
        assert "\n" not in lines[-1]
        assert lines[-1].isprintable()
        assert len(lines[-1]) < 500
    return lines[1]


def tried(body: bytes) -> tuple[Interface | None, str]:
    """What a reader makes of it, or the line with which it is refused."""
    try:
        return read(body, "dbt_up", DATABASES), ""
    except MeshError as error:
        return None, str(error)


# ── What is published ─────────────────────────────────────────────────────────────────

LISTED = {
    *("description", "group", "version", "latest_version"),
    *("config.event_time", "config.materialized", "config.tags"),
    *("config.meta.team", "config.freshness.build_after.period"),
    *("config.freshness.build_after.updates_on", "constraints.columns"),
    *("columns.id.data_type", "columns.id.description", "columns.id.config.tags"),
    *("columns.id.config.meta.team", "columns.id.constraints.columns"),
}
"""Fields of a node whose text is published, as docs/published-fields.md lists them. Of what dbt
writes twice, the one that counts."""
FIXED = {
    *("access", "depends_on.nodes", "name", "package_name", "relation_name", "resource_type"),
    *("unique_id", "columns.id.name", "config.access", "deprecation_date"),
    *("constraints.type", "columns.id.constraints.type", "columns.id.quote"),
    *("contract.enforced", "config.contract.enforced", "config.freshness.build_after.count"),
}
"""Fields that are published too, whose values are not free: they take no mark."""


def marked(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field below `value` that a mark can be put into, with a setter."""
    if isinstance(value, dict):
        for key in [*value]:
            yield from marked_field(value, key, f"{path}.{key}".lstrip("."))


def marked_field(holder: dict[str, Any], key: str, path: str) -> Iterator[tuple[str, Any]]:
    value = holder[key]
    if path in FIXED:
        return
    if isinstance(value, dict) and value:
        yield from marked(value, path)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            yield from marked(each, path)
    else:
        yield path, holder


def everything() -> dict[str, Any]:
    """A node with a value in every field that dbt has, of 1.8 to 2.0."""
    node = model("dbt_up", "public_0", columns=0, adapter="snowflake")
    meta = {"team": "x", "private": {"note": "x"}, "_note": "x"}
    constraint = {
        **{"type": "check", "name": "x", "expression": "x", "columns": ["x"]},
        **{"to": "x", "to_columns": ["x"], "warn_unenforced": True, "warn_unsupported": True},
    }
    column = {
        **{"name": "id", "description": "x", "data_type": "x", "quote": None, "tags": ["x"]},
        **{"meta": dict(meta), "config": {"meta": dict(meta), "tags": ["x"], "more": "x"}},
        **{"granularity": "x", "doc_blocks": ["x"], "dimension": "x", "entity": "x", "more": "x"},
        "constraints": [dict(constraint)],
    }
    node |= {
        **{"access": "public", "meta": dict(meta), "tags": ["x"], "group": "g"},
        **{"columns": {"id": column}, "constraints": [dict(constraint)], "version": "x"},
        **{"latest_version": "x", "deprecation_date": "2031-01-01", "time_spine": {"more": "x"}},
        **{"functions": ["x"], "more": "x", "defer_relation": {"more": "x"}, "previous": "x"},
    }
    node["config"] |= {
        **{"access": "public", "meta": dict(meta), "event_time": "x", "tags": ["x"], "group": "g"},
        "freshness": {"build_after": {"count": 1, "period": "x", "updates_on": "x", "more": "x"}},
        **{"latest_version_pointer": {"alias": "x"}, "sync": "x", "more": "x", "snowflake": "x"},
    }
    return node


def test_what_is_published_is_what_is_listed() -> None:
    fields = sorted({path for path, _ in marked(everything())})
    assert len(fields) > 80
    kept = set()
    for path in fields:
        node = everything()
        for found, holder in marked(node):
            if found == path:
                key = path.rsplit(".", 1)[-1]
                holder[key] = ["canary"] if isinstance(holder[key], list) else "canary"
        node["unique_id"] = f"{UID}.v{node['version']}"
        whole = document() | {"nodes": {node["unique_id"]: node}}
        published = extract(json.dumps(whole).encode(), "dbt_up")
        if b"canary" in msgspec.json.encode(published.nodes):
            kept.add(path)
    assert kept == LISTED


def group(name: str) -> dict[str, Any]:
    return {
        **{"name": name, "package_name": "dbt_up", "unique_id": f"group.dbt_up.{name}"},
        **{"owner": {"name": "Own", "email": "o@example.com", "slack": "#x"}, "path": "x.yml"},
    }


def test_of_a_group_its_owner_is_published() -> None:
    whole = document(group="g") | {
        "groups": {f"group.dbt_up.{name}": group(name) for name in ("g", "unused")}
    }
    published = extract(json.dumps(whole).encode(), "dbt_up")
    assert published.manifest["groups"] == {
        "group.dbt_up.g": {
            **{"name": "g", "package_name": "dbt_up", "unique_id": "group.dbt_up.g"},
            "owner": {"name": "Own", "email": "o@example.com"},
            **{"resource_type": "group", "path": "", "original_file_path": ""},  # dbt requires them
        }
    }


def test_each_field_that_is_published_is_in_the_docs() -> None:
    from dbtmesh.manifest import fields

    text = (ROOT / "docs" / "published-fields.md").read_text()
    kinds = (fields.Node, fields.Column, fields.Config, fields.Metadata, fields.Notes, fields.Owner)
    missing = [
        name
        for kind in kinds
        for name in kind.__annotations__
        if f"`{name}" not in text and f".{name}" not in text and name not in ("enabled", "config")
    ]
    assert not missing


def test_a_publication_read_and_written_again_is_the_same() -> None:
    once = extract(manifest(models=4, public=3), "dbt_up", commit="abc")
    again = read(once.body, "dbt_up")
    assert (again.body, again.version, again.digest) == (once.body, once.version, once.digest)
    assert again.nodes == once.nodes


def test_what_other_tools_publish_is_reduced_when_it_is_read() -> None:
    """Their manifest has no seal, and everything in it."""
    body = manifest(models=3, public=1)
    found = read(body, "dbt_up")
    assert list(found.nodes) == [UID]
    assert b"swordfish" not in found.body
    assert read(found.body, "dbt_up").version == found.version


def test_a_reader_keeps_the_models_that_are_for_it() -> None:
    whole = extract(manifest(models=2, public=2), "dbt_up")
    part = reduced(whole, {UID: whole.nodes[UID]})
    kept = read(part.body, "dbt_up")
    assert list(kept.nodes) == [UID]
    assert (part.version, part.digest) == (whole.version, whole.digest)
    assert kept.version == whole.version


# ── What engines write in several ways ────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("top", "config"), [("public", "protected"), ("public", None), (None, "public")]
)
def test_access_stands_in_one_of_two_places(top: str | None, config: str | None) -> None:
    whole = document(access=top)
    whole["nodes"][UID]["config"]["access"] = config
    (node,) = extract(json.dumps(whole).encode(), "dbt_up").nodes.values()
    assert node["access"] == node["config"]["access"] == "public"


def test_a_group_may_stand_under_config_alone() -> None:
    whole = document(group=None) | {"groups": {"group.dbt_up.g": group("g")}}
    whole["nodes"][UID]["config"]["group"] = "g"
    found = extract(json.dumps(whole).encode(), "dbt_up")
    assert found.nodes[UID]["group"] == "g"
    assert list(found.manifest["groups"]) == ["group.dbt_up.g"]


def test_meta_of_a_column_is_its_own() -> None:
    """dbt v2 writes the model's meta beside the empty `config` of a column."""
    column = {"name": "id", "meta": {"consumers": ["a"]}, "config": {}}
    old = {"name": "old", "meta": {"pii": True}}
    whole = document(columns={"id": column, "old": old})
    found = extract(json.dumps(whole).encode(), "dbt_up").nodes[UID]["columns"]
    assert found["id"] == {"name": "id"}
    assert found["old"]["config"]["meta"] == found["old"]["meta"] == {"pii": True}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        *((1, 1.0, True), (1, "1", True), ("1.0", 1, True), (0, "0", True), ("beta", "beta", True)),
        *((1, 2, False), ("beta", "Beta", False), (1, "1a", False), (None, 0, False)),
        *((1.1, "1.10", True), ("v1", 1, False), (None, None, True), ("01", 1, False)),
        *(("01", "01", True), (2.1, "2.10", True), (2.1, 2.9, False), ("nan", "nan", True)),
        *(("inf", "Infinity", False), ("1e1", 10, False), ("1_0", 10, False)),
        *((-1, 1, False), (-1, -1.0, True), ("2024-01-01", "2024-1-1", False), (9, "10", False)),
    ],
)
def test_versions_are_compared_as_dbt_does(one: Any, other: Any, same: bool) -> None:
    assert versions.same(one, other) is same
    assert versions.same(other, one) is same


def test_versions_sort_by_age() -> None:
    made: list[Any] = ["beta", "10", 2, 1.5, "alpha", 0]
    assert sorted(made, key=versions.order) == [0, 1.5, 2, "10", "alpha", "beta"]


@pytest.mark.parametrize(
    ("version", "latest", "names", "spelled"),
    [
        (1.0, 1, {"public_0_v1_0", "public_0"}, (1.0, 1.0)),
        (0, 0, {"public_0_v0", "public_0"}, ("0", "0")),
        (0, 1, {"public_0_v0"}, ("0", 1)),
        ("beta", "beta", {"public_0_vbeta", "public_0"}, ("beta", "beta")),
        (2, "1", {"public_0_v2"}, (2, "1")),
        (-1, -1, {"public_0_v-1", "public_0"}, (-1, -1)),
        ("2024-02-01", "2024-02-01", {"public_0_v2024-02-01", "public_0"}, ("2024-02-01",) * 2),
        ("a.b", "a.b", {"public_0_va_b", "public_0"}, ("a.b", "a.b")),
        ("1", 1.0, {"public_0_v1", "public_0"}, ("1", "1")),
    ],
)
def test_a_latest_version_is_spelled_as_its_model_spells_it(
    version: Any, latest: Any, names: set[str], spelled: tuple[Any, Any]
) -> None:
    whole = document(version=version, latest_version=latest, unique_id=f"{UID}.v{version}")
    whole["nodes"] = {f"{UID}.v{version}": whole["nodes"][UID]}
    found = extract(json.dumps(whole).encode(), "dbt_up")
    (node,) = found.nodes.values()
    assert (node["version"], node["latest_version"]) == spelled
    assert {name for name, _ in reader_names(found.nodes)} == names


def test_of_versions_that_mean_the_same_the_one_that_is_written_so_is_the_latest() -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "m", "version": version, "latest_version": "2.10"} for version in (2.1, "2.10")
    ]
    versions.settle(nodes)
    assert {node["latest_version"] for node in nodes} == {"2.10"}


# ── What is refused ───────────────────────────────────────────────────────────────────

INJECTION = 'x"; drop table y; --'


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("relation_name", 'DBT_UP_PROD.MARTS."x""; drop table y; --"', "x"),
        ("relation_name", "DBT_UP_PROD.MARTS.x; drop table y", "relation_name"),
        ("relation_name", "DBT_UP_PROD.MARTS", "three parts"),
        ("relation_name", "DBT_UP_PROD.MARTS.a b", "into SQL unchanged"),
        ("relation_name", 'DBT_UP_PROD.MARTS."a\nb"', "into SQL unchanged"),
        ("relation_name", "x" * 2000, "relation_name"),
        ("schema", INJECTION, "schema"),
        ("alias", INJECTION, "alias"),
        ("name", "public_0; x", "name"),
        ("version", "1'; drop", "version"),
        ("version", -1e300, "version"),
        ("deprecation_date", "0001-01-01T00:00:00+23:59", "deprecation_date"),
        ("deprecation_date", "2026-02-30", "deprecation_date"),
        ("meta", "a text", "meta"),
        ("columns", {"a": {"name": "b"}}, "columns.a"),
        ("columns", {INJECTION: {"name": INJECTION}}, "columns"),
        ("columns", {"a\u202eb": {"name": "a\u202eb"}}, "columns"),
        *(
            ("columns", {f"a{unseen}b": {"name": f"a{unseen}b"}}, "columns")
            for unseen in "\u3164\uffa0\u115f\ufe00\U000e0100\ue000"
        ),
        ("tags", ["a\u3164"], "tags.0"),
        ("columns", {"a": {"name": "a", "data_type": "int\n::error::x"}}, "columns.a.data_type"),
        ("constraints", [{"type": "new"}], "constraints.0.type"),
        ("tags", ["a\x1b[2J"], "tags.0"),
        ("unique_id", "model.dbt_up.other", "unique_id"),
    ],
)
def test_a_bad_value_is_refused_with_model_field_and_value(
    field: str, value: Any, said: str
) -> None:
    line = refused(document(**{field: value}))
    assert "dbt_up" in line
    assert "public_0" in line
    assert said in line


@pytest.mark.parametrize("text", ["not json", "", "[]", "1", '{"a"', "\ufeff{}", '"\\ud800"'])
def test_what_is_not_a_manifest_is_refused(text: str) -> None:
    for way in (extract, read, names):
        with pytest.raises(MeshError) as caught:
            way(text.encode(), "dbt_up")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["meta", "docs", "metadata", "top"])
def test_nesting_is_bounded(where: str) -> None:
    whole = document(**{where: "@"} if where in ("meta", "docs") else {})
    if where == "metadata":
        whole["metadata"]["quoting"] = "@"
    whole["other"] = "@" if where == "top" else ""
    for deep in ("[" * 100_000 + "]" * 100_000, '{"a":' * 2_000 + "1" + "}" * 2_000):
        body = json.dumps(whole).replace('"@"', deep).encode()
        found, line = tried(body)
        assert "\n" not in line
        if found:  # where nobody looks
            assert read(found.body, "dbt_up").nodes == found.nodes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("generated_at", text) for text in ("0001-01-01T00:00:00+23:59", "soon", "9999-12-31")),
        *(("adapter_type", "a b"), ("adapter_type", "postgres"), ("dbt_version", "1.11\n")),
        *(("env", {"DBT_MESH_VERSION": "20260101T000000.000000Z-0'; x"}), ("env", [])),
        *(("env", {"DBT_MESH_COMMIT": "\x1b"}), ("env", {"DBT_MESH_STUB": "x"})),
        ("project_name", "other"),
        ("dbt_schema_version", "https://schemas.getdbt.com/dbt/manifest/v11.json"),
    ],
)
def test_bad_metadata_is_refused(field: str, value: Any) -> None:
    whole = document()
    whole["metadata"][field] = value
    with pytest.raises(MeshError) as caught:
        read(json.dumps(whole).encode(), "dbt_up")
    assert field in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_wrong_digest_is_refused_and_none_is_fine() -> None:
    body = extract(manifest(), "dbt_up").body
    with pytest.raises(MeshError, match="digest"):
        read(body.replace(b"One row", b"No row"), "dbt_up")
    whole = json.loads(body)
    del whole["metadata"]["env"]
    assert read(json.dumps(whole).encode(), "dbt_up").nodes


@pytest.mark.parametrize(
    ("relation_name", "adapter", "fine"),
    [
        ("DBT_UP_PROD.MARTS.t", "snowflake", True),
        ("dbt_up_prod.marts.t", "snowflake", True),
        ('"dbt_up_prod".MARTS.t', "snowflake", False),
        ("SECRET_PROD.MARTS.t", "snowflake", False),
        ('"Dbt_Up_Local"."MARTS"."t"', "duckdb", True),
        ('"other"."MARTS"."t"', "duckdb", False),
        (None, "snowflake", True),
    ],
)
def test_a_model_lies_in_a_database_of_its_project(
    relation_name: str | None, adapter: str, fine: bool
) -> None:
    body = json.dumps(document(adapter, relation_name=relation_name)).encode()
    if fine:
        assert read(body, "dbt_up", DATABASES).nodes
        return
    with pytest.raises(MeshError, match=r"public_0.*is not one of the databases that mesh.yml"):
        read(body, "dbt_up", DATABASES)
    assert read(body, "dbt_up").nodes  # to look at


def test_fields_and_name_say_the_same() -> None:
    """dbt-loom goes by the fields."""
    whole = document(database="A", schema="B", alias="C", relation_name='DBT_UP_PROD."x y".t')
    node = read(json.dumps(whole).encode(), "dbt_up").nodes[UID]
    assert [node[key] for key in ("database", "schema", "alias")] == ["DBT_UP_PROD", "x y", "t"]


def test_what_was_cleaned_is_read_again_the_same() -> None:
    """dbt takes one tag as a text; it is published in a list, where it is a line."""
    found = extract(json.dumps(document(config={"tags": "a\x1fb"})).encode(), "dbt_up")
    assert found.nodes[UID]["config"]["tags"] == ["a\N{REPLACEMENT CHARACTER}b"]
    assert read(found.body, "dbt_up").body == found.body


def test_prose_is_kept_without_what_acts() -> None:
    text = "One\r\n\u202eowT\x1b[2J\tthree 👩\u200d🔬"
    whole = document(description=text, meta={"a": {"b": [text]}})
    node = extract(json.dumps(whole).encode(), "dbt_up").nodes[UID]
    kept = "One\n�owT�[2J\tthree 👩\u200d🔬"
    assert node["description"] == kept
    assert node["meta"] == {"a": {"b": [kept]}}


@given(st.text())
def test_clean_bytes_are_clean_texts(text: str) -> None:
    cleaned = prose(text)
    assert prose(cleaned) == cleaned
    assert is_clean(msgspec.json.encode(cleaned)) or "\\" in cleaned
    if is_clean(msgspec.json.encode(text)):
        assert cleaned == text


# ── Time to refuse ────────────────────────────────────────────────────────────────────

PUMPS = ("a", ".a", ".", "a ", " ", "é", "0", "0:", "-", "+00", '"', "\\", "\n", "(", "a.b.c.")


@pytest.mark.parametrize("end", ["", "!", '"', "\x00", "(", ")"])
def test_no_text_takes_long_to_refuse(end: str) -> None:
    """Patterns that try many ways to match could keep a reader busy for ever."""
    texts = [start + pump * 5_000 + end for pump in PUMPS for start in ("", "model", "2026-01-01T")]
    started = time.process_time()
    for text in texts:
        for pattern in checked.PATTERNS:
            re.search(pattern, text)
        type_change(text[:10_000], "int", Warehouse.SNOWFLAKE)
        for shown in (markdown.text, markdown.code, terminal.text, terminal.line):
            shown(text)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((checked.NodeId, text) for text in ("model.a.b", "model.a.b.v1", "a.é", "model.a.b c")),
        *((checked.Word, text) for text in ("a", "été", "v1.0+x-y", "名")),
        *((checked.Name, text) for text in ("a", "x y", "é", "名", "~")),
        *((checked.Line, text) for text in ("", "a", 'say "a"', "名")),
    ],
)
def test_texts_that_fit(kind: Any, text: str) -> None:
    assert msgspec.convert(text, kind) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((checked.NodeId, text) for text in ("", "model", "model.", "Model.a", "model..", "a.-")),
        *((checked.Word, text) for text in ("", "-a", "a b", "a\n", "a\u202e", "é:")),
        *((checked.Name, text) for text in ("", 'a"', "a\n", "é\u200b", "a\t", "\x7f")),
        *((checked.Line, text) for text in ("a\n", "\x1b", "é\u2028", "a\t")),
        *((checked.Publication, text) for text in (f"{'٢' * 8}T030405.678901Z-0123456789ab",)),
        *((checked.Moment, text) for text in ("٢٠٢٦-01-01", "20٢٦-01-01")),
    ],
)
def test_texts_that_do_not(kind: Any, text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, kind)


# ── Whatever comes in ─────────────────────────────────────────────────────────────────

SCRAPS = st.sampled_from(
    [*(INJECTION, "::error::x", "\x1b[2J", "\u202e", "\r\n", "a.b.c", '"a"."b"."c"', "0001-01-01")]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | SCRAPS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | SCRAPS, inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from paths(item, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = [*value] if isinstance(value, list) else dict(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


PUBLISHED = json.loads(
    extract(
        json.dumps(
            document()
            | {"nodes": {f"{UID}.v2": everything() | {"unique_id": f"{UID}.v2", "version": 2}}}
            | {"groups": {"group.dbt_up.g": group("g")}}
        ).encode(),
        "dbt_up",
    ).body
)
del PUBLISHED["metadata"]["env"]["DBT_MESH_DIGEST"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_json_comes_in_is_read_whole_or_refused(data: st.DataObject) -> None:
    content = PUBLISHED
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([*paths(content)]))
        content = put(content, path, data.draw(JSON))
        if not path:
            break
    found, line = tried(json.dumps(content).encode())
    assert line.isprintable()
    assert len(line) < 1000
    if found is None:
        return
    again = read(found.body, "dbt_up", DATABASES)
    assert again.body == found.body
    assert is_clean(found.body) or b"\\\\" in found.body
    for node in found.nodes.values():
        for part in parse(node["relation_name"]) if node.get("relation_name") else ():
            assert is_plain(part.text) or (part.quoted and '"' not in part.text)
        stored = Warehouse.SNOWFLAKE.stored(node["database"], quoted=False)
        assert stored in DATABASES


RECORD = {
    **{"consumer": "down", "kind": "native", "env": "prod", "recorded_at": "2026-01-01T00:00:00"},
    **{"owner": "x", "repository": "a/b", "deployment": "sequential", "read_version": "x"},
    **{"workflow": "deploy.yml", "branch": "main"},
    "reads": [{"model": UID, "name": "public_0", "columns": ["a"], "by": ["model.down.m"]}],
    "feeds": {"model.down.m": ["model.down.n"]},
}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_record_comes_in_is_read_or_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([*paths(RECORD)]))
    content = put(RECORD, path, data.draw(JSON))
    line = ""
    try:
        found = records.decode(json.dumps(content).encode(), "down", "here")
    except MeshError as error:
        line = str(error)
    assert line.isprintable()
    if line:
        assert line.startswith("here is not a valid record: ")
        return
    for text in (found.owner, found.repository, found.kind, found.env, found.deployment):
        assert text is None or not set(text) & set("\n\r\t\x1b\u202e")


def test_a_record_is_that_of_the_project_it_is_named_after() -> None:
    with pytest.raises(MeshError, match="'down' is not the one it is named after"):
        records.decode(json.dumps(RECORD).encode(), "other", "here")


def test_no_type_makes_the_decoder_write_where_it_must_not() -> None:
    """msgspec 0.22 corrupts memory where a text with a pattern stands beside a list or mapping in
    a union; Python's debugging allocator finds it."""
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for folder in ("manifest", "registry", "downstream", "gate", "artifacts")
        for path in sorted((ROOT / "src" / "dbtmesh" / folder).glob("[a-z]*.py"))
    ]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules],
        env={**os.environ, "PYTHONMALLOC": "debug", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


# --- What dbt-loom gets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "alias"),
    [
        ('"MARTS; drop table X --"', "public_0"),
        ("MARTS", '"Public Orders"'),
        ("MARTS", '"select"'),
        ('"marts"', "public_0"),
    ],
)
def test_what_dbt_loom_cannot_quote_is_not_handed_to_it(schema: str, alias: str) -> None:
    """On Snowflake dbt writes the relation of an injected model without quotes."""
    named = {"schema": schema.strip('"'), "alias": alias.strip('"')}
    content = document(**named, relation_name=f"DBT_UP_PROD.{schema}.{alias}")
    interface = read(json.dumps(content).encode(), "dbt_up", DATABASES)
    assert set(interface.nodes) == {UID}
    kept, left_out = sources.for_loom(interface)
    assert not kept.nodes
    assert left_out == {"public_0"}
    assert UID.encode() not in kept.body


def test_dbt_loom_is_handed_all_of_duckdb_that_has_plain_names() -> None:
    interface = read(json.dumps(document("duckdb")).encode(), "dbt_up", DATABASES)
    assert sources.for_loom(interface) == (interface, frozenset())


def test_a_publication_that_says_it_is_of_duckdb_hands_dbt_loom_no_sql() -> None:
    name = 'DBT_UP_PROD.MARTS."a; drop table X --"'
    content = document("duckdb", alias="a; drop table X --", relation_name=name)
    interface = read(json.dumps(content).encode(), "dbt_up", DATABASES)
    kept, left_out = sources.for_loom(interface)
    assert not kept.nodes
    assert left_out == {"public_0"}


@pytest.mark.parametrize("column", ["a) or 1=1 --", "a; drop table X", "date(a)", "{{ x }}"])
def test_of_event_time_only_a_plain_name_is_read(column: str) -> None:
    """dbt writes it into the SQL of microbatch models that read this one."""
    content = document()
    content["nodes"][UID]["config"]["event_time"] = column
    interface = read(json.dumps(content).encode(), "dbt_up", DATABASES)
    assert "event_time" not in interface.nodes[UID]["config"]
    content["nodes"][UID]["config"]["event_time"] = "Ordered_at"
    interface = read(json.dumps(content).encode(), "dbt_up", DATABASES)
    assert interface.nodes[UID]["config"]["event_time"] == "Ordered_at"


# ── What it costs to say what is wrong ────────────────────────────────────────────────


def test_the_one_bad_value_of_very_many_is_named_at_once() -> None:
    feeds = {f"model.down.m{number}": ["model.down.n"] for number in range(20_000)}
    reads = [{"model": UID, "name": "public_0"}] * 20_000
    record = RECORD | {"reads": reads, "feeds": feeds | {"model.down.bad": ["no id"]}}
    started = time.process_time()
    with pytest.raises(MeshError, match=r"feeds\.model\.down\.bad\.0: 'no id' is not a valid uni"):
        records.decode(json.dumps(record).encode(), "down", "here")
    assert time.process_time() - started < 5


def test_two_faults_are_one_line() -> None:
    record = RECORD | {"feeds": {"model.down.a": ["no id"], "model.down.b": 1}, "reads": [1]}
    for content in (record, record | {"reads": []}, record | {"owner": 1}):
        with pytest.raises(MeshError) as caught:
            records.decode(json.dumps(content).encode(), "down", "here")
        assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.data())
def test_the_short_way_through_the_door_is_no_wider(data: st.DataObject) -> None:
    """What is byte for byte as this library writes it is checked as it stands."""
    content = PUBLISHED
    for _ in range(data.draw(st.integers(0, 2))):
        path = data.draw(st.sampled_from([*paths(content)][1:]))
        content = put(content, path, data.draw(JSON | st.text('a"\\\n\x7f.! ', max_size=9)))
    body = sealed(content)
    short = tried(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unchanged, "read", lambda *_: None)
        long = tried(body)
    assert short == long
    assert [found and found.manifest for found, _ in (short, long)].count(None) != 1
    if short[0] and long[0]:
        assert short[0].manifest == long[0].manifest
        assert encoded(short[0]) == encoded(long[0])


def sealed(content: Any) -> bytes:
    """As a publisher would write it who checks nothing: its digest is right."""
    body = msgspec.json.encode(content)
    try:
        metadata = content["metadata"]
        noted = {**metadata["env"], "DBT_MESH_DIGEST": UNSEALED}
        body = msgspec.json.encode({**content, "metadata": {**metadata, "env": noted}})
    except (LookupError, TypeError):
        return body
    return with_digest(body, UNSEALED, sha256(body))


def encoded(interface: Interface) -> list[bytes]:
    """What asking fields of its models gives."""
    return [
        msgspec.json.encode([sources.sources(interface), sources.unlisted(interface)]),
        msgspec.json.encode(
            [[name, node["unique_id"]] for name, node in reader_names(interface.models)]
        ),
        msgspec.json.encode(
            [sorted(shared_with(node) or ()) for node in interface.models.values()]
        ),
    ]


def test_no_two_models_lie_in_one_place() -> None:
    """dbt Core would end every command of a loom reader."""
    whole = json.loads(manifest(models=2, public=2))
    written = read(json.dumps(whole).encode(), "dbt_up").manifest
    assert unchanged.read(sealed(written), "dbt_up", None)
    for nodes in (whole["nodes"], written["nodes"]):
        first, second = nodes.values()
        second |= {key: first[key] for key in ("alias", "relation_name")}
    same = f"relation_name: 'DBT_UP_PROD.MARTS.public_0' is also the relation of '{UID}'"
    assert same in refused(whole)
    assert same in tried(sealed(written))[1]  # which could go the short way


@pytest.mark.parametrize("length", [1, 3])
def test_a_model_is_not_made_of_itself(length: int) -> None:
    """dbt Core would end every command of a loom reader, with a traceback."""
    whole = json.loads(manifest(models=length, public=length))
    for node in whole["nodes"].values():  # each reads the one before it, as some may
        node["depends_on"]["nodes"] = node["depends_on"]["nodes"] or [[*whole["nodes"]][-1]]
    assert ": depends_on: it depends on itself" in refused(whole)
    good = json.loads(manifest(models=length, public=length))
    written = read(json.dumps(good).encode(), "dbt_up").manifest
    assert unchanged.read(sealed(written), "dbt_up", None)
    written["nodes"][UID]["depends_on"]["nodes"] = [[*written["nodes"]][-1]]
    _, said = tried(sealed(written))  # which could go the short way
    assert "it depends on itself" in said


@pytest.mark.parametrize(
    "siblings",
    [
        {"m.v1.0": {"version": "1.0"}, "m.v1_0": {"version": "1_0"}},
        {"m.v1": {"version": 1, "latest_version": 1}, "m.v2": {"version": 2, "latest_version": 2}},
        {"m.v1": {"version": 2}, "m.v2": {"version": 2}},
        {"m": {}, "m.v1": {}},
    ],
)
def test_readers_know_each_model_by_a_name_of_its_own(siblings: dict[str, Any]) -> None:
    """dbt Core would end every command of a reader that has a source twice."""
    whole, checked_alone = json.loads(manifest(models=0)), dict[str, Any]()
    for name, fields in siblings.items():
        uid = f"model.dbt_up.{name}"
        node = model("dbt_up", "m") | {"access": "public", "unique_id": uid, **fields}
        node["relation_name"] = f"DBT_UP_PROD.MARTS.t{len(checked_alone)}"
        whole["nodes"][uid] = node
        alone = read(json.dumps({**whole, "nodes": {uid: node}}).encode(), "dbt_up").manifest
        checked_alone |= alone["nodes"]
    last = [*siblings][-1]
    assert f"model 'model.dbt_up.{last}': version: " in refused(whole)
    _, said = tried(sealed({**alone, "nodes": checked_alone}))  # which could go the short way
    assert ", like 'model.dbt_up.m" in said


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"version": 2, "latest_version": 2, "deprecation_date": "2031-01-01"},
        {"version": 0, "latest_version": "1.0"},
        {"version": 1.5, "description": 'A "b"\n\\ é \u202e\x1b'},
        {"meta": {"team": "x", "_own": 1, "consumers": ["a"]}, "tags": ["é", "a b"]},
        {"config": {"freshness": {"build_after": {"count": 1, "period": "day"}}, "group": "g"}},
        {
            "config": {"event_time": "at", "materialized": "incremental"},
            "checksum": {"name": "none"},
        },
        {"columns": {"a b": {"name": "a b", "quote": False, "constraints": [{"type": "unique"}]}}},
        {"columns": {"é": {"name": "é", "config": {"meta": {"pii": [1.5, None]}, "tags": ["t"]}}}},
        {"constraints": [{"type": "primary_key", "columns": ["a]", "b"]}], "columns": {}},
        {"relation_name": 'DBT_UP_PROD."é x".T', "group": "g"},
        {"relation_name": None, "alias": "other"},
    ],
)
@pytest.mark.parametrize("adapter", ["snowflake", "duckdb"])
def test_what_this_library_publishes_goes_the_short_way(way: dict[str, Any], adapter: str) -> None:
    uid = f"{UID}.v{way['version']}" if "version" in way else UID
    whole = document(adapter)
    node = whole["nodes"].pop(UID)
    whole["nodes"][uid] = {
        **node,
        **way,
        "unique_id": uid,
        "config": node["config"] | way.get("config", {}),
    }
    whole["groups"] = {"group.dbt_up.g": group("g")}
    whole["nodes"]["model.dbt_up.z"] = model("dbt_up", "z", adapter=adapter) | {"access": "public"}
    whole["nodes"]["model.dbt_up.z"]["depends_on"]["nodes"] = [uid]
    body = extract(json.dumps(whole).encode(), "dbt_up", commit="abc").body
    assert unchanged.read(body, "dbt_up", None)


def test_of_what_is_checked_as_it_stands_each_byte_counts() -> None:
    """None of these may pass by the way on which nothing is left out, cleaned or spelled anew."""
    body = sealed(PUBLISHED)
    assert unchanged.read(body, "dbt_up", DATABASES)
    for old, new in (
        *((b'"name":"id"', b'"name":"id" '), (b'"access":"public",', b'"access":"public","x":1,')),
        *((b'"path":""', b'"path":"x"'), (b'"sources":{}', b'"sources":{"a":{}}')),
        *((b'"fqn":["dbt_up"', b'"fqn":["other"'), (b'"version":2', b'"version":2.0')),
        *((b'[{"type":"check"', b'[ {"type":"check"'), (b'"team":"x"', b'"private":"x"')),
        *((b'"materialized":"table"', b'"materialized":"ephemeral"'), (b'.v2":', b'.v2;":')),
        *(
            (b'"database":"DBT_UP_PROD"', b'"database":"OTHER"'),
            (b'"checksum":"', b'"checksum":"a'),
        ),
    ):
        changed = body.replace(old, new)
        assert changed != body, old
        digest = re.search(rb'"DBT_MESH_DIGEST":"(\w+)"', changed)
        assert digest
        unsealed = with_digest(changed, digest[1].decode(), UNSEALED)
        whole = with_digest(unsealed, UNSEALED, sha256(unsealed))
        assert not unchanged.read(whole, "dbt_up", DATABASES), old
    assert not unchanged.read(body.replace(b"One row", b"No row"), "dbt_up", DATABASES)
    assert not unchanged.read(body, "other", DATABASES)
    assert not unchanged.read(body, "dbt_up", ["DBT_UP_LOCAL"])


# ── Letters that look the same ────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["оrders", "ordｅrs", "𝗈rders", "οrders", "Ꭺbc", "x.оb"])
def test_a_word_of_several_alphabets_is_refused(name: str) -> None:
    """A reviewer takes it for another name."""
    uid, told = f"model.dbt_up.{name}", ascii(name)[1:-1]
    whole = document(name=name, unique_id=uid)
    whole["nodes"] = {uid: whole["nodes"][UID]}
    column = document(columns={name: {"name": name}})
    quoted = document(relation_name=f'DBT_UP_PROD.MARTS."{name}"')
    for content in (whole, column):
        line = refused(content)
        assert "it mixes letters that look the same" in line
        assert told in line
    assert "relation_name" in refused(quoted)
    record = RECORD | {"reads": [{"model": UID, "name": name}]}
    with pytest.raises(MeshError, match=r"reads\.0\.name: .* it mixes letters"):
        records.decode(json.dumps(record).encode(), "down", "here")


@pytest.mark.parametrize("name", ["été", "дата_utc", "Δt", "t_μs", "名前_id", "αβγ", "сор"])
def test_words_of_one_alphabet_are_names(name: str) -> None:
    content = document(columns={name: {"name": name}})
    body = extract(json.dumps(content).encode(), "dbt_up").body
    assert list(read(body, "dbt_up").nodes[UID]["columns"]) == [name]


def test_a_relation_holds_no_character_that_nobody_sees() -> None:
    """Python prints U+3164, and no reader takes it."""
    refused(document(relation_name='DBT_UP_PROD.MARTS."a\u3164b"'))
