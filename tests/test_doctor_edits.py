"""How the doctor changes files: YAML as a person would, bytes, and the sides of conflicts. Pure."""

from __future__ import annotations

import pytest
import yaml

from dbtmesh import dbt_paths
from dbtmesh.doctor import bounds, conflicts, file_bytes
from dbtmesh.doctor.finding import Side
from dbtmesh.doctor.yaml_edit import add_entry, add_to_list, remove_item, rename_key, set_value
from dbtmesh.doctor.yaml_nodes import CannotEdit
from dbtmesh.doctor.yaml_repair import repaired
from tests.test_yaml_files import BOMB

# ── adding to YAML ────────────────────────────────────────────────────────────────────

HOOK = "{{ ours() }}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: x\n", 'name: x\n\non-run-end:\n  - "{{ ours() }}"\n'),
        ("", 'on-run-end:\n  - "{{ ours() }}"\n'),
        (
            "on-run-end: # soon\nname: x\n",
            'on-run-end: # soon\n  - "{{ ours() }}"\nname: x\n',
        ),
        (
            'on-run-end: "{{ theirs() }}"  # keep\nname: x\n',
            'on-run-end:\n  - "{{ theirs() }}"  # keep\n  - "{{ ours() }}"\nname: x\n',
        ),
        (
            "on-run-end:\n- a # first\n\n# of the vars\nvars: {}\n",
            'on-run-end:\n- a # first\n- "{{ ours() }}"\n\n# of the vars\nvars: {}\n',
        ),
        (
            "on-run-end:\n    - >\n      long\n      text\nname: x\n",
            'on-run-end:\n    - >\n      long\n      text\n    - "{{ ours() }}"\nname: x\n',
        ),
        ("on-run-end: [a, b] # all\n", 'on-run-end: [a, b, "{{ ours() }}"] # all\n'),
        ("on-run-end: []\n", 'on-run-end: ["{{ ours() }}"]\n'),
        ("on-run-end: [a,] # all\n", 'on-run-end: [a, "{{ ours() }}"] # all\n'),
        ("on-run-end: [a,\n  b]\n", 'on-run-end: [a,\n  b, "{{ ours() }}"]\n'),
        (
            "on-run-end: [\n  a, # one\n  b # two\n] # all\nname: x\n",
            'on-run-end: [\n  a, # one\n  b, # two\n  "{{ ours() }}"\n] # all\nname: x\n',
        ),
        ("on-run-end: ~ # soon\n", 'on-run-end: # soon\n  - "{{ ours() }}"\n'),
        (
            "on-run-end: |\n  one\n   two\n\n# more\nname: x\n",
            'on-run-end:\n  - |\n    one\n     two\n  - "{{ ours() }}"\n\n# more\nname: x\n',
        ),
        (
            "on-run-end: |+\n  one\n\nname: x\n",
            "on-run-end: [\"one\\n\\n\", '{{ ours() }}']\nname: x\n",
        ),
        (
            'on-run-end: "{{ a() }}\n  {{ b() }}" # both\n',
            'on-run-end:\n  - "{{ a() }}\n    {{ b() }}" # both\n  - "{{ ours() }}"\n',
        ),
        ("a: 1\n...\n", 'a: 1\n\non-run-end:\n  - "{{ ours() }}"\n...\n'),
        ("{name: x}\n", '{"on-run-end": ["{{ ours() }}"], name: x}\n'),
        # whoever reads a file in which a key is twice takes the last
        (
            "on-run-end: a\non-run-end: b\n",
            'on-run-end: a\non-run-end:\n  - b\n  - "{{ ours() }}"\n',
        ),
        # what an alias stands for stays as it is elsewhere
        ("x: &a [1]\non-run-end: *a\n", 'x: &a [1]\non-run-end: [1, "{{ ours() }}"]\n'),
        (
            "on-run-end: &a\n  - 1\nx: *a # too\n",
            'on-run-end: &a\n  - 1\n  - "{{ ours() }}"\nx: [1] # too\n',
        ),
        (
            "b: &b {on-run-end: [q]}\n<<: *b\n",
            "b: &b {on-run-end: [q]}\n<<: *b\n\non-run-end: [q, '{{ ours() }}']\n",
        ),
    ],
)
def test_a_line_is_added_and_all_others_stay(before: str, after: str) -> None:
    assert add_to_list(before, ("on-run-end",), HOOK) == after


def test_mappings_on_the_way_are_made() -> None:
    path = ("models", "shop", "+post-hook")
    added = '+post-hook:\n      - "{{ ours() }}"\n'
    assert add_to_list("models:\n  shop:\n    # views\n    +x: 1\n", path, HOOK) == (
        f"models:\n  shop:\n    # views\n    {added}    +x: 1\n"
    )
    assert add_to_list("models:\n  other: {}\n", path, HOOK) == (
        f"models:\n  shop:\n    {added}  other: {{}}\n"
    )
    assert add_to_list("models:\nname: x\n", path, HOOK) == (
        f"models:\n  shop:\n    {added}name: x\n"
    )


