"""What the stand-in shows has a source, and what accounts differ in is a switch."""

from __future__ import annotations

import base64
import functools
import importlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dbtmesh.config import load_member
from dbtmesh.snowflake import expected, sqlscript
from dbtmesh.snowflake.account import read_live
from dbtmesh.snowflake.keypair.user import User
from dbtmesh.snowflake.names import Names, names_of
from dbtmesh.snowflake.objects import Object
from dbtmesh.snowflake.plan import plan
from tests.conftest import Render
from tests.snowflake_members import demo_answers, model_session, scripts_of
from tests.snowflake_standin import ADMIN, Model
from tests.snowflake_standin import show as listing
from tests.snowflake_standin import show_grants as grants
from tests.snowflake_standin.engine import DESCRIBED
from tests.snowflake_standin.fixtures import producer_sql, rsa_key
from tests.snowflake_standin.keys import fingerprint
from tests.snowflake_standin.sources import COLUMNS, Rule
from tests.test_standin_model import INSUFFICIENT, MISSING, READER, TABLE, produced, refused, run

SHOWN = {**listing.COLUMNS, **grants.COLUMNS, "DESCRIBE TABLE": DESCRIBED}


@pytest.fixture(scope="module")
def up(
    render_into: Render, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Names, dict[str, str]]:
    member = render_into(tmp_path_factory.mktemp("sources") / "dbt_up", **demo_answers("dbt_up"))
    return names_of(load_member(member.path)), scripts_of(member)


def cells(model: Model, sql: str, *columns: str, role: str = "ACCOUNTADMIN") -> list[object]:
    return [tuple(row[c] for c in columns) for row in model.execute(sql, role).dicts()]


def test_every_rule_and_every_column_has_its_source() -> None:
    for rule in Rule:
        module, _, path = rule.value.where.partition(".")
        code = importlib.import_module(f"tests.snowflake_standin.{module}")
        assert callable(functools.reduce(getattr, path.split("."), code)), rule
        assert rule.is_assumption == bool(rule.value.leaned_on), rule
        assert not rule.page.startswith("/"), rule
    assert SHOWN.keys() == COLUMNS.keys()


def test_the_owner_of_a_managed_schema_is_shown_with_manage_grants() -> None:
    model = produced()
    shown = cells(model, "SHOW GRANTS ON SCHEMA UP_PROD.MARTS", "privilege", "grantee_name")
    assert shown[:2] == [("OWNERSHIP", "UP_ROLE"), ("MANAGE GRANTS", "UP_ROLE")]
    inside = cells(model, f"SHOW GRANTS ON TABLE {TABLE}", "privilege", "grant_option")
    assert inside[0] == ("OWNERSHIP", "false")
    plain = cells(model, "SHOW GRANTS ON SCHEMA UP_PROD.PUBLIC", "privilege")
    assert plain == [("OWNERSHIP",)]


def test_managing_the_grants_of_one_schema() -> None:
    manage = "GRANT MANAGE GRANTS ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY"
    refused(produced(), "ACCOUNTADMIN", manage, 1003)
    model = produced(container_manage_grants=True)
    grant = f"GRANT SELECT ON TABLE {TABLE} TO ROLE UP_READER"
    run(model, "SYSADMIN", "GRANT USAGE ON DATABASE UP_PROD TO ROLE NOBODY")
    run(model, "UP_ROLE", "GRANT USAGE ON SCHEMA UP_PROD.MARTS TO ROLE NOBODY")
    refused(model, "NOBODY", grant, MISSING)
    run(model, "ACCOUNTADMIN", manage)
    run(model, "NOBODY", grant, "GRANT USAGE ON SCHEMA UP_PROD.MARTS TO ROLE UP_READER")
    refused(model, "NOBODY", "GRANT USAGE ON DATABASE UP_PROD TO ROLE UP_READER", INSUFFICIENT)


