"""`copier copy` into a folder that has something already: nothing of a team's is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import joining
import next_steps
import pytest
import save_answers
import yaml

from dbtmesh.downstream import own_sources
from fleet.render import Source
from tests.conftest import BIN, Member
from tests.test_yaml_files import BOMB
from tests.versions import git
from tests.warm import run

THEIRS = {
    "dbt_project.yml": """\
# Our shop. Ask the data team.
name: shop
version: "1.0"
profile: acme
test-paths: [data-tests]
vars: {zone: UTC}   # do not change

on-run-end: "{{ log_results(results) }}"

models:
  shop:
    # everything is a view
    +materialized: view
""",
    "profiles.yml": "acme:\n  target: dev\n  outputs:\n    dev: # your own\n      type: duckdb\n",
    ".gitignore": "loader-credentials/\nprofiles.yml\ntarget/\n",
    "README.md": "# Shop\n\nWho to call: the data team.\n",
    "requirements.txt": "dbt-core~=1.11\nours==1.2\n",
    "macros/log.sql": "{% macro log_results(results) %}{% endmacro %}\n",
    "macros/names.sql": "{% macro generate_schema_name(name, node) %}{{ name }}{% endmacro %}\n",
    "models/marts/orders.sql": "select 1 as id\n",
    ".github/workflows/ci.yml": "on: push\njobs: {}\n",
    "scripts/doctor.py": "print('ours')\n",
}
SECRET = "loader-credentials/key.json"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def repository(folder: Path, files: dict[str, str], inside: str = ".") -> Path:
    """One that has been there for years."""
    write(folder / inside, files)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "years")
    write(folder / inside, {SECRET: "hunter2"})
    return folder


def copy(template: Source, folder: Path, *flags: str) -> str:
    given: list[str | Path] = ["--vcs-ref", str(template.ref), "--data", "kind=upstream", *flags]
    command = [BIN / "copier", "copy", "--trust", "--defaults", *given, template.url, "."]
    done = run(command, folder, {**os.environ, "PWD": str(folder)})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def joined(template: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A joined repository, and what was said; with --overwrite, the worst of flags."""
    folder = repository(tmp_path_factory.mktemp("join") / "shop", THEIRS)
    return folder, copy(template, folder, "--overwrite")


