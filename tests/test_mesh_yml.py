"""mesh.yml as a pull request may have it: a member, or one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbtmesh import MeshError
from dbtmesh.config import Member, load_member
from tests.test_fleet_output import BOMB
from tests.test_untrusted_manifest import JSON, paths, put

FACTS: dict[str, Any] = {
    **{"project": "dbt_down", "kind": "native", "engine": "core", "publishes": False},
    **{"database_prefix": "DBT_DOWN", "github_repository": "acme/down", "deploy_branch": "main"},
    **{"deploy_environment": "prod", "ci_environment": "ci", "deployment": "independent"},
    **{
        "answers_file": ".copier-answers.mesh.yml",
        "bucket": "acme-mesh",
        "aws_region": "us-east-1",
    },
    "upstreams": [
        {"name": "dbt_up", "database_prefix": "DBT_UP", "database": "UP", "databases": ["MORE"]}
    ],
    "snowflake": {"account": "ORG-ACC", "warehouse": "W", "role": "R", "service_user": "S"},
}


def read(folder: Path, text: str) -> Member:
    (folder / "mesh.yml").write_text(text, encoding="utf-8")
    return load_member(folder)


def test_as_it_is(tmp_path: Path) -> None:
    member = read(tmp_path, yaml.safe_dump(FACTS))
    assert member.deploy_branch == "main"
    assert member.answers_file == ".copier-answers.mesh.yml"


@pytest.mark.parametrize("name", ["My-db", "A$B", "a b.c", "UP"])
def test_an_upstreams_database_has_any_name(tmp_path: Path, name: str) -> None:
    upstream = {"name": "up", "database_prefix": "UP", "database": name, "databases": [name]}
    (found,) = read(tmp_path, yaml.safe_dump({**FACTS, "upstreams": [upstream]})).upstreams
    assert (found.prod_database, found.more_databases) == (name, (name,))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        *(("deploy_branch", value, "which is not a text") for value in (1.10, True, 123, 0o755)),
        *(("bucket", value, "which is not a text") for value in (123, ["x"], {"a": 1})),
        ("deploy_branch", "main\n::error::x", "not a valid name"),
        ("deploy_environment", 1, "which is not a text"),
        ("deployment", "whenever", "not one of sequential"),
        ("deployment", ["x"], "not one of sequential"),
        ("kind", {"a": 1}, "`kind`"),
        ("engine", True, "not one of core"),
        ("project", "../../x", "not a valid name"),
        ("project", 123, "which is not a text"),
        ("answers_file", "../../x.yml", "not a valid name"),
        ("answers_file", "..", "not a valid name"),
        ("answers_file", "/etc/passwd", "not a valid name"),
        ("github_repository", "acme/down\n::error::", "not a valid name"),
        ("aws_region", "us-east-1/../x", "not a valid name"),
        ("upstreams", [{"name": "../x", "database_prefix": "X"}], "not a valid name"),
        ("upstreams", [{"name": "x", "database_prefix": 'X"; drop'}], "not a valid name"),
        ("upstreams", [{"name": "x", "database_prefix": 1}], "which is not a text"),
        *(
            ("upstreams", [{"name": "x", "database_prefix": "X", **wrong}], "not a valid name")
            for wrong in ({"database": 'a"b'}, {"database": "a\nb"}, {"databases": ["{{ x }}"]})
        ),
        ("snowflake", {"account": "evil.example/"}, "not a valid name"),
        ("snowflake", {"account": 1}, "which is not a text"),
    ],
)
def test_a_value_that_is_none(tmp_path: Path, field: str, value: object, said: str) -> None:
    with pytest.raises(MeshError, match=said) as caught:
        read(tmp_path, yaml.safe_dump(FACTS | {field: value}))
    assert str(caught.value).startswith("mesh.yml: `")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", [BOMB + "project: *i\n", "a: [\n" * 2000, "a: &a [*a]", "a: !!bool x", "\0", "[]", "1"]
)
def test_a_text_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(MeshError, match=r"^mesh\.yml") as caught:
        read(tmp_path, text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "mesh.yml").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a file"):
        load_member(tmp_path)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_whatever_it_holds(tmp_path: Path, data: st.DataObject) -> None:
    content = FACTS
    path = data.draw(st.sampled_from([*paths(content)]))
    content = put(content, path, data.draw(JSON))
    try:
        member = read(tmp_path, yaml.safe_dump(content))
    except MeshError:
        return
    for text in (member.deploy_branch, member.deploy_environment, member.answers_file):
        assert isinstance(text, str)
        assert "\n" not in text
    assert "/" not in member.answers_file
