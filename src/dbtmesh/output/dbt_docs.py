"""Escapes text for dbt's docs page. It shows descriptions as Markdown, so that an image in one is
loaded from wherever its author says, by everybody who opens the page. Its search shows
descriptions, tags and names of columns as HTML (`trustAsHtml` in dbt-docs), so that an element in
one would run scripts there.

What is escaped is written as HTML writes a character: Markdown and HTML both show it as what it is.
"""

from __future__ import annotations

import re

_ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!\[")
# The end of a link's text, or of the name of one that is defined, before what is no address of the
# web: scripts and data are addresses as well.
_LINK = re.compile(r"\](?=\((?!\s*(?:https?://|mailto:|#))|:(?!\s*https?://))", re.IGNORECASE)


def escaped(value: str) -> str:
    """Text without HTML elements and images, and without links but to the web."""
    return _LINK.sub("&#93;", _IMAGE.sub("!&#91;", _ELEMENT.sub("&lt;", value)))


def has_element(name: str) -> bool:
    """Whether a name, which cannot be escaped as it has to stay the same, holds an element."""
    return bool(_ELEMENT.search(name))
