"""The questions: defaults that are right, and answers that are refused with one line."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from copier.errors import UserMessageError
from jinja2 import Template
from pytest_copie.plugin import Copie

from dbtmesh import MeshError
from dbtmesh.config import load_member, locate
from fleet import render as rendering
from fleet.render import Source
from tests.conftest import BIN, ROOT, Render, questions
from tests.warm import at_terminal, programs, run

COPY = [str(BIN / "copier"), "copy", "--trust", "--vcs-ref", "HEAD"]

BY_IDENTITY = {"auth": "workload_identity", "github_repository": "acme/up"}

# answers → the question that refuses, and what its line has to say
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"project_name": "dbt-up"}, "project_name", "not a valid project name"),
    ({"project_name": "Dbt_up"}, "project_name", "not a valid project name"),
    ({"project_name": "1dbt"}, "project_name", "not a valid project name"),
    ({"project_name": "dbt'up"}, "project_name", "not a valid project name"),
    ({"project_name": 'dbt"up'}, "project_name", "not a valid project name"),
    ({"project_name": "dbt_up\n"}, "project_name", "not a valid project name"),
    ({"project_name": ""}, "project_name", "not a valid project name"),
    ({"project_name": "dbt"}, "project_name", "dbt uses itself"),
    ({"project_name": "dbt_snowflake"}, "project_name", "dbt uses itself"),
    ({"project_name": "a" * 64}, "project_name", "at most 63"),
    ({"description": "two\nlines"}, "description", "one line"),
    ({"kind": "sideways"}, "kind", "is not one of"),
    ({"kind": "native", "upstreams": ""}, "upstreams", "at least one project"),
    ({"kind": "native", "upstreams": "dbt_up,,x"}, "upstreams", "single commas"),
    ({"kind": "native", "upstreams": "dbt_up, dbt_up"}, "upstreams", "named twice"),
    ({"kind": "native", "upstreams": "me", "project_name": "me"}, "upstreams", "itself"),
    ({"kind": "loom", "upstreams": "up@nfs://x/y"}, "upstreams", "registry of up"),
    ({"kind": "loom", "upstreams": "up@az://acc/mesh"}, "upstreams", "registry of up"),
    ({"kind": "loom", "upstreams": "up@snowflake://"}, "upstreams", "registry of up"),
    (
        {"registry": "azure", "azure_storage_account": "Acme"},
        "azure_storage_account",
        "not a valid",
    ),
    ({"registry": "azure", "azure_container": "a--b"}, "azure_container", "not a valid"),
    ({"registry": "azure", "azure_identities": "a/b"}, "azure_identities", "three ids"),
    ({"registry": "gcs", "gcs_bucket": "gs://mesh"}, "gcs_bucket", "not a valid bucket"),
    ({"registry": "gcs", "gcs_bucket": "google-mesh"}, "gcs_bucket", "keeps for itself"),
    ({"registry": "gcs", "google_provider": "projects/1"}, "google_provider", "not a workload"),
    ({"registry": "nfs"}, "registry", "is not one of"),
    ({"registry": "snowflake", "schemas": "MESH,MARTS"}, "registry", "name for the schema MESH"),
    (
        {
            "kind": "native",
            "registry": "s3",
            "upstreams": "up@snowflake://A-B",
            "schemas": "MESH,MARTS",
        },
        "registry",
        "name for the schema MESH",
    ),
    (
        {"kind": "native", "upstreams": "up@snowflake://A-B", "upstream_roles": "fin=FIN_ROLE"},
        "upstream_roles",
        "'fin' is not a project that it reads",
    ),
    (
        {"kind": "native", "registry": "snowflake", "upstream_roles": "fin=FIN_ROLE"},
        "upstream_roles",
        "'fin' is not a project that it reads",
    ),
    (
        {"kind": "native", "registry": "snowflake", "upstream_roles": "dbt_up=up role"},
        "upstream_roles",
        "role of dbt_up",
    ),
    ({"kind": "loom", "upstreams": "Dbt-Up"}, "upstreams", "not a valid dbt project name"),
    ({"kind": "loom", "upstreams": "up=x; drop"}, "upstreams", "not a plain Snowflake name"),
    ({"snowflake_account": "account"}, "snowflake_account", "ORG-ACCOUNT"),
    ({"snowflake_account": "a-b.snowflakecomputing.com"}, "snowflake_account", "ORG-ACCOUNT"),
    ({"snowflake_account": "https://a-b"}, "snowflake_account", "ORG-ACCOUNT"),
    ({"snowflake_account": "xy12345.snowflakecomputing.com"}, "snowflake_account", "without"),
    ({"description": "two\u202elines"}, "description", "right-to-left"),
    ({"description": "no\u200bthing"}, "description", "invisible"),
    ({"description": "or\u3164ders"}, "description", "invisible"),
    ({"description": "раyments of the shop"}, "description", "mixes letters of Cyrillic and Latin"),
    ({"description": "ｏｒｄｅｒｓ"}, "description", "style of their own"),
    ({"github_repository": "acme/up.git"}, "github_repository", "acme/up"),
    ({"github_repository": "acme/.."}, "github_repository", "write org/repo"),
    ({"github_repository": "acme/up.GIT"}, "github_repository", "write it as acme/up:"),
    ({"github_repository": "jane_x_acme/up"}, "github_repository", "org/repo"),
    ({"github_repository": "ssh://git@github.com/acme/up.git"}, "github_repository", "org/repo"),
    ({"github_repository": "a_b_c/up"}, "github_repository", "org/repo"),
    ({"aws_role_arn": "arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/x"}, "aws_role_arn", "not a role"),
    ({"database_prefix": 'UP"'}, "database_prefix", "not a plain Snowflake name"),
    ({"database_prefix": "UP X"}, "database_prefix", "not a plain Snowflake name"),
    ({"database_prefix": "x; DROP DATABASE y"}, "database_prefix", "not a plain Snowflake name"),
    ({"database_prefix": "ÜP"}, "database_prefix", "not a plain Snowflake name"),
    ({"database_prefix": "A" * 256}, "database_prefix", "at most 223"),
    ({"prod_database": "analytics"}, "prod_database", "not a Snowflake name"),
    ({"prod_database": '"ANALYTICS"'}, "prod_database", "needs no quotes"),
    ({"prod_database": '"a"b"'}, "prod_database", "not a Snowflake name"),
    ({"prod_database": "A$$B"}, "prod_database", "which begins a string in SQL"),
    ({"prod_database": "TABLE"}, "prod_database", "reserved word"),
    ({"warehouse": '"{{ env_var(1) }}"'}, "warehouse", "without braces"),
    ({"reads": '"a\\b"'}, "reads", "without braces and backslashes"),
    ({"prod_database": "A", "dev_database": "A"}, "dev_database", "must not write there"),
    ({"schemas": "RAW,RAW"}, "schemas", "named twice"),
    ({"schemas": ""}, "schemas", "not a Snowflake name"),
    ({"schemas": "MARTS,ML.FEATURES"}, "schemas", "the last is for models without a schema"),
    ({"schemas": "S.X,MARTS", "dev_database": "S"}, "schemas", "is for development"),
    ({"schemas": "A.B.C,MARTS"}, "schemas", "not a Snowflake name"),
    ({"reads": "LANDING,raw.x"}, "reads", "not a Snowflake name"),
    ({"reads": "LANDING.ERP.T"}, "reads", "not a Snowflake name"),
    ({"warehouse": "my wh"}, "warehouse", "not a Snowflake name"),
    ({"kind": "native", "upstreams": "a:b"}, "upstreams", "database of a"),
    ({"warehouse": "SELECT"}, "warehouse", "reserved word"),
    ({"warehouse": "A" * 256}, "warehouse", "at most 255"),
    ({"role": "ACCOUNTADMIN"}, "role", "a system role of Snowflake"),
    ({"role": "DBT_UP_DEV_ROLE", "project_name": "dbt_up"}, "role", "pull requests"),
    ({"service_user": "DBT_UP_CI_SVC", "project_name": "dbt_up"}, "service_user", "pull requests"),
    ({"warehouse_size": "HUGE"}, "warehouse_size", "is not one of"),
    ({"auto_suspend": 5}, "auto_suspend", "between 30"),
    ({"monthly_credits": 0}, "monthly_credits", "between 1"),
    ({"monthly_credits": "many"}, "monthly_credits", "not a whole number"),
    ({"auth": "password"}, "auth", "is not one of"),
    ({"allowed_ips": "10.0.0.1, nowhere"}, "allowed_ips", "not an IPv4 address"),
    ({"allowed_ips": "10.0.0.1/8"}, "allowed_ips", "not an IPv4 address"),
    ({"allowed_ips": "0.0.0.0/0"}, "allowed_ips", "every address"),
    ({"registry_bucket": "My_Bucket"}, "registry_bucket", "not a valid bucket name"),
    ({"registry_bucket": "s3://bucket"}, "registry_bucket", "not a valid bucket name"),
    ({"registry_bucket": "ab"}, "registry_bucket", "not a valid bucket name"),
    ({"registry_bucket": "a..b"}, "registry_bucket", "not a valid bucket name"),
    ({"registry_bucket": "192.168.0.1"}, "registry_bucket", "not a valid bucket name"),
    ({"registry_bucket": "xn--mesh"}, "registry_bucket", "keeps for itself"),
    ({"aws_region": "Frankfurt"}, "aws_region", "not an AWS region"),
    ({"aws_role_arn": "arn:aws:iam::1:role/x"}, "aws_role_arn", "not a role"),
    ({"aws_role_arn": "arn:aws:iam::123456789012:role/a/"}, "aws_role_arn", "not a role"),
    ({"aws_role_arn": f"arn:aws:iam::123456789012:role/{'a' * 62}"}, "aws_role_arn", "at most 61"),
    ({"registry_encryption": "kms"}, "registry_encryption", "a key's ARN"),
    ({"registry_readers": "1234"}, "registry_readers", "12 digits"),
    ({"registry_bucket": "arn:aws:s3:::b"}, "registry_bucket", "not a valid bucket name"),
    ({"github_server": "https://acme.ghe.com"}, "github_server", "a host name"),
    ({"github_repository": "just-a-name"}, "github_repository", "org/repo"),
    ({**BY_IDENTITY, "github_ids": "1234"}, "github_ids", "two numbers"),
    ({**BY_IDENTITY, "github_ids": "acme/up"}, "github_ids", "two numbers"),
    ({**BY_IDENTITY, "github_ids": "1234/5678/9"}, "github_ids", "two numbers"),
    ({**BY_IDENTITY, "github_ids": "1234/5678\n"}, "github_ids", "two numbers"),
    ({**BY_IDENTITY, "github_ids": "１/２"}, "github_ids", "two numbers"),
    ({"deploy_branch": "a b"}, "deploy_branch", "not a branch name"),
    ({"deploy_branch": "a..b"}, "deploy_branch", "not a branch name"),
    ({"deployment": "never"}, "deployment", "is not one of"),
    ({"alerts": "pigeon"}, "alerts", "is not one of"),
    ({"setup": "now"}, "setup", "snowflake_account"),
    ({"profile": ""}, "profile", "name it as profiles.yml does"),
]


@pytest.mark.parametrize(
    ("answers", "question", "says"),
    REFUSED,
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_a_bad_answer_is_refused_and_nothing_is_written(
    template_folder: Source, tmp_path: Path, answers: dict[str, Any], question: str, says: str
) -> None:
    assert answers.keys() <= questions().keys()
    given = {"kind": "upstream", **answers}
    with pytest.raises(UserMessageError) as refusal:
        rendering.render(template_folder, tmp_path / "member", given)
    assert str(refusal.value).startswith(f"error: {question}: ")
    assert says in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_given_and_defaults_are_recorded_and_the_hooks_run(
    template: Source, copie: Copie
) -> None:
    given = {"kind": "native", "project_name": "reader", "upstreams": "dbt_up"}
    assert given.keys() <= questions().keys()
    done = copie.copy(given, Path(template.url), str(template.ref))
    assert done.exception is None
    assert done.project_dir
    recorded = yaml.safe_load((done.project_dir / ".copier-answers.yml").read_text())
    assert {key: recorded[key] for key in given} == given
    assert (recorded["warehouse"], recorded["deployment"]) == ("READER_WH", "sequential")
    assert recorded.keys() - {"_commit", "_src_path"} <= questions().keys()
    assert len(list((done.project_dir / "vendor").glob("dbtmesh-*.whl"))) == 1


def copy(template: Source, destination: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """`copier copy` without a terminal."""
    command = [*COPY, "-q", "--defaults", *flags, template.url, destination]
    return run(command, ROOT)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("project_name=Bad-Name", "error: project_name: "),
        ("kind=foo", "error: kind: 'foo' is not one of upstream, native, loom"),
        ("monthly_credits=abc", "error: monthly_credits: 'abc' is not a whole number"),
        ("publishes=perhaps", "error: publishes: 'perhaps' is neither yes nor no"),
        ("x\n::error::y\x1b[31m=x", r"error: 'x\n::error::y\x1b[31m' is not a question"),
        ("deploy_brnch=x", "error: deploy_brnch is not a question of this template: did you mean "),
        ("library_version=1", "error: library_version is not a question"),  # it is worked out
    ],
)
def test_the_command_line_refuses_in_one_line_without_a_traceback(
    template: Source, tmp_path: Path, given: str, says: str
) -> None:
    done = copy(template, tmp_path / "member", "--data", given)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert not (tmp_path / "member").exists()


@pytest.mark.parametrize("flags", [("--ask", "snowflke_account"), ("--ask=snowflke_*",)])
def test_a_question_that_is_to_be_asked_and_is_none(
    template: Source, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    done = copy(template, tmp_path / "member", *flags)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --ask: ")
    assert "is not a question of this template: did you mean snowflake_account?" in done.stderr
    assert not (tmp_path / "member").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("deploy_branch: 1.10\n", "deploy_branch: 1.1 is not text: put it in quotes"),
        ("project_name: null\n", "project_name: None is not text: put it in quotes"),
        ("auto_suspend: 60.5\n", "auto_suspend: 60.5 is not a whole number"),
        ("publishes: [yes]\nkind: native\n", "publishes: [True] is neither yes nor no"),
    ],
)
def test_a_data_file_whose_types_are_others_is_refused(
    template: Source, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "answers.yml").write_text(text)
    done = copy(template, tmp_path / "member", "--data-file", str(tmp_path / "answers.yml"))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: {says}"]


def test_what_is_worked_out_is_no_answer_of_an_answers_file(
    template: Source, tmp_path: Path
) -> None:
    """Copier takes it as it stands there, and nothing has checked it."""
    member = tmp_path / "member"
    assert copy(template, member, "--data", "starter=false").returncode == 0
    path = member / ".copier-answers.yml"
    path.write_text(path.read_text() + "ci_user: SOMEBODY_SVC\n")
    before = (member / "mesh.yml").read_bytes()
    words = [str(BIN / "copier"), "recopy", "--trust", "--defaults", "--overwrite"]
    done = run([*words, "--vcs-ref", "HEAD"], member, dict(os.environ))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: .copier-answers.yml: ci_user is computed from other answers: remove it"
    )
    assert (member / "mesh.yml").read_bytes() == before


def test_every_question_has_a_default_a_help_text_and_a_validator_where_it_can_be_wrong() -> None:
    keys = """kind engine own_files profile
        project_name description upstreams publishes snowflake_account database_prefix
        prod_database dev_database schemas reads
        warehouse owns_warehouse
        role service_user warehouse_size auto_suspend monthly_credits auth allowed_ips
        authentication_policy
        registry upstream_roles azure_storage_account azure_container azure_identities
        gcs_bucket google_provider
        registry_bucket aws_region registry_encryption registry_readers
        aws_role_arn github_repository github_server github_ids deploy_branch
        deployment alerts github_pages working_directory starter starter_reads library setup"""
    assert set(questions()) == set(keys.split())
    for key, question in questions().items():
        assert "default" in question, key
        assert question["help"].strip(), key
        free_text = question["type"] in ("str", "int") and "choices" not in question
        assert not free_text or "validator" in question, key


def test_a_newcomer_is_asked_few_questions() -> None:
    asked = {key for key, question in questions().items() if question.get("ask", True)}
    # of who has chosen workload identity, or another registry
    chosen = {"github_ids", "azure_storage_account", "gcs_bucket"}
    assert len(asked - chosen) <= 9, asked


def asked_of(kind: str, registry: str) -> list[str]:
    given = {"kind": kind, "registry": registry, "auth": "key_pair", "github_repository": "a/b"}
    return [
        key
        for key, question in questions().items()
        if question.get("ask", True)
        if key == "kind" or Template(str(question.get("when", True))).render(given) == "True"
    ]


def test_the_readme_counts_what_snowflake_and_github_alone_take() -> None:
    section = (ROOT / "README.md").read_text().split("### With Snowflake and GitHub alone")[1]
    counted = re.search(
        r"takes (\d+) lines of commands and (\d+) questions \((\d+) questions if", section
    )
    assert counted
    block = section.split("```bash\n")[1].split("```")[0]
    numbers = [len(block.splitlines())]
    # `apply` asks one more
    numbers += [len(asked_of(kind, "snowflake")) + 1 for kind in ("upstream", "native")]
    assert list(map(int, counted.groups())) == numbers
    assert [len(asked_of(kind, "s3")) for kind in ("upstream", "native")] == [7, 9]
    clouds = ("bucket", "aws", "azure", "gcs", "google")
    assert not [key for key in asked_of("native", "snowflake") for c in clouds if c in key]


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_defaults_give_a_member_named_after_its_folder(
    template: Source, tmp_path: Path, kind: str
) -> None:
    member = tmp_path / "Sales Data-2"
    rendering.render(template, member, {"kind": kind})
    answers = yaml.safe_load((member / ".copier-answers.yml").read_text())
    assert answers["project_name"] == "sales_data_2"
    assert answers["database_prefix"] == "SALES_DATA_2"
    assert answers["warehouse"] == "SALES_DATA_2_WH"
    assert ("upstreams" in answers) == (kind != "upstream")


def test_an_upstream_of_another_prefix_is_read_from_its_databases(render: Render) -> None:
    member = render(kind="native", upstreams="sales, finance=FIN")
    mesh = yaml.safe_load((member.path / "mesh.yml").read_text())
    assert mesh["upstreams"] == [
        {"name": "sales", "database_prefix": "SALES"},
        {"name": "finance", "database_prefix": "FIN"},
    ]
    assert "FIN_LOCAL.duckdb" in (member.path / "profiles.yml").read_text()


def test_an_upstream_in_snowflake_may_have_a_role_of_any_name(render: Render) -> None:
    """Whatever registry the project itself has."""
    upstreams = "up@snowflake://A-B,other@snowflake://A-B,elsewhere"
    member = render(kind="native", upstreams=upstreams, upstream_roles="up=DEPLOYER")
    grants = (member.path / "snowflake/03_grant_mesh_access.sql").read_text()
    roles = ["DEPLOYER", "UP_DEV_ROLE", "OTHER_ROLE", "OTHER_DEV_ROLE"]
    assert re.findall(r"MESH_READS TO ROLE (\w+);", grants) == roles


@pytest.mark.parametrize(
    ("registry", "answer"),
    [
        ("s3", "registry_bucket"),
        ("azure", "azure_storage_account"),
        ("gcs", "gcs_bucket"),
        ("snowflake", "snowflake_account"),
    ],
)
def test_the_answer_that_a_registry_lacks_is_named(
    render: Render, registry: str, answer: str
) -> None:
    member = load_member(render(registry=registry).path)
    with pytest.raises(MeshError, match=f"--ask {answer}`"):
        locate(member, bucket=None, registry=None, env="prod")
    with pytest.raises(
        MeshError, match=r"^snowflake://: write the whole URL.*snowflake://ORG-ACCOUNT"
    ):
        locate(member, bucket=None, registry="snowflake://", env="prod")


@pytest.mark.parametrize(
    "answers",
    [
        # each question refuses by itself: several go with one member
        {"snowflake_account": "xy12345", "github_repository": "jane_acme/dbt-up"},
        {"snowflake_account": "xy12345.us-east-2.aws", "kind": "loom", "upstreams": "MLOps"},
        {"snowflake_account": "acme-main.privatelink", "kind": "native", "upstreams": "_x, Up=UPS"},
        {
            "snowflake_account": "xy12345.west-europe.azure",
            "registry_bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint/mesh",
        },
        {
            "snowflake_account": "xy12345.us-central1.gcp.privatelink",
            "registry_encryption": "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/mesh",
        },
        {"snowflake_account": "xy12345.us-gov-west-1.aws", "github_server": "git.acme.example"},
        {
            "snowflake_account": "xy12345.fhplus.us-gov-west-1.aws",
            "description": "Bestellungen für Größe, Αλφα und кот",
        },
    ],
    ids=str,
)
def test_what_is_legal_is_taken(render: Render, answers: dict[str, Any]) -> None:
    member = render(**answers)
    recorded = yaml.safe_load((member.path / ".copier-answers.yml").read_text())
    assert answers.items() <= recorded.items()


def test_texts_that_yaml_and_jinja_would_read_stay_text(render: Render) -> None:
    text = 'yes: "no" {{ x }} {% y %} #z \\'
    member = render(kind="upstream", description=text)
    answers = yaml.safe_load((member.path / ".copier-answers.yml").read_text())
    assert answers["description"] == text
    assert text in (member.path / "README.md").read_text()


def test_a_data_file_answers_as_the_command_line_does(template: Source, tmp_path: Path) -> None:
    given_in = ROOT / "fleet/demo_members/dbt_down.yml"
    done = copy(template, tmp_path / "dbt_down", "--data-file", str(given_in))
    assert done.returncode == 0, done.stderr
    given = yaml.safe_load(given_in.read_text())
    recorded = yaml.safe_load((tmp_path / "dbt_down/.copier-answers.yml").read_text())
    assert given.items() <= recorded.items()


ENTER, DOWN, CLEAR = "\r", "\x1b[B", "\x15"


def answer_by_hand(
    template: Source, destination: Path, answers: list[tuple[str, str]], *extra: str
) -> str:
    """Copies in a real terminal; `answers`: a part of each question, and the keys pressed there."""
    child = pexpect.spawn(
        str(programs() / "copier"),
        [*COPY[1:], *extra, template.url, str(destination)],
        dimensions=(60, 250),
        encoding="utf-8",
        timeout=60,
        env={
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TERM": "xterm",
            "PATH": f"{BIN}:/usr/bin:/bin",
            **at_terminal(),
        },
    )
    seen = ""
    for question, keys in answers:
        child.expect_exact(question)
        seen += child.before
        child.send(keys)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, seen + child.before
    return seen + str(child.before)


@pytest.mark.parametrize("kind", ["upstream", "native", "loom"])
def test_by_hand_in_a_terminal(template: Source, tmp_path: Path, kind: str) -> None:
    steps = {"upstream": 0, "native": 1, "loom": 2}[kind]
    answers = [
        ("What does this project do", DOWN * steps + ENTER),
        ("Name of the dbt project", f"{CLEAR}my_{kind}{ENTER}"),
        ("What is it about", ENTER),
    ]
    if kind != "upstream":
        answers += [("Which projects does it read", ENTER), ("Does it publish models too", "n")]
    answers += [
        ("Snowflake account", f"ORG-ACCOUNT{ENTER}"),
        ("S3 bucket", f"{CLEAR}acme-dbt-mesh{ENTER}"),
        ("GitHub repository", f"acme/{kind}{ENTER}"),
        ("Set up Snowflake", ENTER),
    ]
    destination = tmp_path / "member"
    answer_by_hand(template, destination, answers)
    recorded = yaml.safe_load((destination / ".copier-answers.yml").read_text())
    assert recorded["kind"] == kind
    assert recorded["project_name"] == f"my_{kind}"
    assert recorded["snowflake_account"] == "ORG-ACCOUNT"
    assert recorded["registry_bucket"] == "acme-dbt-mesh"
    assert recorded["setup"] == "later"


def test_ids_are_asked_where_snowflake_compares_them(
    template: Source, tmp_path: Path, render: Render
) -> None:
    destination = tmp_path / "member"
    seen = answer_by_hand(
        template,
        destination,
        [
            ("What does this project do", ENTER),
            ("Name of the dbt project", ENTER),
            ("What is it about", ENTER),
            ("Snowflake account", ENTER),
            ("S3 bucket", ENTER),
            ("GitHub repository", f"acme/up{ENTER}"),
            ("made, renamed or transferred since July 2026", f"12-34{ENTER}"),
            ("two numbers", f"{CLEAR}12/34{ENTER}"),
            ("Set up Snowflake", ENTER),
        ],
        "--data",
        "auth=workload_identity",
    )
    assert "gh api repos/acme/up" in seen
    recorded = yaml.safe_load((destination / ".copier-answers.yml").read_text())
    assert recorded["github_ids"] == "12/34"
    for answers in ({"auth": "workload_identity"}, {"github_repository": "acme/up"}):
        other = render(kind="upstream", github_ids="12/34", **answers)
        assert "github_ids" not in (other.path / ".copier-answers.yml").read_text()
        assert "12" not in (other.path / "snowflake/02_create_roles_and_users.sql").read_text()


def test_a_bad_answer_in_a_terminal_is_explained_and_can_be_mended(
    template: Source, tmp_path: Path
) -> None:
    seen = answer_by_hand(
        template,
        tmp_path / "member",
        [
            ("What does this project do", ENTER),
            ("Name of the dbt project", f"{CLEAR}Bad-Name{ENTER}"),
            ("not a valid project name", f"{CLEAR}good_name{ENTER}"),
            ("What is it about", ENTER),
            ("Snowflake account", ENTER),
            ("S3 bucket", ENTER),
            ("GitHub repository", ENTER),
            ("Set up Snowflake", ENTER),
        ],
    )
    assert "Traceback" not in seen
    mesh = yaml.safe_load((tmp_path / "member" / "mesh.yml").read_text())
    assert mesh["project"] == "good_name"


def test_no_secret_is_asked_for() -> None:
    for key, question in questions().items():
        assert not question.get("secret"), key
        assert not re.search(r"password|passphrase|token|private", key), key
