#!/usr/bin/env python3
"""Publish this project's public interface to the registry.

The same as `python -m dbtmesh publish-manifest`; --help tells more.
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

run("publish-manifest", sys.argv[1:], Path(__file__).resolve().parents[1])
