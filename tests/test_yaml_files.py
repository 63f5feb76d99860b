"""YAML that people write, or somebody who means harm: a value, or one line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtmesh import yaml_files
from dbtmesh.yaml_files import NotYaml, load

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "expected the node content"),
        ("a: 2026-13-01", "does not fit its type"),
        *((f"a: !!{kind} x", "does not fit its type") for kind in ("bool", "timestamp", "float")),
        ('a: !!int ""', "does not fit its type"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("[\n" * 2_000, "nested"),
        ("a: " + "{a: " * 5_000, "nested"),
        (BOMB, "aliases"),
        ("a: &a [*a]", "contains it"),
        ("a: &a {b: *a}", "contains it"),
        ("a: " + "9" * 5_000, "does not fit its type"),
        ("\0", "YAML does not allow"),
    ],
)
def test_what_is_not_yaml_is_one_line(text: str, said: str) -> None:
    for body in (text, text.encode()):
        with pytest.raises(NotYaml, match=said) as caught:
            load(body)
        assert "\n" not in f"{caught.value}{caught.value.where}"


def test_the_line_is_told() -> None:
    with pytest.raises(NotYaml) as caught:
        load("a: 1\nb: [\n")
    assert caught.value.where == " (line 3)"


def test_aliases_of_people_are_fine() -> None:
    assert load("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        **{"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    }
    assert load(b"") is None


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_files, "MOST", 10)
    with pytest.raises(NotYaml, match="more than 10 bytes"):
        load("a: 34567890")


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="&*!{}[]:-, ab1~\n\"'<"))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for body in (text, text.encode()):
        with contextlib.suppress(NotYaml):
            load(body)
