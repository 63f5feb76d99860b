"""Acts on many members at once: demo, update, status, map.

The fleet imports the template's hooks and extensions from their own folders, where Copier runs them
as scripts. Only this module adds those folders to the import path.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

for _folder in (_ROOT / "hooks", _ROOT / "extensions"):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))
