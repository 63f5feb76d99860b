"""The contract gate: the table in data/interface_changes.yml, laws, and dbt's own opinion."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import pytest
import yaml

from dbtmesh.downstream import duckdb_types
from dbtmesh.gate import changes as gate_changes
from dbtmesh.gate import report
from dbtmesh.gate.changes import Change, stopping
from dbtmesh.gate.column_changes import RULE_OF
from dbtmesh.gate.compare import compare
from dbtmesh.gate.consumer_changes import weighed
from dbtmesh.gate.deprecation import NOTICE_DAYS
from dbtmesh.gate.rules import RULES, Rule, Severity
from dbtmesh.gate.verdict import Verdict
from dbtmesh.manifest.interface import CATALOG
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.types import read_type, same_type, type_change
from tests.warm import run

HERE = Path(__file__).parent

TABLE: dict[str, Any] = yaml.safe_load((HERE / "data" / "interface_changes.yml").read_text())
CASES: list[dict[str, Any]] = TABLE["changes"]
CASES_BY_NAME = {case["case"]: case for case in CASES}
TODAY: date = TABLE["today"]


# --- The table's notation, expanded to manifests ------------------------------------------------


def _constraint(spec: str | dict[str, Any]) -> dict[str, Any]:
    constraint: dict[str, Any] = {"name": None, "expression": None, "to": None, "to_columns": []}
    if isinstance(spec, str):
        return constraint | {"type": spec}
    kind, value = next(iter(spec.items()))
    key = {"foreign_key": "to", "check": "expression", "custom": "expression"}.get(kind, "columns")
    return constraint | {"type": kind, key: value} | {k: v for k, v in spec.items() if k != kind}


def _column(name: str, spec: str | dict[str, Any] | None) -> dict[str, Any]:
    details = spec if isinstance(spec, dict) else {"type": spec}
    return {
        "name": name,
        "data_type": details["type"],
        "description": details.get("description", ""),
        "quote": details.get("quote"),
        "constraints": [_constraint(c) for c in details.get("constraints", ())],
    }


def _node(key: str, patch: dict[str, Any]) -> dict[str, Any]:
    name, _, version = key.partition(".v")
    spec = TABLE["base"] | {"access": "public"} | patch
    alias = f"{name}_v{version}" if version else name
    relation = spec["relation"]
    if "relation" not in patch:
        relation = relation.replace("orders", alias)
    database, schema, identifier = (
        (relation or f"UP_PROD.MARTS.{alias}").replace('"', "").split(".")
    )
    enforced = {"enforced": spec["enforced"]}
    deprecation = spec.get("deprecation_date")
    return {
        "resource_type": "model",
        "unique_id": f"model.dbt_up.{key}",
        "name": name,
        "database": database,
        "schema": schema,
        "alias": identifier,
        "relation_name": relation,
        "version": int(version) if version else None,
        # In the table a version that says nothing is in a model whose latest version is 2.
        "latest_version": spec.get("latest_version", 2) if version else None,
        "deprecation_date": str(deprecation) if deprecation else None,
        "access": spec["access"],
        "config": {
            "access": spec["access"],
            "contract": enforced,
            "materialized": spec["materialized"],
            "meta": spec.get("meta", {}),
        },
        "contract": enforced,
        "columns": {c: _column(c, details) for c, details in spec["columns"].items()},
        "constraints": [_constraint(c) for c in spec.get("constraints", ())],
        "group": spec.get("group"),
        "meta": spec.get("meta", {}),
        "description": spec.get("description", ""),
    }


def _manifest(
    models: dict[str, dict[str, Any]], adapter: str, catalog: Collection[str] = ()
) -> dict[str, Any]:
    nodes = [_node(key, patch) for key, patch in models.items()]
    completed = " ".join(f"model.dbt_up.{key}" for key in catalog)
    notes = {CATALOG: completed} if completed else {}
    return {
        "metadata": {"project_name": "dbt_up", "adapter_type": adapter, "env": notes},
        "nodes": {node["unique_id"]: node for node in nodes},
    }


def _interfaces(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    adapter = case.get("adapter", "snowflake")
    return (
        _manifest(
            case.get("old", {"orders": {}}),
            case.get("old_adapter", adapter),
            case.get("old_catalog", ()),
        ),
        _manifest(case.get("new", {"orders": {}}), adapter, case.get("new_catalog", ())),
    )


def _compare(case: dict[str, Any]) -> list[Change]:
    old, new = _interfaces(case)
    private = case.get("private", ())
    return compare(old, new, today=TODAY, private=private)


def _judged(case: dict[str, Any]) -> list[Change]:
    """The changes, by what is known of readers too."""
    changes = _compare(case)
    if "readers" not in case:
        return changes
    readers = frozenset(case["readers"])
    return weighed(changes, lambda c: isinstance(c.after, frozenset) and bool(readers - c.after))


def _verdicts(changes: list[Change]) -> list[str]:
    return [f"{change.severity} {change.rule} {change.where}" for change in changes]


every_case = pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])


# --- The table ----------------------------------------------------------------------------------


@every_case
def test_change(case: dict[str, Any]) -> None:
    changes = _judged(case)
    assert _verdicts(changes) == case["expect"]
    if "before_after" in case:
        shown = [
            v if v is None else gate_changes.text(v) for v in (changes[0].before, changes[0].after)
        ]
        assert shown == case["before_after"]


def _type_cases() -> Iterator[Any]:
    for engine, rows in TABLE["types"].items():
        for adapter in ("snowflake", "duckdb") if engine == "both" else (engine,):
            for old, new, verdict in rows:
                yield pytest.param(
                    old, new, adapter, verdict, id=f"{old} to {new} on {adapter}: {verdict}"
                )


@pytest.mark.parametrize(("old", "new", "adapter", "verdict"), list(_type_cases()))
def test_type(old: str | None, new: str | None, adapter: str, verdict: str) -> None:
    warehouse = Warehouse(adapter)
    change = type_change(old, new, warehouse)
    assert (RULES[RULE_OF[change]].severity if change else "same") == verdict
    assert same_type(old, new, warehouse) == (verdict == "same")


@pytest.mark.parametrize("warehouse", Warehouse)
def test_every_warehouse_has_types_of_its_own(warehouse: Warehouse) -> None:
    """Not Snowflake's, because it is none of the others."""
    assert read_type("integer", warehouse).family == "whole number"
    assert duckdb_types.columns("m", [{"name": "a", "data_type": "integer"}], warehouse).columns


