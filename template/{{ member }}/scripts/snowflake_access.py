#!/usr/bin/env python3
"""Plan, apply and verify roles and grants on Snowflake: --help tells more."""

import sys

from _mesh import run

run("snowflake-access", *sys.argv[1:])
