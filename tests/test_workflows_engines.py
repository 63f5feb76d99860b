"""Workflows of members on the oldest and the newest dbt Core, executed: a deploy and its reader,
each on a release of its own, and a pull request to each.

tests/workflow_world.py says by what, and tests/actions.py what that cannot show. dbt v2 runs most
of the other workflows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Render, dbt_of
from tests.engines import PINS, Dbt
from tests.job_pip import site_of
from tests.workflow_world import Installed, Mesh, PullRequest, answers_of, git, opened, start

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]

RELEASES = {"dbt_up": "1.10", "dbt_down": "1.12"}
UNUSED = ("dbt_core_experimental_parser-2.0.0", "rapidfuzz-3.14.0", "tabulate-0.9.0")
"""Packages that dbt Core 1.12 demands and runs without. The build of the first fetches a binary."""


def demand(constraints: Path, pins: tuple[str, ...]) -> None:
    """Makes a member ask for other versions, as its people would."""
    named = {pin.partition("==")[0] for pin in pins}
    kept = [
        line
        for line in constraints.read_text().splitlines()
        if line.partition("==")[0] not in named
    ]
    constraints.write_text("\n".join([*kept, *pins]) + "\n")


def installed(dbt: Dbt, folder: Path) -> Path:
    """What `pip install --requirement requirements.txt` finds installed, and runs."""
    folder.mkdir()
    for path in site_of(dbt.program.parents[1]).iterdir():
        (folder / path.name).symlink_to(path)
    for package in UNUSED:
        stub = folder / f"{package}.dist-info"
        stub.mkdir()
        name, _, version = package.partition("-")
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (stub / "METADATA").write_text(text)
    return folder


@pytest.fixture(scope="module")
def mesh(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The upstream and its native reader in repositories of their own."""
    folder = tmp_path_factory.mktemp("mesh")
    members, dbts = {}, {}
    for name, release in RELEASES.items():
        dbt = dbt_of(release)
        members[name] = render_into(folder / name, **answers_of(name, False))
        demand(members[name].path / "constraints.txt", PINS[release])
        dbts[name] = Installed(dbt, installed(dbt, folder / f"packages of {name}"))
    for made in opened(folder, members, False, dbts):
        for name in members:
            start(made.folder(name), made.repository(name))
        yield made


def test_from_a_deploy_to_its_reader_and_a_pull_request_to_each(mesh: Mesh) -> None:
    for name, release in RELEASES.items():
        deployed = mesh.deploy(name, "workflow_dispatch")
        assert deployed.ok, deployed
        assert f"dbt={release}." in deployed.step("Build").output
        kept = mesh.actions.artifacts / "dbt/target"
        assert {path.name for path in kept.iterdir()} == {
            *("manifest.json", "run_results.json", "static_index.html")
        }
        shutil.rmtree(kept)
    assert len(mesh.rows("DBT_DOWN_PROD.MARTS.DOWNSTREAM_ORDERS")) == 56

    mesh.sync("dbt_down")
    # what a pull request changes is built on DuckDB, and in PR_7, on top of prod
    models = {"dbt_up": "marts/public_orders", "dbt_down": "downstream_orders"}
    built = {"dbt_up": {"PUBLIC_ORDERS", "DAILY_REVENUE"}, "dbt_down": {"DOWNSTREAM_ORDERS"}}
    for name, release in RELEASES.items():
        git(mesh.folder(name), "switch", "--quiet", "--create", "change")
        request = PullRequest(mesh, name, 7)
        request.edit(f"models/{models[name]}.sql", "final as (", "final as ( -- as it was")
        run = request.push("opened")
        assert run.ok, run
        assert f"dbt={release}." in run.step("Build").output
        assert mesh.snowflake.names_in(f"{name.upper()}_DEV", "PR_7") == built[name]
        (comment,) = request.comments
        assert "passed" in comment
        for model in built[name]:
            assert f"`model {model.lower()}`" in comment
    assert len(mesh.snowflake.clones_into("PR_7")) == 1  # of the incremental model of prod