def test_the_table_is_large_and_covers_every_rule() -> None:
    assert len(CASES) >= 70
    assert len(CASES_BY_NAME) == len(CASES)
    covered = {verdict.split()[1] for case in CASES for verdict in case["expect"]}
    # READ_UNLISTED is of readers, which tests/test_impact.py has.
    assert covered == {*Rule} - {Rule.READ_UNLISTED}


# --- Laws ---------------------------------------------------------------------------------------


@every_case
def test_an_interface_does_not_differ_from_itself(case: dict[str, Any]) -> None:
    for interface in _interfaces(case):
        assert compare(interface, copy.deepcopy(interface), today=TODAY) == []


@every_case
def test_the_order_of_models_does_not_matter(case: dict[str, Any]) -> None:
    shuffled = []
    for interface in _interfaces(case):
        nodes = dict(reversed(interface["nodes"].items()))
        shuffled.append(interface | {"nodes": nodes})
    private = case.get("private", ())
    assert compare(*shuffled, today=TODAY, private=private) == _compare(case)


@every_case
def test_the_reverse_of_no_change_is_no_change(case: dict[str, Any]) -> None:
    old, new = _interfaces(case)
    if not case["expect"]:
        assert compare(new, old, today=TODAY) == []


@every_case
def test_what_stops_names_everything_a_person_needs(case: dict[str, Any]) -> None:
    for change in _judged(case):
        assert change.severity is RULES[change.rule].severity
        assert change.model
        assert change.message
        assert "\n" not in change.message
        assert "{" not in change.way_out.replace("{enforced: true}", "")
        if change.severity is Severity.BREAKING:
            assert change.way_out.endswith(", or publish with --allow-breaking")
        else:
            assert bool(change.way_out) is (change.severity is Severity.RISKY)


