#!/usr/bin/env python3
"""Download what the upstreams publish: --help tells more."""

import sys

from _mesh import run

run("sync-mesh", *sys.argv[1:])
