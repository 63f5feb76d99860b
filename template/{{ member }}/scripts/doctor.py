#!/usr/bin/env python3
"""Find what the mesh relies on and this project lacks: --help tells more."""

import sys

from _mesh import run

run("doctor", *sys.argv[1:])