def test_a_mapping_in_braces_stays_one() -> None:
    path = ("models", "shop", "+post-hook")
    assert add_to_list("models: {shop: {+x: a}} # all\n", path, "{{ f() }}") == (
        'models: {shop: {"+post-hook": ["{{ f() }}"], +x: a}} # all\n'
    )
    assert add_to_list("models: {}\n", path, "a") == ('models: {"shop": {"+post-hook": ["a"]}}\n')
    assert add_entry("p: {outputs: {\n  dev: {a: 1}}}\n", ("p", "outputs"), "x", {"b": 2}) == (
        'p: {outputs: {"x": {"b": 2}, \n  dev: {a: 1}}}\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "on-run-end: {a: 1}\n",
        "- a\n",
        "on-run-end: [",
        "on-run-end: &a [*a]\n",
        "x: 1 # \u2028\n",
        "x: " + "[" * 2_000,
        f"{BOMB}on-run-end: []\n",
    ],
)
def test_what_would_change_something_else_is_left_to_people(text: str) -> None:
    with pytest.raises(CannotEdit):
        add_to_list(text, ("on-run-end",), HOOK)


def test_a_target_is_added_below_the_others() -> None:
    text = "p:\n  outputs:\n    dev: # mine\n      type: snowflake\n  target: dev\n"
    assert add_entry(text, ("p", "outputs"), "local", {"type": "duckdb"}) == (
        "p:\n  outputs:\n    dev: # mine\n      type: snowflake\n    local:\n      type: duckdb\n"
        "  target: dev\n"
    )
    with pytest.raises(CannotEdit, match="there already"):
        add_entry(text, ("p", "outputs"), "dev", {})
    shared = "x: {outputs: &all {dev: {a: 1}}}\np: {outputs: *all}\n"
    assert add_entry(shared, ("p", "outputs"), "local", {"b": 2}) == (
        'x: {outputs: &all {dev: {a: 1}}}\np: {outputs: {"local": {"b": 2}, dev: {a: 1}}}\n'
    )
    anchor = add_entry(shared, ("x", "outputs"), "local", {"b": 2})
    assert yaml.safe_load(anchor) == {
        "x": {"outputs": {"dev": {"a": 1}, "local": {"b": 2}}},
        "p": {"outputs": {"dev": {"a": 1}}},
    }


def test_a_value_is_set_in_its_line() -> None:
    text = "snowflake:\n  role: A # whose\n"
    assert set_value(text, ("snowflake", "role"), "NO") == "snowflake:\n  role: 'NO' # whose\n"
    with pytest.raises(CannotEdit):
        set_value(text, ("snowflake",), "x")
    assert set_value(text, ("snowflake", "user"), "B") == (
        "snowflake:\n  user: B\n  role: A # whose\n"
    )
    in_list = "a:\n  - n: x\n    v: 1 # one\n  - {n: y, v: 2}\n"
    assert set_value(in_list, ("a", 0, "v"), 3) == in_list.replace("v: 1", "v: 3")
    assert set_value(in_list, ("a", 1, "v"), 3) == in_list.replace("v: 2", "v: 3")
    merged = "d: &d {v: 1}\na: {<<: *d}\n"
    assert set_value(merged, ("a", "v"), 2) == 'd: &d {v: 1}\na: {"v": 2, <<: *d}\n'


def test_a_key_is_called_otherwise_where_it_lies() -> None:
    text = "a:\n  prod: {x: 1} # ours\n  target: prod\n"
    assert rename_key(text, ("a", "prod"), "old") == text.replace("  prod:", "  old:")
    for new in ("target", "prod"):
        with pytest.raises(CannotEdit):
            rename_key(text, ("a", "prod"), new)


@pytest.mark.parametrize(
    ("text", "at", "left"),
    [
        ("a:\n  - b: 1 # one\n    c: 2\n  # two\n  - d\n", 0, "a:\n  # two\n  - d\n"),
        ("a:\n  - b\n  - c\n\n# end\n", 1, "a:\n  - b\n\n# end\n"),
        ("a:\n  - b\nc: 1\n", 0, "a: []\nc: 1\n"),
        ("a: [b, {c: 1}] # all\n", 1, "a: [b] # all\n"),
        ("a: [b]\n", 1, None),
        ("a: {b: 1}\n", 0, None),
    ],
)
def test_an_item_goes_with_its_lines(text: str, at: int, left: str | None) -> None:
    if left is None:
        with pytest.raises(CannotEdit):
            remove_item(text, ("a",), at)
    else:
        assert remove_item(text, ("a",), at) == left


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a:\n\tb:\n\t\tc: 1\n\t\t- d\n", None),
        ("a:\n\tb:\n\t\tc: 1\t# one\n", "a:\n  b:\n    c: 1  # one\n"),
        (
            "a:\n  - {{ f('x', \"y\") }} # one\n",
            'a:\n  - "{{ f(\'x\', \\"y\\") }}" # one\n',
        ),
        ("a:\n\t+b: {{ c }}\n", 'a:\n  +b: "{{ c }}"\n'),
        ("a: 1\n", None),
        ("just text\n", None),
        ("a: 'b\n", None),
    ],
)
def test_yaml_that_can_be_meant_in_one_way_alone(text: str, mended: str | None) -> None:
    assert repaired(text) == mended


