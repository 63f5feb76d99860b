"""Adds to a YAML file as a person would: all other lines, comments and spaces stay as they are.

Positions come from PyYAML's nodes. Each function gives the new text, or raises CannotEdit where the
file is laid out in a way that a line cannot be added to (flow style over several lines, aliases).
The result is read again: it has to be what was there and what was added, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeGuard

import yaml

from dbtmesh import yaml_files
from dbtmesh.doctor.finding import Edit

P = ParamSpec("P")


class CannotEdit(Exception):
    """Why a file cannot be changed without rewriting it."""


def edit(file: str, change: Callable[P, str], *given: P.args, **more: P.kwargs) -> Edit | None:
    """What one of the functions below makes of a file; None where it cannot."""
    try:
        return Edit(file, change(*given, **more))
    except CannotEdit:
        return None


def add_to_list(text: str, path: Sequence[str], item: str) -> str:
    """Adds a text to the list at `path`; a scalar there becomes the list's first item.

    path: keys from the top, such as `("models", "shop", "+post-hook")`; those that are missing are
    made.
    """
    lines = text.splitlines()
    holder, missing = _deepest(text, path)
    quoted = _scalar(item)
    if missing and _in_braces(holder):
        return _checked(text, _insert_in_braces(lines, holder, missing, [item]), path, item)
    if missing:
        block = _nested(missing, [f"- {quoted}"])
        return _checked(text, _insert_into(lines, holder, block), path, item)
    if isinstance(holder, yaml.SequenceNode):
        return _checked(text, _append_item(lines, holder, quoted), path, item)
    if isinstance(holder, yaml.ScalarNode):
        return _checked(text, _as_list(lines, holder, quoted), path, item)
    raise CannotEdit(f"{'.'.join(path)} is a mapping, not a list")


def add_entry(text: str, path: Sequence[str], key: str, value: dict[str, Any] | bool) -> str:
    """Adds `key: value` to the mapping at `path`; keys on the way that are missing are made."""
    lines = text.splitlines()
    holder, missing = _deepest(text, (*path, key))
    if not missing:
        raise CannotEdit(f"{'.'.join((*path, key))} is there already")
    if _in_braces(holder):
        added = _insert_in_braces(lines, holder, missing, value)
        return _checked(text, added, (*path, key), value)
    entry = {missing[-1]: value}
    dumped = yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=10_000)
    block = _nested(missing[:-1], dumped.splitlines())
    return _checked(text, _insert_into(lines, holder, block, last=True), (*path, key), value)


def set_scalar(text: str, path: Sequence[str], value: Any) -> str:
    """Sets the scalar at `path`, which has to be there."""
    lines = text.splitlines()
    holder, missing = _deepest(text, path)
    if missing or not isinstance(holder, yaml.ScalarNode) or holder.style in ("|", ">"):
        raise CannotEdit(f"{'.'.join(path)} is not a plain value")
    start, end = holder.start_mark, holder.end_mark
    if start.line != end.line:
        raise CannotEdit(f"{'.'.join(path)} is on several lines")
    line = lines[start.line]
    lines[start.line] = line[: start.column] + _scalar(value) + line[end.column :]
    return _joined(lines)


def guard_item(text: str, path: Sequence[str], at: int, before: str, after: str) -> str:
    """Puts texts around an item of the list at `path`, or around the text that is there alone."""
    holder, missing = _deepest(text, path)
    items = holder.value if isinstance(holder, yaml.SequenceNode) else [holder]
    if missing or at >= len(items) or not isinstance(items[at], yaml.ScalarNode):
        raise CannotEdit(f"{'.'.join(path)} has no such text")
    item = items[at]
    first, last = item.start_mark, _end_line(item)
    if str(item.value).startswith(before):
        raise CannotEdit("it is guarded already")
    lines = text.splitlines()
    tail = "" if item.style in ("|", ">") else lines[last][item.end_mark.column :]
    head = lines[first.line][: first.column]
    guarded = f"{head}{_scalar(f'{before}{str(item.value).strip()}{after}')}{tail}"
    return _joined([*lines[: first.line], *guarded.splitlines(), *lines[last + 1 :]])


def replace_value(text: str, path: Sequence[str], value: str) -> str:
    """Sets what is at `path`, a scalar or a list, on as many lines as it takes."""
    lines = text.splitlines()
    holder, missing = _deepest(text, path)
    if missing or holder is None or isinstance(holder, yaml.MappingNode):
        raise CannotEdit(f"{'.'.join(path)} is not a value")
    last = _end_line(holder)
    begins = (at for at in range(holder.start_mark.line, -1, -1) if lines[at].lstrip())
    key = next(at for at in begins if lines[at].lstrip().startswith(path[-1]))
    head = lines[key].partition(":")[0]
    tail = lines[last][holder.end_mark.column :] if holder.end_mark.line == last else ""
    return _joined([*lines[:key], f"{head}: {_scalar(value)}{tail}", *lines[last + 1 :]])


def _deepest(text: str, path: Sequence[str]) -> tuple[yaml.Node | None, list[str]]:
    """The node at the longest part of `path` that is there, and the keys after it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise CannotEdit("it is not valid YAML, or nested too deeply") from None
    for number, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            if _is_empty(node):
                return node, list(path[number:])
            raise CannotEdit(f"{'.'.join(path[:number]) or 'the file'} is not a mapping")
        found = [value for name, value in node.value if name.value == key]
        if not found:
            return node, list(path[number:])
        node = found[0]
    return node, []


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or (
        isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null") and not node.value
    )


