"""`fleet update`: many members, real git remotes, edits, faults and interruptions."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from fleet import __main__ as command
from fleet import members, releases, update, update_one
from fleet.errors import FleetError
from fleet.git import GitError
from fleet.members import Member, NeedsPerson
from fleet.outcome import Goal, Order, Outcome, Result
from tests import shared, versions
from tests.conftest import ROOT
from tests.fleet_world import World, world
from tests.test_yaml_files import BOMB
from tests.versions import git, older, small

NEWEST = versions.newest()
BRANCH = f"template/{NEWEST}"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[World]:
    """Of a template of a few files."""
    after = (*versions.kept(), NEWEST)
    template = shared.once("small", lambda made: small.build(made, [*older.VERSIONS], after))
    with world(tmp_path / "fleet", template) as made:
        yield made


@pytest.fixture
def real_fleet(tmp_path: Path, line_of_versions: Path) -> Iterator[World]:
    with world(tmp_path / "fleet", line_of_versions) as made:
        yield made


def untouched(fleet: World, name: str) -> bool:
    """Nothing was pushed, and the clone is on its branch without any other."""
    branches = git(fleet.clones / name, "for-each-ref", "--format=%(refname:short)", "refs/heads")
    return not fleet.branch(name) and branches == "main"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ── "Done when": twelve members, edited by plausible hands ────────────────────────────


def twelve(fleet: World) -> None:
    """All kinds, three versions; two with conflicts, one dirty, one broken."""
    for name, tag, answers in (
        ("sales", "v0.0.1", {"kind": "upstream"}),
        ("customers", "v0.0.2", {"kind": "upstream"}),
        ("billing", "v0.1.0", {"kind": "upstream", "starter": False}),
        ("finance", "v0.0.1", {"kind": "native", "upstreams": "sales", "starter": False}),
        ("marketing", "v0.0.2", {"kind": "native", "upstreams": "sales, customers"}),
        ("support", "v0.1.0", {"kind": "native", "upstreams": "customers", "starter": False}),
        ("risk", "v0.0.1", {"kind": "loom", "upstreams": "sales", "starter": False}),
        ("pricing", "v0.0.2", {"kind": "loom", "upstreams": "billing", "starter": False}),
        ("reporting", "v0.1.0", {"kind": "loom", "upstreams": "sales", "starter": False}),
        ("core", "v0.0.1", {"kind": "native", "upstreams": "sales", "publishes": True}),
        ("planning", "v0.0.2", {"kind": "loom", "upstreams": "core", "publishes": True}),
        ("archive", NEWEST, {"kind": "upstream"}),
    ):
        fleet.member(name, tag, **answers)
    model = fleet.clones / "sales/models/marts/refunds.sql"
    model.write_text("select 1 as id\n")
    fleet.edit("sales", "README.md", "## On your laptop", "## On our laptops")
    staging = "models/staging/stg_the_customers.sql"
    fleet.edit("customers", staging, "select", "select  -- without test accounts\n")
    fleet.edit("finance", "profiles.yml", "threads: 4", "threads: 2")
    fleet.edit("risk", ".gitignore", "target/", "target/\n*.ipynb")
    # both sides changed the line
    fleet.edit("marketing", "dbt_project.yml", 'version: "0.9.0"', 'version: "2.4.0"')
    fleet.edit("core", "dbt_project.yml", 'version: "0.9.0"', 'version: "1.0.7"')
    fleet.edit("billing", "dbt_project.yml", "model-paths:", "modle-paths:")  # does not parse
    # reads by ref() what no registry on this machine has
    fleet.contract("planning", "core")
    (fleet.clones / "support/notes.txt").write_text("not committed\n")


def test_a_fleet_of_twelve_is_rolled_to_the_newest_version(real_fleet: World) -> None:
    fleet = real_fleet
    twelve(fleet)
    shown = fleet.fleet("update", status=2)
    print(shown)
    results = {
        cells[0]: cells[3]
        for cells in ([cell.strip() for cell in row.split("│")[1:]] for row in shown.splitlines())
        if len(cells) > 3 and cells[0]
    }
    assert results == {
        "archive": "current",
        "billing": "check failed",
        "core": "conflict",
        "customers": "proposed",
        "finance": "proposed",
        "marketing": "conflict",
        "planning": "proposed",
        "pricing": "proposed",
        "reporting": "proposed",
        "risk": "proposed",
        "sales": "proposed",
        "support": "refused",
    }
    for name, result in results.items():
        if result != "proposed":
            assert untouched(fleet, name), name
            continue
        request = fleet.pull_request(name)
        assert request
        assert request["--base"] == "main"
        assert f"What is new in {NEWEST}" in request["--body"]
        answers = git(fleet.remote(name), "show", f"{BRANCH}:.copier-answers.yml")
        assert f"_commit: {NEWEST}" in answers
    edited = git(fleet.remote("sales"), "show", f"{BRANCH}:README.md")
    assert "## On our laptops" in edited
    assert git(fleet.remote("sales"), "show", f"{BRANCH}:models/marts/refunds.sql")
    renamed = git(fleet.remote("customers"), "show", f"{BRANCH}:models/staging/stg_customers.sql")
    assert "without test accounts" in renamed
    assert "dbt_project.yml:2" in shown
    assert "notes.txt" in shown
    assert "failed before, too" in shown


# ── what can be wrong with a member ───────────────────────────────────────────────────


def test_each_fault_is_named_in_a_line_and_the_others_go_on(fleet: World, tmp_path: Path) -> None:
    def member(name: str, tag: str = "v0.1.0") -> Path:
        return fleet.member(name, tag, project_name="shop")

    def answer(name: str, old: str, new: str) -> None:
        fleet.edit(name, ".copier-answers.yml", old, new)

    member("good")
    (member("dirty") / "dbt_project.yml").write_text("mine\n")
    (member("no_answers") / ".copier-answers.yml").unlink()
    fleet.push(fleet.clones / "no_answers")
    member("broken_answers")
    answer("broken_answers", "_commit:", "_commit: [")
    member("no_date")
    answer("no_date", "description:", "description: 2026-13-45 #")
    latin = member("latin") / ".copier-answers.yml"
    latin.write_bytes(latin.read_bytes() + "# Österreich\n".encode("latin-1"))
    fleet.push(fleet.clones / "latin")
    (member("umlaut") / "Ärger.txt").write_text("mine\n")
    member("other_template")
    answer("other_template", f"_src_path: {fleet.template}", "_src_path: gh:acme/other")
    member("edited_version", "v0.0.2")
    answer("edited_version", "_commit: v0.0.2", "_commit: v0.1.0")
    member("gone_version")
    answer("gone_version", "_commit: v0.1.0", "_commit: v0.0.9")
    member("from_head")
    answer("from_head", "_commit: v0.1.0", "_commit: v0.1.0-3-g1234567")
    hook = fleet.remote("push_refused") / "hooks/pre-receive"
    member("push_refused")
    hook.write_text("#!/bin/sh\necho 'error: no pushes on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    git(member("no_remote"), "remote", "remove", "origin")
    (member("ahead") / "mine.txt").write_text("mine\n")
    git(fleet.clones / "ahead", "add", "--all")
    git(fleet.clones / "ahead", "commit", "--quiet", "--message", "not pushed")
    member("remote_gone")
    shutil.rmtree(fleet.remote("remote_gone"))
    outside = tmp_path / "outside"
    shutil.move(member("linked") / "snowflake", outside)
    (fleet.clones / "linked/snowflake").symlink_to(outside)
    fleet.push(fleet.clones / "linked")
    theirs = contents(outside)
    link = member("linked_answers") / ".copier-answers.yml"
    link.rename(tmp_path / "answers.yml")
    link.symlink_to(tmp_path / "answers.yml")
    fleet.push(fleet.clones / "linked_answers")
    bomb = member("bomb") / ".copier-answers.yml"
    bomb.write_text(bomb.read_text() + BOMB)
    fleet.push(fleet.clones / "bomb")
    (member("no_git") / ".git/HEAD").write_text("\x1b[31m::error::x\n")
    listed = tmp_path / "members.txt"
    addresses = (f"file://{tmp_path}/nowhere.git", f"{tmp_path}/no_folder  # gone")
    listed.write_text("\n".join(["# also:", *addresses, "~no_user/mine", "\0x"]))

    told = fleet.outcomes("update", "--no-check", "--members", listed, status=2)

    expected = {
        "good": ("proposed", "pull/1"),
        "dirty": ("refused", "uncommitted changes (dbt_project.yml)"),
        "no_answers": ("refused", "no .copier-answers.yml"),
        "broken_answers": ("refused", "not valid YAML (line"),
        "no_date": ("refused", "does not fit its type (month must be"),
        "latin": ("refused", "not UTF-8"),
        "umlaut": ("refused", "uncommitted changes (Ärger.txt)"),
        "other_template": ("refused", "another template, gh:acme/other"),
        "edited_version": ("refused", "edited by hand from v0.0.2 to v0.1.0"),
        "gone_version": ("refused", "v0.0.9, which is not a release"),
        "from_head": ("refused", "untagged version (v0.1.0-3-g1234567)"),
        "push_refused": ("failed", "no pushes on Fridays"),
        "no_remote": ("refused", "no remote"),
        "ahead": ("refused", "1 commits ahead"),
        "remote_gone": ("failed", "remote_gone.git"),
        "linked": ("failed", "snowflake/"),
        "linked_answers": ("refused", "is a link"),
        "bomb": ("refused", "aliases"),
        "no_git": ("failed", "does not exist"),
        "nowhere": ("failed", "nowhere"),
        "no_folder": ("failed", "there is no folder"),
        "mine": ("failed", "there is no folder"),
        "\N{REPLACEMENT CHARACTER}x": ("failed", "there is no folder"),
    }
    seen = {name: (member["result"], member["detail"]) for name, member in told.items()}
    assert seen.keys() == expected.keys()
    for name, (result, part) in expected.items():
        assert seen[name][0] == result, (name, seen[name])
        assert part in seen[name][1], (name, seen[name])
        assert "\n" not in seen[name][1]
    assert "not checked" in fleet.pull_requests("good")[0]["--body"]
    assert contents(outside) == theirs
    shown = json.loads(fleet.fleet("status", "--json", "--members", listed, status=2))["members"]
    problems = {each["name"]: each["problem"] for each in shown}
    assert problems.keys() == expected.keys()
    assert problems["good"] == problems["ahead"] == ""
    for name in ("broken_answers", "linked_answers", "bomb", "nowhere", "latin"):
        assert expected[name][1] in problems[name]
    for name in expected.keys() - {"good", "remote_gone", "no_git"}:
        if not (fleet.clones / name).exists():
            continue
        assert untouched(fleet, name), name


def test_what_a_check_says_is_text_and_the_others_go_on(fleet: World) -> None:
    checks = {
        "good": "exit 0",
        "shouts": "echo '::error::x ##[error]y'; printf '\\033[2J[red]z\\n'; exit 1",
        "endless": "ulimit -t 1; while :; do :; done",
        "leaves": "sleep 300 & exit 0",
    }
    for name, check in checks.items():
        clone = fleet.member(name, "v0.1.0", project_name="shop")
        (clone / "check.sh").write_text(check + "\n")
        fleet.push(clone)
    shown = fleet.fleet("update", "--push", "--check", "sh check.sh", status=2)
    results = {name: bool(fleet.branch(name)) for name in checks}
    assert results == {"good": True, "shouts": False, "endless": False, "leaves": True}
    assert "check failed" in shown
    assert "::" not in shown
    assert "\x1b[2J" not in shown
    assert "[red]z" in shown


# ── how far it goes ───────────────────────────────────────────────────────────────────


def test_dry_run_prepare_push_and_propose_again(fleet: World) -> None:
    fleet.member("one", "v0.1.0")
    assert fleet.outcomes("update", "--no-check", "--dry-run")["one"]["result"] == "updated"
    assert untouched(fleet, "one")

    clone = fleet.clones / "one"
    assert fleet.outcomes("update", "--no-check", "--prepare")["one"]["result"] == "prepared"
    assert git(clone, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(clone, "rev-parse", "--verify", BRANCH)
    assert not fleet.branch("one")
    assert fleet.outcomes("update", "--no-check", "--prepare")["one"]["result"] == "already there"

    assert fleet.outcomes("update", "--no-check", "--push")["one"]["result"] == "pushed"
    pushed = fleet.branch("one")
    assert fleet.outcomes("update", "--no-check", "--push")["one"]["result"] == "already there"
    planned = fleet.outcomes("update", "--no-check", "--dry-run")["one"]
    assert planned["result"] == "updated"
    assert "exists, without a pull request" in planned["detail"]

    # as after a run that was killed between the push and the pull request
    assert fleet.outcomes("update", "--no-check")["one"]["result"] == "proposed"
    again = fleet.outcomes("update", "--no-check")["one"]
    assert again["result"] == "already there"
    assert "pull/1 (open)" in again["detail"]
    assert fleet.branch("one") == pushed
    planned = fleet.outcomes("update", "--no-check", "--dry-run")["one"]
    assert (planned["result"], planned["detail"]) == ("already there", again["detail"])
    assert len(fleet.pull_requests("one")) == 1


def test_a_template_that_has_moved(fleet: World) -> None:
    """Members record the new address, and later updates of their own find it there."""
    old, new = fleet.folder / "template", fleet.folder / "moved"
    shutil.copytree(fleet.template, old)
    clone = replace(fleet, template=old).member("one", "v0.1.0")
    old.rename(new)
    moved = replace(fleet, template=new)
    flags = ("update", "--no-check", "--prepare", "--also", old)
    told = moved.outcomes(*flags, status=2)
    assert told["one"]["result"] == "failed"  # it knows the old address only
    assert moved.outcomes(*flags, "--moved-to", new)["one"]["result"] == "prepared"
    answers = yaml.safe_load(git(clone, "show", f"{BRANCH}:.copier-answers.yml"))
    assert (answers["_src_path"], answers["_commit"]) == (str(new), NEWEST)


def test_a_dry_run_says_what_the_real_one_would_refuse(fleet: World) -> None:
    git(fleet.member("no_remote", "v0.1.0", project_name="shop"), "remote", "rm", "origin")
    ahead = fleet.member("ahead", "v0.1.0", project_name="shop")
    git(ahead, "commit", "--quiet", "--allow-empty", "--message", "not pushed")
    stale = fleet.member("stale", "v0.1.0", project_name="shop")
    git(stale, "push", "--quiet", "origin", f"main:{BRANCH}")
    dry = fleet.outcomes("update", "--no-check", "--dry-run", status=2)
    real = fleet.outcomes("update", "--no-check", status=2)
    for name, part in (
        ("no_remote", "has no remote"),
        ("ahead", "1 commits ahead"),
        ("stale", f"has v0.1.0 of the template: delete it (git push origin --delete {BRANCH})"),
    ):
        assert dry[name]["result"] == real[name]["result"] == "refused", name
        assert part in dry[name]["detail"]
        assert dry[name]["detail"] == real[name]["detail"]


def test_an_update_is_of_the_branch_that_deploys_as_the_remote_has_it(fleet: World) -> None:
    clone = fleet.member("one", "v0.1.0")
    fleet.edit("one", "README.md", "## On your laptop", "## On our laptops")
    git(clone, "reset", "--quiet", "--hard", "HEAD~1")  # behind
    git(clone, "switch", "--quiet", "--create", "feature")
    (clone / "wip.txt").write_text("not for main yet\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "wip")

    told = fleet.outcomes("update", "--no-check", "--prepare", status=2)["one"]
    assert told["result"] == "refused"
    assert "is on branch feature" in told["detail"]
    assert fleet.outcomes("update", "--no-check")["one"]["result"] == "proposed"
    assert fleet.pull_requests("one")[0]["--base"] == "main"
    files = git(fleet.remote("one"), "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    assert "wip.txt" not in files
    assert "## On our laptops" in git(fleet.remote("one"), "show", f"{BRANCH}:README.md")
    assert git(clone, "rev-parse", "--abbrev-ref", "HEAD") == "feature"


def test_ahead_of_the_release_that_is_asked_for_is_fine(fleet: World) -> None:
    fleet.member("one", NEWEST)
    told = fleet.outcomes("update", "--dry-run", "--no-check", "--to", "v0.1.0")["one"]
    assert (told["result"], told["detail"]) == ("current", f"is ahead ({NEWEST})")

    # a reader that has seen enough, as `head` has
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        fleet.command("update", "--dry-run", "--no-check", "--json"),
        cwd=ROOT,
        env=fleet.environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "BrokenPipe" not in done.stderr


def test_members_of_the_same_name_in_folders_of_the_same_name(fleet: World, tmp_path: Path) -> None:
    clone = fleet.member("dbt_up", "v0.1.0", kind="upstream")
    for above in ("a", "b"):
        shutil.copytree(clone, tmp_path / above / "team" / "dbt_up")
    (tmp_path / "a/team/dbt_up/README.md").write_text("not committed\n")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    listed = tmp_path / "members.txt"
    listed.write_text(
        "a/team/dbt_up\nb/team/dbt_up\nlink/team/dbt_up\n"
        f"{fleet.clones}/../{fleet.clones.name}/dbt_up\n"
    )
    flags = ("update", "--dry-run", "--no-check", "--members", listed)
    told = fleet.outcomes(*flags, status=2)
    assert {name: each["result"] for name, each in told.items()} == {
        "a/team/dbt_up": "refused",
        "b/team/dbt_up": "updated",
        "clones/dbt_up": "updated",
    }


# ── its checks ────────────────────────────────────────────────────────────────────────


def test_a_check_has_packages_and_what_the_member_reads(real_fleet: World, tmp_path: Path) -> None:
    fleet = real_fleet
    package = tmp_path / "package"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: shared\nconfig-version: 2\n")
    (package / "macros/one.sql").write_text("{% macro one() %}1{% endmacro %}\n")
    reader = fleet.member("reader", "v0.1.0", kind="loom", upstreams="dbt_up")
    fleet.contract("reader", "dbt_up")
    (reader / "packages.yml").write_text(f"packages:\n  - local: {package}\n")
    (reader / "models/one.sql").write_text("select {{ shared.one() }} as one\n")
    fleet.push(reader)
    alone = fleet.member("alone", "v0.1.0", kind="loom", upstreams="dbt_up")
    flags = ("update", "--push", "--check", "dbt parse", "--check", "sh -c 'exit 0 && exit 1'")
    told = fleet.outcomes(*flags, status=2)
    assert told["reader"]["result"] == "pushed", told
    assert told["alone"]["result"] == "check failed"
    assert "failed before, too" in told["alone"]["detail"]
    assert not list((fleet.folder / ".mesh").iterdir())
    assert git(alone, "status", "--porcelain") == git(reader, "status", "--porcelain") == ""


def test_a_closed_pull_request_is_a_no_until_its_branch_is_deleted(fleet: World) -> None:
    fleet.member("one", "v0.1.0")
    assert fleet.outcomes("update", "--no-check")["one"]["result"] == "proposed"
    fleet.close_pull_requests("one")

    told = fleet.outcomes("update", "--no-check", status=2)["one"]
    assert told["result"] == "refused"
    assert "pull/1 was closed: reopen it, or delete the branch template/" in told["detail"]
    assert len(fleet.pull_requests("one")) == 1

    git(fleet.clones / "one", "push", "--quiet", "origin", "--delete", BRANCH)
    told = fleet.outcomes("update", "--no-check")["one"]
    assert told["result"] == "proposed"
    assert told["link"].endswith("/pull/2")
    assert fleet.branch("one")


def test_a_canary_that_needs_a_person_stops_the_roll_out(fleet: World) -> None:
    for name in ("a", "b", "c"):
        fleet.member(name, "v0.0.2", project_name="shop")
    fleet.edit("a", "dbt_project.yml", 'version: "0.9.0"', 'version: "7"')
    told = fleet.outcomes("update", "--push", "--no-check", "--canary", "1", status=2)
    assert told["a"]["result"] == "conflict"
    assert told["a"]["conflicts"] == {"dbt_project.yml": [2]}
    assert told["b"]["result"] == told["c"]["result"] == "not started"
    assert "canary a" in told["c"]["detail"]
    assert untouched(fleet, "b")
    told = fleet.outcomes("update", "--push", "--no-check", "--only", "[bc]", "--canary", "1")
    assert {name: member["result"] for name, member in told.items()} == dict.fromkeys(
        "bc", "pushed"
    )


# ── stopped ───────────────────────────────────────────────────────────────────────────


class Terminal:
    """Where the command runs, with all that it starts; Ctrl-C goes to each of its processes."""

    def __init__(self, fleet: World, *arguments: str | Path) -> None:
        self.child = subprocess.Popen(
            fleet.command(*arguments),
            cwd=ROOT,
            env=fleet.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # a shell's background job ignores Ctrl-C, and so would this
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def wait_until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not happened():
            assert time.monotonic() < deadline
            assert self.child.poll() is None, self.child.communicate()
            time.sleep(0.02)

    def starts_processes(self) -> bool:
        pids = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return True
        return False

    def press(self, how: signal.Signals = signal.SIGINT) -> None:
        if how == signal.SIGINT:
            os.killpg(self.child.pid, how)
        else:
            self.child.send_signal(how)

    def ends(self, status: int) -> str:
        told, said = self.child.communicate(timeout=120)
        assert "Traceback" not in said, said
        assert self.child.returncode == status, said
        return told


def natives(fleet: World, count: int) -> list[str]:
    names = [f"m{number}" for number in range(count)]
    for name in names:
        fleet.member(name, "v0.1.0", project_name="shop")
    return names


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_it_can_be_run_again(fleet: World, how: signal.Signals) -> None:
    names = natives(fleet, 3)
    flags = ("update", "--push", "--no-check", "--processes", "1")
    terminal = Terminal(fleet, *flags)
    # and not the others, which takes as long as an update
    terminal.wait_until(lambda: fleet.branch(names[0]))
    terminal.press(how)
    terminal.ends(130 if how == signal.SIGINT else -signal.SIGKILL)
    assert not all(fleet.branch(name) for name in names)
    for name in names:
        assert git(fleet.clones / name, "status", "--porcelain") == ""

    told = fleet.outcomes(*flags)
    assert {member["result"] for member in told.values()} == {"pushed", "already there"}
    assert all(fleet.branch(name) for name in names)


def is_there(process: Path) -> bool:
    """Whether the process whose id a file holds runs still."""
    try:
        return " Z " not in Path(f"/proc/{process.read_text().strip()}/stat").read_text()
    except OSError:  # it has ended, perhaps while it was read
        return False


def test_ctrl_c_lets_members_under_way_finish_and_a_second_one_names_them(
    fleet: World, tmp_path: Path
) -> None:
    names = natives(fleet, 4)
    flags = ("update", "--push", "--json", "--processes", "1")

    def check(seconds: int) -> tuple[str, ...]:
        return (*flags, "--check", f"sh -c 'echo $$ > {tmp_path}/check; exec sleep {seconds}'")

    def told(terminal: Terminal) -> dict[str, tuple[str, str]]:
        members = json.loads(terminal.ends(130))["members"]
        return {each["name"]: (each["result"], each["detail"]) for each in members}

    def under_way(terminal: Terminal) -> None:
        running = tmp_path / "check"
        terminal.wait_until(lambda: running.exists() and running.read_text().strip())

    terminal = Terminal(fleet, *flags, "--no-check")
    terminal.wait_until(terminal.starts_processes)  # which are not ready for a signal yet
    terminal.press()
    results = [result for result, _ in told(terminal).values()]
    assert set(results) <= {"pushed", "not started"}
    assert results.count("pushed") <= 1

    terminal = Terminal(fleet, *check(2), "--only", "m[12]")
    under_way(terminal)
    terminal.press()
    said = told(terminal)
    assert said["m1"] == ("pushed", f"branch {BRANCH}")
    assert said["m2"] == ("not started", "stopped before its turn: run it again")

    (tmp_path / "check").unlink()
    terminal = Terminal(fleet, *check(300), "--only", "m[23]")
    under_way(terminal)
    terminal.press()
    time.sleep(1)
    assert is_there(tmp_path / "check")
    terminal.press()
    said = told(terminal)
    assert said["m2"] == ("stopped", "under way when stopped: run it again")
    assert said["m3"][0] == "not started"
    assert not is_there(tmp_path / "check")

    (tmp_path / "check").unlink()
    terminal = Terminal(fleet, *check(300), "--only", "m[23]")
    under_way(terminal)
    terminal.press(signal.SIGKILL)
    terminal.ends(-signal.SIGKILL)
    deadline = time.monotonic() + 20
    while is_there(tmp_path / "check"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    again = fleet.outcomes(*flags, "--no-check")
    assert {each["result"] for each in again.values()} == {"pushed", "already there"}
    assert all(fleet.branch(name) for name in names)


def test_a_killed_process_costs_one_member(fleet: World) -> None:
    order = Order(fleet.releases, Goal.DRY_RUN, ())
    everyone = [Member(name, name) for name in ("one", "bad", "two")]
    outcomes = update.side_by_side(everyone, order, 1, work=_die_for_bad)
    results = {outcome.name: outcome.result for _, outcome in outcomes}
    assert results == {"one": "current", "bad": "failed", "two": "current"}


def _die_for_bad(member: Member, order: Order) -> Outcome:
    if member.name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(member.name, Result.CURRENT)


def test_commits_of_a_clone_run_no_hooks_of_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are those signed that nobody will see, where git signs all and cannot here."""
    hook = tmp_path / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[core]\n hooksPath = {hook.parent}\n[commit]\n gpgsign = true\n[gpg]\n program = false\n"
    )
    clone = tmp_path / "clone"
    clone.mkdir()
    git(clone, "init", "--quiet")
    (clone / "file").write_text("x")
    git(clone, "add", "--all")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    released = releases.Releases.__new__(releases.Releases)  # which a commit does not look at
    with pytest.raises(GitError, match="gpg failed to sign"):
        update_one.commit(clone, Order(released, Goal.PUSH, ()), "--message", "x")
    update_one.commit(clone, Order(released, Goal.DRY_RUN, ()), "--message", "x")


