#!/usr/bin/env python3
"""Publish this project's public interface to the registry: --help tells more."""

import sys

from _mesh import run

run("publish-manifest", *sys.argv[1:])
