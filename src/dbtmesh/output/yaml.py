"""Writes YAML for dbt, which renders Jinja in the text of a properties file first of all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dbtmesh.output.escape import UNSEEN

# What a YAML reader or Jinja would not give back: a brace that opens something for Jinja (or could,
# with what comes in after it), the last newline, carriage returns, the other line breaks of
# YAML 1.1, and characters that no YAML file may hold. And what a reviewer of the file would not
# see.
_CHANGED = re.compile(rf'\{{(?![\w "])|\n\Z|[{UNSEEN}]')


def _literal(match: re.Match[str]) -> str:
    escaped = match[0].encode("unicode-escape").decode()
    return f"{{{{ '{escaped}' }}}}"


def text(value: str) -> str:
    """Text as dbt will read it back: what is in danger becomes a Jinja literal itself."""
    return _CHANGED.sub(_literal, value)


class Own(str):
    """Text of the project's own, whose Jinja dbt is to render."""

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
    """A properties file that gives dbt this document.

    Every text is quoted, so that `yes`, `1_000` or `12:30` stay text for a YAML 1.1 reader, which
    dbt's is; so is every key that does not look like dbt's own. dbt renders no Jinja in keys.
    Emitted by rapidyaml: 10,000 tables take it under a second, PyYAML several. Raises ValueError
    where rapidyaml cannot.
    """
    import ryml

    tree = ryml.parse_in_arena(msgspec.json.encode(_mapped(document, _plain)))
    # parsed from JSON, everything would be emitted in JSON's style
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
