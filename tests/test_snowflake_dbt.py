"""Real dbt-snowflake as each member's own user and role: what it may do, and who may read after.

The model of access behind it has both behaviours of CREATE OR REPLACE: grants kept, and dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import Member, Render
from tests.snowflake_members import Laptop, demo_answers, render_demo
from tests.snowflake_standin import READS, Standin, matrix

ACCESS = "scripts/snowflake_access.py"
ON = ("--connection", "admin")
READER = "DBT_DOWN_ROLE"

# The fixtures below build for a minute each: all that use one run in one process.
on_the_demo = pytest.mark.xdist_group("snowflake demo")
REPLACE = [
    pytest.param(kept, id=what, marks=pytest.mark.xdist_group(f"snowflake {what}"))
    for kept, what in ((False, "replace drops"), (True, "replace keeps"))
]


@dataclass
class World:
    """A stand-in with members that are set up, and a laptop with the keys of their users."""

    standin: Standin
    laptop: Laptop
    members: dict[str, Member]

    def readable(self, role: str, database: str = "DBT_UP_PROD") -> set[str]:
        """Relations of a database that a role can select from."""
        return {
            fact.object.removeprefix(f"{database}.")
            for fact in matrix(self.standin.model)
            if fact.role == role and fact.privilege == READS
            if fact.object.startswith(f"{database}.")
        }

    def denied(self, user: str) -> list[str]:
        """Statements of a user that the stand-in refused for want of a privilege."""
        return [
            f"{record.sql}: {record.error}"
            for record in self.standin.statements
            if record.user == user and record.error and record.error[:6] in ("003001", "002003")
        ]


def make_world(folder: Path, members: dict[str, Member], *, kept: bool = False) -> Iterator[World]:
    with Standin(copy_grants_on_replace=kept) as standin:
        laptop = Laptop(folder / "home", standin)
        environment = {
            **laptop.environment,
            "DBT_MESH_ENV": "prod",
            "DBT_MESH_REGISTRY": (folder / "registry").as_uri(),
        }
        members = {
            name: Member(member.path, {**member.environment, **environment})
            for name, member in members.items()
        }
        for name, member in members.items():
            member.ok(ACCESS, "apply", *ON, "--yes")
            laptop.give_keys(f"{name.upper()}_SVC", f"{name.upper()}_CI_SVC")
        yield World(standin, laptop, members)


# ── the demo ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def demo(render_into: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The three members deployed, the first of them twice, and a pull request on the second."""
    folder = tmp_path_factory.mktemp("demo")
    for world in make_world(folder, render_demo(render_into, folder)):
        up, down, loom = world.members.values()
        for _ in range(2):
            up.dbt("build", "--target", "prod")
        up.ok("scripts/publish_manifest.py")
        down.ok("scripts/sync_mesh.py")
        down.dbt("build", "--target", "prod")
        (loom.path / "dbt_loom.test.yml").write_text(
            yaml.safe_dump({"manifests": [loom_manifest(folder)]})
        )
        for _ in range(2):
            loom.dbt("build", "--target", "prod", DBT_LOOM_CONFIG="dbt_loom.test.yml")
        down.dbt("build", "--target", "ci", DBT_PR_NUMBER="7")
        yield world


def loom_manifest(folder: Path) -> dict[str, object]:
    path = folder / "registry/dbt_up/prod/latest/manifest.json"
    return {"name": "dbt_up", "type": "file", "config": {"path": str(path)}}


@on_the_demo
def test_consumers_read_the_public_model_and_nothing_else(demo: World) -> None:
    for consumer in ("DBT_DOWN", "DBT_DOWN_LOOM"):
        for role in (f"{consumer}_ROLE", f"{consumer}_DEV_ROLE"):
            assert demo.readable(role) == {"MARTS.PUBLIC_ORDERS"}


@on_the_demo
def test_everybody_builds_at_home_and_nowhere_else(demo: World) -> None:
    owners = {
        thing.ref.name[0]: thing.owner.name[0]
        for kind in ("TABLE", "VIEW")
        for thing in demo.standin.model.account.of_kind(kind)
        if thing.owner
    }
    assert owners == {
        "DBT_UP_PROD": "DBT_UP_ROLE",
        "DBT_DOWN_PROD": "DBT_DOWN_ROLE",
        "DBT_DOWN_DEV": "DBT_DOWN_DEV_ROLE",
        "DBT_DOWN_LOOM_PROD": "DBT_DOWN_LOOM_ROLE",
    }
    signed_in = {(record.user, record.role) for record in demo.standin.sign_ins}
    assert signed_in - {("STANDIN_ADMIN", "ACCOUNTADMIN")} == {
        ("DBT_UP_SVC", "DBT_UP_ROLE"),
        ("DBT_DOWN_SVC", "DBT_DOWN_ROLE"),
        ("DBT_DOWN_CI_SVC", "DBT_DOWN_DEV_ROLE"),
        ("DBT_DOWN_LOOM_SVC", "DBT_DOWN_LOOM_ROLE"),
    }


