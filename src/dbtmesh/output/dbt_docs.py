"""Escapes text for dbt's docs page.

The page renders descriptions as Markdown, so an image in one is loaded, by everybody who opens the
page, from any address that its author chooses. Its search shows descriptions, tags and names of
columns as HTML (`trustAsHtml` in dbt-docs), so an element in one could run scripts.

Characters are escaped as HTML character references, which both Markdown and HTML show as the
characters themselves.
"""

from __future__ import annotations

import re

_ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!\[")
# The bracket at the end of a link's text, or of a link definition's name, if the address after it
# is not a web address: it could be a script or data.
_LINK = re.compile(r"\](?=\((?!\s*(?:https?://|mailto:|#))|:(?!\s*https?://))", re.IGNORECASE)


def escaped(value: str) -> str:
    """Escapes HTML elements, images, and all links except those to web addresses."""
    return _LINK.sub("&#93;", _IMAGE.sub("!&#91;", _ELEMENT.sub("&lt;", value)))


def has_element(name: str) -> bool:
    """Checks whether a name, which must not be changed by escaping, contains an HTML element."""
    return bool(_ELEMENT.search(name))
