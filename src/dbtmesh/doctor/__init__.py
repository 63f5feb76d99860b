"""Checks that a project has all that the mesh relies on, and computes the lines that it lacks.

To add a check, write a function of a `Project` that yields `Finding`s, and list it in `plan`. A
finding's fix is data, too: the new texts of files. `plan.mended` applies them in memory.
"""
