"""A downstream of any project builds at once: its first model is made of what is published here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import joining
import pytest
import starter
import yaml

from fleet.render import Source
from tests import engines
from tests.conftest import BIN, Member, Render, dbt_of
from tests.test_members import follow_readme, write_model
from tests.warm import run

YAML = "models:\n" + "".join(
    f"  - name: {name}\n    config: {{access: public}}\n" for name in ("invoices", "payments")
)

OURS: dict[str, Any] = {"resource_type": "model", "package_name": "finance", "access": "public"}
NOT_FOR_ALL = (
    {**OURS, "name": "x') }} {{ run_query('drop"},
    {**OURS, "name": "kept", "access": "protected"},
    {**OURS, "name": "few", "config": {"meta": {"consumers": "a"}}},
    {**OURS, "name": "theirs", "package_name": "other"},
    {**OURS, "name": 3},
    {**OURS, "name": True},
)
PUBLISH = "scripts/publish_manifest.py"


def copy(template: Source, folder: Path, home: Path, *data: str) -> Member:
    given = [word for each in data for word in ("--data", each)]
    command: list[str | Path] = [BIN / "copier", "copy", "--trust", "--defaults", "--quiet"]
    command += ["--vcs-ref", str(template.ref), *given, template.url, folder]
    done = run(command, folder.parent, {**os.environ, "DBT_MESH_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    return Member(folder, {"DBT_MESH_HOME": str(home)})


@pytest.fixture(scope="module")
def finance(
    render_into: Render, tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]
) -> Member:
    """A real upstream: none of the demo's models."""
    member = render_into(
        tmp_path_factory.mktemp("real") / "finance", kind="upstream", starter=False, **quick
    )
    for name in ("invoices", "payments"):
        (member.path / "models").mkdir(exist_ok=True)
        (member.path / f"models/{name}.sql").write_text(f"select 1 as {name}_id\n")
    (member.path / "models/_models.yml").write_text(YAML)
    member.dbt("build")
    member.ok(PUBLISH)
    return member


@pytest.mark.parametrize("call", ["source", "ref"])
def test_it_reads_what_the_upstream_publishes(
    template: Source, finance: Member, tmp_path: Path, call: str
) -> None:
    home = Path(finance.environment["DBT_MESH_HOME"])
    how = f"starter_reads={call}"
    member = copy(template, tmp_path / "books", home, "kind=native", "upstreams=finance", how)
    (model,) = (member.path / "models").rglob("*.sql")
    assert f"{call}('finance', 'invoices')" in model.read_text()
    assert "It publishes payments, too." in model.read_text()
    member.ok("scripts/sync_mesh.py")  # the README's first block
    member.dbt("build")
    assert "1 edge" in member.ok("scripts/validate_lineage.py")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "not JSON",
        "{}",
        '{"nodes": []}',
        json.dumps({"nodes": {str(number): each for number, each in enumerate(NOT_FOR_ALL)}}),
    ],
    ids=["nothing", "no JSON", "no nodes", "a list", "none for all"],
)
def test_where_nothing_can_be_read_there_is_none_and_it_builds(
    template: Source, tmp_path: Path, text: str | None
) -> None:
    home = tmp_path / "home"
    if text is not None:
        manifest = home / "registry/finance/local/latest/manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(text)
    member = copy(template, tmp_path / "books", home, "kind=native", "upstreams=finance")
    assert not list(member.path.rglob("models/*.sql"))


@pytest.mark.parametrize("release", [engines.OURS, engines.V2])
def test_the_readme_s_first_block_runs_where_the_upstream_is_not_there(
    template: Source, tmp_path: Path, release: str
) -> None:
    dbt = dbt_of(release)
    given = ("kind=native", "upstreams=finance", f"engine={dbt.engine}")
    path = copy(template, tmp_path / "books", tmp_path / ".mesh", *given).path
    member = Member(path, {"DBT_MESH_HOME": str(tmp_path / ".mesh"), **dbt.environment})
    write_model(member)  # of its own, without which dbt opens no database
    follow_readme(member)
    member.dbt("parse", "--no-partial-parse", "--warn-error")  # no settings of what is not there
    (path / "models/staging").mkdir()
    (path / "models/staging/stg.sql").write_text("select * from {{ source('finance', 'x') }}\n")
    said = member.refused("scripts/sync_mesh.py")
    assert "finance has published nothing on this machine yet" in said
    assert "`scripts/stub_mesh.py --rows 5` here" in said


