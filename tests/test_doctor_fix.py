"""`scripts/doctor.py --fix` on what a team's own files may look like: each finding is mended, all
else stays as it is to the byte, and a second run finds nothing."""

from __future__ import annotations

import json
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import joining
import pytest
import yaml

from dbtmesh import MeshError
from dbtmesh.config import load_member
from dbtmesh.doctor import environment, plan
from dbtmesh.doctor.finding import Finding, Side
from dbtmesh.doctor.project import Project
from tests.conftest import Member, Render
from tests.test_doctor import committed, examined
from tests.versions import git

SQL = "snowflake/01_create_databases_and_warehouses.sql"
PROJECT, PROFILES = "dbt_project.yml", "profiles.yml"


def project(member: Member, side: Side | None = None) -> Project:
    return Project(load_member(member.path), side=side)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def fix(member: Member, side: Side | None = None) -> list[str]:
    """Mends; the diff. What the diff does not name is as it was, and nothing is left to do."""
    before = tree(member.path)
    mended = plan.mended(project(member, side), plan.FILES)
    said = plan.difference(mended)
    changed = plan.write(mended)
    after = tree(member.path)
    assert {
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    } <= {*changed}
    gone = {line[1:].encode() for line in said if line.startswith("-")}
    for path in changed:
        is_text = b"\0" not in before.get(path, b"")
        if path in before and path in after and is_text and "UTF-8" not in str(said):
            kept = [line for line in before[path].splitlines() if line.rstrip(b"\r\n") not in gone]
            there = iter(after[path].splitlines())
            assert all(line in there for line in kept), path
    assert [plan.described(each) for each in examined(member)] == []
    assert plan.difference(plan.mended(project(member), plan.FILES)) == []
    return said


def one(member: Member) -> Finding:
    (finding,) = examined(member)
    return finding


def edit(member: Member, path: str, old: str, new: str) -> None:
    text = (member.path / path).read_text()
    assert old in text
    (member.path / path).write_text(text.replace(old, new))


# ── links, encodings, conflicts ───────────────────────────────────────────────────────


def in_a_folder(render: Render, path: str, target: str) -> Member:
    """A project that is a folder of a repository, with a link in it."""
    member = render(kind="upstream")
    top = member.path.parent
    (top / "shared").mkdir()
    there = member.path / path
    if there.is_dir():
        for each in [*there.iterdir()]:
            each.unlink()
        there.rmdir()
    else:
        there.unlink()
    there.symlink_to(target)
    (member.path / ".github").rename(top / ".github")
    git(top, "init", "--quiet")
    return member


def test_a_link_into_the_repository_becomes_a_file_of_the_projects_own(render: Render) -> None:
    member = in_a_folder(render, ".gitignore", "../shared/ignored")
    shared = member.path.parent / "shared/ignored"
    shared.write_text("# all of us\ntarget/\n")
    assert one(member).edits
    said = fix(member)
    assert ".gitignore: a link to ../shared/ignored becomes a file" in said
    assert shared.read_text() == "# all of us\ntarget/\n"
    assert (member.path / ".gitignore").read_text().startswith(shared.read_text())
    assert not (member.path / ".gitignore").is_symlink()


@pytest.mark.parametrize("there", [True, False])
def test_what_lies_outside_of_the_repository_is_not_copied_into_it(
    render: Render, tmp_path_factory: pytest.TempPathFactory, there: bool
) -> None:
    outside = tmp_path_factory.mktemp("home") / "secret"
    member = in_a_folder(render, PROFILES, str(outside))
    if there:
        outside.write_text("password: hunter2\n")
    finding = examined(member)[0]
    assert finding.edits == ()
    assert f"cp --remove-destination $(readlink {PROFILES}) {PROFILES}" in finding.add
    mended = plan.mended(project(member), plan.FILES)
    assert "hunter2" not in str(plan.difference(mended))
    plan.write(mended)
    assert (member.path / PROFILES).is_symlink()
    assert outside.exists() is there


