#!/usr/bin/env python3
"""Bring in what the upstreams publish: --help tells more."""

import sys

from _mesh import run

run("sync-mesh", *sys.argv[1:])