@pytest.mark.parametrize("kind", ["upstream", "native"])
def test_settings_of_folders_that_are_not_there_are_comments(
    template: Source, tmp_path: Path, kind: str
) -> None:
    """As they stand there they work, once the comment's sign is taken out."""
    data = [f"kind={kind}", "starter=false"]
    data += ["upstreams=finance", "starter_reads=ref"] if kind == "native" else []
    path = copy(template, tmp_path / "books", tmp_path, *data).path / "dbt_project.yml"
    text = path.read_text()
    hint = r"^ *# once there is a folder [\w/]+:\n"
    assert len(re.findall(hint, text, re.M)) == (2 if kind == "upstream" else 1)
    before, _, rest = text.partition("\nmodels:\n")
    rest = re.sub(r"^( *)# ", r"\1", re.sub(hint, "", rest, flags=re.M), flags=re.M)
    settings = yaml.safe_load(f"{before}\nmodels:\n{rest}")
    assert settings["models"]["books"]["staging"] == {"+schema": "STAGING", "+materialized": "view"}
    assert settings.get("seeds") == ({"books": {"+schema": "RAW"}} if kind == "upstream" else None)


@pytest.mark.parametrize(
    "upstreams",
    ["finance", " finance, other", "finance=FIN", "finance:FIN", "finance@s3://acme-mesh/registry"],
)
def test_the_first_upstream_is_found_however_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstreams: str
) -> None:
    monkeypatch.setenv("DBT_MESH_HOME", str(tmp_path))
    manifest = tmp_path / "registry/finance/local/latest/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"nodes": {"a": {**OURS, "name": "invoices"}}}))
    (tmp_path / "books").mkdir()
    answers = {"kind": "native", "starter": "false", "upstreams": upstreams}
    made = starter.make(tmp_path / "books", answers)
    assert made is not None
    assert made.name == "first_invoices.sql"


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [("dbt_up", True), ("dbt_up@s3://acme-mesh/registry", True), ("finance:DBT_UP", False)],
)
def test_the_demos_upstream_has_the_models_that_the_starter_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstreams: str, expected: bool
) -> None:
    monkeypatch.setenv("DBT_MESH_HOME", str(tmp_path / "home"))
    conf = {"dst_path": tmp_path, "answers_file": ".copier-answers.yml"}
    assert joining.publishes_orders(upstreams, conf) is expected


def test_a_manifest_without_end_is_none(tmp_path: Path) -> None:
    deep, pipe = tmp_path / "deep.json", tmp_path / "pipe.json"
    deep.write_text('{"nodes":' * 100_000)
    os.mkfifo(pipe)
    assert starter.published(deep, "finance") == starter.published(pipe, "finance") == []


def test_a_loom_member_builds_before_its_first_sync(
    template: Source, finance: Member, tmp_path: Path
) -> None:
    home = Path(finance.environment["DBT_MESH_HOME"])
    member = copy(template, tmp_path / "books", home, "kind=loom", "upstreams=finance")
    assert not list(member.path.rglob("models/*.sql"))
    member.dbt("build")


def test_models_that_are_there_are_enough(
    template: Source, finance: Member, tmp_path: Path
) -> None:
    (tmp_path / "books/models").mkdir(parents=True)
    (tmp_path / "books/models/mine.sql").write_text("select 1 as id\n")
    home = Path(finance.environment["DBT_MESH_HOME"])
    member = copy(template, tmp_path / "books", home, "kind=native", "upstreams=finance")
    assert [path.name for path in (member.path / "models").rglob("*.sql")] == ["mine.sql"]