def test_nothing_is_written_into_a_folder_that_lies_elsewhere(render: Render) -> None:
    member = in_a_folder(render, "macros", "../shared")
    finding = next(each for each in examined(member) if each.where.startswith("macros/"))
    assert finding.edits == ()
    assert "cp -RL macros macros.here && rm macros && mv macros.here macros" in finding.add
    plan.write(plan.mended(project(member), plan.FILES))
    assert [*(member.path.parent / "shared").iterdir()] == []
    (member.path / "macros").unlink()
    (member.path / "macros").mkdir()
    fix(member)


def test_bytes_of_no_encoding_are_replaced_where_git_has_them(render: Render) -> None:
    member = render(kind="upstream")
    file = member.path / PROFILES
    file.write_bytes(b"# caf\x81, caf\xe9\n" + file.read_bytes())
    committed(member)
    said = fix(member)
    assert f"{PROFILES}: from an unknown encoding to UTF-8, with 2 characters replaced by �" in said
    assert file.read_text().startswith("# caf�, caf�\n")
    file.write_bytes(b"# \x81\n" + file.read_bytes().partition(b"\n")[2])
    finding = one(member)
    assert finding.edits == ()
    assert finding.add.endswith(
        f"in line 1; or git commit {PROFILES}, then scripts/doctor.py --fix"
    )


@pytest.mark.parametrize("side", Side)
def test_a_person_says_whose_lines_stay_in_conflicts(render: Render, side: Side) -> None:
    member = committed(render(kind="upstream"))
    sql = (member.path / SQL).read_text()
    line = "  AUTO_SUSPEND = 60\n"
    ours, theirs = line.replace("60", "90"), line.replace("60", "120")
    conflict = f"<<<<<<< before updating\n{ours}=======\n{theirs}>>>>>>> after updating\n"
    edit(member, SQL, line, conflict)
    rejected = member.path / "macros/query_comment.sql.rej"
    rejected.write_text("@@ mine\n")
    found = {each.where.partition(":")[0]: each for each in examined(member)}
    assert "--take yours | template" in found[SQL].add
    assert "--take template" in found["macros/query_comment.sql.rej"].add
    assert plan.mended(project(member), plan.FILES).edited == {}
    if side is Side.YOURS:  # where an edit of theirs goes, a person has to say
        plan.write(plan.mended(project(member, side), plan.FILES))
        assert one(member).where.endswith(".rej")
        rejected.unlink()
    else:
        assert "-@@ mine" in fix(member, side)
        assert not rejected.exists()
    assert (member.path / SQL).read_text() == sql.replace(
        line, ours if side is Side.YOURS else theirs
    )
    assert examined(member) == []


def test_a_conflict_in_mesh_yml_is_settled_before_it_is_read(render: Render) -> None:
    member = committed(render(kind="upstream"))
    whole = (member.path / "mesh.yml").read_text()
    line = "deployment: sequential\n"
    conflict = f"<<<<<<< before updating\n{line}=======\nx: [\n>>>>>>> after updating\n"
    edit(member, "mesh.yml", line, conflict)
    said = member.ok("scripts/doctor.py", "--files", "--fix", "--take", "yours")
    assert "-<<<<<<< before updating" in said
    assert (member.path / "mesh.yml").read_text() == whole


