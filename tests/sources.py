"""Defines the rules of a stand-in for a service. Each names the page that documents it.

A rule without a page is an assumption: the documentation does not say, and the library relies on it
as little as possible. `tests/conformance` asks the service itself about each rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Source:
    """A rule and its source.

    says: the rule.
    page: where it is documented; empty for an assumption.
    where: the function of the stand-in that implements it.
    leaned_on: how the library deals with an assumption.
    """

    says: str
    page: str
    where: str
    leaned_on: str = ""


class Documented(Enum):
    """The rules of a stand-in; each value is a `Source`."""

    @property
    def source(self) -> Source:
        assert isinstance(self.value, Source)
        return self.value

    @property
    def says(self) -> str:
        return self.source.says

    @property
    def page(self) -> str:
        return self.source.page

    @property
    def url(self) -> str:
        """The URL of the page; empty for an assumption."""
        if not self.page or self.page.startswith("https://"):
            return self.page
        return f"{self.site}{self.page}"

    @property
    def site(self) -> str:
        """The URL to which the pages' paths are relative."""
        raise NotImplementedError

    @property
    def is_assumption(self) -> bool:
        return not self.page