@pytest.mark.parametrize("exact", [True, False])
def test_show_grants_before_and_after_bcr_2371(exact: bool) -> None:
    model = produced(exact_kinds=exact)
    run(model, "UP_ROLE", f"GRANT SELECT ON VIEW UP_PROD.MARTS.V TO {READER}")
    kind = ("VIEW" if exact else "TABLE",)
    assert cells(model, f"SHOW GRANTS TO {READER}", "granted_on")[-1] == kind
    assert "granted_by_role_type" not in model.execute(f"SHOW GRANTS TO {READER}").dicts()[0]
    assert model.execute(f"SHOW GRANTS ON {READER}").dicts()[0]["granted_by_role_type"] == "ROLE"
    shown = cells(model, "SHOW GRANTS ON VIEW UP_PROD.MARTS.V", "granted_on", "grantee_name")
    assert shown[-1] == ("VIEW", "PUBLIC_READ" if exact else "UP_PROD.PUBLIC_READ")


@pytest.mark.parametrize("after", [True, False])
def test_show_grants_to_user_before_and_after_bcr_1803(after: bool) -> None:
    answer = produced(user_privileges=after).execute("SHOW GRANTS TO USER UP_SVC")
    assert [row["role"] for row in answer.dicts()] == ["UP_ROLE"]
    assert ("privilege" in answer.dicts()[0]) is after


def test_other_relations_have_their_kinds_in_grants_and_shows() -> None:
    model = produced()
    run(
        model,
        "UP_ROLE",
        f"CREATE DYNAMIC TABLE UP_PROD.MARTS.DT TARGET_LAG = '1 day' WAREHOUSE = UP_WH AS "
        f"SELECT * FROM {TABLE}",
        f"CREATE MATERIALIZED VIEW UP_PROD.MARTS.MV AS SELECT * FROM {TABLE}",
        f"CREATE SECURE VIEW UP_PROD.MARTS.SV AS SELECT * FROM {TABLE}",
        f"GRANT SELECT ON DYNAMIC TABLE UP_PROD.MARTS.DT TO {READER}",
        f"GRANT SELECT ON UP_PROD.MARTS.MV TO {READER}",
    )
    model.add_object("EXTERNAL_TABLE", "UP_PROD.MARTS.ET", owner="UP_ROLE")
    model.add_object("ICEBERG_TABLE", "UP_PROD.MARTS.IT", owner="UP_ROLE")
    within = "IN SCHEMA UP_PROD.MARTS"
    assert cells(model, f"SHOW OBJECTS {within}", "name", "kind", "is_dynamic", "is_iceberg") == [
        ("DT", "TABLE", "Y", "N"),
        ("ET", "TABLE", "N", "N"),
        ("IT", "TABLE", "N", "Y"),
        ("MV", "VIEW", "N", "N"),
        ("ORDERS", "TABLE", "N", "N"),
        ("SV", "VIEW", "N", "N"),
        ("V", "VIEW", "N", "N"),
    ]
    views = cells(model, f"SHOW VIEWS {within}", "name", "is_secure", "is_materialized")
    assert views == [("MV", "false", "true"), ("SV", "true", "false"), ("V", "false", "false")]
    for kind, name in (("DYNAMIC", "DT"), ("EXTERNAL", "ET"), ("ICEBERG", "IT")):
        assert cells(model, f"SHOW {kind} TABLES {within}", "name") == [(name,)]
    kinds = cells(model, f"SHOW GRANTS TO {READER}", "granted_on", "name")
    assert ("DYNAMIC_TABLE", "UP_PROD.MARTS.DT") in kinds
    assert ("MATERIALIZED_VIEW", "UP_PROD.MARTS.MV") in kinds
    run(model, "UP_READER", "SELECT * FROM UP_PROD.MARTS.DT", "SELECT * FROM UP_PROD.MARTS.MV")
    refused(model, "UP_READER", "SELECT * FROM UP_PROD.MARTS.SV", MISSING)
    refused(model, "UP_ROLE", f"GRANT INSERT ON DYNAMIC TABLE UP_PROD.MARTS.DT TO {READER}", 1003)
    refused(model, "UP_ROLE", "CREATE ICEBERG TABLE UP_PROD.MARTS.N (a INT)", 1003)
    # a dynamic table is granted by its own word, and a materialized view given away as a view
    refused(model, "UP_ROLE", f"GRANT SELECT ON TABLE UP_PROD.MARTS.DT TO {READER}", MISSING)
    give = "GRANT OWNERSHIP ON {} UP_PROD.MARTS.MV TO ROLE UP_ROLE COPY CURRENT GRANTS"
    refused(model, "SECURITYADMIN", give.format("MATERIALIZED VIEW"), 1003)
    run(model, "SECURITYADMIN", give.format("VIEW"))
    all_views = "GRANT OWNERSHIP ON ALL VIEWS IN SCHEMA UP_PROD.MARTS TO ROLE NOBODY"
    run(
        model,
        "SECURITYADMIN",
        "GRANT ROLE NOBODY TO ROLE UP_ROLE",
        f"{all_views} COPY CURRENT GRANTS",
    )
    assert ("OWNERSHIP", "NOBODY") in cells(
        model, "SHOW GRANTS ON UP_PROD.MARTS.MV", "privilege", "grantee_name"
    )
    # a name is one relation's, whatever its kind
    refused(model, "UP_ROLE", "CREATE TABLE UP_PROD.MARTS.DT (a INT)", 2002)


