"""The warehouses that a mesh runs on, by dbt adapter, and how each stores and compares names.

To add one, add it to `Warehouse` and see whatever asks for a member of it (`git grep Warehouse.`):
its types are in `types.py`, its literals in `output/sql.py`.
"""

from __future__ import annotations

import string
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbtmesh.warehouse.names import Place

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""DuckDB tells `Ä` and `ä` apart, though not `A` and `a`."""


class Warehouse(Enum):
    """What tells names and types apart: Snowflake, or DuckDB on a laptop and in pull requests."""

    SNOWFLAKE = "snowflake"
    DUCKDB = "duckdb"

    @classmethod
    def of(cls, adapter_type: object) -> Warehouse:
        """By `metadata.adapter_type` of a manifest; all but `duckdb` is read as Snowflake."""
        return cls.DUCKDB if adapter_type == cls.DUCKDB.value else cls.SNOWFLAKE

    def stored(self, written: str, *, quoted: bool) -> str:
        """How a name is stored. `written`: without its quotes."""
        return written.upper() if self is Warehouse.SNOWFLAKE and not quoted else written

    def key(self, stored: str) -> str:
        """Equal for stored names that mean the same object or column, and for no others."""
        return stored.translate(_LOWER) if self is Warehouse.DUCKDB else stored

    def place_key(self, place: Place) -> Place:
        """`key` of each part."""
        database, schema, identifier = place
        return self.key(database), self.key(schema), self.key(identifier)
