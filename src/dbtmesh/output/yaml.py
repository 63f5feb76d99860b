"""YAML that dbt reads: it renders Jinja in the text of a properties file, first of all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dbtmesh.output.visible import UNSEEN

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


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def properties(document: Mapping[str, Any]) -> str:
    """A properties file that gives dbt this document; keys are names of dbt's, or text of our own.

    Every text is quoted, so that `yes`, `1_000` or `12:30` stay text for a YAML 1.1 reader, which
    dbt's is. Emitted by rapidyaml: 10,000 tables take it under a second, PyYAML several. Raises
    ValueError where rapidyaml cannot.
    """
    import ryml

    tree = ryml.parse_in_arena(msgspec.json.encode(_plain(document)))
    # parsed from JSON, everything would be emitted in JSON's style
    for node in range(tree.size()):
        if tree.is_container(node):
            tree.set_container_style(node, ryml.BLOCK)
        if tree.has_key(node):
            tree.set_key_style(node, ryml.KEY_PLAIN)
    try:
        emitted: str = ryml.emit_yaml(tree)
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    return emitted
