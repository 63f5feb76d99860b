#!/usr/bin/env python3
"""Make stand-ins for the upstreams' models on DuckDB.

The same as `python -m dbtmesh stub-mesh`; --help tells more.
"""

import sys
from pathlib import Path

try:
    from dbtmesh.__main__ import run
except ModuleNotFoundError:
    sys.exit(
        f"error: {sys.executable} lacks the package dbtmesh: activate the project's environment "
        "(. .venv/bin/activate), or pip install -r requirements.txt -c constraints.txt"
    )

run("stub-mesh", sys.argv[1:], Path(__file__).resolve().parents[1])
