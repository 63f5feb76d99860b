"""`copier update` between released versions: no edit is lost, and nothing is left over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import copier
import pytest
import yaml

from fleet import releases
from fleet import render as rendering
from fleet.releases import Releases
from tests import rendered, versions
from tests.conftest import BIN, Member
from tests.rendered import commit
from tests.versions import git, older
from tests.warm import COMMANDS, run, server

KINDS: dict[str, dict[str, Any]] = {
    "upstream": {"kind": "upstream", "project_name": "dbt_up"},
    "native": {"kind": "native", "project_name": "dbt_down"},
    "loom": {"kind": "loom", "project_name": "dbt_down_loom"},
    "native hub": {"kind": "native", "project_name": "dbt_hub", "publishes": True},
    "loom hub": {"kind": "loom", "project_name": "dbt_hub_loom", "publishes": True},
}
ALL = [(kind, tag) for tag in versions.kept() for kind in KINDS]
# of what older.py changes in v0.1.0, hubs have nothing of their own; and v0.0.2 has nothing that
# v0.0.1 has not, but in upstreams
ALL += [(kind, "v0.0.1") for kind in ("upstream", "native", "loom")] + [("upstream", "v0.0.2")]


@dataclass(frozen=True)
class Line:
    """The template's versions, each opened once for all members."""

    repository: Path
    releases: Releases

    def render(self, tag: str, folder: Path, **answers: Any) -> Path:
        source = rendering.Source(str(self.repository), tag)
        rendered.render(source, folder, answers)
        return folder

    def member(self, tag: str, folder: Path, **answers: Any) -> Path:
        """One that its people have put under version control."""
        source = rendering.Source(str(self.repository), tag)
        rendered.render(source, folder, answers, committed=True)
        return folder

    def update(self, member: Path, **data: Any) -> None:
        """`copier update`."""
        python = str(server(COMMANDS).program("python"))
        with mock.patch.object(sys, "executable", python):  # which runs the migrations
            copier.run_update(
                member,
                data=data,
                vcs_ref=versions.newest(),
                defaults=True,
                overwrite=True,
                unsafe=True,
                quiet=True,
            )


@pytest.fixture(scope="module")
def line(line_of_versions: Path) -> Iterator[Line]:
    with releases.opened(str(line_of_versions)) as opened:
        yield Line(line_of_versions, opened)


def files(member: Path) -> dict[str, bytes]:
    return Member(member, {}).files()


def modes(member: Path) -> dict[str, bool]:
    return {path: os.access(member / path, os.X_OK) for path in files(member)}


def in_conflict(member: Path) -> list[str]:
    assert not list(member.rglob("*.rej"))
    return git(member, "diff", "--name-only", "--diff-filter=U").split()


