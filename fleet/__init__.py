"""What acts on many members at once.

The fleet runs the very code that members receive: their package `mesh` (registry, configuration),
the template's hooks and extensions are imported from where they lie, and this is the one place
that says so.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

# last, so that a member's own copy comes first where one is already on the path
for _folder in (
    _ROOT / "template" / "{{ member }}" / "scripts",
    _ROOT / "hooks",
    _ROOT / "extensions",
):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))
