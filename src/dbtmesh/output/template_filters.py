"""Defines the Jinja filters that the template's files use.

Copier loads this module for the template (copier.yml, `_jinja_extensions`), and
`doctor/template_files.py` renders the same files with it. This module must not import the rest of
the library, because Copier's interpreter does not have it.
"""

from __future__ import annotations

import json
import re
import shlex

from jinja2 import Environment
from jinja2.ext import Extension

# Text that is neither a number nor another type in YAML 1.1 (dbt, these commands) or 1.2 (GitHub).
PLAIN_IN_YAML = re.compile(
    r"\.|(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][\w./-]*", re.I | re.A
)


def yaml_text(text: str) -> str:
    """Returns a YAML scalar that is read as this text, quoted if it needs quotes."""
    return text if PLAIN_IN_YAML.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def shell_word(text: str) -> str:
    """Returns a text as one word of a shell command, quoted if it needs quotes."""
    return shlex.quote(text)


def stored_name(name: str) -> str:
    """Returns the name that Snowflake stores for a name as SQL writes it."""
    return name.strip('"')


class TemplateFilters(Extension):
    """Adds the filters above to a Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["yaml_text"] = yaml_text
        environment.filters["shell_word"] = shell_word
        environment.filters["stored_name"] = stored_name
