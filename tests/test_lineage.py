"""validate_lineage and check_mesh_environment, on members that dbt has parsed.

up publishes; hub (native) reads up and publishes; last (loom) reads both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbtmesh.config import Location
from fleet import map as mesh_map
from tests.conftest import Member, Render

# The mesh of this module is made once: one worker runs all of it.
pytestmark = pytest.mark.xdist_group("lineage")

VALIDATE = "scripts/validate_lineage.py"

UP = {
    "orders.sql": "select 1 as id",
    "customers_v1.sql": "select 1 as id",
    "customers_v2.sql": "select 1 as id",
    "internal.sql": "select 1 as id",
    "properties.yml": """
version: 2
models:
  - name: orders
    config: {access: public}
  - name: customers
    latest_version: 2
    config: {access: public}
    versions: [{v: 1, deprecation_date: 2030-01-01}, {v: 2}]
""",
}
HUB = {
    "hub_orders.sql": """
select o.id from {{ source('up', 'orders') }} as o
join {{ source('up', 'customers') }} as c on o.id = c.id
join {{ source('up', 'customers_v1') }} as old on o.id = old.id
""",
    "properties.yml": """
version: 2
models:
  - name: hub_orders
    config: {access: public}
exposures:
  - name: dashboard
    type: dashboard
    owner: {name: Ada}
    depends_on: ["source('up', 'orders')", ref('hub_orders')]
""",
}
LAST = {
    "last.sql": """
select o.id from {{ ref('up', 'orders') }} as o
join {{ ref('up', 'customers', v=1) }} as c on o.id = c.id
join {{ ref('hub', 'hub_orders') }} as h on o.id = h.id
""",
}
# Public models with private ones between them and what they are made of.
CHAIN = {
    "stg_orders.sql": "select id from {{ source('up', 'orders') }}",
    "cleaned.sql": "select id from {{ ref('stg_orders') }}",
    "daily.sql": "select id from {{ ref('cleaned') }}",
    "between.sql": "select id from {{ ref('daily') }}",
    "monthly.sql": "select id from {{ ref('between') }}",
    "chain.yml": """
version: 2
models:
  - {name: daily, config: {access: public}}
  - {name: monthly, config: {access: public}}
""",
}
LEAF = {"leaf.sql": "select id from {{ ref('hub', 'monthly') }}"}
# What somebody writes who needs one more column soon.
SHORTCUT = {
    "shortcut.sql": """
select * from {{ source('raw', 'orders') }}
union all select * from {{ source('same', 'the_orders') }}
""",
    "shortcut.yml": """
version: 2
sources:
  - {name: raw, database: UP_LOCAL, schema: RAW, tables: [{name: orders}]}
  - name: same
    database: up_local
    schema: marts
    tables: [{name: the_orders, identifier: ORDERS}]
""",
}


@dataclass(frozen=True)
class Mesh:
    up: Member
    hub: Member
    last: Member
    registry: Path

    def change(self, project: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the published manifest of a project. Nobody seals it again."""
        path = self.registry / project / "local" / "latest" / "manifest.json"
        document = json.loads(path.read_text())
        document["metadata"]["env"] = {}
        change(document["nodes"])
        path.write_text(json.dumps(document))


