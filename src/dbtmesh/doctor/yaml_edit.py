"""Changes a YAML file as a person would: all other lines, comments and spaces stay as they are.

Positions come from PyYAML's nodes. Each function returns the new text, or raises CannotEdit where
it cannot make the change. The new text is parsed again, and must not differ from the old one in
anything but the change. So each way to write a change is tried in turn, the most readable one
first, and then again with the aliases on the path written out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec

import yaml

from dbtmesh.doctor.finding import Edit
from dbtmesh.doctor.yaml_nodes import (
    CannotEdit,
    Path,
    deepest,
    end_line,
    flow,
    is_empty,
    lines_of,
    loaded,
    told,
    value_at,
    written_out,
)

P = ParamSpec("P")
Way = Callable[[str], list[str]]
"""Turns the old text into the lines of the new one."""


def edits(
    file: str, change: Callable[P, str], *given: P.args, **more: P.kwargs
) -> tuple[Edit, ...]:
    """Returns the edit of a file by one of the functions below; empty where it cannot be made."""
    try:
        return (Edit(file, change(*given, **more)),)
    except CannotEdit:
        return ()


# ── What can be changed ───────────────────────────────────────────────────────────────


def add_to_list(text: str, path: Path, item: str) -> str:
    """Adds a text to the list at `path`; a scalar there becomes the list's first item.

    path: keys from the top, such as `("models", "shop", "+post-hook")`; those that are missing are
    made.
    """
    there = value_at(loaded(text), path)
    if isinstance(there, dict):
        raise CannotEdit(f"{told(path)} is a mapping, not a list")
    whole = [*(there if isinstance(there, list) else [] if there is None else [there]), item]
    ways = (
        lambda given: _with_item(given, path, whole),
        lambda given: _in_place(given, path, whole),
    )
    return _first_that_says(text, path, whole, ways)


def add_entry(text: str, path: Path, key: str, value: dict[str, Any] | bool | str) -> str:
    """Adds `key: value` to the mapping at `path`; keys on the way that are missing are made."""
    whole = (*path, key)
    if not deepest(text, whole).missing:
        raise CannotEdit(f"{told(whole)} is there already")
    ways = (
        lambda given: _with_key(given, whole, value, last=True),
        lambda given: _in_place(given, whole, value),
    )
    return _first_that_says(text, whole, value, ways)


def set_value(text: str, path: Path, value: Any) -> str:
    """Sets the value at `path`, a scalar or a list, or adds it where it is missing."""
    found = deepest(text, path)
    if not found.missing and isinstance(found.node, yaml.MappingNode):
        raise CannotEdit(f"{told(path)} is not a value")
    ways = (
        lambda given: _in_line(given, path, value),
        lambda given: _in_lines(given, path, value),
        lambda given: _with_key(given, path, value),
        lambda given: _in_place(given, path, value),
    )
    return _first_that_says(text, path, value, ways)


def rename_key(text: str, path: Path, new: str) -> str:
    """Renames the key at `path`, and leaves its value where it is."""
    holder = value_at(loaded(text), path[:-1])
    if not isinstance(holder, dict) or path[-1] not in holder or new in holder:
        raise CannotEdit(f"{told(path)} cannot be called {new}")
    renamed = {new if key == path[-1] else key: each for key, each in holder.items()}

    def write(given: str) -> list[str]:
        key = deepest(given, path).key
        if key is None:
            raise CannotEdit(f"{told(path)} has no name of its own")
        start, end = key.start_mark.index, key.end_mark.index
        return lines_of(given[:start] + _scalar(new) + given[end:])

    return _first_that_says(text, path, renamed, (write,), at=path[:-1])


def remove_item(text: str, path: Path, at: int) -> str:
    """Removes the item with index `at`, and its lines, from the list at `path`."""
    there = value_at(loaded(text), path)
    if not isinstance(there, list) or at >= len(there):
        raise CannotEdit(f"{told(path)} has no such item")
    left = [*there[:at], *there[at + 1 :]]

    def write(given: str) -> list[str]:
        node, lines = _written(given, (*path, at)), lines_of(given)
        first = node.start_mark.line
        return [*lines[:first], *lines[end_line(node) + 1 :]]

    ways = (
        write,
        lambda given: _in_lines(given, path, left),
        lambda given: _in_place(given, path, left),
    )
    return _first_that_says(text, path, left, ways)


def guard_item(text: str, path: Sequence[str], at: int, before: str, after: str) -> str:
    """Puts texts before and after the item with index `at` of the list at `path`, or before and
    after a single text there."""
    found = deepest(text, path)
    holder = found.node
    items = holder.value if isinstance(holder, yaml.SequenceNode) else [holder]
    if found.missing or at >= len(items) or not isinstance(items[at], yaml.ScalarNode):
        raise CannotEdit(f"{told(path)} has no such text")
    item = items[at]
    first, last = item.start_mark, end_line(item)
    if str(item.value).startswith(before):
        raise CannotEdit("it is guarded already")
    lines = lines_of(text)
    tail = "" if item.style in ("|", ">") else lines[last][item.end_mark.column :]
    head = lines[first.line][: first.column]
    guarded = f"{head}{_scalar(f'{before}{str(item.value).strip()}{after}')}{tail}"
    return _joined([*lines[: first.line], *guarded.split("\n"), *lines[last + 1 :]])


# ── Trying, and reading again ─────────────────────────────────────────────────────────


def _first_that_says(
    text: str, path: Path, value: Any, ways: Sequence[Way], at: Path | None = None
) -> str:
    """Returns the first new text with the content of the old one, but with `value` at `path`.

    at: where `value` is, if not at `path`. Raises CannotEdit where no way leads to such a text.
    """
    expected = _with(_alone(loaded(text)), path if at is None else at, value)
    why = CannotEdit("the line would change something else")
    for given in _ways_to_write(text, path):
        for way in ways:
            try:
                candidate = _joined(way(given))
                if loaded(candidate) == expected:
                    return candidate
            except CannotEdit as error:
                why = error
    raise why


def _ways_to_write(text: str, path: Path) -> Iterator[str]:
    yield text
    if (other := written_out(text, path)) is not None:
        yield other


def _alone(value: Any) -> Any:
    """Returns a deep copy in which no part occurs twice, as the value of an alias does."""
    if isinstance(value, dict):
        return {key: _alone(each) for key, each in value.items()}
    return [_alone(each) for each in value] if isinstance(value, list) else value


def _with(value: Any, path: Path, new: Any) -> Any:
    """Returns a copy of a value with `new` at `path`. Raises CannotEdit where something on the way
    is neither a list nor a mapping."""
    if not path:
        return new
    key = path[0]
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], _with(value[key], path[1:], new), *value[key + 1 :]]
    if not isinstance(value, dict | None) or isinstance(key, int):
        raise CannotEdit(f"{key} is not in a mapping")
    known = value or {}
    return {**known, key: _with(known.get(key), path[1:], new)}


# ── Ways to write ─────────────────────────────────────────────────────────────────────


def _with_item(text: str, path: Path, whole: list[Any]) -> list[str]:
    """Adds the last item of `whole` to the list: on its own line, or in the list's brackets."""
    found, quoted = deepest(text, path), _scalar(whole[-1])
    if found.missing or found.node is None:
        return _with_key(text, path, whole)
    if isinstance(found.node, yaml.SequenceNode):
        return _append_item(lines_of(text), found.node, quoted)
    assert isinstance(found.node, yaml.ScalarNode)
    return _as_list(lines_of(text), found.node, quoted)