# ── dbt_project.yml ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("on-run-end:\n", "x-hooks: &hooks [a,\n  b]\non-run-end: *hooks\nold:\n"),
        ("on-run-end:\n", "on-run-end: [a, # one\n  b\n]\nold:\n"),
        ("on-run-end:\n", "on-run-end: >-\n  select\n  1\nold:\n"),
        ("on-run-end:\n", "on-run-end: null\nold:\n"),
        ("\nmodels:\n", "\nseeds: *models\n\nmodels: &models\n"),
        ("\nmodels:\n", "\nmodels:\n  <<: {x: {+tags: [a]}}\n"),
    ],
)
def test_lines_are_added_however_a_file_is_laid_out(render: Render, old: str, new: str) -> None:
    member = committed(render(kind="upstream"))
    if "*models" in new:  # an anchor comes first
        old, new = "\nmodels:\n", "\nmodels: &models\n"
        edit(member, PROJECT, "\nseeds:\n", "\nsnapshots: *models\n\nseeds:\n")
    edit(member, PROJECT, old, new)
    text = (member.path / PROJECT).read_text()
    text = re.sub(r"^ +\+post-hook: .*\n", "", text, flags=re.MULTILINE)
    (member.path / PROJECT).write_text(text)
    before = yaml.safe_load(text)
    fix(member)
    after = yaml.safe_load((member.path / PROJECT).read_text())
    assert "reconcile_public_read" in str(after["on-run-end"])
    assert "grant_public_read" in str(after["models"]["dbt_up"]["+post-hook"])
    for key in before.keys() - {"on-run-end", "models"}:
        assert after[key] == before[key], key
    there = before["on-run-end"] or []
    there = there if isinstance(there, list) else [there]
    assert [each for each in after["on-run-end"] if each in there] == there


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "is missing"),
        (
            "name: dbt_up\nmodels:\n\tdbt_up:\n\t\t+tags: {{ var('x') }}\n",
            "is not valid YAML (line 3)",
        ),
        ("name: dbt_up\nversion: {{ var('v') }} # ours\n", "is not valid YAML (line 2)"),
    ],
)
def test_settings_that_dbt_cannot_read_are_mended(
    render: Render, text: str | None, what: str
) -> None:
    member = committed(render(kind="upstream"))
    if text is None:
        (member.path / PROJECT).unlink()
    else:
        (member.path / PROJECT).write_text(text)
    found = [each for each in examined(member) if each.where == PROJECT]
    assert [each.what.partition(":")[0] for each in found] == [what]
    assert found[0].effect == "dbt does not find the project"
    fix(member)
    assert yaml.safe_load((member.path / PROJECT).read_text())["name"] == "dbt_up"


@pytest.mark.parametrize("text", ["name: [", "just text\n", "# nothing\n"])
def test_settings_that_may_mean_anything_are_a_persons(render: Render, text: str) -> None:
    member = committed(render(kind="upstream"))
    (member.path / PROJECT).write_text(text)
    (finding,) = (each for each in examined(member) if each.where == PROJECT)
    assert finding.edits == ()
    assert finding.add
    assert PROJECT not in plan.mended(project(member), plan.FILES).edited


@pytest.mark.parametrize("part", ["database", "schema", "identifier"])
def test_names_without_quotes_are_quoted_on_duckdb(render: Render, part: str) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / PROJECT
    path.write_text(
        f"{path.read_text()}\nquoting:\n  # as Snowflake has it\n  {part}: false  # x\n"
    )
    assert one(member).what == f"quoting.{part} is false, on DuckDB too"
    fix(member)
    on_duckdb = "{{ (target.type == 'duckdb') | as_bool }}"
    assert f'  # as Snowflake has it\n  {part}: "{on_duckdb}"  # x\n' in path.read_text()


@pytest.mark.parametrize("setting", ["true", "\"{{ target.type == 'duckdb' }}\""])
def test_quotes_that_are_right_stay(render: Render, setting: str) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / PROJECT
    path.write_text(f"{path.read_text()}\nquoting: {{identifier: {setting}}}\n")
    assert examined(member) == []


# ── profiles.yml ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "kind"), [("prod", "bigquery"), ("ci", "postgres"), ("local", "postgres")]
)
def test_a_target_of_another_warehouse_gets_another_name(
    render: Render, name: str, kind: str
) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / PROFILES
    whole = yaml.safe_load(path.read_text())["dbt_up"]["outputs"]
    theirs = {"type": kind, "database": "acme-prod"}
    others = {key: value for key, value in whole.items() if key != name}
    profile = {"dbt_up": {"target": name, "outputs": {name: theirs, **others}}}
    path.write_text("# ours\n" + yaml.safe_dump(profile, sort_keys=False))
    assert one(member).what == f"the target {name} is of type {kind}"
    fix(member)
    after = yaml.safe_load(path.read_text())["dbt_up"]
    assert after["outputs"] == {**whole, f"{name}_{kind}": theirs}
    assert after["target"] == f"{name}_{kind}"  # what `dbt build` was stays what it was
    assert path.read_text().startswith("# ours\n")


