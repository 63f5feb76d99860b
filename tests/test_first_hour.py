"""The first hour of four kinds of people, from the text of the guides alone, in a real terminal.

What is counted is what the README states: commands, questions, and no stumble. The account is the
stand-in. What else stands in is said where it is made: see tests/first_hour.py, too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.render import Source
from tests import versions, warm
from tests.conftest import ROOT
from tests.first_hour import Person, blocks, git_settings, stated
from tests.fleet_world import world
from tests.keypair_world import ACCOUNT, gh_standin
from tests.snowflake_standin import Laptop, Standin, split_statements
from tests.snowflake_standin.fixtures import rsa_key
from tests.versions import git
from tests.warm import server

README, JOINING, FLEET = (
    (ROOT / path).read_text() for path in ("README.md", "docs/joining.md", "docs/fleet.md")
)
URL = "https://github.com/acme/copier-dbt-mesh.git"
ENTER = "\r"
QUESTIONS = (
    ("What does this project do", ENTER),
    ("Name of the dbt project", ENTER),
    ("What is it about", ENTER),
    ("Snowflake account as", "\x15" + ACCOUNT + ENTER),
    ("S3 bucket where", ENTER),
    ("GitHub repository as", ENTER),
    ("Set up Snowflake", ENTER),
)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin(account_name=ACCOUNT) as standin:
        yield standin


@pytest.fixture
def ada(tmp_path: Path, template: Source, standin: Standin) -> Person:
    """A person with git and a connection of an administrator."""
    laptop = Laptop(tmp_path / "home", standin)
    (tmp_path / "work").mkdir()
    settings = git_settings(tmp_path, **{URL: template.url})
    return Person(tmp_path / "work", {**laptop.environment, **standin.reach, **settings})


def adapted(command: str) -> str:
    """With what the guides leave to the reader."""
    return command.replace("OWNER", "acme").replace("NAME", "admin")


def steps(said: str, number: int) -> list[str]:
    """The commands of a step that the end of a copy tells."""
    step = said.partition(f"\n  {number}. ")[2].partition(f"\n  {number + 1}. ")[0]
    return [adapted(re.split(r" {2,}#", line)[0].strip()) for line in step.splitlines()[1:]]


def test_an_attendee(tmp_path: Path) -> None:
    """The suggestions of the demo are typed in test_demo. The clone's .venv is there already."""
    clone = tmp_path / "copier-dbt-mesh"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(server(warm.COMMANDS).program("python"))
    (clone / ".venv/demo").touch()
    attendee = Person(clone, {"HOME": str(tmp_path)})
    said = attendee.types(blocks(README, "## See it run")[0][0])
    assert "What to try next" in said
    assert attendee.end() == stated("a workshop attendee")


def test_a_team_with_a_new_project(ada: Person, standin: Standin) -> None:
    install, copy = blocks(README, "## Create a member")[0]
    ada.types(install)
    said = ada.types(adapted(copy), *QUESTIONS)
    for line in steps(said, 1):
        ada.types(line)
    guide = (ada.folder / "my_project/README.md").read_text()
    for line in blocks(guide, "## On your laptop")[0]:
        said = ada.types(line)
    assert "published 1 public model of my_project" in said
    account, own = blocks(guide, "## On Snowflake")
    for line in account:
        asked = [("on connection admin?", "y\n")] if " apply " in line else []
        ada.types(adapted(line), *asked)
    key = Path(ada.environment["HOME"], ".snowflake/ada.p8")
    key.write_text(rsa_key("ADA").private_pem)
    standin.model.run_script(
        "USE ROLE USERADMIN; CREATE USER ADA TYPE = PERSON;"
        f"ALTER USER ADA SET RSA_PUBLIC_KEY = '{rsa_key('ADA').public}'; USE ROLE SECURITYADMIN;"
        + re.findall(r"`(GRANT ROLE \w+ TO USER ADA;)`", guide)[0]
    )
    for line in own:
        said = ada.types(line)
    assert "Completed successfully" in said
    assert ada.end() == stated("a team with a new project")


GH = """#!/bin/sh
[ "$1 $2" = "repo create" ] || exec {gh} "$@"
git init --quiet --bare {hub} && git remote add origin {hub}
"""


