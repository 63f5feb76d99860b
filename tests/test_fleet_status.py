"""`fleet status`: what is said of each member, from clones, from GitHub and from the registry."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet import status
from fleet.members import Member
from fleet.mesh_graph import Consumption, Edge, Mesh, Node, Project, Publication
from fleet.releases import Releases
from fleet.status import Status
from tests import versions
from tests.fleet_world import World, world

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RELEASES = Releases(Path("/"), frozenset({"https://github.com/acme/mesh"}), ("v1.0.0", "v1.1.0"))
ANSWERS = "_src_path: gh:acme/mesh\n_commit: {}\nkind: native\nproject_name: {}\n"

# `gh api graphql` for two repositories that exist; counts how often it is asked.
FAKE_GH = """#!{python}
import json, os, re, sys
from pathlib import Path
Path(os.environ["FAKE_GH"], "asked").open("a").write("once\\n")
query = sys.argv[-1]
data = {{}}
for alias, name in re.findall(r'(m\\d+): repository\\(owner: "acme", name: "([^"]+)"', query):
    text = {answers!r}.format("v1.0.0", name)
    file = {{"text": text}} if name != "member_without" else None
    data[alias] = {{"object": file}} if name.startswith("member") else None
print(json.dumps({{"data": data}}))
sys.exit(None in data.values())
"""


def consumption(upstream: str, current: bool) -> Consumption:
    return Consumption(upstream, "native", None, None, "acme/finance", "v", current)


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(
        "file:///registry",
        "prod",
        [
            Project("sales", Publication("2", "2026-05-30T10:00:00Z")),
            Project("old", Publication("1", "2026-01-01T10:00:00Z")),
            Project("finance", None, {}, [consumption("sales", False), consumption("old", True)]),
        ],
        [
            Node("model.sales.a", "sales", "a", "public", contract=True),
            Node("model.sales.b", "sales", "b", "public"),
            Node("model.old.gone", "old", "gone", "missing"),
            Node("model.finance.f", "finance", "f", "reader"),
        ],
        [Edge("model.sales.a", "model.finance.f"), Edge("model.old.gone", "model.finance.f")],
    )


def test_what_the_answers_say() -> None:
    behind = status.of_answers("finance", ANSWERS.format("v1.0.0", "finance"), RELEASES)
    assert behind == Status("finance", "native", "v1.0.0", 1, project="finance")
    newest = status.of_answers("clone", ANSWERS.format("v1.1.0", "finance"), RELEASES)
    assert (newest.behind, newest.project, newest.problem) == (0, "finance", "")
    untagged = status.of_answers("x", ANSWERS.format("v1.0.0-2-gabcdef1", "x"), RELEASES)
    assert untagged.behind is None
    assert "untagged" in untagged.problem
    assert "no .copier-answers.yml" in status.of_answers("x", None, RELEASES).problem


def test_what_the_registry_says(mesh: Mesh) -> None:
    def of(name: str, kind: str = "upstream") -> Status:
        return status.with_registry(Status(name, kind, project=name), mesh, NOW, days=30)

    sales, old, finance = of("sales"), of("old"), of("finance", "native")
    assert sales.contract == "1 of 2 public models under contract"
    assert sales.published_at.startswith("2026-05-30")
    assert sales.stale == ""
    assert old.stale == "not published for 150 days"
    assert finance.contract == "reads what is published no more: old.gone"
    assert finance.stale == "built on an older publication of sales"
    assert of("new").contract == "never published"
    assert of("reader", "native").contract == ""


def test_members_that_the_registry_knows(mesh: Mesh) -> None:
    assert status.of_registry(mesh) == [Member("finance", "https://github.com/acme/finance.git")]


def test_members_that_share_a_repository_are_taken_to_be_in_folders_of_their_names(
    mesh: Mesh,
) -> None:
    mesh.projects.append(Project("risk", None, {}, [consumption("sales", True)]))
    address = "https://github.com/acme/finance.git"
    assert status.of_registry(mesh) == [
        Member("finance", address, "finance"),
        Member("risk", address, "risk"),
    ]


def test_github_is_asked_once_for_a_hundred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gh = tmp_path / "gh"
    gh.write_text(FAKE_GH.format(python=sys.executable, answers=ANSWERS))
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GH", str(tmp_path))
    names = [f"member{number}" for number in range(498)] + ["member_without", "hidden"]
    everyone = [Member(name, f"https://github.com/acme/{name}.git") for name in names]
    told = status.gather(everyone, RELEASES)
    assert [each.name for each in told] == names
    assert {each.behind for each in told[:498]} == {1}
    assert "no .copier-answers.yml" in told[498].problem
    assert "no repository acme/hidden" in told[499].problem
    assert len((tmp_path / "asked").read_text().splitlines()) == 5


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    versions.build(tmp_path / "template")
    with world(tmp_path / "fleet", tmp_path / "template") as made:
        yield made


def test_clones_and_any_git_server(fleet: World, tmp_path: Path) -> None:
    fleet.member("one", "v0.0.2", kind="native", starter=False)
    hub: dict[str, Any] = {"kind": "loom", "publishes": True, "starter": False}
    fleet.member("two", versions.newest(), **hub)
    listed = tmp_path / "members.txt"
    listed.write_text(f"{fleet.remote('one').as_uri()}\nfile://{tmp_path}/nowhere.git\n")
    told = json.loads(fleet.fleet("status", "--members", listed, "--json"))
    assert told["newest"] == versions.newest()
    seen = {member["name"]: member for member in told["members"]}
    releases_since = len(versions.earlier()) + 1 - 2
    for name in ("clones/one", "remotes/one"):
        assert seen[name]["behind"] == releases_since, seen[name]
    assert seen["two"]["kind"] == "loom hub"
    assert seen["two"]["behind"] == 0
    assert "nowhere" in seen["nowhere"]["problem"]

    table = fleet.fleet("status", "--only", "two")
    assert "1 members, 1 on" in table


def test_an_empty_registry_and_no_list_is_said(fleet: World, tmp_path: Path) -> None:
    fleet.fleet("status", "--registry", tmp_path.as_uri() + "/registry", status=1)
