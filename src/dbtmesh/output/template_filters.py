"""Defines the Jinja filters that the files of a member are written with.

Copier loads this module for the template (copier.yml, `_jinja_extensions`), and
`doctor/template_files.py` renders the same files with it. Copier's interpreter does not have the
library, so nothing of it is imported here.
"""

from __future__ import annotations

import json
import re
import shlex

from jinja2 import Environment
from jinja2.ext import Extension

# Not numbers, nor what YAML 1.1 (dbt, these commands) or 1.2 (GitHub) reads as another type.
PLAIN_IN_YAML = re.compile(
    r"\.|(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][\w./-]*", re.I | re.A
)


def yaml_text(text: str) -> str:
    """A text as a YAML scalar that is read as this text: in quotes where it would not be."""
    return text if PLAIN_IN_YAML.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def shell_word(text: str) -> str:
    """A text as one word of a command line: in quotes where a shell would read it otherwise."""
    return shlex.quote(text)


def stored_name(name: str) -> str:
    """A name as SQL has it, as Snowflake stores it."""
    return name.strip('"')


class TemplateFilters(Extension):
    """Adds the filters above to a Jinja environment."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["yaml_text"] = yaml_text
        environment.filters["shell_word"] = shell_word
        environment.filters["stored_name"] = stored_name
