#!/usr/bin/env python3
"""Write what the upstreams publish as dbt sources: --help tells more."""

import sys

from _mesh import run

run("sync-mesh", *sys.argv[1:])