def test_a_dynamic_table_is_operated_by_who_may() -> None:
    model = produced()
    create = "CREATE {} DYNAMIC TABLE UP_PROD.MARTS.DT TARGET_LAG = DOWNSTREAM WAREHOUSE = UP_WH"
    options = "REFRESH_MODE = AUTO INITIALIZE = ON_CREATE COPY GRANTS"
    run(model, "UP_ROLE", f"{create.format('OR REPLACE')} {options} AS SELECT * FROM {TABLE}")
    run(model, "SECURITYADMIN", "GRANT USAGE ON SCHEMA UP_PROD.MARTS TO ROLE UP_READER")
    alter = "ALTER DYNAMIC TABLE UP_PROD.MARTS.DT"
    every = (
        f"{alter} SUSPEND",
        f"{alter} RESUME",
        f"{alter} REFRESH",
        f"{alter} SET TARGET_LAG = '1 day'",
    )
    run(model, "UP_ROLE", "GRANT SELECT ON DYNAMIC TABLE UP_PROD.MARTS.DT TO ROLE UP_READER")
    for sql in every:
        refused(model, "UP_READER", sql, INSUFFICIENT)
    run(model, "UP_ROLE", "GRANT OPERATE ON DYNAMIC TABLE UP_PROD.MARTS.DT TO ROLE UP_READER")
    run(model, "UP_READER", *every)
    refused(model, "UP_READER", f"{alter} SET COMMENT = 'x'", INSUFFICIENT)
    show = "SHOW DYNAMIC TABLES IN SCHEMA UP_PROD.MARTS"
    assert cells(model, show, "warehouse", "scheduling_state", role="UP_READER") == [(None, None)]
    run(model, "UP_READER", f"{alter} SUSPEND")
    run(model, "UP_ROLE", "GRANT MONITOR ON DYNAMIC TABLE UP_PROD.MARTS.DT TO ROLE UP_READER")
    shown = cells(model, show, "warehouse", "scheduling_state", role="UP_READER")
    assert shown == [("UP_WH", "SUSPENDED")]


def test_who_is_told_of_users() -> None:
    model = produced()
    show = "SHOW USERS LIKE 'UP_SVC'"
    assert cells(model, show, "name", "owner", "type", role="UP_READER") == [("UP_SVC", None, None)]
    for role in ("USERADMIN", "SECURITYADMIN"):
        shown = cells(model, show, "name", "owner", "type", role=role)
        assert shown == [("UP_SVC", "USERADMIN", "SERVICE")]


def test_ownership_in_a_managed_access_schema_goes_below_its_owner() -> None:
    model = produced()
    give = f"GRANT OWNERSHIP ON TABLE {TABLE} TO ROLE {{}} COPY CURRENT GRANTS"
    refused(model, "ACCOUNTADMIN", give.format("NOBODY"), 1008)
    run(model, "ACCOUNTADMIN", give.format("UP_ROLE"), "GRANT ROLE NOBODY TO ROLE UP_ROLE")
    run(model, "ACCOUNTADMIN", give.format("NOBODY"))


