"""Finds the positions of values in a YAML text by PyYAML's nodes, and writes out its aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dbtmesh import yaml_files

Path = Sequence[str | int]
"""Keys of mappings, and numbers of items of lists, from the top."""
MOST_WRITTEN = 1_000
"""How many values an alias may stand for, to be written out."""
OTHER_BREAKS = {"\x85", "\u2028", "\u2029"}
"""Characters that PyYAML counts as line ends, but editors do not."""


class CannotEdit(Exception):
    """A file cannot be changed without rewriting it. The message is the reason."""


Alias = tuple[int, int, yaml.Node]
"""Where an alias begins and ends, and what it stands for."""


class _Composer(yaml.SafeLoader):
    """Composes a text's nodes, and records where aliases are and what they stand for."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.aliases: list[Alias] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        event: Any = self.peek_event() if is_alias else None  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if event is not None and node is not None:
            self.aliases.append((event.start_mark.index, event.end_mark.index, node))
        return node


@dataclass(frozen=True)
class Found:
    """What a text holds of a path. node: the deepest node that exists. missing: the rest of the
    path. way: all nodes from the top to `node`. key: the node of its key, if it has one."""

    node: yaml.Node | None
    missing: Path
    way: Sequence[yaml.Node]
    key: yaml.Node | None = None


def loaded(text: str) -> Any:
    """Parses a YAML text. Raises CannotEdit where it is not valid."""
    try:
        return yaml_files.load(text)
    except yaml_files.NotYaml as error:
        raise CannotEdit(f"it is not valid YAML{error.where}: {error}") from None


def lines_of(text: str) -> list[str]:
    """Splits a text into lines. Raises CannotEdit where PyYAML would count other lines."""
    if OTHER_BREAKS & set(text):
        raise CannotEdit("it has line ends that no editor shows")
    return text.removesuffix("\n").split("\n") if text else []


def deepest(text: str, path: Path) -> Found:
    """Finds the deepest node of a path that exists. Raises CannotEdit where the text is not valid
    YAML, or where a scalar or a list on the way cannot hold the rest of the path."""
    return _walk(_composed(text)[0], path)


def _composed(text: str) -> tuple[yaml.Node | None, list[Alias]]:
    try:
        composer = _Composer(text)  # raises YAMLError for characters that YAML does not allow
        try:
            return composer.get_single_node(), composer.aliases
        finally:
            composer.dispose()
    except (yaml.YAMLError, RecursionError):
        raise CannotEdit("it is not valid YAML, or nested too deeply") from None


def _walk(node: yaml.Node | None, path: Path) -> Found:
    way = [node] if node else []
    key = None
    for number, name in enumerate(path):
        if is_empty(node):
            return Found(node, path[number:], way, key)
        child = _child(node, name)
        if child is None and isinstance(node, yaml.MappingNode):
            return Found(node, path[number:], way, key)
        if child is None:
            raise CannotEdit(f"{told(path[:number]) or 'the file'} is not a mapping")
        key, node = child
        way.append(node)
    return Found(node, (), way, key)


def _child(node: yaml.Node | None, name: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        found = [(key, value) for key, value in node.value if key.value == name]
        return found[-1] if found else None  # of duplicate keys, parsers take the last
    if isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
        return None, node.value[name]
    return None


def value_at(value: Any, path: Path) -> Any:
    """Returns what a parsed YAML value holds at `path`; None where it holds nothing there."""
    for key in path:
        if isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def told(path: Path) -> str:
    """Formats a path for a message, such as `models.shop.+schema`."""
    return ".".join(map(str, path))


def written_out(text: str, path: Path) -> str | None:
    """Returns the text with the aliases on the way to `path` written out, so that a change there
    changes nothing else. None where there are no such aliases."""
    root, aliases = _composed(text)
    way = {id(node) for node in _walk(root, path).way}
    places = [(start, end, flow(_value(node))) for start, end, node in aliases if id(node) in way]
    for start, end, value in sorted(places, reverse=True):
        text = text[:start] + value + text[end:]
    return text if places else None


def _value(node: yaml.Node) -> Any:
    try:
        value = yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise CannotEdit("an alias stands for a value that cannot be written out") from None
    waiting, count = [value], 0
    while waiting:
        each = waiting.pop()
        count += 1
        waiting += (
            each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
        )
        if count > MOST_WRITTEN:
            raise CannotEdit("an alias stands for too much to be written out")
    return value


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _on_one_line(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\n" in text else None
    )


_Plain.add_representer(str, _on_one_line)


def flow(value: Any) -> str:
    """Returns a value as YAML on one line, which is valid in any place."""
    dumped: str = yaml.dump(
        value,
        None,
        _Plain,
        default_flow_style=True,
        allow_unicode=True,
        width=10**6,
        sort_keys=False,
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def is_empty(node: yaml.Node | None) -> bool:
    """Checks whether a node is missing, or is null."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"))


def end_line(node: yaml.Node) -> int:
    """Returns the index of a node's last line. The end mark of a block does not tell it, because
    it is after comments and blank lines."""
    if isinstance(node, yaml.ScalarNode):
        end = node.end_mark
        return int(end.line - 1 if node.style in ("|", ">") and end.column == 0 else end.line)
    assert isinstance(node, yaml.CollectionNode)
    if node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return end_line(last[1] if isinstance(last, tuple) else last)