def _with_key(text: str, path: Path, value: Any, *, last: bool = False) -> list[str]:
    """Adds `value` below those keys of `path` that are missing. Where a merge (`<<`) provides the
    first of them, what it provides is written out too, because the new key hides it."""
    found = deepest(text, path)
    if not found.missing:
        raise CannotEdit(f"{told(path)} is there already")
    lines, holder = lines_of(text), found.node
    depth = len(path) - len(found.missing)
    merged = value_at(loaded(text), path[: depth + 1])
    below = _with(_alone(merged), found.missing[1:], value)
    if isinstance(holder, yaml.MappingNode) and holder.flow_style:
        return _insert_in_braces(lines, holder, {str(path[depth]): below})
    if merged is None:
        block = _nested([str(key) for key in found.missing], value)
    else:
        block = [f"{_scalar(str(path[depth]))}: {flow(below)}"]
    return _insert_into(lines, holder, block, last=last)


def _in_line(text: str, path: Path, value: Any) -> list[str]:
    """Replaces a scalar that is on one line."""
    lines, holder = lines_of(text), _written(text, path)
    start, end = holder.start_mark, holder.end_mark
    if not isinstance(holder, yaml.ScalarNode) or start.line != end.line:
        raise CannotEdit(f"{told(path)} is on several lines")
    line = lines[start.line]
    gap = "" if line[: start.column].endswith((" ", "[", "{")) else " "
    lines[start.line] = f"{line[: start.column]}{gap}{_scalar(value)}{line[end.column :]}"
    return lines


