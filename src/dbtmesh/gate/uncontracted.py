"""Finds public models without an enforced contract, whose columns are not guaranteed.

dbt requires a contracted model to have exactly its listed columns. Without a contract, the list is
what somebody wrote down: an unlisted column may exist, and a listed one may not. If the build has a
catalog, the list was completed from it (`artifacts.catalog`), and the interface notes which models
those are. Such a list is correct at that time, but still not guaranteed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbtmesh.gate.nodes import Manifest, display, is_enforced
from dbtmesh.manifest.interface import CATALOG
from dbtmesh.output.words import some


@dataclass(frozen=True)
class Partial:
    """A public model without an enforced contract.

    complete: whether its columns were read from the warehouse, so that there are no others.
    """

    unique_id: str
    model: str
    complete: bool


def partial(manifest: Manifest) -> list[Partial]:
    """Returns the public models of an interface without an enforced contract, sorted by name."""
    complete = completed(manifest)
    found = [
        Partial(unique_id, display(node), unique_id in complete)
        for unique_id, node in manifest["nodes"].items()
        if not is_enforced(node)
    ]
    return sorted(found, key=lambda each: each.model)


def completed(manifest: Manifest) -> frozenset[str]:
    """Returns the unique_ids of the models whose columns were completed from a catalog."""
    notes = manifest["metadata"].get("env")
    named = notes.get(CATALOG) if isinstance(notes, dict) else None
    return frozenset(named.split()) if isinstance(named, str) else frozenset()


def lines(found: Sequence[Partial]) -> list[str]:
    """Returns the lines to print about them."""
    unlisted = [each.model for each in found if not each.complete]
    listed = [each.model for each in found if each.complete]
    return [
        *(
            [
                f"without an enforced contract: {some(unlisted)}. They may have more or fewer"
                " columns than those listed, and the gate cannot tell when a column is removed"
            ]
            if unlisted
            else ()
        ),
        *(
            [
                f"without an enforced contract: {some(listed)}. Their columns come from the"
                " catalog, and no contract guarantees them"
            ]
            if listed
            else ()
        ),
    ]


WAY_OUT = "list every column with its data_type, and set `contract: {enforced: true}`"
