"""Where the rules of a stand-in for a service come from: each names the page that documents it.

A rule without a page is an assumption: the documentation leaves it open, and the product leans on
it as little as it can. `tests/conformance` asks the service itself about each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Source:
    """says: the rule. page: where it is documented; empty for an assumption. where: the function
    of the stand-in that has it. leaned_on: what the product does about an assumption."""

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
        """The address of the page; empty for an assumption."""
        if not self.page or self.page.startswith("https://"):
            return self.page
        return f"{self.site}{self.page}"

    @property
    def site(self) -> str:
        """What the paths of the pages are below."""
        raise NotImplementedError

    @property
    def is_assumption(self) -> bool:
        return not self.page