def test_a_team_with_snowflake_and_github_alone(ada: Person, standin: Standin) -> None:
    """The repository is a folder here; what its workflows do is run in test_workflows_snowflake."""
    hub, programs = ada.folder.parent / "hub.git", ada.folder / ".programs"
    for name, text in (
        ("gh.py", gh_standin(ada.folder.parent / "gh.log")),
        ("gh", GH.format(gh=programs / "gh.py", hub=hub)),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    asked = {
        "copier copy": [
            *QUESTIONS[:4],
            ("GitHub repository as", "\x15acme/sales" + ENTER),
            QUESTIONS[-1],
        ],
        "scripts/snowflake_access.py apply": [("on connection admin?", "y\n")],
    }
    (lines,) = blocks(README, "### With Snowflake and GitHub alone")
    for line in lines:
        begins = next((begin for begin in asked if line.startswith(begin)), "")
        said = ada.types(adapted(line), *asked.pop(begins, ()))
        if line.startswith("scripts"):
            assert "MESH.PUBLISHED" in said
    assert ada.end() == stated("a team with Snowflake and GitHub alone")
    assert git(hub, "rev-parse", "main")
    model = standin.model
    assert model.can("SALES_ROLE", "INSERT", "SALES_PROD.MESH.PUBLICATIONS")
    for user in ("SALES_SVC", "SALES_CI_SVC"):
        (found,) = (t for ref, t in model.account.things.items() if ref.name == (user,))
        assert found.properties["RSA_PUBLIC_KEY"]


THEIRS = {
    "dbt_project.yml": "name: shop\nprofile: acme\nmodels: {shop: {+schema: core}}\n",
    "profiles.yml": f"""\
acme:
  target: dev
  outputs:
    dev: &dev {{type: snowflake, account: {ACCOUNT}, user: ada, schema: ada, database: SCRATCH}}
    prod: {{<<: *dev, database: ANALYTICS, schema: CORE, warehouse: TRANSFORMING}}
""",
    ".gitignore": "target/\n",
    "README.md": "# Shop\n",
    "requirements.txt": "dbt-snowflake\n",
    "models/sources.yml": """\
sources:
  - name: erp
    database: LANDING
    tables: [{name: orders, columns: [{name: id, data_type: integer}]}]
""",
    "models/orders.sql": "select id from {{ source('erp', 'orders') }}\n",
    "models/models.yml": """\
models:
  - name: orders
    config: {access: public}
    columns: [{name: id, data_type: integer}]
""",
}
ACCOUNT_OF_YEARS = """
    USE ROLE USERADMIN; CREATE ROLE ANALYST; CREATE ROLE TRANSFORMER; USE ROLE SECURITYADMIN;
    GRANT ROLE ANALYST TO ROLE SYSADMIN; GRANT ROLE TRANSFORMER TO ROLE SYSADMIN;
    USE ROLE SYSADMIN; CREATE WAREHOUSE TRANSFORMING; CREATE DATABASE LANDING;
    CREATE SCHEMA LANDING.ERP; CREATE TABLE LANDING.ERP.ORDERS (ID INT);
    CREATE DATABASE ANALYTICS;
    GRANT USAGE, CREATE SCHEMA ON DATABASE ANALYTICS TO ROLE TRANSFORMER;
    GRANT USAGE ON DATABASE ANALYTICS TO ROLE ANALYST;
    USE ROLE TRANSFORMER; CREATE SCHEMA ANALYTICS.CORE;
    CREATE VIEW ANALYTICS.CORE.OLD AS SELECT 1 A;
    GRANT USAGE ON SCHEMA ANALYTICS.CORE TO ROLE ANALYST;
    GRANT SELECT ON VIEW ANALYTICS.CORE.OLD TO ROLE ANALYST;
"""


def test_a_team_with_an_existing_project_and_account(ada: Person, standin: Standin) -> None:
    with standin.admin_connection() as connection:
        for statement in split_statements(ACCOUNT_OF_YEARS):
            connection.cursor().execute(statement)
    for name, text in THEIRS.items():
        (ada.folder / name).parent.mkdir(exist_ok=True)
        (ada.folder / name).write_text(text)
    git(ada.folder, "init", "--quiet", "--initial-branch=main")
    (ada.folder / ".git/info/exclude").write_text(".programs\n")
    git(ada.folder, "add", "--all")
    git(ada.folder, "commit", "--quiet", "--message", "years")

    said = ada.types(adapted(blocks(JOINING, "## An existing dbt project")[0][0]), *QUESTIONS)
    for line in steps(said, 1) + steps(said, 2):
        ada.types(line)
    told = "".join(map(ada.types, blocks(JOINING, "## An existing dbt project")[1]))
    assert "nothing is deployed yet: README.md.mesh says which answers are missing" in told
    for line in blocks(JOINING, "## An existing account")[0]:
        asked = [("on connection admin?", "y\n")] if " apply " in line else []
        ada.types(adapted(line), *asked)
    for line in steps(said, 3)[2:]:  # the plan and apply are those of the guide
        ada.types(line)
    assert standin.model.can("ANALYST", "SELECT", "ANALYTICS.CORE.OLD")
    assert ada.end() == stated("a team with an existing project and account")


def test_a_platform_team(tmp_path: Path, template: Source) -> None:
    """Releases a fix as the workflow `release` does once its checks have passed (test_release runs
    it), and reads the pull requests of two members."""
    repository = Path(shutil.copytree(template.url, tmp_path / "copier-dbt-mesh"))
    with world(tmp_path / "fleet", repository) as fleet:
        for name in ("sales", "finance"):
            fleet.member(name, versions.newest(), kind="upstream", starter=False)
        (tmp_path / "work").mkdir()
        environment = {**fleet.environment(), "PYTHONPATH": str(ROOT)}
        person = Person(tmp_path / "work", environment)
        names = "".join(f"{fleet.clones / name}\n" for name in ("sales", "finance"))
        (person.folder / "members.txt").write_text(names)
        path = repository / "template/{{ member }}/snowflake/99_teardown.sql.jinja"
        path.write_text(path.read_text() + "-- mended\n")
        tag = "v9.9.9"
        person.types(f"git -C {repository} commit --quiet --all --message Mended")
        person.types(f"git -C {repository} tag {tag}")
        for line in blocks(FLEET, "## List the members")[0]:
            here = line.replace(" --bucket acme-mesh", "")  # nobody has published yet
            said = person.types(f"{here} --template {repository}")
        assert "2 proposed" in said
        for name in ("sales", "finance"):
            assert fleet.pull_request(name)
            changed = git(fleet.remote(name), "diff", "--name-only", "main", f"template/{tag}")
            assert "snowflake/99_teardown.sql" in changed.splitlines()
        assert person.end() == stated("a platform team")
