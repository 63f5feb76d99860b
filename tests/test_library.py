"""The library of a member's commands: one sealed file, built by the hook, installed by path."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import library
import pytest
import yaml
from delivery import library_version

from dbtmesh import installed
from fleet import render as rendering
from fleet.render import Source
from tests import versions, warm
from tests.bench.member import rendered
from tests.bench.rendering import this_repository
from tests.conftest import BIN, Member, Render
from tests.interpreters import interpreter

VERSION = versions.newest().removeprefix("v")
NAME = f"dbtmesh-{VERSION}-py3-none-any.whl"


def wheels(member: Path) -> list[str]:
    return sorted(path.name for path in (member / "vendor").glob("*"))


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return warm.run(command, folder, {**os.environ, **environment})


# ── what is built ─────────────────────────────────────────────────────────────────────


def test_it_is_the_same_wherever_it_is_built(tmp_path: Path) -> None:
    for name in ("a", "b"):
        library.put(tmp_path, VERSION)
        (tmp_path / "vendor" / NAME).rename(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as wheel:
        assert {each.compress_type for each in wheel.infolist()} == {zipfile.ZIP_STORED}
        assert {each.date_time for each in wheel.infolist()} == {library.EPOCH}


def test_no_link_in_the_repository_leads_out_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, member = tmp_path / "outside", tmp_path / "member"
    outside.mkdir()
    (outside / "dbtmesh-0.1-py3-none-any.whl").write_text("another project's")
    member.mkdir()
    (member / "vendor").symlink_to(outside)
    library.put_or_say(member, VERSION, ".copier-answers.yml")
    assert f"error: {member}/vendor: it is a link" in capsys.readouterr().err
    assert [path.read_text() for path in outside.iterdir()] == ["another project's"]

    (member / "vendor").unlink()
    (member / "vendor").mkdir()
    (outside / "kept").write_text("kept")
    (member / "vendor" / f".{NAME}.tmp").symlink_to(outside / "kept")
    (member / "vendor" / NAME).symlink_to(outside / "kept")
    library.put(member, VERSION)
    assert (outside / "kept").read_text() == "kept"
    assert not (member / "vendor" / NAME).is_symlink()
    assert wheels(member) == [NAME]


def test_the_older_one_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    library.put(tmp_path, "0.1")
    (tmp_path / "vendor/ours.txt").write_text("ours")
    library.put(tmp_path, "0.2")
    assert wheels(tmp_path) == ["dbtmesh-0.2-py3-none-any.whl", "ours.txt"]
    library.put(tmp_path, "")
    assert wheels(tmp_path) == ["ours.txt"]


@pytest.mark.parametrize(
    ("commit", "version"),
    [
        ("v1.2.3", "1.2.3"),
        ("1.2.3", "1.2.3"),
        ("v2.0.0rc1", "2.0.0rc1"),
        ("v1.2.3-4-g0123abc", "1.2.3+untagged."),
        ("08387b6", "0+untagged."),  # a commit that looks like a version
        ("", "0+untagged."),
    ],
)
def test_an_untagged_version_says_so_and_changes_with_its_content(
    tmp_path: Path, commit: str, version: str
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/x.py").write_text("1")
    first = library_version(tmp_path, commit)
    assert first.startswith(version)
    (tmp_path / "src/x.py").write_text("2")
    library_version.cache_clear()
    assert (library_version(tmp_path, commit) == first) is ("untagged" not in version)


# ── a member that has it ──────────────────────────────────────────────────────────────


@pytest.fixture
def member(render: Render) -> Member:
    return render(kind="upstream")


def test_requirements_install_it_from_the_members_folder(member: Member, tmp_path: Path) -> None:
    """Everything else is installed here, so that no index is asked."""
    assert wheels(member.path) == [NAME]
    flags = ("--dry-run", "--no-index", "--force-reinstall", "--no-deps", "--quiet")
    files = ("-r", "requirements.txt", "-c", "constraints.txt")
    resolved = run(
        member.path, sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", *files
    )
    assert resolved.returncode == 0, resolved.stderr
    assert f"Would install dbtmesh-{VERSION}" in resolved.stdout
    wheel = f"./vendor/{NAME}"
    target = ("--target", tmp_path / "site", wheel)
    done = run(member.path, sys.executable, "-m", "pip", "install", *flags[1:], *target)
    assert done.returncode == 0, done.stderr
    said = run(
        member.path, sys.executable, "-m", "dbtmesh", "--version", PYTHONPATH=str(tmp_path / "site")
    )
    assert said.stdout == f"{VERSION}\n", said.stderr


def test_the_teams_own_packages_are_fenced_from_it(member: Member) -> None:
    lines = (member.path / "requirements.txt").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("./vendor/"))
    assert lines[0].startswith("# ")
    assert lines[at - 1].startswith("# ")
    assert [line[0] for line in lines[at + 1 :]] == ["#"]


def test_of_an_index_there_is_no_file(render: Render) -> None:
    member = render(kind="native", library="index")
    assert wheels(member.path) == []
    assert (
        f"dbtmesh[s3,snowflake,reader]=={VERSION}\n"
        in (member.path / "requirements.txt").read_text()
    )
    assert installed.required(member.path) == VERSION


@pytest.mark.parametrize("state", ["missing", "altered", "missing, in a repository with edits"])
def test_what_mends_a_missing_or_altered_file_is_told_in_requirements(
    member: Member, state: str
) -> None:
    file = member.path / "vendor" / NAME
    sound = file.read_bytes()
    if "repository" in state:
        for line in ("init -q", "add -A", "commit -qm x"):
            run(member.path, "git", *line.split())
    (member.path / "README.md").write_text("mine\n")
    file.write_bytes(b"altered") if state == "altered" else file.unlink()
    before = member.files()
    text = (member.path / "requirements.txt").read_text()
    (command,) = [line[2:] for line in text.splitlines() if line.startswith("# copier ")]
    done = run(member.path, BIN / "copier", *shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == sound
    assert {**before, f"vendor/{NAME}": sound} == member.files()


def test_skipped_tasks_are_told_with_the_command_that_mends_it(
    template: Source, tmp_path: Path
) -> None:
    flags = ("--trust", "--defaults", "--skip-tasks", "--vcs-ref", str(template.ref))
    done = run(tmp_path, BIN / "copier", "copy", *flags, template.url, "dbt_up")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    command = line.partition("To build it: ")[2]
    assert wheels(tmp_path / "dbt_up") == []
    assert run(tmp_path / "dbt_up", BIN / "copier", *shlex.split(command)[1:]).returncode == 0
    assert wheels(tmp_path / "dbt_up") == [NAME]


def test_a_folder_that_cannot_be_written_does_not_delete_the_member(
    template: Source, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    member = tmp_path / "dbt_up"
    member.mkdir()
    (member / "vendor").write_text("a file where the folder has to be")
    rendering.render(template, tmp_path / "fresh", {"project_name": "x"}, tasks=True)
    library.put_or_say(member, VERSION, ".copier-answers.yml")
    said = capfd.readouterr().err
    assert said.startswith(f"error: {member / 'vendor'}: ")
    assert "To build it: copier recopy" in said
    assert len(said.splitlines()) == 1


# ── a command that runs with another version ──────────────────────────────────────────


def test_another_version_than_the_required_is_one_line(member: Member, tmp_path: Path) -> None:
    library.put(tmp_path, "0.1")
    (wheel,) = (tmp_path / "vendor").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    done = member.run("scripts/publish_manifest.py", "--help", PYTHONPATH=str(tmp_path / "site"))
    assert done.returncode == 0
    assert "usage:" in done.stdout
    assert done.stderr == (
        f"note: this Python has version 0.1 of dbtmesh, the project requires {VERSION}: "
        "pip install -r requirements.txt -c constraints.txt\n"
    )


def test_the_right_version_and_a_checkout_say_nothing(member: Member, tmp_path: Path) -> None:
    with zipfile.ZipFile(member.path / "vendor" / NAME) as archive:
        archive.extractall(tmp_path / "site")
    for path in (tmp_path / "site", Path(installed.__file__).parents[1]):
        done = member.run("scripts/publish_manifest.py", "--help", PYTHONPATH=str(path))
        assert done.stderr == ""


def test_a_project_that_names_none_or_another_way_says_nothing(tmp_path: Path) -> None:
    assert installed.required(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("dbt-core\ndbtmesh>=1\n")
    assert installed.required(tmp_path) is None
    (tmp_path / "requirements.txt").write_bytes(b"\xff")
    assert installed.required(tmp_path) is None
    assert installed.other_than_required(tmp_path) is None


# ── without the environment ───────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has nothing installed."""
    return interpreter(tmp_path_factory.mktemp("bare") / "venv")