# ── bytes, conflicts ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "text", "new"),
    [
        (b"a\r\nb\nc", "a\nx\nb\nc", b"a\r\nx\r\nb\nc"),
        (b"a\nb\nc\r\n", "a\nb\nc\nx\n", b"a\nb\nc\r\nx\n"),
        (b"a\r\nb", "a\nb\nx\n", b"a\r\nb\r\nx\r\n"),
        (b"a\nb", "x\na\nb\n", b"x\na\nb"),
        (b"\xef\xbb\xbfa\r", "a\nb\n", b"\xef\xbb\xbfa\rb\r"),
        (b"a\x0bb\n", "a\x0bb\nc\n", b"a\x0bb\nc\n"),
        (b"", "a\n", b"a\n"),
        ("é\r\n".encode("cp1252"), "é\na\n", "é\r\na\r\n".encode()),
    ],
)
def test_lines_that_stay_keep_their_bytes(old: bytes, text: str, new: bytes) -> None:
    assert file_bytes.written(old, text) == new


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_what_a_file_of_another_encoding_says(encoding: str, told: str) -> None:
    text = "# café\nname: shop\n"
    assert file_bytes.guess(text.encode(encoding)) == file_bytes.Guess(text, told)


@pytest.mark.parametrize(
    ("body", "text", "lost"),
    [
        (b"# caf\x81\n", "# caf\ufffd\n", 1),
        (b"\xff\xfea", "\ufffd\ufffda", 2),
        (b"a\0b\n", "a\ufffdb\n", 1),
    ],
)
def test_what_no_encoding_has_is_counted(body: bytes, text: str, lost: int) -> None:
    assert file_bytes.guess(body) == file_bytes.Guess(text, "an unknown encoding", lost)
    assert file_bytes.guess("# café\n".encode()) is None


CONFLICT = "a\n<<<<<<< before updating\nmine\n{}=======\ntheirs\n>>>>>>> after updating\nb\n"


@pytest.mark.parametrize("base", ["", "||||||| last update\nold\n"])
def test_one_side_of_a_conflict_is_taken(base: str) -> None:
    text = CONFLICT.format(base) * 2
    assert conflicts.resolved(text, Side.YOURS) == "a\nmine\nb\n" * 2
    assert conflicts.resolved(text, Side.TEMPLATE) == "a\ntheirs\nb\n" * 2
    assert conflicts.resolved("a\n=======\n", Side.YOURS) == "a\n=======\n"
    assert conflicts.resolved(text.partition(">>>>>>>")[0], Side.YOURS) is None


# ── versions, folders ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "exclude"),
    [
        (">=1.10.8,<1.13", "==1.7.4", True),
        (">=1.10.8,<1.13", "==1.10.8", False),
        (">=1.10.8,<1.13", "==1.13", True),
        (">=1.10.8,<1.13", "~=1.7", False),
        (">=1.10.8,<1.13", "~=1.7.2", True),
        (">=1.10.8,<1.13", "==1.11.*", False),
        (">=1.10.8,<1.13", "==1.9.*", True),
        (">=1.10.8,<1.13", ">=1.3,<1.10.8", True),
        (">=1.10.8,<1.13", ">=1.3, <=1.10.8", False),
        (">=1.10.8,<1.13", ">1.12.9,!=1.12.10", False),
        (">=1.10.8,<1.13", ">=1.10,!=1.9.*", False),
        (">=1.10.8,<1.13", "", False),
        (">=2.0.0a4,<3", "==2.0.0a4", False),
        (">=2.0.0-alpha.4", "2.0.0", False),
        ("=1.0", "1.0.1", True),
        (">1.0", "<=1.0", True),
        ("main", "1.0", False),
    ],
)
def test_bounds_that_leave_no_version(one: str, other: str, exclude: bool) -> None:
    assert bounds.exclude(one, other) is bounds.exclude(other, one) is exclude


def test_folders_have_the_names_of_before_dbt_1() -> None:
    old = {"source-paths": ["a"], "data-paths": ["b", 7]}
    assert dbt_paths.folders(old, "model-paths") == ["a"]
    assert dbt_paths.folders(old, "seed-paths") == ["b"]
    assert dbt_paths.folders({**old, "model-paths": ["c"]}, "model-paths") == ["c"]
    assert dbt_paths.folders({"macro-paths": "x"}, "macro-paths") == ["macros"]
    assert dbt_paths.key_of(old, "model-paths") == "source-paths"
    assert dbt_paths.key_of({}, "model-paths") == "model-paths"
