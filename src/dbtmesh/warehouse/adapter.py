"""Defines the warehouses that a mesh runs on, and how each stores and compares names.

To add one, add its dbt adapter to `Warehouse`, and check each use of its members (`git grep
Warehouse.`). Data types are in `types.py`, SQL literals in `output/sql.py`.
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
"""DuckDB ignores case in ASCII letters only: `A` and `a` are the same name, `Ä` and `ä` are not."""


class Warehouse(Enum):
    """The warehouse whose rules apply: Snowflake, or DuckDB on a laptop and in pull requests."""

    SNOWFLAKE = "snowflake"
    DUCKDB = "duckdb"

    @classmethod
    def of(cls, adapter_type: object) -> Warehouse:
        """Returns the warehouse for a manifest's `metadata.adapter_type`; Snowflake if it is empty.

        Raises MeshError for any other adapter, because its names and types are not known.
        """
        try:
            return cls(adapter_type or cls.SNOWFLAKE)
        except ValueError:
            known = " or ".join(each.value for each in cls)
            raise MeshError(
                f"adapter_type: {shown(adapter_type)} is not supported: a mesh runs on {known}"
            ) from None

    def stored(self, written: str, *, quoted: bool) -> str:
        """Returns a name as it is stored. written: the name in SQL, without its quotes."""
        return written.upper() if self is Warehouse.SNOWFLAKE and not quoted else written

    def key(self, stored: str) -> str:
        """Returns a key that is equal for stored names of the same object or column only."""
        return stored.translate(_LOWER) if self is Warehouse.DUCKDB else stored

    def place_key(self, place: Place) -> Place:
        """Returns the `key` of each part."""
        database, schema, identifier = place
        return self.key(database), self.key(schema), self.key(identifier)
