"""Text for dbt's docs page. Its search shows descriptions, tags and names of columns as HTML
(`trustAsHtml` in dbt-docs), so that an element in one would run scripts in the reader's page."""

from __future__ import annotations

import re

_ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")


def text(value: str) -> str:
    """Text that is no HTML element: Markdown and HTML both show `&lt;` as what it stands for."""
    return _ELEMENT.sub("&lt;", value)


def is_text(name: str) -> bool:
    """Whether a name, which cannot be changed, is none either."""
    return not _ELEMENT.search(name)