# ── which members, which template ─────────────────────────────────────────────────────


def test_members_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    listed = tmp_path / "list.txt"
    listed.write_text(
        "# the fleet\nhere\nhere  # twice\nacme/dbt-up\ngit@github.com:acme/dbt-down.git\n"
        "https://example.com/other/dbt-up.git\n"
    )
    assert members.distinct(members.from_list(listed)) == [
        Member("here", str(tmp_path / "here")),
        Member("acme/dbt-up", "https://github.com/acme/dbt-up.git"),
        Member("dbt-down", "git@github.com:acme/dbt-down.git"),
        Member("other/dbt-up", "https://example.com/other/dbt-up.git"),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "no .copier-answers.yml"),
        ("[", "not valid YAML (line"),
        ("a: 1", "names no template"),
        ("- a", "names no template"),
    ],
)
def test_answers_that_are_none(text: str | None, part: str) -> None:
    with pytest.raises(NeedsPerson) as refused:
        members.read_answers(text)
    assert part in str(refused.value)


def test_addresses_of_one_template() -> None:
    for url in (
        "gh:acme/mesh",
        "https://github.com/acme/mesh",
        "git+https://github.com/acme/mesh.git",
        "git@github.com:acme/mesh.git",
    ):
        assert releases.normal(url) == "https://github.com/acme/mesh"
    assert releases.released(["v0.10.0", "v0.9.1", "v1.0.0rc1", "old", "v0.9.0"]) == [
        "v0.9.0",
        "v0.9.1",
        "v0.10.0",
    ]