def _in_lines(text: str, path: Path, value: Any) -> list[str]:
    """Replaces a scalar or a list, with all of its lines."""
    lines, holder, key = lines_of(text), _written(text, path), deepest(text, path).key
    if key is None:
        raise CannotEdit(f"{told(path)} is an item of a list")
    at, last = key.end_mark.line, end_line(holder)
    head = lines[at][: key.end_mark.column]
    tail = lines[last][holder.end_mark.column :] if holder.end_mark.line == last else ""
    return [*lines[:at], f"{head}: {_scalar(value)}{tail}", *lines[last + 1 :]]


def _written(text: str, path: Path) -> yaml.Node:
    found = deepest(text, path)
    if found.missing or found.node is None:
        raise CannotEdit(f"{told(path)} is not there")
    return found.node


def _in_place(text: str, path: Path, value: Any) -> list[str]:
    """Replaces the deepest existing value on the path with its new content, on one line. A block
    is not replaced: raises CannotEdit."""
    found = deepest(text, path)
    holder = found.node
    if holder is None or (isinstance(holder, yaml.CollectionNode) and not holder.flow_style):
        raise CannotEdit(f"{told(path)} is not on one line")
    depth = len(path) - len(found.missing)
    below = _with(_alone(value_at(loaded(text), path[:depth])), path[depth:], value)
    start, end = holder.start_mark.index, holder.end_mark.index
    gap = "" if text[:start].endswith((" ", "[", "{")) else " "
    ending = "\n" if text[start:end].endswith("\n") else ""
    return lines_of(f"{text[:start]}{gap}{flow(below)}{ending}{text[end:]}")


def _nested(keys: Sequence[str], value: Any) -> list[str]:
    """Returns the lines of nested mappings, with the value in the innermost one."""
    lines = [f"{'  ' * depth}{_scalar(key)}:" for depth, key in enumerate(keys)]
    margin = "  " * len(keys)
    if isinstance(value, list):
        return [*lines, *(f"{margin}- {_scalar(item)}" for item in value)]
    if isinstance(value, dict) and value:
        dumped = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
        return [*lines, *(f"{margin}{line}" for line in dumped.splitlines())]
    return [*lines[:-1], f"{lines[-1]} {_scalar(value)}"]


def _insert_in_braces(lines: list[str], holder: yaml.MappingNode, entry: Any) -> list[str]:
    """Adds an entry at the start of a mapping in braces, as JSON, which is also YAML."""
    at = holder.start_mark.line
    column = lines[at].index("{", holder.start_mark.column) + 1  # an anchor may be before it
    dumped = json.dumps(entry, ensure_ascii=False, default=str)[1:-1]
    line = lines[at]
    added = f"{line[:column]}{dumped}{', ' if holder.value else ''}{line[column:]}"
    return [*lines[:at], added, *lines[at + 1 :]]


