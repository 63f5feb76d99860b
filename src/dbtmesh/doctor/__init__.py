"""Does a project, as it is, have all that the mesh relies on?

A check is a function of a `Project` that yields `Finding`s (checks.py lists them all); what mends a
finding is data too, the text that a file would have. `plan.mended` applies all of them in memory.
"""
