"""Checks that a project has all that the mesh relies on, and computes the lines that it lacks.

To add a check, write a function of a `Project` that yields `Finding`s, and list it in `plan`. What
mends a finding is data too, the text that a file would have; `plan.mended` applies all in memory.
"""
