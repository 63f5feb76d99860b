"""`fleet status`: what is said of each member, from clones, from GitHub and from the registry."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtmesh.manifest.extract import extract
from fleet import status
from fleet.members import Member
from fleet.mesh_graph import Consumption, Edge, Mesh, Node, Project, Publication
from fleet.releases import Releases
from fleet.status import Status
from tests import versions
from tests.fleet_world import World, world
from tests.manifests import manifest
from tests.mesh_world import ENV, public, write
from tests.test_demo import fleet as run_fleet

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
    found = {{"answers": file, "requirements": None, "vendor": None}}
    data[alias] = found if name.startswith("member") else None
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
    theirs = "shop/.copier-answers.mesh.yml"
    for text, said in ((None, f"has no {theirs}:"), ("a: 1", f"{theirs} names no template")):
        assert status.of_answers("x", text, RELEASES, theirs).problem.startswith(said)


AGO = NOW - timedelta(days=365)


def test_what_the_registry_says(mesh: Mesh) -> None:
    def of(name: str, kind: str = "upstream") -> Status:
        return status.with_registry(Status(name, kind, project=name), mesh, NOW, days=30)

    sales, old, finance = of("sales"), of("old"), of("finance", "native")
    assert sales.contract == "1 of 2 public models"
    assert sales.published_at.startswith("2026-05-30")
    assert sales.stale == ""
    assert old.stale == "not published for 150 days"
    before = status.with_registry(Status("sales", "upstream", project="sales"), mesh, AGO, days=30)
    assert before.stale.startswith("its publication is dated ahead of the clock, 2026-05-30")
    assert finance.contract == ""
    assert finance.stale == (
        "built on an older publication of sales; reads what is no longer published: old.gone"
    )
    assert of("new").contract == "never published"
    assert of("reader", "native").contract == ""
    assert finance.cycle == ""


def test_projects_that_read_each_other_are_named(mesh: Mesh) -> None:
    (sales,) = (project for project in mesh.projects if project.name == "sales")
    sales.reads = [consumption("finance", True)]
    seen = status.with_registry(Status("sales", project="sales"), mesh, NOW, days=30)
    assert seen.cycle == "finance and sales read each other"
    assert seen.needs_somebody


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
    monkeypatch.setattr(status, "released", lambda *_: None)
    told = status.gather(everyone, RELEASES)
    assert [each.name for each in told] == names
    assert {each.behind for each in told[:498]} == {1}
    assert "no .copier-answers.yml" in told[498].problem
    assert "no repository acme/hidden" in told[499].problem
    assert len((tmp_path / "asked").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("gh", "says"),
    [
        (
            """echo '{"data": null, "errors": [{"message": "rate limited"}]}'; exit 1""",
            "rate limited",
        ),
        ("echo 'gh: rate limited' >&2; echo '{\"data\": null}'; exit 1", "rate limited"),
        (
            "echo 'first'; echo 'Alternatively, a token' >&2; exit 4",
            "not signed in: `gh auth login`",
        ),
        ("echo '[]'", "gh auth status"),
        ("echo 'no JSON'", "gh auth status"),
        ("""echo '{"data": []}'""", "gh auth status"),
        ("sleep 30", "no answer in 1 s"),
    ],
)
def test_what_else_gh_may_answer_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gh: str, says: str
) -> None:
    (tmp_path / "gh").write_text(f"#!/bin/sh\n{gh}\n")
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if gh == "sleep 30":
        monkeypatch.setattr(status, "GITHUB_SECONDS", 1)
    everyone = [Member(name, f"https://github.com/acme/{name}.git") for name in ("a", "b")]
    for each in status.gather(everyone, RELEASES):
        assert each.problem.startswith("gh cannot ask GitHub: ")
        assert says in each.problem


@pytest.fixture
def fleet(tmp_path: Path, line_of_versions: Path) -> Iterator[World]:
    with world(tmp_path / "fleet", line_of_versions) as made:
        yield made


def test_clones_and_any_git_server(fleet: World, tmp_path: Path) -> None:
    fleet.member("one", "v0.0.2", kind="native", starter=False)
    hub: dict[str, Any] = {"kind": "loom", "publishes": True, "starter": False}
    fleet.member("two", versions.newest(), **hub)
    listed = tmp_path / "members.txt"
    listed.write_text(f"{fleet.remote('one').as_uri()}\nfile://{tmp_path}/nowhere.git\n")
    told = json.loads(fleet.fleet("status", "--members", listed, "--json", status=2))
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


def test_who_runs_what_was_released_and_who_does_not(fleet: World) -> None:
    """By what is committed: an edit that is not committed runs nowhere else."""

    def wheel(name: str) -> Path:
        (found,) = (fleet.clones / name / "vendor").glob("dbtmesh-*.whl")
        return found

    def requiring(name: str, line: str) -> None:
        path = fleet.clones / name / "requirements.txt"
        path.write_text(re.sub(r"(?m)^\./vendor/.*$", line, path.read_text()))

    names = ("sealed", "edited", "another", "indexed", "unsealed")
    for name in names:
        fleet.member(name, versions.newest(), starter=False)
    wheel("edited").write_bytes(wheel("sealed").read_bytes() + b" ")
    other = wheel("another").with_name("dbtmesh-99.0-py3-none-any.whl")
    wheel("another").rename(other)
    requiring("another", f"./vendor/{other.name}[s3]")
    version = wheel("sealed").name.split("-")[1]
    requiring("indexed", f"dbtmesh[s3]=={version}")
    wheel("unsealed").unlink()
    for name in names[1:]:
        fleet.push(fleet.clones / name)
    wheel("sealed").write_bytes(b"an experiment that nobody committed")

    told = json.loads(fleet.fleet("status", "--json", status=2))["members"]
    seen = {each["name"]: (each["library"], each["problem"]) for each in told}
    assert seen["sealed"] == ("as released", "")
    assert seen["indexed"] == ("from an index", "")
    assert seen["edited"][0] == "edited"
    assert f"not what {versions.newest()} released" in seen["edited"][1]
    assert seen["another"][0] == "another version"
    assert other.name in seen["another"][1]
    assert seen["unsealed"][0] == "missing"
    assert "copier update" in seen["unsealed"][1]


def test_registries_that_say_nothing(fleet: World, tmp_path: Path) -> None:
    """By flag or by environment; with a list of members they are a note."""
    fleet.member("one", "v0.0.2", kind="native", starter=False)
    empty = (tmp_path / "registry").as_uri()
    listed = ("--clones", fleet.clones, "--template", fleet.template)
    for flags, environment, ends, says in (
        (("--registry", empty), {}, 1, f"{empty} is empty"),
        ((), {"DBT_MESH_REGISTRY": empty}, 1, f"{empty} is empty"),
        ((), {}, 1, "which members?"),
        ((*listed, "--registry", empty), {}, 0, f"note: {empty} is empty"),
        (listed, {"DBT_MESH_REGISTRY": empty}, 0, f"note: {empty} is empty"),
        (listed, {"DBT_MESH_REGISTRY": "ftp://nowhere/registry"}, 2, "note: "),
    ):
        done = run_fleet("status", *flags, **environment)
        assert done.returncode == ends, done.stdout + done.stderr
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert ("v0.0.2" in done.stdout) is (ends != 1)

    model = public("sales", "orders", ["id"])
    body = manifest("sales", models=0, nodes={model["unique_id"]: model})
    write(tmp_path / "registry", "sales", "latest/manifest.json", extract(body, "sales").body)
    prod = ("--env", ENV)
    done = run_fleet("status", "--registry", empty, *prod)
    assert done.returncode == 1
    assert "knows no member's repository" in done.stderr
    assert "--members FILE" in done.stderr
    # and what the environment names is read
    fleet.member("sales", versions.newest(), kind="upstream", starter=False)
    done = run_fleet("status", *listed, *prod, "--json", DBT_MESH_REGISTRY=empty)
    assert done.stderr == ""
    told = {each["name"]: each for each in json.loads(done.stdout)["members"]}
    assert told["sales"]["contract"] == "1 of 1 public models"


# ── what is shown ─────────────────────────────────────────────────────────────────────

ALL_WELL = Status(
    "acme/marketing_analytics",
    "upstream",
    "v1.1.0",
    0,
    "2026-05-30T10:00:00Z",
    "12 of 14 public models",
)
REASON = "gh cannot ask GitHub: gh: To use GitHub CLI in a GitHub Actions workflow, set GH_TOKEN"
STALE = "built on an older publication of sales"


@pytest.mark.parametrize("width", [60, 80, None], ids=str)
def test_a_table_can_be_read_in_any_window_and_in_a_log(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if width:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("FORCE_COLOR", "1")
    told = [
        ALL_WELL,
        Status("acme/risk", "native hub", "v1.0.0", 1, "", "", STALE),
        Status("hidden", problem=REASON),
    ]
    assert status.show(told, "v1.1.0", as_json=False) == 2
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    rows = shown.partition("problem hidden")[0].replace("\n", " ")
    table = shown.splitlines()[: shown.splitlines().index(f"stale acme/risk  {STALE}")]
    assert f"problem hidden  {REASON}" in shown.splitlines()
    for word in ("v1.1.0", "2026-05-30", "upstream", "native", "hub", "1"):
        assert re.search(rf"(^|\s){word}(\s|$)", rows), (word, shown)
    assert "…" not in shown
    if width:
        assert max(map(len, table)) <= width
    else:
        assert re.search(
            r"^acme/marketing_analytics +upstream .* 12 of 14 public models", shown, re.M
        )


def test_columns_that_nobody_fills_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.show([Status("one", "native", "v1.0.0", 1)], "v1.1.0", as_json=False) == 0
    shown = capsys.readouterr().out
    assert re.search(r"member +kind +version +behind *$", shown, re.MULTILINE)


def test_exit_status_is_2_where_some_have_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    behind_and_stale = Status("one", "native", "v1.0.0", 7, stale=STALE)
    for as_json in (False, True):
        assert status.show([behind_and_stale], "v1.1.0", as_json) == 0
        assert status.show([behind_and_stale, Status("b", problem="no")], "v1.1.0", as_json) == 2
    assert "Exit status: 0" in run_fleet("status", "--help").stdout
