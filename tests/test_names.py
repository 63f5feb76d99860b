"""Names as the warehouse stores them."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtmesh import MeshError
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import (
    Name,
    NotAName,
    canonical,
    is_plain,
    parse,
    quoted,
    relation,
    sql_name,
)

SNOWFLAKE, DUCKDB = Warehouse.SNOWFLAKE, Warehouse.DUCKDB


@pytest.mark.parametrize(
    ("dotted", "parts"),
    [
        ("a", [Name("a")]),
        ("db.Schema.t", [Name("db"), Name("Schema"), Name("t")]),
        ('db."a.b"', [Name("db"), Name("a.b", quoted=True)]),
        ('"say ""hi"""', [Name('say "hi"', quoted=True)]),
    ],
)
def test_a_dotted_name_has_parts(dotted: str, parts: list[Name]) -> None:
    assert list(parse(dotted)) == parts


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", '"', '""', 'a"b"', '"a"b', '"a".'])
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(NotAName, match="is not a valid name"):
        parse(text)
    assert canonical(text) == text


@given(st.lists(st.text(min_size=1), min_size=1))
def test_every_quoted_name_is_read_back(names: list[str]) -> None:
    assert [part.text for part in parse(".".join(map(quoted, names)))] == names


@given(st.text(min_size=1))
def test_sql_of_a_stored_name_is_stored_so_again(stored: str) -> None:
    (part,) = parse(sql_name(stored))
    assert SNOWFLAKE.stored(part.text, quoted=part.quoted) == stored


def test_snowflake_folds_what_is_not_quoted_and_compares_exactly() -> None:
    assert SNOWFLAKE.stored("Orders", quoted=False) == "ORDERS"
    assert SNOWFLAKE.stored("Orders", quoted=True) == "Orders"
    assert SNOWFLAKE.key("Orders") != SNOWFLAKE.key("ORDERS")
    assert canonical('db."x"."Y"') == 'DB."x".Y'


def test_duckdb_keeps_names_and_does_not_tell_cases_apart() -> None:
    assert DUCKDB.stored("Orders", quoted=False) == "Orders"
    assert DUCKDB.place_key(("Up", "Main", "Orders")) == ("up", "main", "orders")
    with duckdb.connect() as session:
        session.execute('create table "ÄB" (x int)')
        session.execute('select * from "Äb"')
        with pytest.raises(duckdb.CatalogException):
            session.execute('select * from "äb"')
    assert DUCKDB.key("ÄB") == DUCKDB.key("Äb") != DUCKDB.key("äb")


def test_an_unnamed_adapter_is_snowflake_and_an_unknown_one_is_refused_by_name() -> None:
    assert Warehouse.of("duckdb") is DUCKDB
    assert {Warehouse.of(each) for each in ("snowflake", None, "")} == {SNOWFLAKE}
    with pytest.raises(MeshError) as caught:
        Warehouse.of("big\nquery")
    assert str(caught.value) == (
        "adapter_type: 'big\\nquery' is not supported: a mesh runs on snowflake or duckdb"
    )


@pytest.mark.parametrize("name", ["a", "_1", "A$", "a" * 255])
def test_plain_names(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize("name", ["", "1a", "a b", 'a"', "a.b", "ä", "a\n", "a" * 256, "$a"])
def test_names_that_need_quotes(name: str) -> None:
    assert not is_plain(name)


def test_a_relation_lies_where_its_relation_name_says() -> None:
    node = {"relation_name": 'db."My Room".t', "database": "x", "schema": "y", "name": "z"}
    place = relation(node, SNOWFLAKE)
    assert place == (Name("DB"), Name("My Room", quoted=True), Name("T"))
    assert str(place) == "DB.My Room.T"
    assert relation(node, DUCKDB) == (Name("db"), Name("My Room", quoted=True), Name("t"))


@pytest.mark.parametrize("broken", [None, "", "a.b", "a.b.c.d", 'a"b.c.d'])
def test_else_where_its_fields_say(broken: str | None) -> None:
    node = {"relation_name": broken, "database": "db", "schema": "s", "name": "m", "alias": "t"}
    assert relation(node, SNOWFLAKE).place == ("DB", "S", "T")
    assert relation({"name": "m"}, SNOWFLAKE).place == ("", "", "M")
