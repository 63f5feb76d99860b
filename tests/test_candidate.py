"""What a publication is refused for, and what it says; the command runs in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbtmesh import MeshError, sha256
from dbtmesh.commands import publish_manifest
from dbtmesh.registry import keys
from tests.manifests import manifest, model

Run = Callable[..., tuple[int, str, str]]
MESH = """
project: dbt_up
kind: upstream
publishes: true
database_prefix: DBT_UP
bucket: null
upstreams: []
snowflake: {}
"""
PROJECT = "name: dbt_up\non-run-end: ['{{ reconcile_public_read() }}']\n"
GRANT = {"sql": "{{ grant_public_read() }}", "transaction": True, "index": None}
LATER = "2026-01-03T00:00:00.000000Z"


class Project:
    """dbt_up in a folder, as dbt has built it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = root.parent / "registry"
        (root / "target").mkdir(parents=True)
        (root / "mesh.yml").write_text(MESH)
        (root / "dbt_project.yml").write_text(PROJECT)

    def build(
        self,
        *nodes: dict[str, Any],
        adapter: str = "snowflake",
        statuses: dict[str, str] | None = None,
        which: str = "build",
        **metadata: Any,
    ) -> None:
        """Nodes are as `public` makes them."""
        document = json.loads(manifest(models=0, adapter=adapter))
        document["macros"] = {}
        document["metadata"] |= metadata
        document["nodes"] = {node["unique_id"]: node for node in nodes}
        for path in self.root.glob("models/**/*.sql"):
            path.unlink()
        for node in nodes:
            if node["package_name"] == "dbt_up":
                self.write(node["original_file_path"], node["raw_code"])
                if node["patch_path"]:
                    self.write(node["patch_path"].partition("://")[2], "models: []\n", keep=True)
        results = [
            {"unique_id": uid, "status": (statuses or {}).get(uid, "success")}
            for uid in document["nodes"]
        ]
        run = {
            "metadata": {"invocation_id": document["metadata"]["invocation_id"]},
            "args": {"which": which},
            "results": results,
        }
        self.write("target/run_results.json", json.dumps(run))
        self.write("target/manifest.json", json.dumps(document))

    def write(self, name: str, text: str, *, keep: bool = False) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (keep and path.exists()):
            path.write_text(text)

    def record(self, consumer: str, upstream: str = "dbt_up", **facts: Any) -> None:
        read = {"model": f"model.{upstream}.orders", "name": "orders", **facts.pop("read", {})}
        path = self.registry / keys.record(upstream, "prod", consumer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"consumer": consumer, "reads": [read], **facts}))

    @property
    def published(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            (self.registry / keys.latest("dbt_up", "prod")).read_bytes()
        )
        return document


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "dbt_up")


@pytest.fixture
def run(project: Project, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*words, command=publish_manifest) → exit status, stdout, stderr."""

    def call(*words: str, command: Any = publish_manifest) -> tuple[int, str, str]:
        place = ["--registry", project.registry.as_uri(), "--env", "prod"]
        status = command.main([*words, *place], project.root)
        done = capsys.readouterr()
        return status, done.out, done.err

    return call


def public(name: str = "orders", package: str = "dbt_up", **facts: Any) -> dict[str, Any]:
    """A public model as the member's own project builds it on Snowflake."""
    node = model(package, name, adapter="snowflake") | {"access": "public"}
    node["config"] |= {"access": "public", "post-hook": [GRANT]}
    node["config"] |= facts.pop("config", {})
    return node | facts


def open_ended(
    name: str = "sales", columns: tuple[str, ...] = ("id",), **facts: Any
) -> dict[str, Any]:
    """A public model without a contract, which lists these columns."""
    loose = {"enforced": False}
    listed: dict[str, Any] = {
        each: {"name": each, "data_type": None, "constraints": []} for each in columns
    }
    return public(name, contract=loose, config={"contract": loose}, columns=listed, **facts)


# --- Stale and failed builds --------------------------------------------------------------------


