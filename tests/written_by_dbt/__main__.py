"""python -m tests.written_by_dbt RELEASE PROGRAM: writes the manifest of a release of dbt."""

import sys
from pathlib import Path

from tests.written_by_dbt import make

make(sys.argv[1], Path(sys.argv[2]).absolute())
