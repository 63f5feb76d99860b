"""The warehouses that a mesh runs on, by dbt adapter, and how each stores and compares names.

To add one, add it to `Warehouse` and see whatever asks for a member of it (`git grep Warehouse.`):
its types are in `types.py`, its literals in `output/sql.py`.
"""

from __future__ import annotations

import string
from enum import Enum
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.output.words import shown

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
        """By `metadata.adapter_type` of a manifest; Snowflake where it names none.

        Raises MeshError for any other adapter: its names and types are not known.
        """
        try:
            return cls(adapter_type or cls.SNOWFLAKE)
        except ValueError:
            known = " or ".join(each.value for each in cls)
            raise MeshError(
                f"adapter_type: {shown(adapter_type)} is not supported: a mesh runs on {known}"
            ) from None

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