@pytest.mark.parametrize("check", [["--check"], ["--dry-run"], []])
def test_a_stale_manifest_is_refused(project: Project, run: Run, check: list[str]) -> None:
    project.build(public())
    project.write("models/marts/orders.sql", "select 1 as id")
    with pytest.raises(MeshError, match=r"older than the project: models/marts/orders.sql changed"):
        run(*check)
    assert not project.registry.exists()
    status, _, notes = run("--allow-stale", *check)
    assert status == 0
    assert "allowed (--allow-stale)" in notes


@pytest.mark.parametrize("check", [["--check"], []])
@pytest.mark.parametrize("status", ["error", "skipped"])
def test_a_failed_run_is_refused(project: Project, run: Run, status: str, check: list[str]) -> None:
    project.build(public(), public("broken"), statuses={"model.dbt_up.broken": status})
    with pytest.raises(MeshError, match=rf"the last run \(dbt build\) failed: broken \({status}\)"):
        run(*check)
    assert not project.registry.exists()
    assert "allowed (--allow-failed)" in run("--allow-failed", *check)[2]


def test_a_manifest_that_is_given_is_taken_as_it_is(project: Project, run: Run) -> None:
    project.build(public(), statuses={"model.dbt_up.orders": "error"})
    project.write("models/marts/orders.sql", "select 1 as id")
    given = project.root / "target" / "manifest.json"
    assert run("--manifest", str(given))[0] == 0
    assert project.published


def test_only_parsed_is_published_with_a_note(project: Project, run: Run) -> None:
    project.build(public())
    (project.root / "target/run_results.json").unlink()
    status, said, notes = run()
    assert status == 0
    assert "published 1 public model" in said
    assert "it is not known whether dbt built the public models" in notes


def test_a_new_model_that_the_last_run_did_not_build_is_named(project: Project, run: Run) -> None:
    """`dbt run --select` built something else; what was published before was built before."""
    project.build(public())
    run()
    project.build(public(), public("fresh"), generated_at=LATER)
    results = json.loads((project.root / "target/run_results.json").read_text())
    results["results"] = []
    project.write("target/run_results.json", json.dumps(results))
    notes = run()[2]
    assert "new, and not built by the last run of dbt: fresh" in notes
    assert "orders" not in notes


# --- Builds for another target ------------------------------------------------------------------


def built_in(database: str) -> dict[str, Any]:
    return public(database=database, relation_name=f"{database}.MARTS.orders")


@pytest.mark.parametrize("words", [["--check"], ["--dry-run"], [], ["--manifest"]])
@pytest.mark.parametrize(
    ("database", "adapter"),
    [("DBT_UP_LOCAL", "duckdb"), ("dbt_up_local", "duckdb"), ("DBT_UP_DEV", "snowflake")],
)
def test_a_build_for_another_target_is_not_published_as_prod(
    project: Project, run: Run, database: str, adapter: str, words: list[str]
) -> None:
    project.build(built_in(database), public("daily"), adapter=adapter)
    words = [*words, str(project.root / "target/manifest.json")] if "--manifest" in words else words
    with pytest.raises(MeshError, match=rf"orders was built for {database}, .* --target prod"):
        run(*words)
    assert not project.registry.exists()
    status, _, notes = run("--allow-target", *words)
    assert status == 0
    assert f"orders was built for {database}, but is published as prod" in notes
    assert "will not get SELECT on orders" not in notes