@pytest.mark.parametrize("name", ["ci", "prod"])
def test_a_target_builds_where_grants_are_made(render: Render, name: str) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / PROFILES
    text = path.read_text()
    head, mark, tail = text.partition(f"    {name}:\n      <<: *snowflake\n")
    tail = tail.replace("      database: DBT_UP_PROD\n", "") if name == "prod" else tail
    path.write_text(f"{head}{mark}      database: ANALYTICS  # since 2019\n{tail}")
    wanted = "DBT_UP_PROD" if name == "prod" else "DBT_UP_DEV"
    assert one(member).what == f"the target {name} builds in ANALYTICS, mesh.yml says {wanted}"
    fix(member)
    assert path.read_text() == f"{head}{mark}      database: {wanted}  # since 2019\n{tail}"


@pytest.mark.parametrize(
    "line", ["dbt-core==1.7.4  # as in prod", "dbt-core [x] >=1.3,<1.9; python_version > '3'"]
)
def test_requirements_leave_room_for_what_the_mesh_needs(render: Render, line: str) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "requirements.txt"
    (ours,) = re.findall(r"^dbt-core.*", path.read_text(), re.MULTILINE)
    whole = path.read_text()
    path.write_text(whole.replace(ours, line))
    assert one(member).what.endswith(f", and the mesh needs {ours}")
    fix(member)
    comment = "  # as in prod" if "#" in line else ""
    assert path.read_text() == whole.replace(ours, f"{ours}{comment}")
    path.write_text(whole.replace(ours, f"{line.partition('  #')[0]} --hash=sha256:00"))
    assert examined(member) == []  # a lock is compiled of another file
    assert ours in str(plan.examine(project(member), [environment.versions]))


def test_requirements_that_are_too_old_stay_and_ours_are_installed_after_them(
    render: Render,
) -> None:
    """pip would end with ResolutionImpossible; sqlfluff is a tool, and in nobody's way."""
    member = committed(render(kind="upstream"))
    path = member.path / "requirements.txt"
    ours, theirs = path.read_text(), "dbt-core==1.3.1\nsqlfluff==1.4.5\n"
    path.write_text(theirs)
    plan.write(plan.mended(project(member), [environment.requirements]))
    assert path.read_text() == theirs
    assert (member.path / "requirements-mesh.txt").read_text() == ours
    assert one(member).what == "has dbt-core==1.3.1, and the mesh needs dbt-core>=1.10.8,<1.13"
    fix(member)
    assert path.read_text() == "dbt-core>=1.10.8,<1.13\nsqlfluff==1.4.5\n"


@pytest.mark.parametrize("key", ["model-paths", "source-paths"])
def test_a_folder_is_added_under_the_key_that_is_there(render: Render, key: str) -> None:
    member = committed(render(kind="native"))
    edit(member, PROJECT, "model-paths: [models]", f"{key}: [transform]")
    assert one(member).what == f"{key} does not name models"
    fix(member)
    settings = yaml.safe_load((member.path / PROJECT).read_text())
    assert settings[key] == ["transform", "models"]
    assert len({"model-paths", "source-paths"} & settings.keys()) == 1


