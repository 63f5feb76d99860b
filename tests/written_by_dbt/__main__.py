"""python -m tests.written_by_dbt RELEASE PROGRAM"""

import sys
from pathlib import Path

from tests.written_by_dbt import make

make(sys.argv[1], Path(sys.argv[2]).absolute())