def test_on_the_registry_of_a_laptop_every_target_is_published(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_MESH_HOME", str(project.registry.parent))
    project.build(built_in("DBT_UP_LOCAL"), adapter="duckdb")
    status, _, notes = run()
    assert (status, project.published["nodes"].keys()) == (0, {"model.dbt_up.orders"})
    assert "was built for DBT_UP_LOCAL" in notes


def test_a_database_of_another_case_is_another_on_snowflake(project: Project, run: Run) -> None:
    project.build(
        public(database="dbt_up_dev", relation_name='"dbt_up_dev".MARTS.orders'),
        adapter="snowflake",
    )
    assert "was built for" not in run("--check")[2]


def test_one_database_for_prod_and_dev(project: Project, run: Run) -> None:
    project.write("mesh.yml", MESH.replace("{}", "{prod_database: SALES, dev_database: SALES}"))
    project.build(built_in("SALES"))
    assert run()[0] == 0


# --- Before a sync, on a laptop -------------------------------------------------------------------


def test_what_is_published_on_a_laptop_is_at_hand_there(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For dbt-loom, with what every project may read; of another environment nothing."""
    home = project.registry.parent
    monkeypatch.setenv("DBT_MESH_HOME", str(home))
    at_hand = home / "published/dbt_up/manifest.json"
    project.build(
        built_in("DBT_UP_LOCAL"),
        public("some", config={"meta": {"consumers": ["dbt_down"]}}),
        adapter="duckdb",
    )
    run()
    assert not at_hand.exists()
    assert publish_manifest.main([], project.root) == 0
    assert json.loads(at_hand.read_bytes())["nodes"].keys() == {"model.dbt_up.orders"}
    at_hand.unlink()
    assert publish_manifest.main(["--check"], project.root) == 0
    assert not at_hand.exists()
    # what cannot be put there does not keep the state from being kept
    state = home / "state/dbt_up/local/manifest.json"
    state.unlink()
    at_hand.mkdir()
    words = ["--allow-breaking"]  # `some` is gone
    project.build(built_in("DBT_UP_LOCAL"), adapter="duckdb", generated_at=LATER)
    with pytest.raises(MeshError, match="cannot write"):
        publish_manifest.main(words, project.root)
    assert state.is_file()


# --- Legal, and not what is meant ---------------------------------------------------------------


def test_what_readers_get_nothing_of_is_named(project: Project, run: Run) -> None:
    elsewhere = public("elsewhere", database="ANALYTICS", relation_name="ANALYTICS.MARTS.elsewhere")
    project.build(public(), public("dim_date", "shared_dims"), elsewhere)
    for words in (["--check"], ["--dry-run"], []):
        notes = run(*words)[2]
        assert "not published: dim_date of the package shared_dims" in notes
        assert (
            "readers will not get SELECT on elsewhere: public models have to lie in DBT_UP_PROD, "
            "not in ANALYTICS" in notes
        )
        assert "orders" not in notes


def test_a_prod_database_of_another_name(project: Project, run: Run) -> None:
    """As mesh.yml names it, not after the prefix."""
    project.write("mesh.yml", MESH.replace("{}", "{prod_database: ANALYTICS}"))
    project.build(public("there", database="ANALYTICS", relation_name="ANALYTICS.MARTS.there"))
    assert run("--check")[2] == ""
    project.build(public())
    assert "public models have to lie in ANALYTICS, not in DBT_UP_PROD" in run("--check")[2]


def test_a_model_that_dbt_loom_injected_is_no_packages(project: Project, run: Run) -> None:
    injected = public("theirs", "dbt_other", original_file_path="")
    project.build(public(), injected)
    assert run("--check")[2] == ""


def test_without_the_hooks_nobody_gets_select(project: Project, run: Run) -> None:
    project.build(public(config={"post-hook": []}))
    project.write("dbt_project.yml", "name: dbt_up\n")
    os.utime(project.root / "dbt_project.yml", (1, 1))
    notes = run()[2]
    assert "readers will not get SELECT on orders: its post-hook does not call" in notes
    assert "no on-run-end hook calls reconcile_public_read()" in notes


def test_hooks_of_a_package_count(project: Project, run: Run) -> None:
    hook = model("tools", "hook") | {"unique_id": "operation.tools.on-run-end-0"}
    hook |= {"resource_type": "operation", "raw_code": "{{ reconcile_public_read() }}"}
    project.build(public(), hook)
    project.write("dbt_project.yml", "name: dbt_up\n")
    os.utime(project.root / "dbt_project.yml", (1, 1))
    assert run()[2] == ""


V2: dict[str, Any] = {"dbt_version": "2.0.0-alpha.4"}


def hidden(name: str = "orders") -> dict[str, Any]:
    """A model that v2 takes for protected, because its access stands beside config."""
    return public(name, access="protected", config={"access": "protected"})


def test_access_that_v2_ignores(project: Project, run: Run) -> None:
    yaml = "models:\n  - {name: orders, access: public}\n  - {name: other, access: protected}\n"
    project.write("models/marts/_marts.yml", yaml)
    for nodes in ([hidden(), hidden("other")], [hidden(), public("shared")]):
        project.build(*nodes, **V2)
        with pytest.raises(MeshError, match=r"orders \(models/marts/_marts.yml\). Move") as caught:
            run("--check")
        assert "other" not in str(caught.value)
    project.write(
        "models/marts/_marts.yml",
        "models: [{name: orders, access: protected, versions: [{v: 1, access: public}]}]",
    )
    project.build(hidden(), **V2)
    with pytest.raises(MeshError, match=r"orders \(models/marts/_marts.yml\). Move"):
        run("--check")
    # dbt Core does not ignore it: who is protected there is meant to be
    project.build(hidden())
    assert "no model has `access: public`" in run("--check")[2]


def test_what_dbt_loom_would_refuse_is_not_published(project: Project, run: Run) -> None:
    project.build(public(deprecation_date="soon"))
    with pytest.raises(
        MeshError, match=r"model.dbt_up.orders': deprecation_date: 'soon' is not a date"
    ):
        run()
    assert not project.registry.exists()


# --- Models without a contract ------------------------------------------------------------------


def test_models_without_a_contract_are_named(project: Project, run: Run) -> None:
    project.build(public(), open_ended())
    status, _, notes = run("--check")
    assert status == 0
    assert "without an enforced contract: sales. They may have more or fewer" in notes
    run()
    assert (
        run("--check")[1] == "the public interface is unchanged, as far as its columns are listed\n"
    )


def test_strict_refuses_models_without_a_contract(project: Project, run: Run) -> None:
    project.build(public(), open_ended())
    status, said, _ = run("--strict")
    assert status == 2
    assert said.splitlines() == [
        "way out: for sales: list every column with its data_type, and set `contract: {enforced: "
        "true}`, or publish without --strict",
        "nothing to compare with: nobody reads it yet: stopped",
        "nothing was published",
    ]
    assert run("--strict", "--allow-breaking")[0] == 0
    assert project.published["metadata"]["env"]["DBT_MESH_ALLOWED"] == "no contract sales"
    project.build(public(), generated_at=LATER)
    assert run("--check", "--strict")[0] == 2, "a model is gone"


CATALOG_COLUMNS = {
    "ID": {"type": "NUMBER(38,0)", "index": 1, "name": "ID"},
    "Mixed": {"type": "BOOLEAN", "index": 3, "name": "Mixed"},
    "AMOUNT": {"type": "FLOAT", "index": 2, "name": "AMOUNT"},
}


def catalog(project: Project, invocation: str | None = None, **place: str) -> None:
    document = json.loads((project.root / "target/manifest.json").read_text())
    found = {"database": "DBT_UP_PROD", "schema": "MARTS", "name": "SALES", **place}
    table: dict[str, Any] = {
        "metadata": {**found, "type": "BASE TABLE", "owner": None, "comment": None}
    }
    table |= {"columns": CATALOG_COLUMNS, "stats": {}, "unique_id": "model.dbt_up.sales"}
    invocation = invocation or document["metadata"]["invocation_id"]
    body = {"metadata": {"invocation_id": invocation}, "nodes": {"model.dbt_up.sales": table}}
    project.write("target/catalog.json", json.dumps(body))


def test_columns_are_completed_from_the_catalog(project: Project, run: Run) -> None:
    project.build(public(), open_ended(columns=("id", "never_built")))
    catalog(project)
    notes = run()[2]
    assert "Their columns come from the catalog, and no contract guarantees them" in notes
    columns = project.published["nodes"]["model.dbt_up.sales"]["columns"]
    assert {name: (c["data_type"], c.get("quote")) for name, c in columns.items()} == {
        "id": ("NUMBER(38,0)", None),
        "AMOUNT": ("FLOAT", None),
        "Mixed": ("BOOLEAN", True),
    }
    assert [*columns] == ["id", "AMOUNT", "Mixed"]
    assert "column_0" in project.published["nodes"]["model.dbt_up.orders"]["columns"]
    # the next build has none: the columns are not known any more, and not gone
    (project.root / "target/catalog.json").unlink()
    project.build(public(), open_ended(), generated_at=LATER)
    status, said, _ = run("--check")
    assert status == 0
    assert "risky  column_unlisted  sales.AMOUNT" in said


@pytest.mark.parametrize("wrong", [{"invocation": "another"}, {"schema": "OTHER"}])
def test_a_catalog_of_something_else_is_not_taken(
    project: Project, run: Run, wrong: dict[str, str]
) -> None:
    project.build(open_ended())
    catalog(project, **wrong)
    run()
    assert [*project.published["nodes"]["model.dbt_up.sales"]["columns"]] == ["id"]
    project.write("target/catalog.json", "{")
    assert run("--check")[0] == 0


def test_a_column_that_is_read_and_not_listed(project: Project, run: Run) -> None:
    project.build(open_ended())
    run()
    read = {"model": "model.dbt_up.sales", "name": "sales", "columns": ["ID", "AMOUNT"]}
    project.record("dbt_down", read=read)
    # the model's SQL is as it was: nothing to ask of anybody
    project.build(open_ended(), generated_at=LATER)
    assert (
        run("--check")[1] == "the public interface is unchanged, as far as its columns are listed\n"
    )
    checksum = {"name": "sha256", "checksum": sha256(b"select 1")}
    project.build(open_ended(raw_code="select 1", checksum=checksum), generated_at=LATER)
    status, said, _ = run("--check")
    assert status == 0
    assert said.splitlines()[0] == (
        "risky  read_unlisted  sales.AMOUNT  is read, but not listed, and the model has changed"
    )
    assert "dbt_down reads it" in said
    assert run("--check", "--strict")[0] == 2


# --- What it says -------------------------------------------------------------------------------


def test_unchanged_and_published_do_not_contradict(project: Project, run: Run) -> None:
    project.build(public())
    assert "nothing to compare with" in run()[1]
    assert run()[1].startswith("published already: 1 public model of dbt_up to file://")
    project.build(public(), generated_at=LATER)
    (line,) = run()[1].splitlines()
    assert line.startswith("published 1 public model of dbt_up to file://")
    assert line.endswith("; the interface is unchanged")


def test_a_list_of_consumers_for_a_model_that_nobody_reads(project: Project, run: Run) -> None:
    """It cannot name readers where there are none: the way out is one that can be gone."""
    project.build(public())
    run()
    project.build(public(config={"meta": {"consumers": ["dbt_down"]}}), generated_at=LATER)
    status, said, _ = run("--check")
    assert status == 2
    assert "way out: no project is recorded as a reader of orders: if a project reads it" in said
    assert "name every project that reads orders" not in said
    project.record("dbt_far")
    assert "way out: name every project that reads orders" in run("--check")[1]


def test_projects_that_read_each_other_are_named(project: Project, run: Run) -> None:
    project.build(public())
    project.record("hub_b")
    assert run()[2] == "", "who reads nothing is in no cycle"
    project.write("mesh.yml", MESH.replace("[]", "[{name: hub_c, database_prefix: HUB_C}]"))
    project.build(public(), generated_at=LATER)
    assert run()[2] == "", "hub_b does not read what dbt_up reads"
    project.record("hub_c", upstream="hub_b")
    project.build(public(), generated_at=LATER.replace("03T", "04T"))
    notes = run()[2]
    assert "dbt_up, hub_b and hub_c read each other (a cycle)" in notes
