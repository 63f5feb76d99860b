"""Rendered members: who gets which files, and what their people do first."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import BIN, Member, Render
from tests.warm import nested, programs

TARGETS = ["local", "dev", "ci", "prod"]
KINDS: dict[str, dict[str, Any]] = {
    "upstream": {"kind": "upstream"},
    "native": {"kind": "native"},
    "loom": {"kind": "loom"},
    "native hub": {"kind": "native", "publishes": True},
    "loom hub": {"kind": "loom", "publishes": True},
}
PUBLISHER = {"scripts/publish_manifest.py"}
DOWNSTREAM = {"scripts/sync_mesh.py", "scripts/validate_lineage.py"}
LOOM = {"dbt_loom.config.yml", "dependencies.yml"}
EVERYONE = {
    ".copier-answers.yml",
    ".gitignore",
    "README.md",
    "dbt_project.yml",
    "mesh.yml",
    "profiles.yml",
    "requirements.txt",
    "constraints.txt",
    "scripts/doctor.py",
    "scripts/snowflake_access.py",
    "scripts/stub_mesh.py",
}


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("upstream", PUBLISHER),
        ("native", DOWNSTREAM),
        ("loom", DOWNSTREAM | LOOM),
        ("native hub", DOWNSTREAM | PUBLISHER),
        ("loom hub", DOWNSTREAM | LOOM | PUBLISHER),
    ],
)
def test_each_kind_gets_its_layers_and_no_other(
    render: Render, kind: str, layers: set[str]
) -> None:
    files = render(**KINDS[kind]).files().keys()
    assert files >= EVERYONE | layers
    assert not files & ((PUBLISHER | DOWNSTREAM | LOOM) - layers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_holds_few_files_that_are_not_its_own(render: Render, kind: str) -> None:
    files = render(**KINDS[kind], starter=False).files()
    assert len([path for path in files if not path.startswith(".github/")]) <= (
        34 if "hub" in kind else 32
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_template_syntax_is_left_and_every_yaml_file_can_be_read(
    render: Render, kind: str
) -> None:
    member = render(**KINDS[kind])
    for path, content in member.files().items():
        assert "{{" not in path
        assert "{%" not in path
        assert not path.endswith(".jinja")
        if path.endswith((".yml", ".yaml")) and path != "aws/registry.yml":  # cfn-lint reads that
            yaml.safe_load(content)
        # what Copier rendered has no Jinja left; what dbt renders does
        if path in ("mesh.yml", "requirements.txt", ".gitignore", "aws/registry.yml"):
            assert b"{{" not in content


def write_model(member: Member) -> None:
    (member.path / "models").mkdir()
    (member.path / "models/mine.sql").write_text("select 1 as id\n")


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_without_the_starter_there_are_no_models_or_seeds(render: Render, kind: str) -> None:
    member = render(kind=kind, starter=False)
    assert not [path for path in member.files() if path.startswith(("models/", "seeds/"))]
    # dbt warns of settings of folders that are not there
    write_model(member)
    member.dbt("parse", "--warn-error")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_member_requires_is_what_is_tested_here(render: Render, kind: str) -> None:
    lines = (render(**KINDS[kind]).path / "requirements.txt").read_text().splitlines()
    for line in lines:
        if line and not line.startswith(("#", "./")):
            requirement = Requirement(line)
            assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


@pytest.mark.parametrize("kind", KINDS)
def test_commands_teach_and_can_be_run_as_they_are(render: Render, kind: str) -> None:
    member = render(**KINDS[kind])
    commands = [
        path for path in (member.path / "scripts").glob("*.py") if not path.name.startswith("_")
    ]
    assert commands
    for command in commands:
        assert os.access(command, os.X_OK), command
        text = member.ok(f"scripts/{command.name}", "--help")
        assert "Exit status" in text, command
        assert text.startswith(f"usage: scripts/{command.name} ")


@pytest.fixture(scope="module")
def mesh(
    tmp_path_factory: pytest.TempPathFactory, render_into: Render, quick: dict[str, str]
) -> dict[str, Member]:
    """The mesh of the architecture document plus a hub and its reader, built by each README's
    own commands, in a folder with a space in its name. On two engines, as meshes are."""
    folder = tmp_path_factory.mktemp("a mesh")
    answers: dict[str, dict[str, Any]] = {
        "dbt_up": {"kind": "upstream", **quick},
        "dbt_down": {"kind": "native", **quick},
        "dbt_down_loom": {"kind": "loom"},
        "dbt_hub": {"kind": "loom", "publishes": True},
        "dbt_last": {"kind": "native", "upstreams": "dbt_up,dbt_hub", **quick},
    }
    members = {}
    for name, given in answers.items():
        members[name] = render_into(folder / name, project_name=name, **given)
        follow_readme(members[name])
    return members


def follow_readme(member: Member) -> None:
    """Runs the first code block of the README as it stands, but for the installation, which is
    the environment of the tests."""
    block = re.search(r"```bash\n(.*?)```", (member.path / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = [line for line in block[1].splitlines() if not re.match(r"python3 -m venv|pip ", line)]
    environment = {**os.environ, **nested(), **member.environment}
    begins_warm = f"{programs()}{os.pathsep}{BIN}"
    environment["PATH"] = environment["PATH"].replace(str(BIN), begins_warm, 1)
    del environment["DBT_MESH_HOME"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=member.path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rows(mesh: dict[str, Member], member: str, query: str) -> list[tuple[Any, ...]]:
    database = mesh[member].path.parent / ".mesh" / f"{member.upper()}_LOCAL.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_following_the_readme_builds_each_kind_of_member(mesh: dict[str, Member]) -> None:
    query = "select order_id, customer_value_so_far from MARTS.downstream_orders order by 1"
    native, loom = rows(mesh, "dbt_down", query), rows(mesh, "dbt_down_loom", query)
    assert native == loom
    assert len(native) > 50
    assert rows(mesh, "dbt_hub", query) == native


def test_schemas_are_those_of_the_architecture_document(mesh: dict[str, Member]) -> None:
    query = "select distinct table_schema from information_schema.tables where table_catalog = '{}'"
    found = {row[0] for row in rows(mesh, "dbt_up", query.format("DBT_UP_LOCAL"))}
    assert found == {"RAW", "STAGING", "MARTS"}
    found = {row[0] for row in rows(mesh, "dbt_down", query.format("DBT_DOWN_LOCAL"))}
    assert found == {"STAGING", "MARTS"}


def test_public_orders_does_what_its_documentation_says(mesh: dict[str, Member]) -> None:
    total, distinct, cancelled = rows(
        mesh,
        "dbt_up",
        "select count(*), count(distinct order_id), count(*) filter (status = 'cancelled' and "
        "(customer_order_number is not null or net_amount <> 0)) from MARTS.public_orders",
    )[0]
    assert total == distinct > 50
    assert cancelled == 0


def test_the_incremental_model_takes_in_a_late_change(mesh: dict[str, Member]) -> None:
    """A second run computes the last days again and does not double them."""
    query = "select count(*), sum(orders), sum(revenue) from MARTS.daily_revenue"
    before = rows(mesh, "dbt_up", query)
    mesh["dbt_up"].dbt("build", "--select", "daily_revenue")
    assert rows(mesh, "dbt_up", query) == before


def test_a_hub_publishes_its_own_models_and_not_those_it_reads(mesh: dict[str, Member]) -> None:
    sources = (mesh["dbt_last"].path / "models/_mesh_dbt_hub.yml").read_text()
    assert "downstream_orders" in sources
    assert "public_orders" not in sources


@pytest.mark.parametrize("name", ["dbt_down", "dbt_down_loom"])
def test_the_unit_test_of_the_readme_passes(mesh: dict[str, Member], name: str) -> None:
    text, models = (mesh[name].path / "README.md").read_text(), mesh[name].path / "models"
    (example,) = re.findall(r"```yaml\n(unit_tests:.*?)```", text, re.DOTALL)
    (read,) = re.findall(r'input: "(.*?)"', example)
    added = {
        models / "my_model.sql": f"select count(*) as orders from {{{{ {read} }}}}\n",
        models / "_my_model.yml": example,
    }
    for path, content in added.items():
        path.write_text(content)
    try:
        assert "counts_orders" in mesh[name].dbt("build", "--select", "my_model").stdout
    finally:
        for path in added:
            path.unlink()


@pytest.mark.parametrize("name", ["dbt_up", "dbt_down", "dbt_down_loom", "dbt_hub"])
@pytest.mark.parametrize("target", TARGETS)
def test_parsing_is_clean_for_every_target(mesh: dict[str, Member], name: str, target: str) -> None:
    flags = ("--target", target, "--no-partial-parse", "--warn-error")
    said = mesh[name].dbt("parse", *flags).stdout
    assert not re.findall(r".*(?:warn|deprecat).*", said, re.IGNORECASE)


def test_a_downstream_that_was_not_synced_says_so(render: Render) -> None:
    done = render(kind="native").run("dbt", "parse")
    assert done.returncode != 0
    assert "depends on a source named 'dbt_up.public_orders' which was not found" in done.stdout


def test_no_path_of_this_machine_gets_into_a_member(render: Render) -> None:
    member = render(kind="native")
    for path, content in member.files().items():
        if path != ".copier-answers.yml":  # where Copier keeps the template's address
            assert str(Path.home()).encode() not in content
            assert str(member.path.parent).encode() not in content


@pytest.mark.parametrize("kind", ["native", "loom"])
def test_a_reader_of_any_other_project_builds_at_once(render: Render, kind: str) -> None:
    """The demo's models read what only the demo's upstream publishes."""
    member = render(kind=kind, project_name="reader", upstreams="hub360")
    assert not [path for path in member.files() if path.startswith("models/")]
    member.dbt("build")
    assert "public_orders" not in (member.path / "README.md").read_text()


@pytest.mark.parametrize(
    "answers",
    [
        {"kind": "upstream"},
        {"kind": "native", "publishes": True, "alerts": "email", "github_pages": True},
        {"kind": "native", "engine": "v2"},
        {
            "kind": "native",
            "publishes": True,
            "auth": "workload_identity",
            "registry": "gcs",
            "alerts": "email",
            "github_pages": True,
        },
        {"kind": "loom", "publishes": True, "alerts": "email", "github_pages": True},
    ],
    ids=lambda answers: "-".join(map(str, answers.values())),
)
def test_the_readme_is_one_page_and_leads_to_snowflake(
    render: Render, answers: dict[str, Any]
) -> None:
    member = render(**answers)
    text = (member.path / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    steps = ["snowflake_access.py plan", "apply", "setup_keypair_auth.sh create", "verify"]
    if answers.get("auth") == "workload_identity":  # closed before anything trusts it
        steps[1:3] = ["setup_keypair_auth.sh create", "snowflake_access.py apply"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "export SNOWFLAKE_USER" in text
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        yaml.safe_load(block)
    here = text.replace("`dbt build && scripts/publish_manifest.py`", "")  # in an upstream's folder
    for script in re.findall(r"(?:scripts/\w+\.py|\./\w+\.sh)", here):
        assert (member.path / script).is_file(), script
    reads = answers["kind"] != "upstream"
    assert ("upstreams=" in text) is reads
    assert ("unit_tests:" in text) is reads
    assert ("latest_version:" in text) is (not reads or answers.get("publishes", False))
