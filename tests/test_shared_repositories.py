"""Several members in folders of one repository: updated each by itself, found by the fleet."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import members, releases, status
from fleet.members import Member
from fleet.outcome import Goal, Order
from fleet.update_one import update as update_member
from tests import shared, versions
from tests.conftest import BIN, program
from tests.fleet_world import World, world
from tests.versions import git, older, small
from tests.warm import nested, programs, run

BEFORE, NEWEST = "v5.0.0", "v5.1.0"
EVERYBODY = "template/{{ member }}"
OLD_MACRO, NEW_MACRO = older.RENAMED_MACRO


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is, and a version before it: 0.1.0 knows no folders yet."""
    repository = tmp_path_factory.mktemp("releases") / "template"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    versions.copy_working_tree(repository)
    older.rename(EVERYBODY, older.RENAMED_MACRO, repository)
    older.add(f"{EVERYBODY}/{older.REMOVED}", "print('all is well')\n", repository)
    project = f"{EVERYBODY}/dbt_project.yml.jinja"
    older.replace(project, r'version: "1.0.0"', 'version: "0.9.0"', repository)
    versions.release(repository, BEFORE)
    versions.clear(repository)
    versions.copy_working_tree(repository)
    older.teach_the_newest(repository, NEWEST, NEWEST)
    versions.release(repository, NEWEST)
    return repository


