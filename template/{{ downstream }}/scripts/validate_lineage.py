#!/usr/bin/env python3
"""Check that everything this project reads is published: --help tells more."""

import sys

from _mesh import run

run("validate-lineage", *sys.argv[1:])