@pytest.fixture
def shop(joined: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the joined repository, for tests that change it."""
    return Path(shutil.copytree(joined[0], tmp_path / "shop"))


def answers(folder: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_no_line_of_the_teams_is_gone(joined: tuple[Path, str]) -> None:
    folder, _ = joined
    for name, text in THEIRS.items():
        if name == "dbt_project.yml":  # where one hook became a list of two
            text = text.replace('on-run-end: "{{', 'on-run-end:\n  - "{{')
        lines = iter((folder / name).read_text().splitlines())
        assert all(line in lines for line in text.splitlines()), name
    assert (folder / SECRET).read_text() == "hunter2"
    assert not [
        line for line in git(folder, "status", "--porcelain").splitlines() if "D" in line[:2]
    ]


def test_what_is_there_answers(joined: tuple[Path, str]) -> None:
    recorded = answers(joined[0])
    assert (recorded["project_name"], recorded["profile"]) == ("shop", "acme")
    assert recorded["starter"] is False
    assert recorded["database_prefix"] == "SHOP"
    assert not (joined[0] / "seeds").exists()


def test_settings_and_lists_get_the_lines_that_they_lack(joined: tuple[Path, str]) -> None:
    folder, said = joined
    project = yaml.safe_load((folder / "dbt_project.yml").read_text())
    assert project["on-run-end"] == ["{{ log_results(results) }}", "{{ reconcile_public_read() }}"]
    profile = yaml.safe_load((folder / "profiles.yml").read_text())["acme"]
    assert set(profile["outputs"]) == {"dev", "local", "ci", "prod"}
    assert profile["outputs"]["dev"] == {"type": "duckdb"}
    assert "./vendor/dbtmesh-" in (folder / "requirements.txt").read_text()
    for name in ("dbt_project.yml", "profiles.yml", "requirements.txt", ".gitignore"):
        changed = r"1 line rewritten, " if name == "dbt_project.yml" else ""
        assert re.search(
            rf"^  {re.escape(name)}: yours, with {changed}\d+ lines? added$", said, re.MULTILINE
        )


def test_other_files_lie_beside_and_are_named(joined: tuple[Path, str]) -> None:
    folder, said = joined
    for name in ("README.md", "scripts/doctor.py"):
        assert (folder / name).read_text() == THEIRS[name]
        assert (folder / f"{name}.mesh").is_file()
        assert f"  {name}: yours; the template's is {name}.mesh (" in said
    # their macro of that name is in another file: two of them would stop dbt
    assert not (folder / "macros/generate_schema_name.sql").exists()
    told = "macros/generate_schema_name.sql: yours: macros/names.sql; the template's is "
    assert told in said
    # their workflow of that name stays, ours has another
    assert (folder / ".github/workflows/ci.yml").read_text() == THEIRS[".github/workflows/ci.yml"]
    assert (folder / ".github/workflows/mesh-ci.yml").is_file()
    assert (folder / ".github/workflows/mesh-deploy.yml").is_file()


def test_the_first_step_adds_what_the_copy_wrote_and_nothing_else(
    joined: tuple[Path, str], shop: Path
) -> None:
    _, said = joined
    assert "git init" not in said
    assert "git add -A" not in said
    write(shop, {"their-draft.txt": "not yet"})
    (line,) = re.findall(r"^ +(git add .*)$", said, re.MULTILINE)
    subprocess.run(line, shell=True, cwd=shop, check=True, capture_output=True)
    staged = git(shop, "diff", "--cached", "--name-only").splitlines()
    assert {"mesh.yml", "dbt_project.yml", ".copier-answers.yml", "macros/public_read.sql"} <= {
        *staged
    }
    assert any(path.startswith("vendor/dbtmesh-") for path in staged)
    assert ".github/workflows/mesh-ci.yml" in staged
    assert ".github/workflows/ci.yml" not in staged  # theirs, as it was
    assert not {SECRET, "their-draft.txt", "profiles.yml", "README.md.mesh"} & {*staged}
    assert "profiles.yml" in git(shop, "check-ignore", "profiles.yml", SECRET)


def test_versions_that_the_team_pins_are_not_pinned_twice(joined: tuple[Path, str]) -> None:
    """pip ends with ResolutionImpossible where a requirement and a constraint differ."""
    folder, said = joined
    constraints = (folder / "constraints.txt").read_text()
    assert not re.search(r"^dbt-core==", constraints, re.MULTILINE)
    assert re.search(r"^dbt-snowflake==", constraints, re.MULTILINE)
    assert "  constraints.txt: without what your requirements name (dbt-core)\n" in said


LOCK = """\
click==8.1.7
    # via typer
typer==0.12.3
"""


@pytest.mark.parametrize(
    "lock", [LOCK, "ours==1.2 --hash=sha256:00\n", "ours==1.2 \\\n    --hash=sha256:00\n"]
)
def test_a_lock_stays_as_it_is_and_what_the_mesh_needs_is_installed_after_it(
    template: Source, tmp_path: Path, lock: str
) -> None:
    """pip takes no other version of click, and no line without a hash beside one that has one."""
    folder = repository(tmp_path / "shop", {**THEIRS, "requirements.txt": lock})
    said = copy(template, folder)
    assert (folder / "requirements.txt").read_text() == lock
    second = (folder / "requirements-mesh.txt").read_text()
    assert "\n./vendor/dbtmesh-" in second
    assert "\ndbt-snowflake>=" in second
    assert "requirements.txt: yours; it pins versions, so what the mesh needs is in " in said
    install = "pip install -r {} -c constraints.txt"
    assert " && .venv/bin/".join(map(install.format, next_steps.REQUIREMENTS)) in said
    (line,) = re.findall(r"^ +(git add .*)$", said, re.MULTILINE)
    assert "requirements-mesh.txt" in line.split()
    assert "\nclick==" not in (folder / "constraints.txt").read_text() or lock != LOCK
    Member(folder, {}).ok("doctor", "--files")
    if lock == LOCK:
        said = update(folder, template, next_release(template, tmp_path), "--conflict", "rej")
        assert (folder / "requirements.txt").read_text() == lock
        (wheel,) = (folder / "vendor").iterdir()
        after = (folder / "requirements-mesh.txt").read_text()
        assert [*re.findall(r"^(?!#)\S+", after, re.MULTILINE)] == [
            "dbt-core>=1.10.8,<1.13",
            "dbt-duckdb>=1.10.1",
            "dbt-extras>=1.0",
            "dbt-snowflake>=1.10,<1.13",
            f"./vendor/{wheel.name}[s3,snowflake,publisher]",
        ]
        constraints = (folder / "constraints.txt").read_text()
        assert "\ndbt-core==1.99.0\n" in constraints
        assert "\nclick==" not in constraints
        assert " && ".join(map(install.format, next_steps.REQUIREMENTS)) in said
        assert said.count("  so ") == 1, said  # of .gitignore, which is theirs


def test_packages_and_sources_of_the_team_are_in_the_steps(
    template: Source, tmp_path: Path
) -> None:
    files = {
        **THEIRS,
        "packages.yml": "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n",
        "models/raw/_sources.yml": "version: 2\nsources:\n  - name: ecom\n",
    }
    said = copy(template, repository(tmp_path / "shop", files))
    build = said.partition("Build it on your laptop")[2].partition("Set up Snowflake")[0]
    commands = [line.strip().partition("    #")[0] for line in build.splitlines()[2:]]
    assert commands[:3] == [
        ".venv/bin/dbt deps",
        ".venv/bin/python scripts/stub_mesh.py",
        ".venv/bin/dbt build --target local",
    ]


def test_dbt_parses_what_came_of_it(shop: Path) -> None:
    Member(shop, {"DBT_MESH_HOME": str(shop / ".mesh")}).dbt("parse", "--target", "local")


def test_the_doctor_finds_nothing_more(shop: Path) -> None:
    """Their scripts/doctor.py is another one."""
    said = Member(shop, {}).ok("doctor", "--files")
    assert "note: macros/names.sql: generate_schema_name() is this project's own" in said
    assert "note: profiles.yml: is ignored by git (.gitignore:2: profiles.yml)" in said


def next_release(template: Source, folder: Path) -> Path:
    """The template with a tag more, which changes files that a team may have."""
    newer = folder / "template"
    git(folder, "clone", "--quiet", template.url, str(newer))
    for name in ("README.md.jinja", ".gitignore", "snowflake/99_teardown.sql.jinja"):
        path = newer / "template/{{ member }}" / name
        path.write_text(path.read_text() + "\n-- of the next release\n")
    for name, pattern, text in (
        ("requirements.txt.jinja", "dbt-duckdb>=.*", "dbt-duckdb>=1.10.1\ndbt-extras>=1.0"),
        ("constraints.txt.jinja", "dbt-core==.*", "dbt-core==1.99.0"),
        ("constraints.txt.jinja", "dbt-snowflake==.*", "dbt-snowflake==1.99.0"),
    ):
        path = newer / "template/{{ member }}" / name
        path.write_text(re.sub(pattern, text, path.read_text()))
    git(newer, "commit", "--quiet", "--all", "--message", "next")
    git(newer, "tag", "v9.0.0")
    return newer


def update(project: Path, template: Source, newer: Path, *flags: str) -> str:
    """Commits a project as it joined, and updates it; what was said."""
    recorded = project / ".copier-answers.yml"
    recorded.write_text(recorded.read_text().replace(template.url, str(newer)))
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "joined")
    done = run([BIN / "copier", "update", "--trust", "--defaults", *flags], project)
    assert done.returncode == 0, done.stderr
    assert not git(project, "diff", "--name-only", "--diff-filter=U")
    assert not [*project.rglob("*.rej")]
    return str(done.stdout + done.stderr)


def test_updates_leave_the_teams_files_alone_and_roll_out_the_rest(
    template: Source, shop: Path, tmp_path: Path
) -> None:
    said = update(shop, template, next_release(template, tmp_path))
    changed = {line[3:] for line in git(shop, "status", "--porcelain").splitlines()}
    assert "snowflake/99_teardown.sql" in changed
    assert not {"README.md", ".gitignore", "dbt_project.yml", "profiles.yml"} & changed
    # but for the lines that the copy added to their requirements, and the versions tested with them
    (wheel,) = (shop / "vendor").iterdir()
    requirements = (shop / "requirements.txt").read_text()
    assert requirements.startswith(THEIRS["requirements.txt"])
    assert re.findall(r"^./vendor/([^\[]*)", requirements, re.MULTILINE) == [wheel.name]
    assert wheel.name.startswith("dbtmesh-9.0.0-")
    assert "\ndbt-duckdb>=1.10.1\n" in requirements
    assert requirements.count("dbt-extras>=1.0") == 1
    assert requirements.count("# What this project runs on") == 1
    constraints = (shop / "constraints.txt").read_text()
    assert "\ndbt-snowflake==1.99.0\n" in constraints
    assert "dbt-core==" not in constraints
    assert said.count("  so ") == 1, said  # .gitignore is theirs, and this one is a finding


@pytest.mark.parametrize("flags", [["--quiet"], ["--data", "setup=now"]])
def test_a_project_joins_whatever_is_printed(
    template: Source, tmp_path: Path, flags: list[str]
) -> None:
    account = ["--data", "snowflake_account=ORG-X"]
    said = copy(template, repository(tmp_path / "shop", THEIRS), *account, *flags)
    assert "reconcile_public_read" in (tmp_path / "shop/dbt_project.yml").read_text()
    assert "./vendor/dbtmesh-" in (tmp_path / "shop/requirements.txt").read_text()
    assert (tmp_path / "shop/README.md.mesh").is_file()
    assert ("README.md: yours; the template's is README.md.mesh" in said) is (
        "--quiet" not in flags
    )


def test_a_profile_at_home_that_is_hidden_now_is_named(
    template: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    write(tmp_path / "home", {".dbt/profiles.yml": THEIRS["profiles.yml"]})
    files = {"dbt_project.yml": THEIRS["dbt_project.yml"], "models/m.sql": "select 1 as id\n"}
    write(tmp_path / "shop", files)
    said = copy(template, tmp_path / "shop")
    assert (
        "profiles.yml: new, and dbt reads it before ~/.dbt/profiles.yml: add your targets" in said
    )
    assert "(dev), or name the old file with --profiles-dir ~/.dbt" in said


def test_folders_of_other_names_are_read_and_added(template: Source, tmp_path: Path) -> None:
    settings = "name: shop\nprofile: shop\nvars: {raw: raw}\n"
    settings += "macro-paths: [jinja]\nmodel-paths: [transform]\n"
    files = {
        "dbt_project.yml": f"{settings}on-run-start: '{{{{ hello() }}}}'\n",
        "jinja/hello.sql": "{% macro hello() %}{% endmacro %}\n",
        "transform/s.yml": SOURCES,
        "transform/m.sql": "{{ config(schema='audit') }} select 1 as id\n",
    }
    folder = repository(tmp_path / "shop", files)
    said = copy(template, folder)
    recorded = answers(folder)
    assert recorded["starter"] is False
    assert recorded["reads"] == "ANALYTICS.OWN,LANDING.ERP,LANDING.SALESFORCE"
    assert recorded["schemas"] == "AUDIT,MARTS"
    assert "transform/s.yml: the location of the source by_name is not plain text" in said
    assert own_sources.declares_any(folder)
    assert " scripts/stub_mesh.py" in said  # among the next steps, for these sources
    project = yaml.safe_load((folder / "dbt_project.yml").read_text())
    assert project["macro-paths"] == ["jinja", "macros"]
    assert project["model-paths"] == ["transform"]
    Member(folder, {"DBT_MESH_HOME": str(folder / ".mesh")}).dbt("parse", "--target", "local")


def test_a_project_in_a_folder_gets_its_workflows_at_the_top(
    template: Source, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "mono", THEIRS, inside="analytics")
    said = copy(template, folder, "--answers-file", "analytics/.copier-answers.yml")
    assert answers(folder / "analytics")["project_name"] == "shop"
    workflow = yaml.safe_load((folder / ".github/workflows/shop-ci.yml").read_text())
    assert workflow["defaults"]["run"]["working-directory"] == "analytics"
    assert (folder / "analytics/README.md").read_text() == THEIRS["README.md"]
    (line,) = re.findall(r"^ +(git add .*)$", said, re.MULTILINE)
    subprocess.run(line, shell=True, cwd=folder, check=True, capture_output=True)
    staged = git(folder, "diff", "--cached", "--name-only").splitlines()
    assert ".github/workflows/shop-ci.yml" in staged
    assert "analytics/mesh.yml" in staged
    assert f"analytics/{SECRET}" not in staged


def test_a_copy_below_the_top_says_the_right_command(template: Source, tmp_path: Path) -> None:
    folder = repository(tmp_path / "mono", {"README.md": "mono\n", "analytics/x.txt": "x\n"})
    said = copy(template, folder / "analytics")
    assert (
        f"cd {folder} && copier copy --trust --answers-file analytics/.copier-answers.yml" in said
    )


def test_a_mesh_yml_of_another_tool_is_refused_before_anything_is_written(
    template: Source, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "shop", {**THEIRS, "mesh.yml": "kind: ServiceMesh\n"})
    command = [BIN / "copier", "copy", "--trust", "--defaults", "--vcs-ref", str(template.ref)]
    done = run([*command, template.url, "."], folder)
    assert done.returncode == 1
    assert "error: mesh.yml is another tool's" in done.stderr
    assert "Traceback" not in done.stderr
    assert not git(folder, "status", "--porcelain", "--", ":!loader-credentials")


def test_what_stands_in_the_way_is_told(template: Source, tmp_path: Path) -> None:
    """A target that deploys under another name, CRLF, SQL in snowflake/, an ignored library."""
    files = {
        "dbt_project.yml": SHOP.replace("ml: {", "ml: {+tags: [x], "),
        "profiles.yml": SNOWFLAKE.replace("    prod:", "    production:"),
        "snowflake/stages.sql": "create stage s;\n",
        ".gitignore": "*.whl\n",
    }
    folder = repository(tmp_path / "shop", files)
    (folder / "a.sql").write_bytes(b"select 1\r\n")
    git(folder, "-c", "core.autocrlf=false", "add", "a.sql")
    git(folder, "commit", "--quiet", "--message", "from Windows")
    said = copy(template, folder)
    assert answers(folder)["prod_database"] == "ANALYTICS"
    assert ".gitattributes: 1 of your files are committed with CRLF" in said
    assert "snowflake/: snowflake/stages.sql: yours;" in said
    assert "macros/generate_schema_name.sql: new; only prod builds" in said
    added, forced = re.findall(r"^ +(git add [^#\n]*)", said, re.MULTILINE)[:2]
    for line in (added, forced):
        subprocess.run(line, shell=True, cwd=folder, check=True, capture_output=True)
    assert "vendor/dbtmesh-" in git(folder, "diff", "--cached", "--name-only")


def test_nothing_is_lost_whatever_flags_and_whatever_is_not_committed(
    template: Source, tmp_path: Path
) -> None:
    """CRLF, all macros that decide names, a place that Jinja makes, a model's own database."""
    macros = [
        f"{{% macro generate_{what}_name(n=none, node=none) %}}{{{{ n }}}}{{% endmacro %}}\n"
        for what in ("schema", "database", "alias")
    ]
    files = {
        "dbt_project.yml": "name: shop\nprofile: acme\nmodels:\n  shop:\n    +enabled: true\n",
        "profiles.yml": SNOWFLAKE,
        ".gitignore": "profiles.yml\n",
        "package-lock.yml": "packages: []\nsha1_hash: 00\n",
        "macros/names.sql": "".join(macros),
        "models/s.yml": "sources: [{name: erp, database: \"{{ env_var('RAW') }}\"}]\n",
        "models/a.sql": "{{ config(schema='features', database='ml') }} select 1 as id\n",
        "models/b.sql": "select 1 as id\n",
    }
    folder = repository(
        tmp_path / "shop", {name: text.replace("\n", "\r\n") for name, text in files.items()}
    )
    dirty = {"models/b.sql": "select 2 as id\n", "staged.txt": "staged\n", "new.txt": "new\n"}
    write(folder, dirty)
    git(folder, "add", "staged.txt")
    with (folder / "dbt_project.yml").open("a") as settings:
        settings.write("vars: {zone: UTC}\n")
    said = copy(template, folder, "--overwrite", "--skip-tasks")
    (again,) = re.findall(r"copier recopy [^:]*:current:\s+--exclude.*", said)
    assert "--skip-tasks left out the library of its commands (vendor/) and what your own" in said
    done = subprocess.run(again, shell=True, cwd=folder, check=True, capture_output=True, text=True)
    for name, text in {**files, **dirty}.items():
        lines = iter((folder / name).read_bytes().splitlines())
        assert all(line.encode() in lines for line in text.splitlines()), name
    settings_now = (folder / "dbt_project.yml").read_bytes()
    assert settings_now.count(b"\r\n") == settings_now.count(b"\n") - 1  # the line from above
    recorded = answers(folder)
    assert recorded["schemas"] == "ML.FEATURES,CORE"
    assert recorded["reads"] == ""
    assert "macros/generate_schema_name.sql" in recorded["own_files"]
    told = done.stdout
    assert "  dbt_project.yml: has edits of yours that are not committed: git add -p" in told
    assert "  models/s.yml: the location of the source erp is not plain text" in told
    added, committing = re.findall(r"^ +(git (?:add|commit) .*)$", told, re.MULTILINE)
    assert "package-lock.yml" not in added
    subprocess.run(
        f"{added} && {committing}", shell=True, cwd=folder, check=True, capture_output=True
    )
    assert git(folder, "diff", "--cached", "--name-only").splitlines() == ["staged.txt"]
    left = {line[3:] for line in git(folder, "status", "--porcelain").splitlines()}
    assert left >= {"models/b.sql", "new.txt", "staged.txt"}
    Member(folder, {}).ok("doctor", "--files")


def test_where_prod_was_is_told(tmp_path: Path) -> None:
    conf(tmp_path, {"dbt_project.yml": SHOP, "profiles.yml": SNOWFLAKE})
    names = ("RAW", "STAGING", "MARTS", "FEATURES")
    assert joining.moved_schemas(tmp_path) == [f"CORE_{name}" for name in names]
    (tmp_path / "profiles.yml").unlink()
    assert joining.moved_schemas(tmp_path) == []


def test_an_empty_repository_keeps_its_readme_and_starts_with_the_demo(
    template: Source, tmp_path: Path
) -> None:
    """As GitHub makes one."""
    folder = repository(tmp_path / "up", {"README.md": "# up\n", ".gitignore": "*.pyc\n"})
    copy(template, folder)
    assert answers(folder)["starter"] is True
    assert answers(folder)["own_files"] == ".gitignore,README.md"
    assert (folder / "models/marts/public_orders.sql").exists()


def test_a_project_whose_name_is_legal_for_dbt_alone_joins(
    template: Source, tmp_path: Path
) -> None:
    project = THEIRS["dbt_project.yml"].replace("name: shop", "name: MLOps")
    folder = repository(tmp_path / "x", {"dbt_project.yml": project})
    said = copy(template, folder)
    assert answers(folder)["project_name"] == "MLOps"
    assert "failed" not in said
    assert "reconcile_public_read" in (folder / "dbt_project.yml").read_text()
    (line,) = re.findall(r"^ +(git add .*)$", said, re.MULTILINE)
    assert "dbt_project.yml" in line.split()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dbt_project.yml", b"# caf\xe9\nname: shop\n"),
        ("dbt_project.yml", b"name: shop\nmodels:\n\tshop: {}\n"),
        ("requirements.txt", b"# caf\xe9\ndbt-core\n"),
        ("profiles.yml", b"shop: {outputs: 7}\n"),
    ],
)
def test_a_file_that_lines_cannot_be_added_to_is_named(
    template: Source, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = repository(tmp_path / "shop", {"models/a.sql": "select 1 as id\n"})
    (folder / name).write_bytes(content)
    said = copy(template, folder)
    assert "failed" not in said
    assert f"  {name}: yours; " in said
    assert "it lacks could not be added" in said
    assert (folder / name).read_bytes() == content
    assert "scripts/doctor.py finds more to do" in said


def test_what_an_alias_stands_for_stays_the_same_elsewhere(
    template: Source, tmp_path: Path
) -> None:
    profiles = "shop: {outputs: &all {dev: {type: duckdb}}}\nx:\n  outputs: *all\n"
    folder = repository(
        tmp_path / "shop", {"models/a.sql": "select 1 as id\n", "profiles.yml": profiles}
    )
    assert "  profiles.yml: yours, with 2 lines rewritten\n" in copy(template, folder)
    after = yaml.safe_load((folder / "profiles.yml").read_text())
    assert set(after["shop"]["outputs"]) == {"dev", "local", "ci", "prod"}
    assert after["x"]["outputs"] == {"dev": {"type": "duckdb"}}


def test_constraints_of_the_team_and_what_a_link_leads_to_stay(
    template: Source, tmp_path: Path
) -> None:
    files = {**THEIRS, "constraints.txt": "dbt-core==1.11.0\n"}
    elsewhere = tmp_path / "ignored"
    elsewhere.write_text("target/\n")
    folder = repository(tmp_path / "shop", files)
    (folder / ".gitignore").unlink()
    (folder / ".gitignore").symlink_to(elsewhere)
    copy(template, folder)
    assert (folder / "constraints.txt").read_text() == files["constraints.txt"]
    assert elsewhere.read_text() == "target/\n"


def test_beside_a_link_and_a_name_that_is_no_text_the_first_step_adds_what_the_copy_wrote(
    template: Source, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "shop", {**THEIRS, "shared/their.sql": "select 1"})
    (folder / "macros").mkdir(exist_ok=True)
    (folder / "macros").rename(folder / "shared/macros")
    (folder / "macros").symlink_to("shared/macros")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("old")
    with (folder / ".gitignore").open("a") as rules:
        rules.write("/snowflake/audit/\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "shared")
    said = copy(template, folder)
    assert "failed" not in said
    line = re.findall(r"^ +(git add .*)$", said, re.MULTILINE)[0]
    subprocess.run(line, shell=True, cwd=folder, check=True, capture_output=True)
    staged = git(folder, "diff", "--cached", "--name-only").splitlines()
    assert {"mesh.yml", "shared/macros/public_read.sql"} <= {*staged}
    assert not any("audit" in path for path in staged)


def conf(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """What the filters of copier.yml get for a folder with these files."""
    write(folder, files)
    return {"answers_file": ".copier-answers.yml", "dst_path": folder, "src_path": folder}


SNOWFLAKE = """\
acme:
  outputs:
    dev: {type: snowflake, account: "{{ env_var('A') }}", database: scratch, schema: ada}
    prod:
      type: snowflake
      account: acme-eu1
      database: analytics
      warehouse: "{{ env_var('WAREHOUSE') }}"
      schema: core
"""
SHOP = """\
name: shop
profile: acme
models:
  +schema: "{{ var('schema') }}"
  shop:
    staging: {+schema: staging}
    marts: &marts
      schema: marts
      +meta: {schema: not_this}
    ml: {<<: *marts, +database: ml, +schema: features}
seeds: {shop: {+schema: raw}}
"""
SOURCES = """\
sources:
  - {name: erp, database: landing}
  - {name: crm, database: landing, schema: salesforce, tables: [{name: a}]}
  - {name: own, database: analytics}
  - {name: here}
  - {name: by_name, database: "{{ var('raw') }}"}
"""


@pytest.mark.parametrize("place", ["project", "home"])
def test_names_on_snowflake_are_those_of_the_profile_and_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    profiles = "profiles.yml" if place == "project" else "../home/.dbt/profiles.yml"
    by_model = "{{ config(materialized='table', schema='audit') }} select 1 as id\n"
    files = {"dbt_project.yml": SHOP, profiles: SNOWFLAKE, "models/a/_s.yaml": SOURCES}
    shop = conf(tmp_path / "shop", {**files, "models/a/m.sql": by_model})
    assert joining.existing_target(shop, "prod", "database") == "ANALYTICS"
    assert joining.existing_target(shop, "dev", "database") == "SCRATCH"
    assert joining.existing_target(shop, "prod", "warehouse") == ""
    assert joining.existing_account(shop) == "acme-eu1"
    by_variable = SHOP.replace("profile: acme", "profile: \"{{ env_var('PROFILE', 'acme') }}\"")
    assert by_variable != SHOP
    (tmp_path / "shop/dbt_project.yml").write_text(by_variable)
    assert joining.existing_profile(shop) == "acme"
    assert joining.existing_target(shop, "prod", "database") == "ANALYTICS"
    found = joining.existing_schemas(shop, "ANALYTICS")
    assert found == "RAW,STAGING,MARTS,ML.FEATURES,AUDIT,CORE"
    assert joining.existing_reads(shop, "ANALYTICS") == "LANDING.ERP,LANDING.SALESFORCE"


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("m.sql", "{{ config(schema='audit') }} select 1", "AUDIT"),
        ("m.sql", '{{ config(\n  post_hook="{{ f(1) }}",\n  schema = "audit",\n) }}', "AUDIT"),
        ("m.sql", "{{ config(database='ml', schema='features') }}", "ML.FEATURES"),
        ("m.sql", "{{ config(schema='a', database=var('d')) }} f(schema='x')", "A"),
        ("m.sql", "{{ config(schema=var('s')) }}", ""),
        ("m.sql", "{{ config(alias=')', schema='a') }}", "A"),
        ("m.sql", "{{ config(schema='a' }}", ""),
        ("m.py", "def model(dbt, session):\n    dbt.config(schema='ml')\n", "ML"),
        ("m.yml", "models: [{name: m, config: {schema: fin, database: ml}}, 7]\n", "ML.FIN"),
        ("m.yml", "seeds:\n  - {name: s, config: {schema: lookups}}\nmodels: 7\n", "LOOKUPS"),
        ("m.yml", "sources: [{name: s, schema: x, config: {enabled: true}}]\n", ""),
    ],
)
@pytest.mark.parametrize("key", ["model-paths", "source-paths"])
def test_schemas_that_models_name_themselves_are_found(
    tmp_path: Path, file: str, text: str, found: str, key: str
) -> None:
    settings = f"name: shop\n{key}: [transform]\n"
    shop = conf(tmp_path, {"dbt_project.yml": settings, f"transform/{file}": text})
    assert joining.existing_schemas(shop, "PROD") == (f"{found},MARTS" if found else "")


def test_a_macro_in_a_comment_is_none(tmp_path: Path) -> None:
    macro = "{% macro generate_schema_name(a, b) %}{% endmacro %}"
    write(
        tmp_path, {"macros/a.sql": f"{{# {macro} #}}", "macros/b.sql": macro.replace("{%", "{%-")}
    )
    assert joining.macros(tmp_path) == {"generate_schema_name"}
    (tmp_path / "macros/b.sql").unlink()
    assert joining.macros(tmp_path) == set()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"dbt_project.yml": "name: shop\n\tprofile: x\n", "profiles.yml": "a: [\n"},
        {"dbt_project.yml": "profile: acme\nmodels: 7\n", "profiles.yml": "acme: {outputs: 7}\n"},
        {"dbt_project.yml": "profile: acme\n", "profiles.yml": "acme: {outputs: {prod: 7}}\n"},
        {"models/s.yml": "sources:\n  - 7\n  - {name: 7, database: [x]}\n"},
    ],
)
def test_names_that_cannot_be_read_are_not_offered(tmp_path: Path, files: dict[str, str]) -> None:
    shop = conf(tmp_path, files)
    assert joining.existing_target(shop, "prod", "database") == ""
    assert joining.existing_account(shop) == ""
    assert joining.existing_schemas(shop, "P") == joining.existing_reads(shop, "P") == ""


