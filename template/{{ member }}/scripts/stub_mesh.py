#!/usr/bin/env python3
"""Create stub tables on DuckDB for what this project reads: --help tells more."""

import sys

from _mesh import run

run("stub-mesh", *sys.argv[1:])
