"""Projects that read each other are found, and others are not."""

from __future__ import annotations

import pytest

from dbtmesh.registry.cycles import cycles, described


@pytest.mark.parametrize(
    ("reads", "found"),
    [
        ({}, []),
        ({"a": ["b"], "b": []}, []),
        ({"a": ["b"], "b": ["a"]}, [("a", "b")]),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, [("a", "b", "c")]),
        ({"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}, [("a", "b"), ("c", "d")]),
        ({"a": ["a"]}, [("a",)]),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
    ],
)
def test_groups_that_read_each_other(
    reads: dict[str, list[str]], found: list[tuple[str, ...]]
) -> None:
    assert cycles(reads) == found


def test_in_words() -> None:
    assert described(("b", "a")) == "a and b read each other"
    assert described("cab") == "a, b and c read each other"
    assert described(["a"]) == "a reads itself"