def test_what_is_installed_is_of_the_versions_that_the_mesh_needs(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = committed(render(kind="upstream"))
    assert [*environment.dbt_version(project(member))] == []
    installed = {"dbt-core": "1.11.16", "dbt-snowflake": "1.7.0"}
    monkeypatch.setattr(metadata, "version", lambda name: installed.get(name, "1.10.1"))
    (finding,) = environment.dbt_version(project(member))
    assert finding.what == "is 1.7.0 in this Python, and the mesh needs dbt-snowflake>=1.10,<1.13"
    assert finding.add == "pip install -r requirements.txt -c constraints.txt"


# ── models and macros ─────────────────────────────────────────────────────────────────

MODEL = {
    "resource_type": "model",
    "package_name": "dbt_up",
    "name": "m",
    "access": "public",
    "config": {"database": "ML", "contract": {"enforced": True}},
    "fqn": ["dbt_up", "marts", "m"],
    "original_file_path": "models/marts/m.sql",
    "patch_path": "dbt_up://models/marts/m.yml",
}


@pytest.mark.parametrize(
    ("path", "text", "mended"),
    [
        (
            "models/marts/m.sql",
            "{{ config(database='ML', access = 'public') }}\nselect 1 as id\n",
            "{{ config(database='ML', access = 'protected') }}\nselect 1 as id\n",
        ),
        (
            "models/marts/m.yml",
            "models:\n  - name: a\n    access: public\n  - name: m  # b\n    access: public\n",
            "models:\n  - name: a\n    access: public\n  - name: m  # b\n    access: protected\n",
        ),
        (
            "models/marts/m.yml",
            "models:\n- {name: m, config: {access: public, database: ML}}\n",
            "models:\n- {name: m, config: {access: protected, database: ML}}\n",
        ),
    ],
)
def test_a_public_model_that_nobody_could_read_is_closed(
    render: Render, path: str, text: str, mended: str
) -> None:
    member = with_model(committed(render(kind="upstream")))
    (member.path / path).write_text(text)
    assert one(member).what == "the public model m lies in ML, and not in DBT_UP_PROD"
    plan.write(plan.mended(project(member), plan.FILES))
    assert (member.path / path).read_text() == mended
    assert plan.difference(plan.mended(project(member), plan.FILES)) == []


def test_a_model_of_a_public_folder_is_closed_by_its_name(render: Render) -> None:
    member = with_model(committed(render(kind="upstream")))
    edit(member, PROJECT, "    staging:\n", "    marts: {+access: public}\n    staging:\n")
    plan.write(plan.mended(project(member), plan.FILES))
    settings = yaml.safe_load((member.path / PROJECT).read_text())
    assert settings["models"]["dbt_up"]["marts"] == {
        "+access": "public",
        "m": {"+access": "protected"},
    }
    assert plan.difference(plan.mended(project(member), plan.FILES)) == []


def test_what_is_public_in_no_place_that_can_be_read_is_told(render: Render) -> None:
    member = with_model(committed(render(kind="upstream")), patch_path="dbt_up://../../x.yml")
    (member.path / "models/marts/m.sql").write_text("{{ config(access=var('a')) }}\n")
    finding = one(member)
    assert finding.edits == ()
    assert "`access: protected` for m" in finding.add


def with_model(member: Member, **more: Any) -> Member:
    (member.path / "target").mkdir()
    manifest = {"nodes": {"model.dbt_up.m": {**MODEL, **more}}}
    (member.path / "target/manifest.json").write_text(json.dumps(manifest))
    return member


OWN = "{% macro generate_schema_name(name, node) %}{{ name }} of {0}{% endmacro %}\n"


def test_of_two_macros_of_a_name_one_is_asked(render: Render) -> None:
    """The one in the file of that name; in a comment there is none."""
    member = committed(render(kind="upstream"))
    macros = member.path / "macros"
    of_name, other = macros / "generate_schema_name.sql", macros / "a.sql"
    mine = of_name.read_text().replace("{{ default_schema }}", "{{ default_schema | trim }}")
    of_name.write_text(f"{{# {OWN} #}}\n{mine}")
    assert examined(member) == []
    other.write_text(f"{{# {OWN} #}}\n{OWN}")
    of_name.write_text(of_name.read_text().replace("trim }}", "trim | upper }}"))
    finding = one(member)
    assert (finding.where, finding.what) == (
        "macros/a.sql",
        f"the macro generate_schema_name() is defined in macros/{of_name.name}, too",
    )
    fix(member)
    assert "macro generate_schema_name_other(name, node)" in other.read_text()
    assert f"{{# {OWN} #}}\n" in other.read_text()


# ── what git keeps, SQL, workflows ────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", ["vendor/", "*.whl", "/vendor/*", "*"])
def test_git_takes_what_a_clone_needs_and_nothing_else(render: Render, rule: str) -> None:
    member = render(kind="upstream")
    (member.path / ".gitignore").write_text(f"{rule}\n{(member.path / '.gitignore').read_text()}")
    (member.path / "vendor/other.whl").write_text("x")
    git(member.path, "init", "--quiet")
    found = [each for each in examined(member) if each.where.startswith("vendor/")]
    assert [each.what.partition(" (")[0] for each in found] == ["is ignored by git"]
    fix(member)
    git(member.path, "add", "--all")
    kept = git(member.path, "ls-files", "vendor").splitlines()
    assert [Path(path).name.split("-")[0] for path in kept] == ["dbtmesh"]


def test_sql_of_the_teams_makes_room_for_the_one_that_sets_the_account_up(render: Render) -> None:
    member = committed(render(kind="upstream"))
    ours = (member.path / SQL).read_text()
    (member.path / f"{SQL}.mesh").write_text(ours)
    (member.path / SQL).write_text("create stage s;\n")
    answers = member.path / ".copier-answers.yml"
    own = f"own_files: README.md,{SQL}"
    answers.write_text(re.sub(r"^own_files:.*", own, answers.read_text(), flags=re.MULTILINE))
    assert one(member).where == SQL
    fix(member)
    assert (member.path / SQL).read_text() == ours
    assert not (member.path / f"{SQL}.mesh").exists()
    away = member.path / "snowflake/others" / Path(SQL).name
    assert away.read_text() == "create stage s;\n"
    assert yaml.safe_load(answers.read_text())["own_files"] == "README.md"


def test_workflows_of_a_folder_are_looked_at_where_they_are_the_meshs(render: Render) -> None:
    member = render(kind="upstream")
    git(member.path.parent, "init", "--quiet")
    folder = member.path / ".github/workflows"
    top = member.path.parent / ".github/workflows"
    finding = next(each for each in examined(member) if "not at the top" in each.what)
    assert finding.where == "dbt_up/.github/workflows"
    assert "(ci.yml, deploy.yml, maintenance.yml)" in finding.what
    assert (
        "--data working_directory=dbt_up --answers-file dbt_up/.copier-answers.yml" in finding.add
    )
    top.mkdir(parents=True)
    for file in folder.iterdir():
        file.rename(top / file.name)
    (folder / "theirs.yml").write_text("on: push\n")  # which GitHub has not run for years
    assert examined(member) == []


def test_a_project_and_its_upstream_in_one_repository(render: Render) -> None:
    """Which were one project once: a package of it is none any more, and each has its database."""
    core = render(kind="upstream", project_name="core", prod_database="ANALYTICS")
    reader = render(
        kind="native", upstreams="other@s3://acme-mesh/registry,core", prod_database="ANALYTICS"
    )
    top = reader.path.parent
    for member in (core, reader):
        shutil.rmtree(member.path / ".github")
    git(top, "init", "--quiet")
    packages = reader.path / "packages.yml"
    packages.write_text("packages:\n  - local: ../shared # macros\n  - local: ../core\n")
    assert examined(core)  # of the same database
    said = {each.what: each for each in examined(reader)}
    assert [*said] == [
        "installs core, which this project reads as an upstream",
        "the prod database is ANALYTICS, which is also that of core, in core",
        "the prod database of core, in core, is CORE_PROD here, and ANALYTICS there",
    ]
    commands = [each.add for each in said.values()][1:]
    update = "(cd .. && copier update --trust --skip-answered --data"
    file = "--answers-file dbt_down/.copier-answers.yml)"
    assert commands == [
        f"{update} prod_database=DBT_DOWN_PROD {file}",
        f"{update} upstreams=other@s3://acme-mesh/registry,core:ANALYTICS {file}",
    ]
    plan.write(plan.mended(project(reader), plan.FILES))
    assert packages.read_text() == "packages:\n  - local: ../shared # macros\n"
    for name, old, new in (
        ("mesh.yml", "prod_database: ANALYTICS", "prod_database: DBT_DOWN_PROD"),
        (
            "mesh.yml",
            "    database_prefix: CORE\n",
            "    database_prefix: CORE\n    database: ANALYTICS\n",
        ),
        ("profiles.yml", "database: ANALYTICS", "database: DBT_DOWN_PROD"),
    ):
        edit(reader, name, old, new)
    assert examined(reader) == []
    conf = {"dst_path": top, "answers_file": "third/.copier-answers.yml"}
    (top / "third").mkdir()
    shop = "shop:\n  outputs:\n    prod: {type: snowflake, database: analytics, schema: x}\n"
    (top / "third/profiles.yml").write_text(shop)
    (top / "third/dbt_project.yml").write_text("profile: shop\n")
    assert joining.existing_target(conf, "prod", "database") == ""
    assert joining.existing_target(conf, "prod", "schema") == "X"


# ── writes ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("line", [b"# caf\xe9\n", b"query-comment: {{ ours() }}\n", b"# \x1b[0m\n"])
def test_settings_that_cannot_be_read_yet_add_no_second_profile(
    render: Render, line: bytes
) -> None:
    member = render(kind="upstream")
    edit(member, PROJECT, "profile: dbt_up", "profile: ours")
    edit(member, PROFILES, "dbt_up:\n", "ours:\n")
    file, before = member.path / PROJECT, (member.path / PROFILES).read_bytes()
    file.write_bytes(file.read_bytes() + line)
    plan.write(plan.mended(project(member), plan.FILES))
    assert (member.path / PROFILES).read_bytes() == before


@pytest.mark.parametrize("text", ["# \x1b[0m\n", "# \u0001\n"])
def test_characters_that_no_yaml_may_hold_are_told(render: Render, text: str) -> None:
    member = render(kind="upstream")
    (member.path / PROFILES).write_text(text + (member.path / PROFILES).read_text())
    assert one(member).where == PROFILES


def test_a_profile_that_a_variable_names_is_the_default(render: Render) -> None:
    member = render(kind="upstream")
    given = "profile: \"{{ env_var('DBT_PROFILE', 'ours') }}\""
    edit(member, PROJECT, "profile: dbt_up", given)
    edit(member, PROFILES, "dbt_up:\n", "ours:\n")
    assert plan.difference(plan.mended(project(member), plan.FILES)) == []
    edit(member, PROJECT, ", 'ours'", "")
    assert one(member).what == "the name of its profile is not plain text, and has no default"
    assert plan.difference(plan.mended(project(member), plan.FILES)) == []


def test_macros_outside_of_the_project_are_a_persons(render: Render) -> None:
    member = render(kind="upstream")
    shared = member.path.parent / "shared" / "macros.sql"
    shared.parent.mkdir()
    shared.write_text("{% macro query_comment(node) %}{% endmacro %}\n")
    edit(member, PROJECT, "macro-paths: [macros]", "macro-paths: [macros, ../shared]")
    before = shared.read_bytes()
    plan.write(plan.mended(project(member), plan.FILES))
    assert shared.read_bytes() == before


def test_a_macro_in_another_encoding_gets_no_second_of_its_name(render: Render) -> None:
    member = render(kind="upstream")
    file = (member.path / "macros/generate_schema_name.sql").rename(member.path / "macros/n.sql")
    file.write_bytes(file.read_bytes() + b"{# caf\xe9 #}\n")
    plan.write(plan.mended(project(member), plan.FILES))
    assert not (member.path / "macros/generate_schema_name.sql").exists()


def lacking(member: Member) -> Path:
    file = member.path / ".gitignore"
    file.write_bytes(b"ours\r\n")
    return file


def test_what_was_saved_meanwhile_is_not_written_over(render: Render) -> None:
    member = render(kind="upstream")
    file = lacking(member)
    mended = plan.mended(project(member), plan.FILES)
    file.write_bytes(b"ours\r\nmore\r\n")
    with pytest.raises(MeshError, match=r"\.gitignore: it has changed meanwhile"):
        plan.write(mended)
    assert file.read_bytes() == b"ours\r\nmore\r\n"


def test_a_write_that_is_stopped_leaves_the_file_whole(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = render(kind="upstream")
    file = lacking(member)
    file.chmod(0o751)

    def stopped(_: int) -> None:
        raise KeyboardInterrupt

    mended = plan.mended(project(member), plan.FILES)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", stopped)
        with pytest.raises(KeyboardInterrupt):
            plan.write(mended)
    assert file.read_bytes() == b"ours\r\n"
    assert not [*member.path.glob(".*.tmp")]
    plan.write(mended)
    assert file.read_bytes().startswith(b"ours\r\n")
    assert file.stat().st_mode & 0o777 == 0o751


def test_links_in_a_circle_end_nothing(render: Render) -> None:
    member = render(kind="upstream")
    file = member.path / PROFILES
    file.unlink()
    file.symlink_to(PROFILES)
    fix(member)
    assert file.is_file()


def test_a_read_only_file_stays_and_so_do_the_others(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = render(kind="upstream")
    lacking(member)
    (member.path / ".gitattributes").write_bytes(b"")
    before = tree(member.path)
    mended = plan.mended(project(member), plan.FILES)
    # a stand-in for its permissions, which do not hold for root
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != ".gitattributes")
    with pytest.raises(PermissionError, match="it is read-only"):
        plan.write(mended)
    assert tree(member.path) == before