def test_who_copies_grants_and_who_gave_them_then() -> None:
    model = produced()
    run(model, "UP_ROLE", "CREATE SCHEMA UP_PROD.PLAIN", "CREATE TABLE UP_PROD.PLAIN.T (a INT)")
    run(model, "UP_ROLE", "GRANT SELECT ON UP_PROD.PLAIN.T TO ROLE UP_READER")
    give = "GRANT OWNERSHIP ON TABLE UP_PROD.PLAIN.T TO ROLE NOBODY COPY CURRENT GRANTS"
    refused(model, "UP_ROLE", give, INSUFFICIENT)
    run(model, "SECURITYADMIN", give)
    shown = cells(model, "SHOW GRANTS ON TABLE UP_PROD.PLAIN.T", "privilege", "granted_by")
    assert shown == [("OWNERSHIP", "NOBODY"), ("SELECT", "NOBODY")]


def test_what_has_no_source_is_refused() -> None:
    model = produced()
    masked = f"ALTER TABLE {TABLE} MODIFY COLUMN ID {{}} MASKING POLICY UP_PROD.MARTS.P"
    for sql in (
        *(masked.format(word) for word in ("SET", "UNSET")),
        f"ALTER TABLE {TABLE} ADD ROW ACCESS POLICY UP_PROD.MARTS.P ON (ID)",
        f"ALTER TABLE {TABLE} DROP ALL ROW ACCESS POLICIES",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT PK PRIMARY KEY (ID)",
        f"ALTER TABLE {TABLE} SET TAG UP_PROD.MARTS.T = 'x'",
        "CREATE OR ALTER TABLE UP_PROD.MARTS.N (a INT)",
        "UNDROP TABLE UP_PROD.MARTS.N",
        "EXECUTE IMMEDIATE 'SELECT 1'",
        "GRANT USAGE ON DATABASE UP_PROD TO SHARE S",
        "SHOW TASKS",
    ):
        refused(model, "UP_ROLE", sql, 1003, "stand-in")
    refused(model, "UP_ROLE", f"GRANT REBUILD ON TABLE {TABLE} TO ROLE NOBODY", 1003, "stand-in")


def test_what_database_roles_and_stages_take() -> None:
    model = produced()
    run(model, "SYSADMIN", f"GRANT MONITOR ON DATABASE UP_PROD TO {READER}")
    refused(model, "SYSADMIN", f"GRANT CREATE DATABASE ROLE ON DATABASE UP_PROD TO {READER}", 1008)
    run(model, "UP_ROLE", "CREATE STAGE UP_PROD.MARTS.S")
    write = "GRANT {} ON STAGE UP_PROD.MARTS.S TO ROLE UP_READER"
    refused(model, "UP_ROLE", write.format("WRITE"), 1008)
    run(model, "UP_ROLE", write.format("READ, WRITE"), write.format("WRITE"))


def test_what_the_docs_do_not_tell_is_a_switch() -> None:
    kind, strict = produced(), produced(describes_users=False, shows_foreign_database_roles=False)
    for model in (kind, strict):
        run(model, "USERADMIN", "GRANT MONITOR ON USER UP_SVC TO ROLE UP_READER")
        run(model, "SYSADMIN", "CREATE DATABASE ROLE UP_PROD.OTHER")
    for sql in ("DESC USER UP_SVC", "SHOW GRANTS TO DATABASE ROLE UP_PROD.OTHER"):
        run(kind, "UP_READER", sql)
        with pytest.raises(Exception, match=r"Insufficient|not exist"):
            run(strict, "UP_READER", sql)
    run(strict, "UP_READER", f"SHOW GRANTS TO {READER}")  # which it has
    run(strict, "SECURITYADMIN", "SHOW GRANTS TO DATABASE ROLE UP_PROD.OTHER")


