"""The oldest and the newest dbt Core on Snowflake, against the stand-in: a mesh, and slim CI.

The release between them is that of all other tests, and dbt v2 has a module of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import Render, dbt_of
from tests.engines import Dbt
from tests.snowflake_members import DEMO, World, make_world, render_demo

PROD = "build --target prod"
# each thread signs in for itself, and that takes as long as to build a model
READER = "run --target prod --threads 1"
AGAIN = "run --target prod --threads 1 --select public_orders rates"
SLIM = "--target ci --threads 1 --state kept --select state:modified+"
POINTER = """
models:
  - name: rates
    latest_version: 2
    config: {access: public, latest_version_pointer: {enabled: true}}
    versions: [{v: 1}, {v: 2}]
"""
READ = {
    "1.10": {"MARTS.PUBLIC_ORDERS"},
    "1.12": {"MARTS.PUBLIC_ORDERS", "MARTS.RATES_V1", "MARTS.RATES_V2", "MARTS.RATES"},
}
"""What a reader may read of the upstream. MARTS.RATES is a view without a node, of dbt 1.12."""


@dataclass
class Mesh:
    """The demo's three members, and the dbt that they run on."""

    world: World
    dbt: Dbt

    def run(self, name: str, *commands: str, **environment: str) -> list[str]:
        """What each command of dbt printed; all have to succeed."""
        member = self.world.members[name]
        ended = self.dbt.run_all(member.path, {**member.environment, **environment}, *commands)
        for status, said in ended:
            assert status == 0, said
        return [said for _, said in ended]


@pytest.fixture(scope="module", params=["1.10", "1.12"])
def mesh(
    request: pytest.FixtureRequest, render_into: Render, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mesh]:
    dbt = dbt_of(request.param)
    folder = tmp_path_factory.mktemp(f"snowflake {dbt.release}")
    members = render_demo(render_into, folder)
    if dbt.release == "1.12":
        marts = members[DEMO[0]].path / "models/marts"
        (marts / "rates.yml").write_text(POINTER)
        for version in (1, 2):
            (marts / f"rates_v{version}.sql").write_text("select 1 as rate\n")
    for world in make_world(folder, members, kept=True):
        yield Mesh(world, dbt)


def test_a_mesh_is_deployed_read_and_changed(mesh: Mesh) -> None:
    world, (upstream, *readers) = mesh.world, DEMO
    up = world.members[upstream]
    first, again = mesh.run(upstream, PROD, AGAIN)
    assert f"dbt={mesh.dbt.release}" in first
    assert "PUBLIC_READ" not in again  # nothing is left to grant or to revoke
    told = {(each["project"], each["target"]) for each in world.query_comments("DBT_UP_SVC")}
    assert told == {(upstream, "prod")}
    up.ok("scripts/publish_manifest.py")
    for name in readers:  # native and loom
        world.members[name].ok("scripts/sync_mesh.py")
        mesh.run(name, READER)
        assert "all resolve" in world.members[name].ok("scripts/validate_lineage.py")
    for role in ("DBT_DOWN_ROLE", "DBT_DOWN_DEV_ROLE"):
        assert world.readable(role) == READ[mesh.dbt.release]

    # a pull request, as ci.yml builds it
    shutil.copytree(up.path / "target", up.path / "kept")
    model = up.path / "models/marts/public_orders.sql"
    model.write_text(model.read_text() + "\n-- changed\n")
    clone = f"clone {SLIM},config.materialized:incremental,state:old"
    mesh.run(upstream, clone, f"build {SLIM}", DBT_PR_NUMBER="7", DBT_DEFER="true")
    made = world.relations("DBT_UP_DEV")
    assert made == {("PR_7", "PUBLIC_ORDERS"), ("PR_7", "DAILY_REVENUE")}
    for name in DEMO:
        for user in (f"{name.upper()}_SVC", f"{name.upper()}_CI_SVC"):
            assert world.denied(user) == []
