#!/usr/bin/env python3
"""Make stand-ins of what this project reads on DuckDB: --help tells more."""

import sys

from _mesh import run

run("stub-mesh", *sys.argv[1:])
