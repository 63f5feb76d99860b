"""Writes YAML properties files for dbt, which renders Jinja in their texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dbtmesh.output.escape import UNSEEN

# Text that a YAML reader or Jinja would change: a brace that starts something in Jinja (or could,
# with the text after it), the last newline, carriage returns, the other line breaks of YAML 1.1,
# and characters that YAML forbids. Also characters that a reviewer of the file would not see.
_CHANGED = re.compile(rf'\{{(?![\w "])|\n\Z|[{UNSEEN}]')


def _literal(match: re.Match[str]) -> str:
    escaped = match[0].encode("unicode-escape").decode()
    return f"{{{{ '{escaped}' }}}}"


def text(value: str) -> str:
    """Returns text that dbt reads back unchanged: what would change becomes a Jinja literal."""
    return _CHANGED.sub(_literal, value)


class Own(str):
    """A text of the project itself, whose Jinja dbt should render."""

    __slots__ = ()


def own(value: Any) -> Any:
    """Marks every text in a value as the project's own."""
    return _mapped(value, Own)


def _plain(value: str) -> str:
    return str(value) if isinstance(value, Own) else text(value)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", key): _mapped(item, change)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return value


_HIDDEN = re.compile(f"[{UNSEEN}]")
_PLAIN_KEY = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z_]*")


def properties(document: Mapping[str, Any]) -> str:
    """Returns a properties file from which dbt reads this document.

    Every text is quoted, so that `yes`, `1_000` or `12:30` stay text for a YAML 1.1 reader such as
    dbt's. Keys are quoted as well, unless they look like dbt's own; dbt renders no Jinja in keys.
    rapidyaml emits 10,000 tables in less than a second, while PyYAML takes several seconds. Raises
    ValueError where rapidyaml fails.
    """
    import ryml

    tree = ryml.parse_in_arena(msgspec.json.encode(_mapped(document, _plain)))
    # without a style, nodes parsed from JSON are emitted in JSON's style
    for node in range(tree.size()):
        if tree.is_container(node):
            tree.set_container_style(node, ryml.BLOCK)
        if tree.has_key(node):
            plain = _PLAIN_KEY.fullmatch(bytes(tree.key(node)).decode())
            tree.set_key_style(node, ryml.KEY_PLAIN if plain else ryml.KEY_DQUO)
    try:
        emitted: str = ryml.emit_yaml(tree)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    return emitted