def _nested(keys: Sequence[str], inner: Sequence[str]) -> list[str]:
    """Lines of a mapping in a mapping, and what is in the innermost."""
    lines = [f"{'  ' * depth}{_scalar(key)}:" for depth, key in enumerate(keys)]
    return [*lines, *(f"{'  ' * len(keys)}{line}" for line in inner)]


def _in_braces(node: yaml.Node | None) -> TypeGuard[yaml.MappingNode]:
    return isinstance(node, yaml.MappingNode) and bool(node.flow_style)


def _insert_in_braces(
    lines: list[str], holder: yaml.MappingNode, keys: Sequence[str], value: Any
) -> list[str]:
    """As its first entry, written as JSON, which is YAML."""
    for key in reversed(keys):
        value = {key: value}
    at, column = holder.start_mark.line, holder.start_mark.column + 1
    entry = json.dumps(value, ensure_ascii=False)[1:-1] + (", " if holder.value else "")
    line = lines[at]
    return [*lines[:at], f"{line[:column]}{entry}{line[column:]}", *lines[at + 1 :]]


def _insert_into(
    lines: list[str], holder: yaml.Node | None, block: Sequence[str], *, last: bool = False
) -> list[str]:
    """The lines with the block in the mapping `holder`: at its top, in the file's at its end."""
    if holder is None:
        return [*lines, *block]
    if isinstance(holder, yaml.ScalarNode):  # `key:` with nothing behind it
        at, column = holder.start_mark.line, _indent(lines[holder.start_mark.line]) + 2
        return _with(lines, at + 1, block, column)
    assert isinstance(holder, yaml.MappingNode)
    column = holder.start_mark.column
    if column == 0:
        return [*lines, *([""] if lines and lines[-1].strip() else []), *block]
    at = _end_line(holder) + 1 if last else holder.start_mark.line
    return _with(lines, at, block, column)


def _append_item(lines: list[str], holder: yaml.SequenceNode, quoted: str) -> list[str]:
    if holder.flow_style:
        end = holder.end_mark
        if holder.start_mark.line != end.line:
            raise CannotEdit("the list is written in brackets on several lines")
        line, comma = lines[end.line], ", " if holder.value else ""
        before, after = line[: end.column - 1].rstrip(), line[end.column - 1 :]
        return [*lines[: end.line], f"{before}{comma}{quoted}{after}", *lines[end.line + 1 :]]
    return _with(lines, _end_line(holder) + 1, [f"- {quoted}"], holder.start_mark.column)


def _as_list(lines: list[str], holder: yaml.ScalarNode, quoted: str) -> list[str]:
    start, end = holder.start_mark, holder.end_mark
    line = lines[start.line]
    indent = _indent(line) + 2
    if _is_empty(holder):
        return _with(lines, start.line + 1, [f"- {quoted}"], indent)
    if start.line != end.line or holder.style in ("|", ">"):
        raise CannotEdit("the value is on several lines")
    old, rest = line[start.column : end.column], line[end.column :].rstrip()
    items = [f"- {old}{rest}", f"- {quoted}"]
    head = line[: start.column].rstrip()
    return _with(
        [*lines[: start.line], head, *lines[start.line + 1 :]], start.line + 1, items, indent
    )


def _with(lines: list[str], at: int, block: Sequence[str], column: int) -> list[str]:
    return [*lines[:at], *(f"{' ' * column}{line}" for line in block), *lines[at:]]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end_line(node: yaml.Node) -> int:
    """The last line that a node takes; the end mark of a block is behind comments and blanks."""
    if isinstance(node, yaml.ScalarNode):
        end = node.end_mark
        return int(end.line - 1 if node.style in ("|", ">") and end.column == 0 else end.line)
    assert isinstance(node, yaml.CollectionNode)
    if node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _end_line(last[1] if isinstance(last, tuple) else last)


def _scalar(value: Any) -> str:
    """A value on one line, in the quotes that it needs."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    dumped = yaml.safe_dump(value, allow_unicode=True, width=10_000)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _checked(before: str, lines: Sequence[str], path: Sequence[str], added: Any) -> str:
    """The new text. Raises CannotEdit where it does not say what was there and what was added."""
    text = _joined(lines)
    try:
        was, now = yaml_files.load(before), yaml_files.load(text)
    except yaml_files.NotYaml:
        raise CannotEdit("the line would not fit") from None
    expected = was if isinstance(was, dict) else {}
    holder = expected
    for key in path[:-1]:
        if holder.get(key) is None:
            holder[key] = {}
        holder = holder[key]
    there = holder.get(path[-1])
    if not isinstance(added, str):  # which is an item of a list
        holder[path[-1]] = added
    else:
        holder[path[-1]] = [
            *(there if isinstance(there, list) else [] if there is None else [there])
        ]
        holder[path[-1]].append(added)
    if now != expected:
        raise CannotEdit("the line would change something else")
    return text