def _insert_into(
    lines: list[str], holder: yaml.Node | None, block: Sequence[str], *, last: bool = False
) -> list[str]:
    """Adds a block of lines to the mapping `holder`: at its start, or at its end if `last`. In the
    file's own mapping it is always at the end."""
    if holder is None:
        return [*lines, *block]
    if isinstance(holder, yaml.ScalarNode):  # `key:` with nothing behind it, or null
        at, start = holder.start_mark.line, holder.start_mark.column
        line = lines[at]
        bare = f"{line[:start].rstrip()}{line[holder.end_mark.column :]}" if holder.value else line
        return _put([*lines[:at], bare, *lines[at + 1 :]], at + 1, block, _indent(line) + 2)
    assert isinstance(holder, yaml.MappingNode)
    first = holder.value[0][0].start_mark
    if first.column == 0:
        # behind `...` another document would begin
        end = end_line(holder) + 1 if "..." in lines else len(lines)
        return [*lines[:end], *([""] if lines[end - 1].strip() else []), *block, *lines[end:]]
    is_behind_a_dash = bool(lines[first.line][: first.column].strip())
    at = end_line(holder) + 1 if last or is_behind_a_dash else first.line
    return _put(lines, at, block, first.column)


def _append_item(lines: list[str], holder: yaml.SequenceNode, quoted: str) -> list[str]:
    if not holder.flow_style:
        start = holder.start_mark
        if lines[start.line][start.column] != "-":  # an anchor is before it
            start = holder.value[0].start_mark
            column = _indent(lines[start.line])
        else:
            column = start.column
        return _put(lines, end_line(holder) + 1, [f"- {quoted}"], column)
    end, column = holder.end_mark.line, holder.end_mark.column - 1
    if not holder.value or holder.start_mark.line == end:
        line, comma = lines[end], ", " if holder.value else ""
        before = line[:column].rstrip()
        if before.endswith(","):
            comma = " "
        return [*lines[:end], f"{before}{comma}{quoted}{line[column:]}", *lines[end + 1 :]]
    last = holder.value[-1].end_mark
    ending = lines[last.line][last.column :]
    if not ending.lstrip().startswith(","):  # the last item has no comma yet
        lines = [*lines]
        lines[last.line] = f"{lines[last.line][: last.column]},{ending}"
    line = lines[end]
    if line[:column].strip():  # the bracket is on the line of the last item
        column = line.rindex("]", 0, column + 2)
        return [*lines[:end], f"{line[:column]} {quoted}{line[column:]}", *lines[end + 1 :]]
    return _put(lines, end, [quoted], _indent(lines[last.line]))


def _as_list(lines: list[str], holder: yaml.ScalarNode, quoted: str) -> list[str]:
    start, last = holder.start_mark, end_line(holder)
    line = lines[start.line]
    indent = _indent(line) + 2
    if is_empty(holder):
        return _insert_into(lines, holder, [f"- {quoted}"])
    head, first = line[: start.column].rstrip(), line[start.column :].rstrip()
    while last > start.line and not lines[last].strip():
        last -= 1
    more = [f"  {each}" if each.strip() else each for each in lines[start.line + 1 : last + 1]]
    rest = [head, f"{' ' * indent}- {first}", *more, f"{' ' * indent}- {quoted}"]
    return [*lines[: start.line], *rest, *lines[last + 1 :]]


def _put(lines: list[str], at: int, block: Sequence[str], column: int) -> list[str]:
    return [*lines[:at], *(f"{' ' * column}{line}" for line in block), *lines[at:]]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _scalar(value: Any) -> str:
    """Returns a value as YAML on one line, in quotes where it needs them."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return flow(value)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
