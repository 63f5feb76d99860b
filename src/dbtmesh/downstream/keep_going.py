"""Implements `--keep-going`: in place of a faulty publication, a deploy uses the last good copy of
an earlier one.
"""

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
    """Whether the fault is in what one upstream published, which is refused or cannot be read. A
    registry that is out of reach is a fault of none."""
    return isinstance(error, MeshError) and not isinstance(error, OutOfReach)


def deployable_copy(root: Path, upstream: Upstream) -> Interface | None:
    """The interface in the copy; None where a deploy cannot do with it: it is missing, unreadable,
    or of the stand-ins of a laptop."""
    from dbtmesh.manifest.interface import STUB

    copy = committed.known(root, upstream)
    return None if copy and STUB in copy.notes else copy
