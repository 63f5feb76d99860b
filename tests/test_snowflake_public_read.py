"""Who may read a model follows its `access`, whatever dbt does to it; and dbt's targets.

On dbt Core where CREATE OR REPLACE drops grants, and on dbt v2 where it keeps them. Other modules
have the other two: test_snowflake_v2 and test_snowflake_engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.conftest import Render
from tests.snowflake_members import World, demo_answers, make_world, write_models
from tests.snowflake_standin import matrix
from tests.snowflake_standin.faults import Faults
from tests.snowflake_standin.fixtures import rsa_key

ACCESS = "scripts/snowflake_access.py"
ON = ("--connection", "admin")
READER = "DBT_DOWN_ROLE"


CORE, QUICK = "core, replace drops", "v2, replace keeps"
on_both = pytest.mark.parametrize("publisher", [CORE, QUICK], indirect=True)
on_core = pytest.mark.parametrize("publisher", [CORE], indirect=True)
on_v2 = pytest.mark.parametrize("publisher", [QUICK], indirect=True)


@pytest.fixture(scope="module")
def publisher(
    request: pytest.FixtureRequest,
    render_into: Render,
    tmp_path_factory: pytest.TempPathFactory,
    quick_on_snowflake: dict[str, str],
) -> Iterator[World]:
    """A publisher of four public models of all materialisations, and one that reads it."""
    folder = tmp_path_factory.mktemp("publisher")
    engine = {} if request.param == CORE else quick_on_snowflake
    members = {
        name: render_into(folder / name, **demo_answers(name), **engine, starter=False)
        for name in ("dbt_up", "dbt_down")
    }
    yield from make_world(folder, members, kept=request.param == QUICK)


DEPLOY = ("run", "--target", "prod", "--threads", "1")
"""Each thread signs in for itself, and that takes longer than to build a model."""


def deploy(world: World, *arguments: str) -> str:
    return world.members["dbt_up"].dbt(*DEPLOY, *arguments).stdout


@on_both
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
    said = deploy(publisher, "--select", "a2")
    assert (
        "not readable yet, because it was made before it was public or had this reader: c" in said
    )
    assert "dbt build --target prod --select c" in said
    assert publisher.readable(READER) == {"MARTS.A2", "MARTS.D"}
    assert "not readable yet" not in deploy(publisher, "--select", "c")
    assert publisher.readable(READER) == {"MARTS.A2", "MARTS.D", "MARTS.C"}

    # of a run that fails, too
    models(a2="protected view", d="public table", broken="public table")
    (up.path / "models/marts/broken.sql").write_text("select no_such_column from nowhere\n")
    assert up.run("dbt", *DEPLOY).returncode == 1
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


# ── there is no moment in which what is not public can be read ────────────────────────


def moments(world: World) -> list[tuple[str, set[str]]]:
    """(statement, what the reader can read when it starts) of each statement from now on."""
    seen: list[tuple[str, set[str]]] = []

    def before(sql: str) -> None:
        Faults.before(world.standin.faults, sql)
        if re.match(r"\s*(create|drop|alter|grant|revoke)\b", sql, re.IGNORECASE):
            seen.append((sql, world.readable(READER)))

    world.standin.faults.before = before  # type: ignore[method-assign]
    return seen


def builds(sql: str, name: str) -> bool:
    return bool(re.search(rf"create or replace\b.*\bmarts\.{name}\b", sql.lower(), re.DOTALL))


@on_both
def test_nothing_is_rebuilt_while_it_can_be_read_by_mistake(publisher: World) -> None:
    up = publisher.members["dbt_up"]
    write_models(up, a="public table", b="public view", c="public incremental", d="public table")
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B", "MARTS.C", "MARTS.D"}

    seen = moments(publisher)
    write_models(up, a="protected table", b="private view", d="public table")
    deploy(publisher, "--select", "a", "b")
    for name in ("a", "b"):
        (readable,) = [readable for sql, readable in seen if builds(sql, name)]
        assert readable == {"MARTS.D"}  # and not C either, which is gone
    assert publisher.readable(READER) == {"MARTS.D"}


@on_both
def test_a_run_that_dies_has_taken_it_back_before(publisher: World) -> None:
    """The connection is lost at the statement that would rebuild the model."""
    up, faults = publisher.members["dbt_up"], publisher.standin.faults
    write_models(up, a="public table", b="public table")
    deploy(publisher)
    write_models(up, a="protected table", b="public table")
    faults.fail(r"create or replace\b.*marts\.a\b")
    faults.fail(r"show grants to database role", nth=2)  # and so does what comes at the end
    try:
        assert up.run("dbt", *DEPLOY, "--select", "a").returncode
        assert publisher.readable(READER) == {"MARTS.B"}
    finally:
        faults.clear()


@on_both
def test_nothing_is_built_where_it_cannot_be_taken_back(publisher: World) -> None:
    """How an error at the start stops a run differs between the engines."""
    up, faults = publisher.members["dbt_up"], publisher.standin.faults
    write_models(up, a="public table")
    deploy(publisher)
    write_models(up, a="protected table")
    seen = moments(publisher)
    faults.fail(r"revoke select on", nth=None)
    try:
        assert up.run("dbt", *DEPLOY).returncode
        assert not [sql for sql, _ in seen if builds(sql, "a")]
    finally:
        faults.clear()
    deploy(publisher)
    assert publisher.readable(READER) == set()


@on_core
def test_with_nothing_to_build_it_is_taken_back_by_its_own_command(publisher: World) -> None:
    """The deploy workflow runs it before each build."""
    up = publisher.members["dbt_up"]
    write_models(up, a="public table", b="public view")
    deploy(publisher)
    write_models(up)
    assert "Nothing to do" in deploy(publisher)
    revoke = ("run-operation", "revoke_public_read", "--target")
    up.dbt(*revoke, "ci", DBT_PR_NUMBER="1")
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B"}
    up.dbt(*revoke, "prod")
    assert publisher.readable(READER) == set()


@on_both
def test_what_becomes_public_is_not_read_before_it_is_built_as_such(publisher: World) -> None:
    """Neither the same model, nor one that takes the place of a private one."""
    up = publisher.members["dbt_up"]
    write_models(up, a="private table", b="private table", c="public table")
    deploy(publisher)
    write_models(up, a="public table", e="public table", c="public table")
    takes_over = "{{ config(access='public', materialized='table', alias='b') }} select 1 as id\n"
    (up.path / "models/marts/e.sql").write_text(takes_over)
    for command in ("revoke_public_read", "reconcile_public_read"):
        up.dbt("run-operation", command, "--target", "prod")
        assert publisher.readable(READER) == {"MARTS.C"}
    deploy(publisher, "--select", "c")
    assert publisher.readable(READER) == {"MARTS.C"}

    seen = moments(publisher)
    deploy(publisher)
    for name in ("a", "b"):
        (readable,) = [readable for sql, readable in seen if builds(sql, name)]
        assert f"MARTS.{name.upper()}" not in readable
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B", "MARTS.C"}


@on_both
def test_what_failed_to_build_is_not_opened(publisher: World) -> None:
    """A model that becomes public is read as it is now, never as it was when it was private."""
    up = publisher.members["dbt_up"]
    write_models(up, a="private table", b="public table")
    deploy(publisher)
    write_models(up, a="public table", b="public table")
    publisher.standin.faults.fail(r"create or replace\b.*marts\.a\b")
    try:
        assert up.run("dbt", *DEPLOY).returncode
    finally:
        publisher.standin.faults.clear()
    assert publisher.readable(READER) == {"MARTS.B"}
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.A", "MARTS.B"}


@on_v2
def test_what_was_given_by_hand_is_taken_back(publisher: World) -> None:
    up, model = publisher.members["dbt_up"], publisher.standin.model
    write_models(up, a="public table", b="private view")
    deploy(publisher)
    reader = "DATABASE ROLE DBT_UP_PROD.PUBLIC_READ"
    model.run_script(
        "USE ROLE SYSADMIN;"
        f"GRANT SELECT ON VIEW DBT_UP_PROD.MARTS.B TO {reader};"
        f"GRANT INSERT ON TABLE DBT_UP_PROD.MARTS.A TO {reader};"
        f"GRANT CREATE TABLE ON SCHEMA DBT_UP_PROD.MARTS TO {reader};"
    )
    deploy(publisher)
    rows = model.execute(f"SHOW GRANTS TO {reader}").dicts()
    assert {(row["privilege"], row["name"]) for row in rows} == {
        ("USAGE", "DBT_UP_PROD"),
        ("USAGE", "DBT_UP_PROD.MARTS"),
        ("SELECT", "DBT_UP_PROD.MARTS.A"),
    }


@on_core
def test_a_role_given_by_hand_stops_deploys_until_it_is_taken_back(publisher: World) -> None:
    """The role that deploys does not own it, so an administrator has to revoke it."""
    up, model = publisher.members["dbt_up"], publisher.standin.model
    write_models(up, a="public table")
    deploy(publisher)
    model.run_script(
        "USE ROLE SYSADMIN; CREATE DATABASE ROLE DBT_UP_PROD.MORE;"
        "GRANT DATABASE ROLE DBT_UP_PROD.MORE TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ;"
    )
    revoke = "revoke database role DBT_UP_PROD.MORE from database role DBT_UP_PROD.PUBLIC_READ"
    stopped = up.run("dbt", *DEPLOY)
    assert stopped.returncode
    assert revoke in stopped.stdout
    assert "Insufficient privileges" in stopped.stdout
    fixed = up.ok(ACCESS, "verify", *ON, "--fix")
    assert "USAGE ON DATABASE ROLE DBT_UP_PROD.MORE" in fixed
    deploy(publisher)
    up.ok(ACCESS, "verify", *ON)
    model.execute("DROP DATABASE ROLE DBT_UP_PROD.MORE", "SYSADMIN")


POINTER = """\
models:
  - name: m
    latest_version: 2
    config: {{access: public, latest_version_pointer: {pointer}}}
    versions: [{{v: 1}}, {{v: 2}}]