def test_names_on_snowflake_become_answers(template: Source, tmp_path: Path) -> None:
    files = {"dbt_project.yml": SHOP, "profiles.yml": SNOWFLAKE, "models/s.yml": SOURCES}
    folder = repository(tmp_path / "shop", files)
    said = copy(template, folder)
    recorded = answers(folder)
    assert recorded["prod_database"] == "ANALYTICS"
    assert recorded["dev_database"] == "SCRATCH"
    assert recorded["warehouse"] == "SHOP_WH"
    assert recorded["snowflake_account"] == "acme-eu1"
    assert recorded["schemas"] == "RAW,STAGING,MARTS,ML.FEATURES,CORE"
    assert recorded["reads"] == "LANDING.ERP,LANDING.SALESFORCE"
    assert "macros/generate_schema_name.sql: new; in prod a schema is exactly" in said


@pytest.mark.parametrize(
    "content",
    [
        "a: !!bool x",
        "a: 2026-13-01",
        "[" * 200_000,
        "{a: " * 200_000,
        "- " * 200_000,
        f"{BOMB}macro-paths: [*i]\n",
        "\x00",
    ],
)
def test_settings_that_cannot_be_read_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "dbt_project.yml").write_text(content)
    assert "name" not in joining.settings(tmp_path)
    assert joining.macros(tmp_path) == set()