@on_the_demo
def test_schemas_are_those_of_the_target(demo: World) -> None:
    def schemas(database: str) -> set[str]:
        return {
            thing.ref.name[1]
            for kind in ("TABLE", "VIEW")
            for thing in demo.standin.model.account.of_kind(kind)
            if thing.ref.name[0] == database
        }

    assert schemas("DBT_UP_PROD") == {"RAW", "STAGING", "MARTS"}
    assert schemas("DBT_DOWN_DEV") == {"PR_7"}


@on_the_demo
def test_verify_agrees(demo: World) -> None:
    for member in demo.members.values():
        member.ok(ACCESS, "verify", *ON)


@on_the_demo
def test_the_matrix_names_the_public_models(demo: World) -> None:
    text = demo.members["dbt_up"].ok(ACCESS, "matrix")
    assert "`DBT_UP_PROD.MARTS.PUBLIC_ORDERS` (public model) | SELECT" in text
    assert "DAILY_REVENUE" not in text


@on_the_demo
def test_an_auditor_can_tell_project_run_and_model(demo: World) -> None:
    comments = [
        json.loads(found[1])
        for record in demo.standin.statements
        if record.user == "DBT_UP_SVC"
        if (found := re.search(r"/\* (\{\"app\": \"dbt\"[^}]*\}) \*/", record.sql))
    ]
    assert {(c["project"], c["target"]) for c in comments} == {("dbt_up", "prod")}
    assert len({c["invocation_id"] for c in comments}) == 2
    assert "model.dbt_up.public_orders" in {c["node_id"] for c in comments}


@on_the_demo
def test_a_pull_request_cannot_write_prod(demo: World) -> None:
    down = demo.members["dbt_down"]
    profiles = (down.path / "profiles.yml").read_text()
    try:
        # As it would be done: in the pull request, the profile points its user at prod.
        (down.path / "profiles.yml").write_text(
            profiles.replace("      database: DBT_DOWN_DEV", "      database: DBT_DOWN_PROD")
        )
        done = down.run("dbt", "run", "--target", "ci", DBT_PR_NUMBER="8")
        assert done.returncode in (1, 2)
        assert "Insufficient privileges" in done.stdout
    finally:
        (down.path / "profiles.yml").write_text(profiles)