"""


@on_core
def test_the_view_of_the_latest_version_is_read_too(publisher: World) -> None:
    """dbt 1.12 makes it, and has no node for it. Here it is made by hand, as that would."""
    up, model = publisher.members["dbt_up"], publisher.standin.model
    versions = {"m_v1": "public table", "m_v2": "public table"}
    write_models(up, **versions)
    properties = up.path / "models/marts/m.yml"
    properties.write_text(POINTER.format(pointer="{enabled: true}"))
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.M_V1", "MARTS.M_V2"}
    with publisher.standin.admin_connection("DBT_UP_ROLE") as connection:
        connection.cursor().execute(
            "CREATE OR REPLACE VIEW DBT_UP_PROD.MARTS.M AS SELECT * FROM DBT_UP_PROD.MARTS.M_V2"
        )
    for _ in range(2):
        deploy(publisher)
        assert publisher.readable(READER) == {"MARTS.M_V1", "MARTS.M_V2", "MARTS.M"}
    properties.write_text(POINTER.format(pointer="{enabled: false}"))
    deploy(publisher)
    assert publisher.readable(READER) == {"MARTS.M_V1", "MARTS.M_V2"}
    model.execute("DROP VIEW DBT_UP_PROD.MARTS.M", "DBT_UP_ROLE", "DBT_UP_SVC")


@on_v2
def test_a_public_model_in_another_database_is_left_alone(publisher: World) -> None:
    """A database role cannot hold it; publish_manifest.py --check says so."""
    up = publisher.members["dbt_up"]
    write_models(up, a="public table", elsewhere="public table")
    (up.path / "models/marts/elsewhere.sql").write_text(
        "{{ config(access='public', database='ANALYTICS') }}\nselect 1 as id\n"
    )
    with publisher.standin.admin_connection() as admin:
        # of the engine, too: a database that only the model knows holds no tables
        admin.execute_string(
            "USE ROLE SYSADMIN; CREATE DATABASE IF NOT EXISTS ANALYTICS;"
            "GRANT USAGE, CREATE SCHEMA ON DATABASE ANALYTICS TO ROLE DBT_UP_ROLE;"
        )
        deploy(publisher)
        assert publisher.readable(READER) == {"MARTS.A"}
        admin.execute_string("USE ROLE ACCOUNTADMIN; DROP DATABASE ANALYTICS;")


@on_v2
def test_outside_of_prod_nothing_is_granted(publisher: World) -> None:
    up = publisher.members["dbt_up"]
    write_models(up, d="public table")
    up.dbt("run", "--target", "ci", "--threads", "1", DBT_PR_NUMBER="1")
    assert publisher.readable(READER, "DBT_UP_DEV") == set()
    ours = [r.sql for r in publisher.standin.statements if r.user == "DBT_UP_CI_SVC"]
    assert not [sql for sql in ours if "PUBLIC_READ" in sql or sql.lower().startswith("grant")]


# ── profiles ──────────────────────────────────────────────────────────────────────────


@on_v2
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


def test_without_a_stand_in_the_account_is_asked(render: Render) -> None:
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
        "targets = {name: load_profile('.', {}, target_override=name).credentials"
        " for name in ('dev', 'ci', 'prod')}\n"
        "print(json.dumps({name: {k: getattr(c, k) for k in ('host', 'port', 'protocol', 'account',"
        " 'authenticator', 'private_key_path', 'role', 'database', 'schema', 'user')}"
        " for name, c in targets.items()}))\n"
    )
    (member.path / "show.py").write_text(code)
    environment = {"HOME": "/home/ada", "USER": "ada"}
    targets = json.loads(member.ok("show.py", **environment).splitlines()[-1])
    for found in targets.values():
        assert (found["host"] or None, found["port"], found["protocol"]) == (None, 443, "https")
        assert found["account"] == "TESTORG-STANDIN"
    dev = targets["dev"]
    assert dev["authenticator"] == "externalbrowser"
    assert (dev["private_key_path"], dev["schema"]) == ("", "ADA_DEV")
    for target, user in (("ci", "DBT_UP_CI_SVC"), ("prod", "DBT_UP_SVC")):
        found = targets[target]
        assert found["private_key_path"] == f"/home/ada/.snowflake/keys/{user}.p8"
        assert found["user"] == user
