"""Acts on many members at once: demo, update, status, map.

The template's hooks and extensions are imported from where they lie, because Copier runs them
there; this is the one place that says so.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

for _folder in (_ROOT / "hooks", _ROOT / "extensions"):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))