def test_most_severe_first() -> None:
    order = list(Severity)
    for case in CASES:
        places = [order.index(change.severity) for change in _judged(case)]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ("column_added", "column_removed"),
        ("column_renamed", "column_renamed"),
        ("column_reordered", "column_reordered"),
        ("column_recased", "column_recased"),
        ("contract_added", "contract_dropped"),
        ("type_changed", "type_changed"),
        ("type_resized", "type_resized"),
        ("type_declared", "type_undeclared"),
        ("constraint_changed", "constraint_changed"),
        ("relation_moved", "relation_moved"),
        ("adapter_changed", "adapter_changed"),
        ("model_added", "model_removed"),
        ("deprecation_set", "deprecation_postponed"),
        ("deprecation_advanced", "deprecation_postponed"),
    ],
)
def test_there_and_back(there: str, back: str) -> None:
    """Wherever a rule alone fires, its counterpart fires on the way back."""
    cases = [
        case
        for case in CASES
        if [v.split()[1] for v in case["expect"]] == [there] and "new_catalog" not in case
    ]
    assert cases
    for case in cases:
        old, new = _interfaces(case)
        # Long ago, so that no date has come: what has no date to keep is retired, not removed.
        changes = compare(new, old, today=date.min)
        assert [change.rule for change in changes] == [back], case["case"]


def test_nothing_published_yet_is_no_change() -> None:
    assert compare(None, _manifest({"orders": {}}, "snowflake"), today=TODAY) == []


def test_another_project_is_refused() -> None:
    old, new = _interfaces({})
    new["metadata"]["project_name"] = "dbt_down"
    with pytest.raises(ValueError, match="dbt_up and dbt_down"):
        compare(old, new, today=TODAY)


def test_inputs_are_left_alone() -> None:
    for case in CASES:
        pair = _interfaces(case)
        kept = copy.deepcopy(pair)
        compare(*pair, today=TODAY)
        assert pair == kept


def test_an_unnamed_engine_is_snowflake() -> None:
    old, new = _interfaces({})
    del old["metadata"]["adapter_type"]
    assert compare(old, new, today=TODAY) == []


def test_seeds_tests_and_snapshots_of_a_full_manifest_are_passed_over() -> None:
    old, new = _interfaces({})
    old["nodes"]["seed.dbt_up.raw"] = {"resource_type": "seed", "name": "raw"}
    assert compare(old, new, today=TODAY) == []


def test_the_way_out_of_a_breaking_change_passes_the_gate() -> None:
    """What `way_out` tells the owner of an unversioned model to do stops nowhere, even strictly."""
    narrower = {"columns": {"id": "integer"}}
    stopped = compare(
        *_interfaces({"new": {"orders": narrower}}),
        today=TODAY,
    )
    assert stopping(stopped)
    followed = {
        "orders.v1": {
            "relation": TABLE["base"]["relation"],
            "latest_version": 1,
            "deprecation_date": "2026-12-31",
        },
        "orders.v2": narrower | {"latest_version": 1},
    }
    changes = compare(*_interfaces({"new": followed}), today=TODAY)
    assert not stopping(changes, strict=True)


def test_the_way_out_of_a_latest_version_that_breaks_passes_the_gate() -> None:
    """A date for the old one, and on it the move: that is told, and then not stopped."""
    narrow = {"columns": {"id": "integer"}}
    dated = {"deprecation_date": "2026-07-20"}

    def models(latest: int, **first: Any) -> dict[str, Any]:
        versions = {"orders.v1": first, "orders.v2": narrow}
        return {name: spec | {"latest_version": latest} for name, spec in versions.items()}

    (change,) = compare(*_interfaces({"old": models(1), "new": models(2)}), today=TODAY)
    assert change.rule == "latest_incompatible"
    assert "keep `latest_version: 1` until the deprecation_date of orders.v1" in change.way_out
    steps = [models(1), models(1, **dated), models(2, **dated)]
    for old, new, day in zip(steps, steps[1:], (TODAY, date(2026, 7, 20)), strict=False):
        changes = compare(*_interfaces({"old": old, "new": new}), today=day)
        assert not stopping(changes)
    assert changes[0].message == (
        "without a version, readers now get 2, not 1, whose deprecation date has come "
        "(2026-07-20); column_removed status; column_removed amount; not_null_dropped id; "
        "unique_dropped id"
    )


def test_a_date_gives_notice_before_a_model_goes() -> None:
    """Announced, then kept until the day before, then removed on the day: never stopped."""
    deprecated = {"orders": {"deprecation_date": "2026-08-01"}}
    steps: list[tuple[dict[str, Any], dict[str, Any], date, bool]] = [
        ({"orders": {}}, deprecated, date(2026, 7, 1), False),
        (deprecated, {}, date(2026, 7, 31), True),
        (deprecated, {}, date(2026, 8, 1), False),
    ]
    for before, after, today, stops in steps:
        changes = compare(*_interfaces({"old": before, "new": after}), today=today)
        assert bool(stopping(changes, strict=True)) is stops


