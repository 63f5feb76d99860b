"""Escapes text for dbt's docs page. Its search shows descriptions, tags and names of columns as
HTML (`trustAsHtml` in dbt-docs), so that an element in one would run scripts in the reader's
page.
"""

from __future__ import annotations

import re

_ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")


def escaped(value: str) -> str:
    """Text without HTML elements: Markdown and HTML both show `&lt;` as what it stands for."""
    return _ELEMENT.sub("&lt;", value)


def has_element(name: str) -> bool:
    """Whether a name, which cannot be escaped as it has to stay the same, holds an element."""
    return bool(_ELEMENT.search(name))