def test_key_pairs_of_others_take_one_privilege_and_are_ten_at_most() -> None:
    model = Model()
    model.behaviour.named_key_pairs = True
    model.run_script(producer_sql())
    show = "SHOW USER KEY PAIRS FOR USER UP_SVC"
    run(model, "USERADMIN", "GRANT MONITOR ON USER UP_SVC TO ROLE UP_READER")
    refused(model, "UP_READER", show, INSUFFICIENT)
    privilege = "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"
    run(model, "USERADMIN", f"GRANT {privilege} ON USER UP_SVC TO ROLE UP_READER")
    add = "ALTER USER UP_SVC ADD KEY PAIR K{} PUBLIC_KEY = '{}'"
    for number in range(10):
        run(model, "UP_READER", add.format(number, rsa_key(f"pair {number}").public))
    refused(model, "UP_READER", add.format(10, rsa_key("pair 10").public), 1008)
    assert len(model.execute(show, "UP_READER").rows) == 10
    # one that was rotated out counts until it expires
    remove, rotate = "ALTER USER UP_SVC REMOVE KEY PAIR K0", "ALTER USER UP_SVC ROTATE KEY PAIR K1"
    hours = "EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS = 1"
    new = rsa_key("pair 11").public
    run(model, "UP_READER", remove, f"{rotate} PUBLIC_KEY = '{new}' {hours}")
    refused(model, "UP_READER", add.format(10, rsa_key("pair 10").public), 1008)
    now = model.clock()
    model.clock = lambda: now + 3601
    run(model, "UP_READER", add.format(10, rsa_key("pair 10").public))
    assert len(model.execute(show, "UP_READER").rows) == 10


@pytest.mark.parametrize(("curve", "taken"), [(ec.SECP384R1(), True), (ec.SECP256K1(), False)])
def test_keys_of_three_elliptic_curves_are_taken(curve: ec.EllipticCurve, taken: bool) -> None:
    public = ec.generate_private_key(curve).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    sql = f"ALTER USER UP_SVC SET RSA_PUBLIC_KEY_2 = '{base64.b64encode(der).decode()}'"
    if taken:
        run(produced(), "USERADMIN", sql)
    else:
        refused(produced(), "USERADMIN", sql, 3065)


def test_a_rotation_does_without_describing_users() -> None:
    """The deploy role reads the keys of a user that it may not describe."""
    model = produced(named_key_pairs=True, describes_users=False)
    privilege = "MODIFY PROGRAMMATIC AUTHENTICATION METHODS"
    run(model, "USERADMIN", f"GRANT {privilege} ON USER UP_SVC TO ROLE UP_READER")
    run(model, "USERADMIN", "GRANT MONITOR ON USER UP_SVC TO ROLE UP_READER")
    run(model, "SECURITYADMIN", f"GRANT ROLE UP_READER TO USER {ADMIN}")
    key = rsa_key("of the pair").public
    run(model, "UP_READER", f"ALTER USER UP_SVC ADD KEY PAIR CI PUBLIC_KEY = '{key}'")
    session = model_session(model)
    session.use("UP_READER")
    user = User(session, "UP_SVC")
    assert user.properties() is None
    assert user.registered() == {"CI": fingerprint(key)}


@pytest.mark.parametrize("exact", [True, False])
def test_a_check_finds_no_drift_before_and_after_the_changes(
    up: tuple[Names, dict[str, str]], exact: bool
) -> None:
    """Neither the MANAGE GRANTS of owners nor kinds that are told wrongly are drift."""
    names, scripts = up
    model = Model()
    model.behaviour.exact_kinds = exact
    for text in scripts.values():
        model.run_script(text)
    model.execute("CREATE VIEW DBT_UP_PROD.MARTS.V AS SELECT 1 AS ID", "DBT_UP_ROLE")
    model.execute(
        "GRANT SELECT ON DBT_UP_PROD.MARTS.V TO DATABASE ROLE DBT_UP_PROD.PUBLIC_READ",
        "DBT_UP_ROLE",
    )
    steps = sqlscript.read_steps(scripts)
    live = read_live(model_session(model), steps, names)
    public = {Object("VIEW", "DBT_UP_PROD.MARTS.V"): None}
    wanted = expected.expected(steps, public)
    assert expected.excess(wanted, live, names) == []
    assert expected.missing_select(wanted, live, names) == []
    assert [change for change in plan(steps, live) if change.effect.is_certain] == []
    # MANAGE GRANTS of somebody else is drift
    model.behaviour.container_manage_grants = True
    model.execute("GRANT MANAGE GRANTS ON SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_DEV_ROLE")
    live = read_live(model_session(model), steps, names)
    assert [str(grant) for grant in expected.excess(wanted, live, names)] == [
        "MANAGE GRANTS ON SCHEMA DBT_UP_PROD.MARTS TO ROLE DBT_UP_DEV_ROLE"
    ]
