"""Finds public models without an enforced contract, whose columns nothing guarantees.

dbt holds a contracted model to all its columns. Without a contract the list of columns is whatever
somebody wrote down: a column that is not listed may well exist, and one that is may not. Where the
build has a catalog, the list was completed from it (`artifacts.catalog`), and the interface notes
which models those are; that is known, but still not promised.
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

    complete: its columns were read from the warehouse, so there are no others.
    """

    unique_id: str
    model: str
    complete: bool


def partial(manifest: Manifest) -> list[Partial]:
    """The public models of an interface that have no contract, by name."""
    complete = completed(manifest)
    found = [
        Partial(unique_id, display(node), unique_id in complete)
        for unique_id, node in manifest["nodes"].items()
        if not is_enforced(node)
    ]
    return sorted(found, key=lambda each: each.model)


def completed(manifest: Manifest) -> frozenset[str]:
    """The models whose columns were completed from a catalog."""
    notes = manifest["metadata"].get("env")
    named = notes.get(CATALOG) if isinstance(notes, dict) else None
    return frozenset(named.split()) if isinstance(named, str) else frozenset()


def lines(found: Sequence[Partial]) -> list[str]:
    """What to say of them."""
    unlisted = [each.model for each in found if not each.complete]
    listed = [each.model for each in found if each.complete]
    return [
        *(
            [
                f"without an enforced contract: {some(unlisted)}. Their columns may be more, or"
                " fewer, than those listed, and the gate cannot tell when one of them goes"
            ]
            if unlisted
            else ()
        ),
        *(
            [
                f"without an enforced contract: {some(listed)}. Their columns are those of the"
                " catalog, which nothing promises"
            ]
            if listed
            else ()
        ),
    ]


WAY_OUT = "list every column with its data_type, and set `contract: {enforced: true}`"