def write(member: Member, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = member.path / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def made(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    home = tmp_path_factory.mktemp("mesh")

    def member(project: str, files: Mapping[str, str], **answers: Any) -> Member:
        answers |= {"project_name": project, "starter": False, "snowflake_account": "ORG-ACCOUNT"}
        made = render_into(home / project, **answers)
        write(made, files)
        duckdb.connect(str(home / ".mesh" / f"{project.upper()}_LOCAL.duckdb")).close()
        return made

    up = member("up", UP)
    hub = member("hub", HUB, kind="native", upstreams="up", publishes=True)
    last = member("last", LAST, kind="loom", upstreams="up,hub")
    for each in (up, hub):
        if each is hub:
            hub.ok("scripts/sync_mesh.py")
        each.dbt("parse")
        each.ok("scripts/publish_manifest.py")
    last.ok("scripts/sync_mesh.py")
    last.dbt("parse")
    return Mesh(up, hub, last, home / ".mesh" / "registry")


@pytest.fixture
def mesh(made: Mesh, tmp_path: Path) -> Iterator[Mesh]:
    """The mesh, whose registry a test may change."""
    kept = tmp_path / "kept"
    shutil.copytree(made.registry, kept)
    yield made
    shutil.rmtree(made.registry)
    shutil.move(kept, made.registry)


def test_every_edge_resolves(mesh: Mesh) -> None:
    """Through sources, by refs, through the hub, versions and the latest; and an exposure's."""
    assert mesh.hub.ok(VALIDATE) == "4 edges to 1 project, all resolve\n"
    assert mesh.last.ok(VALIDATE) == "3 edges to 2 projects, all resolve\n"


def test_a_model_that_is_gone(mesh: Mesh) -> None:
    mesh.change("up", lambda nodes: nodes.pop("model.up.orders"))
    why = "which up does not publish any more: ask its owners, or read another model"
    assert mesh.hub.refused(VALIDATE, status=2).splitlines() == [
        f"hub.dashboard reads up.orders, {why}",
        f"hub.hub_orders reads up.orders, {why}",
        "4 edges to 1 project, 2 of them unresolved",
    ]
    assert mesh.last.refused(VALIDATE, status=2).splitlines() == [
        f"last.last reads up.orders, {why}",
        "3 edges to 2 projects, 1 of them unresolved",
    ]


@pytest.mark.parametrize("access", ["private", "protected"])
def test_a_model_that_is_private_now(mesh: Mesh, access: str) -> None:
    """Known where the whole manifest was published."""

    def change(nodes: dict[str, Any]) -> None:
        node = nodes["model.up.customers.v1"]
        node["access"] = node["config"]["access"] = access

    mesh.change("up", change)
    for member, reader in ((mesh.hub, "hub.hub_orders"), (mesh.last, "last.last")):
        assert member.refused(VALIDATE, status=2).splitlines()[0] == (
            f"{reader} reads up.customers_v1, which is private to up: ask its owners to make it "
            "public"
        )


def test_a_model_that_moved(mesh: Mesh) -> None:
    def change(nodes: dict[str, Any]) -> None:
        nodes["model.hub.hub_orders"]["relation_name"] = '"HUB_LOCAL"."CORE"."hub_orders"'

    mesh.change("hub", change)
    assert mesh.last.refused(VALIDATE, status=2).splitlines()[0] == (
        "last.last reads hub.hub_orders at HUB_LOCAL.MARTS.hub_orders, but it is published at "
        "HUB_LOCAL.CORE.hub_orders: sync again, for this environment"
    )


def test_on_snowflake_a_quoted_name_is_another(mesh: Mesh, tmp_path: Path) -> None:
    """ORDERS and "orders" are two relations there, and one on DuckDB."""
    full = json.loads((mesh.last.path / "target" / "manifest.json").read_text())
    full["metadata"]["adapter_type"] = "snowflake"
    full["nodes"]["model.up.orders"]["relation_name"] = "UP_PROD.MARTS.orders"
    parsed = tmp_path / "manifest.json"
    parsed.write_text(json.dumps(full))
    latest = mesh.registry / "up" / "local" / "latest" / "manifest.json"
    document = json.loads(latest.read_text())
    document["metadata"] |= {"env": {}, "adapter_type": "snowflake"}
    for relation, problem in (
        ("up_prod.marts.ORDERS", ""),
        (
            'UP_PROD.MARTS."orders"',
            "at UP_PROD.MARTS.ORDERS, but it is published at UP_PROD.MARTS.o",
        ),
    ):
        document["nodes"]["model.up.orders"]["relation_name"] = relation
        latest.write_text(json.dumps(document))
        said = mesh.last.run(VALIDATE, "--manifest", parsed).stdout
        lines = [line for line in said.splitlines() if "reads up.orders" in line]
        assert len(lines) == bool(problem)
        assert all(problem in line for line in lines)


def test_a_source_written_by_hand(made: Mesh, tmp_path: Path) -> None:
    """What reaches past the contract is found by its database; what reads a public model's own
    relation resolves, whatever it is called."""
    write(made.hub, SHORTCUT)
    try:
        made.hub.dbt("parse", "--target-path", str(tmp_path))
        said = made.hub.refused(VALIDATE, "--manifest", tmp_path / "manifest.json", status=2)
    finally:
        for name in SHORTCUT:
            (made.hub.path / "models" / name).unlink()
    *problems, total = said.splitlines()
    assert total == "6 edges to 1 project, 1 of them unresolved"
    assert problems == [
        "hub.shortcut reads up.raw.orders at UP_LOCAL.RAW.orders, which up does not publish: read "
        "one of its public models, through the generated source"
    ]


def test_a_chain_goes_on_behind_private_models(mesh: Mesh, tmp_path: Path) -> None:
    """From an upstream through a hub's staging to who reads the hub: the map has every step, and
    what is private to the hub and reads nobody stays there."""
    try:
        for member, files in ((mesh.hub, CHAIN), (mesh.last, LEAF)):
            write(member, files)
            target = tmp_path / member.path.name
            member.dbt("parse", "--target-path", str(target))
            manifest = ("--manifest", target / "manifest.json")
            if member is mesh.hub:
                member.ok("scripts/publish_manifest.py", *manifest)
                mesh.last.ok("scripts/sync_mesh.py")
            member.ok(VALIDATE, *manifest, "--record")
    finally:
        for member, files in ((mesh.hub, CHAIN), (mesh.last, LEAF)):
            for name in files:
                (member.path / "models" / name).unlink(missing_ok=True)
    drawn = mesh_map.gather(Location(mesh.registry.as_uri(), "local"))
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    chain = ("up.orders", "hub.stg_orders", "hub.daily", "hub.monthly", "last.leaf")
    assert edges >= {(f"model.{one}", f"model.{next_}") for one, next_ in pairwise(chain)}
    assert {"cleaned", "between"}.isdisjoint(node.name for node in drawn.nodes)
    published = (mesh.registry / "hub" / "local" / "latest" / "manifest.json").read_text()
    for private in ("stg_orders", "cleaned", "between"):
        assert f"hub.{private}" not in published


def test_an_upstream_that_mesh_yml_does_not_name(mesh: Mesh) -> None:
    facts = mesh.last.path / "mesh.yml"
    kept = facts.read_text()
    facts.write_text(kept.replace("  - name: hub\n    database_prefix: HUB\n", ""))
    try:
        said = mesh.last.refused(VALIDATE, status=2)
    finally:
        facts.write_text(kept)
    assert said.splitlines()[0] == (
        "last.last reads hub.hub_orders, but mesh.yml does not name hub as an upstream: add it "
        "with `copier update --trust --skip-answered --ask upstreams`"
    )


@pytest.mark.parametrize(("day", "when"), [("2020-01-01", "days ago"), ("2999-01-01", "in ")])
def test_deprecations_are_told_and_do_not_fail(mesh: Mesh, day: str, when: str) -> None:
    def change(nodes: dict[str, Any]) -> None:
        nodes["model.up.customers.v1"]["deprecation_date"] = f"{day}T00:00:00+02:00"
        nodes["model.up.orders"]["deprecation_date"] = f"{day}T00:00:00-05:00"

    mesh.change("up", change)
    done = mesh.hub.run(VALIDATE)
    assert done.returncode == 0
    assert done.stdout == "4 edges to 1 project, all resolve\n"
    customers, orders = done.stderr.splitlines()
    assert f"reads up.customers_v1, which is deprecated on {day} (" in customers
    assert when in customers
    assert customers.endswith("move to customers_v2")
    assert orders.endswith("ask its owners what replaces it")


# orders became two versions, as the gate's way out has it: what was published is the latest one.
ORDERS_V1 = {
    **{"unique_id": "model.up.orders.v1", "version": 1, "latest_version": 1},
    "deprecation_date": "2999-01-01",
}


def versioned(nodes: dict[str, Any]) -> None:
    orders = nodes.pop("model.up.orders")
    nodes["model.up.orders.v1"] = orders | ORDERS_V1


def newer(nodes: dict[str, Any]) -> None:
    versioned(nodes)
    other = {"unique_id": "model.up.orders.v2", "version": 2, "deprecation_date": None}
    relation = '"UP_LOCAL"."MARTS"."orders_v2"'
    nodes["model.up.orders.v2"] = nodes["model.up.orders.v1"] | other | {"relation_name": relation}


def newer_for_others(nodes: dict[str, Any]) -> None:
    newer(nodes)
    node = nodes["model.up.orders.v2"]
    node["config"] = node["config"] | {"meta": {"consumers": ["somebody_else"]}}


def newer_deprecated(nodes: dict[str, Any]) -> None:
    newer(nodes)
    nodes["model.up.orders.v2"]["deprecation_date"] = "2999-02-01"


@pytest.mark.parametrize(
    ("change", "way_out"),
    [
        (newer, "move to orders_v2"),
        (versioned, "there is no newer version to move to yet: ask its owners"),
        (newer_for_others, "there is no newer version to move to yet: ask its owners"),
        (newer_deprecated, "there is no newer version to move to yet: ask its owners"),
    ],
)
def test_a_model_that_got_versions(
    mesh: Mesh, change: Callable[[dict[str, Any]], None], way_out: str
) -> None:
    """Its readers' sources are those of the sync before; the relation has not changed."""
    mesh.change("up", change)
    for member in (mesh.hub, mesh.last):
        done = member.run(VALIDATE)
        assert done.returncode == 0, done.stdout
        assert "all resolve" in done.stdout
        lines = [line for line in done.stderr.splitlines() if "reads up.orders, " in line]
        (said,) = {line.split(", which ")[1] for line in lines}
        assert said.startswith("is deprecated on 2999-01-01 (")
        assert said.endswith(way_out)


def test_a_version_that_took_the_name_of_a_model(mesh: Mesh) -> None:
    """It lies elsewhere: then the sources have to be synced."""

    def change(nodes: dict[str, Any]) -> None:
        versioned(nodes)
        nodes["model.up.orders.v1"]["relation_name"] = '"UP_LOCAL"."MARTS"."orders_v1"'

    mesh.change("up", change)
    assert mesh.hub.refused(VALIDATE, status=2).splitlines()[1] == (
        "hub.hub_orders reads up.orders at UP_LOCAL.MARTS.orders, but it is published at "
        "UP_LOCAL.MARTS.orders_v1: sync again, for this environment"
    )


def test_offline(mesh: Mesh, tmp_path: Path) -> None:
    """Against the last good copies."""
    nowhere = ("--registry", (tmp_path / "nowhere").as_uri())
    for member in (mesh.hub, mesh.last):
        assert "all resolve" in member.ok(VALIDATE, "--offline", *nowhere)
    copy = mesh.last.path / "state/up/manifest.json"
    kept = copy.read_bytes()
    try:
        copy.write_bytes(kept.replace(b"orders", b"0rders"))
        assert "is not what was synced" in mesh.last.refused(VALIDATE, "--offline")
        copy.unlink()
        assert "there is no copy of up" in mesh.last.refused(VALIDATE, "--offline")
    finally:
        copy.write_bytes(kept)


def test_wrong_input(mesh: Mesh, tmp_path: Path) -> None:
    """Each in a line or two, and never a traceback."""
    file = tmp_path / "manifest.json"
    manifest = ("--manifest", file)
    assert "is missing: run `dbt parse` first" in mesh.hub.refused(VALIDATE, *manifest)
    built = (mesh.hub.path / "target" / "manifest.json").read_bytes()
    for body in (b"", built[:-1000], b"[]", b"null", b"\xff", b'{"metadata": {}, "nodes": [1]}'):
        file.write_bytes(body)
        assert "is not a dbt manifest" in mesh.hub.refused(VALIDATE, *manifest)
    other = mesh.up.path / "target" / "manifest.json"
    said = mesh.hub.refused(VALIDATE, "--manifest", other)
    assert "is of project 'up', not 'hub'" in said
    said = mesh.hub.refused(VALIDATE, "--env", "other", "--registry", mesh.registry.as_uri())
    assert "up has published nothing to" in said


# --- Contracts of another target ------------------------------------------------------------------


ON_A_LAPTOP = (
    "lies in UP_LOCAL, on a laptop, but target prod is Snowflake: run "
    "scripts/sync_mesh.py --env prod"
)
ON_SNOWFLAKE = (
    "lies in UP_PROD, on Snowflake, but target local is a laptop: run "
    "scripts/sync_mesh.py --env local"
)
# Without an account: dbt renders the macro, and never connects.
CHECK = (
    *("compile", "--no-introspect", "--no-populate-cache"),
    *("--inline", "{{ check_mesh_environment() }}", "--target"),
)


@pytest.fixture
def on_snowflake(mesh: Mesh) -> Mesh:
    """up and hub have published from Snowflake, too."""
    for project in ("up", "hub"):
        full = (mesh.registry / project / "local" / "latest" / "manifest.json").read_text()
        document = json.loads(full.replace(f"{project.upper()}_LOCAL", f"{project.upper()}_PROD"))
        document["metadata"] |= {"env": {}, "adapter_type": "snowflake"}
        for node in document["nodes"].values():  # dbt writes no quotes on Snowflake
            node["relation_name"] = node["relation_name"].replace('"', "")
        latest = mesh.registry / project / "prod" / "latest" / "manifest.json"
        latest.parent.mkdir(parents=True)
        latest.write_text(json.dumps(document))
    return mesh


def test_contracts_of_another_target(on_snowflake: Mesh) -> None:
    where = ("--registry", on_snowflake.registry.as_uri(), "--env")
    for member in (on_snowflake.hub, on_snowflake.last):
        assert refused_by_dbt(member, *CHECK, "prod") == ON_A_LAPTOP
        member.ok("scripts/sync_mesh.py", *where, "prod")
        try:
            member.dbt(*CHECK, "prod")
            assert refused_by_dbt(member, "build") == ON_SNOWFLAKE
        finally:
            member.ok("scripts/sync_mesh.py", *where, "local")


def test_offline_on_a_laptop_a_project_reads_what_was_synced(
    on_snowflake: Mesh, tmp_path: Path
) -> None:
    """dbt parses for target local unless told otherwise, whatever was synced."""
    where = ("--registry", on_snowflake.registry.as_uri(), "--env")
    for member in (on_snowflake.hub, on_snowflake.last):
        member.ok("scripts/sync_mesh.py", *where, "prod")
        try:
            member.dbt("parse", "--target-path", str(tmp_path))
            assert "all resolve" in member.ok(
                VALIDATE, "--offline", "--manifest", tmp_path / "manifest.json"
            )
        finally:
            member.ok("scripts/sync_mesh.py", *where, "local")


def refused_by_dbt(member: Member, *command: str, **environment: str) -> str:
    """The line that says why, from "lies in" on; dbt has not built anything."""
    done = member.run("dbt", "--no-use-colors", *command, **environment)
    assert done.returncode != 0, done.stdout
    assert "create sql table" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if " lies in " in line]
    assert lines, done.stdout
    return lines[0][lines[0].index("lies in ") :]
