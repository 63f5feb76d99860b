"""Which columns of another project's model a query reads: none too few."""

from __future__ import annotations

import re

import pytest

from dbtmesh.downstream import columns
from dbtmesh.warehouse.adapter import Warehouse
from dbtmesh.warehouse.names import Place

ALL = "id customer status net"
ROWS = "row_number() over (partition by customer order by net)"
DUCKDB = [
    ("select id from UP", "id"),
    ("select ID from up_local.marts.Orders", "id"),
    ("select * from UP", ALL),
    ("select count(*) from UP", ""),
    ("select 1 from UP", ""),
    ("from UP select net", "net"),
    ("select id as k, k + 1 as j from UP", "id"),
    (f"select id from UP qualify {ROWS} = 1", "customer id net"),
    (
        "select sum(net) over w from UP window w as (partition by status order by id)",
        "net status id",
    ),
    ("select id from UP group by id, status having max(net) > 1", "id status net"),
    ("select o.id, y.foo from UP o join own.x.y on y.id = o.id", "id"),
    ("select id, foo from UP o join own.x.y on y.id = o.customer", "id customer"),
    ("select id from UP join own.x.y using (id)", "id"),
    ("select id from UP union all select customer from UP", "id customer"),
    ("select list_transform([1], x -> x + net) from UP", "net"),
    # by the whole name of the table; a field of a structure, behind it or not
    ("select UP.net from UP", "net"),
    ("select marts.orders.net from UP", "net"),
    ("select status.a.b from UP", "status"),
    ("select o.status.a from UP o", "status"),
    ("select o.status.a.b from UP o", "status"),
    ("with a as (select * from UP) select a.status.x from a", "status"),
    ("select id from UP o semi join own.x.y using (customer)", "id customer"),
    ("select distinct on (customer) id from UP", "id customer"),
    # in a query inside of the query
    (
        "select id from UP where exists (select 1 from own.x.y where y.id = orders.status)",
        "id status",
    ),
    ("select (select max(net) from UP u where u.id = y.id) from own.x.y y", "net id"),
    ("select (select max(net) from UP u where id = foo) from own.x.y y", "net id"),
    ("select count(*) from (select id from UP where id is null) dbt_internal_test", "id"),
    # what is named counts, though nothing uses it later
    ("with a as (select id, net, customer from UP) select id from a", "id net customer"),
    ("select id, status from UP union all select id, 'x' from UP", "id status"),
    (
        "with u as (select id, status from UP union all select id, customer from UP) "
        "select id from u",
        "id status customer",
    ),
    (
        "with a as (select * from UP), b as (select id, net + 1 as m from a), "
        "c as (select id from b) select * from c",
        "id net",
    ),
    ("with a as (select *, net + 1 as n from UP) select id from a", "id net"),
    # what a step takes by `*` counts as far as a later one names it
    ("with a as (select * from UP) select count(*) from a", ""),
    (
        "with a as (select * from UP where status = 'x') select id, net + 1 as n from a",
        "id net status",
    ),
    (
        "with a as (select * from UP), b as (select * from a), "
        "c as (select b.* from b where status = 'x') select id from c",
        "id status",
    ),
    (
        f"with a as (select * from UP), f as (select a.*, {ROWS} as n from a) "
        "select id from f where n = 1",
        "id customer net",
    ),
    (
        "with a as (select o.*, y.foo from UP o join own.x.y y on y.id = o.id) select foo from a",
        "id",
    ),
    (
        "with a as (select * from UP) "
        "select id from a where exists (select 1 from own.x.z where z.k = a.status)",
        "id status",
    ),
    ("select * from UP o join own.x.y on y.id = o.id", ALL),
    # a column that goes breaks these, though nobody names it
    ("with a as (select * from UP union all select * from own.x.z) select id from a", ALL),
    ("with a as (select distinct * from UP) select id from a", ALL),
    ("select hash(o) from UP o", ALL),
    ("with c(a, b, c, d) as (select * from UP) select a from c", ALL),
    # a later step of which nobody knows the columns
    ("with a as (select * from UP), b as (select * from own.x.y) select id, foo from a, b", ALL),
    # not to be told
    ("select * exclude (net) from UP", None),
    ("select * replace (1 as net) from UP", None),
    ("select columns('n.*') from UP", None),
    ("select a from UP as o(a, b)", None),
    ("select * from own.x.y natural join UP", None),
    ("pivot UP on status using sum(net)", None),
    ("select 1", None),
    ("sel ect", None),
]
SNOWFLAKE = [
    ("select id, status:a.b::string as s from UP", "ID STATUS"),
    ("select o.id, f.value from UP o, lateral flatten(input => o.net) f", "ID NET"),
    ('select "Mixed" from UP', "Mixed"),
    ("select mixed from UP", ""),  # not the quoted one, nor any that is published
    ("select object_construct(*) from UP", "ID CUSTOMER STATUS NET Mixed"),
    ("select $1 from UP", None),
    ("with a as (select * from UP) select f.value from a, lateral flatten(net:x) f", "NET"),
    ("with a as (select * from UP) select net:x.y, a.status:z from a", "NET STATUS"),
    ("select f.v from UP, lateral flatten(input => net) f(a, b, c, d, v, e)", "NET"),
    ("with orders as (select * from UP), b as (select id from orders) select * from b", "ID"),
    ("select * from UP pivot(sum(net) for status in ('a'))", None),
    ("select * ilike '%id%' from UP", None),
    ("select * rename (net as x) from UP", None),
]
# of a relation that has other columns than the one that it lists
PARTLY_LISTED = [
    ("select id, amount from UP", "id amount"),
    ("select s.id, s.amount from UP s", "id amount"),
    ("select id from UP where amount > 0", "id amount"),
    ("select id from UP join own.x.y using (amount)", "id amount"),
    ("select id, foo from UP o join own.x.y on y.id = o.customer", "id customer foo"),
    ("select * from UP", None),
    ("with a as (select * from UP) select amount from a", None),
]
UP_LOCAL, UP_PROD = ("UP_LOCAL", "MARTS", "orders"), ("UP_PROD", "MARTS", "ORDERS")


def read(
    sql: str, known: str, place: Place, warehouse: Warehouse, *, whole: bool = True
) -> set[str] | None:
    sql = re.sub(r"\bUP\b", ".".join(place), sql)
    listed = columns.Listed(known.split(), whole)
    return columns.read_columns(sql, {place: listed}, warehouse)[place]


@pytest.mark.parametrize(("sql", "expected"), DUCKDB)
def test_columns_on_duckdb(sql: str, expected: str | None) -> None:
    found = read(sql, ALL, UP_LOCAL, Warehouse.DUCKDB)
    assert found == (None if expected is None else set(expected.split()))


@pytest.mark.parametrize(("sql", "expected"), SNOWFLAKE)
def test_columns_on_snowflake(sql: str, expected: str | None) -> None:
    found = read(sql, ALL.upper() + " Mixed", UP_PROD, Warehouse.SNOWFLAKE)
    assert found == (None if expected is None else set(expected.split()))


@pytest.mark.parametrize(("sql", "expected"), PARTLY_LISTED)
def test_columns_that_the_upstream_does_not_list(sql: str, expected: str | None) -> None:
    found = read(sql, "id", UP_LOCAL, Warehouse.DUCKDB, whole=False)
    assert found == (None if expected is None else set(expected.split()))
