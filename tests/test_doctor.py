"""scripts/doctor.py: what a project lacks of what the mesh relies on, and what mends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from dbtmesh import installed
from dbtmesh.config import load_member
from dbtmesh.doctor import environment, plan, settings
from dbtmesh.doctor.finding import Finding
from dbtmesh.doctor.project import Project
from tests.conftest import ROOT, Member, Render
from tests.github_api import PERSON, GitHubApi
from tests.keypair_world import gh_standin
from tests.test_members import KINDS
from tests.versions import git

# ── a project as it is ────────────────────────────────────────────────────────────────


def examined(member: Member) -> list[Finding]:
    return plan.weighty(plan.examine(Project(load_member(member.path)), plan.FILES))


def mend(member: Member) -> None:
    plan.write(plan.mended(Project(load_member(member.path)), plan.FILES))


def committed(member: Member) -> Member:
    git(member.path, "init", "--quiet")
    git(member.path, "add", "--all")
    git(member.path, "commit", "--quiet", "--message", "rendered")
    return member


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("auth", ["key_pair", "workload_identity"])
def test_a_fresh_member_lacks_nothing(render: Render, kind: str, auth: str) -> None:
    more = {"prod_database": '"My-db"'} if auth == "workload_identity" else {}
    member = committed(
        render(
            **KINDS[kind], auth=auth, snowflake_account="ORG-X", registry_bucket="acme-mesh", **more
        )
    )
    assert [plan.described(each) for each in examined(member)] == []


@pytest.mark.parametrize("name", ["profiles.yml", "requirements.txt", ".gitignore"])
def test_a_file_that_is_no_text_is_not_written_over(render: Render, name: str) -> None:
    member = committed(render(kind="upstream"))
    no_code_page = b"# caf\x81\n"
    (member.path / name).write_bytes(no_code_page)
    assert examined(member)
    mend(member)
    assert (member.path / name).read_bytes() == no_code_page


@pytest.mark.parametrize("name", ["dbt_project.yml", "profiles.yml", ".gitignore"])
def test_a_file_of_another_encoding_is_saved_as_utf_8(render: Render, name: str) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / name
    text = path.read_text().replace("#", "# café", 1) + "# café\n"
    path.write_bytes(text.replace("\n", "\r\n").encode("cp1252"))
    (finding,) = examined(member)
    assert finding.what == "is not UTF-8, and seems to be Windows-1252"
    mend(member)
    assert path.read_bytes() == text.replace("\n", "\r\n").encode()
    assert examined(member) == []


@pytest.mark.parametrize("kind", ["upstream", "native"])
def test_code_that_reviews_fold_is_shown(render: Render, kind: str) -> None:
    member = committed(render(kind=kind))
    paths = ["macros/_mesh_ref.sql"] * (kind == "upstream") + ["models/_mesh_other.yml"]
    for path in paths:
        (member.path / path).write_text("# not generated\n")
    assert examined(member) == []  # nobody reviews what is not in git
    git(member.path, "add", "--all")
    found = examined(member)
    assert [each.where for each in found] == paths
    assert found[-1].add.startswith(
        "git mv models/_mesh_other.yml models/mesh_other.yml, or git rm"
    )
    mend(member)
    assert (member.path / "models/mesh_other.yml").read_text() == "# not generated\n"
    assert examined(member) == []


def test_an_untagged_template_is_advice(render: Render) -> None:
    member = committed(render(kind="upstream"))
    answers = member.path / ".copier-answers.yml"
    text = re.sub("^_commit: .*$", "_commit: v0.1.0-3-g1234567", answers.read_text(), flags=re.M)
    answers.write_text(text)
    assert "note: .copier-answers.yml: names an untagged version" in member.ok("doctor", "--files")


def without(pattern: str) -> Callable[[str], str]:
    def remove(text: str) -> str:
        changed = re.sub(pattern, "", text, flags=re.MULTILINE)
        assert changed != text, pattern
        return changed

    return remove


LACKING: list[tuple[str, str, Callable[[str], str], str]] = [
    ("upstream", "dbt_project.yml", without(r"^on-run-end:\n( .*\n)+"), "does not call"),
    ("upstream", "dbt_project.yml", without(r"^ +\+post-hook: .*\n"), "does not call"),
    ("native", "dbt_project.yml", without(r"^on-run-start:\n( .*\n)+"), "does not call"),
    ("upstream", "profiles.yml", without(r"^    ci:\n(      .*\n)+"), "has no target ci"),
    ("native", "profiles.yml", without(r"^    local:\n(      .*\n)+"), "has no target local"),
    ("upstream", ".gitignore", without(r"^\*\.p8\n"), "lacks *.p8"),
    ("upstream", ".gitattributes", without(r"^\*\.sh.*\n"), "lacks *.sh"),
    ("loom", "requirements.txt", without(r"^dbt-duckdb.*\n"), "does not name dbt-duckdb"),
    ("upstream", "requirements.txt", without(r"^\./vendor.*\n"), "does not name dbtmesh"),
    (
        "upstream",
        "mesh.yml",
        lambda text: text.replace("deployment: sequential", "deployment: on_demand"),
        "deployment is 'on_demand', the answer deployment is 'sequential'",
    ),
]


@pytest.mark.parametrize(
    ("kind", "path", "spoil", "says"), LACKING, ids=[f"{x[1]} {x[3]}" for x in LACKING]
)
def test_what_is_missing_is_found_and_mended(
    render: Render, kind: str, path: str, spoil: Callable[[str], str], says: str
) -> None:
    member = committed(render(kind=kind))
    whole = (member.path / path).read_text()
    (member.path / path).write_text(spoil(whole))
    found = [each for each in examined(member) if each.where == path]
    assert found
    for finding in found:
        assert says in finding.what
        assert finding.effect
        assert finding.add
    mend(member)
    assert examined(member) == []
    if path.endswith(".yml"):
        assert same((member.path / path).read_text(), whole)


def same(one: str, other: str) -> bool:
    """Whether two texts say the same, in whatever order; a hook is a list of one."""
    return bool(plain(yaml.safe_load(one)) == plain(yaml.safe_load(other)))


def plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: [each] if key == "+post-hook" and isinstance(each, str) else plain(each)
        for key, each in value.items()
    }


def test_on_v2_it_is_said_whether_the_latest_version_becomes_a_view(render: Render) -> None:
    """v2 makes one unless it is told not to: the table that a reader of v1 knows is in its way."""
    member = render(kind="upstream")
    dbt_project, facts = member.path / "dbt_project.yml", member.path / "mesh.yml"
    flag = "latest_version_pointer_enabled_by_default: false"
    core = re.sub(r"^require-dbt-version.*\n", "", dbt_project.read_text(), flags=re.MULTILINE)
    assert flag not in core
    assert [each for each in examined(member) if each.where == dbt_project.name] == []
    facts.write_text(facts.read_text().replace("engine: core", "engine: v2"))
    without_flags = re.sub(r"^flags:\n( .*\n)+", "", core, flags=re.MULTILINE)
    in_braces = without_flags.replace("\non-run-start:", "\nflags: {x: true}\non-run-start:")
    for text in (core, without_flags, in_braces):
        dbt_project.write_text(text)
        (found,) = (each for each in examined(member) if each.where == dbt_project.name)
        assert f"flags:\n  {flag}" in found.add
        (edit,) = found.edits
        flags = yaml.safe_load(text).get("flags", {})
        told = yaml.safe_load(str(edit.text))["flags"]
        assert told == {**flags, flag.partition(":")[0]: False}
        dbt_project.write_text(str(edit.text).replace(flag, flag.replace("false", "true")))
        assert [each for each in examined(member) if each.where == dbt_project.name] == []


def test_a_macro_that_is_gone_comes_back_as_the_template_has_it(render: Render) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "macros/public_read.sql"
    text = path.read_text()
    path.unlink()
    assert "_public_read() is not defined" in examined(member)[0].what
    mend(member)
    assert path.read_text() == text


def test_a_macro_beside_one_of_the_teams_comes_alone(render: Render) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "macros/generate_schema_name.sql"
    path.unlink()
    ours = "{% macro generate_database_name(name, node) %}OURS{% endmacro %}"
    (member.path / "macros/ours.sql").write_text(ours)
    mend(member)
    assert examined(member) == []
    assert re.findall(r"macro (generate_\w+)", path.read_text()) == ["generate_schema_name"]


def test_a_database_of_another_name_is_told(render: Render) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "profiles.yml"
    path.write_text(path.read_text().replace("database: DBT_UP_PROD", "database: ANALYTICS"))
    (finding,) = examined(member)
    assert "builds in ANALYTICS, mesh.yml says DBT_UP_PROD" in finding.what
    assert "prod_database=ANALYTICS" in finding.add


def test_the_library_is_named_with_the_clouds_of_all_registries(render: Render) -> None:
    member = committed(render(kind="native", upstreams="finance@gs://acme-mesh/registry"))
    path = member.path / "requirements.txt"
    (line,) = re.findall(r"^\./vendor.*$", path.read_text(), re.MULTILINE)
    assert "[s3,gcs," in line
    path.write_text(path.read_text().replace(line, ""))
    (finding,) = examined(member)
    assert line in finding.add


SCHEMA_MACRO = "macros/generate_schema_name.sql"
OWN_SCHEMA_MACRO = """\
{# Ours. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ generate_schema_name_for_env(custom_schema_name, node) }}
{%- endmacro %}
"""


def with_another_schema(member: Member) -> Member:
    """With a manifest of dbt that has a public model in FINANCE."""
    node: dict[str, Any] = {"resource_type": "model", "package_name": "dbt_up", "name": "m"}
    node |= {"access": "public", "config": {"schema": "finance"}, "original_file_path": "m.sql"}
    (member.path / "target").mkdir()
    (member.path / "target/manifest.json").write_text(json.dumps({"nodes": {"m": node}}))
    return member


def test_where_models_land_is_what_their_configuration_names(render: Render) -> None:
    """And public models lie where their readers get a grant."""
    member = committed(render(kind="upstream"))
    (member.path / SCHEMA_MACRO).write_text(OWN_SCHEMA_MACRO)
    node: dict[str, Any] = {"resource_type": "model", "package_name": "dbt_up", "access": "public"}
    astray = {**node, "name": "a", "database": "DBT_UP_PROD", "schema": "MARTS_mart"}
    outside = {**node, "name": "b", "database": "ML", "schema": "FEATURES"}
    nodes = {
        "a": {**astray, "config": {"schema": "mart", "contract": {"enforced": True}}},
        "b": {**outside, "config": {"schema": "FEATURES", "database": "ML"}},
    }
    (member.path / "target").mkdir()
    (member.path / "target/manifest.json").write_text(json.dumps({"nodes": nodes}))
    said = {each.what for each in examined(member) if not each.where.startswith("snowflake/")}
    assert said == {
        "puts a into MARTS_mart in place of mart",
        "the public model b lies in ML, and not in DBT_UP_PROD",
    }
    assert not any("FEATURES" in each.what for each in examined(member))
    mend(member)
    assert not any("puts" in each.what for each in examined(member))
    render_macro = Environment().from_string(
        (member.path / SCHEMA_MACRO).read_text()
        + "{% macro generate_schema_name_for_env(name, node) %}theirs {{ name }}{% endmacro %}"
        "{{ generate_schema_name(schema, {}) }}"
    )
    landed = {
        (name, schema): render_macro.render(target={"name": name}, schema=schema).strip()
        for name in ("prod", "local", "dev", "ci")
        for schema in (" mart ", None)
    }
    assert landed == {
        (name, schema): "mart"
        if schema and name in ("prod", "local")
        else f"theirs {schema}".strip()
        for name, schema in landed
    }


def test_a_macro_that_is_there_twice_is_the_teams(render: Render) -> None:
    member = committed(render(kind="upstream"))
    own = member.path / "macros/own.sql"
    own.write_text(OWN_SCHEMA_MACRO)
    (finding,) = examined(member)
    assert finding.what == "the macro generate_schema_name() is defined in macros/own.sql, too"
    mend(member)
    assert examined(member) == []
    assert "macro generate_schema_name" not in (member.path / SCHEMA_MACRO).read_text()
    assert "macro generate_database_name" in (member.path / SCHEMA_MACRO).read_text()
    assert own.read_text() == OWN_SCHEMA_MACRO


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ('require-dbt-version: [">=1.3.0", "<1.9.0"]  # ours', "'>=1.3.0'  # ours"),
        ("require-dbt-version: '<1.9.0'", "'>="),
        ('require-dbt-version:\n  - ">=1.3.0"\n  - <1.9.0', "'>=1.3.0'"),
        ("require-dbt-version: [\n  '>=1.3.0', <1.9.0]", "'>=1.3.0'"),
    ],
)
def test_a_version_of_dbt_that_is_too_old_for_the_mesh_is_widened(
    render: Render, line: str, mended: str
) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "dbt_project.yml"
    before = re.sub(r"^require-dbt-version.*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(f"{before}\n{line}\nvars: {{a: 1}}\n")
    project = Project(load_member(member.path))
    (told,) = plan.examine(project, [settings.required_version])  # before any dbt is installed
    assert told.what.endswith(", the mesh needs >=1.10.8,<1.13.0")
    plan.write(plan.mended(project, [environment.dbt_version]))
    after = path.read_text()
    assert after.startswith(f"{before}\nrequire-dbt-version: {mended}")
    assert after.endswith("\nvars: {a: 1}\n")
    assert plan.examine(Project(load_member(member.path)), [environment.dbt_version]) == []


def test_a_target_of_another_warehouse_is_told(render: Render) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "profiles.yml"
    text = path.read_text()
    at = text.index("    prod:")
    path.write_text(text[:at] + "    prod: {type: bigquery, database: acme-prod}\n")
    (finding,) = examined(member)
    assert finding.what == "the target prod is of type bigquery"
    path.write_text(text.replace("database: DBT_UP_PROD", "database: acme-prod"))
    (finding,) = examined(member)
    assert "--data 'prod_database=\"acme-prod\"'" in finding.add


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"dbt-core==1.11.0 \\\n  --hash=sha256:aa\n", "is a lock of exact versions"),
        (b"dbt-core==1.11.0\nclick==8.1.7\n", "is a lock of exact versions"),
        ("dbt-core==1.11.0\n".encode("utf-16"), "is not UTF-8, and seems to be UTF-16"),
        (b"# caf\xe9\r\ndbt-core\r\n", "is not UTF-8, and seems to be Windows-1252"),
        ("dbt-core==1.11.0\n".encode("utf-8-sig"), "does not name dbt-duckdb"),
    ],
)
def test_requirements_that_are_written_otherwise(render: Render, body: bytes, what: str) -> None:
    """Whatever they are, --fix mends it, and every line of theirs is there."""
    member = committed(render(kind="upstream"))
    path = member.path / "requirements.txt"
    path.write_bytes(body)
    (finding,) = examined(member)
    assert finding.what.startswith(what)
    mended = plan.mended(Project(load_member(member.path)), plan.FILES)
    encoding = what.partition("seems to be ")[2]
    told = f"{installed.REQUIREMENTS}: from {encoding} to UTF-8"
    assert (told in plan.difference(mended)) is bool(encoding)
    plan.write(mended)
    assert examined(member) == []
    is_lock = what.startswith("is a lock")
    assert (member.path / installed.AFTER).exists() is is_lock
    codec = {"": "utf-8", "UTF-16": "utf-16", "Windows-1252": "cp1252"}[encoding]
    theirs = body.decode(codec)
    assert path.read_bytes().decode().replace("\r\n", "\n").startswith(theirs.replace("\r\n", "\n"))


def test_the_schemas_of_public_models_are_those_of_the_sql(render: Render) -> None:
    member = with_another_schema(committed(render(kind="upstream")))
    found = examined(member)
    assert [each.where[10:12] for each in found] == ["01", "03"]
    assert all("FINANCE" in each.what and "FINANCE" in each.add for each in found)
    notes = plan.examine(Project(load_member(member.path)), plan.FILES)
    assert any("has no contract" in each.what for each in notes)
    mend(member)
    assert examined(member) == []
    member.ok("scripts/snowflake_access.py", "plan", "--offline")


def test_hooks_find_it_without_what_the_library_requires(render: Render) -> None:
    """Copier's interpreter has none of it, and a project that is there has run dbt already."""
    member = with_another_schema(committed(render(kind="upstream")))
    code = "sys.modules.update(dict.fromkeys(('msgspec', 'sqlglot', 'boto3')))"
    look = f"import sys; {code}; import doctor; print(doctor.findings(doctor.Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", look, member.path],
        env={"PYTHONPATH": str(ROOT / "hooks")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FINANCE" in done.stdout, done.stderr


# ── what git keeps ────────────────────────────────────────────────────────────────────


def test_what_a_clone_needs_and_git_ignores_is_found(render: Render) -> None:
    member = render(kind="upstream")
    with (member.path / ".gitignore").open("a") as ignored:
        ignored.write("*.whl\nprofiles.yml\n")
    committed(member)
    (finding,) = examined(member)
    assert finding.where.startswith("vendor/dbtmesh-")
    assert finding.add.startswith(f"git add --force {finding.where} ")
    notes = plan.examine(Project(load_member(member.path)), plan.FILES)
    (profiles,) = [each for each in notes if each.where == "profiles.yml"]
    assert "is ignored by git" in profiles.what
    git(member.path, *finding.add.split()[1:4])
    assert examined(member) == []


def test_git_says_what_it_ignores_where_a_folder_is_a_link(render: Render) -> None:
    member = render(kind="native", upstreams="dbt_up")
    kept = member.path / "kept/dbt_up"
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text("{}")
    (member.path / "state").symlink_to("kept")
    with (member.path / ".gitignore").open("a") as ignored:
        ignored.write("*.whl\n")
    committed(member)
    assert any(each.where.startswith("vendor/dbtmesh-") for each in examined(member))


def test_git_says_what_it_ignores_beside_a_submodule_and_for_names_that_are_no_text(
    render: Render,
) -> None:
    member = render(kind="upstream")
    (member.path / ".gitignore").write_text("*.whl\n")
    committed(member)
    other = member.path / "other"
    git(member.path, "init", "--quiet", "other")
    git(other, "commit", "--quiet", "--allow-empty", "--message", "first")
    git(member.path, "add", "other")  # as a submodule
    project = Project(load_member(member.path))
    rule = ".gitignore:1: *.whl"
    for paths in (("other/b.whl", "a.whl"), ("mesh.yml", "a.whl", "other/b.whl", "c d.whl")):
        assert project.ignored(*paths) == {
            path: rule for path in paths if path.endswith(".whl") and "/" not in path
        }
    named = [os.fsdecode(name) for name in (b"caf\xe9.whl", "café\n.whl".encode())]
    assert project.ignored(*named) == dict.fromkeys(named, rule)


def test_conflicts_and_rejected_edits_are_found(render: Render) -> None:
    member = committed(render(kind="upstream"))
    sql = member.path / "snowflake/99_teardown.sql"
    sql.write_text("<<<<<<< before updating\n" + sql.read_text())
    (member.path / "macros/query_comment.sql.rej").write_text("mine")
    assert {each.where for each in examined(member)} == {
        "snowflake/99_teardown.sql:1",
        "macros/query_comment.sql.rej",
    }


@pytest.mark.parametrize("spoil", ["missing", "changed", "added to", "cut off"])
def test_the_library_is_what_the_template_built(render: Render, spoil: str) -> None:
    import zipfile

    member = committed(render(kind="upstream"))
    (wheel,) = (member.path / "vendor").iterdir()
    match spoil:
        case "missing":
            wheel.unlink()
        case "cut off":
            wheel.write_bytes(wheel.read_bytes()[:-1000])
        case "changed":
            wheel.write_bytes(wheel.read_bytes().replace(b"column_removed", b"column_removeD", 1))
        case "added to":
            with zipfile.ZipFile(wheel, "a") as archive:
                archive.writestr("sitecustomize.py", "print('hello')")
    (finding,) = examined(member)
    assert finding.where == f"vendor/{wheel.name}"
    assert "copier recopy" in finding.add


@pytest.mark.parametrize("engine", ["core", "v2"])
def test_names_in_quotes_are_read_as_they_are_stored(render: Render, engine: str) -> None:
    """Settings as Copier rendered them are those that the doctor compares with."""
    names = {"warehouse": '"w h"', "prod_database": '"My-db"', "dev_database": '"a b"'}
    member = committed(
        render(kind="upstream", engine=engine, schemas='RAW,STAGING,"My Schema"', **names)
    )
    assert examined(member) == []
    project = Project(load_member(member.path))
    for name in ("dbt_project.yml", "profiles.yml", "requirements.txt"):
        assert project.template.rendered(name) == (member.path / name).read_text()
    edited = (member.path / "mesh.yml").read_text().replace("w h", "other one")
    (member.path / "mesh.yml").write_text(edited)
    (finding,) = examined(member)
    assert finding.add.endswith("""--data 'warehouse="other one"'""")
    mend(member)
    assert "  warehouse: w h\n" in (member.path / "mesh.yml").read_text()


def test_the_library_of_another_version_is_corrected(render: Render) -> None:
    member = render(kind="upstream")
    path = member.path / "requirements.txt"
    right = path.read_text()
    path.write_text(re.sub(r"dbtmesh-[^-]+-", "dbtmesh-0.1.2-", right))
    (finding,) = examined(member)
    assert (finding.where, finding.effect) == (
        "requirements.txt",
        "nothing can be installed from it",
    )
    mend(member)
    assert path.read_text() == right


def test_folders_that_dbt_does_not_read_are_found(render: Render) -> None:
    member = committed(render(kind="native", upstreams="dbt_up"))
    path = member.path / "dbt_project.yml"
    text = path.read_text()
    text = re.sub("^(macro|model)-paths:.*\n", "", text, flags=re.MULTILINE)
    path.write_text(f"{text}macro-paths: [jinja]\nmodel-paths: [marts]\ntarget-path: build\n")
    found = [each.what for each in examined(member) if each.where == "dbt_project.yml"]
    assert found == [
        "macro-paths does not name macros",
        "model-paths does not name models",
        "target-path is build",
    ]
    mend(member)
    mended = yaml.safe_load(path.read_text())
    assert mended["macro-paths"] == ["jinja", "macros"]
    assert mended["model-paths"] == ["marts", "models"]
    assert mended["target-path"] == "target"
    assert examined(member) == []


# ── the command ───────────────────────────────────────────────────────────────────────


def test_findings_end_with_2_and_fix_shows_what_it_changes(render: Render) -> None:
    member = committed(render(kind="upstream"))
    path = member.path / "dbt_project.yml"
    whole = path.read_text()
    crlf = without(r"^on-run-end:\n( .*\n)+")(whole).replace("\n", "\r\n")
    path.write_bytes(crlf.encode())
    said = member.refused("scripts/doctor.py", "--files", status=2)
    assert "dbt_project.yml: on-run-end does not call reconcile_public_read()" in said
    assert "1 finding (--fix shows the changes, and makes them)" in said
    said = member.ok("scripts/doctor.py", "--files", "--fix")
    assert '+  - "{{ reconcile_public_read() }}"' in said
    assert "changed dbt_project.yml" in said
    assert yaml.safe_load(path.read_bytes()) == yaml.safe_load(whole)
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n")
    assert "nothing is missing" in member.ok("scripts/doctor.py", "--files")


def test_what_cannot_be_read_here_is_a_note(render: Render) -> None:
    member = committed(
        render(kind="upstream", snowflake_account="ORG-X", github_repository="acme/up")
    )
    said = member.ok("scripts/doctor.py")
    assert "note: environment prod: its secrets in acme/up cannot be read here" in said


def test_secrets_are_asked_for_by_name(render: Render, tmp_path: Path) -> None:
    member = committed(
        render(kind="upstream", snowflake_account="ORG-X", github_repository="acme/up")
    )
    gh = tmp_path / "gh"
    gh.write_text(gh_standin(tmp_path / "gh.log"))
    gh.chmod(0o755)
    with GitHubApi() as api:
        api.token(PERSON, everything="write")
        settings = api.repository("acme/up").settings
        for name in ("prod", "ci"):
            settings.closed(name, "main")
        settings.environments["prod"].secrets["SNOWFLAKE_PRIVATE_KEY"] = "sealed"
        with_gh = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_API_URL": api.url}
        said = member.refused("scripts/doctor.py", status=2, **with_gh)
    assert "environment ci: has no secret SNOWFLAKE_PRIVATE_KEY" in said
    assert "--user DBT_UP_CI_SVC" in said
    assert "environment prod: has no" not in said


@pytest.mark.parametrize("auth", ["key_pair", "workload_identity"])
def test_who_could_deploy_is_asked_of_github(render: Render, tmp_path: Path, auth: str) -> None:
    member = committed(
        render(kind="upstream", snowflake_account="ORG-X", github_repository="acme/up", auth=auth)
    )
    gh = tmp_path / "gh"
    gh.write_text(gh_standin(tmp_path / "gh.log"))
    gh.chmod(0o755)
    with GitHubApi() as api:
        api.token(PERSON, everything="write")
        settings = api.repository("acme/up").settings
        settings.job_names("prod")
        with_gh = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_API_URL": api.url}
        said = member.refused("scripts/doctor.py", status=2, **with_gh)
        assert "environment prod: every branch can use the environment prod, not only main" in said
        settings.closed("prod", "main")
        done = member.run("scripts/doctor.py", **with_gh)
        assert "can use" not in done.stdout + done.stderr


def test_a_broken_mesh_yml_is_one_line(render: Render) -> None:
    member = render(kind="upstream")
    (member.path / "mesh.yml").write_text("kind: [")
    assert "mesh.yml is not valid YAML" in member.refused("scripts/doctor.py")


def test_outside_of_git_it_looks_at_the_rest(render: Render) -> None:
    member = render(kind="upstream")
    done = subprocess.run(["git", "rev-parse"], cwd=member.path, capture_output=True, check=False)
    assert done.returncode != 0
    assert examined(member) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [("dbt-core 2.0.0-alpha.4", None), ("Core:\n  - installed: 1.11.16", "1.11.16")],
)
def test_the_dbt_of_a_member_on_v2_is_the_first_on_path(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, found: str | None
) -> None:
    """v2 may have an environment of its own; the commands' Python has another dbt, or none."""
    member = render(kind="upstream", engine="v2")
    program = tmp_path / "dbt"
    program.write_text(f"#!/bin/sh\nprintf '{said}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    findings = list(environment.dbt_version(Project(load_member(member.path))))
    assert [each.what for each in findings if each.where == "dbt"] == (
        [f"is {found}, and mesh.yml says engine: v2"] if found else []
    )