def test_a_model_cannot_be_retired_in_two_quick_steps() -> None:
    """Whatever date is published first, nothing goes sooner than NOTICE_DAYS after readers could
    know, unless somebody allows it."""
    for days in range(-400, 60):
        day = TODAY + timedelta(days=days)
        steps: list[dict[str, Any]] = [{"orders": {}}, {"orders": {"deprecation_date": day}}, {}]
        when = [TODAY, max(day, TODAY)]
        stopped = [
            bool(stopping(compare(*_interfaces({"old": old, "new": new}), today=today)))
            for old, new, today in zip(steps, steps[1:], when, strict=False)
        ]
        assert any(stopped) is (days < NOTICE_DAYS), day


def test_the_guides_name_the_notice_period() -> None:
    assert timedelta(weeks=2).days == NOTICE_DAYS
    for page in ("docs/gate.md", "docs/member.md", "template/{{ member }}/README.md.jinja"):
        text = " ".join((HERE.parent / page).read_text(encoding="utf-8").split())
        assert "two weeks" in text, page


def test_comparing_costs_at_most_twice_the_loading() -> None:
    """Each model changed in a size and in every description, so that nothing is skipped."""

    def body(size: int) -> bytes:
        types = ["integer", f"varchar({size})", "number(10,2)", "timestamp_ntz", "boolean"] * 2
        columns = {
            f"column_{place}": {"type": data_type, "description": f"what it holds, in {size} words"}
            for place, data_type in enumerate(types)
        }
        models = {f"orders_{number}": {"columns": columns} for number in range(1000)}
        return msgspec.json.encode(_manifest(models, "snowflake"))

    bodies = body(20), body(50)
    ratios = []
    for _ in range(5):
        start = perf_counter()
        old, new = (msgspec.json.decode(each) for each in bodies)
        loaded = perf_counter()
        changes = compare(old, new, today=TODAY)
        ratios.append((perf_counter() - loaded) / (loaded - start))
    assert {change.rule for change in changes} == {"type_resized"}
    assert min(ratios) <= 2


# --- What a terminal shows ----------------------------------------------------------------------


def _lines(changes: list[Change], *, strict: bool = False) -> list[str]:
    return report.lines(Verdict(tuple(changes), strict=strict))


def test_summary_of_nothing() -> None:
    assert _lines([]) == ["the public interface is unchanged: not stopped"]


def test_summary_lines_up_and_ends_with_the_ways_out() -> None:
    changes = _compare(CASES_BY_NAME["three things at once, worst first"])
    assert _lines(changes) == [
        "breaking  column_removed  orders.day   column is gone (was date)",
        "risky     type_resized    orders.name  varchar(20) became varchar(30)",
        "fine      column_added    orders.note  column is new (varchar)",
        "way out: make the change in a version 2 and keep orders as version 1 (alias: orders, "
        "latest_version: 1) with a deprecation_date, or publish with --allow-breaking",
        "1 breaking, 1 risky, 1 fine: stopped",
    ]


def test_risky_stops_only_if_strict() -> None:
    changes = _compare(CASES_BY_NAME["same type, resized"])
    assert stopping(changes) == []
    assert _lines(changes)[-1] == "0 breaking, 1 risky, 0 fine: not stopped"
    assert stopping(changes, strict=True)
    lines = _lines(changes, strict=True)
    assert any("without --strict" in line for line in lines)


def test_fine_never_stops() -> None:
    changes = _compare(CASES_BY_NAME["column added at the end"])
    assert stopping(changes, strict=True) == []


def test_one_way_out_for_many_columns() -> None:
    changes = _compare(CASES_BY_NAME["two columns renamed"])
    assert len([line for line in _lines(changes) if "way out" in line]) == 1


def test_the_guide_lists_the_rules() -> None:
    """docs/gate.md, whose table is to be replaced by this one where it differs."""
    rows = [f"| `{rule}` | {ruling.severity} | {ruling.why} |" for rule, ruling in RULES.items()]
    table = "\n".join(["| rule | | why |", "|---|---|---|", *rows])
    assert table in (HERE.parent / "docs" / "gate.md").read_text()
    assert [*RULES] == [*Rule], "in the order in which a model's changes are listed"


# --- dbt's own opinion --------------------------------------------------------------------------

