"""A downstream of any project builds at once: its first model is made of what is published here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import joining
import pytest
import starter

from fleet.render import Source
from tests.conftest import BIN, Member, Render

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
    subprocess.run(
        [*command, "--vcs-ref", str(template.ref), *given, template.url, folder],
        env={**os.environ, "DBT_MESH_HOME": str(home)},
        check=True,
        capture_output=True,
    )
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
    if text is None:
        member.dbt("build")


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