def test_it_cannot_start_without(tmp_path: Path, fleet: World) -> None:
    unknown = releases.opened(str(fleet.template), to="v9.9.9")
    with pytest.raises(FleetError, match=r"no release v9\.9\.9"):
        unknown.__enter__()
    nowhere = releases.opened(str(tmp_path / "nothing"))
    with pytest.raises(FleetError, match="cannot clone the template"):
        nowhere.__enter__()
    with pytest.raises(FleetError, match="no git clone directly below"):
        members.from_folder(tmp_path)
    with pytest.raises(FleetError, match=r"'b\*' matches none of the 1 members \(a\)$"):
        update.choose([Member("a", "a")], ["a", "b*"])
    with pytest.raises(FleetError, match="there are no members"):
        update.choose([], ["a"])
    listed = tmp_path / "members.txt"
    listed.write_text("# nobody yet\n")
    with pytest.raises(FleetError, match=r"members\.txt names no member"):
        members.from_list(listed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nonsense"], "required: command"),
        (["update", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["update", "--canary", "x"], "invalid int value: 'x'"),
        (["update", "--prepare", "--push"], "not allowed with"),
        (["update", "--clones", ".", "--check", ""], "--check is empty"),
        (["update", "--clones", ".", "--check", "it's"], "no closing quotation"),
    ],
)
def test_what_is_not_understood_needs_no_person_of_a_member(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 1
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1


def test_a_full_disk_ends_it_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "scratch")

    (tmp_path / "one" / ".git").mkdir(parents=True)
    monkeypatch.setattr(update, "choose", choose)
    assert command.main(["update", "--clones", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: scratch: No space left on device")


def of_nobody(goal: Goal) -> int:
    """An update of no member."""
    newest = releases.Releases(Path(), frozenset(), (NEWEST,))
    return update.run([], newest, goal=goal, checks=(), canary=0, processes=1, as_json=False)


def test_gh_is_missed_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "gh").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "gh").chmod(0o755)
    with pytest.raises(FleetError, match=r"gh is not signed in: `gh auth login`"):
        of_nobody(Goal.PROPOSE)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(FleetError, match="gh is not on PATH"):
        of_nobody(Goal.PROPOSE)
    assert of_nobody(Goal.DRY_RUN) == 0
    assert "note: gh is not on PATH" in capsys.readouterr().err
    assert of_nobody(Goal.PUSH) == 0
    assert "gh" not in capsys.readouterr().err


def test_who_commits_is_asked_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_COMMITTER_{name}")
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setattr("shutil.which", lambda _: "gh")
    told = "git does not know who commits: git config --global user.name"
    with pytest.raises(FleetError, match=told):
        of_nobody(Goal.PUSH)
    assert of_nobody(Goal.DRY_RUN) == 0
    assert f"note: {told}" in capsys.readouterr().err