# One model for each change: contract, columns, and what changes; types as DuckDB spells them.
_DBT_MODELS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "same": ({}, {}),
    "described": ({}, {"description": "new words"}),
    "column_removed": ({}, {"columns": {"id": "integer"}}),
    "column_added": ({}, {"columns": {"id": "integer", "name": "varchar(20)", "day": "date"}}),
    "column_renamed": ({}, {"columns": {"id": "integer", "title": "varchar(20)"}}),
    "reordered": ({}, {"columns": {"name": "varchar(20)", "id": "integer"}}),
    "retyped": ({}, {"columns": {"id": "date", "name": "varchar(20)"}}),
    "resized": ({}, {"columns": {"id": "integer", "name": "varchar(50)"}}),
    "respelled": ({}, {"columns": {"id": "int4", "name": "varchar(20)"}}),
    "contract_dropped": ({}, {"enforced": False}),
    "contract_gained": ({"enforced": False}, {}),
    "uncontracted": ({"enforced": False}, {"enforced": False, "columns": {"id": "integer"}}),
    "not_null_dropped": ({"constraints": ["not_null"]}, {}),
    "check_dropped": ({"constraints": [{"check": "id > 0"}]}, {}),
    "check_changed": (
        {"constraints": [{"check": "id > 0"}]},
        {"constraints": [{"check": "id > 1"}]},
    ),
    "key_to_model": ({"constraints": ["primary_key"]}, {"key": ["id"]}),
    "became_view": ({"constraints": ["not_null"]}, {"constraints": ["not_null"], "view": True}),
    "moved": ({}, {"schema": "core"}),
    "protected": ({}, {"access": "protected"}),
    "deprecated": ({}, {"deprecation_date": "2999-01-01"}),
    "removed": ({}, None),
    "retired": ({"deprecation_date": "2020-01-01"}, None),
}
_BREAKING, _RISKY, _FINE = "breaking", "risky", "fine"

# What dbt says of `state:modified.contract` (breaking: it warns of an UnversionedBreakingChange;
# modified: it selects the model and says nothing), and what we say. Where they differ, why:
_OPINIONS: dict[str, tuple[str | None, str | None]] = {
    "same": (None, None),
    "described": (None, None),
    "column_removed": (_BREAKING, _BREAKING),
    "column_added": ("modified", _FINE),
    "column_renamed": (_BREAKING, _BREAKING),
    # dbt sorts the columns before it compares; the order is what `insert … select *` goes by.
    "reordered": (None, _RISKY),
    "retyped": (_BREAKING, _BREAKING),
    # dbt ignores everything in parentheses but notes that the text changed.
    "resized": ("modified", _RISKY),
    # dbt compares type names as text: `integer` and `int4` are two to it, and one on DuckDB.
    "respelled": (_BREAKING, None),
    "contract_dropped": (_BREAKING, _BREAKING),
    "contract_gained": ("modified", _FINE),
    # Without a contract dbt compares nothing; readers were still shown the column.
    "uncontracted": (None, _BREAKING),
    "not_null_dropped": (_BREAKING, _BREAKING),
    # dbt stops if the adapter enforces the constraint, which DuckDB does with checks and Snowflake
    # does not. We judge by what readers lose, so both engines give one verdict.
    "check_dropped": (_BREAKING, _RISKY),
    "check_changed": (_BREAKING, _RISKY),
    # The same promise in another place; dbt compares column and model constraints apart.
    "key_to_model": (_BREAKING, None),
    # dbt stops because nothing enforces the constraint any more; the data is as it was.
    "became_view": (_BREAKING, _RISKY),
    # Where a relation lies, who may read it and until when is no part of dbt's contract.
    "moved": (None, _BREAKING),
    "protected": (None, _BREAKING),
    "deprecated": (None, _FINE),
    "removed": (_BREAKING, _BREAKING),
    "retired": (None, _FINE),
}


