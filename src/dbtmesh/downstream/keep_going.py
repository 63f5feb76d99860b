"""Implements `--keep-going`: a deploy uses the last good copy instead of a faulty publication."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dbtmesh import MeshError
from dbtmesh.config import Upstream
from dbtmesh.downstream import committed
from dbtmesh.registry.store import OutOfReach

if TYPE_CHECKING:
    from dbtmesh.manifest.interface import Interface


def is_upstreams_fault(error: Exception) -> bool:
    """Checks whether the cause is what one upstream published: it is refused or cannot be read.

    A registry that is out of reach is not the fault of an upstream.
    """
    return isinstance(error, MeshError) and not isinstance(error, OutOfReach)


def deployable_copy(root: Path, upstream: Upstream) -> Interface | None:
    """Reads the interface in the copy; None if a deploy cannot use it.

    That is so if the copy is missing, unreadable, or describes stub tables on a laptop.
    """
    from dbtmesh.manifest.interface import STUB

    copy = committed.known(root, upstream)
    return None if copy and STUB in copy.notes else copy
