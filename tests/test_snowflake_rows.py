"""Rows of a registry in Snowflake: other projects own the tables, and may put anything in them."""

from __future__ import annotations

import contextlib
import resource
from decimal import Decimal
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtmesh import MeshError
from dbtmesh.registry.snowflake import connection, rows

TAG = "20260102T030405.678901Z-0123456789ab:1"
CELL = st.none() | st.integers() | st.text() | st.sampled_from([TAG, "0", 1, 0, "0" * 64, -1])


PACKED = rows.packed(b'{"a": "b"}')
WHOLE = (TAG, 0, 1, PACKED.size, PACKED.digest, PACKED.parts[0])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), CELL), max_size=3), st.integers(1, 3))
def test_whatever_rows_say_they_are_an_object_or_damaged(
    changes: list[tuple[int, object]], number: int
) -> None:
    row: list[object] = [*WHOLE]
    for place, value in changes:
        row[place] = value
    with contextlib.suppress(rows.Damaged):
        rows.unpacked(rows.one_object([WHOLE, *[row] * (number - 1)][-number:]))
    with contextlib.suppress(rows.Damaged):
        rows.unpacked(rows.one_object([row]))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, None) for place in range(6)),
        *((1, -1), (2, 0), (3, -5), (3, Decimal("1E+400")), (3, "٣"), (3, True), (4, "x")),
        *((5, "é"), (5, "AAAA"), (5, "\x00"), (5, "=" * 9), (0, "x")),
    ],
)
def test_one_bad_value_is_damage(place: int, value: object) -> None:
    row: list[object] = [*WHOLE]
    assert rows.unpacked(rows.one_object([row])).body == b'{"a": "b"}'
    row[place] = value
    with pytest.raises(rows.Damaged) as caught:
        rows.unpacked(rows.one_object([row]))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("row", [("x", 1), (None, None), (TAG.partition(":")[0], None)])
def test_what_stands_is_a_version(row: tuple[object, object]) -> None:
    with pytest.raises(rows.Damaged):
        rows.marks([row])


@pytest.mark.parametrize("size", [-1, 0, 10])
def test_rows_are_not_opened_to_more_than_they_say(size: int) -> None:
    packed = rows.packed(b"0" * 50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(rows.Damaged):
        rows.unpacked(rows.one_object([(TAG, 0, 1, size, packed.digest, packed.parts[0])]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize(
    "tag", ["x", f"{TAG}\n", f"{TAG}\u202e", "1:x", "../x", "::error::x", f"{'٢' * 8}{TAG[8:]}"]
)
def test_rows_of_another_form_are_damaged(tag: str) -> None:
    packed = rows.packed(b"{}")
    row = (TAG, 0, 1, packed.size, packed.digest, packed.parts[0])
    assert rows.unpacked(rows.one_object([row])).body == b"{}"
    with pytest.raises(rows.Damaged, match="is not valid"):
        rows.one_object([(tag, *row[1:])])


def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_CHARACTERS", 100)
    with pytest.raises(MeshError, match="more than an object may hold"):
        connection._rows(repeat(("x" * 60,)), "here")