def _dbt_properties(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    columns = spec.get("columns", {"id": "integer", "name": "varchar(20)"})
    key = spec.get("key")
    config = {
        "access": spec.get("access", "public"),
        "contract": {"enforced": spec.get("enforced", True)},
        "materialized": "view" if spec.get("view") else "table",
    }
    if "schema" in spec:
        config["schema"] = spec["schema"]
    properties: dict[str, Any] = {
        "name": name,
        "description": spec.get("description", ""),
        "config": config,
        "constraints": [{"type": "primary_key", "columns": key}] if key else [],
        "columns": [{"name": c, "data_type": t} for c, t in columns.items()],
    }
    if "constraints" in spec:
        constraints = [
            {"type": c} if isinstance(c, str) else {"type": "check", "expression": c["check"]}
            for c in spec["constraints"]
        ]
        properties["columns"][0]["constraints"] = constraints
    if "deprecation_date" in spec:
        properties["deprecation_date"] = spec["deprecation_date"]
    return properties


def _dbt_project(folder: Path, properties: list[dict[str, Any]]) -> Path:
    models = folder / "models"
    models.mkdir(parents=True)
    project = {"name": "dbt_up", "version": "1.0", "profile": "up"}
    output = {"type": "duckdb", "path": "up.duckdb", "schema": "marts"}
    profile = {"up": {"target": "local", "outputs": {"local": output}}}
    for path, content in (
        (folder / "dbt_project.yml", project),
        (folder / "profiles.yml", profile),
        (models / "models.yml", {"models": properties}),
    ):
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    for model in properties:
        suffixes = [f"_v{version['v']}" for version in model.get("versions", ())] or [""]
        for suffix in suffixes:
            (models / f"{model['name']}{suffix}.sql").write_text("select 1 as id")
    return folder


def _dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    flags = ["--log-format", "json", "--profiles-dir", ".", "--no-send-anonymous-usage-stats"]
    return run(["dbt", *arguments, *flags], folder)


def _dbt_manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "target" / "manifest.json").read_text())
    return manifest


def _events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


_VERSIONED_BEFORE = {
    "name": "versioned",
    "latest_version": 2,
    "config": {"access": "public", "contract": {"enforced": True}},
    "columns": [{"name": "id", "data_type": "integer"}, {"name": "day", "data_type": "date"}],
    "versions": [{"v": 1}, {"v": 2}],
}
_VERSIONED_AFTER = _VERSIONED_BEFORE | {
    "versions": [{"v": 1, "columns": [{"include": "*", "exclude": ["day"]}]}, {"v": 2}]
}


# They share `published`, which takes dbt seconds to parse.
one_worker = pytest.mark.xdist_group("contract_against_dbt")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was, parsed."""
    properties = [_dbt_properties(name, old) for name, (old, _) in _DBT_MODELS.items()]
    folder = tmp_path_factory.mktemp("dbt") / "old"
    done = _dbt(_dbt_project(folder, [*properties, _VERSIONED_BEFORE]), "parse")
    assert done.returncode == 0, done.stdout
    return folder


def _list_modified(folder: Path, published: Path) -> subprocess.CompletedProcess[str]:
    state = str(published / "target")
    return _dbt(folder, "ls", "--select", "state:modified.contract", "--state", state)


@one_worker
def test_against_dbt(published: Path, tmp_path: Path) -> None:
    properties = [
        _dbt_properties(name, new) for name, (_, new) in _DBT_MODELS.items() if new is not None
    ]
    folder = _dbt_project(tmp_path / "new", [*properties, _VERSIONED_BEFORE])
    done = _list_modified(folder, published)
    assert done.returncode == 0, done.stdout
    breaking, selected = set(), set()
    for event in _events(done):
        if event["info"]["name"] == "UnversionedBreakingChange":
            breaking.add(event["data"]["model_name"])
        if event["info"]["name"] == "PrintEvent":
            selected.add(event["data"]["msg"].rpartition(".")[2])
    changes = compare(_dbt_manifest(published), _dbt_manifest(folder), today=TODAY)
    ours = {change.model: change.severity for change in reversed(changes)}  # the worst stays

    def theirs(model: str) -> str | None:
        return _BREAKING if model in breaking else "modified" if model in selected else None

    assert {model: (theirs(model), ours.get(model)) for model in _DBT_MODELS} == _OPINIONS


@one_worker
def test_against_dbt_with_versions(published: Path, tmp_path: Path) -> None:
    """dbt stops with an error at a version that lost a column; we call it breaking and go on."""
    properties = [_dbt_properties(name, old) for name, (old, _) in _DBT_MODELS.items()]
    folder = _dbt_project(tmp_path / "new", [*properties, _VERSIONED_AFTER])
    done = _list_modified(folder, published)
    assert done.returncode != 0
    assert "Columns were removed" in done.stdout
    assert "day" in done.stdout
    changes = compare(_dbt_manifest(published), _dbt_manifest(folder), today=TODAY)
    assert _verdicts(changes) == ["breaking column_removed versioned.v1.day"]