def copier(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return run([BIN / "copier", *arguments], folder)


def add_member(template: Path, shop: Path, name: str, tag: str, **answers: Any) -> None:
    data = [word for pair in answers.items() for word in ("--data", "=".join(map(str, pair)))]
    flags = ("--trust", "--defaults", "--quiet", "--vcs-ref", tag)
    answers_file = ("--answers-file", f"{name}/.copier-answers.yml")
    done = copier("copy", *flags, *data, *answers_file, template, ".", folder=shop)
    assert done.returncode == 0, done.stderr
    commit(shop)


def commit(shop: Path) -> None:
    git(shop, "add", "--all")
    git(shop, "commit", "--quiet", "--message", "by hand")


def changed(shop: Path) -> list[str]:
    return git(shop, "status", "--porcelain").splitlines()


def files(folder: Path) -> dict[str, bytes]:
    listed = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return {name: (folder / name).read_bytes() for name in listed if (folder / name).is_file()}


@pytest.fixture(scope="module")
def shop_as_made(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "shop"
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "index.html").write_text("a web shop\n")
    (folder / "README.md").write_text("# Shop\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    add_member(template, folder, "dbt_up", BEFORE, kind="upstream")
    add_member(template, folder, "dbt_down", BEFORE, kind="native", upstreams="dbt_up")
    return folder


@pytest.fixture
def shop(shop_as_made: Path, tmp_path: Path) -> Path:
    """A repository of two members, and of something else."""
    return shutil.copytree(shop_as_made, tmp_path / "shop", symlinks=True)


def test_next_steps_are_those_of_a_repository_that_there_is(template: Path, shop: Path) -> None:
    answers_file = ("--answers-file", "dbt_new/.copier-answers.yml")
    done = copier("copy", "--trust", "--defaults", *answers_file, template, ".", folder=shop)
    assert done.returncode == 0, done.stderr
    steps = [line.strip() for line in done.stdout.splitlines()]
    assert not [step for step in steps if step.startswith("git init")]
    for word in ("git add", "git commit"):
        run_as_said(next(step for step in steps if step.startswith(word)), shop)
    assert changed(shop) == []
    into, up = (next(step for step in steps if word in step) for word in ("cd dbt_new", "cd .."))
    # without the question, which needs a terminal
    run_as_said(f"{into} && {up.replace('--ask snowflake_account', '--defaults')}", shop)


def test_projects_that_share_a_repository_have_no_page_on_github(
    template: Path, tmp_path: Path
) -> None:
    """There is one for a repository: each would overwrite the others'."""
    answers_file = ("--answers-file", "dbt_up/.copier-answers.yml")
    pages = ("--data", "github_pages=true")
    flags = ("--trust", "--defaults", *pages)
    done = copier("copy", *flags, *answers_file, template, ".", folder=tmp_path)
    assert done.returncode == 1
    assert "projects that share it would overwrite each other's" in done.stderr
    assert not (tmp_path / "dbt_up").exists()
    alone = copier("copy", *flags, template, "alone", folder=tmp_path)
    assert alone.returncode == 0, alone.stderr


def test_what_a_schedule_costs_is_told(template: Path, tmp_path: Path) -> None:
    flags = ("--trust", "--defaults", "--data", "deployment=independent", "--data", "kind=native")
    done = copier("copy", *flags, template, "reader", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "about 2,900 minutes of GitHub\nActions a month" in done.stdout
    reads = ("--data", "upstreams=up@snowflake://ORG-ACC")
    done = copier("copy", *flags, *reads, template, "of_snowflake", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "checks for changes every 6 hours" in done.stdout
    assert "2,900 minutes" not in done.stdout


def update(shop: Path, member: str, *flags: str) -> str:
    answers_file = f"{member}/.copier-answers.yml"
    done = copier(
        *("update", "--trust", "--defaults", "--answers-file", answers_file, *flags), folder=shop
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_an_update_is_a_fresh_rendering_and_touches_nobody_else(
    template: Path, shop: Path, tmp_path: Path
) -> None:
    before = files(shop)
    assert update(shop, "dbt_down", "--quiet") == ""

    fresh = tmp_path / "fresh" / "shop"
    shutil.copytree(shop, fresh)
    git(fresh, "reset", "--quiet", "--hard", "HEAD~1")
    git(fresh, "clean", "--quiet", "-fd")
    add_member(template, fresh, "dbt_down", NEWEST, kind="native", upstreams="dbt_up")
    after = files(shop)
    assert after == files(fresh)
    theirs = {path for path in before if before[path] != after.get(path)}
    assert theirs
    for path in theirs:
        assert path.startswith(("dbt_down/", ".github/workflows/dbt_down-")), path


def test_edits_are_kept_and_the_commands_that_it_names_are_right(shop: Path) -> None:
    def append(path: str, line: str) -> None:
        with (shop / path).open("a") as file:
            file.write(line)

    append(f"dbt_up/{older.REMOVED}", "# mine\n")
    append(f"dbt_up/{OLD_MACRO}", "-- mine\n")
    project = shop / "dbt_up/dbt_project.yml"
    project.write_text(project.read_text().replace('"0.9.0"', '"3.1.4"'))
    append("dbt_down/README.md", "mine\n")
    append("README.md", "mine\n")
    commit(shop)
    before = files(shop)

    said = update(shop, "dbt_up")

    assert f"dbt_up is updated from {BEFORE} to {NEWEST}" in said
    assert f"  dbt_up/{older.REMOVED}\n" in said
    assert "  dbt_up/dbt_project.yml:2\n" in said
    assert (shop / "dbt_up" / older.REMOVED).read_text().endswith("# mine\n")
    assert (shop / "dbt_up" / NEW_MACRO).read_text().endswith("-- mine\n")
    assert not (shop / "dbt_up" / OLD_MACRO).exists()
    assert (shop / "dbt_down" / OLD_MACRO).exists()

    lines = said.strip().splitlines()
    git(shop, "checkout", "--ours", "--", "dbt_up/dbt_project.yml")
    parse = next(line for line in lines if "dbt parse" in line).replace("&& dbt build", "")
    run_as_said(parse, shop)
    shutil.rmtree(shop / "dbt_up" / "target")
    run_as_said(lines[-1], shop)
    assert changed(shop) == []
    assert files(shop) == before


def run_as_said(line: str, shop: Path) -> None:
    begins = nested() | {"PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        line, shell=True, cwd=shop, env=os.environ | begins, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("where", ["dbt_up", "."])
def test_an_update_from_elsewhere_is_refused_in_a_line(shop: Path, where: str) -> None:
    """In the member's folder, or at the top but without saying which member."""
    before = files(shop)
    done = copier("update", "--trust", "--defaults", folder=shop / where)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if where == "dbt_up":
        assert "--answers-file dbt_up/.copier-answers.yml" in done.stderr.strip().splitlines()[-1]
    assert changed(shop) == []
    assert files(shop) == before


def test_a_member_that_was_moved_is_told_how_it_gets_its_updates_again(
    template: Path, shop: Path
) -> None:
    (shop / "dbt_up/models/mine.sql").write_text("select 1 as mine\n")
    with (shop / "dbt_up/dbt_project.yml").open("a") as project:
        project.write("# mine\n")
    commit(shop)
    (shop / "teams").mkdir()
    git(shop, "mv", "dbt_up", "teams/dbt_up")
    commit(shop)
    answers_file = "teams/dbt_up/.copier-answers.yml"
    done = copier("update", "--trust", "--defaults", "--answers-file", answers_file, folder=shop)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "was it moved to teams/dbt_up?" in said
    assert changed(shop) == []

    with releases.opened(str(template)) as opened:
        for subfolder in ("teams/dbt_up", "dbt_down"):
            (told,) = status.gather([Member("up", str(shop), subfolder)], opened)
            assert ("was it moved" in told.problem) is (subfolder != "dbt_down")
        moved = Member("up", str(shop), "teams/dbt_up")
        outcome = update_member(moved, Order(opened, Goal.PREPARE, ()))
        assert outcome.result == "refused"
        assert "was it moved to teams/dbt_up?" in outcome.detail

    recopy = re.search(r"copier recopy .*?(?=;)", said)
    assert recopy
    run_as_said(recopy[0], shop)
    workflows = shop / ".github/workflows"
    assert {path.name.partition("-")[0] for path in workflows.iterdir()} == {"dbt_up", "dbt_down"}
    ours = "".join(path.read_text() for path in sorted(workflows.glob("dbt_up-*")))
    assert "working-directory: teams/dbt_up" in ours
    assert not re.search(r"(?<!teams/)\bdbt_up/", ours)
    assert "working-directory: dbt_down" in (workflows / "dbt_down-ci.yml").read_text()
    # what the person took back of `git diff`
    run_as_said("git checkout -- teams/dbt_up/dbt_project.yml", shop)
    commit(shop)

    assert f"dbt_up is updated from {BEFORE} to {NEWEST}" in update(shop, "teams/dbt_up")
    text = (shop / "teams/dbt_up/dbt_project.yml").read_text()
    assert text.endswith("# mine\n")
    assert 'version: "1.0.0"' in text
    assert (shop / "teams/dbt_up/models/mine.sql").exists()
    assert git(shop, "diff", "--name-only", "--diff-filter=U") == ""


def test_a_release_that_is_none_is_warned_of_with_the_right_command(
    template: Path, shop: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(template), str(repository))
    (repository / "new.txt").write_text("new\n")
    commit(repository)
    answers = shop / "dbt_up/.copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(template), str(repository)))
    commit(shop)
    done = copier(
        *("update", "--trust", "--defaults", "--vcs-ref", "HEAD"),
        *("--answers-file", "dbt_up/.copier-answers.yml"),
        folder=shop,
    )
    assert done.returncode == 0, done.stderr
    assert "--vcs-ref TAG --answers-file dbt_up/.copier-answers.yml" in done.stderr


# ── the fleet ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    """Two members that share a repository, and one that has its own."""
    template = shared.once("small, two", lambda made: small.build(made, [BEFORE], [NEWEST]))
    with world(tmp_path / "fleet", template) as made:
        for name in ("dbt_up", "dbt_down"):
            made.member(name, BEFORE, shared="shop")
        made.member("alone", BEFORE)
        yield made


def test_each_member_is_proposed_by_itself(fleet: World) -> None:
    told = fleet.outcomes("update", "--no-check")
    assert {name: each["result"] for name, each in told.items()} == {
        "alone": "proposed",
        "shop/dbt_down": "proposed",
        "shop/dbt_up": "proposed",
    }
    requests = {each["--head"]: each for each in fleet.pull_requests("shop")}
    assert requests.keys() == {f"template/dbt_down/{NEWEST}", f"template/dbt_up/{NEWEST}"}
    for name in ("dbt_down", "dbt_up"):
        branch = f"template/{name}/{NEWEST}"
        assert name in requests[branch]["--title"]
        touched = git(fleet.remote("shop"), "diff", "--name-only", "main", branch).splitlines()
        assert touched
        assert all(path.startswith((f"{name}/", f".github/workflows/{name}-")) for path in touched)
        answers = git(fleet.remote("shop"), "show", f"{branch}:{name}/.copier-answers.yml")
        assert f"_commit: {NEWEST}" in answers
    assert fleet.pull_requests("alone")[0]["--head"] == f"template/{NEWEST}"

    again = fleet.outcomes("update", "--no-check")
    assert {each["result"] for each in again.values()} == {"already there"}


def test_the_fleet_and_the_members_own_maintenance_make_one_pull_request(
    fleet: World, tmp_path: Path
) -> None:
    """Also where it is a draft, with conflicts in it, which is not done."""
    fleet.edit("shop", "dbt_up/dbt_project.yml", 'version: "0.9.0"', 'version: "7"')
    checkout = tmp_path / "checkout"
    for name, ends in (("shop/dbt_up", 2), ("shop/dbt_down", 0), ("alone", 0)):
        repository, _, folder = name.partition("/")
        git(tmp_path, "clone", "--quiet", str(fleet.remote(repository)), str(checkout))
        command = [*program("update-template"), "--pull-request"]
        done = run(command, checkout / folder, fleet.environment())
        assert done.returncode == ends, done.stdout + done.stderr
        shutil.rmtree(checkout)

    branch = f"template/dbt_up/{NEWEST}"
    for flags in (("--dry-run",), ("--push",), ()):
        told = fleet.outcomes("update", "--no-check", *flags, status=2)
        assert told["alone"]["result"] == told["shop/dbt_down"]["result"] == "already there"
        conflict = told["shop/dbt_up"]
        assert conflict["result"] == "conflict"
        assert conflict["conflicts"] == {"dbt_up/dbt_project.yml": [2]}
        assert f"dbt_up/dbt_project.yml:2, on the branch {branch}" in conflict["detail"]
    heads = sorted(each["--head"] for each in fleet.pull_requests("shop"))
    assert heads == [f"template/dbt_down/{NEWEST}", branch]
    assert len(fleet.pull_requests("alone")) == 1

    # somebody chooses
    git(tmp_path, "clone", "--quiet", "-b", branch, str(fleet.remote("shop")), str(checkout))
    git(checkout, "checkout", "--quiet", "origin/main", "--", "dbt_up/dbt_project.yml")
    git(checkout, "commit", "--quiet", "--message", "ours")
    git(checkout, "push", "--quiet", "origin", branch)
    told = fleet.outcomes("update", "--no-check")
    assert {each["result"] for each in told.values()} == {"already there"}


def test_each_folder_has_a_branch_of_its_own(fleet: World) -> None:
    order = Order(fleet.releases, Goal.PUSH, ())
    folders = [".", "a", "a-b", "a/b", "b"]
    branches = [order.branch(Member("", "", folder)) for folder in folders]
    assert branches[0] == f"template/{NEWEST}"
    assert len(set(branches)) == len(folders)


def test_what_one_team_has_not_committed_stops_only_that_member(fleet: World) -> None:
    (fleet.clones / "shop/dbt_up/README.md").write_text("not committed\n")
    flags = ("update", "--push", "--no-check", "--only", "shop/*")
    told = fleet.outcomes(*flags, status=2)
    assert told.keys() == {"shop/dbt_up", "shop/dbt_down"}
    assert told["shop/dbt_up"]["result"] == "refused"
    assert "dbt_up/README.md" in told["shop/dbt_up"]["detail"]
    assert told["shop/dbt_down"]["result"] == "pushed", told["shop/dbt_down"]
    assert (fleet.clones / "shop/dbt_up/README.md").read_text() == "not committed\n"


def test_a_check_runs_in_the_folder_of_the_project(template: Path, tmp_path: Path) -> None:
    with world(tmp_path / "fleet", template) as fleet:
        for name in ("dbt_up", "dbt_down"):
            fleet.member(name, BEFORE, shared="shop", starter=False)
        fleet.edit("shop", "dbt_up/dbt_project.yml", "model-paths:", "modle-paths:")
        told = fleet.outcomes("update", "--dry-run", status=2)
    assert told["shop/dbt_up"]["result"] == "check failed"
    assert "failed before, too" in told["shop/dbt_up"]["detail"]
    assert told["shop/dbt_down"]["result"] == "updated", told["shop/dbt_down"]


def test_status_of_each_and_repositories_by_address(fleet: World, tmp_path: Path) -> None:
    listed = tmp_path / "members.txt"
    address = fleet.remote("shop").as_uri()
    listed.write_text(f"{address}#dbt_down\n{address}#no_such\n{address}\n")
    told = {each.name: each for each in status.gather(members.from_list(listed), fleet.releases)}
    assert told["shop/dbt_down"].behind == 1
    assert told["shop/dbt_down"].project == "dbt_down"
    assert "no no_such/.copier-answers.yml" in told["shop/no_such"].problem
    assert "#folder" in told["shop"].problem

    outcomes = fleet.outcomes("update", "--push", "--no-check", "--members", listed, status=2)
    assert outcomes["remotes/shop/dbt_down"]["result"] in ("pushed", "already there")
    assert outcomes["shop/no_such"]["result"] == outcomes["shop"]["result"] == "refused"


def test_folders_of_other_templates_are_no_members(fleet: World) -> None:
    shop = fleet.clones / "shop"
    (shop / ".copier-answers.yml").write_text("_src_path: gh:acme/service\n_commit: v1\n")
    fleet.push(shop)
    found = members.from_folder(fleet.clones)
    assert [member.name for member in found] == ["alone", "shop/dbt_down", "shop/dbt_up"]


def test_answers_files_of_other_names_are_found(tmp_path: Path) -> None:
    """As Copier's documentation advises where several templates share a folder."""
    shop = tmp_path / "clones/shop"
    shop.mkdir(parents=True)
    ours, other = "_src_path: gh:acme/mesh\nkind: upstream\n", "_src_path: gh:acme/service\n"
    (shop / "dbt").mkdir()
    for name, text in {
        ".copier-answers.yml": other,
        ".copier-answers.mesh.yml": ours,
        "dbt/.copier-answers.dbt-mesh.yml": ours,
        "dbt/.copier-answers.ci.yml": other,
        "dbt/.copier-answers.mesh.yml.orig": ours,
    }.items():
        (shop / name).write_text(text)
    git(shop, "init", "--quiet")
    git(shop, "add", "--all")
    git(shop, "commit", "--quiet", "--message", "x")
    found = members.from_folder(tmp_path / "clones")
    assert [(member.name, member.answers_file) for member in found] == [
        ("shop", ".copier-answers.mesh.yml"),
        ("shop/dbt", "dbt/.copier-answers.dbt-mesh.yml"),
    ]
    assert len(members.distinct(found)) == 2
    named = members.locate("acme/shop#dbt/.copier-answers.dbt-mesh.yml", tmp_path)
    assert (named.name, named.answers_file) == ("shop/dbt", found[1].answers_file)


def test_lines_of_a_list(tmp_path: Path) -> None:
    github = "https://github.com/acme/shop.git"
    assert members.locate("acme/shop#dbt_up", tmp_path) == Member("shop/dbt_up", github, "dbt_up")
    assert members.locate("acme/shop#./a/b/", tmp_path) == Member("shop/a/b", github, "a/b")
    assert members.locate(f"{github}#dbt_up", tmp_path).answers_file == "dbt_up/.copier-answers.yml"
    assert members.locate("acme/shop", tmp_path).answers_file == ".copier-answers.yml"
    twice = [Member("shop/up", "/a/shop", "up"), Member("shop/up", "/b/shop", "up")]
    assert [each.name for each in members.distinct(twice)] == ["a/shop/up", "b/shop/up"]
    alike = [Member("up", f"/{top}/team/shop/up") for top in "ab"]
    named = ["a/team/shop/up", "b/team/shop/up"]
    assert [each.name for each in members.distinct(alike)] == named
    address = "https://github.com/acme/shop"
    same = [Member("shop", address), Member("shop", f"{address}.git"), Member("shop", "/shop")]
    assert [each.name for each in members.distinct(same)] == ["acme/shop", "/shop"]