def answers(member: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((member / ".copier-answers.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


# ── the invariant ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "tag"), ALL, ids=lambda value: value.replace(" ", "_"))
def test_an_untouched_member_becomes_a_fresh_one(
    line: Line, tmp_path: Path, kind: str, tag: str
) -> None:
    given = {**KINDS[kind], "registry_bucket": "acme-mesh", "deployment": "independent"}
    # what v0.0.1 calls otherwise, and what it has another default for
    oldest = tag == "v0.0.1"
    credit = {older.RENAMED_QUESTION[0] if oldest else older.RENAMED_QUESTION[1]: 7}
    member = line.member(tag, tmp_path / "member", **given, **credit)
    assert answers(member)["_commit"] == tag

    line.update(member)

    key, value = older.CHANGED_DEFAULT
    kept = {key: value} if oldest else {}
    fresh = line.render(versions.newest(), tmp_path / "fresh", **given, **kept, monthly_credits=7)
    assert files(member) == files(fresh)
    assert modes(member) == modes(fresh)
    assert in_conflict(member) == []
    old, new = older.RENAMED_QUESTION
    recorded = answers(member)
    assert (recorded[new], recorded[older.NEW_QUESTION]) == (7, "none")
    assert old not in recorded
    assert not oldest or recorded[key] == value
    assert not (member / older.REMOVED).exists()


# ── what the member's people wrote ────────────────────────────────────────────────────


def edit(member: Path, path: str, action: Callable[[str], str]) -> None:
    before = (member / path).read_text()
    after = action(before)
    assert after != before
    (member / path).write_text(after)


MINE = "mine: a line of the team\n"


def append(line: str) -> Callable[[str], str]:
    return lambda text: text + line


PLAUSIBLE: dict[str, Callable[[str], str]] = {
    "dbt_project.yml": append("\nvars:\n  cutoff: 30  # mine\n"),
    "profiles.yml": lambda text: text.replace("threads: 4", "threads: 2"),
    "README.md": append("\n## Our notes\n\nmine\n"),
    ".gitignore": append("/mine/\n"),
    "requirements.txt": lambda text: f"sqlfluff  # mine\n{text}",
    "macros/generate_schema_name.sql": append("-- mine\n"),
    "snowflake/03_grant_mesh_access.sql": append("-- mine\n"),
    "setup_keypair_auth.sh": append("# mine\n"),
}
MODELS = {
    "upstream": ["models/staging/stg_orders.sql", "models/marts/_marts.yml", "seeds/customers.csv"],
    "native": ["models/downstream_orders.sql", "models/_models.yml"],
    "loom": ["models/downstream_orders.sql", "models/staging/stg_public_orders.sql"],
}
STARTERS = {
    "upstream": ["models/marts/daily_revenue.sql", "models/staging/stg_the_customers.sql"],
    "native": ["models/downstream_orders.sql", "models/_models.yml"],
    "loom": ["models/staging/stg_public_orders.sql"],
}
OLDEST = versions.earlier()[0]
ADDED = ["models/mine.sql", "macros/mine.sql", "tests/mine.sql", ".github/workflows/mine.yml"]


@pytest.mark.parametrize("tag", [OLDEST, versions.kept()[-1]])
@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_edits_in_every_plausible_file_survive(
    line: Line, tmp_path: Path, kind: str, tag: str
) -> None:
    """And starter files that a team deleted do not come back, nor under another name."""
    member = line.member(tag, tmp_path / "member", **KINDS[kind])
    rendered = files(member)
    deleted = STARTERS[kind] if tag == OLDEST else []
    for path in deleted:
        (member / path).unlink()
    models = [path for path in MODELS[kind] if path not in deleted]
    for path, action in PLAUSIBLE.items():
        edit(member, path, action)
    for path in models:
        edit(member, path, append(f"-- {MINE}"))
    for path in ADDED:
        (member / path).parent.mkdir(parents=True, exist_ok=True)
        (member / path).write_text(MINE)
    commit(member)
    before = files(member)

    line.update(member)

    fresh = files(line.render(versions.newest(), tmp_path / "fresh", **KINDS[kind]))
    same = {path for path in rendered if rendered[path] == fresh.get(path)}
    assert not same & set(in_conflict(member)), "the template did not change these"
    after = files(member)
    if deleted:
        assert not {*deleted, older.RENAMED_STARTER[1]} & after.keys()
    for path in [*PLAUSIBLE, *models, *ADDED]:
        lost = set(before[path].splitlines()) - set(after[path].splitlines())
        assert not [line for line in lost if b"mine" in line or b"threads: 2" in line], path


# ── migrations ────────────────────────────────────────────────────────────────────────


def test_renamed_file_takes_the_edits_along(line: Line, tmp_path: Path) -> None:
    member = line.member("v0.0.2", tmp_path / "member", **KINDS["upstream"])
    old, new = older.RENAMED_STARTER
    edit(member, old, append("-- mine\n"))  # and the template took the first line away
    commit(member)
    line.update(member)
    assert not (member / old).exists()
    text = (member / new).read_text()
    assert text.endswith("-- mine\n")
    assert "-- the customers, cleaned" not in text
    assert in_conflict(member) == []


def test_renamed_file_is_in_conflict_where_both_changed_it(line: Line, tmp_path: Path) -> None:
    member = line.member("v0.0.2", tmp_path / "member", **KINDS["upstream"])
    old, new = older.RENAMED_STARTER
    edit(member, old, lambda text: text.replace("-- the customers, cleaned", "-- our customers"))
    commit(member)
    line.update(member)
    assert in_conflict(member) == [new]
    assert "-- our customers" in (member / new).read_text()
    git(member, "checkout", "--theirs", "--", new)
    assert "-- our customers" not in (member / new).read_text()


# ── code that became a library ────────────────────────────────────────────────────────


def test_edited_copies_of_the_library_leave_the_tree_and_are_named(
    line: Line, tmp_path: Path
) -> None:
    member = line.member("v0.2.0", tmp_path / "member", **KINDS["upstream"])
    edits = ["scripts/mesh/cli.py", "scripts/announce.py", "scripts/publish_manifest.py"]
    for path in edits:
        edit(member, path, lambda text: text.replace("import ", "import  # mine\nimport ", 1))
    (member / "scripts/ours.py").write_text(MINE)
    (member / "scripts/other.py").write_text(f"from mesh import cli\n{MINE}")
    grants = "snowflake/03_grant_mesh_access.sql"
    edit(member, grants, append("GRANT ROLE X TO ROLE BI;\n"))
    edit(member, ".gitignore", append("/mine/\n"))
    commit(member)
    head = git(member, "rev-parse", "--short", "HEAD")

    said = by_hand(member)

    assert in_conflict(member) == []
    assert "now in the library, vendor/dbtmesh-" in said
    assert "now python -m dbtmesh announce\n" in said
    assert "now scripts/publish_manifest.py runs the library\n" in said
    for path in edits:
        assert f"  git show {head}:./{path} " in said
        assert "# mine" in git(member, "show", f"{head}:./{path}")
    fresh = files(line.render(versions.newest(), tmp_path / "fresh", **KINDS["upstream"]))
    after = files(member)
    assert after.pop("scripts/ours.py").decode() == MINE
    # what stays, and is another thing now
    assert after.pop("scripts/other.py")
    assert "  scripts/other.py imports mesh, now in the package dbtmesh\n" in said
    assert after.pop(grants) == fresh.pop(grants) + b"GRANT ROLE X TO ROLE BI;\n"
    assert f"{grants} now ends with the role SYSADMIN, before with SECURITYADMIN: write" in said
    lists = after.pop(".gitignore"), fresh.pop(".gitignore")
    assert {*lists[0].splitlines()} == {*lists[1].splitlines(), b"/mine/"}
    assert after == fresh


def test_a_change_of_the_library_alone_is_three_files(line: Line, tmp_path: Path) -> None:
    repository, _, after = release_of(line, tmp_path)
    module = repository / "src/dbtmesh/cli.py"
    module.write_text(module.read_text() + "# a fix\n")
    commit(repository)
    git(repository, "tag", after)
    member = tmp_path / "member"
    rendering.render(
        rendering.Source(str(repository), versions.newest()), member, KINDS["native"], tasks=True
    )
    git(member, "init", "--quiet")
    commit(member)
    by_hand(member)
    git(member, "add", "--all")
    changed = git(member, "diff", "--cached", "HEAD", "--numstat", "-M").splitlines()
    assert len(changed) == 3, changed
    assert sum(int(n) for each in changed for n in each.split()[:2] if n != "-") <= 10


def release_of(line: Line, folder: Path) -> tuple[Path, str, str]:
    """A copy of the template's repository, its newest release, and the one that comes next."""
    repository = folder / "template"
    git(folder, "clone", "--quiet", str(line.repository), str(repository))
    return repository, versions.newest(), "v9.0.0"


# ── a change of kind ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tag", "before", "change"),
    [
        ("v0.0.2", "native", {"kind": "loom"}),
        ("v0.0.2", "loom", {"kind": "native"}),
        (versions.newest(), "native", {"publishes": True}),
        (versions.newest(), "loom", {"publishes": True}),
        (versions.newest(), "native hub", {"kind": "loom", "publishes": False}),
    ],
    ids=str,
)
def test_a_change_of_kind_is_an_update(
    line: Line, tmp_path: Path, before: str, change: dict[str, Any], tag: str
) -> None:
    """And keeps what was edited in the files that go."""
    member = line.member(tag, tmp_path / "member", **KINDS[before])
    (member / "models/mine.sql").write_text(MINE)
    config = "dbt_loom.config.yml"
    goes = before == "loom" and change.get("kind") == "native"
    if goes:
        edit(member, config, append("# mine\n"))
    commit(member)
    line.update(member, **change)
    fresh = line.render(versions.newest(), tmp_path / "fresh", **{**KINDS[before], **change})
    after = files(member)
    assert after.pop("models/mine.sql").decode() == MINE
    assert not goes or after.pop(config).endswith(b"# mine\n")
    assert after == files(fresh)


def test_a_change_of_registry_is_an_update(line: Line, tmp_path: Path) -> None:
    before = {**KINDS["native hub"], "registry_bucket": "acme-mesh"}
    change = {"registry": "snowflake", "snowflake_account": "ACME-MAIN"}
    member = line.member(versions.newest(), tmp_path / "member", **before)
    line.update(member, **change)
    fresh = line.render(versions.newest(), tmp_path / "fresh", **{**KINDS["native hub"], **change})
    assert files(member) == files(fresh)


# ── what the person reads ─────────────────────────────────────────────────────────────


def by_hand(member: Path, *flags: str) -> str:
    command = [BIN / "copier", "update", "--trust", "--defaults", *flags]
    done = run(command, member)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_what_changed_what_to_check_and_how_to_undo(line: Line, tmp_path: Path) -> None:
    """Of one member with all that an update may meet: a line that both sides changed, an edited
    file that the template dropped, and one that it renamed to what is the team's own already."""
    member = line.member("v0.0.2", tmp_path / "member", **KINDS["native"], setup="later")
    edit(member, "dbt_project.yml", lambda text: text.replace('"0.9.0"', '"3.1.4"') + "# mine\n")
    edit(member, older.REMOVED, append("# mine\n"))
    old, new = older.RENAMED_MACRO
    edit(member, old, append("-- mine\n"))
    (member / new).write_text(MINE)
    commit(member)
    said = by_hand(member)
    assert f"dbt_down is updated from v0.0.2 to {versions.newest()}" in said
    assert f"What is new in {versions.newest()}" in said
    assert "Members of three kinds" in said  # of v0.1.0, which lies between
    assert f"  {older.REMOVED}\n" in said
    assert (member / older.REMOVED).read_text().endswith("# mine\n")
    # both stay to be looked at
    assert (member / old).read_text().endswith("-- mine\n")
    assert MINE in (member / new).read_text()
    assert "dbt_project.yml" in in_conflict(member)
    assert set(in_conflict(member)) <= {"dbt_project.yml", new}
    assert re.search(r"  dbt_project.yml:\d+\n", said)
    text = (member / "dbt_project.yml").read_text()
    conflict = re.search(r"<<<<<<< .*?>>>>>>> after updating\n", text, re.DOTALL)
    assert conflict
    assert set(re.findall(r'version: "(.*?)"', conflict[0])) == {"3.1.4", "0.9.0", "1.0.0"} - (
        set() if "|||||||" in conflict[0] else {"0.9.0"}
    )
    assert text.endswith("# mine\n")
    assert "dbt build" in said
    assert "Next:" not in said, "the hook of new members ran"

    undo = said.strip().splitlines()[-1]
    subprocess.run(undo, shell=True, cwd=member, check=True, capture_output=True)
    assert git(member, "status", "--porcelain") == ""
    assert answers(member)["_commit"] == "v0.0.2"


@pytest.mark.parametrize("asked", ["by flag", "by git's settings"])
def test_edits_that_were_rejected_are_told_from_conflicts(
    line: Line, tmp_path: Path, asked: str
) -> None:
    """Copier finds none of its `.rej` to merge where git does not show files that it does not
    know."""
    member = line.member("v0.0.2", tmp_path / "member", **KINDS["upstream"])
    renamed, name = older.RENAMED_MACRO
    both_changed = "models/staging/stg_the_customers.sql"
    edit(member, "dbt_project.yml", lambda text: text.replace('"0.9.0"', '"3.1.4"'))
    edit(member, both_changed, lambda text: text.replace("the customers, cleaned", "ours"))
    edit(member, renamed, append("-- mine\n"))
    edit(member, older.REMOVED, append("# mine\n"))
    commit(member)
    git(member, "config", "status.showUntrackedFiles", "no" if asked != "by flag" else "normal")

    said = by_hand(member, *(["--conflict", "rej"] if asked == "by flag" else []))

    rejected = "dbt_project.yml.rej"
    assert "3.1.4" in (member / rejected).read_text()
    assert f"is in {rejected}: put it back into dbt_project.yml, then delete {rejected}\n" in said
    assert [str(path.relative_to(member)) for path in member.rglob("*.rej")] == [rejected]
    # what was merged by a migration has markers, and is told as ever
    merged = said.partition("choose between <<<<<<< and >>>>>>>:\n")[2].partition("  then")[0]
    assert re.fullmatch(rf"  {older.RENAMED_STARTER[1]}:\d+\n", merged)
    # and these have all of the edits
    assert (member / older.REMOVED).read_text().endswith("# mine\n")
    assert (member / name).read_text().endswith("-- mine\n")


def test_quiet_says_nothing_and_keeps_all_the_same(line: Line, tmp_path: Path) -> None:
    member = line.member("v0.0.2", tmp_path / "member", **KINDS["native"])
    edit(member, older.REMOVED, append("# mine\n"))
    commit(member)
    assert by_hand(member, "--quiet") == ""
    assert (member / older.REMOVED).exists()


def test_what_the_doctor_finds_is_told(line: Line, tmp_path: Path) -> None:
    """After an update of the same version with other answers, too."""
    member = line.member(versions.newest(), tmp_path / "member", **KINDS["upstream"])
    said = by_hand(member, "--data", "deployment=on_demand")
    assert f"rendered anew from {versions.newest()}" in said
    assert "What is new" not in said
    assert "doctor" not in said
    edit(member, "dbt_project.yml", lambda text: text.replace("reconcile_public_read()", "mine()"))
    commit(member)
    said = by_hand(member, "--data", "deployment=independent")
    assert "scripts/doctor.py finds more to do" in said
    assert "  dbt_project.yml: on-run-end does not call reconcile_public_read()\n" in said
    assert said.strip().splitlines()[-1].strip().startswith("git reset --hard")


def test_an_update_to_what_is_no_release_is_warned_of(line: Line, tmp_path: Path) -> None:
    repository = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", str(line.repository), str(repository))
    (repository / "template/new.txt").write_text("new\n")
    commit(repository)
    member = line.member("v0.1.0", tmp_path / "member", **KINDS["native"])
    edit(
        member,
        ".copier-answers.yml",
        lambda text: text.replace(f"_src_path: {line.repository}", f"_src_path: {repository}"),
    )
    commit(member)
    command = [BIN / "copier", "update", "--trust", "--defaults", "--vcs-ref", "HEAD"]
    done = run(command, member)
    assert done.returncode == 0, done.stderr
    assert "is not a release of the template" in done.stderr
