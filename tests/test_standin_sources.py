"""What the stand-in shows has a source, and what accounts differ in is a switch."""

from __future__ import annotations

import functools
import importlib

import pytest

from tests.snowflake_standin import Model
from tests.snowflake_standin import show as listing
from tests.snowflake_standin import show_grants as grants
from tests.snowflake_standin.engine import DESCRIBED
from tests.snowflake_standin.fixtures import producer_sql, rsa_key
from tests.snowflake_standin.sources import COLUMNS, Rule
from tests.test_standin_model import INSUFFICIENT, MISSING, READER, TABLE, produced, refused, run

SHOWN = {**listing.COLUMNS, **grants.COLUMNS, "DESCRIBE TABLE": DESCRIBED}


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
        ("MV", "MATERIALIZED_VIEW", "N", "N"),
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
    # a name is one relation's, whatever its kind
    refused(model, "UP_ROLE", "CREATE TABLE UP_PROD.MARTS.DT (a INT)", 2002)


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
