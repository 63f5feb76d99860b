"""What acts on many members at once.

The fleet runs the very code that members receive: their package `mesh` (registry, configuration)
is imported from where it lies in the template, and this is the one place that says so.
"""

import sys
from pathlib import Path

MEMBER_SCRIPTS = Path(__file__).resolve().parents[1] / "template" / "scripts"

# last, so that a member's own copy comes first where one is already on the path
if str(MEMBER_SCRIPTS) not in sys.path:
    sys.path.append(str(MEMBER_SCRIPTS))