@pytest.mark.parametrize("content", ["a: !!bool x", "a: 2026-13-01", "[" * 20_000, "a: [", "\x00"])
def test_answers_on_record_that_cannot_be_read_are_none(tmp_path: Path, content: str) -> None:
    recorded = tmp_path / ".copier-answers.yml"
    recorded.write_text(content)
    seen = save_answers.Seen(answers={"a": 1}, given={"a": 1}, recorded=recorded)
    assert save_answers.typed(seen) == {"a": 1}


@pytest.mark.timeout(20)
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    for path in ("dbt_project.yml", "models/x.sql", "models/x.yml", "macros/x.sql"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / path)
    shop = conf(tmp_path, {})
    assert joining.existing_schemas(shop, "P") == joining.existing_reads(shop, "P") == ""
    assert joining.macros(tmp_path) == set()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("models: {shop: {+schema: raw}}", True),
        ("models: {+schema: \"{{ var('schema') }}\"}", True),
        ("vars: {schema: x}", False),
        ("models: {shop: {+meta: {schema: x}}}", False),
        ("models:\n  shop: {}  # schema: x", False),
    ],
)
def test_schemas_of_settings_are_those_of_what_dbt_builds(
    tmp_path: Path, text: str, names: bool
) -> None:
    (tmp_path / "dbt_project.yml").write_text(text)
    assert joining.names_schemas(tmp_path) is names


def test_aliases_cost_nothing(tmp_path: Path) -> None:
    layers = [f"l{n}: &l{n} {{a: *l{n - 1}, b: *l{n - 1}, c: *l{n - 1}}}" for n in range(1, 40)]
    text = "\n".join(["l0: &l0 {+schema: core}", *layers, "models: *l39\n"])
    shop = conf(tmp_path / "shop", {"dbt_project.yml": text})
    assert joining.existing_schemas(shop, "P") == "CORE,MARTS"


@pytest.mark.parametrize("content", ["name: [", "just text", "\x00", "name: 7\nprofile: {a: 1}\n"])
def test_what_cannot_be_read_is_as_if_it_were_not_there(
    template: Source, tmp_path: Path, content: str
) -> None:
    folder = repository(tmp_path / "x", {"dbt_project.yml": content})
    copy(template, folder)
    assert (folder / "dbt_project.yml").read_text().startswith(content)
    assert answers(folder)["project_name"] == "x"