# ── access follows `access` ───────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=REPLACE)
def publisher(
    request: pytest.FixtureRequest,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """A publisher of four public models of all materialisations, and one that reads it."""
    folder = tmp_path_factory.mktemp("publisher")
    members = {
        name: render_into(folder / name, **demo_answers(name), starter=False)
        for name in ("dbt_up", "dbt_down")
    }
    yield from make_world(folder, members, kept=request.param)


def write_models(member: Member, **models: str) -> None:
    """Models by name, as `access materialisation [schema]`; those that are not named are gone."""
    folder = member.path / "models/marts"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*"):
        file.unlink()
    for name, words in models.items():
        access, materialized, *schema = words.split()
        config = f"access='{access}', materialized='{materialized}'"
        config += f", schema='{schema[0]}'" if schema else ""
        (folder / f"{name}.sql").write_text(f"{{{{ config({config}) }}}}\nselect 1 as id\n")


def deploy(world: World, *arguments: str) -> str:
    return world.members["dbt_up"].dbt("run", "--target", "prod", *arguments).stdout


def test_readers_follow_access_through_every_change(publisher: World) -> None:
    up = publisher.members["dbt_up"]

    def models(**found: str) -> set[str]:
        write_models(up, **found)
        return publisher.readable(READER)

    # built: public ones are readable, whatever they are; a schema that dbt makes can be entered
    models(a="public table", b="public view", c="public incremental", d="protected table",
           e="public table FINANCE", f="private view")  # fmt: skip
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B", "MARTS.C", "FINANCE.E"}

    # built again, unchanged: nothing is granted or revoked at the end of the run
    assert "PUBLIC_READ" not in deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B", "MARTS.C", "FINANCE.E"}

    # materialised otherwise, and from public to protected and back
    models(a="public view", b="protected table", c="protected incremental", d="public table")
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.D"}  # E is gone from the project
    assert not publisher.standin.model.can(READER, "USAGE", "DBT_UP_PROD.FINANCE")

    # renamed, although the old relation is still there; and left out of a run
    models(a2="public view", d="public table", c="public incremental")
    deploy(publisher, "--select", "a2")
    assert publisher.readable(READER) == {"MARTS.A2", "MARTS.D", "MARTS.C"}

    # of a run that fails, too
    models(a2="protected view", d="public table", broken="public table")
    (up.path / "models/marts/broken.sql").write_text("select no_such_column from nowhere\n")
    assert up.run("dbt", "run", "--target", "prod").returncode == 1
    assert publisher.readable(READER) == {"MARTS.D"}

    # SELECT given by hand does not survive the next run, nor does what verify then names
    write_models(up, d="public table", g="protected table")
    deploy(publisher)
    publisher.standin.model.run_script(
        "USE ROLE DBT_UP_ROLE; GRANT SELECT ON DBT_UP_PROD.MARTS.G "
        "TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ;"
    )
    assert "extra    SELECT ON TABLE DBT_UP_PROD.MARTS.G" in up.refused(
        ACCESS, "verify", *ON, status=2
    )
    deploy(publisher)
    up.ok(ACCESS, "verify", *ON)
    assert not [sql for sql in publisher.denied("DBT_UP_SVC") if "MARTS.broken" not in sql]


def test_outside_of_prod_nothing_is_granted(publisher: World) -> None:
    up = publisher.members["dbt_up"]
    write_models(up, d="public table")
    up.dbt("run", "--target", "ci", DBT_PR_NUMBER="1")
    assert publisher.readable(READER, "DBT_UP_DEV") == set()
    ours = [r.sql for r in publisher.standin.statements if r.user == "DBT_UP_CI_SVC"]
    assert not [sql for sql in ours if "PUBLIC_READ" in sql or sql.lower().startswith("grant")]


# ── profiles ──────────────────────────────────────────────────────────────────────────


def test_a_person_builds_in_a_schema_of_their_own(publisher: World) -> None:
    """With a key here; a browser is asked for where no key is named."""
    up, standin = publisher.members["dbt_up"], publisher.standin
    login = "ada.l@acme.com"
    standin.model.add_admin(login.upper(), "DBT_UP_DEV_ROLE")
    key = publisher.laptop.home / "ada.p8"
    from tests.snowflake_standin.fixtures import rsa_key

    key.write_text(rsa_key("ada").private_pem)
    key.chmod(0o600)
    standin.model.execute(
        f"ALTER USER \"{login.upper()}\" SET RSA_PUBLIC_KEY = '{rsa_key('ada').public}'"
    )
    write_models(up, d="public table")
    person = {"SNOWFLAKE_USER": login, "SNOWFLAKE_PRIVATE_KEY_PATH": str(key)}
    up.dbt("run", "--target", "dev", **person)
    built = {t.ref.name for t in standin.model.account.of_kind("TABLE")}
    assert ("DBT_UP_DEV", "ADA_L_ACME_COM_DEV", "D") in built
    assert READER not in {f.role for f in matrix(standin.model) if "ADA_L" in f.object}


@pytest.mark.parametrize("target", ["dev", "ci", "prod"])
def test_without_a_stand_in_the_account_is_asked(render: Render, target: str) -> None:
    """The settings that a stand-in needs leave a real account's as they are."""
    member = render(**demo_answers("dbt_up"))
    code = (
        "import json, os\n"
        "from argparse import Namespace\n"
        "from dbt.flags import set_from_args\n"
        "from dbt.config.runtime import load_profile\n"
        "from dbt_common.context import set_invocation_context\n"
        "set_invocation_context(os.environ)\n"
        "set_from_args(Namespace(PROFILES_DIR='.', VERSION_CHECK=False), None)\n"
        f"c = load_profile('.', {{}}, target_override={target!r}).credentials\n"
        "print(json.dumps({k: getattr(c, k) for k in ('host', 'port', 'protocol', 'account',"
        " 'authenticator', 'private_key_path', 'role', 'database', 'schema', 'user')}))\n"
    )
    (member.path / "show.py").write_text(code)
    environment = {"HOME": "/home/ada", "USER": "ada"}
    found = json.loads(member.ok("show.py", **environment).splitlines()[-1])
    assert (found["host"] or None, found["port"], found["protocol"]) == (None, 443, "https")
    assert found["account"] == "TESTORG-STANDIN"
    if target == "dev":
        assert found["authenticator"] == "externalbrowser"
        assert (found["private_key_path"], found["schema"]) == ("", "ADA_DEV")
    else:
        user = {"ci": "DBT_UP_CI_SVC", "prod": "DBT_UP_SVC"}[target]
        assert found["private_key_path"] == f"/home/ada/.snowflake/keys/{user}.p8"
        assert found["user"] == user
