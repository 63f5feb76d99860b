"""Who may read a model follows its `access`, whatever dbt does to it; and dbt's targets.

The model of access behind it has both behaviours of CREATE OR REPLACE: grants kept, and dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Render
from tests.snowflake_members import World, demo_answers, make_world, write_models
from tests.snowflake_standin import matrix
from tests.snowflake_standin.fixtures import rsa_key

ACCESS = "scripts/snowflake_access.py"
ON = ("--connection", "admin")
READER = "DBT_DOWN_ROLE"


@pytest.fixture(scope="module", params=[False, True], ids=["replace drops", "replace keeps"])
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