@pytest.mark.parametrize(
    "command",
    ["scripts/publish_manifest.py --check", "scripts/snowflake_access.py plan", "keypair"],
)
def test_what_to_activate_or_install_is_one_line(member: Member, bare: Path, command: str) -> None:
    words = [str(bare), *command.split()]
    if command == "keypair":
        words = ["./setup_keypair_auth.sh", "status"]
    done = run(member.path, *words, PYTHONPATH="", DBT_MESH_PYTHON=str(bare))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {bare} lacks the package dbtmesh: activate ")
    assert "pip install -r requirements.txt -c constraints.txt" in line


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["keypair-auth", "--help"]])
def test_help_needs_no_other_package(member: Member, bare: Path, words: list[str]) -> None:
    """As Python runs it from the file itself."""
    wheel = member.path / "vendor" / NAME
    done = run(member.path, bare, "-m", "dbtmesh", *words, PYTHONPATH=str(wheel))
    assert done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_package_that_is_missing_is_one_line(member: Member, bare: Path) -> None:
    wheel = member.path / "vendor" / NAME
    done = run(
        member.path, bare, "-m", "dbtmesh", "publish-manifest", "--check", PYTHONPATH=str(wheel)
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert " lacks the package " in line


# ── workflows and answers ─────────────────────────────────────────────────────────────


def test_texts_stay_texts_in_every_yaml_file(render: Render) -> None:
    member = render(
        kind="loom",
        project_name="no",
        upstreams="on,null=OFF",
        deploy_branch="1.10",
        registry_bucket="123",
        warehouse="YES",
        snowflake_account="ORG-ACCOUNT",
        aws_role_arn="arn:aws:iam::123456789012:role/mesh",
    )
    files = member.files()
    mesh = yaml.safe_load(files["mesh.yml"])
    assert (mesh["project"], mesh["deploy_branch"], mesh["bucket"]) == ("no", "1.10", "123")
    assert [each["name"] for each in mesh["upstreams"]] == ["on", "null"]
    assert mesh["snowflake"]["warehouse"] == "YES"
    project = yaml.safe_load(files["dbt_project.yml"])
    assert (project["name"], project["profile"]) == ("no", "no")
    assert set(project["models"]) == {"no"}
    assert set(yaml.safe_load(files["profiles.yml"])) == {"no"}
    deploy = yaml.safe_load(files[".github/workflows/deploy.yml"])
    assert deploy[True]["push"]["branches"] == ["1.10"]
    refs = {
        step["with"]["ref"]
        for path in files
        if path.startswith(".github")
        for job in yaml.safe_load(files[path])["jobs"].values()
        for step in job.get("steps", [])
        if "ref" in step.get("with", {})
    }
    assert "1.10" in refs
    assert all(isinstance(ref, str) for ref in refs)


def test_an_update_replaces_the_wheel_and_takes_the_old_one_for_no_edit(tmp_path: Path) -> None:
    """Between two releases that both have the library; the file of the older one goes."""
    template, member = tmp_path / "template", tmp_path / "dbt_up"
    template.mkdir()
    this_repository(template)
    rendered(template, member, "v9.0.0", "kind=upstream")
    done = subprocess.run(
        [BIN / "copier", "update", "--trust", "--defaults"],
        cwd=member,
        capture_output=True,
        text=True,
        check=True,
    )
    assert wheels(member) == ["dbtmesh-9.0.1-py3-none-any.whl"]
    assert "because you had edited them" not in done.stdout
